"""Settings, devices and options of executors."""

from __future__ import annotations

from functools import partial

import pytest

from nas.executors.futures import Futures
from nas.executors.processes import Processes, ProcessWorkers, core_count, devices
from nas.executors.ray_cluster import RayCluster, check_gpus
from nas.executors.worker import TorchSettings, current_settings
from nas.utils.errors import NasError
from tests.support.executor_tools import NoBuild


def test_settings_of_pytorch_are_those_of_the_run() -> None:
    before = current_settings()
    assert before is not None
    try:
        settings = TorchSettings(3, "high", False)
        settings.apply()
        assert current_settings() == settings and current_settings(7) == settings._replace(threads=7)
    finally:
        before.apply()


def test_each_worker_has_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert devices("cuda", 3) == ["cuda:0", "cuda:1", "cuda:0"] and devices("cpu", 2) == ["cpu", "cpu"]
    assert Processes().workers("cuda") == RayCluster().workers("cuda") == 2
    assert Processes().workers() == RayCluster().workers() == core_count() and Processes(workers=5).workers("cuda") == 5
    monkeypatch.setattr("nas.executors.processes.core_count", lambda: 8)
    monkeypatch.setattr(
        "nas.executors.processes.current_settings", lambda threads: TorchSettings(threads, "highest", True)
    )
    for threads, expected in ((None, 2), (5, 5)):
        with Processes(workers=4, threads=threads).start(NoBuild()) as workers:
            assert isinstance(workers, ProcessWorkers)
            assert {payload.settings.threads for payload in workers.payloads if payload.settings} == {expected}


@pytest.mark.parametrize(
    ("count", "available", "share"), [(4, 1, "0.25"), (6, 1, "0.1666"), (9, 2, "0.2"), (3, 0, "0")]
)
def test_ray_does_not_wait_for_missing_gpus(count: int, available: int, share: str) -> None:
    with pytest.raises(NasError, match=f"executor.workers={count}: .*has {available}. Set executor.gpus={share} or"):
        check_gpus(count, 1.0, available)
    check_gpus(count, float(share), available)
    check_gpus(available, 1.0, available)


def test_executors_refuse_options_in_one_line() -> None:
    for build, message in (
        (lambda: Futures(), "executor.pool=null: executor=futures needs a pool"),
        (lambda: Futures(pool=dict, workers=2).start(NoBuild()), r"executor.pool: dict has no submit\(\)"),
        (
            lambda: Futures(pool=partial(open, "/missing"), workers=2).start(NoBuild()),  # type: ignore[arg-type]
            r"executor.pool: it cannot be built \(.*missing'\). Correct its options",
        ),
        (lambda: Processes(workers=0), "workers=0"),
        (lambda: RayCluster(cpus=-1.0, gpus=None, address=None), "cpus=-1"),
    ):
        with pytest.raises(NasError, match=message):
            build()
