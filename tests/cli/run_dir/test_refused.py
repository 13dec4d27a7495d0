"""Refused runs leave their directories as they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.cli.run_dir.refused import restored_if_refused
from nas.utils.errors import NasError
from tests.support.error_tools import NB201, SEARCH, TRAIN, run, snapshot, unfinished

LOG = "search.log"
REFUSED = {
    "genotype": ("train", [*TRAIN, "genotype=nowhere"], "genotype=nowhere: no published architecture"),
    "budget": ("search", [*SEARCH, "budget.parameters=1"], "budget.parameters"),
    "folder": ("train", [f"genotype={NB201}", "dataset=folder", "dataset.root=nowhere"], "nowhere"),
    "option": ("search", [*SEARCH, "method.arch_step.gradient=null"], "it takes keys with _target_"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_run_leaves_nothing(case: str, tmp_path: Path) -> None:
    script, arguments, phrase = REFUSED[case]
    run(script, *arguments, f"hydra.run.dir={tmp_path}/new/run").refused(phrase)
    assert not (tmp_path / "new").exists()


def test_refused_run_leaves_files_of_the_user_alone(tmp_path: Path) -> None:
    for name in ("notes.txt", ".hydra/overrides.yaml", "mine/data.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    (tmp_path / "empty").mkdir()
    before = snapshot(tmp_path)
    run("train", *TRAIN, "genotype=nowhere", f"hydra.run.dir={tmp_path}").refused("genotype=nowhere")
    assert snapshot(tmp_path) == before and (tmp_path / "empty").is_dir() and not (tmp_path / "train.log").exists()


def test_refused_resume_keeps_the_record_of_the_run(short_search: Path, tmp_path: Path) -> None:
    directory = unfinished(short_search, tmp_path / "run")
    before = snapshot(directory)
    run("search", f"ckpt_path={directory}", "budget.parameters=1").refused("budget.parameters=1: the run")
    assert snapshot(directory) == before
    run("search", f"ckpt_path={directory}").succeeded()


@pytest.mark.parametrize("error", [NasError("refused"), SystemExit(1)], ids=["error", "exit"])
@pytest.mark.parametrize("result", ["history.jsonl", "checkpoints/last.ckpt"])
def test_results_keep_the_record_and_the_log(error: BaseException, result: str, tmp_path: Path) -> None:
    written = [tmp_path / "run" / name for name in (".hydra/config.yaml", "search.log", result)]
    with pytest.raises(type(error)), restored_if_refused([tmp_path / "run"], ".hydra", LOG):
        for path in written:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        raise error
    assert all(path.exists() for path in written)


def interrupted_library() -> AttributeError:
    """Return an error of a library during Ctrl-C."""
    error = AttributeError("no attribute")
    error.__context__ = KeyboardInterrupt()
    return error


@pytest.mark.parametrize(
    "end", [KeyboardInterrupt(), SystemExit(130), interrupted_library()], ids=["interrupt", "exit", "library"]
)
def test_interrupted_run_keeps_its_record(end: BaseException, tmp_path: Path) -> None:
    with pytest.raises(type(end)), restored_if_refused([tmp_path], ".hydra", LOG):
        (tmp_path / ".hydra").mkdir()
        (tmp_path / ".hydra" / "config.yaml").touch()
        raise end
    assert (tmp_path / ".hydra" / "config.yaml").exists()


def test_changed_result_of_a_resumed_run_keeps_its_new_record(tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    for name in (".hydra/config.yaml", "history.jsonl"):
        (tmp_path / name).write_text("old")
    with pytest.raises(NasError), restored_if_refused([tmp_path], ".hydra", LOG):
        for name in (".hydra/config.yaml", "history.jsonl"):
            (tmp_path / name).write_text("newer")
        raise NasError("stopped")
    assert (tmp_path / ".hydra" / "config.yaml").read_text() == "newer"


def test_empty_folder_of_checkpoints_is_removed(tmp_path: Path) -> None:
    with pytest.raises(NasError), restored_if_refused([tmp_path], None, LOG):
        (tmp_path / "checkpoints").mkdir()
        raise NasError("refused")
    assert list(tmp_path.iterdir()) == []


def test_directories_of_a_run_within_another_are_removed(tmp_path: Path) -> None:
    outer, inner = tmp_path / "run", tmp_path / "run" / "seed_0"
    with pytest.raises(NasError), restored_if_refused([outer, inner], ".hydra", LOG):
        for folder in (outer / ".hydra", inner / ".hydra"):
            folder.mkdir(parents=True)
            (folder / "config.yaml").touch()
        raise NasError("refused")
    assert not (outer / ".hydra").exists() and not (inner / ".hydra").exists()


@pytest.mark.parametrize("name", ["rank_1.log", "other_process.log", "empty/", "failure.txt"])
def test_directory_with_a_file_of_another_process_keeps_all(name: str, tmp_path: Path) -> None:
    with pytest.raises(NasError), restored_if_refused([tmp_path], ".hydra", LOG):
        (tmp_path / ".hydra").mkdir()
        (tmp_path / ".hydra" / "config.yaml").touch()
        (tmp_path / LOG).touch()
        (tmp_path / name).mkdir() if name.endswith("/") else (tmp_path / name).touch()
        raise NasError("refused")
    assert {path.name for path in tmp_path.iterdir()} == {".hydra", LOG, name.rstrip("/")}


def test_file_that_vanishes_during_the_check_keeps_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(directory: Path, record: Path | None) -> dict[str, tuple[int, int]]:
        raise FileNotFoundError(directory)

    with pytest.raises(NasError), restored_if_refused([tmp_path], None, LOG):
        (tmp_path / LOG).touch()
        monkeypatch.setattr("nas.cli.run_dir.refused._entries", fail)
        raise NasError("refused")
    assert (tmp_path / LOG).exists()
