"""Definition of the dashboard, its workspace in W&B, and the example of a sweep."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from nas.cli.commands.dashboard import command, workspace
from nas.cli.commands.dashboard.definition import SECTIONS
from nas.cli.main import prepare
from tests.support.compose_tools import ROOT

SWEEP = ROOT / "docs" / "examples" / "wandb_sweep.yaml"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)


def test_definition_is_printed_without_an_account(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--print"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [section["name"] for section in found] == [section.name for section in SECTIONS]
    panel = next(panel for section in found for panel in section["panels"] if panel["title"] == "Loss per step")
    assert panel["metrics"] == ["step/train_loss", "step/arch_loss"] and panel["axis"] == "trainer/global_step"


def test_command_is_part_of_search_py(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "search.py"), "dashboard", "--help"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0 and "--project" in done.stdout and not list(tmp_path.iterdir())


def test_command_names_the_missing_package(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    assert command.main([]) == 1
    assert "Run pip install 'nas-compose[dashboard]'" in capsys.readouterr().err


def test_command_without_a_key_or_a_server_ends_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wandb: Any = pytest.importorskip("wandb")

    class Refused:
        entity, url = "", "https://example.org/view"
        saved = False

        def save(self) -> None:
            if not self.saved:
                raise ValueError("no such\nproject")

    built = Refused()
    monkeypatch.setattr(command, "build_workspace", lambda *arguments: built)
    monkeypatch.setattr(wandb.api, "_api", None, raising=False)
    monkeypatch.setattr(command, "_check_key", lambda module: None)
    assert command.main(["--entity", "team"]) == 1
    assert capsys.readouterr().err == "error: dashboard: W&B rejected the view (no such project). Check --entity.\n"
    built.saved = True
    assert command.main(["--entity", "team"]) == 0
    assert capsys.readouterr().out == "https://example.org/view\n" and built.entity == "team"


def test_workspace_has_each_panel_with_its_axis() -> None:
    """Compare the definition with the workspace that is sent to W&B."""
    pytest.importorskip("wandb_workspaces", reason="needs the extra dashboard: pip install wandb-workspaces")
    model = workspace.build_workspace("nas", "team", "view", SECTIONS)._to_model()
    sections = json.loads(model.model_dump_json(by_alias=True))["spec"]["section"]["panelBankConfig"]["sections"]
    for section, sent in zip(SECTIONS, sections, strict=True):
        assert sent["name"] == section.name
        for spec, panel in zip(section.panels, sent["panels"], strict=True):
            config = panel["config"]
            assert config["chartTitle"] == spec.title
            if spec.kind in ("line", "area"):
                assert (config["xAxis"], config["metrics"]) == (spec.axis, list(spec.metrics))
                assert (config["yAxisMin"], config["yAxisMax"]) == (spec.limits or (None, None))
            elif spec.kind == "media":
                assert config["mediaKeys"] == list(spec.metrics)
            else:
                assert config["metrics"] == [f"summary_metrics.{name}" for name in spec.metrics]


def test_sweep_of_an_agent_runs_a_valid_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expand the command of the example as W&B's agent does, and check it as the command line of a search."""
    agents: Any = pytest.importorskip("wandb.wandb_agent")
    monkeypatch.chdir(tmp_path)
    sweep = yaml.safe_load(SWEEP.read_text())
    chosen = {
        name: given.get("value", given.get("values", [given.get("min")])) for name, given in sweep["parameters"].items()
    }
    values = {name: value[-1] if isinstance(value, list) else value for name, value in chosen.items()}
    agent = object.__new__(agents.Agent)
    agent._sweep_command, agent._function, agent._forward_signals = sweep["command"], None, False
    agent._run_processes, agent._in_jupyter = {}, False
    command_of_agent = {"run_id": "abc", "program": sweep["program"]}
    command_of_agent["args"] = {name: {"value": value} for name, value in values.items()}
    with mock.patch.dict(os.environ), mock.patch.object(agents, "AgentProcess") as process:
        agent._command_run(command_of_agent)
    expanded = process.call_args.kwargs["command"]
    assert expanded[:4] == ["/usr/bin/env", "python", "search.py", "logger=wandb"]
    plan = prepare("search", [*expanded[3:], f"hydra.run.dir={tmp_path}/run"]).plan
    assert plan is not None and plan.cfg.method.weight_step.optimizer.lr == 0.005
    assert (plan.cfg.method.name, plan.cfg.epochs, plan.cfg.seed, "wandb" in plan.cfg.logger) == ("darts", 10, 2, True)
