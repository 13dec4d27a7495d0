"""A genotype found on a data set is trained on the same one unless told otherwise."""

from __future__ import annotations

from pathlib import Path

import yaml

from nas.app.launch import override


def same_data(arguments: list[str]) -> list[str]:
    """With ``genotype`` naming a search's run directory, and no ``dataset``: the data set of that search."""
    given = override(arguments, "genotype")
    directory = Path(given) if given and not given.startswith(("|", "Genotype(")) else None
    if directory is None or override(arguments, "dataset") or not (directory / ".hydra" / "hydra.yaml").is_file():
        return arguments
    choices = yaml.safe_load((directory / ".hydra" / "hydra.yaml").read_text())["hydra"]["runtime"]["choices"]
    saved = [f"dataset={choices['dataset']}"]
    for line in yaml.safe_load((directory / ".hydra" / "overrides.yaml").read_text()) or []:
        key = line.lstrip("+~").partition("=")[0]
        if (
            key in ("paths.data", "dataset.root", "dataset.shape", "dataset.classes")
            and override(arguments, key) is None
        ):
            saved.append(line)
    return [*saved, *arguments]
