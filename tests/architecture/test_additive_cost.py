"""nas.architecture.additive_cost: costs of links from the costs of genotypes."""

from __future__ import annotations

import pytest

from nas.architecture.additive_cost import approximate_additive_cost, fit_additive_cost
from nas.architecture.cell import Cell
from tests.support.cost_tools import LinkCost
from tests.support.query_tools import CHAIN, CHOOSING, SmallSpace, all_genotypes


@pytest.mark.parametrize("cell", [CHAIN, CHOOSING], ids=["chain", "choosing"])
def test_sums_over_links_equal_the_cost_of_every_genotype(cell: Cell) -> None:
    space, cost = SmallSpace(cell), LinkCost(cell)
    found = fit_additive_cost(cost, space.cells, space.notation)
    assert found is not None
    for genotype in all_genotypes(space):
        assert found.covers(genotype)
        assert found(genotype) == pytest.approx(cost(genotype), rel=1e-9)


def test_keys_share_the_costs_of_links() -> None:
    space, calls = SmallSpace(CHOOSING), []
    cost = LinkCost(CHOOSING)
    cost.values = {link: float(ord(link.op[0])) for link in cost.values}
    cost.surplus = lambda genotype: float(calls.append(genotype) or 0)
    found = fit_additive_cost(cost, space.cells, space.notation, lambda name, link: link.op)
    assert found is not None and len(set(calls)) < 10
    assert all(found(genotype) == pytest.approx(cost(genotype)) for genotype in all_genotypes(space))


def test_a_wrong_key_is_noticed() -> None:
    space, cost = SmallSpace(CHOOSING), LinkCost(CHOOSING)
    found = fit_additive_cost(cost, space.cells, space.notation, lambda name, link: "same")
    assert found is not None
    assert all(found(genotype) == pytest.approx(cost(genotype)) for genotype in all_genotypes(space))


def test_a_cost_of_pairs_of_links_is_no_sum() -> None:
    def pairs(genotype: object) -> float:
        ops = [link.op for link in genotype.cells["cell"].links]  # type: ignore[attr-defined]
        return 10.0 * ops.count("a") ** 2

    space, cost = SmallSpace(CHAIN), LinkCost(CHAIN, surplus=pairs)
    assert fit_additive_cost(cost, space.cells, space.notation) is None
    near = approximate_additive_cost(cost, space.cells, space.sample)
    errors = [abs(near(genotype) - cost(genotype)) for genotype in all_genotypes(space)]
    assert 0 < sum(errors) / len(errors) < 10


def test_genotypes_with_fewer_links_are_not_covered() -> None:
    space, cost = SmallSpace(CHOOSING), LinkCost(CHOOSING)
    found = fit_additive_cost(cost, space.cells, space.notation)
    genotype = min(all_genotypes(space), key=str)
    chosen = genotype.cells["cell"]
    fewer = type(genotype)(space.notation, {"cell": chosen._replace(links=chosen.links[:-1])})
    assert found is not None and found.covers(genotype) and not found.covers(fewer)


def test_none_costs_the_mean_of_its_edge() -> None:
    space = SmallSpace(CHOOSING)
    found = fit_additive_cost(LinkCost(CHOOSING), space.cells, space.notation)
    assert found is not None
    table = found.tables["cell"]
    assert float(table[0, 0]) == pytest.approx(float(table[0, 1:].mean()))
