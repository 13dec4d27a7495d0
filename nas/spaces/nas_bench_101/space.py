"""The space of NAS-Bench-101 (Ying et al., ICML 2019): cells of up to seven vertices and nine edges."""

from __future__ import annotations

from nas.architecture.cell import Genotype
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.spaces.base import Network, Shape, Space
from nas.spaces.nas_bench_101.graph import MAX_EDGES, MAX_VERTICES, find_problem, prune
from nas.spaces.nas_bench_101.network import NasBench101Network
from nas.spaces.nas_bench_101.notation import CELL, NOTATION, native, parse, to_graph
from nas.spaces.unsupported import no_supernet
from nas.utils.errors import NasError
from nas.utils.ranges import CHANNELS, LAYERS, check_ranges


class NasBench101(Space):
    """The search space of the benchmark, for black-box search.

    Args:
        shape: (C, H, W) of an image.
        classes: number of classes.
        name: of the space in messages and run directories.
    """

    notation = NOTATION
    has_thin_networks = False

    def __init__(self, shape: Shape, classes: int, name: str = "nas_bench_101") -> None:
        super().__init__(name, shape, classes)
        self.cells = {"cell": CELL}

    def supernet(self, edge: EdgeFactory = MixedEdge) -> Network:
        """Raise NasError: the channels of a vertex depend on the edges of the cell, so candidates share no weights."""
        raise no_supernet(self.name, ", or space=nas_bench_1shot1_1, _2 or _3")

    @check_ranges(channels=CHANNELS, cells_per_stage=LAYERS)
    def network(self, genotype: Genotype, channels: int = 128, cells_per_stage: int = 3) -> Network:
        """Build the benchmark's own network of a genotype."""
        self.check(genotype)
        return NasBench101Network(to_graph(genotype), channels, cells_per_stage, self.shape, self.classes)

    def admits(self, genotype: Genotype) -> bool:
        return find_problem(to_graph(genotype)) is None

    def check(self, genotype: Genotype) -> None:
        super().check(genotype)
        problem = find_problem(to_graph(genotype))
        if problem is not None:
            raise NasError(
                f"genotype={native(genotype)}: {problem}. Use a cell whose input and output are connected, with at "
                f"most {MAX_VERTICES} vertices and {MAX_EDGES} edges."
            )

    def reads_input(self, genotype: Genotype) -> bool:
        return prune(to_graph(genotype)) is not None

    def native(self, genotype: Genotype) -> str:
        return native(genotype)

    def parse(self, text: str) -> Genotype:
        return parse(text)
