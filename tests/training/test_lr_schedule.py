"""nas.training.lr_schedule: learning rate of every epoch, against formulas and values computed by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, StepLR

from nas.training.lr_schedule import LRDecay
from nas.utils.errors import NasError
from tests.support.case_ids import option_ids
from tests.support.lr_tools import rates_by_step


def stepped(lr: float, epochs: int, **options) -> list[float]:
    """Return the learning rate of the optimizer in each epoch."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=lr)
    return rates_by_step(LRDecay(optimizer, epochs, **options), epochs)


@pytest.mark.parametrize(
    ("lr", "eta", "epochs"), [(0.025, 0.0, 600), (0.025, 1e-4, 600), (0.1, 0.0, 200), (0.1, 0.0, 12)]
)
def test_lr_decay_cosine_matches_its_formula(lr: float, eta: float, epochs: int) -> None:
    expected = [eta + 0.5 * (lr - eta) * (1 + math.cos(math.pi * e / epochs)) for e in range(epochs)]
    found = stepped(lr, epochs, eta_min=eta)
    assert found == pytest.approx(expected, rel=1e-12) and found[0] == lr
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=lr)
    theirs = rates_by_step(CosineAnnealingLR(optimizer, epochs, eta), epochs)
    assert found == pytest.approx(theirs, rel=1e-9)


def test_lr_decay_cosine_at_selected_epochs() -> None:
    found = stepped(0.1, 12)
    assert [found[e] for e in (0, 3, 6, 9)] == pytest.approx([0.1, 0.0853553391, 0.05, 0.0146446609])


def test_lr_decay_linear_has_two_slopes_after_the_warm_up() -> None:
    """Use the schedule of PC-DARTS and DrNAS on ImageNet: 250 epochs from 0.5, with five epochs of warm-up."""

    def formula(e: int) -> float:
        if e < 5:
            return 0.5 * (e + 1) / 5
        return 0.5 * (250 - 5 - e) / (250 - 5) if 250 - e > 5 else 0.5 * (250 - e) / ((250 - 5) * 5)

    found = stepped(0.5, 250, schedule="linear", warmup_epochs=5)
    assert found == pytest.approx([formula(e) for e in range(250)], rel=1e-12)
    by_hand = {0: 0.1, 4: 0.5, 5: 0.5 * 240 / 245, 244: 0.5 / 245, 245: 0.5 * 5 / 1225, 249: 0.5 / 1225}
    assert {e: found[e] for e in by_hand} == pytest.approx(by_hand)


def test_lr_decay_linear_without_warm_up() -> None:
    found = stepped(0.1, 250, schedule="linear")
    assert found[:2] == pytest.approx([0.1, 0.1 * 244 / 245]) and min(found) > 0


@pytest.mark.parametrize("epochs", [1, 4, 5])
def test_lr_decay_linear_has_one_slope_in_a_short_run(epochs: int) -> None:
    assert stepped(1.0, epochs, schedule="linear") == pytest.approx([(epochs - e) / epochs for e in range(epochs)])


def test_lr_decay_exponential_matches_step_lr() -> None:
    found = stepped(0.1, 250, schedule="exponential")
    assert found == pytest.approx([0.1 * 0.97**e for e in range(250)], rel=1e-12)
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1)
    assert found == pytest.approx(rates_by_step(StepLR(optimizer, 1, 0.97), 250), rel=1e-9)


def test_lr_decay_cosine_is_unchanged_after_the_warm_up() -> None:
    """Use the schedule of TE-NAS on ImageNet."""
    plain, warmed = stepped(0.5, 250), stepped(0.5, 250, warmup_epochs=5)
    assert warmed[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5]) and warmed[5:] == plain[5:]


def test_lr_decay_resumes_from_its_state() -> None:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5)
    first = LRDecay(optimizer, 250, schedule="linear", warmup_epochs=5)
    for _ in range(100):
        optimizer.step()
        first.step()
    second = LRDecay(torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5), 250, schedule="linear", warmup_epochs=5)
    second.load_state_dict(first.state_dict())
    second.optimizer.step()
    second.step()
    assert second.get_last_lr() == [0.5 * (245 - 101) / 245]


def test_lr_decay_reads_the_state_of_release_0_1_0() -> None:
    """Rename the entries of a state to those of that release, and expect the same learning rate after loading it."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5)
    options = {"interval": "step", "warmup_epochs": 2, "warmup_start_lr": 0.1}
    first, second = (LRDecay(optimizer, 8, **options) for _ in range(2))
    for scheduler in (first, second):
        scheduler.set_steps_per_epoch(4)
    for _ in range(13):
        optimizer.step()
        first.step()
    state = first.state_dict()
    names = {"schedule": "law", "interval": "by", "warmup_epochs": "warmup", "slow_tail_epochs": "tail"}
    names |= {"warmup_start_lr": "start", "final_epochs_at_min": "rest", "steps_per_epoch": "steps"}
    second.load_state_dict({names.get(name, name): value for name, value in state.items()})
    assert second.last_epoch == 13 and second.get_lr() == first.get_lr()
    assert second.state_dict().keys() == state.keys()


@pytest.mark.parametrize(
    "options", [{"T_max": 0}, {"warmup_epochs": -1}, {"slow_tail_epochs": -1}, {"schedule": "steps"}], ids=option_ids
)
def test_lr_decay_rejects_invalid_options(options: dict[str, object]) -> None:
    with pytest.raises(NasError, match="scheduler|LRDecay: .*=.*: (use a whole number|unknown)"):
        LRDecay(torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0), **{"T_max": 10, **options})  # type: ignore[arg-type]
