"""What ops cost, and a penalty that keeps a search from expensive ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.architecture.cell import Architecture, Cell, EdgeWeights
from nas.architecture.masks import Masks
from nas.nn.cell_graph import CellGraph
from nas.nn.fused_graph import op_by_op
from nas.nn.ops import Pool
from nas.objectives.concrete_density import concrete_log_density
from nas.spaces.base import Network, Shape
from nas.utils.errors import NasError

Kind = Literal["size", "macs", "memory", "all"]
Weighing = Literal["sample", "expected", "policy"]
KINDS = ("size", "macs", "memory")
COUNTED = (nn.Conv2d, Pool, nn.Identity)


class Relaxed(Protocol):
    """What a penalty needs of a relaxation."""

    alpha: nn.ParameterDict


@runtime_checkable
class Costed(Protocol):
    """A supernet that knows the costs of its candidates: they are no modules of their own."""

    def op_costs(self) -> Tensor:
        """[3, cells, edges, ops] as ``op_costs`` below gives them, of its only cell type."""
        ...


class ResourceFactory(Protocol):
    """Builds a penalty for the ops of a supernet."""

    def __call__(self, network: Network, cells: Mapping[str, Cell], shape: Shape) -> Resource: ...


class Resource(nn.Module):
    """``strength`` times the cost of an architecture, summed over edges (SNAS, Xie et al., ICLR 2019, section 2.4).

    ``kind`` is what is counted: parameters ("size"), multiply-adds, memory access, or "all" in the mixture of the
    authors' code. ``weigh`` says how a draw enters: "sample" weighs the costs by the drawn weights and
    differentiates through them, "expected" by softmax(alpha), "policy" takes the drawn cost as the reward of a
    score-function gradient with the concrete's density. ``log`` penalizes the logarithm of each edge's cost,
    nothing below cost 1. ``average`` takes the mean over the cells of a type, else their sum. Below ``least``
    multiply-adds of the drawn ops in all cells nothing is added (DSNAS, Hu et al., CVPR 2020).
    """

    def __init__(
        self,
        network: Network,
        cells: Mapping[str, Cell],
        shape: Shape,
        kind: Kind = "all",
        weigh: Weighing = "sample",
        log: bool = True,
        strength: float = 1e-2,
        average: bool = True,
        least: float = 0.0,
    ) -> None:
        super().__init__()
        if kind not in (*KINDS, "all") or weigh not in ("sample", "expected", "policy"):
            raise NasError(
                f"resource: kind={kind}, weigh={weigh}: kind is one of size, macs, memory, all, "
                "and weigh one of sample, expected, policy"
            )
        for name, table in op_costs(network, cells, shape).items():
            self.register_buffer(name, table, persistent=False)
        self.kind = kind
        self.weigh = weigh
        self.log = log
        self.strength = strength
        self.average = average
        self.least = least

    def forward(self, arch: Architecture, relaxation: Relaxed, masks: Masks) -> Tensor:
        """The penalty, a scalar."""
        found, spent = [], []
        for name, weights in arch.items():
            costs, alpha, mask = self.get_buffer(name), relaxation.alpha[name], masks.table(name)
            spent.append((costs[1] * weights.op.detach()).sum())
            if self.weigh == "expected":
                op = alpha.masked_fill(~mask, -torch.inf).softmax(-1)
            else:
                op = weights.op if self.weigh == "sample" else weights.op.detach()
            edges = self._edges((costs * op).sum(-1))
            if self.weigh == "policy":
                edges = edges * concrete_log_density(alpha, op, _temperature(relaxation), mask)
            found.append(edges.sum(-1).mean() if self.average else edges.sum())
        return self.strength * torch.stack(found).sum() * (torch.stack(spent).sum() >= self.least)

    def _edges(self, costs: Tensor) -> Tensor:
        """The penalty of each edge of each cell, [3, cells, edges] -> [cells, edges]."""
        if self.log:
            costs = costs.clamp_min(1.0).log()
        if self.kind != "all":
            return costs[KINDS.index(self.kind)]
        size, macs, memory = costs
        return (size + macs + memory) / 3 if self.log else 0.43 * (2 * size + macs / 4000 + memory / 100)


def op_costs(network: Network, cells: Mapping[str, Cell], shape: Shape) -> dict[str, Tensor]:
    """Parameters, multiply-adds and memory access of each op: [3, cells, edges, ops] a cell type.

    By the rules of SNAS' code: batch norm is free, a pooling window costs its area, and memory access is what
    is read and written: inputs, outputs and weights of convolutions, inputs and outputs of pools and skips.
    Measured in one pass of a single image; the network and the random state stay as they were.
    """
    if isinstance(network, Costed):
        return dict.fromkeys(cells, network.op_costs())
    graphs = [module for module in network.modules() if isinstance(module, CellGraph)]
    tables: dict[str, list[Tensor]] = {name: [] for name in cells}
    hooks = []
    for graph in graphs:
        name = next(name for name, cell in cells.items() if cell is graph.cell)
        table = torch.zeros(3, len(graph.cell.edges), len(graph.cell.ops))
        tables[name].append(table)
        for e, key in enumerate(graph.keys):
            for op, module in graph.edges[key].items():  # type: ignore[operator]
                entry = table[:, e, graph.cell.ops.index(op)]
                counted = [part for part in module.modules() if isinstance(part, COUNTED)]
                hooks += [part.register_forward_hook(_adder(entry)) for part in counted]
    like = next(network.parameters())
    arch = {name: EdgeWeights(torch.ones(len(c.edges), len(c.ops)).to(like), _lists(c)) for name, c in cells.items()}
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    training = network.training
    try:
        network.eval()
        with op_by_op(network), torch.no_grad(), torch.random.fork_rng([like.device] if like.is_cuda else []):
            functional_call(network, buffers, (torch.zeros(1, *shape).to(like), arch))
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    return {name: torch.stack(found, dim=1) for name, found in tables.items()}


def _adder(entry: Tensor) -> Any:
    def hook(layer: nn.Module, inputs: Any, output: Tensor) -> None:
        entry.add_(torch.tensor(layer_cost(layer, output), dtype=entry.dtype))

    return hook


def layer_cost(layer: nn.Module, output: Tensor) -> tuple[float, float, float]:
    """Parameters, multiply-adds and memory access of a layer that made ``output`` [1, C, H, W]."""
    pixels, values = output.shape[2] * output.shape[3], output.numel()
    if isinstance(layer, nn.Conv2d):
        weights = layer.weight.numel()
        read = pixels * layer.stride[0] * layer.stride[1] * layer.in_channels
        return weights, weights * pixels, read + values + weights
    if isinstance(layer, Pool):
        return 0, 9 * values, (layer.kind[1] ** 2 + 1) * values
    return 0, 0, 2 * values


def _lists(cell: Cell) -> list[list[bool]]:
    found: list[list[bool]] = cell.allowed().tolist()
    return found


def _temperature(relaxation: Relaxed) -> float:
    tau = getattr(relaxation, "tau", None)
    if tau is None:
        raise NasError(
            f"resource.weigh=policy needs draws from the concrete distribution, not {type(relaxation).__name__}: "
            "use relaxation Gumbel with hard=false, or weigh=expected"
        )
    return float(tau)
