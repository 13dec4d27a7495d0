"""Costs of the options of choices: parameters, multiply-adds and memory access."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.architecture.cell import EdgeWeights
from nas.choices.choice_module import ChoiceModule
from nas.nn.macs import COUNTED, POOLS, RULES
from nas.nn.restored_state import temporary_hooks, training_modes_kept
from nas.utils.generators import random_state_kept


def option_costs(network: nn.Module, choices: Sequence[ChoiceModule], shape: Sequence[int]) -> dict[str, Tensor]:
    """Return the costs of the options of each decision, [3, choices of the decision, edges, ops].

    Multiply-adds and memory access are those of convolutions and linear layers, and the memory access of pooling, for
    one image. An option includes the choices nested within it, at the mean over their options. One forward pass of the
    supernet measures the costs; it changes neither the network nor the random state.

    Args:
        network: the supernet, called with images and an architecture.
        choices: its choices.
        shape: (C, H, W) of an image.
    """
    executed: dict[nn.Module, Tensor] = {}

    def record(layer: nn.Module, inputs: Any, output: Any) -> None:
        executed[layer] = executed.get(layer, torch.zeros(3)) + _layer_cost(layer, inputs[0], output)

    counted = [part for part in network.modules() if isinstance(part, (*COUNTED, *POOLS))]
    hooks = [part.register_forward_hook(record) for part in counted]
    like = next(iter(network.parameters()), torch.zeros(()))
    cells = {choice.decision: choice.cell() for choice in choices}
    arch = {
        n: EdgeWeights(torch.ones(len(c.edges), len(c.ops)).to(like), c.allowed().tolist()) for n, c in cells.items()
    }
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    with temporary_hooks(hooks), training_modes_kept(network):
        network.eval()
        with torch.no_grad(), random_state_kept(network, like.device):
            functional_call(network, buffers, (torch.zeros(1, *shape).to(like), arch))
    tables: dict[str, list[Tensor]] = {name: [] for name in cells}
    for choice in choices:
        tables[choice.decision].append(choice.costs(lambda module: _subtotal(module, executed)))
    return {name: torch.stack(columns, dim=1) for name, columns in tables.items()}


def _subtotal(module: nn.Module, executed: Mapping[nn.Module, Tensor]) -> Tensor:
    """Return the cost of a module [3]; that of a choice is the mean over its options, all equally probable."""
    if isinstance(module, ChoiceModule):
        return _mean(module, module.costs(lambda part: _subtotal(part, executed)))
    parameters = sum(p.numel() for p in module.parameters(recurse=False))
    own = executed.get(module, torch.zeros(3)) + torch.tensor([float(parameters), 0.0, 0.0])
    return torch.stack([own, *(_subtotal(child, executed) for child in module.children())]).sum(dim=0)


def _mean(choice: ChoiceModule, table: Tensor) -> Tensor:
    """Return the mean cost [3] of the genotypes of a decision, from the costs of its options [3, edges, ops]."""
    cell = choice.cell()
    allowed = torch.tensor([[op in cell.choices(e) for op in cell.ops] for e in range(len(cell.edges))])
    edges = (table * allowed).sum(dim=-1) / allowed.sum(dim=-1).clamp_min(1)
    return edges.sum(dim=-1) * (1.0 if cell.inputs is None else cell.inputs / len(cell.edges))


def _layer_cost(layer: nn.Module, x: Tensor, output: Tensor) -> Tensor:
    """Return multiply-adds and memory access of one execution, in the format of a cost, without the parameters."""
    weights = sum(p.numel() for p in layer.parameters(recurse=False))
    macs = RULES["macs"](layer, x.shape[1:], output.shape[1:])
    return torch.tensor([0.0, float(macs), float(x[:1].numel() + output[:1].numel() + weights)])
