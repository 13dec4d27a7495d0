"""Id of the job that is requeued. tests/callbacks/guards/test_stop_signal.py runs scontrol."""

from __future__ import annotations

from nas.cli.run_dir.requeue import SWEEP_JOB, is_found_again, is_job_of_sweep, job_id, requeue_job


def test_id_of_a_job() -> None:
    array = {"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}
    assert job_id({"SLURM_JOB_ID": "9"}) == "9" and job_id(array) == "7_3"
    assert job_id({}) is job_id({"SLURM_JOB_ID": "9", "SLURM_JOB_NAME": "interactive"}) is None
    assert requeue_job("ckpt_path=x", {}) is None


def test_job_that_started_a_sweep_is_not_that_of_a_run() -> None:
    assert is_job_of_sweep({"SLURM_JOB_ID": "9", SWEEP_JOB: "9"})
    assert not is_job_of_sweep({"SLURM_JOB_ID": "10", SWEEP_JOB: "9"}), "submitit has started a job for the run"
    assert not is_job_of_sweep({"SLURM_JOB_ID": "9"}) and not is_job_of_sweep({})


def test_directory_that_a_second_start_finds() -> None:
    job = {"SLURM_JOB_ID": "9"}
    assert is_found_again([], {}) and is_found_again(["hydra.run.dir='o/slurm-9'", "+hydra.job.env_set.A=1"], job)
    assert is_found_again(["hydra.run.dir='o/slurm-9-1a2b3c'"], {**job, "SLURM_STEP_ID": "1"})
    assert not is_found_again(["hydra.run.dir=o/2026-01-01"], job)
    assert not is_found_again(["hydra.run.dir=o/slurm-9", "paths.output=p/12-00"], job)
    assert not is_found_again(["hydra.sweep.dir=o/slurm-9"], {}), "no launch with a name"
