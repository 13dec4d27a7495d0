"""Hand computations and runs of models with choices."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nas.architecture.cell import Architecture, EdgeWeights
from nas.choices import ModelSpace
from nas.choices.choice_module import ChoiceModule
from nas.nn.edges.mixed import unbind_rows

NET = "tests.support.choice_models:Net"


def weigh(
    choice: ChoiceModule, table: Sequence[Sequence[float]], active: Sequence[Sequence[bool]] | None = None
) -> None:
    """Give a choice outside of a supernet the weights of a pass."""
    op = torch.tensor(table, dtype=torch.float64)
    rows = [list(row) for row in active] if active is not None else [[True] * op.shape[1] for _ in table]
    choice.double().rows = unbind_rows(EdgeWeights(op, rows))


def random_arch(space: ModelSpace, seed: int = 0) -> Architecture:
    """Return random weights of all options, in float64."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: EdgeWeights(
            torch.rand(len(cell.edges), len(cell.ops), generator=generator, dtype=torch.float64),
            cell.allowed().tolist(),
        )
        for name, cell in space.cells.items()
    }
