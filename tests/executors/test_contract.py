"""Contract of all executors: equal values, order of the results, failures, killed workers, and an end without rests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nas.executors.base import BuildError, Outcome, Task
from nas.executors.futures import Futures
from nas.executors.in_order import in_order
from nas.executors.serial import SerialWorkers
from nas.executors.worker import Payload, WorkerEvaluation, pack
from nas.utils.errors import NasError
from tests.support.executor_tools import (
    NoBuild,
    Signaled,
    Sleep,
    Squares,
    build_executor,
    children,
    executors,
    wait_for,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers start without an import of PyTorch."""
    for module in ("processes", "futures", "ray_cluster"):
        monkeypatch.setattr(f"nas.executors.{module}.current_settings", lambda threads=None: None)


@pytest.mark.usefixtures("light")
@executors()
def test_values_failures_and_order(name: str, tmp_path: Path) -> None:
    """A failure is repeated once, a second one is an outcome, and neither changes the other values or the order."""
    before, executor = children(), build_executor(name)
    build = Squares(tmp_path, fails={3: 1, 5: 2}, slow=(0,))
    with executor.start(build) as workers:
        assert workers.count == executor.workers() == (1 if name == "serial" else 2)
        outcomes = list(in_order(workers, [Task(n, 100 if n == 7 else None, n) for n in range(9)]))
    assert [outcome.position for outcome in outcomes] == list(range(9))
    values = [outcome.value and outcome.value[0] for outcome in outcomes]
    assert values == [0, 1, 4, 9, 16, None, 36, 149, 64]
    assert [outcome.error for outcome in outcomes if outcome.error] == ["ZeroDivisionError: attempt 2 of 5"]
    assert all(outcome.seconds > 0 for outcome in outcomes)
    processes = {outcome.value[1] for outcome in outcomes if outcome.value}
    assert (processes == {os.getpid()}) is (name == "serial") and len(processes) <= workers.count
    assert wait_for(lambda: children() <= before), "no process is left"


@pytest.mark.usefixtures("light")
@executors("processes", "futures", "ray")
def test_killed_worker_costs_one_attempt(name: str, tmp_path: Path) -> None:
    build = Squares(tmp_path, kills={2: 1, 4: 1})
    with build_executor(name).start(build) as workers:
        outcomes = list(in_order(workers, [Task(n, None, n) for n in range(6)]))
    assert [outcome.value and outcome.value[0] for outcome in outcomes] == [0, 1, 4, 9, 16, 25]
    assert len(list(tmp_path.glob("2.*"))) == 2


@pytest.mark.usefixtures("light")
def test_signal_before_the_end_of_a_job_kills_no_worker(tmp_path: Path) -> None:
    with build_executor("processes").start(Signaled(tmp_path)) as workers:
        workers.submit(3)
        assert workers.next().value[0] == 9
    assert len(list(tmp_path.glob("3.*"))) == 1, "one attempt"


@pytest.mark.usefixtures("light")
@executors("processes", "futures", "ray")
def test_candidate_that_always_kills_fails_alone(name: str, tmp_path: Path) -> None:
    with build_executor(name).start(Squares(tmp_path, kills={1: 99})) as workers:
        outcomes = list(in_order(workers, [Task(n, None, n) for n in range(4)]))
    assert [outcome.error is None for outcome in outcomes] == [True, False, True, True]


@pytest.mark.usefixtures("light")
@executors("processes", "futures", "ray")
def test_failed_builds_and_unpicklable_parts_end_the_run(name: str) -> None:
    with build_executor(name).start(NoBuild()) as workers:
        workers.submit(1)
        with pytest.raises(BuildError, match="a worker cannot be started: OSError: no cpu here"):
            workers.next()
    with pytest.raises(NasError, match="cannot be sent to a worker.*executor=serial"):
        build_executor(name).start(lambda device: lambda *task: device)


class Backwards(SerialWorkers):
    """Workers whose last result arrives first."""

    count = 3

    def next(self) -> Outcome:
        return self._outcomes.pop()


class Sums(Squares):
    """Squares of several candidates."""

    def evaluate(self, candidate: tuple[int, ...], fidelity: int | None, position: int) -> list[int]:  # type: ignore[override]
        return [Squares.evaluate(self, one, None, position)[0] for one in candidate]


@pytest.mark.parametrize("workers", [SerialWorkers, Backwards])
def test_in_order_divides_failed_tasks(workers: type[SerialWorkers], tmp_path: Path) -> None:
    def split(task: Task) -> list[Task]:
        parts = [Task((one,), None, task.position + i) for i, one in enumerate(task.candidate)]
        return parts if len(parts) > 1 else []

    tasks = [Task((0,), None, 0), Task((1, 2, 3), None, 1), Task((4, 5), None, 4)]
    opened = workers(Sums(tmp_path, fails={2: 99}).evaluate)
    found = [(outcome.position, outcome.value) for outcome in in_order(opened, tasks, split)]
    assert found == [(0, [0]), (1, [1]), (2, None), (3, [9]), (4, [16, 25])]


