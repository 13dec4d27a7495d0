"""Expected costs of the final network under the weights of ops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from nas.architecture.additive_cost import AdditiveCost
from nas.architecture.cell import Architecture, Cell


class ExpectedCost(nn.Module):
    """Base class of penalties and rewards that use expected costs.

    A node that keeps k of its edges counts them in proportion to their weights, so that they sum to k. The weights of
    ops are divided by their sum, which leaves a softmax as it is. ``none``, which genotypes of most spaces cannot
    contain, costs as much as the mean of the other ops of its edge. Costs of an edge are centered at this mean. This
    does not change the value, and is a baseline for score-function gradients (DSNAS).
    """

    def set_costs(self, cells: Mapping[str, Cell], costs: Sequence[AdditiveCost], units: Sequence[float]) -> None:
        """Store costs as buffers that are not part of the state_dict.

        Args:
            cells: the cells by type.
            costs: the costs as sums over links.
            units: divisor of each cost.
        """
        self.cells = dict(cells)
        bounds = torch.tensor(units, dtype=torch.float64)
        base = torch.tensor([cost.base for cost in costs], dtype=torch.float64) / bounds
        self.register_buffer("base", base.float(), persistent=False)
        for name, cell in self.cells.items():
            tables = torch.stack([cost.tables[name] for cost in costs]) / bounds[:, None, None]
            self.register_buffer(f"{name}_costs", tables.float(), persistent=False)
            members = [[float(target == node) for _, target in cell.edges] for node in cell.nodes]
            self.register_buffer(f"{name}_members", torch.tensor(members), persistent=False)

    def expected(self, arch: Architecture) -> Tensor:
        """Return the expected costs under sampled weights, in their units, [costs]."""
        total = self.get_buffer("base")
        for name, cell in self.cells.items():
            op, edge = arch[name].op.float(), arch[name].edge
            tiny = torch.finfo(op.dtype).tiny
            size = op.detach().sum(-1, keepdim=True)
            costs = self.get_buffer(f"{name}_costs")
            mean = costs.mean(-1)
            edges = mean + ((op / size.clamp_min(tiny)) * (costs - mean[..., None])).sum(-1)
            share = (size[:, 0] > 0).to(op) * (1.0 if edge is None else edge.float())
            members = self.get_buffer(f"{name}_members")
            into = members.T @ (members @ share)  # sum over the edges into the same node
            kept = members.T @ (members.sum(-1).clamp_max(cell.inputs or len(cell.edges)))
            total = total + (edges * share * kept / into.clamp_min(tiny)).sum(-1)
        return total
