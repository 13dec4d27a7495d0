"""Distribution over discrete architectures that a relaxation has learned: one op per edge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from nas.relaxations.sample_categorical import sample_categorical

DistributionKind = Literal["categorical", "dirichlet"]
DECIMALS = 6
"""Decimals of the recorded parameters. Samples use the rounded parameters, so that they can be repeated."""


class Distribution(NamedTuple):
    """Independent distributions of the ops of the edges.

    The parameters [edges, ops] of each cell type are probabilities ("categorical") or concentrations ("dirichlet"). In
    a sample of the latter, each edge has the op with the largest coordinate of a point of the simplex (DrNAS). The
    parameters of excluded ops are 0.
    """

    kind: DistributionKind
    parameters: Mapping[str, Tensor]

    def rounded(self) -> Distribution:
        """Return the distribution with parameters of ``DECIMALS`` decimals, in float64 on the CPU."""
        tables = {
            name: torch.tensor(
                [[round(value, DECIMALS) for value in row] for row in table.tolist()], dtype=torch.float64
            )
            for name, table in self.parameters.items()
        }
        return Distribution(self.kind, tables)

    def sample(self, count: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Sample ``count`` architectures: the column of each edge's op, int64 [count, edges], by cell type.

        Args:
            count: number of architectures.
            generator: generator on the device of the parameters.
        """
        tables = {name: table.detach().expand(count, *table.shape) for name, table in self.parameters.items()}
        if self.kind == "dirichlet":
            # gamma variables whose quotients by their sum are a point of the simplex have the same argmax
            return {name: _gamma(table, generator).argmax(dim=-1) for name, table in tables.items()}
        return {name: sample_categorical(table, generator).squeeze(-1) for name, table in tables.items()}

    def mode(self) -> dict[str, Tensor]:
        """Return the column of the most probable op of each edge, int64 [edges]; the first one of equal ops."""
        return {name: table.detach().argmax(dim=-1) for name, table in self.parameters.items()}


def _gamma(concentration: Tensor, generator: torch.Generator) -> Tensor:
    """Sample gamma variables; -1 where the concentration is 0."""
    excluded = concentration <= 0
    return torch._standard_gamma(concentration.masked_fill(excluded, 1.0), generator).masked_fill(excluded, -1.0)
