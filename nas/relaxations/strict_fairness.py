"""Single paths that train each op of a layer equally often (FairNAS)."""

from __future__ import annotations

from collections.abc import Mapping

from nas.architecture.cell import Architecture, Cell, CellGenotype, EdgeWeights, Link, one_hot_weights
from nas.architecture.masks import Masks
from nas.relaxations.uniform import Uniform
from nas.utils.errors import NasError


class StrictFairness(Uniform):
    """Strict fairness of FairNAS (Chu et al., ICCV 2021): each weight step trains each op of each edge once.

    A weight step has as many single paths as an edge has ops. The ops of an edge are in a random order, and path i
    has the i-th op of each edge. The gradients of the paths are summed. Other samples are those of ``Uniform``.

    Raises:
        NasError: if nodes keep only some of their edges, or edges have different numbers of ops.
    """

    def __init__(self, cells: Mapping[str, Cell]) -> None:
        super().__init__(cells)
        for name, cell in self.cells.items():
            if cell.inputs is not None:
                raise NasError(
                    f"method.relaxation=StrictFairness: nodes of the cell '{name}' keep {cell.inputs} of their edges, "
                    "so that paths do not contain all ops equally often. Use space=mobile, shufflenet or nas_bench_201."
                )
        _count_ops(self.cells)

    def weight_samples(self, masks: Masks) -> list[Architecture]:
        tables = {name: cell.masked(masks.lists(name)) for name, cell in self.cells.items()}
        count, rng = _count_ops(tables), self.python_generator()
        orders = {
            name: [rng.sample(cell.choices(e), count) for e in range(len(cell.edges))] for name, cell in tables.items()
        }
        return [
            {name: self._path(name, cell, [order[i] for order in orders[name]]) for name, cell in tables.items()}
            for i in range(count)
        ]

    def _path(self, name: str, cell: Cell, ops: list[str]) -> EdgeWeights:
        links = tuple(Link(op, source, target) for op, (source, target) in zip(ops, cell.edges, strict=True))
        return one_hot_weights(cell, CellGenotype(links, cell.output), like=self.alpha[name])


def _count_ops(cells: Mapping[str, Cell]) -> int:
    """Return the number of ops of each edge. Raises NasError if it differs between edges."""
    counts = sorted({len(cell.choices(e)) for cell in cells.values() for e in range(len(cell.edges))})
    if len(counts) > 1:
        raise NasError(
            f"method.relaxation=StrictFairness: edges have {counts[0]} to {counts[-1]} ops, and strict fairness needs "
            "equally many. Remove ops from space.ops that some layers lack, such as skip_connect."
        )
    return counts[0]
