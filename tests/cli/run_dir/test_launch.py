"""Launch of a distributed run as its environment describes it."""

from __future__ import annotations

import pytest

from nas.cli.run_dir.launch import (
    Sizes,
    adopt_submitit_ranks,
    is_slurm,
    launch_name,
    launch_token,
    launched_sizes,
    restart_count,
)
from nas.utils.rank import rank_of
from tests.support.node_tools import LAUNCHERS, node_environment

NAMES = {"torchrun": "torchrun-nodes", "srun": "slurm-77"}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_ranks_of_two_nodes_share_a_name(launcher: str) -> None:
    ranks = [node_environment(launcher, rank) for rank in (0, 1)]
    again = node_environment(launcher, 1, restarts=2)
    assert {launch_name(rank) for rank in [*ranks, again]} == {NAMES[launcher]}
    assert launch_token(ranks[0]) == launch_token(ranks[1]) != launch_token(again)
    assert [rank_of(rank) for rank in ranks] == ["0", "1"] and restart_count(again) == 2
    sizes = launched_sizes(ranks[0])
    assert sizes == Sizes(launcher, 2, 1, 2)
    assert sizes is not None and sizes.describe() == f"{launcher} has started 2 processes (1 on each of 2 machines)"


def test_launches_have_different_names() -> None:
    assert launch_name({}) is None and launch_name({"TORCHELASTIC_RUN_ID": "none"}) is None
    steps = [launch_name({"SLURM_JOB_ID": "7", "SLURM_STEP_ID": step}) for step in ("0", "1")]
    assert steps == ["slurm-7", "slurm-7.1"]
    assert launch_name({"SLURM_JOB_ID": "7", "SLURM_JOB_NAME": "bash"}) is None, "the shell of an interactive job"
    assert launch_name({"TORCHELASTIC_RUN_ID": "a/b", "SLURM_JOB_ID": "7"}) == "torchrun-a_b"
    assert launch_name({"TORCHELASTIC_RUN_ID": "none", "SLURM_JOB_ID": "7"}) == "slurm-7"


def test_torchrun_within_slurm_is_torchrun() -> None:
    both = {**node_environment("srun", 1), **node_environment("torchrun", 0)}
    sizes = launched_sizes(both)
    assert sizes is not None and sizes.launcher == "torchrun" and not is_slurm(both)


def test_ranks_of_submitit_are_adopted() -> None:
    task = {f"SUBMITIT_LOCAL_{name}": value for name, value in {"NTASKS": "2", "LOCALID": "1", "JOB_ID": "5"}.items()}
    first, other = dict(task), {**task, "SUBMITIT_LOCAL_JOB_ID": "6"}
    for environment in (first, other):
        adopt_submitit_ranks(environment)
        assert (environment["RANK"], environment["LOCAL_RANK"], environment["WORLD_SIZE"]) == ("1", "1", "2")
    assert first["MASTER_PORT"] != other["MASTER_PORT"], "jobs of a sweep on the same machine"
    alone = {**task, "SUBMITIT_LOCAL_NTASKS": "1"}
    adopt_submitit_ranks(alone)
    assert "RANK" not in alone
