"""Budget of process CPU time: the end of a search, its files, its resume."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
import pytorch_lightning as pl

from nas.callbacks.guards.cpu_budget import CpuBudget
from nas.cli.run_dir.figures import cpu_figures
from nas.utils.errors import NasError
from tests.support.compose_tools import lines, tiny
from tests.support.error_tools import run


@pytest.fixture
def clock() -> Iterator[SimpleNamespace]:
    """Replace the CPU clock by one that tests set."""
    found = SimpleNamespace(now=100.0)
    with mock.patch("nas.callbacks.guards.cpu_budget.time.process_time", lambda: found.now):
        yield found


def trainer(epochs: int) -> mock.Mock:
    found = mock.Mock(max_epochs=epochs, current_epoch=0, should_stop=False, is_global_zero=True)
    found.strategy.reduce_boolean_decision = lambda decision, all: decision
    return found


def run_epochs(budget: CpuBudget, clock: SimpleNamespace, made: mock.Mock, seconds: list[float]) -> int:
    """Run epochs of the given CPU seconds until the search ends, and return their number."""
    module = mock.Mock(spec=pl.LightningModule)
    budget.on_fit_start(made, module)
    for taken in seconds:
        clock.now += taken
        budget.on_train_epoch_end(made, module)
        made.current_epoch += 1
        if made.should_stop:
            break
    return int(made.current_epoch)


@pytest.mark.parametrize(
    ("minutes", "seconds", "epochs"),
    [
        (1.0, [15, 15, 15, 15, 15], 4),  # the fifth does not fit
        (1.0, [10, 30, 15, 15], 2),  # the longest epoch counts
        (0.1, [15, 15], 1),  # the first epoch always runs
        (None, [15, 15, 15], 3),
    ],
)
def test_budget_ends_before_the_epoch_that_does_not_fit(
    clock: SimpleNamespace, minutes: float | None, seconds: list[float], epochs: int
) -> None:
    budget, made = CpuBudget(minutes), trainer(10)
    assert run_epochs(budget, clock, made, seconds) == epochs
    assert budget.seconds() == sum(seconds[:epochs])


def test_budget_does_not_report_a_complete_search(clock: SimpleNamespace, caplog: pytest.LogCaptureFixture) -> None:
    made = trainer(2)
    with caplog.at_level(logging.WARNING):
        assert run_epochs(CpuBudget(0.5), clock, made, [15, 15]) == 2
    assert not made.should_stop and not caplog.records


def test_resumed_budget_includes_the_time_of_its_checkpoint(clock: SimpleNamespace) -> None:
    first, second = CpuBudget(1.0), CpuBudget(1.0)
    run_epochs(first, clock, trainer(10), [25])
    second.load_state_dict(first.state_dict())
    assert run_epochs(second, clock, trainer(10), [5, 5]) == 2 and second.seconds() == 35
    assert run_epochs(second, clock, trainer(10), [1]) == 1, "the epoch of 25 seconds is still the longest"


@pytest.mark.parametrize(
    ("minutes", "epochs", "within", "stops"),
    [(1.0, 10, False, True), (1.5, 10, False, False), (1.0, 2, False, False), (1.0, 10, True, False)],
)
def test_resumed_budget_ends_at_once_if_no_epoch_fits(
    clock: SimpleNamespace, minutes: float, epochs: int, within: bool, stops: bool
) -> None:
    first, second, made = CpuBudget(1.0), CpuBudget(minutes), trainer(epochs)
    run_epochs(first, clock, trainer(10), [25, 30])
    second.load_state_dict({**first.state_dict(), "within": within})
    second.on_fit_start(made, mock.Mock(spec=pl.LightningModule))
    assert made.should_stop is second.ended is stops


def test_budget_does_not_claim_the_stop_of_another_callback(clock: SimpleNamespace) -> None:
    budget, made = CpuBudget(0.1), trainer(10)
    made.should_stop = True
    run_epochs(budget, clock, made, [15])
    assert not budget.ended


def test_time_of_a_shared_process_is_not_that_of_the_search(clock: SimpleNamespace) -> None:
    shared, resumed = CpuBudget(shared=True), CpuBudget(1.0)
    run_epochs(shared, clock, trainer(10), [500])
    assert cpu_figures([shared]) == {"cpu_minutes": None}
    resumed.load_state_dict(shared.state_dict())
    assert run_epochs(resumed, clock, trainer(10), [25, 25]) == 2
    assert cpu_figures([resumed]) == {"cpu_minutes": 1.0}


def test_budget_is_positive() -> None:
    with pytest.raises(NasError, match="minutes"):
        CpuBudget(0.0)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the directory and the log of a search that its budget ends after the first of three epochs."""
    directory = tmp_path_factory.mktemp("ended") / "run"
    options = ["~callbacks.cell_plots", "epochs=3", "cpu_minutes=1e-6", f"hydra.run.dir={directory}"]
    done = run("search", *tiny("darts"), *options)
    done.succeeded()
    return directory, done.said


def test_search_within_a_budget_is_complete(ended: tuple[Path, str]) -> None:
    directory, log = ended
    (line,) = lines(directory / "history.jsonl")
    summary = json.loads((directory / "summary.json").read_text())
    assert summary["epochs"] == 1 and summary["genotype"] == line["genotype"]
    assert summary["cpu_seconds"] > 0 and summary["cpu_minutes"] == 1e-6
    assert "cpu_minutes=1e-06: the search ends after 1 of 3 epochs" in " ".join(log.split())
    assert (directory / "checkpoints" / "last.ckpt").is_file()


@pytest.mark.parametrize(("minutes", "epochs"), [("1e-6", 1), ("100", 3)])
def test_search_resumes_within_a_larger_budget_only(
    ended: tuple[Path, str], minutes: str, epochs: int, tmp_path: Path
) -> None:
    run("search", f"ckpt_path={ended[0]}", f"cpu_minutes={minutes}", f"hydra.run.dir={tmp_path}").succeeded()
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["epochs"], summary["cpu_minutes"]) == (epochs, float(minutes))
    trained = lines(tmp_path / "history.jsonl") if epochs > 1 else []
    assert [line["epoch"] for line in trained] == list(range(1, epochs))
