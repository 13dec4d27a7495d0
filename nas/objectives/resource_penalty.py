"""Costs of ops (parameters, multiply-adds, memory access) and a resource penalty on architectures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.architecture.cell import NONE, Architecture, Cell, EdgeWeights
from nas.architecture.masks import Masks
from nas.nn.cell_graph import CellGraph
from nas.nn.fused_cell_graph import unfused
from nas.nn.pooling import Pool
from nas.nn.restored_state import temporary_hooks, training_modes_kept
from nas.objectives.concrete_density import concrete_log_density
from nas.spaces.base import Network, Shape
from nas.utils.errors import NasError
from nas.utils.ranges import NOT_NEGATIVE, check_ranges

Kind = Literal["size", "macs", "memory", "all"]
Estimator = Literal["sample", "expected", "probability", "policy"]
KINDS = ("size", "macs", "memory")
COUNTED = (nn.Conv2d, Pool, nn.Identity)


class HasAlpha(Protocol):
    """The part of a relaxation that a penalty reads."""

    alpha: nn.ParameterDict


@runtime_checkable
class HasOpCosts(Protocol):
    """A supernet that computes the costs of its candidates, because they are not separate modules."""

    def op_costs(self) -> Tensor | Mapping[str, Tensor]:
        """Return the costs of its only cell type, or of each one, as ``op_costs`` below, [3, cells, edges, ops]."""
        ...


class ResourceFactory(Protocol):
    """Builds a penalty for the ops of a supernet."""

    def __call__(self, network: Network, cells: Mapping[str, Cell], shape: Shape) -> ResourcePenalty: ...


@check_ranges(strength=NOT_NEGATIVE, min_macs=NOT_NEGATIVE)
class ResourcePenalty(nn.Module):
    """``strength`` times the cost of an architecture, summed over edges (SNAS, Xie et al., ICLR 2019, section 2.4).

    Args:
        network: the supernet.
        cells: its cell types.
        shape: shape of an image (C, H, W).
        kind: parameters ("size"), multiply-adds ("macs"), memory access ("memory"), or "all": the mixture of the three
            in the authors' code.
        estimator: "sample" weights the costs by the sampled weights and differentiates through them. "expected"
            weights them by softmax(alpha). "probability" weights those of the sampled ops by softmax(alpha) and omits
            the others, as in the code of DSNAS. "policy" uses the sampled cost as the reward of a score-function
            gradient with the density of the concrete distribution.
        log: penalize the logarithm of each edge's cost, at least 0.
        strength: weight of the penalty.
        average: take the mean over the cells of a type instead of the sum.
        min_macs: no penalty if the sampled ops of all cells have fewer multiply-adds (DSNAS, Hu et al., CVPR 2020).

    Raises:
        NasError: if ``kind`` or ``estimator`` is unknown.
    """

    def __init__(
        self,
        network: Network,
        cells: Mapping[str, Cell],
        shape: Shape,
        kind: Kind = "all",
        estimator: Estimator = "sample",
        log: bool = True,
        strength: float = 1e-2,
        average: bool = True,
        min_macs: float = 0.0,
    ) -> None:
        super().__init__()
        for name, table in op_costs(network, cells, shape).items():
            self.register_buffer(name, table, persistent=False)
        self.kind = kind
        self.estimator = estimator
        self.log = log
        self.strength = strength
        self.average = average
        self.min_macs = min_macs

    def forward(self, arch: Architecture, relaxation: HasAlpha, masks: Masks) -> Tensor:
        """Return the penalty, a scalar."""
        penalties, macs = [], []
        for name, weights in arch.items():
            costs, alpha, mask = self.get_buffer(name), relaxation.alpha[name], masks.table(name)
            macs.append((costs[1] * weights.op.detach()).sum())
            if self.estimator in ("expected", "probability"):
                op = alpha.masked_fill(~mask, -torch.inf).softmax(-1)
                if self.estimator == "probability":
                    op = op * weights.op.detach()
            else:
                op = weights.op if self.estimator == "sample" else weights.op.detach()
            edges = self._edge_penalties((costs * op).sum(-1))
            if self.estimator == "policy":
                edges = edges * concrete_log_density(alpha, op, _temperature(relaxation), mask)
            penalties.append(edges.sum(-1).mean() if self.average else edges.sum())
        return self.strength * torch.stack(penalties).sum() * (torch.stack(macs).sum() >= self.min_macs)

    def _edge_penalties(self, costs: Tensor) -> Tensor:
        """Return the penalty of each edge of each cell, [3, cells, edges] -> [cells, edges]."""
        if self.log:
            costs = costs.clamp_min(1.0).log()
        if self.kind != "all":
            return costs[KINDS.index(self.kind)]
        size, macs, memory = costs
        return (size + macs + memory) / 3 if self.log else 0.43 * (2 * size + macs / 4000 + memory / 100)


def op_costs(network: Network, cells: Mapping[str, Cell], shape: Shape) -> dict[str, Tensor]:
    """Measure parameters, multiply-adds and memory access of each op, [3, cells, edges, ops] per cell type.

    The rules are those of SNAS' code. Batch norm is free, and a pooling window costs its area. Memory access counts
    values read and written: inputs, outputs and weights of convolutions, inputs and outputs of pools and skips. The
    measurement takes one forward pass of a single image and changes neither the network nor the random state.
    """
    if isinstance(network, HasOpCosts):
        costs = network.op_costs()
        return dict.fromkeys(cells, costs) if isinstance(costs, Tensor) else dict(costs)
    graphs = [module for module in network.modules() if isinstance(module, CellGraph)]
    if not graphs:
        raise NasError(
            "method.arch_step.resource: the candidates of this space differ neither in size nor in operations. Use "
            "method.arch_step.resource=null."
        )
    tables: dict[str, list[Tensor]] = {name: [] for name in cells}
    hooks = []
    for graph in graphs:
        name = next(name for name, cell in cells.items() if cell is graph.cell)
        table = torch.zeros(3, len(graph.cell.edges), len(graph.cell.ops))
        tables[name].append(table)
        for e, key in enumerate(graph.keys):
            _check_modules(graph, e)
            for op, module in graph.edges[key].items():  # type: ignore[operator]
                entry = table[:, e, graph.cell.ops.index(op)]
                counted = [part for part in module.modules() if isinstance(part, COUNTED)]
                hooks += [part.register_forward_hook(_cost_hook(entry)) for part in counted]
    like = next(network.parameters())
    arch = {name: EdgeWeights(torch.ones(len(c.edges), len(c.ops)).to(like), _lists(c)) for name, c in cells.items()}
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with temporary_hooks(hooks), training_modes_kept(network):
        network.eval()
        with unfused(network), torch.no_grad(), torch.random.fork_rng([like.device] if like.is_cuda else []):
            functional_call(network, buffers, (torch.zeros(1, *shape).to(like), arch))
    return {name: torch.stack(costs, dim=1) for name, costs in tables.items()}


def _check_modules(graph: CellGraph, edge: int) -> None:
    """Raise NasError if a candidate has no module, because it shares that of another one (``EntangledEdge``)."""
    module = graph.edges[graph.keys[edge]]
    shared = [op for op in graph.cell.ops if op != NONE and (edge, op) not in graph.cell.excluded and op not in module]  # type: ignore[operator]
    if shared:
        raise NasError(
            f"method.arch_step.resource: the op {shared[0]} has no module of its own in {type(module).__name__}, so "
            "that its cost is unknown. Use method.arch_step.resource=null."
        )


def _cost_hook(entry: Tensor) -> Any:
    def hook(layer: nn.Module, inputs: Any, output: Tensor) -> None:
        entry.add_(torch.tensor(layer_cost(layer, output), dtype=entry.dtype))

    return hook


def layer_cost(layer: nn.Module, output: Tensor) -> tuple[float, float, float]:
    """Return parameters, multiply-adds and memory access of a layer with ``output`` [1, C, H, W]."""
    pixels, values = output.shape[2] * output.shape[3], output.numel()
    if isinstance(layer, nn.Conv2d):
        weights = layer.weight.numel()
        read = pixels * layer.stride[0] * layer.stride[1] * layer.in_channels
        return weights, weights * pixels, read + values + weights
    if isinstance(layer, Pool):
        return 0, 9 * values, (layer.kind[1] ** 2 + 1) * values
    return 0, 0, 2 * values


def _lists(cell: Cell) -> list[list[bool]]:
    lists: list[list[bool]] = cell.allowed().tolist()
    return lists


def _temperature(relaxation: HasAlpha) -> float:
    tau = getattr(relaxation, "tau", None)
    if tau is None or getattr(relaxation, "hard", False):
        raise NasError(
            "method.arch_step.resource.estimator=policy: it needs samples of the concrete distribution, not of "
            f"{type(relaxation).__name__}. Use the relaxation Gumbel with hard=false, or estimator=expected."
        )
    return float(tau)
