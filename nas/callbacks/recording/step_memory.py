"""Memory of a training step, estimated from the forward pass of a small batch."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer

from nas.architecture.cell import Architecture
from nas.gradients.unrolled import Unrolled
from nas.nn.saved_activations import SavedActivations, measure_saved_activations
from nas.searches.gradient import GradientSearch
from nas.training.network_training import Training
from nas.utils.generators import random_state_kept

IMAGES = 2
"""Images of the small batch; batch norm needs two values per channel."""
SAMPLES = 4
"""Samples of a relaxation that executes some of the ops; the largest one counts."""
COPIES = 5
"""Tensors per weight of a second-order step: gradients and weights of the unrolled step and of the difference."""


@dataclass(frozen=True)
class StepMemory:
    """Bytes of a training step.

    Args:
        parameters: parameters and buffers.
        gradients: gradients of all parameters, and copies of the weights in a second-order step.
        optimizer: state of the optimizers.
        image: activations per image of a batch.
        checkpointed_image: the same with activation checkpointing.
    """

    parameters: int
    gradients: int
    optimizer: int
    image: int
    checkpointed_image: int

    def activations(self, batch_size: int, checkpointing: bool) -> int:
        """Return the bytes of the activations of a batch."""
        return batch_size * (self.checkpointed_image if checkpointing else self.image)


def estimate_step(
    module: GradientSearch | Training,
    shape: Sequence[int],
    optimizers: Sequence[Optimizer],
    precision: AbstractContextManager[None] | None = None,
) -> StepMemory:
    """Estimate the memory of a step. Random numbers and statistics of batch norm do not change.

    Args:
        module: the search or the training, on its device.
        shape: (C, H, W) of an image.
        optimizers: the optimizers of the step.
        precision: context of the forward pass, such as autocast.
    """
    network = module.supernet if isinstance(module, GradientSearch) else module.network
    like = next(network.parameters())
    images = torch.zeros(IMAGES, *shape, dtype=like.dtype, device=like.device)
    with nullcontext() if precision is None else precision, random_state_kept(module, like.device):
        found = [_measure(network, images, arch) for arch in _architectures(module)]
    trained = [p for p in module.parameters() if p.requires_grad]
    second_order = isinstance(module, GradientSearch) and _is_unrolled(module)
    return StepMemory(
        parameters=_bytes([*module.parameters(), *module.buffers()]),
        gradients=_bytes(trained) * (1 + (COPIES if second_order else 0)),
        optimizer=sum(map(optimizer_bytes, optimizers)),
        image=max(saved.plain for saved in found) // IMAGES,
        checkpointed_image=max(saved.checkpointed for saved in found) // IMAGES,
    )


def optimizer_bytes(optimizer: Optimizer) -> int:
    """Return the bytes of an optimizer's state after its first step, from a step on a copy with one small tensor."""
    sizes: dict[torch.dtype, float] = {}
    total = 0.0
    for p in (p for group in optimizer.param_groups for p in group["params"]):
        if p.dtype not in sizes:
            sizes[p.dtype] = _state_per_element(optimizer, p.dtype)
        total += sizes[p.dtype] * p.numel()
    return round(total)


def _state_per_element(optimizer: Optimizer, dtype: torch.dtype) -> float:
    probe = torch.zeros(16, dtype=dtype, requires_grad=True)
    probe.grad = torch.zeros_like(probe)
    accepted = inspect.signature(type(optimizer)).parameters  # AdamW has a default that it does not take
    try:
        other = type(optimizer)([probe], **{k: v for k, v in optimizer.defaults.items() if k in accepted})
        other.step()
    except (TypeError, ValueError, RuntimeError, AssertionError):  # an optimizer with other arguments
        return 2.0 * probe.element_size()
    state = [value for value in other.state[probe].values() if isinstance(value, Tensor)]
    return sum(value.element_size() for value in state if value.shape == probe.shape)


def _measure(network: nn.Module, images: Tensor, arch: Architecture | None) -> SavedActivations:
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    return measure_saved_activations(
        network, lambda: functional_call(network, buffers, (images, arch)), buffers.values()
    )


def _architectures(module: GradientSearch | Training) -> Iterator[Architecture | None]:
    """Yield samples of the relaxation; None for the network of a genotype."""
    if isinstance(module, Training):
        yield None
        return
    for _ in range(SAMPLES):
        sample = module.relaxation.sample(module.masks)
        yield sample
        if all(sample[name].active == module.masks.lists(name) for name in sample):
            return


def _is_unrolled(search: GradientSearch) -> bool:
    gradient = search.arch_step.gradient
    return isinstance(getattr(gradient, "gradient", gradient), Unrolled)


def _bytes(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
