"""Tests of the paired benchmark of language models, without the authors' programs."""

from __future__ import annotations

import time
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from tools import authors_text, bench_text
from tools.authors_step import WARMUP


def test_ratios_are_those_of_the_rounds() -> None:
    found = bench_text.summarize([1.0, 4.0, 3.0], [1.0, 2.0, 1.0])
    assert found == {"authors": 3.0, "ours": 1.0, "ratio": 2.0, "lowest": 1.0, "highest": 3.0}


def test_steps_are_the_times_between_training_batches() -> None:
    text, other = torch.zeros(4, 2), torch.zeros(3, 2)
    recorder = authors_text.Recorder(lambda source, i: (source, i), text)

    def train() -> None:
        for number in range(WARMUP + 2):
            assert recorder.get_batch(other, 0)[0] is other and recorder.get_batch(text, number) == (text, number)
            recorder.nll_loss(torch.full((2, 4), 0.25).log(), torch.tensor([0, 3]))
            time.sleep(0.01 if number < WARMUP else 0.05)

    options = Namespace(epochs=2, validate=True)
    found = authors_text.measure(train, lambda: torch.tensor(3.0).log(), recorder, options)
    assert found["train_perplexity"] == [4.0, 4.0] and found["val_perplexity"] == [3.0, 3.0]
    assert 0.05 <= found["step_seconds"] < 1.0 and 0 <= found["step_cpu_seconds"] < found["step_seconds"]


def test_first_steps_are_not_counted() -> None:
    times = [authors_text.Seconds(float(t), 10.0 * t) for t in (0, 5, 9, 10, 12, 15)]
    assert authors_text.median_step(times[:-1], times[-1]) == {"step_seconds": 2.0, "step_cpu_seconds": 20.0}
    assert authors_text.median_step(times[:1], times[1]) == {"step_seconds": 5.0, "step_cpu_seconds": 50.0}


def test_random_lengths_of_chunks_are_replaced_by_their_mean() -> None:
    assert authors_text.Regular.random.random() < 0.95 and authors_text.Regular.random.normal(35, 5) == 35


@pytest.mark.parametrize(("module", "wrong"), [(authors_text, ["--steps", "2"]), (bench_text, [])])
def test_wrong_arguments(module: object, wrong: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [str(tmp_path), str(tmp_path), *(["darts"] if module is authors_text else []), *wrong]
    with pytest.raises(SystemExit) as ended:
        module.parse_arguments(given)  # type: ignore[attr-defined]
    expected = "use more than 2" if module is authors_text else "no clone of github.com/quark0/darts"
    assert ended.value.code == 2 and expected in capsys.readouterr().err
