"""Id of the job that is requeued. tests/callbacks/guards/test_stop_signal.py runs scontrol."""

from __future__ import annotations

from nas.cli.run_dir.requeue import job_id, requeue_job


def test_id_of_a_job() -> None:
    array = {"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "7", "SLURM_ARRAY_TASK_ID": "3"}
    assert job_id({"SLURM_JOB_ID": "9"}) == "9" and job_id(array) == "7_3"
    assert job_id({}) is job_id({"SLURM_JOB_ID": "9", "SLURM_JOB_NAME": "interactive"}) is None
    assert requeue_job("ckpt_path=x", {}) is None
