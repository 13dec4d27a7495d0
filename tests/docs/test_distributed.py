"""docs/distributed.md: its batch scripts are complete, and the one for two machines runs, is requeued and resumes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nas.cli.main import prepare
from tests.support.compose_tools import ROOT, lines
from tests.support.error_tools import SEARCH
from tests.support.fake_slurm import directives, install
from tests.support.node_tools import node_environment, send

PAGE = (ROOT / "docs" / "distributed.md").read_text()
SCRIPTS = re.findall(r"^```\n(#!/bin/bash\n.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_batch_scripts_ask_for_a_signal_and_a_requeue() -> None:
    assert len(SCRIPTS) == 2
    for script in SCRIPTS:
        options = directives(script)
        assert options["signal"] == "USR1@120" and options["requeue"] == "" and "\nsrun " in script
        assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


@pytest.mark.parametrize(("launcher", "name"), [("torchrun", "torchrun-drnas-1"), ("srun", "slurm-77")])
def test_command_of_a_launcher_composes(
    launcher: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = PAGE.replace("\\\n", " ")
    found = re.search(rf"^{launcher} (.*?)(?:python )?search.py (.*)$", text, re.MULTILINE)
    assert found is not None
    monkeypatch.chdir(tmp_path)
    environment = {**node_environment(launcher, 1), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
    run_id = re.search(r"--rdzv-id=(\S+)", found[1])
    for variable, value in {**environment, **({"TORCHELASTIC_RUN_ID": run_id[1]} if run_id else {})}.items():
        monkeypatch.setenv(variable, value)
    plan = prepare("search", found[2].split()).plan
    assert plan is not None and plan.is_further_rank and plan.cfg.trainer.num_nodes == 2
    assert plan.pinned == [f"hydra.run.dir='outputs/${{mode}}/{name}'"]
    assert f"outputs/search/{name.replace('77', 'JOB')}" in PAGE


@pytest.mark.slow
def test_batch_script_is_requeued_and_resumes(tmp_path: Path) -> None:
    """Run with a process per machine and a small search; the signal arrives in the second epoch."""
    script = SCRIPTS[0].replace("ntasks-per-node=4", "ntasks-per-node=1").replace("srun", "exec srun")
    small = [*SEARCH[:-1], "epochs=3", "dataset.batch_size=4", "trainer.accelerator=cpu", "method=gdas"]
    small = [f"'{option}'" for option in [*small, send("SIGUSR1", epoch=1, step=1, rank=1)]]
    command = f"{sys.executable} {ROOT}/search.py {' '.join(small)} trainer=ddp_multinode"
    script, count = re.subn(r"python search.py method=drnas dataset=cifar10 trainer=ddp_multinode", command, script)
    assert count == 1
    (tmp_path / "job.sh").write_text(script)
    slurm = install(tmp_path / "slurm")
    environment = {**os.environ, **slurm, "FAKE_SLURM_WAIT": "1", "OMP_NUM_THREADS": "1"}
    subprocess.run(["sbatch", "job.sh"], cwd=tmp_path, env=environment, check=True, timeout=300)
    logs = sorted((tmp_path / "slurm").glob("*.out"))
    first, second = (log.read_text() for log in logs)
    assert "SLURM starts job 4000 again, which resumes it." in first, first
    run = tmp_path / "outputs" / "search" / "slurm-4000"
    assert (run / "summary.json").is_file() and len(lines(run / "history.jsonl")) == 3, second
    assert "epoch 2/3" not in second and "epoch 3/3" in second
