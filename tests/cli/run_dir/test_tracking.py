"""Failures of W&B at the start and the end of a run."""

from __future__ import annotations

import logging
from pathlib import Path
from unittest import mock

import pytest

from nas.cli.run_dir import tracking
from nas.cli.run_dir.wandb_run import WandbRun


def test_failures_of_wandb_do_not_end_a_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    logger = mock.Mock(spec=WandbRun, mode="online")
    logger.experiment = mock.Mock()
    logger.experiment._log_artifact.side_effect = TypeError("use_after_commit")
    logger.experiment.summary.update.side_effect = ConnectionError("no network")
    with (
        mock.patch.object(tracking, "read_record", return_value={"id": "abc"}),
        mock.patch.object(tracking, "_artifact", return_value=object()),
    ):
        tracking.use_source([logger], tmp_path, "genotype")
    tracking.log_results([logger], {"mode": "search"}, tmp_path)
    logger.experiment._log_artifact.assert_called_once()
    assert f"W&B: the genotype of {tmp_path} is not linked: " in caplog.text and "use_after_commit" in caplog.text
    assert "the results were not logged: " in caplog.text and "no network" in caplog.text
