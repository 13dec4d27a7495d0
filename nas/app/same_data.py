"""A genotype found on a data set is trained on the same one unless told otherwise."""

from __future__ import annotations

from pathlib import Path

from nas.app.overrides import key_of, override, saved_choices, saved_overrides


def same_data(arguments: list[str]) -> list[str]:
    """With ``genotype`` naming a search's run directory, and no ``dataset``: the data set of that search."""
    given = override(arguments, "genotype")
    directory = Path(given).expanduser() if given and not given.startswith(("|", "Genotype(")) else None
    if directory is None or override(arguments, "dataset") or "dataset" not in saved_choices(directory):
        return arguments
    saved = [f"dataset={saved_choices(directory)['dataset']}"]
    for line in saved_overrides(directory):
        key = key_of(line)
        if (
            key in ("paths.data", "dataset.root", "dataset.shape", "dataset.classes")
            and override(arguments, key) is None
        ):
            saved.append(line)
    return [*saved, *arguments]
