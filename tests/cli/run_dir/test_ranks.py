"""Ranks of a distributed run and the directory that they share."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf

from nas.cli.run_dir.ranks import (
    is_distributed,
    is_first_rank,
    publish,
    rendezvous_file,
    rendezvous_folder,
    wait_for_first_rank,
)
from nas.utils.directory_lock import DirectoryLock
from nas.utils.errors import NasError

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none",
    "TORCHELASTIC_RESTART_COUNT": "0",
    "MASTER_ADDR": "localhost",
    "MASTER_PORT": "29500",
    "WORLD_SIZE": "2",
}
SRUN = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "2"}


def config(**options: object) -> DictConfig:
    return OmegaConf.create(
        {"mode": "search", "method": {"name": "gdas"}, "trainer": {"devices": 2, "strategy": "ddp"}, **options}
    )


@pytest.mark.parametrize(
    "names", ["LOCAL_RANK", "RANK", "SLURM_PROCID", "NODE_RANK", "GROUP_RANK", "OMPI_COMM_WORLD_RANK"]
)
def test_first_rank_has_no_position_above_0(names: str) -> None:
    assert is_first_rank({}) and is_first_rank({names: "0"})
    assert not is_first_rank({names: "1"}) and not is_first_rank({"LOCAL_RANK": "0", "RANK": "0", names: "3"})


def test_only_several_devices_make_a_distributed_run() -> None:
    """Tasks of srun with one device each, and jobs without a trainer, are runs of their own."""
    assert is_distributed(config(), {**TORCHRUN, "RANK": "0"}) and is_distributed(config(), {**SRUN})
    assert is_distributed(config(), {"LOCAL_RANK": "1"}) and not is_distributed(config(), {})
    for devices in (1, "1", [0]):
        assert not is_distributed(config(trainer={"devices": devices}), {**SRUN, "SLURM_PROCID": "1"})
    assert is_distributed(config(trainer={"devices": 1, "num_nodes": 2}), {**SRUN, "SLURM_PROCID": "1"})
    assert is_distributed(config(trainer={"devices": "auto"}), {**SRUN, "SLURM_PROCID": "1"})
    assert not is_distributed(config(mode="rank_proxies"), SRUN)
    assert not is_distributed(config(method={"repetitions": 3}), SRUN)


def test_ranks_of_a_launch_compute_the_same_file(tmp_path: Path) -> None:
    def name(**more: str) -> str:
        return rendezvous_file(tmp_path, {**TORCHRUN, **more}).name

    assert name(RANK="0", LOCAL_RANK="0") == name(RANK="1", LOCAL_RANK="1")
    launches = [{}, {"MASTER_PORT": "1"}, {"TORCHELASTIC_RESTART_COUNT": "1"}, {"TORCHELASTIC_RUN_ID": "x"}]
    names = {name(**more) for more in launches}
    srun = [{}, {"SLURM_STEP_ID": "1"}, {"SLURM_JOB_ID": "8"}, {"SLURM_RESTART_COUNT": "1"}]
    names |= {rendezvous_file(tmp_path, {**SRUN, **more, "SLURM_PROCID": "1"}).name for more in srun}
    assert len(names) == 8


def test_rendezvous_folder_does_not_depend_on_the_time() -> None:
    assert rendezvous_folder("outputs/${mode}/${now:%H}") == Path("outputs")
    assert rendezvous_folder("/a/b-${now:%H}/c") == Path("/a")
    assert rendezvous_folder("${oc.env:HOME}/x") == Path()
    assert rendezvous_folder("/a/run") == Path("/a/run")


def test_further_rank_waits_for_the_first_one(tmp_path: Path) -> None:
    """A file that a killed launch has left is ignored, since its directory is not locked."""
    file, run = tmp_path / "outputs" / ".ranks.json", tmp_path / "run"
    file.parent.mkdir()
    file.write_text(json.dumps({"hydra.run.dir": str(tmp_path / "old")}))
    with pytest.raises(NasError, match="the first rank has not started a run within"):
        wait_for_first_rank(file, patience=0.3)
    found: list[dict[str, str]] = []
    waiting = threading.Thread(target=lambda: found.append(wait_for_first_rank(file, patience=20)))
    waiting.start()
    time.sleep(0.3)
    assert not found
    with DirectoryLock(run, "x"), publish(file, {"hydra.run.dir": str(run)}):
        waiting.join(20)
        assert found == [{"hydra.run.dir": str(run)}]
    assert not file.exists()
    with publish(tmp_path / "new" / "folder" / "file", {}):
        pass
    assert not (tmp_path / "new").exists()


def test_waiting_rank_prints_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nas.cli.run_dir.ranks.QUIET", 0.0)
    with pytest.raises(NasError, match="has not started a run within 0 s"):
        wait_for_first_rank(tmp_path / "absent.json", patience=0.3)
    assert capsys.readouterr().err == "waiting up to 0 s for the first rank to start its run\n"
