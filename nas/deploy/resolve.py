"""Resolution of a run directory, a file or a genotype to a trained network."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from nas.architecture.cell import Genotype
from nas.deploy.check_model import build_without_memory, check_options
from nas.deploy.finite import check_finite
from nas.deploy.infer_options import infer_classes, infer_options
from nas.deploy.missing_model import explain_missing_model
from nas.deploy.model import MODEL_FILE, Model, decode_model, is_model
from nas.deploy.published_weights import load_published_weights
from nas.deploy.weights_file import extract_state_dict, read_weights_file
from nas.spaces.base import Shape, Space
from nas.spaces.genotype_file import GENOTYPE_FILE, find_published, load_genotype
from nas.spaces.notation import is_native_string
from nas.spaces.registry import space_of
from nas.utils.errors import NasError
from nas.utils.program import job_command
from nas.utils.user_path import user_path


@dataclass(frozen=True)
class ResolvedModel:
    """A trained network, the path of its file, and a description of the kind of file."""

    model: Model
    path: Path
    kind: str


def find_weights_file(source: str | Path) -> Path | None:
    """Return the file of weights: ``source`` itself, or the model.pt of a run directory.

    None for anything else, such as a native string, a genotype.json or another text with a genotype.
    """
    path = user_path(str(source).strip())
    if os.path.isdir(path):
        return path / MODEL_FILE if (path / MODEL_FILE).is_file() else None
    return path if os.path.isfile(path) and path.suffix != ".json" and not _is_text(path) else None


def _is_text(path: Path) -> bool:
    """Return whether the beginning of a file is text, unlike an archive or a pickle."""
    with path.open("rb") as file:
        head = file.read(256)
    return not head.startswith((b"PK", b"\x80")) and not any(byte < 9 for byte in head)


def resolve_model(
    genotype: str | Path | Genotype | None,
    weights: str | Path | None,
    options: Callable[[Space], Mapping[str, Any]] = lambda space: {},
    shape: Shape | None = None,
    classes: int | None = None,
) -> ResolvedModel:
    """Return the trained network of ``weights`` or, if that is None, of ``genotype``.

    A model.pt is self-contained; ``genotype`` and ``options`` must agree with it. Other files of weights need a
    genotype, and missing options are inferred from the weights.

    Args:
        genotype: a ``Genotype``, its file, its native string, a published name, or a run directory.
        weights: a run directory, a model.pt or a file of weights.
        options: function that returns the options of the network for its space.
        shape: (C, H, W) of the images, for a file of weights; None: 3 x 32 x 32.
        classes: number of classes, if it cannot be inferred from a file of weights.

    Raises:
        NasError: if there are no weights, they cannot be read, or they do not fit.
    """
    path = _weights_path(genotype, weights)
    content = read_weights_file(path)
    if is_model(content):
        model = decode_model(content, path)
        if weights is not None and genotype is not None:
            _check_genotype(genotype, model, path)
        _check_options(options(model.space), model, path)
        check_finite(model.state, path)
        return ResolvedModel(model, path, f"model.pt, version {content['version']}")
    state, key = extract_state_dict(content, path)
    check_finite(state, path)
    source = genotype if weights is not None else None
    entry = None if source is None or isinstance(source, Genotype) else find_published(source)
    shape = shape or (3, 32, 32)
    defaults = {} if entry is None else entry.network_options(shape[1:])
    model = model_from_state_dict(state, _find_genotype(source, path), options, shape, path, classes, defaults)
    return ResolvedModel(model, path, f"a state_dict under '{key}'" if key else "a state_dict")


def model_from_state_dict(
    state: Mapping[str, Tensor],
    genotype: Genotype,
    options: Callable[[Space], Mapping[str, Any]],
    shape: Shape,
    path: Path,
    classes: int | None = None,
    defaults: Mapping[str, Any] | None = None,
) -> Model:
    """Return published weights as a model, without an auxiliary head.

    Args:
        state: the published state_dict.
        genotype: its genotype.
        options: function that returns the options of the network for its space.
        shape: (C, H, W) of the images.
        path: file of the weights, for error messages.
        classes: number of classes, if it cannot be inferred.
        defaults: options of the architecture that are neither set nor inferred.

    Raises:
        NasError: if the weights do not fit the network of the genotype.
    """
    classes = infer_classes(state) or classes
    if classes is None:
        raise NasError(f"weights={path}: has no classifier.weight. Use the weights of a whole network.")
    channels = next((value.shape[1] for value in state.values() if value.dim() == 4), shape[0])
    if channels != shape[0]:
        raise NasError(
            f"weights={path}: the network takes images of {channels} channels, not {shape[0]}. "
            f"Choose a dataset with {channels} channels, or set the argument shape of nas.load."
        )
    space = space_of(genotype, shape, classes)
    complete = {**(defaults or {}), **infer_options(state, genotype.space), **options(space)}
    if "auxiliary" in space.network_options():
        complete["auxiliary"] = False
    weights = {name: value for name, value in state.items() if "auxiliary" not in name}
    try:
        check_options(space, complete, len(state))
        # before any memory is allocated
        load_published_weights(
            build_without_memory(space, genotype, complete), {name: value.to("meta") for name, value in weights.items()}
        )
        network = space.network(genotype, **complete)
        load_published_weights(network, weights)
    except NasError as error:
        raise NasError(f"weights={path}: {error}") from None
    return Model(genotype, complete, shape, classes, network.state_dict())


def _weights_path(genotype: str | Path | Genotype | None, weights: str | Path | None) -> Path:
    """Return the file of weights, which may not exist if ``weights`` is a path.

    Raises:
        NasError: if neither argument refers to weights.
    """
    if weights is not None:
        return _path_of_weights(weights)
    if genotype is None:
        raise NasError(
            "weights=null: no network is named. Set weights to the directory of a training, its model.pt, or a file of "
            "weights and its genotype."
        )
    path = None if isinstance(genotype, Genotype) else find_weights_file(genotype)
    if path is None:
        if not isinstance(genotype, Genotype):
            load_genotype(genotype)  # raises for anything that is not even a genotype
        raise NasError(
            f"genotype={'...' if isinstance(genotype, Genotype) else genotype}: has no weights. "
            f"Set weights=FILE, or train the network: {job_command('train')} genotype=..."
        )
    return path


def _path_of_weights(weights: str | Path) -> Path:
    file, path = find_weights_file(weights), user_path(str(weights))
    if file is not None:
        return file
    if os.path.isdir(path):
        raise NasError(f"weights={weights}: {explain_missing_model(path)}")
    fix = "Set weights to a run directory, a model.pt or a file of weights"
    if str(weights).endswith(".json"):
        raise NasError(f"weights={weights}: contains no weights. {fix}.")
    if is_native_string(str(weights)) or find_published(weights) is not None:
        raise NasError(f"weights={weights}: a genotype without weights. {fix}, and genotype to this genotype.")
    return path


def _find_genotype(given: str | Path | Genotype | None, path: Path) -> Genotype:
    """Return the given genotype, or that of the run directory of a checkpoint."""
    if given is not None:
        return _read_genotype(given)
    file = path.parent.parent / GENOTYPE_FILE
    if path.parent.name == "checkpoints" and file.is_file():
        return load_genotype(file)
    raise NasError(
        f"genotype: not given, and {path} contains weights alone. "
        "Set genotype to a run directory, a genotype.json or a native string in quotes."
    )


def _read_genotype(given: str | Path | Genotype) -> Genotype:
    if isinstance(given, Genotype):
        return given
    file = find_weights_file(given)
    return decode_model(read_weights_file(file), file).genotype if file is not None else load_genotype(given)


def _check_genotype(given: str | Path | Genotype, model: Model, path: Path) -> None:
    if _read_genotype(given) != model.genotype:
        raise NasError(
            f"weights={path}: a network of another genotype, {model.space.native(model.genotype)}. Leave out genotype."
        )


def _check_options(options: Mapping[str, Any], model: Model, path: Path) -> None:
    for name, value in options.items():
        if name not in model.options or model.options[name] != value:
            actual = model.options.get(name, "the default")
            raise NasError(f"network.{name}={value}: {path} was built with {actual}. Leave out network.{name}.")
