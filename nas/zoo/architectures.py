"""Published architectures, read from a JSON file of the package; does not import PyTorch."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Any

from nas.utils.errors import NasError
from nas.utils.program import program

FILE = "architectures.json"
IMAGENET_MIN_SIDE = 128
"""Height and width, in pixels, from which images get the network for ImageNet."""
IMAGENET_NETWORK = {"darts": {"channels": 48, "layers": 14, "stem": "imagenet"}}
"""Network options for ImageNet by notation; those for CIFAR are the defaults of each space."""
WITH_NOTATION = ("mobile", "nas_bench_201", "recurrent", "shufflenet")
"""Spaces with their own notation; all other spaces use DARTS cells."""
MAX_SUGGESTIONS = 3

ReportedFigures = Mapping[str, Any]


@dataclass(frozen=True)
class PublishedArchitecture:
    """Architecture from a paper or repository.

    Attributes:
        name: unique name.
        space: search space in which it was found.
        genotype: native string.
        source: repository and file of the genotype.
        paper: authors and venue.
        aliases: further names, as papers write them.
        network: options in which the authors' network differs from the space's default.
        imagenet: options in which their ImageNet network differs in addition.
        reported: published figures per data set: ``params_M`` (millions; includes the auxiliary head if ``auxiliary``),
            ``macs_M`` (millions, counted by ``rule``), ``top1`` or ``error`` (percent), ``valid_perplexity`` and
            ``test_perplexity``.
        reported_in: source of the figures.
        not_reproduced: DATASET.FIELD of the figures that do not follow from the published architecture.
        note: remark.
    """

    name: str
    space: str
    genotype: str
    source: str
    paper: str
    aliases: tuple[str, ...] = ()
    network: Mapping[str, Any] = field(default_factory=dict)
    imagenet: Mapping[str, Any] = field(default_factory=dict)
    reported: Mapping[str, ReportedFigures] = field(default_factory=dict)
    reported_in: str = ""
    not_reproduced: tuple[str, ...] = ()
    note: str = ""

    @property
    def notation(self) -> str:
        """Notation of ``genotype``: the name of the space that builds its networks."""
        return self.space if self.space in WITH_NOTATION else "darts"

    def network_options(self, image_size: Sequence[int]) -> dict[str, Any]:
        """Return the options of the authors' network for images of (height, width), or for text, which has no size."""
        large = bool(image_size) and min(image_size) >= IMAGENET_MIN_SIDE
        return {
            **self.network,
            **(IMAGENET_NETWORK.get(self.notation, {}) if large else {}),
            **(self.imagenet if large else {}),
        }


def format_reported(figures: ReportedFigures) -> str:
    """Format the figures reported on one data set as text."""
    head = " with the auxiliary head" if figures.get("auxiliary") else ""
    texts = {
        "params_M": f"{{}} M parameters{head}",
        "macs_M": f"{{}} M MACs ({figures.get('rule', 'rule unknown')})",
        "top1": "{} % accuracy",
        "top5": "{} % top-5",
        "error": "{} % error",
        "top5_error": "{} % top-5 error",
        "valid_perplexity": "validation perplexity {}",
        "test_perplexity": "test perplexity {}",
    }
    return ", ".join(text.format(figures[key]) for key, text in texts.items() if key in figures)


@lru_cache(maxsize=1)
def published_architectures() -> tuple[PublishedArchitecture, ...]:
    """Return all published architectures, in the order of the file."""
    rows: list[dict[str, Any]] = json.loads(resources.files("nas.zoo").joinpath(FILE).read_text(encoding="utf-8"))
    return tuple(_from_json(row) for row in rows)


def _from_json(row: dict[str, Any]) -> PublishedArchitecture:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return PublishedArchitecture(**values)


def normalize_name(name: str) -> str:
    """Return a name in lower case, with hyphens and spaces as underscores."""
    return re.sub(r"[\s\-]+", "_", name.strip()).lower()


def find_architecture(name: str) -> PublishedArchitecture | None:
    """Return the architecture with this name or alias, None if there is none.

    An exact match precedes one that ignores case, hyphens and spaces.

    Raises:
        NasError: if only case distinguishes several matches: NoisyDARTS-a and NoisyDARTS-A are different networks.
    """
    exact, normalized = _names()
    if name.strip() in exact:
        return exact[name.strip()]
    matches = normalized.get(normalize_name(name), ())
    if len(matches) > 1:
        raise NasError(f"genotype={name}: ambiguous name. Use one of {', '.join(entry.name for entry in matches)}.")
    return matches[0] if matches else None


def get_architecture(name: str) -> PublishedArchitecture:
    """Return the architecture with this name or alias. Raise NasError, with the closest names, if there is none."""
    architecture = find_architecture(name)
    if architecture is None:
        near = similar_names(name)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"{program('train')} --list prints all names."
        raise NasError(f"genotype={name}: no published architecture has this name. {hint}")
    return architecture


def similar_names(name: str) -> list[str]:
    """Return the names of which ``name`` may be a misspelling, closest first."""
    near = difflib.get_close_matches(normalize_name(name), list(_names()[1]), n=2 * MAX_SUGGESTIONS, cutoff=0.7)
    return list(dict.fromkeys(entry.name for key in near for entry in _names()[1][key]))[:MAX_SUGGESTIONS]


@lru_cache(maxsize=1)
def _names() -> tuple[Mapping[str, PublishedArchitecture], Mapping[str, tuple[PublishedArchitecture, ...]]]:
    """Return the architectures by exact name or alias, and by normalized name or alias."""
    exact: dict[str, PublishedArchitecture] = {}
    normalized: dict[str, tuple[PublishedArchitecture, ...]] = {}
    for entry in published_architectures():
        for name in (entry.name, *entry.aliases):
            exact[name] = entry
            others = normalized.get(normalize_name(name), ())
            if not any(entry is other for other in others):
                normalized[normalize_name(name)] = (*others, entry)
    return exact, normalized