def test_interrupt_while_a_worker_starts_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, submit = children(), ProcessPoolExecutor.submit

    def interrupted(self: ProcessPoolExecutor, *arguments: Any) -> Future[Any]:
        future = submit(self, *arguments)
        assert wait_for((tmp_path / "begun").exists)
        os.kill(os.getpid(), signal.SIGINT)
        return future

    monkeypatch.setattr(ProcessPoolExecutor, "submit", interrupted)
    with pytest.raises(KeyboardInterrupt), build_executor("processes").start(Sleep(tmp_path / "begun")) as workers:
        workers.submit(1)
    assert wait_for(lambda: children() <= before, 30)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(number: signal.Signals, tmp_path: Path) -> None:
    """Also if it is killed while a worker evaluates; Ctrl-C is sent to all processes of the group."""
    script = (
        "from pathlib import Path\nfrom tests.support.executor_tools import Sleep, build_executor\n"
        "if __name__ == '__main__':\n"
        f"    with build_executor('processes').start(Sleep(Path({str(tmp_path / 'begun')!r}))) as workers:\n"
        "        workers.submit(1); workers.next()\n"
    )
    (tmp_path / "main.py").write_text(script)
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "main.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert wait_for((tmp_path / "begun").exists)
    below = children(process.pid)
    assert below
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    assert process.wait(60) != 0 and process.stderr is not None
    assert process.stderr.read().count("Traceback") == (1 if number == signal.SIGINT else 0), "workers are silent"
    assert wait_for(lambda: not any(Path(f"/proc/{pid}/stat").exists() for pid in below))


@pytest.mark.usefixtures("light")
@executors("ray")
def test_ray_keeps_signal_handlers_and_removes_its_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", None)
    before = set(Path(tempfile.gettempdir()).glob("nas-ray-*"))
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with build_executor(name).start(Squares(tmp_path)) as workers:
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
        workers.submit(3)
        assert workers.next().value[0] == 9
        assert set(Path(tempfile.gettempdir()).glob("nas-ray-*")) > before
    assert set(Path(tempfile.gettempdir()).glob("nas-ray-*")) == before


class CachingPool(ThreadPoolExecutor):
    """Pool that answers equal calls from its results, as Dask does."""

    def __init__(self) -> None:
        super().__init__(2)
        self.calls: dict[Any, Future[Any]] = {}

    def submit(self, function: Any, /, *arguments: Any) -> Future[Any]:  # type: ignore[override]
        if arguments not in self.calls:
            self.calls[arguments] = super().submit(function, *arguments)
        return self.calls[arguments]


@pytest.mark.usefixtures("light")
def test_second_attempt_is_another_call(tmp_path: Path) -> None:
    with Futures(pool=CachingPool, workers=2).start(Squares(tmp_path, fails={1: 1})) as workers:
        outcomes = list(in_order(workers, [Task(n, None, n) for n in range(3)]))
    assert [outcome.value and outcome.value[0] for outcome in outcomes] == [0, 1, 4]


class BreakingPool(ThreadPoolExecutor):
    """Pool that breaks at given calls, counted over all pools of a run.

    Args:
        calls: the arguments of the calls so far.
        broken: numbers of the calls that are lost.
    """

    def __init__(self, calls: list[Any], broken: set[int]) -> None:
        super().__init__(2)
        self.calls, self.broken = calls, broken

    def submit(self, function: Any, /, *arguments: Any) -> Future[Any]:  # type: ignore[override]
        self.calls.append(arguments)
        if len(self.calls) not in self.broken:
            return super().submit(function, *arguments)
        future: Future[Any] = Future()
        future.set_exception(BrokenExecutor("a process has ended"))
        return future


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize(("broken", "expected"), [({1, 2, 4}, [0, 1, 4]), ({1, 2, 4, 5}, [0, None, 4])])
def test_a_loss_beside_other_tasks_is_no_attempt(broken: set[int], expected: list[int | None], tmp_path: Path) -> None:
    """Two tasks are lost together (calls 1 and 2); then the first one succeeds alone, and the second one breaks."""
    with Futures(pool=partial(BreakingPool, [], broken), workers=2).start(Squares(tmp_path)) as workers:
        outcomes = list(in_order(workers, [Task(n, None, n) for n in range(3)]))
    assert [outcome.value and outcome.value[0] for outcome in outcomes] == expected


def test_executors_import_their_libraries_when_started() -> None:
    code = (
        "import sys\nimport nas.executors.ray_cluster, nas.executors.futures, nas.executors.processes\n"
        "print({'ray', 'distributed', 'optuna', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_ray_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(NasError, match=r"executor=ray: Ray is not installed. Run pip install 'nas-compose\[ray\]'"):
        build_executor("ray").start(Squares(tmp_path))


def test_workers_call_the_preparation_first(tmp_path: Path) -> None:
    content = pack(Squares(tmp_path), partial(Path.mkdir, tmp_path / "prepared"))
    evaluation = WorkerEvaluation(Payload(content, "cpu", None))
    assert not (tmp_path / "prepared").exists()
    assert [evaluation.evaluate(4, 1, 0)[0], evaluation.evaluate(5, None, 1)[0]] == [17, 25] and (
        tmp_path / "prepared"
    ).exists()
