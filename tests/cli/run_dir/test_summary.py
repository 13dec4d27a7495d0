"""Rows of the log for the summaries of all jobs."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from nas.cli.run_dir.summary import Summary, read_summary
from nas.utils.errors import NasError

COST = {"genotype": "|x|", "parameters": 1_500_000, "macs": 2e8, "macs_rule": "macs"}
SEARCH = {
    **COST,
    "mode": "search",
    "network_size": "channels=16",
    "val_accuracy": 50.0,
    "val_images": 40,
    "val_accuracy_of": "the supernet (channels=4)",
    "search_seconds": 12.34,
    "step_seconds": 0.05,
}
BLACK_BOX = {
    **SEARCH,
    "val_accuracy": None,
    "value": 71.5,
    "value_of": "valid accuracy",
    "queries": 9,
    "query_seconds": 100.0,
    "query_seconds_are": "simulated",
    "ended_by": "seconds",
    "benchmark/test": 93.5,
    "benchmark_of": "cifar10",
}
TRAIN = {
    **COST,
    "parameters_with_auxiliary": 2_000_000,
    "published": {"counted": {"thop": 3e8}, "reported": {"cifar10": {"error": 2.5}}},
    "dataset": "cifar10",
    "test_accuracy": 97.0,
    "best_test_accuracy": 97.5,
    "best_epochs": 590,
    "best_images": 10_000,
    "epochs": 600,
    "images": 10_000,
    "tested_on": "test images",
    "train_seconds": 5.0,
    "step_seconds": None,
}
PASSES = {"batch": 256, "median": 0.002, "low": 0.001, "high": 0.003, "runs": 100}
EVAL = {
    **COST,
    "weights": "run/model.pt",
    "weights_kind": "model.pt",
    "dataset": "cifar10",
    "test_accuracy": 97.0,
    "test_top5_accuracy": 99.9,
    "test_loss": 0.1,
    "calibration_error": 1.5,
    "images": 10_000,
    "tested_on": "test images",
    "images_per_second": 1000.0,
    "batch_seconds": PASSES,
    "image_seconds": PASSES,
    "threads": 2,
    "device": "cpu",
    "accelerator": "cpu",
    "precision": "32-true",
}
EXPORT = {**COST, "weights": "w.pt", "weights_kind": "state_dict", "file": "m.onnx", "bytes": 2_500_000}
REPEATED = {
    **COST,
    "repetitions": 3,
    "value_of": "valid accuracy",
    "table": {"value": {"n": 3, "mean": 70.0, "std": 0.5}, "cifar10/test": {"n": 1, "mean": 93.0, "std": None}},
}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            SEARCH,
            {
                "parameters": "1.500 M   MACs 200.00 M   final network with channels=16",
                "val accuracy": "50.00 % of 40 images: the supernet (channels=4)",
                "search time": "12.3 s, 50 ms per step",
            },
        ),
        (
            {**COST, "mode": "rank_proxies", "search_seconds": 16.0, "measurement_seconds": 30.74},
            {"search time": "16.0 s, 30.7 s of measurements"},
        ),
        ({**COST, "search_seconds": None}, {"search time": "unknown"}),
        (
            {**COST, "search_seconds": 8.5, "measurement_seconds": 8.0, "shards": 2, "longest_shard_seconds": 5.5},
            {"search time": "8.5 s, 8.0 s of measurements, the sum of 2 shards (longest 5.5 s)"},
        ),
        (
            BLACK_BOX,
            {
                "value": "71.5, valid accuracy",
                "queries": "9 with 100 simulated s of evaluations, ended by seconds",
                "benchmark": "test 93.50 % (cifar10)",
            },
        ),
        (
            TRAIN,
            {
                "parameters": "1.500 M (2.000 M with the auxiliary head)   MACs 200.00 M (macs), 300.00 M (thop)",
                "reported": "2.5 % error on cifar10",
                "test accuracy": "top-1 97.00 % after epoch 600 (best 97.50 % after epoch 590)",
                "tested on": "10000 test images of cifar10",
                "train time": "5.0 s",
            },
        ),
        (
            {**TRAIN, "best_images": 32},
            {"test accuracy": "top-1 97.00 % after epoch 600 (best 97.50 % of 32 images after epoch 590)"},
        ),
        (
            EVAL,
            {
                "weights": "run/model.pt (model.pt)",
                "test accuracy": "top-1 97.00 %   top-5 99.90 %",
                "test loss": "0.1000   expected calibration error 1.50 %",
                "throughput": "1000.0 images/s in batches of 256 (cpu, 32-true, 2 threads)",
                "latency": "2.00 ms for a single image (80 % of 100 between 1.00 and 3.00)",
            },
        ),
        (
            {**EXPORT, "max_difference": {"random": 1e-6}},
            {"difference": "at most 1e-06 from the network, on random images", "file": "m.onnx (2.50 MB)"},
        ),
        (
            REPEATED,
            {
                "value": "70.00 +- 0.50 (n = 3)   valid accuracy",
                "cifar10/test": "93.00 (n = 1 of 3: a mean of these alone)",
            },
        ),
    ],
    ids=[
        "search",
        "workers",
        "unknown",
        "merged",
        "black box",
        "train",
        "best of a part",
        "eval",
        "export",
        "repetitions",
    ],
)
def test_rows_follow_from_the_values(values: dict[str, Any], expected: dict[str, str]) -> None:
    found = dict(Summary(values, [("next", "x")]).rows())
    assert found == {**found, **expected, "genotype": "|x|", "next": "x"}


def test_save_writes_the_values_and_prints_the_rows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "failure.txt").write_text("an error of an earlier attempt")
    with caplog.at_level(logging.INFO):
        Summary(SEARCH, [("next", "x")], "report\n").save(tmp_path)
    assert not (tmp_path / "failure.txt").exists()
    assert json.loads((tmp_path / "summary.json").read_text()) == SEARCH
    assert [record.getMessage() for record in caplog.records][:2] == ["report", "genotype       |x|"]


@pytest.mark.parametrize(
    "text",
    ["", '{"mode": "search"', "[]", '{"value": "x"}', '{"val_accuracy": [1]}', '{"table": 1}', '{"table": {"a": 1}}'],
)
def test_read_summary_refuses_damaged_files(text: str, tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    path.write_text('{"value": 1.5, "table": {"value": {"mean": 2}}}')
    assert read_summary(tmp_path)["value"] == 1.5
    path.write_text(text)
    with pytest.raises(NasError, match=f"^{path} is damaged: .* Restore the file, or remove it"):
        read_summary(tmp_path)
