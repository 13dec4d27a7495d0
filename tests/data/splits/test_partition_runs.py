"""Split options in runs of search.py and train.py: hold_out, split=nas_bench_201, and their inheritance."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.cli.overrides.inherit_from_search import inherit_from_search
from tests.support.error_tools import NB201, run

TRAIN = ("dataset=synthetic", "dataset.size=64", "dataset.test_size=20", "dataset.shape=[3,8,8]", "epochs=1")


SMALL = ("network.channels=4", "network.cells_per_stage=1", "dataset.batch_size=16")


def test_train_holds_out_images_and_evaluates_them(tmp_path: Path) -> None:
    """Test on the held-out part and, in an evaluation, on the official test images."""
    place = f"hydra.run.dir={tmp_path}/run"
    found = run("train", f"genotype={NB201}", "protocol=nas_bench_201_200_cifar10_valid", *TRAIN, *SMALL, place)
    found.succeeded()
    assert (
        "hold-out       training on 32 of 64 training images, testing on the other 32 (dataset.split=halves)"
        in found.said
    )
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    held = "training images held out by split=halves"
    assert (summary["tested_on"], summary["images"]) == (held, 32) and f"tested on      32 {held}" in found.said
    for name, more, images in (("same", (), 32), ("official", ("dataset.hold_out=false",), 20)):
        run("train", "mode=eval", f"weights={tmp_path}/run", *more, f"hydra.run.dir={tmp_path}/{name}").succeeded()
        evaluated = json.loads((tmp_path / name / "summary.json").read_text())
        assert evaluated["images"] == images
        assert evaluated["tested_on"] == (held if images == 32 else "test images")
        if images == 32:
            assert evaluated["test_accuracy"] == pytest.approx(summary["test_accuracy"])


def test_train_tests_on_half_of_the_test_images(tmp_path: Path) -> None:
    parts = {"xvalid": list(range(0, 20, 2)), "xtest": list(range(1, 20, 2))}
    (tmp_path / "test.txt").write_text(json.dumps(parts))
    arguments = (
        f"genotype={NB201}",
        "protocol=nas_bench_201_12_cifar100",
        *TRAIN,
        *SMALL,
        "dataset.split=nas_bench_201",
    )
    given = f"dataset.test_split={tmp_path}/test.txt"
    found = run("train", *arguments, given, f"hydra.run.dir={tmp_path}/two")
    found.succeeded()
    assert "test split  " not in found.said
    run("train", "mode=eval", f"weights={tmp_path}/two", f"hydra.run.dir={tmp_path}/eval").succeeded()
    assert json.loads((tmp_path / "eval" / "summary.json").read_text())["images"] == 10
    run("train", *arguments, "dataset.test_split=nowhere.txt", f"hydra.run.dir={tmp_path}/no").refused(
        "file not found", "xtest"
    )


def test_train_inherits_the_test_halves_of_its_search(tmp_path: Path) -> None:
    """Inherit the halves of split=nas_bench_201, and no other split option of the search."""
    record = tmp_path / "run" / ".hydra"
    record.mkdir(parents=True)
    (record / "hydra.yaml").write_text("hydra: {runtime: {choices: {dataset: cifar100}}}\n")
    halved, given = ["dataset.split=nas_bench_201", "dataset.test_split=x.txt"], [f"genotype={tmp_path}/run"]
    (record / "overrides.yaml").write_text(json.dumps([*halved, "dataset.bilevel=true"]))
    assert inherit_from_search(given) == ["dataset=cifar100", *halved, *given]
    for more in ("dataset.split=halves", "dataset.hold_out=true"):
        assert inherit_from_search([*given, more]) == ["dataset=cifar100", *given, more]
    (record / "overrides.yaml").write_text(json.dumps(["dataset.split=xvalid"]))  # of version 0.1.0
    assert inherit_from_search(given) == ["dataset=cifar100", "dataset.split=nas_bench_201", *given]
    (record / "overrides.yaml").write_text(json.dumps(["dataset.split=0.8"]))
    assert inherit_from_search(given) == ["dataset=cifar100", *given]
