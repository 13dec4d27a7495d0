"""Estimated memory of a step: its parts, and runs that it does not change."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from nas.callbacks.recording.memory import largest_batch
from nas.callbacks.recording.step_memory import StepMemory, estimate_step, optimizer_bytes
from nas.gradients.unrolled import Unrolled
from nas.nn.activation_checkpointing import cells_of, checkpoint_cells
from nas.nn.edges.skips import NoisySkip
from nas.nn.peak_memory import measure_peak
from nas.relaxations.gumbel import Gumbel
from nas.relaxations.softmax import Softmax
from nas.searches.gradient import GradientSearch
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.training.network_training import Training
from tests.support.search_tools import arch_step, weight_step

SHAPE = (3, 8, 8)
OPTIMIZERS: dict[str, Any] = {
    "sgd": partial(SGD, lr=0.1),
    "momentum": partial(SGD, lr=0.1, momentum=0.9),
    "adam": Adam,
    "amsgrad": partial(AdamW, amsgrad=True),
    "rmsprop": partial(RMSprop, momentum=0.9, centered=True),
}


def search(relaxation: Any = Softmax, channels: int = 4, **arch: Any) -> GradientSearch:
    torch.manual_seed(0)
    space = NasBench201(SHAPE, 3, channels=channels, cells_per_stage=1)
    return GradientSearch(space, relaxation, weight_step(), arch_step(**arch))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_bytes_are_those_after_a_step(name: str) -> None:
    network = nn.Sequential(nn.Linear(7, 5), nn.Linear(5, 3).double())
    optimizer: Optimizer = OPTIMIZERS[name](network.parameters())
    expected = optimizer_bytes(optimizer)
    for p in network.parameters():
        p.grad = torch.ones_like(p)
    optimizer.step()
    tensors = [value for state in optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    assert expected == sum(value.numel() * value.element_size() for value in tensors if value.dim())


def test_parts_of_a_step_are_counted() -> None:
    module = search()
    parameters = sum(p.numel() for p in module.parameters())
    buffers = sum(b.numel() * b.element_size() for b in module.buffers())
    memory = estimate_step(module, SHAPE, [SGD(module.supernet.parameters(), lr=0.1, momentum=0.9)])
    assert memory.parameters == 4 * parameters + buffers and memory.gradients == 4 * parameters
    assert memory.optimizer == 4 * sum(p.numel() for p in module.supernet.parameters())
    assert memory.activations(8) == 8 * memory.image
    checkpointed = estimate_step(module, SHAPE, [], checkpointing=True)
    assert checkpointed.image < 0.75 * memory.image and checkpointed.gradients == memory.gradients
    second = estimate_step(search(gradient=Unrolled()), SHAPE, [])
    assert second.gradients > 4 * memory.gradients and second.image == memory.image


def test_activations_grow_with_width_and_number_of_ops() -> None:
    dense, wide, sampled = (estimate_step(s, SHAPE, []) for s in (search(), search(channels=8), search(Gumbel)))
    assert 1.9 * dense.image < wide.image < 2.1 * dense.image
    assert sampled.image < dense.image / 2


@pytest.mark.parametrize("checkpointing", [False, True])
def test_estimate_is_the_peak_of_a_weight_step(checkpointing: bool) -> None:
    module = search(channels=8)
    memory = estimate_step(module, SHAPE, [], checkpointing=checkpointing)
    images, labels = torch.zeros(32, *SHAPE), torch.zeros(32, dtype=torch.int64)
    assert not any("forward" in vars(cell) for cell in cells_of(module.supernet))
    if checkpointing:
        checkpoint_cells(module.supernet)

    def step() -> None:
        arch = module.relaxation.sample_for_weights(module.masks)
        F.cross_entropy(module.supernet(images, arch), labels).backward()

    assert memory.gradients + memory.activations(32) == pytest.approx(measure_peak(step), rel=0.12)


def test_gradients_larger_than_activations_hide_none_of_them() -> None:
    module = search(channels=32)
    small = (3, 4, 4)
    images, labels = torch.zeros(64, *small), torch.zeros(64, dtype=torch.int64)
    memory = estimate_step(module, small, [])

    def step() -> None:
        arch = module.relaxation.sample_for_weights(module.masks)
        F.cross_entropy(module.supernet(images, arch), labels).backward()

    assert memory.gradients > 4 * memory.image
    assert 0.9 < (memory.gradients + memory.activations(64)) / measure_peak(step) < 1.3


@pytest.mark.parametrize("relaxation", [Softmax, Gumbel])
def test_estimate_changes_no_state_of_a_search(relaxation: Any) -> None:
    module = search(relaxation)
    before = {name: value.clone() for name, value in module.state_dict().items() if isinstance(value, Tensor)}
    random = torch.get_rng_state()
    estimate_step(module, SHAPE, [])
    assert torch.equal(torch.get_rng_state(), random)
    after = {name: value for name, value in module.state_dict().items() if isinstance(value, Tensor)}
    assert all(torch.equal(after[name], value) for name, value in before.items())
    sample = module.relaxation.sample(module.masks)["cell"].op
    again = search(relaxation)
    assert torch.equal(sample, again.relaxation.sample(again.masks)["cell"].op)


def test_estimate_changes_no_state_of_noisy_edges_and_trainings() -> None:
    torch.manual_seed(0)
    space = Darts(SHAPE, 3, channels=4, layers=3, nodes=2, ops=["skip_connect", "sep_conv_3x3"])
    noisy = GradientSearch(space, Softmax, weight_step(), arch_step(), edge=NoisySkip)
    genotype = noisy.genotype()
    training = Training(space.network(genotype, channels=4, layers=3), partial(SGD, lr=0.1))
    random = torch.get_rng_state()
    for module in (noisy, training):
        buffers = [buffer.clone() for buffer in module.buffers()]
        assert estimate_step(module, SHAPE, []).image > 0
        assert all(map(torch.equal, buffers, module.buffers()))
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.parametrize(("available", "size"), [(99, 0), (100, 1), (199, 1), (6399, 32), (6400, 64), (-5, 0)])
def test_largest_batch_is_a_power_of_two(available: int, size: int) -> None:
    assert largest_batch(available, StepMemory(0, 0, 0, image=100)) == size
