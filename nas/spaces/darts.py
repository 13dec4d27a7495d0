"""The DARTS space (Liu et al., ICLR 2019): a normal and a reduction cell, two inputs, four nodes, 14 edges."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from copy import copy

from nas.cells import Cell, CellGenotype, Genotype, Link
from nas.edges import EdgeFactory, MixedEdge
from nas.errors import NasError
from nas.ops import OPS, OpOptions, PoolNorm
from nas.spaces.darts_network import NestedCells, Stem
from nas.spaces.space import Network, Shape, Space

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
NODES = (2, 3, 4, 5)
EDGES = tuple((source, node) for node in NODES for source in range(node))

OpTable = Mapping[str, Sequence[Sequence[str]]]


class Darts(Space):
    """The DARTS space. Supernet: ``layers`` cells, ``channels`` wide at first, doubled at 1/3 and 2/3 of the depth.

    ``ops`` lists the candidates (DrNAS, NoisyDARTS and others leave out ``none``). ``edge_ops`` gives, for
    each cell type, the ops of each of the 14 edges where they differ (S1); all entries must be in ``ops``.
    ``pool_norm`` is the batch norm behind pools in the supernet. ``repeats`` lets a node take two ops from
    one predecessor, as AutoDL-Projects' NASNet-like space does.
    """

    notation = "darts"

    def __init__(
        self,
        shape: Shape,
        classes: int,
        channels: int = 16,
        layers: int = 8,
        stem_multiplier: int = 3,
        stem: Stem = "cifar",
        ops: Sequence[str] = DARTS_OPS,
        edge_ops: OpTable | None = None,
        affine: bool = False,
        track_statistics: bool = True,
        pool_norm: PoolNorm = "plain",
        repeats: bool = False,
        name: str = "darts",
    ) -> None:
        super().__init__(name, shape, classes)
        unknown = [op for op in ops if op not in (*OPS, "none")]
        if unknown:
            raise NasError(f"space '{name}' lists the unknown op '{unknown[0]}': known are none, {', '.join(OPS)}")
        self.cells = {
            kind: Cell(EDGES, tuple(ops), NODES, 2, repeats=repeats, excluded=_excluded(ops, edge_ops, kind))
            for kind in ("normal", "reduce")
        }
        self.channels = channels
        self.layers = layers
        self.stem: Stem = stem
        self.stem_multiplier = stem_multiplier
        self.options = OpOptions(affine, track_statistics, False, pool_norm)

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
        )

    def network(
        self,
        genotype: Genotype,
        channels: int = 36,
        layers: int = 20,
        stem: Stem = "cifar",
        stem_multiplier: int = 3,
        auxiliary: bool | None = None,
        auxiliary_norm: bool | None = None,
        pool_norm: PoolNorm = "none",
    ) -> Network:
        """The evaluation network: CIFAR size by default, ImageNet's with channels=48 layers=14 stem=imagenet.

        ``auxiliary`` None adds the auxiliary head where the maps are large enough for it.
        ``auxiliary_norm`` None puts its second batch norm in the CIFAR head only, as the DARTS family does.
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
            auxiliary_norm=stem == "cifar" if auxiliary_norm is None else auxiliary_norm,
        )

    def deepened(self, cells: Mapping[str, Cell], more: int) -> Darts:
        other = copy(self)
        other.cells = dict(cells)
        other.layers = self.layers + more
        return other

    def check(self, genotype: Genotype) -> None:
        super().check(genotype)
        for kind, cell in genotype.cells.items():
            for node in NODES:
                found = sum(link.target == node for link in cell.links)
                if found != 2:
                    raise NasError(f"node {node} of the {kind} cell has {found} links: space '{self.name}' needs 2")

    def native(self, genotype: Genotype) -> str:
        return native(genotype)

    def parse(self, text: str) -> Genotype:
        return parse(text)


