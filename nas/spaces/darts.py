"""The DARTS space (Liu et al., ICLR 2019): a normal and a reduction cell, two inputs, four nodes, 14 edges."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Any

from nas.cells import Cell, CellGenotype, Genotype, Link, describe
from nas.derivations import alive
from nas.edges import EdgeFactory, MixedEdge
from nas.errors import NasError
from nas.ops import OPS, OpOptions, PoolNorm
from nas.spaces.darts_network import NestedCells, Stem, thin_cells
from nas.spaces.space import Network, Probe, Shape, Space

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
AUTODL_OPS = {
    f"{theirs}_sepc_{size}x{size}": f"{ours}_conv_{size}x{size}"
    for theirs, ours in (("dua", "sep"), ("dil", "dil"))
    for size in (3, 5)
}
"""What AutoDL-Projects calls the convolutions of this space."""
NODES = (2, 3, 4, 5)
EDGES = tuple((source, node) for node in NODES for source in range(node))

OpTable = Mapping[str, Sequence[Sequence[str]]]


class Darts(Space):
    """The DARTS space. Supernet: ``layers`` cells, ``channels`` wide at first, doubled at 1/3 and 2/3 of the depth.

    ``ops`` lists the candidates (DrNAS, NoisyDARTS and others leave out ``none``). ``edge_ops`` gives, for
    each cell type, the ops of each of the 14 edges where they differ (S1); all entries must be in ``ops``.
    ``pool_norm`` is the batch norm behind pools in the supernet. ``repeats`` lets a node take two ops from
    one predecessor, ``lastact`` puts a batch norm and a ReLU before the pooling, and ``conv_bias`` gives convolutions
    in front of a batch norm a bias (null: where it is not affine), as AutoDL-Projects' NASNet-like space does.
    ``fixed_reduction`` searches the normal cell alone: GDAS (FRC).
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
        lastact: bool = False,
        conv_bias: bool | None = False,
        fixed_reduction: bool = False,
        name: str = "darts",
    ) -> None:
        super().__init__(name, shape, classes)
        unknown = [op for op in ops if op not in (*OPS, "none")]
        if unknown:
            raise NasError(f"space '{name}' lists the unknown op '{unknown[0]}': known are none, {', '.join(OPS)}")
        self.cells = {
            kind: Cell(EDGES, tuple(ops), NODES, 2, repeats=repeats, excluded=_excluded(ops, edge_ops, kind))
            for kind in (("normal",) if fixed_reduction else ("normal", "reduce"))
        }
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
        lastact: bool = False,
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
            auxiliary_norm=stem != "imagenet" if auxiliary_norm is None else auxiliary_norm,
            lastact=lastact,
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
            if twice:
                raise NasError(f"the {kind} cell has the link {describe(twice[:1])} twice")

    def native(self, genotype: Genotype) -> str:
        return native(genotype)

    def parse(self, text: str) -> Genotype:
        return parse(text)


def native(genotype: Genotype) -> str:
    """``Genotype(normal=[('op', source), ...], normal_concat=[...], reduce=[...], reduce_concat=[...])``.

    A cell whose nodes have not exactly two links each is written as FairDARTS does: ('op', target, source). A
    reduction cell that is not searched is None, as GDAS (FRC) has it.
    """
    parts = []
    for kind in ("normal", "reduce"):
        if kind not in genotype.cells:
            parts.append(f"{kind}=None, {kind}_concat={list(NODES)}")
            continue
        links, output = genotype.cells[kind]
        ordered = sorted(links, key=lambda link: link.target)
        if [link.target for link in ordered] == [node for node in NODES for _ in range(2)]:
            entries = [f"('{op}', {source})" for op, source, _ in ordered]
        else:
            entries = [f"('{op}', {target}, {source})" for op, source, target in ordered]
        parts.append(f"{kind}=[{', '.join(entries)}], {kind}_concat={list(output)}")
    return f"Genotype({', '.join(parts)})"


def parse(text: str) -> Genotype:
    """The genotype that DARTS' notation names, read without running it. Raises NasError where it is malformed.

    ``reduce=None`` is a genotype with a fixed reduction cell. Ops may have the names of AutoDL-Projects.
    """
    fields = _fields(text)
    cells: dict[str, CellGenotype] = {}
    for kind in ("normal", "reduce"):
        if kind not in fields:
            raise NasError(f"'{kind}' is missing in '{text}': expected Genotype(normal=[...], reduce=[...])")
        pairs = fields[kind]
        if pairs is None and kind == "reduce":
            continue
        if pairs is None:
            raise NasError(f"the normal cell is None in '{text}': only the reduction cell may be fixed")
        output = fields.get(f"{kind}_concat") or list(NODES)
        nodes = [node for node in output if isinstance(node, int)]
        if len(nodes) != len(output):
            raise NasError(f"{kind}_concat in '{text}' must list nodes, as in [2, 3, 4, 5]")
        read = from_triples if any(_is_triple(entry) for entry in pairs) else from_pairs
        cells[kind] = read(pairs, nodes, text)
    return Genotype(Darts.notation, cells)


def from_pairs(pairs: Iterable[object], output: Iterable[int], text: str = "") -> CellGenotype:
    """The cell genotype of DARTS' list of (op, source) pairs, two a node. Raises NasError where it is malformed."""
    links = []
    for position, pair in enumerate(pairs):
        if not (isinstance(pair, Sequence) and len(pair) == 2 and isinstance(pair[1], int)):
            raise NasError(f"'{pair}' in '{text}' is not a pair (op, source)")
        links.append(Link(_op(pair[0], text), pair[1], 2 + position // 2))
    if len(links) != 2 * len(NODES):
        raise NasError(f"a cell of the DARTS space has {2 * len(NODES)} links, found {len(links)} in '{text}'")
    return CellGenotype(tuple(links), tuple(output))


def from_triples(triples: Iterable[object], output: Iterable[int], text: str = "") -> CellGenotype:
    """The cell genotype of FairDARTS' list of (op, target, source) triples, any number a node.

    As in its networks, a node without links is left out of the output, and so is what reads it. Raises NasError
    where the list is malformed.
    """
    links = []
    for triple in triples:
        if not (isinstance(triple, Sequence) and _is_triple(triple)):
            raise NasError(f"'{triple}' in '{text}' is not a triple (op, target, source)")
        links.append(Link(_op(triple[0], text), triple[2], triple[1]))
    left = alive(links)
    targets = {link.target for link in left}
    return CellGenotype(tuple(left), tuple(node for node in output if node in targets))


def _is_triple(entry: object) -> bool:
    return isinstance(entry, Sequence) and len(entry) == 3 and all(isinstance(node, int) for node in entry[1:])


def _op(op: object, text: str) -> str:
    found = AUTODL_OPS.get(str(op), str(op))
    if found not in (*OPS, "none"):
        raise NasError(f"unknown op '{op}' in '{text}': the DARTS space has {', '.join(OPS)}")
    return found


def _fields(text: str) -> dict[str, list[object] | None]:
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
    return {str(name): None if _is_none(value) else _literal(value, error) for name, value in values.items()}


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _literal(node: ast.expr, error: NasError) -> list[object]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
        if node.func.id == "list":
            return _literal(node.args[0], error)
        if node.func.id == "range":
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
