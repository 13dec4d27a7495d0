"""Log of a further rank."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from nas.cli.run_dir.rank_log import log_warnings_only


def test_further_rank_logs_warnings_in_its_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [logging.FileHandler(tmp_path / "search.log")])
    monkeypatch.setattr(root, "level", logging.INFO)
    monkeypatch.setenv("RANK", "3")
    log_warnings_only()
    logging.getLogger("a").info("step")
    assert not (tmp_path / "rank_3.log").exists()
    logging.getLogger("a").warning("problem")
    assert (tmp_path / "rank_3.log").read_text() == "problem\n" and not (tmp_path / "search.log").read_text()
    root.handlers[0].close()
