"""The macro space of TransNAS-Bench-101 (Duan et al., CVPR 2021): four to six modules of four kinds."""

from __future__ import annotations

from nas.architecture.cell import Genotype
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.spaces.base import Network, Shape, Space
from nas.spaces.trans_nas_bench_101.macro_notation import (
    CELL,
    CELL_NAME,
    NOTATION,
    find_problem,
    is_contiguous,
    modules_of,
    native,
    parse,
)
from nas.spaces.trans_nas_bench_101.network import macro_network
from nas.spaces.unsupported import no_supernet
from nas.utils.errors import NasError
from nas.utils.ranges import CHANNELS, LAYERS, check_ranges


class TransNasBench101Macro(Space):
    """The search space over skeletons of ResNet blocks, for black-box search.

    One to three modules double the channels, one to four halve the resolution. Networks classify images; the decoders
    of the other tasks are not included.

    Args:
        shape: (C, H, W) of an image.
        classes: number of classes.
        name: of the space in messages and run directories.
    """

    notation = NOTATION
    has_thin_networks = False

    def __init__(self, shape: Shape, classes: int, name: str = NOTATION) -> None:
        super().__init__(name, shape, classes)
        self.cells = {CELL_NAME: CELL}

    def supernet(self, edge: EdgeFactory = MixedEdge) -> Network:
        """Raise NasError: the shape of features depends on the earlier modules, so candidates share no weights."""
        raise no_supernet(self.name)

    @check_ranges(channels=CHANNELS, cells_per_stage=LAYERS)
    def network(self, genotype: Genotype, channels: int = 64, cells_per_stage: int = 2) -> Network:
        """Build the benchmark's network of a genotype for classification."""
        self.check(genotype)
        return macro_network(modules_of(genotype), channels, cells_per_stage, self.shape, self.classes)

    def admits(self, genotype: Genotype) -> bool:
        return is_contiguous(genotype) and find_problem(modules_of(genotype)) is None

    def check(self, genotype: Genotype) -> None:
        super().check(genotype)
        problem = find_problem(modules_of(genotype))
        if problem is None and not is_contiguous(genotype):
            problem = "none is on an edge before a module"
        if problem is not None:
            raise NasError(f"genotype={native(genotype)}: {problem}. Use one like 64-1234-basic.")

    def reads_input(self, genotype: Genotype) -> bool:
        return True

    def native(self, genotype: Genotype) -> str:
        return native(genotype)

    def parse(self, text: str) -> Genotype:
        return parse(text)
