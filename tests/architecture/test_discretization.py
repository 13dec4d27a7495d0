"""P-DARTS derivation: genotypes with a limited number of skip connections."""

from __future__ import annotations

from functools import partial

import pytest
import torch

from nas.architecture.cell import Cell, CellGenotype
from nas.architecture.discretization import discretize, discretize_with_max_skips
from nas.nn.edges.skip_dropout import DroppedSkip
from nas.spaces.darts.notation import EDGES, NODES
from nas.spaces.darts.space import Darts
from tests.callbacks.schedules.test_stages import tiny

OPS = ("none", "skip_connect", "conv", "pool")


CELL = Cell(EDGES, OPS, NODES, inputs=2)


def skips(cell: CellGenotype) -> int:
    return sum(link.op == "skip_connect" for link in cell.links)


@pytest.mark.parametrize("seed", range(20))
def test_restricted_follows_the_definition_of_the_paper(seed: int) -> None:
    """Repeat the steps of the paper: each removes the weakest chosen skip from the table."""
    scores = torch.rand(14, 4, generator=torch.Generator().manual_seed(seed))
    scores[:, 1] += 0.3
    free = discretize(CELL, scores)
    assert discretize_with_max_skips(CELL, scores, max_skips=8) == free
    left, found = scores.clone(), free
    for most in reversed(range(8)):
        while skips(found) > most:
            rows = [EDGES.index((s, t)) for op, s, t in found.links if op == "skip_connect"]
            left[min(rows, key=lambda row: float(left[row, 1])), 1] = 0.0
            found = discretize(CELL, left)
        assert discretize_with_max_skips(CELL, scores, max_skips=most) == found and skips(found) <= most
    assert skips(free) > 2 and skips(found) == 0


def test_restricted_with_skips_only() -> None:
    cell = Cell(EDGES, OPS, NODES, 2, excluded=frozenset((e, op) for e in range(14) for op in ("conv", "pool")))
    found = discretize_with_max_skips(cell, torch.rand(14, 4), max_skips=2)
    assert len(found.links) == 8 and skips(found) == 8, "there is nothing else to take"


def test_restricted_applies_to_the_normal_cell_only() -> None:
    space = Darts((3, 8, 8), 10, channels=4, layers=3)
    search = tiny(DroppedSkip, space=space, discretization={"normal": partial(discretize_with_max_skips, max_skips=2)})
    for alpha in search.relaxation.alpha.values():
        alpha.data[:, space.cells["normal"].ops.index("skip_connect")] = 1.0
    found = search.genotype().cells
    assert (skips(found["normal"]), skips(found["reduce"])) == (2, 8)
