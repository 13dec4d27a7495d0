"""nas.training.weight_averaging: condition of the switch, and averages in closed form."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.training.weight_averaging import NonMonotonicTrigger, averaged_sgd, averaged_weights


def fired(losses: list[float], **options) -> list[int]:
    trigger = NonMonotonicTrigger(**options)
    return [epoch for epoch, loss in enumerate(losses) if trigger.update(loss)]


def test_switch_needs_a_loss_above_the_best_before_the_last_five() -> None:
    falling = [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0]
    assert fired([*falling, 3.5]) == [], "3.5 is above 3.0 alone, which is one of the last five"
    assert fired([5.0, 6.0, 6.0, 6.0, 6.0, 6.0]) == [], "five earlier validations are too few"
    assert fired([5.0, 6.0, 6.0, 6.0, 6.0, 6.0, 5.5]) == [6]
    assert fired([5.0, 9.0, 9.0, 9.0, 9.0, 9.0, 5.0]) == [], "equal is not above"


def test_switch_may_compare_with_all_earlier_validations() -> None:
    assert fired([9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 3.5], skip_recent=False) == [7]
    assert fired([3.0, 4.0, 4.0, 4.0, 4.0, 4.0, 3.5], skip_recent=False) == [6]
    assert fired([3.0, 4.0], patience=1) == [] and fired([3.0, 4.0, 3.5], patience=1) == [2]


def test_averages_are_the_means_of_the_weights_after_each_step_but_the_first() -> None:
    weight = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    sgd = torch.optim.SGD([weight], lr=0.1, weight_decay=0.5)
    averaged, path = averaged_sgd(sgd), []
    expected = weight.detach().clone()
    for step in range(5):
        gradient = torch.tensor([0.3 * step, 1.0], dtype=torch.float64)
        weight.grad = gradient.clone()
        averaged.step()
        expected = expected - 0.1 * (gradient + 0.5 * expected)
        assert torch.allclose(weight.detach(), expected, rtol=1e-12)
        path.append(expected)
    with averaged_weights([averaged]):
        assert torch.allclose(weight.detach(), torch.stack(path[1:]).mean(0), rtol=1e-12)
    assert torch.equal(weight.detach(), weight.data) and torch.allclose(weight.detach(), path[-1], rtol=1e-12)


def test_weights_return_after_an_error_and_plain_sgd_has_no_averages() -> None:
    weight = nn.Parameter(torch.ones(1))
    averaged = averaged_sgd(torch.optim.SGD([weight], lr=1.0))
    for _ in range(3):
        weight.grad = torch.ones(1)
        averaged.step()
    with pytest.raises(KeyError), averaged_weights([averaged]):
        assert weight.item() == -1.5
        raise KeyError
    assert weight.item() == -2
    with averaged_weights([torch.optim.SGD([weight], lr=1.0)]):
        assert weight.item() == -2


def test_averaged_sgd_keeps_rates_and_decays_of_groups() -> None:
    weights = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    groups = [{"params": weights[:1]}, {"params": weights[1:], "weight_decay": 0.0}]
    found = averaged_sgd(torch.optim.SGD(groups, lr=20.0, weight_decay=8e-7)).param_groups
    assert [(g["lr"], g["weight_decay"], g["t0"], g["lambd"]) for g in found] == [(20, 8e-7, 0, 0), (20, 0, 0, 0)]
