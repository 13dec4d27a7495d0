"""Golden tests of genotypes derived from given architecture parameters, exact ties included."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from nas.architecture.cell import Cell, CellGenotype
from nas.architecture.discretization import discretize
from nas.spaces.darts.notation import EDGES, NODES
from tests.golden.test_common import Comparison
from tests.support.golden_tools import Golden

pytestmark = pytest.mark.data


def per_node(cell: Cell, betas: Tensor) -> Tensor:
    """Return the softmax of ``betas`` [edges] over the edges into each node (PC-DARTS)."""
    return torch.cat([betas[cell.into(node)].softmax(dim=0) for node in cell.nodes])


def pairs(cell: Cell, found: CellGenotype) -> list[list[int]]:
    """Return (column, predecessor) of each link."""
    return [[cell.ops.index(link.op), link.source] for link in found.links]


@pytest.mark.parametrize("name", ["darts", "drnas", "gdas_nasnet", "pcdarts", "tenas"])
def test_derived_genotypes_match_the_authors(golden: Callable[[str], Golden], name: str) -> None:
    stored = golden(f"genotype_{name}")
    compare = Comparison(stored)
    cell = Cell(EDGES, tuple(stored.entry["columns"]), NODES, inputs=2, repeats=name == "gdas_nasnet")
    count = stored.entry["case"]["count"]
    table = []
    for case in range(count):
        row = []
        for kind in ("normal", "reduce"):
            scores = stored.tensor(f"alphas_{kind}")[case].softmax(dim=-1)
            betas = stored.tensor(f"betas_{kind}")[case] if name == "pcdarts" else None
            found = discretize(cell, scores, None if betas is None else per_node(cell, betas))
            assert [link.target for link in found.links] == [2, 2, 3, 3, 4, 4, 5, 5] and found.output == NODES
            row.append(pairs(cell, found))
        table.append(row)
    assert count == 32
    compare.equal("genotypes", table)
    compare.finish()
