"""Trainings of language models from the command line: results, evaluation, resumption and refusals."""

from __future__ import annotations

import csv
import json
import math
import re
from pathlib import Path

import pytest
import torch

from nas.cli.jobs.evaluate_text import TIMED_PASSES
from tests.support.compose_tools import composed, script, succeeded
from tests.support.docs_tools import ROOT
from tests.support.error_tools import NB201, run
from tests.support.resume_tools import assert_equal

DATA = ("dataset=text_synthetic", "dataset.words=12", "dataset.size=600", "dataset.eval_size=120", "dataset.bptt=12")
SMALL = (*DATA, "dataset.batch_size=4", "genotype=RNN_DARTS_V2", "network.hidden_size=8", "epochs=2")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run directory of a small training."""
    directory = tmp_path_factory.mktemp("text") / "run"
    run("train", *SMALL, "text_training.optimizer.lr=5", f"hydra.run.dir={directory}").succeeded()
    return directory


def summary(directory: Path) -> dict:
    return json.loads((directory / "summary.json").read_text())


def test_training_reports_perplexities(trained: Path) -> None:
    found, log = summary(trained), (trained / "train.log").read_text()
    assert found["test_perplexity"] == pytest.approx(math.exp(found["test_loss"]), rel=1e-5)
    assert found["val_perplexity"] < 12 and found["tokens"] == 119 and found["val_tokens"] == 110
    assert found["space"] == "recurrent" and found["vocabulary"] == 12 and not found["averaged"]
    assert "test_accuracy" not in found and "accuracy" not in log
    assert f"perplexity     test {found['test_perplexity']:.2f}" in log and "119 tokens of the test text" in log
    assert "text           text_synthetic: vocabulary of 12 words (tokens: 600 train, 120 val, 120 test)" in log
    with (trained / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    best = [float(row["val/perplexity"]) for row in rows if row["val/perplexity"]]
    assert min(best) == pytest.approx(found["val_perplexity"], rel=1e-5) and len(best) == 2
    assert any(row["step/train_perplexity"] for row in rows)
    assert f"next           python search.py report {trained}" in log and "mode=export" not in log


def test_example_of_the_documentation_computes_logits(trained: Path) -> None:
    (example,) = re.findall(r"```python\n(import nas\n.*?)```", (ROOT / "docs" / "text.md").read_text(), re.DOTALL)
    names = {"tokens": torch.randint(12, (5, 3))}
    exec(compile(example.replace("outputs/train/DATE/TIME", str(trained)), "documentation", "exec"), names)
    assert names["logits"].shape == (15, 12)


def test_evaluation_repeats_the_test_of_the_training(trained: Path, tmp_path: Path) -> None:
    run("train", "mode=eval", *DATA, f"weights={trained}", f"hydra.run.dir={tmp_path}/out").succeeded()
    expected, got = summary(trained), summary(tmp_path / "out")
    for key in ("test_perplexity", "test_loss", "val_perplexity", "tokens", "val_tokens"):
        assert got[key] == pytest.approx(expected[key], rel=1e-5), key
    assert got["tokens_per_second"] > 0 and (got["parameters"], got["macs"]) == (
        expected["parameters"],
        expected["macs"],
    )
    other = run("train", "mode=eval", *DATA, "dataset.words=13", f"weights={trained}", f"hydra.run.dir={tmp_path}/a")
    other.refused("another vocabulary (12 words)", "dataset=text_synthetic (13 words)")
    for option, problem in (("runs=5", "evaluation.runs=5: it counts"), ("logits=true", "evaluation.logits=true")):
        run("train", "mode=eval", *DATA, f"weights={trained}", f"evaluation.{option}").refused(problem, "Leave it out")
    with composed("train", "mode=eval", f"weights={trained}") as cfg:
        assert cfg.evaluation.runs == TIMED_PASSES
    run("train", "mode=export", *DATA, f"weights={trained}", f"hydra.run.dir={tmp_path}/b").refused(
        "mode=export", "carries hidden states"
    )


def test_resumed_training_equals_an_uninterrupted_one(trained: Path, tmp_path: Path) -> None:
    options = (*SMALL, "text_training.optimizer.lr=5", f"hydra.run.dir={tmp_path}/run")
    run("train", *options, "epochs=1").succeeded()
    longer = tmp_path / "longer"
    run("train", f"ckpt_path={tmp_path}/run", "epochs=2", f"hydra.run.dir={longer}").succeeded()
    first, second = (torch.load(p / "checkpoints" / "last.ckpt", weights_only=True) for p in (trained, longer))
    for key in ("state_dict", "optimizer_states", "language_model", "global_step"):
        assert_equal(first[key], second[key], key)
    assert summary(trained)["test_perplexity"] == summary(longer)["test_perplexity"]


@pytest.mark.parametrize(
    ("arguments", "phrases"),
    [
        ((*SMALL, "training.clip_norm=1"), ("training.clip_norm=1", "Set an option of text_training")),
        ((*SMALL, "ema=0.99"), ("ema=0.99", "text_training.averaging")),
        (
            (*SMALL, "text_training.averaging=false", "text_training.patience=3"),
            ("text_training.patience=3", "text_training.averaging=true, or text_training.patience=5"),
        ),
        (
            (*SMALL, "text_training.averaging=false", "text_training.skip_recent=false"),
            ("text_training.skip_recent=false: a condition of averaged SGD",),
        ),
        ((*SMALL, "dataset=digits"), ("take text", "provides images")),
        ((f"genotype={NB201}", *DATA), ("take images", "provides text")),
        ((f"genotype={NB201}", "dataset=digits", "text_training.patience=3"), ("does not use text_training",)),
        (("genotype=RNN_DARTS_V2", "dataset=ptb", "paths.data=nowhere"), ("ptb.train.txt", "data get ptb")),
    ],
)
def test_mistakes_are_refused_in_one_line(arguments: tuple[str, ...], phrases: tuple[str, ...], tmp_path: Path) -> None:
    given = [a for a in arguments if not (a.startswith("dataset.") and "dataset=digits" in arguments)]
    if "dataset=digits" in given:
        given = [a for a in given if a != "dataset=text_synthetic"]
    run("train", *given, f"hydra.run.dir={tmp_path}/run").refused(*phrases)


@pytest.mark.slow
def test_two_ranks_train_as_one(tmp_path: Path) -> None:
    """Without dropout the ranks share the columns of the same batches, so the weights are those of a single rank."""
    names = ("word", "embedding", "input", "hidden", "output")
    options = (*SMALL, *(f"network.{name}_dropout=0" for name in names), "text_training.optimizer.lr=2")
    for trainer, directory in (("cpu", "one"), ("ddp_cpu", "two")):
        place = f"hydra.run.dir={tmp_path / directory}"
        succeeded(script("train", *options, f"trainer={trainer}", place, cwd=tmp_path))
    one, two = (torch.load(tmp_path / name / "model.pt", weights_only=True)["state_dict"] for name in ("one", "two"))
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-4, atol=1e-6, msg=name)
    first, second = summary(tmp_path / "one"), summary(tmp_path / "two")
    assert (first["tokens"], first["val_tokens"]) == (second["tokens"], second["val_tokens"])
    assert second["test_perplexity"] == pytest.approx(first["test_perplexity"], rel=1e-4)
