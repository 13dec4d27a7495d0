"""The DARTS space (Liu et al., ICLR 2019): a normal and a reduction cell, two inputs, four nodes, 14 edges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

from nas.architecture.cell import Cell, Genotype, describe
from nas.nn.cell_graph import CellGraph, Dropped
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.nn.fused_graph import FusedGraph
from nas.nn.ops import OPS, OpOptions, PoolNorm
from nas.spaces.base import Network, Probe, Shape, Space
from nas.spaces.darts.network import NestedCells, Stem, thin_cells
from nas.spaces.darts.notation import NODES, NOTATION, native, nodes_of, parse
from nas.utils.errors import NasError

DARTS_OPS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)


def edges_of(nodes: int) -> tuple[tuple[int, int], ...]:
    """All edges (source, target) of a cell that computes ``nodes`` nodes: each reads all before it."""
    return tuple((source, node) for node in nodes_of(nodes) for source in range(node))


EDGES = edges_of(len(NODES))

OpTable = Mapping[str, Sequence[Sequence[str]]]


class Darts(Space):
    """The DARTS space. Supernet: ``layers`` cells, ``channels`` wide at first, doubled at 1/3 and 2/3 of the depth.

    ``ops`` lists the candidates (DrNAS, NoisyDARTS and others leave out ``none``). ``edge_ops`` gives, for
    each cell type, the ops of each of the 14 edges where they differ (S1); all entries must be in ``ops``.
    ``pool_norm`` is the batch norm behind pools in the supernet. ``repeats`` lets a node take two ops from
    one predecessor (a genotype may even have one link twice), ``lastact`` puts a batch norm and a ReLU before the
    pooling, and ``conv_bias`` gives convolutions in front of a batch norm a bias (null: where it is not affine), as
    AutoDL-Projects' NASNet-like space does. ``fixed_reduction`` searches the normal cell alone: GDAS (FRC). ``nodes``
    is how many nodes a cell computes, 5 in NASNet and its like; ``keeps_none`` allows ``none`` on links, as SNAS does.
    ``fused`` executes the supernet's cells node by node.
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
        ops: Sequence[str] = DARTS_OPS,
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
        fused: bool = False,
        name: str = "darts",
    ) -> None:
        super().__init__(name, shape, classes)
        unknown = [op for op in ops if op not in (*OPS, "none")]
        if unknown:
            raise NasError(f"space '{name}' lists the unknown op '{unknown[0]}': known are none, {', '.join(OPS)}")
        if nodes < 1:
            raise NasError(f"space '{name}': nodes={nodes}, a cell computes at least 1")
        edges = edges_of(nodes)
        kinds = ("normal",) if fixed_reduction else ("normal", "reduce")
        excluded = {kind: _excluded(ops, edge_ops, kind, len(edges)) for kind in kinds}
        self.cells = {
            kind: Cell(edges, tuple(ops), nodes_of(nodes), 2, keeps_none, repeats, excluded[kind]) for kind in kinds
        }
        self.graph = FusedGraph if fused else CellGraph
        self.channels = channels
        self.layers = layers
        self.stem: Stem = stem
        self.stem_multiplier = stem_multiplier
        self.lastact = lastact
        self.options = OpOptions(affine, track_statistics, not affine if conv_bias is None else conv_bias, pool_norm)

    def supernet(self, edge: EdgeFactory = MixedEdge) -> Network:
        return NestedCells(
            self.cells,
            edge,
            self.options,
            self.channels,
            self.layers,
            self.shape,
            self.classes,
            stem=self.stem,
            stem_multiplier=self.stem_multiplier,
            lastact=self.lastact,
            graph=self.graph,
        )

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
        drop_path_on: Dropped = "op",
    ) -> Network:
        """The evaluation network: CIFAR size by default, ImageNet's with channels=48 layers=14 stem=imagenet.

        ``auxiliary`` None adds the auxiliary head where the maps are large enough for it.
        ``auxiliary_norm`` None puts its second batch norm in the CIFAR head only, as the DARTS family does.
        ``drop_path_on`` is what drop path acts on: ``op`` or, as in FairDARTS, the sum of a ``node``.
        """
        self.check(genotype)
        cells = {kind: cell.restrict(genotype.cells[kind]) for kind, cell in self.cells.items()}
        return NestedCells(
            cells,
            MixedEdge,
            OpOptions(pool_norm=pool_norm),
            channels,
            layers,
            self.shape,
            self.classes,
            stem=stem,
            stem_multiplier=stem_multiplier,
            auxiliary=auxiliary,
            auxiliary_norm=stem != "imagenet" if auxiliary_norm is None else auxiliary_norm,
            lastact=lastact,
            drop_path_on=drop_path_on,
        )

    def supernet_size(self) -> dict[str, Any]:
        return {"auxiliary": False} | {
            n: getattr(self, n) for n in ("channels", "layers", "stem", "stem_multiplier", "lastact")
        }

    def probe(self, kind: Probe, genotype: Genotype | None = None) -> Network:
        cells = self.cells if genotype is None else {n: c.restrict(genotype.cells[n]) for n, c in self.cells.items()}
        return thin_cells(cells, kind, self.shape, self.classes)

    def deepened(self, cells: Mapping[str, Cell], more: int) -> Darts:
        other = copy(self)
        other.cells = dict(cells)
        other.layers = self.layers + more
        return other

    def check(self, genotype: Genotype) -> None:
        super().check(genotype)
        for kind, cell in genotype.cells.items():
            links = Counter(link.target for link in cell.links)
            for node in {*cell.output, *(link.source for link in cell.links)} - {0, 1}:
                if not links[node]:
                    raise NasError(f"node {node} of the {kind} cell has no links, but its output is used")
            twice = [link for link, count in Counter(cell.links).items() if count > 1]
            if twice and not self.cells[kind].repeats:
                raise NasError(f"the {kind} cell has the link {describe(twice[:1])} twice")

    def native(self, genotype: Genotype) -> str:
        return native(genotype)

    def parse(self, text: str) -> Genotype:
        return parse(text)


def _excluded(ops: Sequence[str], edge_ops: OpTable | None, kind: str, edges: int) -> frozenset[tuple[int, str]]:
    if edge_ops is None:
        return frozenset()
    table = edge_ops.get(kind, ())
    if len(table) != edges or not all(row and set(row) <= set(ops) for row in table):
        raise NasError(f"edge_ops of the {kind} cell must name ops of {', '.join(ops)} for each of {edges} edges")
    return frozenset((e, op) for e, row in enumerate(table) for op in ops if op not in row)
