"""Log lines of libraries: the output of a run begins with the rows of the run."""

from __future__ import annotations

import logging
from logging.config import dictConfig

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from tests.support.compose_tools import CONF


@pytest.mark.parametrize("program", ["search", "train"])
def test_libraries_log_warnings_alone(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a new machine, matplotlib logs that it makes a font cache, before the first row of a run."""
    font_manager, requests = logging.getLogger("matplotlib.font_manager"), logging.getLogger("httpx")
    for name in ("matplotlib", "httpx", "nas"):
        monkeypatch.setattr(logging.getLogger(name), "level", logging.INFO)
    with initialize_config_dir(str(CONF), version_base="1.3", job_name=program):
        cfg = compose(program, return_hydra_config=True)
    dictConfig({"version": 1, "incremental": True, "loggers": OmegaConf.to_container(cfg.hydra.job_logging.loggers)})
    assert not font_manager.isEnabledFor(logging.INFO) and font_manager.isEnabledFor(logging.WARNING)
    assert not requests.isEnabledFor(logging.INFO)
    assert logging.getLogger("nas.cli").isEnabledFor(logging.INFO)
