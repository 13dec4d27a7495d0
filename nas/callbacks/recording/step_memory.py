"""Memory of a training step, estimated from steps on two small batches."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer
from torch.utils._pytree import tree_leaves

from nas.architecture.cell import Architecture, EdgeWeights
from nas.gradients.base import nested_gradients
from nas.gradients.unrolled import Unrolled
from nas.nn.activation_checkpointing import checkpoint_cells, keep_activations
from nas.nn.peak_memory import measure_peak
from nas.searches.gradient import GradientSearch
from nas.training.network_training import Training
from nas.utils.generators import random_state_kept

IMAGES = (2, 4)
"""Images of the small batches. Batch norm needs two values per channel."""
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
        image: activations and their gradients per image of a batch, at the peak of a step.
    """

    parameters: int
    gradients: int
    optimizer: int
    image: int

    def activations(self, batch_size: int) -> int:
        """Return the bytes of the activations of a batch and of their gradients."""
        return batch_size * self.image


def estimate_step(
    module: GradientSearch | Training,
    shape: Sequence[int],
    optimizers: Sequence[Optimizer],
    precision: AbstractContextManager[None] | None = None,
    checkpointing: bool = False,
) -> StepMemory:
    """Estimate the memory of a step. Random numbers and statistics of batch norm do not change.

    Args:
        module: the search or the training, on its device.
        shape: (C, H, W) of an image.
        optimizers: the optimizers of the step.
        precision: context of the forward pass, such as autocast.
        checkpointing: whether the cells checkpoint their activations.
    """
    network = module.supernet if isinstance(module, GradientSearch) else module.network
    if checkpointing:
        checkpoint_cells(network)
    try:
        with (
            nullcontext() if precision is None else precision,
            random_state_kept(module, next(network.parameters()).device),
        ):
            archs = list(_architectures(module))
            peaks = [_peak(network, IMAGES[0], shape, arch) for arch in archs]
            largest = max(range(len(archs)), key=peaks.__getitem__)
            more = _peak(network, IMAGES[1], shape, archs[largest])
    finally:
        if checkpointing:
            keep_activations(network)
    trained = [p for p in module.parameters() if p.requires_grad]
    second_order = isinstance(module, GradientSearch) and _is_unrolled(module)
    return StepMemory(
        parameters=_bytes([*module.parameters(), *module.buffers()]),
        gradients=_bytes(trained) * (1 + (COPIES if second_order else 0)),
        optimizer=sum(map(optimizer_bytes, optimizers)),
        image=(more - peaks[largest]) // (IMAGES[1] - IMAGES[0]),
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
    accepted = inspect.signature(type(optimizer)).parameters  # AdamW has a default that is no argument
    try:
        other = type(optimizer)([probe], **{k: v for k, v in optimizer.defaults.items() if k in accepted})
        other.step()
    except (TypeError, ValueError, RuntimeError, AssertionError):  # an optimizer with other arguments
        return 2.0 * probe.element_size()
    state = [value for value in other.state[probe].values() if isinstance(value, Tensor)]
    return sum(value.element_size() for value in state if value.shape == probe.shape)


def _peak(network: nn.Module, count: int, shape: Sequence[int], arch: Architecture | None) -> int:
    """Return the peak of the forward and backward pass of a batch of ``count`` images, without gradients of weights.

    At the end of the backward pass of a small batch those exceed the activations, so they are counted apart.
    """
    like = next(network.parameters())
    images = torch.zeros(count, *shape, dtype=like.dtype, device=like.device, requires_grad=True)
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    rows = {name: _leaf(row) for name, row in (arch or {}).items()}
    inputs = [images, *(tensor for row in rows.values() for tensor in (row.op, row.edge) if tensor is not None)]

    def step() -> None:
        with torch.enable_grad():
            outputs = functional_call(network, buffers, (images, rows if arch is not None else None))
            logits = [output for output in tree_leaves(outputs) if isinstance(output, Tensor)]
            loss = torch.stack([output.float().square().sum() for output in logits]).sum()
            torch.autograd.grad(loss, inputs, allow_unused=True)

    return measure_peak(step)


def _leaf(row: EdgeWeights) -> EdgeWeights:
    """Return the same weights as leaves of a new graph."""
    row = row.detach()
    return row._replace(op=row.op.requires_grad_(), edge=None if row.edge is None else row.edge.requires_grad_())


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
    return isinstance(nested_gradients(search.arch_step.gradient)[-1], Unrolled)


def _bytes(tensors: Sequence[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
