"""Parts of the network of a genotype: the modules that depend on it, with the shapes of their inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from torch import Tensor, nn

from nas.architecture.cell import NONE, Genotype, Link
from nas.nn.cell_graph import CellGraph
from nas.nn.edges.mixed import MixedEdge
from nas.nn.macs import run_once
from nas.nn.pooling import Pool
from nas.nn.restored_state import temporary_hooks
from nas.spaces.base import Network
from nas.spaces.nats_size.network import SizedNetwork
from nas.spaces.single_path.chain_body import CHAIN, SKIP, Blocks

FREE = (nn.Identity, nn.Dropout)
"""Layers without arithmetic in evaluation mode."""


class PartKey(NamedTuple):
    """Op and the shapes of its input and output without the batch, (C, H, W) of images."""

    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


class SummedEdge(nn.Module):
    """Op on an edge together with the addition of its output to a node, [B, C, H, W] -> [B, C', H', W']."""

    def __init__(self, edge: nn.Module) -> None:
        super().__init__()
        self.edge = edge

    def forward(self, x: Tensor, node: Tensor) -> Tensor:
        return node + self.edge(x)


class Part(NamedTuple):
    """Part of a network.

    Attributes:
        key: op and shapes.
        module: module to measure.
        link: cell type and link that determine the part; None if it depends on the whole genotype.
        shareable: whether edges with this op that leave one node compute it once (``Pool``).
    """

    key: PartKey
    module: nn.Module
    link: tuple[str, Link] | None
    shareable: bool = False


class _Candidate(NamedTuple):
    op: str
    module: nn.Module
    link: tuple[str, Link] | None


def find_parts(network: nn.Module, genotype: Genotype, shape: tuple[int, ...]) -> list[Part]:
    """Return the parts of a network in the order of its modules. Parts that are not executed are left out.

    Parts are the ops on the edges of cells, the blocks of a chain, or the layers of NATS-Bench's size space. Those of
    any other network are its layers.

    Args:
        network: network of the genotype; it may be on the meta device.
        genotype: its genotype.
        shape: shape of an input, (C, H, W) of an image.
    """
    shapes: dict[nn.Module, tuple[tuple[int, ...], tuple[int, ...]]] = {}

    def record(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, Tensor) and sum(isinstance(x, Tensor) for x in inputs) == 1:
            (x,) = (x for x in inputs if isinstance(x, Tensor))
            shapes[module] = tuple(x.shape[1:]), tuple(output.shape[1:])

    candidates = list(_candidates(network, genotype))
    hooks = [candidate.module.register_forward_hook(record) for candidate in candidates]
    with temporary_hooks(hooks):
        _run(network, shape)
    parts = []
    for op, module, link in candidates:
        if module in shapes:
            measured = SummedEdge(module) if isinstance(module, MixedEdge) else module
            parts.append(Part(PartKey(op, *shapes[module]), measured, link, _is_pool(module)))
    return parts


def addition(key: PartKey) -> PartKey:
    """Return the key of the addition of an op's output to a node, without the op."""
    return PartKey("add", key.outputs, key.outputs)


def _is_pool(module: nn.Module) -> bool:
    return isinstance(module, MixedEdge) and all(isinstance(op, Pool) for op in module.values())


def detach_memos(module: nn.Module) -> nn.Module:
    """Return a part whose pools compute each output again instead of sharing it with the other edges of the cell."""
    for pool in module.modules():
        if isinstance(pool, Pool):
            pool.memo = None
    return module


def _run(network: nn.Module, shape: tuple[int, ...]) -> None:
    try:
        run_once(network, shape, 0)  # shapes without arithmetic
    except RuntimeError:  # some modules reject an empty batch
        run_once(network, shape, 1)


def _candidates(network: nn.Module, genotype: Genotype) -> Iterator[_Candidate]:
    modules = list(network.modules())
    graphs = [module for module in modules if isinstance(module, CellGraph)]
    blocks = [module for module in modules if isinstance(module, Blocks)]
    if graphs:
        for graph, name in zip(graphs, _cell_types(network, genotype, len(graphs)), strict=True):
            yield from _ops_of(graph, name)
    elif blocks and CHAIN in genotype.cells:
        links = [link for link in sorted(genotype.cells[CHAIN].links, key=lambda link: link.source) if link.op != SKIP]
        searched = list(blocks[0])[len(blocks[0]) - len(links) :]  # a fixed block may come first
        for link, block in zip(links, searched, strict=True):
            yield _Candidate(link.op, block, (CHAIN, link))
    elif isinstance(network, SizedNetwork):
        layers = [(type(cell).__name__, cell) for cell in network.cells]
        for name, module in (("stem", network.stem), *layers, ("classifier", network.classifier)):
            yield _Candidate(name, module, None)
    else:
        for module in modules:
            if next(module.children(), None) is None and not isinstance(module, FREE):
                yield _Candidate(repr(module), module, None)


def _cell_types(network: nn.Module, genotype: Genotype, count: int) -> list[str | None]:
    """Return the cell type of each cell in the order of the modules, None if it is unknown."""
    types = [name for _, name in sorted(network.cell_types().items())] if isinstance(network, Network) else []
    if len(types) == count:
        return list(types)
    return [next(iter(genotype.cells)) if len(genotype.cells) == 1 else None] * count


def _ops_of(graph: CellGraph, name: str | None) -> Iterator[_Candidate]:
    """Yield the ops on the edges of a cell; an edge without an op has no module."""
    for e, (source, target) in enumerate(graph.cell.edges):
        op = next(op for op in graph.cell.ops if (e, op) not in graph.cell.excluded)
        if op != NONE:
            link = None if name is None else (name, Link(op, source, target))
            yield _Candidate(op, graph.edges[graph.keys[e]], link)
