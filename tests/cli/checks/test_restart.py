"""Runs that their launcher has started again: directory and checkpoint."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nas.cli.checks.directory import run_directories
from nas.cli.checks.reserve import by_launch, reserved
from nas.cli.main import prepare
from tests.support.compose_tools import DATA, lines
from tests.support.error_tools import SEARCH, run, unfinished
from tests.support.node_tools import MULTINODE, node_environment

ALL = [*SEARCH, "method=gdas"]


@pytest.fixture
def on_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Environment of the second machine of a job of SLURM."""
    monkeypatch.chdir(tmp_path)
    for name, value in {**node_environment("srun", 1), "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.fixture
def in_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Environment of a job of SLURM with one task."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"SLURM_JOB_ID": "77", "SLURM_JOB_NAME": "search", "SLURM_NTASKS": "1"}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def directory(*arguments: str, more: tuple[str, ...] = MULTINODE) -> str:
    """Return the pinned run directory of a command line."""
    plan = prepare("search", [*ALL, *more, *arguments]).plan
    assert plan is not None and len(plan.pinned) == 1
    return plan.pinned[0].partition("=")[2].strip("'")


def test_name_of_the_launch_replaces_the_time() -> None:
    text = "outputs/${mode}/${now:%Y-%m-%d}/${now:%H-%M-%S-%f}"
    assert by_launch(text, "slurm-7") == "outputs/${mode}/slurm-7"
    assert by_launch("a-${now:%Y}/b", "slurm-7") == "a-slurm-7/b"


def test_ranks_compute_the_directory_from_the_job(on_node: pytest.MonkeyPatch) -> None:
    assert directory() == "outputs/${mode}/slurm-77"
    assert directory("hydra.run.dir=runs/${now:%Y}-${seed}") == "runs/slurm-77-${seed}"
    on_node.setenv("SLURM_STEP_ID", "2")
    assert directory() == "outputs/${mode}/slurm-77.2"


def test_restart_resumes_from_the_checkpoint(
    short_search: Path, on_node: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, pinned = Path("outputs/search/slurm-77"), "outputs/${mode}/slurm-77"
    on_node.setenv("SLURM_RESTART_COUNT", "1")
    assert directory() == pinned, "the first attempt has written nothing"
    (first / "checkpoints").mkdir(parents=True)
    (first / "metrics.csv").touch()
    assert directory() == f"{pinned}-restart1", "files of an attempt without a checkpoint are kept"
    (first / "metrics.csv").unlink()
    (first / "checkpoints").rmdir()
    unfinished(short_search, first)
    for explicit in ([], [f"hydra.run.dir={first}"]):
        arguments = prepare("search", [*ALL, *MULTINODE, "epochs=2", *explicit]).arguments
        assert f"hydra.run.dir='{first}'" in arguments and "hydra.output_subdir=null" in arguments
        assert f"ckpt_path='{first}'" in arguments
    (first / "summary.json").write_text("{}")
    with pytest.raises(SystemExit) as end:
        prepare("search", [*ALL, *MULTINODE])
    assert end.value.code == 0 and "holds the results of an earlier attempt" in capsys.readouterr().out


def test_directory_of_one_process_has_job_and_command(in_job: pytest.MonkeyPatch) -> None:
    name = directory(more=())
    assert re.fullmatch(r"outputs/\$\{mode\}/slurm-77-[0-9a-f]{6}", name)
    in_job.setenv("SLURM_STEP_ID", "3")
    assert directory(more=()) == name, "the number of a step may differ after a restart"
    other = directory("seed=1", more=())
    assert other.startswith("outputs/${mode}/slurm-77-") and other != name
    run_directory = Path(name.replace("${mode}", "search"))
    run_directory.mkdir(parents=True)
    (run_directory / "metrics.csv").touch()
    assert directory(more=()) == f"{name}.2", "an earlier command of the job has used the directory"
    in_job.setenv("SLURM_RESTART_COUNT", "1")
    assert directory(more=()) == f"{name}-restart1", "files of an attempt without a checkpoint are kept"


def test_equal_commands_of_a_script_keep_their_directories(
    short_search: Path, in_job: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The script has the command three times. The job is killed in the second one, and requeued twice."""
    command = [*ALL, "epochs=2"]

    def start() -> str:
        """Return the directory that the next command of the script resumes, begins or has finished in."""
        try:
            plan = prepare("search", command).plan
        except SystemExit:
            return capsys.readouterr().out.split()[1]
        assert plan is not None
        (place,) = run_directories(plan.cfg).values()
        with reserved(plan):
            return str(place)

    first = Path(start())
    unfinished(short_search, first)
    (first / "summary.json").write_text("{}")
    second = Path(start())
    assert second == Path(f"{first}.2")
    unfinished(short_search, second)
    in_job.setenv("SLURM_RESTART_COUNT", "1")
    assert [start(), start()] == [str(first), str(second)], "finished, resumed"
    (second / "summary.json").write_text("{}")
    assert start() == f"{first}.3", "the job has never reached it"
    in_job.setenv("SLURM_RESTART_COUNT", "2")
    assert [start(), start(), start()] == [str(first), str(second), f"{first}.3"]


@pytest.mark.parametrize("variables", [{"SLURM_NTASKS": "4"}, {"SLURM_JOB_NAME": "interactive"}])
def test_other_processes_in_a_job_have_the_time(variables: dict[str, str], in_job: pytest.MonkeyPatch) -> None:
    for name, value in variables.items():
        in_job.setenv(name, value)
    assert "slurm" not in directory(more=())


@pytest.mark.parametrize(
    ("mode", "file"), [(["mode=rank_proxies"], "scores.jsonl"), (["method=random_search"], "repetitions.jsonl")]
)
def test_restart_resumes_from_results_without_a_checkpoint(
    mode: list[str], file: str, in_job: pytest.MonkeyPatch
) -> None:
    command = [*DATA, *mode, *(["method.repetitions=3"] if file == "repetitions.jsonl" else [])]
    plan = prepare("search", command).plan
    assert plan is not None
    (place,) = (Path(path) for path in run_directories(plan.cfg).values())
    (place / ".hydra").mkdir(parents=True)
    (place / ".hydra" / "overrides.yaml").write_text("".join(f"- {line}\n" for line in command))
    (place / file).write_text("")
    in_job.setenv("SLURM_RESTART_COUNT", "1")
    arguments = prepare("search", command).arguments
    assert f"ckpt_path='{place}'" in arguments and f"hydra.run.dir='{place}'" in arguments


@pytest.mark.slow
def test_restarted_run_of_one_process_continues(
    short_search: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of SLURM with an explicit directory, and a job of a sweep."""
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    monkeypatch.chdir(tmp_path)
    run("search", *SEARCH, "epochs=2", f"hydra.run.dir={unfinished(short_search, tmp_path / 'a')}").succeeded()
    assert [line["epoch"] for line in lines(tmp_path / "a" / "history.jsonl")] == [0, 1]
    (tmp_path / "s").mkdir()
    job = unfinished(short_search, tmp_path / "s" / "0")
    monkeypatch.setattr("nas.cli.checks.resumed_sweep.ResumedSweep.check_directory", lambda *_: None)
    monkeypatch.setattr("nas.cli.checks.reserve.check_jobs", lambda *_: None)
    run("search", "-m", *SEARCH, "epochs=2", "seed=0", f"hydra.sweep.dir={tmp_path}/s").succeeded()
    assert [line["epoch"] for line in lines(job / "history.jsonl")] == [0, 1]
