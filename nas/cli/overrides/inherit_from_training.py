"""A trained network is evaluated on the test images of its training unless told otherwise."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from nas.cli.overrides.parse import CONF, key_of, override, quote, saved_choices, saved_overrides
from nas.utils.errors import NasError, one_line


def same_test(arguments: list[str]) -> list[str]:
    """With ``weights`` or ``genotype`` naming a run, and no ``dataset``: the data set of that run, options included.

    A model.pt outside of its run still knows the name of its data set. The checkpoint of a training that has not ended
    gets the genotype and the network's options of that run too.
    """
    arguments = [*_network(arguments), *arguments]
    if override(arguments, "dataset"):
        return arguments
    named = [Path(given).expanduser() for key in ("weights", "genotype") if (given := override(arguments, key))]
    for path in named:
        directory = _run_of(path)
        if directory is not None and "dataset" in saved_choices(directory):
            found = [f"dataset={saved_choices(directory)['dataset']}", *_differences(directory)]
            keys = {line.partition("=")[0] for line in arguments}
            return [*(line for line in found if line.partition("=")[0] not in keys), *arguments]
    dataset = _stored(named[0]) if named else None
    return arguments if dataset is None else [f"dataset={dataset}", *arguments]


def _network(arguments: list[str]) -> list[str]:
    """What a run was started to train, where ``weights`` is its checkpoint and it has left no genotype.json yet."""
    given = override(arguments, "weights")
    path = Path(given or "").expanduser()
    directory = _run_of(path) if given and path.suffix == ".ckpt" else None
    if directory is None or (directory / "genotype.json").is_file() or override(arguments, "genotype") is not None:
        return []
    keys = {key_of(line) for line in arguments}
    saved = [line for line in saved_overrides(directory) if key_of(line) not in keys]
    return [line for line in saved if key_of(line) == "genotype" or key_of(line).startswith("network.")]


def _run_of(path: Path) -> Path | None:
    """The run directory that ``path`` is, or lies in as model.pt, genotype.json or checkpoints/*.ckpt."""
    places = (path, path.parent, path.parent.parent) if os.path.isfile(path) else (path,)
    return next((place for place in places if os.path.isdir(place / ".hydra")), None)


def _stored(path: Path) -> str | None:
    """The data set that a model.pt names, where there is a configuration of it."""
    if not os.path.isfile(path) or path.suffix == ".json":
        return None
    # imported only here: they need torch, and a wrong path should not wait for that
    from nas.deploy.model import decode_model, is_model
    from nas.deploy.weights_file import read_weights_file

    value = read_weights_file(path)
    dataset = decode_model(value, path).dataset if is_model(value) else None
    return dataset if dataset is not None and (CONF / "dataset" / f"{dataset}.yaml").is_file() else None


def _differences(directory: Path) -> list[str]:
    """Overrides that make the data set of a run of what its configuration is by default; its seed, and its folder."""
    file = directory / ".hydra" / "config.yaml"
    choice = saved_choices(directory)["dataset"]
    if not file.is_file() or not (CONF / "dataset" / f"{choice}.yaml").is_file():
        return []
    try:
        saved: dict[str, Any] = yaml.safe_load(file.read_text())
        dataset, seed, data = saved["dataset"], saved["seed"], saved["paths"]["data"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise NasError(f"{file} is damaged: {one_line(repr(error))}") from None
    within = GlobalHydra.instance().is_initialized()  # in a job of a sweep
    with nullcontext() if within else initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", overrides=[f"dataset={choice}"])
    usual: Any = OmegaConf.to_container(cfg, resolve=False)
    data_set, folder = usual["dataset"], usual["paths"]["data"]
    found = [f"dataset.{k}={_literal(dataset[k])}" for k in data_set if dataset.get(k, data_set[k]) != data_set[k]]
    if "seed" in data_set:
        found.append(f"seed={seed}")
    if data != folder:
        found.append(f"paths.data={_literal(data)}")
    return found


def _literal(value: Any) -> str:
    """A value as Hydra's grammar reads it."""
    if isinstance(value, list):
        return f"[{','.join(map(_literal, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{_literal(part)}' for key, part in value.items())}}}"
    if isinstance(value, bool):
        return str(value).lower()
    return quote(value) if isinstance(value, str) else "null" if value is None else str(value)
