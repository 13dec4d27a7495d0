"""Numbers of parts in the documentation: those of the configuration and of the published architectures."""

from __future__ import annotations

from itertools import chain

import pytest

from nas.zoo.architectures import published_architectures
from tests.support.compose_tools import QUERYING, ROOT

WORDS = {9: "nine", 10: "ten", 11: "eleven", 12: "twelve"}


def choices(group: str) -> set[str]:
    """Return the names of a configuration group, without the parts that begin with ``_``."""
    return {path.stem for path in (ROOT / "conf" / group).glob("*.yaml") if not path.stem.startswith("_")}


def phrases() -> list[tuple[str, str]]:
    """Return pages, and phrases with the present numbers that they must contain."""
    methods, architectures = choices("method"), published_architectures()
    supernets = len(methods) - len(QUERYING) - 1  # te_nas trains no supernet
    sized = [entry for entry in architectures if {"params_M", "macs_M"} & {*chain(*entry.reported.values())}]
    return [
        ("README.md", f"**{len(methods)} search methods**: {supernets} that train a supernet"),
        ("README.md", f"{WORDS[len(QUERYING)]} black-box strategies"),
        ("README.md", f"**{len(architectures)} published architectures**"),
        ("README.md", f"{len(choices('protocol'))} published training recipes"),
        ("README.md", f"{len(choices('proxy') - {'combined'})} zero-cost proxies"),
        ("docs/training.md", f"lists the {len(choices('protocol'))} protocols"),
        ("docs/training.md", f"{len(architectures)} architectures"),
        ("docs/fidelity.md", f"Sizes of {len(sized)} published architectures"),
    ]


@pytest.mark.parametrize(("page", "phrase"), phrases(), ids=lambda text: text.replace(" ", "_"))
def test_numbers_of_parts_are_current(page: str, phrase: str) -> None:
    assert phrase in " ".join((ROOT / page).read_text().split())
