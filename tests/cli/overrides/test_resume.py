"""Refusals to resume: one line, and the run stays as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.support.error_tools import NB201, SEARCH, TRAIN, run, snapshot, unfinished


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run directory of a training of one epoch."""
    directory = tmp_path_factory.mktemp("trained") / "run"
    run("train", *TRAIN, f"genotype={NB201}", f"hydra.run.dir={directory}").succeeded()
    return directory


@pytest.fixture
def broken(short_search: Path, tmp_path: Path) -> Path:
    """Return the directory of a search that was interrupted after the first of two epochs."""
    return unfinished(short_search, tmp_path / "broken")


def refused(directory: Path, script: str, *arguments: str | Path, phrases: list[str]) -> None:
    """Assert that a command is refused with these phrases and changes no file of ``directory``."""
    before = snapshot(directory)
    run(script, *arguments).refused(*phrases)
    assert snapshot(directory) == before


@pytest.mark.parametrize(
    ("argument", "phrases"),
    [
        ("method=drnas", ["is a run with method=gdas", "Leave out method=drnas", "from scratch"]),
        ("space=darts", ["is a run with space=nas_bench_201", "Leave out space=darts"]),
        ("seed=1", ["seed=1: the run of ckpt_path has 0", "changes its course", "leave out ckpt_path"]),
        ("space.channels=8", ["space.channels=8: the run of ckpt_path has 4"]),
        ("space.affine=true", ["space.affine=True: the run of ckpt_path has False"]),
        ("dataset.batch_size=8", ["dataset.batch_size=8: the run of ckpt_path has 16"]),
        ("dataset.split=0.3", ["dataset.split=0.3: the run of ckpt_path has halves"]),
        ("method.weight_step.optimizer.lr=1e-3", ["method.weight_step.optimizer.lr=0.001: the run", "has 0.025"]),
        ("method.callbacks.0.end=1.0", ["method.callbacks.0.end=1.0: the run", "has 0.1"]),
        ("trainer.limit_train_batches=1", ["trainer.limit_train_batches=1: the run of ckpt_path has 1.0"]),
        ("trainer.precision=bf16-mixed", ["trainer.precision=bf16-mixed: the run of ckpt_path has 32-true"]),
        ("space.chanels=8", ["did you mean 'space.channels'?"]),
        ("epochs=-1", ["whole number"]),
    ],
)
@pytest.mark.parametrize("named", ["", "checkpoints/last.ckpt"], ids=["directory", "file"])
def test_resume_refuses_other_options(argument: str, phrases: list[str], named: str, broken: Path) -> None:
    refused(broken, "search", f"ckpt_path={broken / named}", argument, phrases=phrases)


@pytest.mark.parametrize(
    ("script", "phrases"),
    [
        ("search", ["holds a finished run", "epochs=N and hydra.run.dir=NEW"]),
        ("train", ["holds a finished run", "epochs=N and hydra.run.dir=NEW"]),
    ],
)
def test_resume_refuses_a_finished_run(script: str, phrases: list[str], short_search: Path, trained: Path) -> None:
    directory = short_search if script == "search" else trained
    refused(directory, script, f"ckpt_path={directory}", phrases=phrases)
    refused(directory, script, f"ckpt_path={directory}/checkpoints/last.ckpt", phrases=phrases)


def test_resume_refuses_a_checkpoint_of_the_other_script(broken: Path, trained: Path, tmp_path: Path) -> None:
    other = unfinished(trained, tmp_path / "training")
    file = other / "checkpoints" / "last.ckpt"
    words = ["is the checkpoint of train.py", "python train.py ckpt_path="]
    refused(other, "search", f"ckpt_path={other}", phrases=words)
    alone = tmp_path / "alone.ckpt"
    alone.write_bytes(file.read_bytes())
    refused(tmp_path, "search", *SEARCH, f"ckpt_path={alone}", phrases=words)
    refused(
        broken,
        "train",
        f"ckpt_path={broken}",
        phrases=["is the checkpoint of search.py", "python search.py ckpt_path="],
    )
    refused(
        other,
        "train",
        f"ckpt_path={other}",
        "network.channels=8",
        phrases=["network.channels=8: the run of ckpt_path has 4"],
    )


