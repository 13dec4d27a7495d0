"""A cell as a module: edges between nodes, executed node by node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

from nas.architecture.cell import Cell
from nas.nn.drop_path import DropPath
from nas.nn.edges.mixed import EdgeFactory, EdgeRow
from nas.nn.ops import OpOptions, strided
from nas.nn.pooling import Memo, Pool, SharedReLU

DropPathTarget = Literal["op", "node"]
"""Target of drop path: the output of each op except identities (DARTS), or the sum of a node (FairDARTS)."""


class NodeExecutor(Protocol):
    """Alternative execution of the nodes of restricted cells, for example by compiled code."""

    def node(self, graph: CellGraph, incoming: Sequence[int], features: Mapping[int, Tensor]) -> Tensor | None:
        """Return the features of a node after drop path, None if the graph is to execute its ops one by one."""
        ...


class CellGraph(nn.Module):
    """The edges of a cell; a node is the sum of the edges that end in it.

    Parameters are named ``edges.<source>_<target>.<op>...``, so the parameters of a restricted cell are a subset of
    those of the full cell.

    Args:
        cell: the table of edges and ops.
        channels: of each node; a function maps the source node of an edge to its channels.
        stride: maps the source node of an edge to its stride.
        edge: builds an edge.
        options: of the ops; a function maps the source node of an edge to the options of its ops.
        drop_path_on: the target of drop path.
        share_parallel: whether edges between the same two nodes are one module, which is executed once per edge.
    """

    executor: NodeExecutor | None = None
    """Executor of the nodes of a restricted cell; None: the graph executes their ops one by one."""

    def __init__(
        self,
        cell: Cell,
        channels: int | Callable[[int], int],
        stride: Callable[[int], int],
        edge: EdgeFactory,
        options: OpOptions | Callable[[int], OpOptions],
        drop_path_on: DropPathTarget = "op",
        share_parallel: bool = False,
    ) -> None:
        super().__init__()
        self.cell = cell
        self.edges = nn.ModuleDict()
        self.keys: list[str] = []
        self.drop_path = DropPath()
        self.drop_path_on = drop_path_on
        for e, (source, target) in enumerate(cell.edges):
            ops = [op if (e, op) not in cell.excluded else None for op in cell.ops]
            key = f"{source}_{target}"
            if share_parallel and key in self.edges:
                self.keys.append(key)
                continue
            while key in self.edges:
                key += "x"
            width = channels(source) if callable(channels) else channels
            self.edges[key] = edge(ops, width, stride(source), options(source) if callable(options) else options)
            self.keys.append(key)
        self._memos: dict[int, Memo] = {}
        self._share(Pool)
        if all(len(edge) <= 1 for edge in self.edges.values()):  # type: ignore[arg-type]
            self.share_relus()
        self._into = [(node, cell.into(node)) for node in cell.nodes]

    def forward(self, inputs: Sequence[Tensor], rows: Sequence[EdgeRow] | None = None) -> dict[int, Tensor]:
        """Return the features of every node, inputs included; a node without an active edge is zero.

        ``rows`` contains one row per edge. None executes a restricted cell.
        """
        features = dict(enumerate(inputs))
        for node, incoming in self._into:
            total = None if rows is not None or self.executor is None else self.executor.node(self, incoming, features)
            if total is not None:
                features[node] = total
                continue
            for e in incoming:
                edge = self.edges[self.keys[e]]
                out = edge(features[self.cell.edges[e][0]], None if rows is None else rows[e])
                if out is not None:
                    out = out if self.drop_path_on == "node" or self._is_identity(edge) else self.drop_path(out)
                    total = out if total is None else total + out
            if total is None:
                total = self._zeros(features, incoming)
            features[node] = self.drop_path(total) if self.drop_path_on == "node" else total
        for memo in self._memos.values():
            memo.clear()
        return features

    def share_relus(self) -> None:
        """Compute the ReLU of a node once for all ops that begin with it.

        Results are equal up to rounding, because gradients are added in another order.
        """
        self._share(SharedReLU)

    def _share(self, kind: type[Pool | SharedReLU]) -> None:
        """Give all modules of ``kind`` that read the same node a common memo."""
        for key, (source, _) in zip(self.keys, self.cell.edges, strict=True):
            for module in self.edges[key].modules():
                if isinstance(module, kind):
                    module.memo = self._memos.setdefault(source, {})

    def _zeros(self, features: Mapping[int, Tensor], incoming: Sequence[int]) -> Tensor:
        """Return zeros of the shape of a node whose incoming edges have no output."""
        edge = self.edges[self.keys[incoming[0]]]
        assert isinstance(edge.stride, int)
        return torch.zeros_like(strided(features[self.cell.edges[incoming[0]][0]], edge.stride))

    @staticmethod
    def _is_identity(edge: nn.Module) -> bool:
        return len(edge) == 1 and isinstance(next(iter(edge.values())), nn.Identity)  # type: ignore[arg-type, operator]
