"""Default data set of an evaluation or export: that of the training of the network."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.hydra_internals import parse_override
from nas.cli.overrides.inherit_from_search import image_list, refuse_without_record
from nas.cli.overrides.installed import provide_choices
from nas.cli.overrides.parse import key_of, quote, value_of
from nas.cli.overrides.renamed import translate_keys
from nas.cli.overrides.run_record import (
    check_choice,
    check_overrides,
    check_value,
    choices_file,
    config_file,
    overrides_file,
    saved_choices,
    saved_config,
    saved_overrides,
)
from nas.cli.overrides.search_path import searchpath_overrides
from nas.cli.overrides.value_type import output_keys, wanted_type_in_record
from nas.utils.errors import NasError, one_line
from nas.utils.user_path import user_path

NETWORKS = ("network.", "searched_network.")
"""Beginnings of the keys with options of the network."""


def inherit_from_training(arguments: list[str], path: Sequence[Path] = (CONF,)) -> list[str]:
    """Add the data set, options included, of the run that ``weights`` or ``genotype`` names, unless one is chosen.

    A model.pt outside of its run stores the name of its data set. For the checkpoint of an unfinished training, the
    genotype and the network options of that run are added as well.

    Runs and files are untrusted. ``path`` has the directories of the user's configuration.
    """
    arguments = [*_network_overrides(arguments, path), *arguments]
    if value_of(arguments, "dataset"):
        return arguments
    named = [user_path(given) for key in ("weights", "genotype") if (given := value_of(arguments, key))]
    for source in named:
        directory = _run_of(source)
        if directory is not None and "dataset" in saved_choices(directory):
            images = image_list(directory, arguments)
            changed = [line for line in _dataset_overrides(directory, path) if key_of(line) not in map(key_of, images)]
            lines = [*changed, *images]
            keys = {line.partition("=")[0] for line in arguments}
            lines = [line for line in lines if line.partition("=")[0] not in keys]
            check_overrides(lines, config_file(directory), path)
            return [*lines, *arguments]
    dataset = _stored_dataset(named[0], path) if named else None
    file = _weights_file(named[0]) if named else None
    if dataset is None and file is not None:
        for place in (file.parent, file.parent.parent):
            refuse_without_record(f"weights={named[0]}", place)
    return arguments if dataset is None else [f"dataset={dataset}", *arguments]


def _network_overrides(arguments: list[str], search_path: Sequence[Path]) -> list[str]:
    """Return genotype and network options of a run if ``weights`` is its checkpoint and it has no genotype.json yet."""
    given = value_of(arguments, "weights")
    path = user_path(given or "")
    directory = _run_of(path) if given and path.suffix == ".ckpt" else None
    if directory is None or (directory / "genotype.json").is_file() or value_of(arguments, "genotype") is not None:
        return []
    keys = {key_of(line) for line in arguments}
    saved = [line for line in saved_overrides(directory) if key_of(line) not in keys]
    lines = [line for line in saved if key_of(line) == "genotype" or key_of(line).startswith(NETWORKS)]
    check_overrides(lines, overrides_file(directory), search_path)
    for line in lines:
        if isinstance(parse_override(line).value(), dict | list):
            raise NasError(f"{overrides_file(directory)}: {line[:200]}: {key_of(line)} takes a single value.")
    return lines


def _run_of(path: Path) -> Path | None:
    """Return the run directory ``path``, or the run directory of a model.pt, genotype.json or checkpoints/*.ckpt."""
    places = (path, path.parent, path.parent.parent) if os.path.isfile(path) else (path,)
    return next((place for place in places if os.path.isdir(place / ".hydra")), None)


def _weights_file(path: Path) -> Path | None:
    """Return ``path``, or the model.pt in it, if that is a file of weights."""
    file = path / "model.pt" if os.path.isdir(path) else path
    return file if os.path.isfile(file) and file.suffix != ".json" else None


def _stored_dataset(path: Path, search_path: Sequence[Path]) -> str | None:
    """Return the data set that a model.pt, or that of a run directory, names.

    Raises:
        NasError: if it is not a choice of the user's configuration.
    """
    file = _weights_file(path)
    if file is None:
        return None
    # imported here, because it needs torch and a wrong path should be reported without waiting for that
    from nas.deploy.model import decode_model, is_model
    from nas.deploy.weights_file import read_weights_file

    value = read_weights_file(file)
    genotype = value.get("genotype") if is_model(value) else None
    if isinstance(genotype, dict) and genotype.get("own_parts"):
        dataset = value.get("dataset")  # the job, which uses the custom parts, checks the file
    else:
        dataset = decode_model(value, file).dataset if is_model(value) else None
    if dataset is not None:
        check_choice("dataset", dataset, file, search_path)
    return dataset


def _dataset_overrides(directory: Path, search_path: Sequence[Path]) -> list[str]:
    """Return the overrides that turn the default data set into that of a run; its seed and data folder included."""
    file = config_file(directory)
    choice = saved_choices(directory)["dataset"]
    check_choice("dataset", choice, choices_file(directory), search_path)
    if not file.is_file():
        return [f"dataset={choice}"]
    saved = saved_config(directory)
    try:
        dataset, seed, data = translate_keys("dataset", saved["dataset"]), saved["seed"], saved["paths"]["data"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NasError(f"{file} is damaged: {one_line(repr(error))[:300]}") from None
    provide_choices([f"dataset={choice}"])
    within = GlobalHydra.instance().is_initialized()  # in a job of a sweep
    with nullcontext() if within else initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [f"dataset={choice}", *([] if within else searchpath_overrides(search_path))])
    usual: Any = OmegaConf.to_container(cfg, resolve=False)
    default, folder = usual["dataset"], usual["paths"]["data"]
    changed = [name for name in default if dataset.get(name, default[name]) != default[name]]
    lines = [f"dataset={choice}"]
    for name in changed:
        _check_option(f"dataset.{name}", default[name], dataset[name], file)
        lines.append(f"dataset.{name}={_literal(dataset[name])}")
    if "seed" in default:
        _check_option("seed", 0, seed, file)
        lines.append(f"seed={seed}")
    if data != folder:
        _check_option("paths.data", "", data, file)
        lines.append(f"paths.data={_literal(data)}")
    return lines


def _check_option(key: str, default: Any, value: Any, file: Path) -> None:
    """Raise NasError for a value that is not plain or not of the type of the default."""
    if key.endswith("._target_"):
        raise NasError(
            f"{file}: {key}={str(value)[:200]}: your configuration has {default}, and a run cannot change it."
        )
    if list(output_keys({key: default})):
        raise NasError(
            f"{file}: {key}: the record of a run must not set an output path. Set {key} on the command line."
        )
    check_value(key, value, file)
    wanted = wanted_type_in_record(key, default, value)
    if wanted is not None:
        raise NasError(f"{file}: {key}={str(value)[:200]}: {key} takes {wanted}.")


def _literal(value: Any) -> str:
    """Write a value in Hydra's grammar."""
    if isinstance(value, list):
        return f"[{','.join(map(_literal, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_literal(part)}' for key, part in value.items())}}}"
    if isinstance(value, bool):
        return str(value).lower()
    return quote(value) if isinstance(value, str) else "null" if value is None else str(value)
