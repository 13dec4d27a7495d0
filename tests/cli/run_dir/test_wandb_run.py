"""Options and environment variables of W&B: offline by default, groups, record of a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hydra.utils import instantiate

import nas.cli.run_dir.wandb_run
from nas.cli.run_dir.layout import WANDB_RECORD
from nas.cli.run_dir.wandb_run import WandbRun, choose_mode, read_record, sweep_group
from nas.utils.errors import NasError
from tests.support.compose_tools import composed, tiny
from tests.support.wandb_tools import SMALL

pytestmark = pytest.mark.usefixtures("without_wandb_settings")


def wandb_options(tmp_path: Path, *overrides: str) -> dict[str, Any]:
    """Return the arguments of ``wandb.init``."""
    run = mock.Mock(id="abc", project="nas", entity="", group="group", dir=str(tmp_path))
    run.name = "run"
    with (
        composed("search", *tiny("darts"), "logger=wandb", "seed=3", f"paths.output={tmp_path}", *overrides) as cfg,
        mock.patch("wandb.setup") as setup,
        mock.patch("wandb.init", return_value=run) as init,
    ):
        logger = instantiate(cfg.logger.wandb, _convert_="all")
        assert isinstance(logger, WandbRun) and logger.experiment is run
    options = dict(init.call_args.kwargs)
    assert setup.call_args.args == (options["settings"],) and options["settings"].mode == options["mode"]
    return options


def test_wandb_is_offline_by_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nas.cli.run_dir.wandb_run, "_has_key", lambda wandb: True)
    before = dict(os.environ)
    found = wandb_options(tmp_path)
    assert found["mode"] == "offline" and found["settings"].silent and found["dir"] == str(tmp_path)
    assert wandb_options(tmp_path, "logger.wandb.offline=false")["mode"] == "online"
    assert wandb_options(tmp_path, "logger.wandb.mode=online")["mode"] == "online"
    assert dict(os.environ) == before


@pytest.mark.parametrize(
    ("mode", "offline", "environment", "expected"),
    [
        (None, None, {}, "offline"),
        (None, None, {"WANDB_MODE": "disabled"}, "disabled"),
        (None, None, {"WANDB_MODE": "dryrun"}, "offline"),
        (None, None, {"WANDB_MODE": "run"}, "online"),
        (None, None, {"WANDB_SWEEP_ID": "x"}, "online"),
        (None, None, {"WANDB_SWEEP_ID": "x", "WANDB_MODE": "offline"}, "offline"),
        (None, True, {"WANDB_MODE": "online"}, "offline"),
        (None, False, {"WANDB_MODE": "disabled"}, "disabled"),
        (None, False, {}, "online"),
        ("disabled", None, {"WANDB_MODE": "online"}, "disabled"),
        ("online", None, {"WANDB_MODE": "offline"}, "online"),
    ],
)
def test_mode_follows_the_option_then_the_environment(
    mode: str | None, offline: bool | None, environment: dict[str, str], expected: str
) -> None:
    with mock.patch.dict(os.environ, environment):
        assert choose_mode(mode, offline) == expected


def test_unknown_mode_of_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "of line")
    with pytest.raises(NasError, match="WANDB_MODE=of line: W&B has no such mode. Use online, offline or disabled"):
        choose_mode(None, None)
    assert choose_mode("offline", None) == "offline"


ENVIRONMENT = {
    "WANDB_PROJECT": "their_project",
    "WANDB_NAME": "their_name",
    "WANDB_RUN_GROUP": "their_group",
    "WANDB_JOB_TYPE": "their_job",
    "WANDB_RUN_ID": "theirid",
    "WANDB_RESUME": "must",
    "WANDB_TAGS": "one, two",
}


def test_options_follow_the_environment_unless_they_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    default = wandb_options(tmp_path)
    assert (default["project"], default["name"], default["resume"]) == (
        "nas",
        "darts-nas_bench_201-synthetic-s3",
        "allow",
    )
    assert (default["group"], default["job_type"], default["id"]) == ("darts-nas_bench_201-synthetic", "search", None)
    assert default["tags"] == ["darts", "nas_bench_201", "synthetic"]
    assert not {"entity", "notes"} & default.keys(), "W&B itself reads WANDB_ENTITY and WANDB_NOTES"
    for name, value in {**ENVIRONMENT, "WANDB_DIR": str(tmp_path / "files")}.items():
        monkeypatch.setenv(name, value)
    found = wandb_options(tmp_path)
    names = ("project", "name", "group", "job_type", "id", "resume")
    assert [found[name] for name in names] == [
        *("their_project", "their_name", "their_group", "their_job", "theirid", "must")
    ]
    assert found["dir"] == str(tmp_path / "files") and {"one", "two", "darts"} <= set(found["tags"])
    given = [f"logger.wandb.{name}=mine" for name in ("project", "name", "job_type", "id", "entity", "notes")]
    given += ["group=mine", "logger.wandb.resume=never", "logger.wandb.tags=[]", "logger.wandb.save_dir=here"]
    found = wandb_options(tmp_path, *given)
    assert {found[name] for name in ("project", "name", "group", "job_type", "id", "entity", "notes")} == {"mine"}
    assert (found["resume"], found["dir"]) == ("never", "here")


@pytest.mark.parametrize(
    ("given", "network", "checkpoints"), [("true", True, False), ("false", False, False), ("all", True, "all")]
)
def test_log_model_selects_the_artifacts(
    given: str, network: bool, checkpoints: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nas.cli.run_dir.wandb_run, "_has_key", lambda wandb: True)
    options = [
        "logger=wandb",
        "logger.wandb.mode=online",
        f"logger.wandb.log_model={given}",
        f"paths.output={tmp_path}",
    ]
    with composed("search", *tiny("darts"), *options) as cfg, mock.patch("wandb.setup"):
        logger = instantiate(cfg.logger.wandb, _convert_="all")
    assert (logger.logs_network, logger._log_model) == (network, checkpoints)


def test_jobs_of_a_sweep_share_a_group(tmp_path: Path) -> None:
    sweep = ["hydra.mode=MULTIRUN", "hydra.sweep.dir=outputs/search/2026-01-02/03-04-05"]
    assert wandb_options(tmp_path, *sweep)["group"] == "sweep-2026-01-02-03-04-05"
    assert sweep_group(Path("/a/2026-01-02/03-04-05")) == "sweep-2026-01-02-03-04-05"


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"id": 3.5}', '{"id": "../x"}', '{"id": "a\\u00e4"}', "x" * 20000]
)
def test_record_of_a_run_is_untrusted(content: str, tmp_path: Path) -> None:
    (tmp_path / WANDB_RECORD).write_text(content)
    assert read_record(tmp_path) is None and read_record(tmp_path / "absent") is None
    (tmp_path / WANDB_RECORD).write_text('{"id": "a-B_1"}')
    assert read_record(tmp_path) == {"id": "a-B_1"}


def test_disabled_run_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with composed("search", *SMALL, "epochs=1", f"paths.output={tmp_path}/run") as cfg:
        from nas.cli.jobs.search import run

        run(cfg)
    assert not list(tmp_path.rglob("*wandb*")) and (tmp_path / "run" / "summary.json").exists()
