"""Common training steps of several searches of one configuration."""

from __future__ import annotations

import random
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nas.architecture.cell import Architecture
from nas.gradients.base import Weights, grad_or_zeros
from nas.nn.stacked import StackedNetworks
from nas.searches.gradient import GradientSearch
from nas.searches.joint_update import JointUpdate
from nas.spaces.base import Output
from nas.utils.lockstep import Lockstep


class Forward(NamedTuple):
    """Request of a forward pass of a search's supernet."""

    x: Tensor
    arch: Architecture
    autocast: torch.dtype | None


class Gradient(NamedTuple):
    """Request of gradients of a loss with respect to ``inputs``; None: as by ``loss.backward()``."""

    loss: Tensor
    inputs: Sequence[Tensor] | None


class Update(NamedTuple):
    """Request of clipping and of an optimizer step on the weights."""

    optimizer: Optimizer
    clip_norm: float | None
    others: list[nn.Parameter]
    """Parameters apart from the weights whose gradients count towards the norm."""


class JointSteps:
    """Common steps of searches: passes of their stacked supernets, and optimizer steps on their weights.

    A pass that differs from those of the other searches, for example in the size of the batch, is executed separately.
    ``lockstep`` runs the tasks of the searches.
    """

    def __init__(self) -> None:
        self.lockstep = Lockstep(self._execute, ProcessState())
        self.searches: dict[int, GradientSearch] = {}
        self._stacked: StackedNetworks | None = None
        self._members: list[int] = []  # the searches whose supernets are stacked
        self._updates: tuple[StackedNetworks, JointUpdate] | None = None
        self._passes: dict[int, tuple[StackedNetworks, int]] = {}  # last pass of each search, and position in it

    def join(self, task: int, search: GradientSearch) -> None:
        """Add the search of a task to the common steps."""
        self.searches[task] = search
        search.executor = JointExecutor(self.lockstep, task, search)

    def _execute(self, key: Hashable, requests: Mapping[int, Any]) -> Mapping[int, Any]:
        first = next(iter(requests.values()))
        if isinstance(first, Forward):
            return self._forward(requests)
        return self._update(requests) if isinstance(first, Update) else self._differentiate(requests)

    def _forward(self, requests: Mapping[int, Forward]) -> Mapping[int, Tensor]:
        members = sorted(requests)
        search, request = self.searches[members[0]], requests[members[0]]
        with torch.autocast(request.x.device.type, request.autocast, enabled=request.autocast is not None):
            if len(members) == 1:
                self._passes.pop(members[0], None)
                return {members[0]: search.supernet(request.x, request.arch)}
            stacked = self._stack(members)
            stacked.network.train(search.supernet.training)
            trained = any(weight.requires_grad for weight in search.weights.values())
            images, archs = [requests[task].x for task in members], [requests[task].arch for task in members]
            logits = stacked(images, archs, trained)
        self._passes.update({member: (stacked, position) for position, member in enumerate(members)})
        return dict(zip(members, logits, strict=True))

    def _differentiate(self, requests: Mapping[int, Gradient]) -> Mapping[int, list[Tensor] | None]:
        inputs = {task: list(request.inputs) for task, request in requests.items() if request.inputs is not None}
        total = torch.stack([request.loss for request in requests.values()]).sum()
        if inputs:
            grads = iter(grad_or_zeros(total, [tensor for tensors in inputs.values() for tensor in tensors]))
            return {task: [next(grads) for _ in tensors] for task, tensors in inputs.items()}
        total.backward()
        return dict.fromkeys(requests)

    def _update(self, requests: Mapping[int, Update]) -> Mapping[int, bool]:
        """Take the steps together if possible. Otherwise give each supernet its gradients, and return False."""
        passes = {task: self._passes[task] for task in requests if task in self._passes}
        networks = {id(stacked): stacked for stacked, _ in passes.values()}
        for stacked in networks.values():
            members = {position: task for task, (other, position) in passes.items() if other is stacked}
            found = [requests[members[position]] for position in sorted(members)]
            if len(requests) == stacked.count == len(members) and self._update_of(stacked, found).step(
                found[0].clip_norm, [request.others for request in found]
            ):
                return dict.fromkeys(requests, True)
            stacked.distribute_gradients(list(members))
        if self._updates is not None:
            self._updates[1].reset()
        return dict.fromkeys(requests, False)

    def _update_of(self, stacked: StackedNetworks, requests: Sequence[Update]) -> JointUpdate:
        """Return the common update of stacked networks; it is built again for other optimizers."""
        optimizers = [request.optimizer for request in requests]
        if self._updates is None or self._updates[0] is not stacked or self._updates[1].optimizers != optimizers:
            self._updates = stacked, JointUpdate(stacked.blocks, optimizers)
        return self._updates[1]

    def _stack(self, members: list[int]) -> StackedNetworks:
        """Return the stacked supernets of searches; they are stacked again after the end of a search."""
        if self._stacked is None or members != self._members:
            searches = [self.searches[member] for member in members]
            skeleton = searches[0].space.supernet(searches[0].edge)
            self._stacked = StackedNetworks([search.supernet for search in searches], skeleton)
            self._members = members
        return self._stacked


class JointExecutor:
    """``StepExecutor`` of a search, which sends its passes as requests to ``Lockstep``."""

    def __init__(self, lockstep: Lockstep, task: int, search: GradientSearch) -> None:
        self.lockstep, self.task, self.search = lockstep, task, search

    def forward(self, x: Tensor, arch: Architecture) -> Tensor:
        """Return the logits of the supernet."""
        device = x.device.type
        autocast = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else None
        active = tuple(tuple(map(tuple, weights.active)) for weights in arch.values())
        trained = any(weight.requires_grad for weight in self.search.weights.values())
        key = ("forward", x.shape, x.dtype, active, trained, self.search.supernet.training, autocast)
        logits: Tensor = self.lockstep.request(self.task, key, Forward(x, arch, autocast))
        return logits

    def outputs(self, x: Any, arch: Architecture) -> Output:
        """Return the logits of the supernet as its only output."""
        logits = self.forward(x, arch)
        return Output(logits, features=logits)

    def call_with(self, weights: Weights, x: Any, arch: Architecture) -> Tensor:
        """Return the logits with ``weights`` in place of the supernet's parameters, in a pass of its own."""
        return self.search.supernet.call_with(weights, x, arch)

    def backward(self, loss: Tensor) -> None:
        """Accumulate the gradients of a loss in all parameters."""
        self.lockstep.request(self.task, "backward", Gradient(loss, None))

    def update(self, optimizer: Optimizer, clip_norm: float | None, others: Sequence[nn.Parameter]) -> bool:
        """Take the step of the weights, and remove their gradients. Return False if the search is to take it itself."""
        taken: bool = self.lockstep.request(
            self.task, ("update", clip_norm), Update(optimizer, clip_norm, list(others))
        )
        return taken

    def grad(self, loss: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return the gradients of a loss with respect to ``inputs``."""
        grads: list[Tensor] = self.lockstep.request(self.task, "grad", Gradient(loss, inputs))
        return grads


class ProcessState:
    """Process state that is separate for each search: the default random generators and the default dtype."""

    def save(self) -> Any:
        """Return the current state."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        generators = random.getstate(), np.random.get_state(), torch.get_rng_state(), cuda
        return *generators, torch.get_default_dtype()

    def restore(self, state: Any) -> None:
        """Set a state that ``save`` returned."""
        python, numpy, cpu, cuda, dtype = state
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)
        torch.set_default_dtype(dtype)
