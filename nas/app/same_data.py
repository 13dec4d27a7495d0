"""A genotype found on a data set is trained on the same one unless told otherwise."""

from __future__ import annotations

from pathlib import Path

import yaml

from nas.app.overrides import key_of, override, saved_overrides
from nas.errors import NasError


def same_data(arguments: list[str]) -> list[str]:
    """With ``genotype`` naming a search's run directory, and no ``dataset``: the data set of that search."""
    given = override(arguments, "genotype")
    directory = Path(given).expanduser() if given and not given.startswith(("|", "Genotype(")) else None
    if directory is None or override(arguments, "dataset") or not (directory / ".hydra" / "hydra.yaml").is_file():
        return arguments
    record = directory / ".hydra" / "hydra.yaml"
    try:
        saved = [f"dataset={yaml.safe_load(record.read_text())['hydra']['runtime']['choices']['dataset']}"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise NasError(f"{record} is damaged ({error!r}): say dataset=NAME") from None
    for line in saved_overrides(directory):
        key = key_of(line)
        if (
            key in ("paths.data", "dataset.root", "dataset.shape", "dataset.classes")
            and override(arguments, key) is None
        ):
            saved.append(line)
    return [*saved, *arguments]
