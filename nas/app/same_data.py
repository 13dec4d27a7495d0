"""A genotype found on a data set is trained on the same one unless told otherwise."""

from __future__ import annotations

from pathlib import Path

from nas.app.overrides import key_of, override, saved_choices, saved_overrides

INPUT = ("root", "shape", "classes", "class_list", "channels", "image_size", "resize", "scale", "color_jitter")


def same_data(arguments: list[str]) -> list[str]:
    """With ``genotype`` naming a search's run directory, and no ``dataset`` or ``protocol``: that search's data set.

    A protocol names its own data set; where data lie is taken over in any case.
    """
    given = override(arguments, "genotype")
    directory = Path(given).expanduser() if given and not given.startswith(("|", "Genotype(")) else None
    if directory is None or override(arguments, "dataset") or "dataset" not in saved_choices(directory):
        return arguments
    protocol = override(arguments, "protocol") is not None
    saved = [] if protocol else [f"dataset={saved_choices(directory)['dataset']}"]
    taken = ("paths.data",) if protocol else ("paths.data", *(f"dataset.{name}" for name in INPUT))
    saved += [line for line in saved_overrides(directory) if key_of(line) in taken]
    return [*(line for line in saved if override(arguments, key_of(line)) is None), *arguments]
