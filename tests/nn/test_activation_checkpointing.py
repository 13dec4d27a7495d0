"""Steps with activation checkpointing against plain steps, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.utils.data import DataLoader

from nas.callbacks.activation_checkpointing import ActivationCheckpointing
from nas.gradients.hessian import hessian
from nas.gradients.unrolled import Unrolled
from nas.nn.activation_checkpointing import CheckpointedForward, cells_of, checkpoint_cells, keep_activations
from nas.nn.drop_path import DropPath
from nas.nn.edges.mixed import MixedEdge
from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.edges.skips import NoisySkip
from nas.objectives.perturbation import Adversarial
from nas.relaxations.edge_normalized import EdgeNormalized
from nas.relaxations.gumbel import Gumbel
from nas.relaxations.softmax import Softmax
from nas.searches.gradient import GradientSearch
from nas.searches.weight_step import WeightStep
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.training.network_training import Training
from tests.support.search_tools import arch_step

SHAPE = (3, 8, 8)
OPS = ["none", "skip_connect", "sep_conv_3x3", "max_pool_3x3", "avg_pool_3x3"]
NB201 = partial(NasBench201, SHAPE, 3, channels=2, cells_per_stage=2)
DARTS = partial(Darts, SHAPE, 3, channels=4, layers=3, nodes=2, ops=OPS)
INACTIVE = partial(MixedEdge, add_inactive=True)
PARTIAL = partial(PartialChannels, channel_divisor=2)
SEARCHES: dict[str, Callable[[], dict[str, Any]]] = {
    "gdas": lambda: {"space": NB201, "relaxation": Gumbel, "edge": INACTIVE},
    "darts": lambda: {"space": DARTS, "relaxation": Softmax},
    "second_order": lambda: {"space": DARTS, "relaxation": Softmax, "gradient": Unrolled()},
    "double_backward": lambda: {"space": DARTS, "relaxation": Softmax, "gradient": Unrolled(exact=True)},
    "pc_darts": lambda: {"space": DARTS, "relaxation": partial(EdgeNormalized, relaxation=Softmax), "edge": PARTIAL},
    "fused": lambda: {"space": partial(NB201, fused=True), "relaxation": Softmax},
    "noise": lambda: {"space": DARTS, "relaxation": Softmax, "edge": NoisySkip},
    "attack": lambda: {"space": NB201, "relaxation": Softmax, "perturbation": Adversarial(0.05, steps=2)},
}


def batch(seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, *SHAPE, generator=generator), torch.randint(3, (4,), generator=generator)


def fit(module: pl.LightningModule, batches: Any, checkpointing: bool) -> dict[str, Any]:
    """Train a module, and return its tensors and the random state afterwards."""
    trainer = pl.Trainer(
        max_epochs=1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[ActivationCheckpointing()] if checkpointing else [],
    )
    trainer.fit(module, DataLoader(batches, batch_size=None))
    return {**module.state_dict(), "random": torch.get_rng_state()}


def search(space: Any, relaxation: Any, edge: Any = MixedEdge, perturbation: Any = None, **arch: Any) -> GradientSearch:
    weight_step = WeightStep(partial(SGD, lr=0.1, momentum=0.9), perturbation=perturbation)
    return GradientSearch(space(), relaxation, weight_step, arch_step(**arch), edge=edge)


def different(first: dict[str, Any], second: dict[str, Any]) -> list[str]:
    assert list(first) == list(second), "names of the tensors"
    tensors = [name for name, value in first.items() if isinstance(value, Tensor)]
    return [name for name in tensors if not torch.equal(first[name], second[name])]


@pytest.mark.parametrize("name", SEARCHES)
def test_search_steps_are_bit_equal(name: str) -> None:
    batches = [{"train": batch(step), "val": batch(10 + step)} for step in range(2)]
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        found.append(fit(search(**SEARCHES[name]()), batches, checkpointing))
    assert different(*found) == []


def test_training_steps_with_drop_path_are_bit_equal() -> None:
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        space = Darts(SHAPE, 3, ops=OPS, nodes=2)
        genotype = space.sample(random.Random(1))
        network = space.network(genotype, channels=4, layers=4, auxiliary=True)
        for module in network.modules():
            if isinstance(module, DropPath):
                module.probability = 0.5
        training = Training(network, partial(SGD, lr=0.1), classes=3)
        training._set_drop_path = lambda: None  # type: ignore[method-assign]
        found.append(fit(training, [batch(step) for step in range(2)], checkpointing))
    assert different(*found) == []


def test_hessian_is_bit_equal() -> None:
    found = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        module = search(NB201, Softmax)
        if checkpointing:
            checkpoint_cells(module.supernet)
        alphas = list(module.relaxation.alpha.values())
        found.append(hessian(lambda m=module: m.loss(batch(0), m.weights), alphas, torch.arange(2)))  # type: ignore[misc]
    assert torch.equal(*found) and bool(found[0].any())


def test_backward_pass_computes_cells_again_and_keeps_statistics_of_one_pass() -> None:
    torch.manual_seed(0)
    module = search(NB201, Softmax)
    cells = cells_of(module.supernet)
    calls: list[nn.Module] = []
    for cell in cells:
        cell.register_forward_hook(lambda cell, args, output: calls.append(cell))
    checkpoint_cells(module.supernet)
    loss = module.loss(batch(0))
    assert calls == cells
    loss.backward()
    assert calls == [*cells, *reversed(cells)]
    counts = {int(buffer) for name, buffer in module.supernet.named_buffers() if name.endswith("num_batches_tracked")}
    assert counts == {1}
    with torch.no_grad():
        module.loss(batch(0))
    assert len(calls) == 3 * len(cells), "a pass without gradients stores nothing"
    keep_activations(module.supernet)
    assert not any(isinstance(cell.forward, CheckpointedForward) for cell in cells)
