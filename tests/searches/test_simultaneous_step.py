"""Steps on weights and architecture from one pass, against the gradients of that pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from nas.gradients.unrolled import Unrolled
from nas.objectives.perturbation import RandomNoise
from nas.relaxations.binary_gates import GateRelaxation
from nas.relaxations.single_path import SinglePath
from nas.searches.gradient import GradientSearch
from nas.searches.simultaneous_step import SimultaneousStep
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.searches.test_steps import batches, build, train
from tests.support.search_tools import arch_step, weight_step

SPACE = NasBench201((3, 4, 4), 3, channels=2, cells_per_stage=1)


class Plain:
    """Optimizer in place of Lightning's wrapper."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer
        self.zero_grad, self.step = optimizer.zero_grad, optimizer.step


def search_of(**options: Any) -> GradientSearch:
    torch.manual_seed(0)
    relaxation = lambda cells: SinglePath(cells, init_std=1.0)  # noqa: E731
    steps = weight_step(clip_norm=None), arch_step(single_level=True)
    return GradientSearch(SPACE, relaxation, *steps, step_order="simultaneous", **options).double()


@pytest.mark.parametrize("update", [True, False])
def test_both_steps_follow_the_gradients_of_one_pass(update: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    search = search_of(label_smoothing=0.2)
    monkeypatch.setattr(search, "log_step", lambda *args: None)
    monkeypatch.setattr(search, "manual_backward", lambda loss: loss.backward())
    x, y = batches(1)[0]["train"]
    state = search.relaxation.generators.get_extra_state()
    alpha = search.relaxation.alpha["cell"]
    logits = search.supernet(x, search.relaxation.sample(search.masks))
    loss = nn.functional.cross_entropy(logits, y, label_smoothing=0.2)
    weights = [p for p in search.supernet.parameters()]
    grads = torch.autograd.grad(loss, [alpha, *weights], allow_unused=True)
    before = [p.detach().clone() for p in (alpha, *weights)]
    search.relaxation.generators.set_extra_state(state)
    seen: list[str] = []
    search.observers.append(lambda observation: seen.append(observation.phase))
    optimizers = [Plain(search.weight_step.optimizer(weights)), Plain(torch.optim.SGD([alpha], lr=0.1))]
    SimultaneousStep(search.weight_step, search.arch_step, None).take(
        search, search.relaxation, (x, y), optimizers, update
    )
    moved = [(old - new) / 0.1 for old, new in zip(before, (alpha, *weights), strict=True)]
    assert seen == (["train", "arch"] if update else ["train"])
    for change, grad, index in zip(moved, grads, range(len(moved)), strict=True):
        expected = torch.zeros_like(change) if grad is None or (index == 0 and not update) else grad
        torch.testing.assert_close(change, expected, rtol=1e-6, atol=1e-12)


def test_a_search_alternates_neither_batches_nor_samples() -> None:
    search = train(build(lambda cells: SinglePath(cells), "simultaneous", single_level=True), batches(3))
    assert search.trainer.global_step == 3
    assert {"train/loss", "arch/loss"} <= set(search.trainer.callback_metrics)
    assert search.trainer.callback_metrics["train/loss"] == search.trainer.callback_metrics["arch/loss"]


@pytest.mark.parametrize(
    "options",
    [
        {"arch": {"single_level": False}},
        {"arch": {"gradient": Unrolled()}},
        {"arch": {"per_batch": False}},
        {"weight": {"perturbation": RandomNoise()}},
        {"weight": {"clip_params": "all"}, "phrase": "clip_params=all: .* the weights alone"},
    ],
    ids=["bilevel", "unrolled", "not_per_batch", "perturbation", "clip_params"],
)
def test_parts_that_need_passes_of_their_own_are_refused(options: dict[str, Any]) -> None:
    arch = arch_step(**{"single_level": True, **options.get("arch", {})})
    phrase = options.get("phrase", "method.step_order=simultaneous: both steps share one pass")
    with pytest.raises(NasError, match=phrase):
        GradientSearch(SPACE, SinglePath, weight_step(**options.get("weight", {})), arch, step_order="simultaneous")


def test_gates_and_their_edges_need_each_other() -> None:
    with pytest.raises(NasError, match="GateRelaxation and BinaryGates need each other. Use method=proxyless"):
        GradientSearch(SPACE, GateRelaxation, weight_step(), arch_step())


@pytest.mark.parametrize(("every", "steps"), [(1, 5), (2, 3), (5, 1)])
def test_every_is_the_number_of_batches_per_architecture_step(every: int, steps: int) -> None:
    search, seen = build(every=every), []
    search.observers.append(lambda observation: seen.append(observation.phase))
    train(search, batches(5))
    assert (seen.count("train"), seen.count("arch")) == (5, steps)


@pytest.mark.parametrize(
    ("order", "every", "warned"),
    [("weights_first", 4, True), ("weights_first", 3, False), ("arch_first", 4, False)],
)
def test_epochs_without_an_architecture_step_are_named(
    order: Any, every: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    search, seen = build(step_order=order, every=every), []
    search.observers.append(lambda observation: seen.append(observation.phase))
    train(search, batches(3))
    found = [record.getMessage() for record in caplog.records if "method.arch_step.every=4" in record.getMessage()]
    assert len(found) == warned and ("arch" not in seen) == warned
    assert all("epochs of 3 batches" in line for line in found)


def test_warmup_share_is_a_share_of_the_epochs() -> None:
    search, seen = build(warmup_share=0.5, warmup_epochs=1), []
    search.observers.append(lambda observation: seen.append(observation.phase))
    train(search, batches(1), epochs=5)
    assert seen == ["train"] * 3 + ["arch", "train"] * 2, "0.5 of 5 epochs, rounded down, and one more"


def test_label_smoothing_applies_to_training_losses() -> None:
    batch = batches(1)[0]["train"]
    for smooth in (True, False):
        search = build(smooth_labels=smooth)
        smoothed = GradientSearch(
            search.space, lambda cells, s=search: s.relaxation, weight_step(), search.arch_step, label_smoothing=0.3
        ).double()
        smoothed.supernet.load_state_dict(search.supernet.state_dict())
        logits = smoothed.supernet(batch[0], smoothed.relaxation.sample(smoothed.masks))
        expected = nn.functional.cross_entropy(logits, batch[1], label_smoothing=0.3 if smooth else 0.0)
        torch.testing.assert_close(smoothed.loss(batch), expected)


def test_decay_can_spare_norms_and_biases() -> None:
    search = train(build(weight={"decay_norm_and_bias": False}), batches(1))
    groups = search.trainer.optimizers[0].param_groups
    assert [group["weight_decay"] for group in groups] == [0.01, 0.0]
    assert all(p.ndim > 1 for p in groups[0]["params"]) and all(p.ndim <= 1 for p in groups[1]["params"])
