"""The table of published architectures: read from a file of the package, without PyTorch."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Any

from nas.utils.errors import NasError

FILE = "architectures.json"
LARGE = 128
"""Images with sides of this many pixels and more get the ImageNet network."""
IMAGENET = {"darts": {"channels": 48, "layers": 14, "stem": "imagenet"}}
"""The size of the ImageNet network, by notation; that for CIFAR is the default of each space."""
OWN_NOTATION = ("mobile", "nas_bench_201", "shufflenet")
"""Spaces with a notation of their own; all others are of DARTS' cells."""
SUGGESTED = 3

Reported = Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """A published architecture.

    ``genotype`` is its native string, ``space`` where it was found. ``network`` holds the options in which its authors'
    network differs from the space's default, ``imagenet`` those in which the ImageNet one differs besides.
    ``reported`` has, for a data set, what was published: ``params_M`` (millions; with ``auxiliary`` the head is in it),
    ``macs_M`` (millions, counted by ``rule``), ``top1`` or ``error`` (percent). ``not_reproduced`` lists, as
    dataset.field, figures that do not follow from the published architecture.
    """

    name: str
    space: str
    genotype: str
    source: str
    paper: str
    aliases: tuple[str, ...] = ()
    network: Mapping[str, Any] = field(default_factory=dict)
    imagenet: Mapping[str, Any] = field(default_factory=dict)
    reported: Mapping[str, Reported] = field(default_factory=dict)
    reported_in: str = ""
    not_reproduced: tuple[str, ...] = ()
    note: str = ""

    @property
    def notation(self) -> str:
        """The notation of ``genotype``: the name of the space whose networks it describes."""
        return self.space if self.space in OWN_NOTATION else "darts"

    def options(self, sides: tuple[int, int]) -> dict[str, Any]:
        """The options of the authors' network for images with these sides."""
        large = min(sides) >= LARGE
        return {
            **self.network,
            **(IMAGENET.get(self.notation, {}) if large else {}),
            **(self.imagenet if large else {}),
        }


def said(figures: Reported) -> str:
    """What was reported on one data set, as text."""
    head = " with the auxiliary head" if figures.get("auxiliary") else ""
    texts = {
        "params_M": f"{{}} M parameters{head}",
        "macs_M": f"{{}} M MACs ({figures.get('rule', 'rule unknown')})",
        "top1": "{} % accuracy",
        "top5": "{} % top-5",
        "error": "{} % error",
        "top5_error": "{} % top-5 error",
    }
    return ", ".join(text.format(figures[key]) for key, text in texts.items() if key in figures)


@lru_cache(maxsize=1)
def entries() -> tuple[Entry, ...]:
    """All published architectures, in the order of the file."""
    rows: list[dict[str, Any]] = json.loads(resources.files("nas.zoo").joinpath(FILE).read_text(encoding="utf-8"))
    return tuple(_entry(row) for row in rows)


def _entry(row: dict[str, Any]) -> Entry:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return Entry(**values)


def fold(name: str) -> str:
    """What is left of a name where capitals, hyphens and spaces do not matter."""
    return re.sub(r"[\s\-]+", "_", name.strip()).lower()


def search(name: str) -> Entry | None:
    """The entry called ``name``, or so in a paper: as it is written, else whatever its capitals. None where none is.

    Raises NasError where capitals decide and fit none: NoisyDARTS-a and NoisyDARTS-A are two networks.
    """
    exact, folded = _names()
    if name.strip() in exact:
        return exact[name.strip()]
    found = folded.get(fold(name), ())
    if len(found) > 1:
        raise NasError(
            f"genotype: '{name}' may be any of {', '.join(entry.name for entry in found)}: write one of these"
        )
    return found[0] if found else None


def find(name: str) -> Entry:
    """As ``search``. Raises NasError, with the nearest names, for an unknown one."""
    entry = search(name)
    if entry is None:
        near = similar(name)
        hint = f": did you mean {' or '.join(near)}?" if near else "; python train.py --list names them"
        raise NasError(f"there is no published architecture '{name}'{hint}")
    return entry


def similar(name: str) -> list[str]:
    """Names that ``name`` may be a misspelling of, the nearest first."""
    near = difflib.get_close_matches(fold(name), list(_names()[1]), n=2 * SUGGESTED, cutoff=0.7)
    return list(dict.fromkeys(entry.name for key in near for entry in _names()[1][key]))[:SUGGESTED]


@lru_cache(maxsize=1)
def _names() -> tuple[Mapping[str, Entry], Mapping[str, tuple[Entry, ...]]]:
    """Entries by their names and aliases, as they are written and folded."""
    exact: dict[str, Entry] = {}
    folded: dict[str, tuple[Entry, ...]] = {}
    for entry in entries():
        for name in (entry.name, *entry.aliases):
            exact[name] = entry
            others = folded.get(fold(name), ())
            folded[fold(name)] = others if any(entry is other for other in others) else (*others, entry)
    return exact, folded
