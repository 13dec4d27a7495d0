"""From what a user names, a run, a file or a genotype, to a trained network."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from nas.architecture.cell import Genotype
from nas.deploy.infer_options import infer_classes, infer_options
from nas.deploy.model import MODEL_FILE, Model, decode_model, is_model
from nas.deploy.not_a_model import explain_missing_model
from nas.deploy.published_weights import load_published_weights
from nas.deploy.weights_file import extract_state_dict, read_weights_file
from nas.spaces.base import Shape, Space
from nas.spaces.genotype_file import GENOTYPE_FILE, load_genotype, published
from nas.spaces.notation import is_native_string
from nas.spaces.registry import space_of
from nas.utils.errors import NasError


@dataclass(frozen=True)
class ResolvedModel:
    """A trained network, the file it came from, and what that file is, in words."""

    model: Model
    path: Path
    kind: str


def find_weights_file(source: str | Path) -> Path | None:
    """The file of weights that ``source`` names: itself, or the model.pt of a run directory; None where it is neither.

    Native strings and genotype.json name none.
    """
    path = Path(os.path.expanduser(str(source).strip()))
    if os.path.isdir(path):
        return path / MODEL_FILE if (path / MODEL_FILE).is_file() else None
    return path if os.path.isfile(path) and path.suffix != ".json" else None


def resolve_model(
    genotype: str | Path | Genotype | None,
    weights: str | Path | None,
    options: Callable[[Space], Mapping[str, Any]] = lambda space: {},
    shape: Shape | None = None,
    classes: int | None = None,
) -> ResolvedModel:
    """The trained network that ``weights``, or else ``genotype``, names.

    A model.pt says everything by itself; ``genotype`` and ``options`` may be given if they agree with it. Weights
    alone need a genotype; options that are not given are read off the weights. ``options`` is asked for those of the
    space's network once the space is known. ``shape`` and ``classes`` of the images serve where the file does not tell.

    Raises:
        NasError: where there are no weights, they cannot be read, or they do not fit.
    """
    path = _path(genotype, weights)
    value = read_weights_file(path)
    if is_model(value):
        model = decode_model(value, path)
        if weights is not None and genotype is not None:
            _check_genotype(genotype, model, path)
        _check_options(options(model.space), model, path)
        return ResolvedModel(model, path, f"model.pt, version {value['version']}")
    state, key = extract_state_dict(value, path)
    named = genotype if weights is not None else None
    entry = None if named is None or isinstance(named, Genotype) else published(named)
    shape = shape or (3, 32, 32)
    usual = {} if entry is None else entry.network_options(shape[1:])
    model = model_from_state_dict(state, _genotype(named, path), options, shape, path, classes, usual)
    return ResolvedModel(model, path, f"a state_dict under '{key}'" if key else "a state_dict")


def model_from_state_dict(
    state: Mapping[str, Tensor],
    genotype: Genotype,
    options: Callable[[Space], Mapping[str, Any]],
    shape: Shape,
    path: Path,
    classes: int | None = None,
    usual: Mapping[str, Any] | None = None,
) -> Model:
    """Published weights as a model. An auxiliary head is left out: only training needs it.

    Options that are neither given nor read off the weights are as ``usual`` for the architecture.

    Raises NasError, naming ``path``, where they do not fit the genotype's network.
    """
    found = infer_classes(state) or classes
    if found is None:
        raise NasError(f"weights: {path} has no classifier.weight: it is no classifier of this genotype's space")
    inputs = next((value.shape[1] for value in state.values() if value.dim() == 4), shape[0])
    if inputs != shape[0]:
        raise NasError(f"weights: {path} is for images of {inputs} channels, not of {shape[0]}: choose another dataset")
    space = space_of(genotype, shape, found)
    complete = {**(usual or {}), **infer_options(state, genotype.space), **options(space)}
    if "auxiliary" in space.network_options():
        complete["auxiliary"] = False
    network = space.network(genotype, **complete)
    try:
        load_published_weights(network, {name: value for name, value in state.items() if "auxiliary" not in name})
    except NasError as error:
        raise NasError(f"weights: {path}: {error}") from None
    return Model(genotype, complete, shape, found, network.state_dict())


def _path(genotype: str | Path | Genotype | None, weights: str | Path | None) -> Path:
    """The file of weights. Raises NasError, with what would work, where nothing names one."""
    if weights is not None:
        found = find_weights_file(weights)
        place = Path(str(weights)).expanduser()
        if found is None and os.path.isdir(place):
            raise NasError(f"weights: {explain_missing_model(place)}")
        if found is None and str(weights).endswith(".json"):
            raise NasError(f"weights: {weights} holds no weights; give a run directory, a model.pt or a state_dict")
        if found is None and (is_native_string(str(weights)) or published(weights) is not None):
            raise NasError(
                f"weights: '{weights}' is a genotype without weights: give it as genotype, and as weights a run "
                "directory, a model.pt or a file of weights"
            )
        return found or place  # reading it tells that there is none
    if genotype is None:
        raise NasError("weights: give a run directory, a model.pt, or a file of weights with its genotype")
    found = None if isinstance(genotype, Genotype) else find_weights_file(genotype)
    if found is None:
        name = "it"
        if not isinstance(genotype, Genotype):
            load_genotype(genotype)  # says what is wrong where it is not even a genotype
            name = f"'{genotype}'"
        raise NasError(
            f"{name} is a genotype without weights: give weights=FILE, or train it, python train.py genotype=..."
        )
    return found


def _genotype(given: str | Path | Genotype | None, path: Path) -> Genotype:
    """The genotype that is given, or else that of the run directory in which a checkpoint lies."""
    if given is not None:
        return _read_genotype(given)
    beside = path.parent.parent / GENOTYPE_FILE
    if path.parent.name == "checkpoints" and beside.is_file():
        return load_genotype(beside)
    raise NasError(
        f"genotype is missing: {path} holds weights alone; give genotype=X with X a run directory, a genotype.json, or "
        "a native string in quotes"
    )


def _read_genotype(given: str | Path | Genotype) -> Genotype:
    if isinstance(given, Genotype):
        return given
    file = find_weights_file(given)
    return decode_model(read_weights_file(file), file).genotype if file is not None else load_genotype(given)


def _check_genotype(given: str | Path | Genotype, model: Model, path: Path) -> None:
    if _read_genotype(given) != model.genotype:
        raise NasError(
            f"weights: {path} is a network of {model.space.native(model.genotype)}, not of the genotype that is given: "
            "leave out genotype"
        )


def _check_options(options: Mapping[str, Any], model: Model, path: Path) -> None:
    for name, value in options.items():
        if name not in model.options or model.options[name] != value:
            built = model.options.get(name, "the default")
            raise NasError(f"network.{name}={value}: {path} was built with {built}; leave out network.{name}")
