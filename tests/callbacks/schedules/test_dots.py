"""Stages of DOTS: phases, temperatures, kept ops, batches of both parts, and resume."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import SGD, Adam

from nas.callbacks.schedules.dots import DotsStages, best_of
from nas.gradients.unrolled import Unrolled
from nas.relaxations.softmax import Softmax
from nas.relaxations.topology import Topology
from nas.searches.arch_step import ArchStep
from nas.searches.gradient import GradientSearch
from nas.searches.weight_step import WeightStep
from nas.spaces.darts.space import Darts
from nas.utils.errors import NasError
from tests.callbacks.schedules.test_stages import fitted
from tests.support.resume_in_process import assert_resumes_bit_equal

OPS = ["none", "max_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_3x3"]


def build(relaxation: Any = Topology, **arch: Any) -> GradientSearch:
    torch.manual_seed(0)
    space = Darts((3, 8, 8), 10, channels=2, layers=3, ops=OPS)
    weights = WeightStep(partial(SGD, lr=0.1, momentum=0.9), clip_params=arch.pop("clip_params", "weights"))
    step = ArchStep(partial(Adam, lr=0.05, betas=(0.5, 0.999)), **arch)
    stages = DotsStages(op_epochs=3, topology_epochs=4, warmup_epochs=(1, 2), end=0.5)
    return GradientSearch(space, relaxation, weights, step, callbacks=[stages])


def test_phases_are_those_of_the_publication_and_scale_with_the_run() -> None:
    stages = DotsStages()
    assert stages.phases(70) == (15, 30, 50) and stages.phases(7) == (1, 3, 5)
    assert stages.phases(1) == (0, 1, 1) and stages.phases(2) == (0, 1, 1)
    assert DotsStages(start=5.0).temperature(50, 70) == 5.0
    found = [stages.temperature(epoch, 70) for epoch in range(70)]
    assert found[:50] == [1.0] * 50 and found[50] == 10.0 and found[69] == pytest.approx(0.02)
    assert all(
        later / earlier == pytest.approx(0.002 ** (1 / 19))
        for earlier, later in zip(found[50:], found[51:], strict=False)
    )


def test_best_of_a_group_is_its_largest_entry() -> None:
    alpha = torch.tensor([[1.0, 3.0, 2.0], [1.0, 3.0, 2.0]])
    mask = torch.tensor([[True, False, True], [False, False, False]])
    assert best_of(alpha, mask).tolist() == [[False, False, True], [False, False, False]]


@pytest.mark.filterwarnings("ignore")
def test_search_passes_through_all_phases() -> None:
    search = build()
    seen: list[tuple[int, str, float]] = []
    alphas: list[dict[str, torch.Tensor]] = []
    losses: list[float] = []

    def record(observed: Any) -> None:
        seen.append((search.current_epoch, observed.phase, float(search.relaxation.tau)))  # type: ignore[arg-type]
        alphas.append({n: a.detach().clone() for n, a in search.relaxation.alpha.items()})
        losses.append(float(observed.loss))

    search.observers.append(record)
    trainer = fitted(search, 7)
    assert [epoch for epoch, phase, _ in seen if phase == "arch"] == [1, 2, 5, 6], "warm-ups train no alpha"
    orders = {epoch: [phase for e, phase, _ in seen if e == epoch] for epoch in (2, 6)}
    assert orders == {2: ["arch", "train"], 6: ["train", "arch"]} and search.step_order == "simultaneous"
    assert losses[-1] == losses[-2], "one pass of the topology search has the loss of both steps"
    assert {epoch: tau for epoch, _, tau in seen} == pytest.approx({**dict.fromkeys(range(5), 1.0), 5: 10.0, 6: 0.5})
    last = alphas[[epoch for epoch, *_ in seen].index(3) - 1]
    for name, cell in search.space.cells.items():
        for row, kept in zip(last[name].tolist(), search.masks.lists(name), strict=True):
            groups = ((0, 1, 2), (3, 4))
            assert [c for c, on in enumerate(kept) if on] == [max(group, key=row.__getitem__) for group in groups]
        assert len(cell.ops) == 5
    assert all(not alphas[[epoch for epoch, *_ in seen].index(3)][name].any() for name in alphas[0]), (
        "they restart at 0"
    )
    assert trainer.optimizers[1].param_groups[0]["betas"] == (0.9, 0.999) and search.arch_step.single_level
    assert {int(state["step"]) for state in trainer.optimizers[1].state.values()} == {2}
    assert any(beta.any() for beta in search.relaxation.beta.values())  # type: ignore[union-attr, operator]
    search.space.check(search.genotype())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("after", [1, 4, 5])
def test_search_resumes_in_every_phase(after: int, tmp_path: Path) -> None:
    assert_resumes_bit_equal(build, 7, after, tmp_path)


def test_topology_search_trains_on_both_parts() -> None:
    search, stages = build(), DotsStages()
    trainer: Any = type("T", (), {"current_epoch": 5})()
    search.stage, search.first_epoch_of_stage, search.arch_step.warmup_epochs = 1, 3, 2
    batches = [{"train": 0, "val": 1} for _ in range(4)]
    for i, batch in enumerate(batches):
        stages.on_train_batch_start(trainer, search, batch, i)
    assert [batch["train"] for batch in batches] == [0, 1, 0, 1]
    trainer.current_epoch = 4
    batch = {"train": 0, "val": 1}
    stages.on_train_batch_start(trainer, search, batch, 1)
    assert batch["train"] == 0, "the warm-up trains on the part of the weights"


@pytest.mark.parametrize("options", [{"warmup_epochs": (31, 0)}, {"warmup_epochs": (3,)}, {"betas": (1.0, 0.9)}])
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(NasError, match=next(iter(options))):
        DotsStages(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"warmup_epochs": 9}, "method.arch_step.warmup_epochs=9: .* Use method.callbacks.0.warmup_epochs"),
        ({"warmup_share": 0.5}, "method.arch_step.warmup_share=0.5: .* Use method.callbacks.0.warmup_epochs"),
        ({"single_level": True}, "method.arch_step.single_level=true: .*method.callbacks.0.warmup_epochs"),
        ({"gradient": Unrolled()}, "needs the first-order gradient"),
        ({"clip_params": "all"}, "clip_params=weights"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_options_of_the_steps_without_effect_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(NasError, match=message) as error:
        build(**options)
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore")
def test_passes_are_refused() -> None:
    search = build()
    search.accumulate(2)
    with pytest.raises(NasError, match="^DotsStages: .* in one pass"):
        fitted(search, 1)


def test_other_relaxations_are_refused() -> None:
    with pytest.raises(NasError, match="Set method.relaxation to Topology"):
        build(Softmax)
