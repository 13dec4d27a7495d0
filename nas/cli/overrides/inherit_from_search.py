"""A genotype found on a data set is trained on the same one unless told otherwise."""

from __future__ import annotations

from pathlib import Path

from nas.cli.overrides.parse import key_of, override, saved_choices, saved_overrides
from nas.cli.overrides.renamed import translate

INPUT = ("root", "shape", "classes", "class_list", "channels", "image_size", "resize", "scale", "color_jitter")


def same_data(arguments: list[str]) -> list[str]:
    """With ``genotype`` naming a search's run directory, and no ``dataset`` or ``protocol``: that search's data set.

    A protocol names its own data set; where data lie is taken over in any case. Of a search that had half of the test
    images (dataset.split=nas_bench_201) which ones they were is taken over: the network is tested on the others.
    """
    given = override(arguments, "genotype")
    directory = Path(given).expanduser() if given and not given.startswith(("|", "Genotype(")) else None
    if directory is None or override(arguments, "dataset") or "dataset" not in saved_choices(directory):
        return arguments
    protocol = override(arguments, "protocol") is not None
    saved = [] if protocol else [f"dataset={saved_choices(directory)['dataset']}"]
    taken = ("paths.data",) if protocol else ("paths.data", *(f"dataset.{name}" for name in INPUT))
    lines = saved_overrides(directory)
    saved += [line for line in lines if key_of(line) in taken]
    if (
        not protocol
        and override(arguments, "dataset.split") is None
        and override(arguments, "dataset.hold_out") is None
    ):
        current = (translate(line) for line in lines if key_of(line) in ("dataset.split", "dataset.test_split"))
        saved += [line for line in current if _is_of_the_test_images(line)]
    return [*(line for line in saved if override(arguments, key_of(line)) is None), *arguments]


def _is_of_the_test_images(line: str) -> bool:
    """Whether an override says which half of the test images a search had."""
    key, value = key_of(line), line.partition("=")[2].strip("'\"")
    return key == "dataset.test_split" or (key == "dataset.split" and value == "nas_bench_201")
