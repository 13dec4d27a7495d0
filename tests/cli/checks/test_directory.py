"""Check of the output directory."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from nas.cli.checks.reserve import reserved
from nas.cli.main import prepare
from nas.utils.errors import NasError
from tests.support.compose_tools import lines
from tests.support.error_tools import SEARCH, run, snapshot, unfinished
from tests.support.forked_script import forked_script


def test_check_directory_refuses_directories_of_other_runs(tmp_path: Path) -> None:
    for name in ("genotype.json", "summary.json", "checkpoints/last.ckpt"):
        directory = tmp_path / name.replace("/", "_") / "run"
        (directory / name).parent.mkdir(parents=True)
        (directory / name).write_text("{}")
        before = snapshot(tmp_path)
        run("search", *SEARCH, f"hydra.run.dir={directory}").refused(str(directory), "hydra.run.dir", "another")
        sweep = directory.parent
        run("search", "-m", *SEARCH, f"hydra.sweep.dir={sweep}").refused(
            str(sweep), "hydra.sweep.dir", "Choose another"
        )
        assert snapshot(tmp_path) == before


def test_directory_of_a_killed_sweep_names_the_job_to_resume(short_search: Path, tmp_path: Path) -> None:
    job = unfinished(short_search, tmp_path / "sweep" / "1")
    unfinished(short_search, tmp_path / "sweep" / "0")
    (tmp_path / "sweep" / "0" / "summary.json").write_text("{}")
    refused = run("search", "-m", *SEARCH, "epochs=2", "seed=0,1", f"hydra.sweep.dir={tmp_path}/sweep")
    refused.refused(f"Choose another directory. Resume an unfinished job by ckpt_path={job}.")
    run("search", f"ckpt_path={job}").succeeded()
    again = run("search", "-m", *SEARCH, "epochs=2", "seed=0,1", f"hydra.sweep.dir={tmp_path}/sweep")
    assert "ckpt_path" not in again.erred


def test_check_directory_refuses_an_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    run("search", *SEARCH, f"hydra.run.dir={tmp_path}/file").refused("hydra.run.dir: cannot write to", "Choose another")
    assert (tmp_path / "file").read_text() == "x"


def stopped(directory: Path, overrides: str, *files: str) -> None:
    """Write the files of a search that was killed before its first checkpoint."""
    (directory / ".hydra").mkdir(parents=True)
    (directory / ".hydra" / "overrides.yaml").write_text(overrides)
    for name in ("metrics.csv", *files):
        (directory / name).write_text("step\r\n")


def test_killed_search_is_started_again_by_the_same_command(tmp_path: Path) -> None:
    directory, flag = tmp_path / "run", tmp_path / "killed"
    kill = f"+callbacks.kill={{_target_:tests.support.compose_tools.KillOnce,flag:{flag},epoch:0,batch:1}}"
    given = [*SEARCH, "method=gdas", kill, f"hydra.run.dir={directory}"]
    killed = forked_script("search", *given, cwd=tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    (directory / "metrics.csv").write_text("epoch,step,train/loss\r\n0,0,5.0\r\n")  # written every 100 steps
    run("search", *given, "seed=1").refused("which was stopped in its first epoch and cannot be resumed. Remove it")
    run("search", *given).succeeded()
    assert not any(line.startswith("0,0,5.0") for line in (directory / "metrics.csv").read_text().splitlines())
    assert len(lines(directory / "history.jsonl")) == 1


def test_command_starts_again_after_a_kill_in_its_first_epoch(tmp_path: Path) -> None:
    stopped(tmp_path / "run", "- method=gdas\n- seed=1\n", "search.log", "wandb.json")
    plan = prepare("search", ["method=gdas", "seed=1", f"hydra.run.dir={tmp_path}/run"]).plan
    assert plan is not None and (tmp_path / "run" / "metrics.csv").is_file()
    with reserved(plan):
        assert not (tmp_path / "run" / "metrics.csv").exists(), "its steps are repeated"
        assert (tmp_path / "run" / "search.log").is_file()


def test_error_of_an_earlier_attempt_is_removed(tmp_path: Path) -> None:
    """After the clock has been set back, it would be newer than the results of the run."""
    stopped(tmp_path / "run", "- method=gdas\n")
    (tmp_path / "run" / "failure.txt").write_text("ValueError\n")
    future = time.time() + 1e6
    os.utime(tmp_path / "run" / "failure.txt", (future, future))
    plan = prepare("search", ["method=gdas", f"hydra.run.dir={tmp_path}/run"]).plan
    assert plan is not None
    with reserved(plan):
        assert not (tmp_path / "run" / "failure.txt").exists()


def test_searches_of_seeds_start_again_after_a_kill_in_their_first_epoch(tmp_path: Path) -> None:
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    for seed in (0, 1):
        stopped(tmp_path / "run" / f"seed_{seed}", f"- method=gdas\n- seed={seed}\n")
    given = ["method=gdas", "seeds=[0,1]", f"hydra.run.dir={tmp_path}/run"]
    plan = prepare("search", given).plan
    assert plan is not None
    with reserved(plan):
        assert not list(tmp_path.rglob("metrics.csv"))
    stopped(tmp_path / "run" / "seed_2", "- method=gdas\n- seed=1\n")
    with pytest.raises(NasError, match="seed_2 holds another run, which was stopped in its first epoch"):
        prepare("search", [*given[:1], "seeds=[2]", given[2]])


@pytest.mark.parametrize("name", ["summary.json", "checkpoints/last.ckpt"])
def test_interrupted_run_with_seeds_is_resumed_as_a_whole(name: str, tmp_path: Path) -> None:
    """A single search of its seeds would be resumed up to rounding only."""
    given = ["method=gdas", "seeds=[0,1]", f"hydra.run.dir={tmp_path}/run"]
    for place in ("run", "run/seed_0", "run/seed_1"):
        (tmp_path / place / ".hydra").mkdir(parents=True)
        (tmp_path / place / ".hydra" / "overrides.yaml").write_text("- method=gdas\n")
    (tmp_path / "run" / "seed_0" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "run" / "seed_0" / name).touch()
    with pytest.raises(NasError, match="^seeds.0: .*/run holds an interrupted run with seeds. Resume all") as error:
        prepare("search", given)
    assert f"ckpt_path={tmp_path}/run, or choose another directory." in str(error.value)
    for seed in (0, 1):
        (tmp_path / "run" / f"seed_{seed}" / "summary.json").touch()
    with pytest.raises(NasError, match="seed_0 holds a finished run"):
        prepare("search", given)


FIRST_EPOCH = ("genotype.json", "history.jsonl", "alphas.jsonl", "queries.jsonl", "accuracy_range.csv")


@pytest.mark.parametrize("count", range(len(FIRST_EPOCH) + 1))
def test_command_starts_again_after_a_kill_before_its_first_checkpoint(count: int, tmp_path: Path) -> None:
    """The files of an epoch are written one after another, and the checkpoint after all of them."""
    directory = tmp_path / "run"
    stopped(directory, "- method=gdas\n", *FIRST_EPOCH[:count])
    (directory / "metrics.csv").write_text("epoch,step,train/loss\r\n0,0,5.0\r\n")
    plan = prepare("search", ["method=gdas", f"hydra.run.dir={directory}"]).plan
    assert plan is not None
    with reserved(plan):
        assert not {path.name for path in directory.iterdir()} & {*FIRST_EPOCH, "metrics.csv"}


@pytest.mark.parametrize("files", [(), ("metrics.csv",)])
def test_temporary_files_of_a_killed_run_are_removed(files: tuple[str, ...], tmp_path: Path) -> None:
    stopped(tmp_path / "run", "- method=gdas\n")
    if not files:
        (tmp_path / "run" / "metrics.csv").unlink()
    (tmp_path / "run" / "checkpoints").mkdir()
    temporary = [f"{name}.{'0a' * 16}.tmp" for name in (".metrics.csv", "checkpoints/.last.ckpt", ".hydra/.x.yaml")]
    for name in (*temporary, ".mine.tmp"):
        (tmp_path / "run" / name).touch()
    plan = prepare("search", ["method=gdas", f"hydra.run.dir={tmp_path}/run"]).plan
    assert plan is not None
    with reserved(plan):
        left = {str(path.relative_to(tmp_path / "run")) for path in (tmp_path / "run").rglob("*.tmp")}
    assert left == {".mine.tmp"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("history.jsonl", '{"epoch": 0}\n{"epoch": 1}\n'),
        ("metrics.csv", "epoch,step,train/loss\r\n0,0,5.0\r\n1,4,4.0\r\n"),
        ("metrics.csv", "epoch,step,train/loss\r\nx,0,5.0\r\n"),
    ],
)
def test_longer_run_without_its_checkpoints_is_kept(name: str, text: str, tmp_path: Path) -> None:
    directory = tmp_path / "run"
    stopped(directory, "- method=gdas\n", "genotype.json")
    (directory / name).write_text(text)
    before = snapshot(tmp_path)
    with pytest.raises(NasError, match="holds the files of another run"):
        prepare("search", ["method=gdas", f"hydra.run.dir={directory}"])
    assert snapshot(tmp_path) == before


def test_genotype_that_is_kept_of_a_finished_run_stays(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    stopped(directory, "- method=gdas\n", "genotype.json")
    (directory / "metrics.csv").unlink()
    before = snapshot(tmp_path)
    with pytest.raises(NasError, match="holds the files of another run"):
        prepare("search", ["method=gdas", f"hydra.run.dir={directory}"])
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("files", [(), ("scores.jsonl",), ("model.pt",)])
def test_other_runs_do_not_start_in_a_directory_of_a_first_epoch(files: tuple[str, ...], tmp_path: Path) -> None:
    stopped(tmp_path / "run", "- method=gdas\n", *files)
    before = snapshot(tmp_path)
    given = [*(["method=gdas"] if files else ["method=darts"]), f"hydra.run.dir={tmp_path}/run"]
    with pytest.raises(NasError, match="hydra.run.dir: .* choose another directory|Choose another directory") as error:
        prepare("search", given)
    assert files or "was stopped in its first epoch" in str(error.value)
    assert snapshot(tmp_path) == before


def test_working_directory_with_an_interpolation_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "${x}"
    directory.mkdir()
    monkeypatch.chdir(directory)
    for options in ((), ("-m", "seed=0,1")):
        run("search", *SEARCH, *options).refused(
            f"{directory}/", "contains '${', which Hydra reads as an interpolation"
        )
    assert not list(directory.iterdir())
