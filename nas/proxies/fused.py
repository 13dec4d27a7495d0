"""Fused evaluation of a thin supernet, node by node, with few convolutions and one batch norm per node."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nas.nn.cell_graph import CellGraph
from nas.proxies.fused_cell import Rows, can_fuse_op, evaluate_nodes
from nas.spaces.darts.network import DartsCell, DartsNetwork
from nas.spaces.nas_bench_201.network import NasBench201Network


def can_fuse(network: nn.Module) -> bool:
    """Return whether ``fused_forward`` supports a network: cells of supported ops, convolutions without bias."""
    if isinstance(network, DartsNetwork):
        plain = all(isinstance(cell, DartsCell) for cell in network.cells)
        if not plain or network.auxiliary_head is not None or not hasattr(network, "stem"):
            return False
    elif not isinstance(network, NasBench201Network):
        return False
    graphs = [module for module in network.modules() if isinstance(module, CellGraph)]
    return all(can_fuse_op(op) for graph in graphs for edge in graph.edges.values() for op in edge.values())  # type: ignore[operator]


def fused_forward(network: nn.Module, x: Tensor, alive: Mapping[str, Rows]) -> Tensor:
    """Return the logits [B, classes] with equal weights of the ops in ``alive``, in training mode, up to rounding.

    Batch norm statistics are not tracked. A ReLU that several ops apply to the same tensor is applied once.
    """
    if not x.is_cuda:  # channels last is faster for CPU convolutions with few channels
        x = x.contiguous(memory_format=torch.channels_last)
    if isinstance(network, NasBench201Network):
        x = network.stem(x)
        for cell in network.cells:
            x = evaluate_nodes(cell, [x], alive["cell"])[3] if isinstance(cell, CellGraph) else cell(x)
        logits: Tensor = network.classifier(network.lastact(x).mean(dim=(2, 3)))
        return logits
    assert isinstance(network, DartsNetwork)
    before = last = network.stem(x)
    for kind, cell in zip(network.kinds, network.cells, strict=True):
        assert isinstance(cell, DartsCell)
        nodes = evaluate_nodes(cell.graph, [cell.preprocess0(before), cell.preprocess1(last)], alive[kind])
        before, last = last, torch.cat([nodes[node] for node in cell.graph.cell.output], dim=1)
    logits = network.classifier(network.lastact(last).mean(dim=(2, 3)))
    return logits
