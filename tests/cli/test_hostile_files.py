"""Hostile runs and files: one line within seconds, and no payload is executed."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import yaml

from tests.support.error_tools import NB201, SEARCH, TRAIN, run, snapshot
from tests.support.hostile_bench import Bench
from tests.support.hostile_files import HOSTILE

SECONDS = 60  # of one refusal, on a machine that is busy otherwise


def _is_slow(name: str) -> bool:
    """Return whether a case takes seconds and differs little from another one."""
    return name.startswith(("device:", "init_weights:")) or (name.startswith("supernet_dir:") and "method" not in name)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return the run directories of a search and of a training of one epoch."""
    directory = tmp_path_factory.mktemp("runs")
    run("search", *SEARCH, f"hydra.run.dir={directory}/search").succeeded()
    run("train", *TRAIN, f"genotype={NB201}", f"hydra.run.dir={directory}/train").succeeded()
    return directory / "search", directory / "train"


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * _is_slow(name)) for name in HOSTILE])
def test_hostile_file_is_refused(name: str, runs: tuple[Path, Path], tmp_path: Path) -> None:
    case, bench = HOSTILE[name], Bench(*runs, tmp_path)
    arguments = case.make(bench)
    before = snapshot(tmp_path)
    resumed = any(argument.startswith("ckpt_path=") for argument in arguments)
    start = time.monotonic()
    found = run(case.script, *arguments, *([] if resumed else [f"hydra.run.dir={tmp_path}/new"]))
    found.refused(case.phrase)
    assert time.monotonic() - start < SECONDS and len(found.erred) < 2500
    assert not bench.marker.exists()
    after = snapshot(tmp_path)
    assert {name: after[name] for name in before} == before


def test_payload_is_effective_in_the_user_s_own_configuration(runs: tuple[Path, Path], tmp_path: Path) -> None:
    """The same payload on the command line, or in a directory of --config-dir, is the user's own and runs."""
    bench = Bench(*runs, tmp_path)
    code = f"+callbacks.x={{_target_:os.mkdir,path:{bench.marker}}}"
    run("search", *SEARCH, code, f"hydra.run.dir={tmp_path}/new")
    assert bench.marker.is_dir()


def test_own_run_resumes_with_its_plain_overrides_and_own_choices(tmp_path: Path) -> None:
    """Added keys, references, an experiment of --config-dir; a value that is code is given again."""
    own = tmp_path / "own"
    (own / "experiment").mkdir(parents=True)
    (own / "experiment" / "mine.yaml").write_text("# @package _global_\nspace:\n  channels: 4\n")
    directory = tmp_path / "run"
    flag = f"--config-dir={own}"
    added = ["+trainer.max_time=null", "run_name='own-${seed}'", "+tags=[a]", "~callbacks.cell_plots"]
    code = "+callbacks.idle={_target_:pytorch_lightning.Callback}"
    small = [a for a in SEARCH if not a.startswith("space.channels")]
    added[2] = "tags=[a,'b-${seed}']"
    run(
        "search",
        "method=gdas",
        *small,
        "+experiment=mine".lstrip("+"),
        *added,
        code,
        flag,
        f"hydra.run.dir={directory}",
    ).succeeded()
    (directory / "summary.json").unlink()
    run("search", f"ckpt_path={directory}", "epochs=2").refused("experiment=mine is not a choice", "overrides.yaml")
    run("search", f"ckpt_path={directory}", "epochs=2", flag).refused(
        "callbacks.idle has the key _target_", "command line"
    )
    run("search", f"ckpt_path={directory}", "epochs=2", flag, code).succeeded()
    saved = yaml.safe_load((directory / ".hydra" / "overrides.yaml").read_text())
    assert {"experiment=mine", "run_name='own-${seed}'", "epochs=2", code} <= set(saved)
