"""nas.searches.passes: steps in several passes equal steps in one pass."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.gradients.clipped import Clipped
from nas.gradients.mixed_level import MixedLevel
from nas.gradients.unrolled import Unrolled
from nas.objectives.perturbation import RandomNoise
from nas.objectives.reinforce import ReinforceObjective
from nas.objectives.resource_penalty import ResourcePenalty
from nas.relaxations.dirichlet import Dirichlet
from nas.relaxations.edge_normalized import EdgeNormalized
from nas.relaxations.gumbel import Gumbel
from nas.relaxations.softmax import Softmax
from nas.searches.arch_step import ArchStep
from nas.searches.compatibility import check_passes
from nas.searches.gradient import GradientSearch
from nas.searches.passes import accumulate_loss, split_batch
from nas.searches.weight_step import WeightStep
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError

SGD = partial(torch.optim.SGD, lr=0.1, momentum=0.9)
ADAM = partial(torch.optim.Adam, lr=0.01)
PENALTY = partial(ResourcePenalty, kind="all", estimator="sample", strength=0.1)
SPACE = NasBench201((3, 8, 8), 5, channels=4, cells_per_stage=1)


def without_norm(search: GradientSearch) -> GradientSearch:
    """Remove batch norm from the supernet of a search."""
    for module in list(search.supernet.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    search.weights = dict(search.supernet.named_parameters())
    return search


def build(relaxation: Any, **arch: Any) -> GradientSearch:
    """Build a search in float64 without batch norm and without a trainer."""
    torch.manual_seed(0)
    search = without_norm(GradientSearch(SPACE, relaxation, WeightStep(SGD), ArchStep(ADAM, **arch)).double())
    search.log = lambda *args, **options: None  # type: ignore[method-assign]
    search.manual_backward = lambda loss: loss.backward()  # type: ignore[method-assign]
    return search


def batches(count: int) -> dict[str, tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return {
        part: (
            torch.randn(count, 3, 8, 8, dtype=torch.float64, generator=generator),
            torch.randint(0, 5, (count,), generator=generator),
        )
        for part in ("train", "val")
    }


class Wrapped:
    """Lightning's wrapper of an optimizer."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.zero_grad, self.step = optimizer.zero_grad, optimizer.step


def state_after_steps(search: GradientSearch, count: int) -> dict[str, Tensor]:
    optimizers = [Wrapped(SGD(search.supernet.parameters())), Wrapped(ADAM(search.relaxation.parameters()))]
    torch.manual_seed(2)
    for _ in range(3):
        given = batches(count)
        search.train_architecture(given, optimizers)
        search.train_weights(given["train"], optimizers[0])
    return {name: value.detach().clone() for name, value in search.named_parameters()}


@pytest.mark.parametrize(
    ("relaxation", "arch"),
    [
        (Softmax, {"gradient": Clipped(1e-3)}),
        (Softmax, {"gradient": MixedLevel(0.5)}),
        (Dirichlet, {}),
        (EdgeNormalized, {}),
        (partial(Gumbel, hard=True, tau=2.0), {"clip_norm": 0.01}),
        (partial(Gumbel, hard=False, tau=2.0), {"resource": PENALTY}),
    ],
)
@pytest.mark.parametrize(("count", "size"), [(8, 2), (7, 3)])
def test_steps_in_passes_equal_steps_in_one_pass(relaxation: Any, arch: Any, count: int, size: int) -> None:
    whole = state_after_steps(build(relaxation, **arch), count)
    search = build(relaxation, **arch)
    seen: list[tuple[str, int]] = []
    search.observers.append(lambda found: seen.append((found.phase, len(found.batch[1]))))
    search.accumulate(size)
    parts = state_after_steps(search, count)
    start = dict(build(relaxation, **arch).named_parameters())
    changed = {name.partition(".")[0] for name in start if not torch.equal(whole[name], start[name])}
    assert whole.keys() == parts.keys() and changed == {"supernet", "relaxation"}
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, rtol=1e-9, atol=1e-12)
    assert [images for phase, images in seen if phase == "train"][:2] == [size, size], "each pass has a part"


def test_parts_of_a_batch() -> None:
    x, y = torch.arange(7.0), torch.arange(7)
    parts = list(split_batch((x, y), 3))
    assert [part[1].tolist() for part, _ in parts] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [share for _, share in parts] == [3 / 7, 3 / 7, 1 / 7]
    assert [share for _, share in split_batch((x, y), None)] == [1.0] == [s for _, s in split_batch((x, y), 7)]


def test_accumulated_loss_has_the_value_and_gradient_of_the_whole_batch() -> None:
    search = build(Dirichlet)
    batch, alphas = batches(6)["val"], list(search.relaxation.parameters())
    arch = search.relaxation.sample(search.masks)

    def evaluated(value: Tensor, logits: Tensor) -> tuple[Tensor, ...]:
        return value.detach(), *torch.autograd.grad(value, alphas, retain_graph=True), logits.detach()

    logits = search.supernet(batch[0], arch)
    truth = evaluated(search.task.loss(logits, batch[1]), logits)
    for size in (None, 2, 4):
        loss = accumulate_loss(search.supernet, search.task.loss, arch, split_batch(batch, size))
        for a, b in zip(evaluated(loss.value, loss.logits), truth, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("weights", "arch", "phrase"),
    [
        ({"clip_params": "all"}, {}, "method.weight_step.clip_params=all"),
        ({"perturbation": RandomNoise(0.1)}, {}, "method.weight_step.perturbation=RandomNoise"),
        ({}, {"gradient": Unrolled()}, "method.arch_step.gradient=Unrolled"),
        ({}, {"gradient": Clipped(1.0, Unrolled())}, "method.arch_step.gradient=Unrolled"),
        ({}, {"reward": ReinforceObjective()}, "method.arch_step.reward=ReinforceObjective"),
    ],
)
def test_steps_that_need_one_pass_are_refused(weights: Any, arch: Any, phrase: str) -> None:
    with pytest.raises(NasError, match="in one pass. Set dataset.batch_size=null") as error:
        check_passes(WeightStep(SGD, **weights), ArchStep(ADAM, **arch))
    assert str(error.value).startswith(phrase)
    check_passes(WeightStep(SGD), ArchStep(None, gradient=Unrolled()))
