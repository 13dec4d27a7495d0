"""The DARTS space (Liu et al., ICLR 2019): a normal and a reduction cell, two inputs, four nodes, 14 edges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from copy import copy
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Literal

from nas.architecture.cell import Cell, CellGenotype, Genotype, Link, format_links
from nas.nn.cell_builder import CellBuilder
from nas.nn.cell_graph import CellGraph, DropPathTarget
from nas.nn.custom_ops import CUSTOM_OPS, Ops, check_custom_ops, custom_op, op_table
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.nn.fused_cell_graph import FusedCellGraph
from nas.nn.ops import OpOptions, PoolNorm
from nas.spaces.base import Network, Probe, Shape, Space
from nas.spaces.darts.network import DartsNetwork, thin_cells
from nas.spaces.darts.notation import DARTS_OPS, NODES, NOTATION, edges_of, native, nodes_of, parse
from nas.spaces.darts.skeleton import Skeleton, Stem
from nas.utils.errors import NasError
from nas.utils.ranges import CHANNELS, LAYERS, Range, check_ranges

OpTable = Mapping[str, Sequence[Sequence[str]]]
"""The candidate ops of each edge, by cell type."""

ParallelOps = Literal["separate", "last"]
"""Two ops of a node on one predecessor: both, or the last of them twice (AutoDL-Projects)."""


@check_ranges(channels=CHANNELS, layers=LAYERS, stem_multiplier=CHANNELS, nodes=Range(1, 100, whole=True))
class Darts(Space):
    """The DARTS search space.

    Args:
        shape: (C, H, W) of an image.
        classes: number of classes.
        channels: width of the supernet's nodes before the first reduction.
        layers: number of cells of the supernet; those at 1/3 and 2/3 of the depth are reductions.
        stem_multiplier: width of the stem relative to ``channels``; None is 3 for CIFAR and 1 for ImageNet.
        stem: "cifar", "imagenet" or "none" (``DartsNetwork``).
        ops: built-in or custom candidates (``nas.nn.custom_ops.op_table``). DrNAS, NoisyDARTS and others omit ``none``.
        edge_ops: for each cell type the ops of each edge, if they differ between edges (S1). All are in ``ops``.
        affine: whether the supernet's batch norm has a scale and a shift.
        track_statistics: whether the supernet's batch norm tracks running statistics.
        pool_norm: batch norm after pooling in the supernet (``OpOptions``).
        repeats: whether a node may take two ops from one predecessor, or the same link twice (AutoDL-Projects).
        lastact: whether a batch norm and a ReLU precede the pooling (AutoDL-Projects).
        conv_bias: whether convolutions before a batch norm have a bias. None adds a bias where batch norm is not
            affine (AutoDL-Projects).
        fixed_reduction: whether only the normal cell is searched (GDAS FRC).
        nodes: computed nodes of a cell, 5 in NASNet and related spaces.
        keeps_none: whether a genotype may have ``none`` on a link (SNAS).
        fused: run the cells of the supernet node by node (``FusedCellGraph``). None: the callback ``FoldWeights``
            selects the execution.
        name: of the space in messages and run directories.
    """

    notation = NOTATION

    def __init__(
        self,
        shape: Shape,
        classes: int,
        channels: int = 16,
        layers: int = 8,
        stem_multiplier: int | None = None,
        stem: Stem = "cifar",
        ops: Ops = DARTS_OPS,
        edge_ops: OpTable | None = None,
        affine: bool = False,
        track_statistics: bool = True,
        pool_norm: PoolNorm = "plain",
        repeats: bool = False,
        lastact: bool = False,
        conv_bias: bool | None = False,
        fixed_reduction: bool = False,
        nodes: int = len(NODES),
        keeps_none: bool = False,
        fused: bool | None = None,
        name: str = "darts",
    ) -> None:
        super().__init__(name, shape, classes)
        names, custom = op_table(ops, "space.ops", name)
        edges = edges_of(nodes)
        kinds = ("normal",) if fixed_reduction else ("normal", "reduce")
        excluded = {kind: _excluded(names, edge_ops, kind, len(edges)) for kind in kinds}
        self.cells = {
            kind: Cell(edges, names, nodes_of(nodes), 2, keeps_none, repeats, excluded[kind]) for kind in kinds
        }
        self.graph = CellGraph if fused is False else partial(FusedCellGraph, fused=fused)
        self.skeleton = Skeleton(channels, layers, stem, stem_multiplier, lastact)
        bias = not affine if conv_bias is None else conv_bias
        self.options = OpOptions(affine, track_statistics, bias, pool_norm, custom)
        check_custom_ops(custom, channels, self.options)

    @property
    def channels(self) -> int:
        """Width of the supernet's nodes before the first reduction."""
        return self.skeleton.channels

    @property
    def layers(self) -> int:
        """Number of cells of the supernet."""
        return self.skeleton.layers

    def supernet(self, edge: EdgeFactory = MixedEdge) -> Network:
        layers = self.skeleton.layers
        if layers < 3:
            raise NasError(
                f"space.layers={layers}: a supernet needs a normal cell beside its two reductions. "
                "Use space.layers=3 or more."
            )
        builder = CellBuilder(edge, self.options, graph=self.graph)
        return DartsNetwork(self.cells, builder, self.skeleton, self.shape, self.classes)

    @check_ranges(channels=CHANNELS, layers=LAYERS, stem_multiplier=CHANNELS)
    def network(
        self,
        genotype: Genotype,
        channels: int = 36,
        layers: int = 20,
        stem: Stem = "cifar",
        stem_multiplier: int | None = None,
        auxiliary: bool | None = None,
        auxiliary_norm: bool | None = None,
        pool_norm: PoolNorm = "none",
        lastact: bool = False,
        drop_path_on: DropPathTarget = "op",
        parallel_ops: ParallelOps = "separate",
    ) -> Network:
        """Build the evaluation network, by default in CIFAR size.

        The ImageNet size is channels=48 layers=14 stem=imagenet.

        Args:
            genotype: the genotype.
            channels: width of the nodes before the first reduction.
            layers: number of cells.
            stem, stem_multiplier, pool_norm, lastact: see ``Darts``.
            auxiliary: whether to add the auxiliary head; None adds it if the features are large enough for it.
            auxiliary_norm: whether the auxiliary head has a second batch norm. None adds it in the CIFAR head only, as
                the DARTS family does.
            drop_path_on: target of drop path: each "op", or the sum of a "node" (FairDARTS).
            parallel_ops: two ops of a node on one predecessor are "separate", or the "last" of them is applied twice.
        """
        self.check(genotype)
        chosen = {k: last_parallel_ops(c) if parallel_ops == "last" else c for k, c in genotype.cells.items()}
        cells = {kind: cell.restrict(chosen[kind]) for kind, cell in self.cells.items()}
        options = OpOptions(pool_norm=pool_norm, own=self.options.own)
        return DartsNetwork(
            cells,
            CellBuilder(options=options, drop_path_on=drop_path_on, share_parallel=parallel_ops == "last"),
            Skeleton(channels, layers, stem, stem_multiplier, lastact),
            self.shape,
            self.classes,
            auxiliary,
            stem != "imagenet" if auxiliary_norm is None else auxiliary_norm,
        )

    def supernet_size(self) -> dict[str, Any]:
        return {"auxiliary": False, **asdict(self.skeleton)}

    def probe(self, kind: Probe, genotype: Genotype | None = None) -> Network:
        cells = self.cells if genotype is None else {n: c.restrict(genotype.cells[n]) for n, c in self.cells.items()}
        return thin_cells(cells, kind, self.shape, self.classes, OpOptions(own=self.options.own))

    def cost_key(self, cell: str, link: Link) -> Hashable:
        return link.op, link.source < 2  # edges from an input of a reduction cell have a stride

    def deepen(self, cells: Mapping[str, Cell], extra: int) -> Darts:
        other = copy(self)
        other.cells = dict(cells)
        other.skeleton = replace(self.skeleton, layers=self.skeleton.layers + extra)
        return other

    def check(self, genotype: Genotype) -> None:
        super().check(genotype)
        for kind, cell in genotype.cells.items():
            links = Counter(link.target for link in cell.links)
            for node in {*cell.output, *(link.source for link in cell.links)} - {0, 1}:
                if not links[node]:
                    raise NasError(
                        f"genotype: node {node} of the {kind} cell has no links, but its output is used. Add a link."
                    )
            twice = [link for link, count in Counter(cell.links).items() if count > 1]
            if twice and not self.cells[kind].repeats:
                raise NasError(
                    f"genotype: the {kind} cell has the link {format_links(twice[:1])} twice. Use space.repeats=true."
                )

    def native(self, genotype: Genotype) -> str:
        return native(genotype)

    def parse(self, text: str) -> Genotype:
        with CUSTOM_OPS.use([custom_op(name, build) for name, build in self.options.own.items()]):
            return parse(text)


def _excluded(ops: Sequence[str], edge_ops: OpTable | None, kind: str, edges: int) -> frozenset[tuple[int, str]]:
    if edge_ops is None:
        return frozenset()
    table = edge_ops.get(kind, ())
    if len(table) != edges or not all(row and set(row) <= set(ops) for row in table):
        raise NasError(
            f"space.edge_ops.{kind}: it must list ops for each of {edges} edges. Choose from {', '.join(ops)}."
        )
    return frozenset((e, op) for e, row in enumerate(table) for op in ops if op not in row)


def last_parallel_ops(cell: CellGenotype) -> CellGenotype:
    """Return the cell in which links between the same two nodes all have the op of the last of them."""
    last = {(link.source, link.target): link.op for link in cell.links}
    return CellGenotype(tuple(Link(last[link[1:]], *link[1:]) for link in cell.links), cell.output)
