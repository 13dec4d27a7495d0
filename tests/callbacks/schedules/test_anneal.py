"""Tests of the annealing schedule of an attribute."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl

from nas.callbacks.schedules.anneal import Anneal
from nas.nn.edges.mixed import MixedEdge
from nas.nn.edges.skips import AuxiliarySkip
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError


class Supernet(pl.LightningModule):
    """Module with a supernet whose edges may have a beta."""

    def __init__(self, edge: Any) -> None:
        super().__init__()
        self.supernet = NasBench201((3, 8, 8), 10, channels=4, cells_per_stage=1).supernet(edge)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("linear", lambda e: (50 - e) / 50),
        ("cosine", lambda e: (1 + math.cos(math.pi * e / 50)) / 2),
        ("slow_cosine", lambda e: math.cos(math.pi * e / 100)),
    ],
)
def test_anneal_sets_the_value_of_every_edge(shape: Any, expected: Callable[[int], float]) -> None:
    schedule = Anneal("supernet.*.beta", 1.0, 0.0, shape, inclusive=False)
    module = Supernet(AuxiliarySkip)
    edges = [edge for edge in module.modules() if isinstance(edge, AuxiliarySkip)]
    assert len(edges) == 18
    for epoch in (0, 1, 20, 49):
        trainer: Any = type("T", (), {"max_epochs": 50, "current_epoch": epoch})()
        schedule.on_train_epoch_start(trainer, module)
        assert {edge.beta for edge in edges} == {schedule.value(epoch, 50)}
        assert math.isclose(schedule.value(epoch, 50), expected(epoch), abs_tol=1e-12)


def test_anneal_follows_shares_of_the_run() -> None:
    """The schedule covers the first 50 epochs; the 81 epochs after them have the end value."""
    shared = Anneal("eps", 0.03, 0.3, inclusive=False, shares=(50, 81))
    for epoch in range(50):
        assert math.isclose(shared.value(epoch, 131), 0.03 + (0.3 - 0.03) * epoch / 50)
    assert [shared.value(epoch, 131) for epoch in range(50, 131)] == pytest.approx([0.3] * 81, abs=1e-15)


@pytest.mark.parametrize("path", ["supernet.*.beta", "supernet.beta", "nothing.*.beta", "task.*.beta"])
def test_anneal_refuses_a_path_without_attributes(path: str) -> None:
    trainer: Any = type("T", (), {"max_epochs": 50, "current_epoch": 0})()
    with pytest.raises(NasError, match="no such attribute"):
        Anneal(path, 1.0, 0.0).on_train_epoch_start(trainer, Supernet(MixedEdge))


def test_anneal_ahead_reaches_the_end_in_the_last_epoch() -> None:
    """Compare with SNAS' schedule, tau = (1 - (e + 1) / 150) * 0.97 + 0.03 in epoch e."""
    anneal = Anneal("relaxation.tau", 1.0, 0.03, inclusive=False, ahead=1)
    for epoch in (0, 1, 74, 148, 149):
        assert anneal.value(epoch, 150) == pytest.approx((1 - (epoch + 1) / 150) * 0.97 + 0.03)
    assert anneal.value(149, 150) == pytest.approx(0.03)


def test_anneal_reaches_its_end_in_the_last_epoch_or_one_later() -> None:
    """GDAS' temperature falls from 10 to 0.1 over 250 epochs, DrNAS' Gumbel baseline from 10 to 1 over 100."""
    gdas, drnas = Anneal("tau", 10.0, 0.1), Anneal("tau", 10.0, 1.0, inclusive=False)
    found = [gdas.value(epoch, 250) for epoch in range(250)]
    assert found == pytest.approx([10 - 9.9 * epoch / 249 for epoch in range(250)]) and found[-1] == pytest.approx(0.1)
    assert [drnas.value(epoch, 100) for epoch in range(100)] == pytest.approx([10 - 0.09 * e for e in range(100)])
