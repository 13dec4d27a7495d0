"""The search spaces of NAS-Bench-1Shot1 (Zela et al., ICLR 2020): subspaces of NAS-Bench-101 with a supernet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from nas.architecture.cell import CellGenotype, Genotype
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.nn.ops import OpOptions
from nas.spaces.base import Network, Shape, Space
from nas.spaces.nas_bench_1shot1.network import OneShotNetwork
from nas.spaces.nas_bench_1shot1.notation import NOTATION, cells_of, native, parse, subspace_of, to_graph
from nas.spaces.nas_bench_1shot1.subspaces import PARENTS
from nas.spaces.nas_bench_101.graph import OPS
from nas.spaces.nas_bench_101.network import NasBench101Network
from nas.spaces.nas_bench_101.notation import CONNECT
from nas.spaces.unsupported import require_default_discretization
from nas.utils.errors import NasError
from nas.utils.ranges import CHANNELS, LAYERS, Range, check_ranges


@check_ranges(subspace=Range(1, len(PARENTS), whole=True), channels=CHANNELS, cells_per_stage=LAYERS)
class NasBench1Shot1(Space):
    """Cells of NAS-Bench-101 whose vertices have a fixed number of parents.

    Relaxations choose the op of each vertex, and weight the parents of each vertex and of the output.

    Args:
        shape: (C, H, W) of an image.
        classes: number of classes.
        subspace: 1, 2 or 3 (``PARENTS``).
        channels: width of a vertex in the first stack of the supernet.
        cells_per_stage: cells in each of the supernet's three stacks.
        affine: whether the supernet's batch norm has a scale and a shift.
        track_statistics: whether the supernet's batch norm tracks running statistics.
        name: of the space in messages and run directories.
    """

    notation = NOTATION
    has_thin_networks = False

    def __init__(
        self,
        shape: Shape,
        classes: int,
        subspace: int = 1,
        channels: int = 16,
        cells_per_stage: int = 3,
        affine: bool = True,
        track_statistics: bool = True,
        name: str = "nas_bench_1shot1_1",
    ) -> None:
        super().__init__(name, shape, classes)
        self.subspace = subspace
        self.cells = cells_of(subspace)
        self.channels = channels
        self.cells_per_stage = cells_per_stage
        self.options = OpOptions(affine, track_statistics)

    def supernet(self, edge: EdgeFactory = MixedEdge) -> Network:
        size = (self.channels, self.cells_per_stage, self.shape, self.classes)
        return OneShotNetwork(self.cells, edge, self.options, *size)

    @check_ranges(channels=CHANNELS, cells_per_stage=LAYERS)
    def network(self, genotype: Genotype, channels: int = 128, cells_per_stage: int = 3) -> Network:
        """Build the network of NAS-Bench-101 of a genotype."""
        self.check(genotype)
        return NasBench101Network(to_graph(genotype), channels, cells_per_stage, self.shape, self.classes)

    def supernet_size(self) -> dict[str, Any]:
        return {"channels": self.channels, "cells_per_stage": self.cells_per_stage}

    @classmethod
    def of_genotype(cls, genotype: Genotype, shape: Shape, classes: int) -> NasBench1Shot1:
        subspace = subspace_of(genotype)
        return cls(shape, classes, subspace, name=f"{NOTATION}_{subspace}")

    def reads_input(self, genotype: Genotype) -> bool:
        return True

    def check_discretization(self, rule: Callable[..., CellGenotype]) -> None:
        reason = f"each vertex of space={self.name} has a fixed number of parents"
        require_default_discretization(rule, reason)

    def check(self, genotype: Genotype) -> None:
        super().check(genotype)
        for name, cell in self.cells.items():
            links = genotype.cells[name].links
            parents = Counter(link.source for link in links if link.op == CONNECT)
            ops = [link.op for link in links if link.op in OPS]
            few = len(parents) != cell.inputs or max(parents.values()) > 1
            if few or len(ops) != (cell.ops[-1] != CONNECT) or genotype.cells[name].output != cell.output:
                raise NasError(
                    f"genotype: {name} has {len(parents)} parents and {len(ops)} ops. In space={self.name} it has "
                    f"{cell.inputs} different parents and {int(cell.ops[-1] != CONNECT)} op."
                )

    def native(self, genotype: Genotype) -> str:
        return native(genotype)

    def parse(self, text: str) -> Genotype:
        return parse(text)
