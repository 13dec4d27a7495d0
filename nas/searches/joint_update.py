"""Common optimizer steps on the weights of several supernets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nas.nn.stacked_parameters import ParameterBlock

ELEMENTWISE = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
"""Optimizers whose step on joined parameters equals the steps on each of them."""


class JointUpdate:
    """Clipping and one optimizer step for all networks, with the norm of each network.

    The state of the optimizers of the networks becomes views of the state of a common optimizer, so that checkpoints
    and steps on a single network use the same values.

    Args:
        blocks: the parameters of the networks.
        optimizers: the optimizer of each network.
    """

    def __init__(self, blocks: Sequence[ParameterBlock], optimizers: Sequence[Optimizer]) -> None:
        self.blocks, self.optimizers = blocks, optimizers
        self._parameters = [nn.Parameter(block.values, requires_grad=False) for block in blocks]
        self._groups = _common_groups(blocks, optimizers)
        self._optimizer: Optimizer | None = None
        self._is_shared = False
        self._counters: list[tuple[Tensor, Tensor]] = []  # number of steps: of a block, and of its parameters

    def reset(self) -> None:
        """Read the states of the optimizers again before the next step, because a single network was changed."""
        self._optimizer = None

    def step(self, clip_norm: float | None, others: Sequence[Sequence[nn.Parameter]]) -> bool:
        """Take a step and remove the gradients of the weights.

        Args:
            clip_norm: largest norm of the gradient of a network; None: no clipping.
            others: further parameters of each network, whose gradients count towards the norm and are clipped.

        Returns:
            False, without any change, if the networks need separate steps: an unsupported optimizer, different
            options, or missing gradients.
        """
        if self._groups is None or not self._is_complete() or not self._read_options():
            return False
        grads = [grad for block in self.blocks if (grad := block.take_gradient()) is not None]
        if clip_norm is not None:
            self._clip(grads, others, clip_norm)
        assert self._optimizer is not None
        for parameter, grad in zip(self._parameters, grads, strict=True):
            parameter.grad = grad
        self._optimizer.step()
        for parameter in self._parameters:
            parameter.grad = None
        if not self._is_shared:
            self._share_states(self._optimizer)
            self._is_shared = True
        for common, own in self._counters:
            own.fill_(common)
        return True

    def _is_complete(self) -> bool:
        """Return whether all gradients come from common passes."""
        shared = [one for block in self.blocks for one in block.shared]
        missing = any(common.grad is None for common, _ in shared)
        return not missing and all(part.grad is None for _, parts in shared for part in parts)

    def _read_options(self) -> bool:
        """Set the options of the common optimizer, which is built first; return False if the networks' differ."""
        assert self._groups is not None
        options = [[_options(group) for group in optimizer.param_groups] for optimizer in self.optimizers]
        if any(other != options[0] for other in options[1:]):
            return False
        if self._optimizer is None:
            parts = [[self._parameters[number] for number in numbers] for numbers in self._groups]
            groups = [{"params": part, **option} for part, option in zip(parts, options[0], strict=True)]
            build: Callable[[Any], Optimizer] = type(self.optimizers[0])
            optimizer = build(groups)
            if not self._load_states(optimizer):
                return False
            self._optimizer, self._counters, self._is_shared = optimizer, [], False
        for group, option in zip(self._optimizer.param_groups, options[0], strict=True):
            group.update(option)
        return True

    def _clip(self, grads: Sequence[Tensor], others: Sequence[Sequence[nn.Parameter]], clip_norm: float) -> None:
        squares = torch.stack([grad.square().sum(dim=(0, 2)) for grad in grads]).sum(dim=0)
        more = [[parameter.grad for parameter in part if parameter.grad is not None] for part in others]
        if any(more):
            zero = squares.new_zeros(())
            squares = squares + torch.stack([sum((grad.square().sum() for grad in part), zero) for part in more])
        scales = (clip_norm / (squares.sqrt() + 1e-6)).clamp(max=1.0)  # as clip_grad_norm_
        for grad in grads:
            grad.mul_(scales[:, None])
        for part, scale in zip(more, scales, strict=True):
            for grad in part:
                grad.mul_(scale)

    def _load_states(self, optimizer: Optimizer) -> bool:
        """Join the states of the networks' optimizers; return False if they differ in more than their values."""
        for parameter, block in zip(self._parameters, self.blocks, strict=True):
            states = [
                [self.optimizers[position].state.get(part, {}) for position, part in enumerate(parts)]
                for _, parts in block.shared
            ]
            flat = [state for row in states for state in row]
            if any(state.keys() != flat[0].keys() for state in flat):
                return False
            for name, value in flat[0].items():
                if isinstance(value, Tensor) and value.dim() == 0:
                    if any(not torch.equal(state[name], value) for state in flat):
                        return False
                    optimizer.state[parameter][name] = value.clone()
                elif isinstance(value, Tensor):
                    joined = torch.stack([state[name].reshape(-1) for state in flat])
                    optimizer.state[parameter][name] = joined.view_as(parameter)
                elif any(state[name] != value for state in flat):
                    return False
                else:
                    optimizer.state[parameter][name] = value
        return True

    def _share_states(self, optimizer: Optimizer) -> None:
        """Turn the states of the networks' optimizers into views of the common state."""
        for separate in self.optimizers if any(optimizer.state.values()) else ():
            for group in separate.param_groups:
                for part in group["params"]:
                    separate.state.setdefault(part, {})  # in the order of a separate step
        for parameter, block in zip(self._parameters, self.blocks, strict=True):
            for name, value in optimizer.state[parameter].items():
                rows = value
                if isinstance(value, Tensor) and value.dim() == 0:
                    rows = value.expand(parameter.shape[:2]).clone()
                    self._counters.append((value, rows))
                for number, (_, parts) in enumerate(block.shared):
                    for position, part in enumerate(parts):
                        own = rows[number, position] if isinstance(rows, Tensor) else rows
                        is_vector = isinstance(own, Tensor) and own.dim() > 0
                        self.optimizers[position].state[part][name] = own.view(part.shape) if is_vector else own


def _options(group: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in group.items() if name != "params"}


def _common_groups(blocks: Sequence[ParameterBlock], optimizers: Sequence[Optimizer]) -> list[list[int]] | None:
    """Return the numbers of the blocks of each parameter group; None if the networks need separate steps."""
    first = optimizers[0]
    if type(first) not in ELEMENTWISE or any(type(other) is not type(first) for other in optimizers):
        return None
    groups = [
        {id(parameter): number for number, group in enumerate(optimizer.param_groups) for parameter in group["params"]}
        for optimizer in optimizers
    ]
    found: list[list[int]] = [[] for _ in first.param_groups]
    for number, block in enumerate(blocks):
        places = {groups[position].get(id(part)) for _, parts in block.shared for position, part in enumerate(parts)}
        place = places.pop()
        if places or place is None:
            return None
        found[place].append(number)
    covered = sum(len(block.shared) for block in blocks)
    return found if all(len(group) == covered for group in groups) else None