def native(genotype: Genotype) -> str:
    """``Genotype(normal=[('op', source), ...], normal_concat=[...], reduce=[...], reduce_concat=[...])``."""
    parts = []
    for kind in ("normal", "reduce"):
        links, output = genotype.cells[kind]
        pairs = ", ".join(f"('{op}', {source})" for op, source, _ in sorted(links, key=lambda link: link.target))
        parts.append(f"{kind}=[{pairs}], {kind}_concat={list(output)}")
    return f"Genotype({', '.join(parts)})"


def parse(text: str) -> Genotype:
    """The genotype that DARTS' notation names, read without running it. Raises NasError where it is malformed."""
    fields = _fields(text)
    cells: dict[str, CellGenotype] = {}
    for kind in ("normal", "reduce"):
        if kind not in fields:
            raise NasError(f"'{kind}' is missing in '{text}': expected Genotype(normal=[...], reduce=[...])")
        output = fields.get(f"{kind}_concat", list(NODES))
        nodes = [node for node in output if isinstance(node, int)]
        if len(nodes) != len(output):
            raise NasError(f"{kind}_concat in '{text}' must list nodes, as in [2, 3, 4, 5]")
        cells[kind] = from_pairs(fields[kind], nodes, text)
    return Genotype(Darts.notation, cells)


def from_pairs(pairs: Iterable[object], output: Iterable[int], text: str = "") -> CellGenotype:
    """The cell genotype of DARTS' list of (op, source) pairs, two a node. Raises NasError where it is malformed."""
    links = []
    for position, pair in enumerate(pairs):
        if not (isinstance(pair, Sequence) and len(pair) == 2 and isinstance(pair[1], int)):
            raise NasError(f"'{pair}' in '{text}' is not a pair (op, source)")
        op, source = str(pair[0]), pair[1]
        if op not in (*OPS, "none"):
            raise NasError(f"unknown op '{op}' in '{text}': the DARTS space has {', '.join(OPS)}")
        links.append(Link(op, source, 2 + position // 2))
    if len(links) != 2 * len(NODES):
        raise NasError(f"a cell of the DARTS space has {2 * len(NODES)} links, found {len(links)} in '{text}'")
    return CellGenotype(tuple(links), tuple(output))


def _fields(text: str) -> dict[str, list[object]]:
    """The keyword arguments of ``Genotype(...)``, read without running it."""
    error = NasError(f"'{text}' is not a DARTS genotype: expected Genotype(normal=[('op', source), ...], reduce=[...])")
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise error from None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id != "Genotype":
        raise error
    names = ("normal", "normal_concat", "reduce", "reduce_concat")
    values = dict(zip(names, call.args, strict=False)) | {k.arg: k.value for k in call.keywords if k.arg in names}
    return {str(name): _literal(value, error) for name, value in values.items()}


def _literal(node: ast.expr, error: NasError) -> list[object]:
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("range", "list")
        and node.args
    ):
        if node.func.id == "list":
            return _literal(node.args[0], error)
        bounds = [_integer(arg, error) for arg in node.args]
        if len(bounds) > 2 or max(bounds) > 100:
            raise error
        return list(range(*bounds))
    try:
        return list(ast.literal_eval(node))
    except (ValueError, TypeError):
        raise error from None


def _integer(node: ast.expr, error: NasError) -> int:
    if isinstance(node, ast.Constant) and isinstance(node.value, int):
        return node.value
    raise error


def _excluded(ops: Sequence[str], edge_ops: OpTable | None, kind: str) -> frozenset[tuple[int, str]]:
    if edge_ops is None:
        return frozenset()
    table = edge_ops.get(kind, ())
    if len(table) != len(EDGES) or not all(row and set(row) <= set(ops) for row in table):
        raise NasError(f"edge_ops of the {kind} cell must name ops of {', '.join(ops)} for each of {len(EDGES)} edges")
    return frozenset((e, op) for e, row in enumerate(table) for op in ops if op not in row)