def test_resume_refuses_a_checkpoint_of_another_method_or_space(broken: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.ckpt"
    alone.write_bytes((broken / "checkpoints" / "last.ckpt").read_bytes())
    words = ["method=darts: the run of ckpt_path has gdas"]
    new = [f"hydra.run.dir={tmp_path}/new", "epochs=2"]
    refused(broken, "search", *SEARCH, *new, f"ckpt_path={alone}", "method=darts", phrases=words)
    darts = [argument for argument in SEARCH if "cells_per_stage" not in argument]
    words = ["space=darts: the run of ckpt_path has nas_bench_201"]
    refused(broken, "search", *darts, *new, f"ckpt_path={alone}", "space=darts", "space.layers=3", phrases=words)


def test_resume_refuses_damaged_and_foreign_checkpoints(broken: Path) -> None:
    file = broken / "checkpoints" / "last.ckpt"
    whole = file.read_bytes()
    third = len(whole) // 3
    damaged = whole[:third] + bytes(64) + whole[third + 64 :]
    contents = {b"hello\n": "(not a file", b"": "(the file is empty)", whole[:-100]: "(the file is truncated)"}
    for content, problem in (contents | {bytes(99): "(not a file of torch.save)", damaged: "("}).items():
        file.write_bytes(content)
        words = [f"{file} is damaged or not a checkpoint {problem}", "or its dir"]
        refused(broken, "search", f"ckpt_path={broken}", phrases=words)
    torch.save({"a": 1}, file)
    refused(broken, "search", f"ckpt_path={file}", phrases=[f"{file} is not a checkpoint of a run"])
    file.unlink()
    words = [f"there is no {file}", "before its first epoch ended"]
    refused(broken, "search", f"ckpt_path={broken}", phrases=words)


def test_resume_refuses_damaged_records(broken: Path, tmp_path: Path) -> None:
    words = ["is not a run directory", "overrides.yaml"]
    refused(tmp_path, "search", f"ckpt_path={tmp_path}", phrases=words)
    (broken / ".hydra" / "overrides.yaml").write_text("{a: [")
    refused(broken, "search", f"ckpt_path={broken}", phrases=["overrides.yaml is damaged"])
    (broken / ".hydra" / "overrides.yaml").write_text("a: 1")
    refused(broken, "search", f"ckpt_path={broken}", phrases=["overrides.yaml is damaged"])


def test_resume_does_not_overwrite_another_run(broken: Path, short_search: Path, tmp_path: Path) -> None:
    other = unfinished(short_search, tmp_path / "other")
    words = [f"{other} holds an interrupted run", f"ckpt_path={other}"]
    refused(other, "search", *SEARCH, f"hydra.run.dir={other}", phrases=words)
    refused(other, "search", f"ckpt_path={broken}", f"hydra.run.dir={other}", phrases=words)
    refused(short_search, "search", *SEARCH, f"hydra.run.dir={short_search}", phrases=["holds a finished run"])
    train = ("train", *TRAIN, f"genotype={short_search}", f"hydra.run.dir={short_search}")
    refused(short_search, *train, phrases=["finished run"])


def test_resume_updates_the_record_of_hydra(broken: Path) -> None:
    run("search", f"ckpt_path={broken}", "epochs=3").succeeded()
    record = (broken / ".hydra" / "overrides.yaml").read_text()
    assert "epochs=3" in record and "epochs=2" not in record and "space.channels=4" in record
    assert "max_epochs" in (broken / ".hydra" / "config.yaml").read_text()
    assert "choices" in (broken / ".hydra" / "hydra.yaml").read_text()
    assert len((broken / "history.jsonl").read_text().splitlines()) == 3


def test_resume_finishes_a_run_without_a_summary(broken: Path, short_search: Path, tmp_path: Path) -> None:
    complete = unfinished(short_search, tmp_path / "complete", epochs=1)
    run("search", f"ckpt_path={complete}").succeeded()
    assert (complete / "summary.json").is_file()


def test_finished_searches_with_results_elsewhere_are_not_resumed(tmp_path: Path) -> None:
    first, results = f"hydra.run.dir={tmp_path / 'run'}", f"paths.output={tmp_path / 'results'}"
    run(
        "search", *SEARCH, "method=darts", "~callbacks.cell_plots", "seeds=[0,1]", "epochs=1", first, results
    ).succeeded()
    before = snapshot(tmp_path)
    for given in ([], [results]):
        refusal = f"{tmp_path / 'results'} holds a finished run"
        run("search", f"ckpt_path={tmp_path / 'run'}", *given).refused(refusal, "paths.output=NEW")
    assert snapshot(tmp_path) == before
