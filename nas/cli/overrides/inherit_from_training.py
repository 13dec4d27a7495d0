"""Default data set of an evaluation or export: that of the training of the network."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.inherit_from_search import image_list, refuse_without_record
from nas.cli.overrides.parse import key_of, quote, saved_choices, saved_overrides, value_of
from nas.cli.overrides.renamed import translate_keys
from nas.utils.errors import NasError, one_line


def inherit_from_training(arguments: list[str]) -> list[str]:
    """Add the data set, options included, of the run that ``weights`` or ``genotype`` names, unless one is chosen.

    A model.pt outside of its run stores the name of its data set. For the checkpoint of an unfinished training, the
    genotype and the network options of that run are added as well.
    """
    arguments = [*_network_overrides(arguments), *arguments]
    if value_of(arguments, "dataset"):
        return arguments
    named = [Path(given).expanduser() for key in ("weights", "genotype") if (given := value_of(arguments, key))]
    for path in named:
        directory = _run_of(path)
        if directory is not None and "dataset" in saved_choices(directory):
            images = image_list(directory, arguments)
            changed = [line for line in _changed_options(directory) if key_of(line) not in map(key_of, images)]
            found = [f"dataset={saved_choices(directory)['dataset']}", *changed, *images]
            keys = {line.partition("=")[0] for line in arguments}
            return [*(line for line in found if line.partition("=")[0] not in keys), *arguments]
    dataset = _stored_dataset(named[0]) if named else None
    file = _weights_file(named[0]) if named else None
    if dataset is None and file is not None:
        for place in (file.parent, file.parent.parent):
            refuse_without_record(f"weights={named[0]}", place)
    return arguments if dataset is None else [f"dataset={dataset}", *arguments]


def _network_overrides(arguments: list[str]) -> list[str]:
    """Return genotype and network options of a run if ``weights`` is its checkpoint and it has no genotype.json yet."""
    given = value_of(arguments, "weights")
    path = Path(given or "").expanduser()
    directory = _run_of(path) if given and path.suffix == ".ckpt" else None
    if directory is None or (directory / "genotype.json").is_file() or value_of(arguments, "genotype") is not None:
        return []
    keys = {key_of(line) for line in arguments}
    saved = [line for line in saved_overrides(directory) if key_of(line) not in keys]
    return [line for line in saved if key_of(line) == "genotype" or key_of(line).startswith("network.")]


def _run_of(path: Path) -> Path | None:
    """Return the run directory ``path``, or the one that holds it as model.pt, genotype.json or checkpoints/*.ckpt."""
    places = (path, path.parent, path.parent.parent) if os.path.isfile(path) else (path,)
    return next((place for place in places if os.path.isdir(place / ".hydra")), None)


def _weights_file(path: Path) -> Path | None:
    """Return ``path``, or the model.pt in it, if that is a file of weights."""
    file = path / "model.pt" if os.path.isdir(path) else path
    return file if os.path.isfile(file) and file.suffix != ".json" else None


def _stored_dataset(path: Path) -> str | None:
    """Return the data set that a model.pt, or that of a run directory, names, if there is a configuration of it."""
    file = _weights_file(path)
    if file is None:
        return None
    # imported here, because it needs torch and a wrong path should be reported without waiting for that
    from nas.deploy.model import decode_model, is_model
    from nas.deploy.weights_file import read_weights_file

    value = read_weights_file(file)
    dataset = decode_model(value, file).dataset if is_model(value) else None
    return dataset if dataset is not None and (CONF / "dataset" / f"{dataset}.yaml").is_file() else None


def _changed_options(directory: Path) -> list[str]:
    """Return the overrides that turn the default data set into that of a run; its seed and data folder included."""
    file = directory / ".hydra" / "config.yaml"
    choice = saved_choices(directory)["dataset"]
    if not file.is_file() or not (CONF / "dataset" / f"{choice}.yaml").is_file():
        return []
    try:
        saved: dict[str, Any] = yaml.safe_load(file.read_text())
        dataset, seed, data = translate_keys("dataset", saved["dataset"]), saved["seed"], saved["paths"]["data"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise NasError(f"{file} is damaged: {one_line(repr(error))}") from None
    within = GlobalHydra.instance().is_initialized()  # in a job of a sweep
    with nullcontext() if within else initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", overrides=[f"dataset={choice}"])
    usual: Any = OmegaConf.to_container(cfg, resolve=False)
    default, folder = usual["dataset"], usual["paths"]["data"]
    changed = [name for name in default if dataset.get(name, default[name]) != default[name]]
    found = [f"dataset.{name}={_literal(dataset[name])}" for name in changed]
    if "seed" in default:
        found.append(f"seed={seed}")
    if data != folder:
        found.append(f"paths.data={_literal(data)}")
    return found


def _literal(value: Any) -> str:
    """Write a value in Hydra's grammar."""
    if isinstance(value, list):
        return f"[{','.join(map(_literal, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_literal(part)}' for key, part in value.items())}}}"
    if isinstance(value, bool):
        return str(value).lower()
    return quote(value) if isinstance(value, str) else "null" if value is None else str(value)
