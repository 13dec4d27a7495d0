"""Compilation of the network of a genotype by ``torch.compile``, in pieces that all cells of one shape share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nas.nn.activation_checkpointing import cells_of
from nas.nn.cell_graph import CellGraph
from nas.nn.drop_path import DropPath
from nas.nn.edges.mixed import MixedEdge
from nas.nn.ops import Noise

MAX_GRAPHS = 256
"""Largest number of graphs: one per structure, shape and memory format of a piece."""
RANDOM = (DropPath, Noise, nn.modules.dropout._DropoutNd)


class NetworkCompiler:
    """Execution of the nodes of cells, and of the blocks between them, by code that ``torch.compile`` generates.

    A piece is a node (its ops, their drop path and their sum), or a block with batch norm outside of a cell's graph,
    such as a projection. Pieces of equal structure and shapes share one graph. Pools and identities run eagerly if no
    convolution ends in the same node. Evaluation, passes without gradients, and batches of another size run eagerly.

    Random numbers are sampled outside of the graphs, and equal those of eager execution. Results are equal up to
    rounding.

    Args:
        batch_size: number of images of the compiled passes.
        backend: backend of ``torch.compile``.
    """

    def __init__(self, batch_size: int, backend: str | Callable[..., Any] = "inductor") -> None:
        options: dict[str, Any] = {}
        if "isolate_recompiles" in inspect.signature(torch.compile).parameters:  # earlier PyTorch keeps 8 graphs
            options = {"recompile_limit": MAX_GRAPHS, "isolate_recompiles": True}
        self._node = torch.compile(_node, dynamic=False, backend=backend, **options)
        self._block = torch.compile(_block, dynamic=False, backend=backend, **options)
        self.batch_size = batch_size

    def install(self, network: nn.Module) -> None:
        """Compile the pieces of a network in place. The names of its parameters do not change."""
        for graph in graphs_of(network):
            graph.executor = self
        for block in blocks_of(network):
            block.forward = CompiledBlock(block, self)

    def accepts(self, module: nn.Module, x: Tensor) -> bool:
        """Return whether a piece is compiled for ``x`` [B, C, H, W]."""
        return module.training and len(x) == self.batch_size and torch.is_grad_enabled()

    def block(self, module: nn.Module, x: Tensor) -> Tensor:
        """Return the output of a block."""
        out: Tensor = self._block(module, x)
        return out

    def node(self, graph: CellGraph, incoming: Sequence[int], features: Mapping[int, Tensor]) -> Tensor | None:
        """Return the features of a node, None if it is not compiled. ``incoming``: numbers of the edges of the node."""
        if not self.accepts(graph, features[0]) or not is_node(graph, incoming):
            return None
        edges = node_edges(graph, incoming)
        sources = [features[source] for source, _ in edges]
        per_op = graph.drop_path_on == "op"
        ops = tuple(next(iter(edge.children())) for _, edge in edges)
        masks = tuple(
            graph.drop_path.mask(x) if per_op and not isinstance(op, nn.Identity) else None
            for op, x in zip(ops, sources, strict=True)
        )
        total = None if per_op else graph.drop_path.mask(sources[0])
        out: Tensor = self._node(ops, tuple(sources), masks, total)
        return out


class CompiledBlock:
    """Replacement of the ``forward`` of a block, as an attribute of the instance: parameters keep their names."""

    def __init__(self, block: nn.Module, compiler: NetworkCompiler) -> None:
        self.module = block
        self.compiler = compiler

    def __call__(self, x: Tensor) -> Tensor:
        if self.compiler.accepts(self.module, x):
            return self.compiler.block(self.module, x)
        return _block(self.module, x)


def remove_compiler(network: nn.Module) -> None:
    """Undo ``NetworkCompiler.install``."""
    for graph in graphs_of(network):
        graph.executor = None
    for module in network.modules():
        if isinstance(vars(module).get("forward"), CompiledBlock):
            del module.forward


def graphs_of(network: nn.Module) -> list[CellGraph]:
    """Return the graphs of the cells of a network with nodes that can be compiled."""
    graphs = [module for module in network.modules() if isinstance(module, CellGraph)]
    return [
        graph
        for graph in graphs
        if type(graph) is CellGraph and any(is_node(graph, graph.cell.into(node)) for node in graph.cell.nodes)
    ]


def node_edges(graph: CellGraph, incoming: Sequence[int]) -> list[tuple[int, nn.Module]]:
    """Return the source and the module of each edge into a node that has an op."""
    edges = [(graph.cell.edges[e][0], graph.edges[graph.keys[e]]) for e in incoming]
    return [(source, edge) for source, edge in edges if len(edge)]  # type: ignore[arg-type]


def is_node(graph: CellGraph, incoming: Sequence[int]) -> bool:
    """Return whether a node sums plain ops without random numbers, and at least one of them has batch norm."""
    edges = [edge for _, edge in node_edges(graph, incoming)]
    if any(type(edge) is not MixedEdge or len(edge) != 1 or _is_random(edge) for edge in edges):
        return False
    return any(map(_has_norm, edges))


def is_compilable(network: nn.Module) -> bool:
    """Return whether a network has cells with pieces that can be compiled."""
    return bool(graphs_of(network) or [block for cell in cells_of(network) for block in _blocks(cell)])


def distinct_pieces(network: nn.Module) -> list[nn.Module]:
    """Return the ops and blocks of the pieces of a network, one per structure of a piece."""
    pieces: dict[str, list[nn.Module]] = {}
    for graph in graphs_of(network):
        for node in graph.cell.nodes:
            edges = [edge for _, edge in node_edges(graph, graph.cell.into(node))]
            if is_node(graph, graph.cell.into(node)):
                pieces[repr(edges)] = edges
    for block in blocks_of(network):
        pieces[repr(block)] = [block]
    return [module for piece in pieces.values() for module in piece]


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """Return the outermost modules with batch norm and without random numbers, apart from the graphs of cells."""
    return [block for child in network.children() for block in _blocks(child)]


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, CellGraph | nn.BatchNorm2d) or not _has_norm(module):
        return
    holds_graph = any(isinstance(part, CellGraph) for part in module.modules())
    if isinstance(module, nn.ModuleList | nn.ModuleDict) or holds_graph or _is_random(module):
        for child in module.children():
            yield from _blocks(child)
    else:
        yield module


def _is_random(module: nn.Module) -> bool:
    return any(isinstance(part, RANDOM) for part in module.modules())


def _has_norm(module: nn.Module) -> bool:
    return any(isinstance(part, nn.BatchNorm2d) for part in module.modules())


def _block(module: nn.Module, x: Tensor) -> Tensor:
    out: Tensor = type(module).forward(module, x)
    return out


def _node(
    ops: tuple[nn.Module, ...], sources: tuple[Tensor, ...], masks: tuple[Tensor | None, ...], total: Tensor | None
) -> Tensor:
    outputs = [_masked(op(x), mask) for op, x, mask in zip(ops, sources, masks, strict=True)]
    out = outputs[0]
    for term in outputs[1:]:
        out = out + term
    return _masked(out, total)


def _masked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else (x * mask).to(x.dtype)
