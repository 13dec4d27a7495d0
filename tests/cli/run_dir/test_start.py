"""Lines at the start of a run."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from nas.cli.build import build_trainer
from nas.cli.run_dir.begin import begin_output
from tests.support.compose_tools import composed, tiny


def test_start_names_directory_choices_and_device(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with composed("search", *tiny("darts"), "epochs=3", "seed=5", f"paths.output={tmp_path}", "callbacks={}") as cfg:
        build_trainer(cfg)
    run, config, device = (
        next(m for m in caplog.messages if m.startswith(name)) for name in ("run", "config", "device")
    )
    assert run.split() == ["run", str(tmp_path)]
    assert "method=darts space=nas_bench_201 dataset=synthetic trainer=cpu logger=csv seed=5 epochs=3" in config
    assert "network=" not in config and "experiment=" not in config and ".hydra/config.yaml" in config
    assert device.split()[1] == "cpu" and "thread" in device and device.endswith("32-true")


@pytest.mark.parametrize("shown", [True, False])
def test_print_config_shows_the_resolved_configuration(shown: bool, capsys: pytest.CaptureFixture[str]) -> None:
    with composed("search", *tiny("darts"), "seed=7", f"extras.print_config={str(shown).lower()}") as cfg:
        begin_output(cfg)
    text = capsys.readouterr().out
    assert ("├── seed: 7" in text and "lr: 0.025" in text and "${" not in text) if shown else text == ""
