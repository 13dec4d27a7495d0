"""Architectures that several repositories publish: agreement of their definitions, and a list of the differences.

``genotypes_by_source.json`` has, for each name, the distinct definitions with the files that contain them ("OWNER/NAME
path", and the name in that file if it is another one).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.architecture.cell import Genotype, Link
from nas.spaces.notation import parse_genotype
from nas.zoo.architectures import get_architecture

TABLE: dict[str, list[dict[str, str | list[str]]]] = json.loads(
    (Path(__file__).parent / "genotypes_by_source.json").read_text()
)
DIFFERENCES = {
    ("GDAS_V1", "xiaomi-automl/FairDARTS fairdarts/genotypes.py"): {
        "reduce": [Link("sep_conv_5x5", 1, 5), Link("sep_conv_5x5", 2, 5)]
    },
    ("SNAS_moderate", "SNAS-Series/SNAS-Series Analysis/snas/genotypes.py"): {"reduce": [Link("sep_conv_5x5", 1, 5)]},
}
"""Files whose definition differs from that of the authors, with the links that only one of the two has."""


def definitions(name: str) -> dict[str, Genotype]:
    """Return the genotype of each file that defines an architecture."""
    return {
        str(source): parse_genotype(str(entry["genotype"]))
        for entry in TABLE[name]
        for source in list(entry["sources"])
    }


def links(genotype: Genotype, kind: str) -> set[Link]:
    return set(genotype.cells[kind].links)


def differing_links(one: Genotype, other: Genotype) -> dict[str, list[Link]]:
    """Return the links that only one of two genotypes has, by cell; their order within a node has no meaning."""
    assert {kind: cell.output for kind, cell in one.cells.items()} == {k: c.output for k, c in other.cells.items()}
    found = {kind: sorted(links(one, kind) ^ links(other, kind)) for kind in one.cells}
    return {kind: found[kind] for kind in found if found[kind]}


def test_sources_differ_where_the_list_says() -> None:
    found = {
        (name, source): different
        for name in TABLE
        for source, genotype in definitions(name).items()
        if (different := differing_links(parse_genotype(get_architecture(name).genotype), genotype))
    }
    assert found == DIFFERENCES
    assert len(TABLE) >= 10 and sum(len(definitions(name)) for name in TABLE) >= 60


@pytest.mark.parametrize("name", TABLE)
def test_zoo_follows_the_source_that_it_names(name: str) -> None:
    """The file named as ``source`` is one of the definitions, and the genotype is equal link by link, in order."""
    entry = get_architecture(name)
    assert definitions(name)[entry.source] == parse_genotype(entry.genotype)
    assert not any(differing == name and source == entry.source for differing, source in DIFFERENCES)


def test_last_reduction_link_of_gdas_is_that_of_its_authors() -> None:
    genotype = parse_genotype(get_architecture("GDAS_V1").genotype)
    assert genotype.cells["reduce"].links[-1] == Link("sep_conv_5x5", 1, 5)


@pytest.mark.data
def test_cards_follow_the_sources(shared: Path) -> None:
    """The genotypes of the cards, which list further files with equal definitions."""
    cards = json.loads((shared / "specs" / "genotypes.json").read_text())
    compared = 0
    for name in TABLE:
        for place in [f"{cards[name]['source_repo']}:{cards[name]['source_path']}", *cards[name]["also_in"]]:
            source = place.replace(":", " ", 1)
            if source in definitions(name):
                compared += 1
                assert definitions(name)[source] == parse_genotype(get_architecture(name).genotype), (name, source)
    assert compared > 30
