"""Processes of a run that do not fit its trainer: one line each, before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore

from nas.cli.checks.processes import check_processes, devices_of
from nas.cli.main import prepare
from nas.utils.errors import NasError
from tests.support.compose_tools import composed
from tests.support.error_tools import SEARCH, run
from tests.support.node_tools import MULTINODE, node_environment

ADDRESS = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
TORCHRUN, SRUN = node_environment("torchrun", 0), node_environment("srun", 0)


@pytest.mark.parametrize(
    ("environment", "options", "phrases"),
    [
        (TORCHRUN, ["trainer.devices=2"], ["torchrun has started 2 processes (1 on each of 2", "trainer.devices=1"]),
        (TORCHRUN, ["trainer=cpu"], ["torchrun has started 2 processes", "trainer.num_nodes=2"]),
        (SRUN, ["trainer.num_nodes=3"], ["trainer.num_nodes=3: srun has started 2 processes", "trainer.num_nodes=2"]),
        (SRUN, ["trainer.devices=[0,1]"], ["srun has started 2 processes", "or start 4 processes"]),
        ({**SRUN, "SLURM_STEP_ID": None}, [], ["SLURM_NTASKS=2: the batch script", "srun python search.py"]),
        ({**TORCHRUN, "MASTER_ADDR": None}, [], ["MASTER_ADDR: not set", "torchrun"]),
        ({**SRUN, "MASTER_ADDR": None}, [], ["MASTER_ADDR: not set"]),
        ({"NODE_RANK": "0", "MASTER_PORT": None}, ["trainer.devices=2"], ["MASTER_PORT: not set"]),
        ({}, ["trainer.num_nodes=2"], ["trainer.num_nodes=2: no launcher has started this process"]),
    ],
    ids=["devices", "trainer", "nodes", "indices", "no srun", "no address", "no nodes", "no port", "no launcher"],
)
def test_processes_that_do_not_fit_are_refused(
    environment: dict[str, str | None], options: list[str], phrases: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**(ADDRESS if environment else {}), **environment}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises(NasError) as error:
        prepare("search", [*SEARCH, "method=gdas", *MULTINODE, *options])
    assert "\n" not in str(error.value) and all(phrase in str(error.value) for phrase in phrases), error.value


@pytest.mark.parametrize("environment", [TORCHRUN, SRUN, {**SRUN, "SLURM_NODELIST": "n[1-2]", "MASTER_ADDR": ""}])
def test_sizes_follow_the_launcher(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ADDRESS, **environment}.items():
        monkeypatch.setenv(name, value)
    with composed("search", *SEARCH, "method=gdas", *MULTINODE) as cfg:
        check_processes(cfg, sweeping=False)
        assert (cfg.trainer.devices, cfg.trainer.num_nodes) == (1, 2)


@pytest.mark.parametrize(
    ("devices", "count"), [(2, 2), ("2", 2), ("0,1,", 2), ("0,", 1), ([3], 1), (-1, None), ("auto", None)]
)
def test_devices_are_counted(devices: Any, count: int | None) -> None:
    with composed("search", f"trainer.devices='{devices}'" if isinstance(devices, str) else "seed=0") as cfg:
        cfg.trainer.devices = devices
        assert devices_of(cfg.trainer) == count


def sweep(*options: str, cwd: Path) -> list[str]:
    return prepare("search", ["-m", *SEARCH, "method=gdas", "seed=0,1", f"hydra.sweep.dir={cwd}/s", *options]).arguments


def test_launcher_decides_about_a_sweep_of_several_processes(tmp_path: Path) -> None:
    """By its properties: those of published launchers are known, and a file declares those of others."""
    two, launcher = "trainer=ddp_cpu", "hydra/launcher=submitit_local"
    assert sweep(two, launcher, "hydra.launcher.tasks_per_node=2", cwd=tmp_path)
    for options, phrases in (
        ([two], ["would start the sweep again", "submitit_slurm", "extras.launcher.starts_ranks=true"]),
        ([two, "hydra/launcher=joblib"], ["the launcher starts one process per parallel job"]),
        ([two, launcher], ["hydra.launcher.tasks_per_node=1", "Set hydra.launcher.tasks_per_node=2."]),
        ([launcher, "hydra.launcher.tasks_per_node=2"], ["hydra.launcher.tasks_per_node=2", "trainer.devices=1"]),
    ):
        with pytest.raises(NasError) as error:
            sweep(*options, cwd=tmp_path)
        assert all(phrase in str(error.value) for phrase in phrases), error.value
    foreign = [two, "hydra.launcher._target_=tests.cli.checks.test_launchers.Foreign"]
    with pytest.raises(NasError, match="start the sweep again"):
        sweep(*foreign, cwd=tmp_path)
    assert sweep(*foreign, "extras.launcher.starts_ranks=true", cwd=tmp_path)
    assert sweep(two, "hydra.launcher._target_=tests.cli.checks.test_launchers.StartsRanks", cwd=tmp_path)


def test_preset_for_slurm_gives_the_launcher_its_sizes(tmp_path: Path) -> None:
    options = ["trainer=slurm", "trainer.devices=4", "trainer.num_nodes=2"]
    assert sweep(*options, cwd=tmp_path)
    with pytest.raises(NasError, match=r"hydra.launcher.nodes=3: each job has trainer.num_nodes=2"):
        sweep(*options, "hydra.launcher.nodes=3", cwd=tmp_path)


def test_launcher_that_is_not_installed_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if the preset of the trainer selects it."""
    repository = ConfigStore.instance().repo["hydra"]["launcher"]
    for name in ("submitit_slurm.yaml", "joblib.yaml"):
        monkeypatch.delitem(repository, name)
    for argument, extra in (("trainer=slurm", "slurm"), ("hydra/launcher=joblib", "joblib")):
        with pytest.raises(
            NasError, match=rf"hydra/launcher=.* is not installed. Run pip install 'nas-compose\[{extra}\]'"
        ):
            prepare("search", ["-m", *SEARCH, "method=gdas", argument, "seed=0,1"])


@pytest.mark.parametrize(
    ("name", "value", "others"),
    [
        ("RANK", "x", {}),
        ("LOCAL_RANK", "", {}),
        ("SLURM_PROCID", "1.0", {}),
        ("NODE_RANK", "-1", {"LOCAL_RANK": "0"}),
        ("MASTER_PORT", "http", {"LOCAL_RANK": "0"}),
        ("GROUP_RANK", "\u0663", {"TORCHELASTIC_RUN_ID": "x"}),
        ("SLURM_NTASKS", "", {"SLURM_JOB_NAME": "x"}),
        ("SLURM_LOCALID", "x", {"SLURM_NTASKS": "1"}),
    ],
)
def test_variable_of_a_launcher_that_is_no_number_is_refused(
    name: str, value: str, others: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, text in {**others, name: value}.items():
        monkeypatch.setenv(variable, text)
    found = run("search", *SEARCH, f"hydra.run.dir={tmp_path}/run")
    found.refused(f"{name}={value}: launchers set", f"Run unset {name}, or start the command by torchrun or srun.")
    assert not list(tmp_path.iterdir())


def test_numbers_of_other_launchers_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NODE_RANK", "WORLD_SIZE", "MASTER_PORT", "SLURM_LOCALID"):
        monkeypatch.setenv(name, "x")
    assert prepare("search", [*SEARCH, "method=gdas"]).plan is not None
