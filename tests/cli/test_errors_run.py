"""Mistakes that show when a run begins, or in its midst: one line, and the files of the last whole epoch stay."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from pathlib import Path

import pytest
import torch

import nas.spaces.genotype_file
from nas.cli.errors import explain
from nas.data.cifar import Cifar10
from tests.support.error_tools import NB201, SEARCH, TRAIN, bomb, run, snapshot, unfinished

SEARCHES = {
    "+method.foo=3": ["unknown option 'method.foo'", "method.weight_step"],
    "+method.weight_step.optimizer.foo=1": ["unknown option 'method.weight_step.optimizer.foo'", "momentum"],
    "+trainer.foo=1": ["unknown option 'trainer.foo'"],
    "+dataset.cutout=8": ["exists already", "Write dataset.cutout=8"],
    "+dataset.foo=1": ["unknown option 'dataset.foo'", "dataset.cutout"],
    "method._target_=nas.searches.gradient.Foo": ["method._target_", "nas.searches.gradient.Foo does not exist"],
    "method.step_order=foo": ["unknown method.step_order 'foo'", "arch_first, weights_first"],
    "method.weight_step.clip_params=foo": ["unknown method.weight_step.clip_params 'foo'", "all_accumulated"],
    "space.conv_bias=abc": ["space.conv_bias=abc", "true or false"],
    "method.weight_step.optimizer.lr=-1": ["optimizer", "Invalid learning rate: -1"],
    "space.channels=0": ["channels=0", "at least 1"],
    "dataset.shape=[3,8]": ["three numbers of shape"],
    "dataset.batch_size=64": ["batch_size=64", "train part of synthetic (32 images", "Set at most 32"],
    "dataset.split=nowhere.json": ["nowhere.json: file not found", "halves"],
    "trainer.devices=abc": ["trainer: `devices`"],
    "trainer.precision=16-mixed": ["trainer.precision=16-mixed", "bf16-mixed"],
    "trainer.precision=16": ["trainer.precision=16-mixed", "bf16-mixed"],
    "trainer.precision=bf16-true": ["trainer.precision=bf16-true", "bf16-mixed"],
}
TRAININGS = {
    f"genotype={NB201} network.layers=3": ["network.layers", "space=nas_bench_201", "channels, cells_per_stage"],
    f"genotype={NB201} network.channels=0": ["channels=0", "at least 1"],
    f"genotype={NB201} network.channels=abc": ["network.channels=abc", "a whole number"],
    f"genotype={NB201} network.stem=foo": ["network.stem", "channels, cells_per_stage"],
    "genotype=nowhere/at/all": ["no file nowhere/at/all", "Give a run directory"],
    "genotype=foo": ["genotype=foo: ", "Give a run directory"],
    "genotype=|foo~0|+|none~0|none~1|+|none~0|none~1|none~2|": ["unknown op 'foo'", "skip_connect"],
    "genotype=|none~0|+|none~0|+|none~0|none~1|none~2|": ["edge 1->2 is missing"],
    "genotype=Genotype(normal=[('foo',0)],reduce=[])": ["unknown op 'foo'", "sep_conv_3x3"],
    "genotype=Genotype(": ["not a DARTS genotype", "Genotype(normal=["],
}
DARTS = "Genotype(normal=[%s], reduce=[%s])" % ((", ".join(["('skip_connect', 0), ('skip_connect', 1)"] * 4),) * 2)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of a search of one epoch."""
    directory = tmp_path_factory.mktemp("searched") / "run"
    run("search", *SEARCH, f"hydra.run.dir={directory}").succeeded()
    return directory


@pytest.mark.parametrize("argument", SEARCHES)
def test_search_refuses(argument: str, tmp_path: Path) -> None:
    run("search", *SEARCH, f"hydra.run.dir={tmp_path}", argument).refused(*SEARCHES[argument])
    assert not (tmp_path / "genotype.json").exists() and not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize("arguments", TRAININGS)
def test_train_refuses(arguments: str, tmp_path: Path) -> None:
    genotype, *more = arguments.split(" ")
    tiny = [a for a in TRAIN if not a.startswith("network") or genotype.endswith(NB201)]
    tiny = [a for a in tiny if not any(m.startswith("network.channels=abc") for m in more) or "channels" not in a]
    run("train", *tiny, f"hydra.run.dir={tmp_path}", genotype, *more).refused(*TRAININGS[arguments])
    assert not (tmp_path / "model.pt").exists() and not (tmp_path / "checkpoints").exists()


def test_auxiliary_head_needs_room(tmp_path: Path) -> None:
    arguments = [a for a in TRAIN if "cells_per_stage" not in a and "shape" not in a]
    found = run(
        "train",
        *arguments,
        f"genotype={DARTS}",
        "network.layers=3",
        "network.auxiliary=true",
        "dataset.shape=[3,4,4]",
        f"hydra.run.dir={tmp_path}",
    )
    found.refused("auxiliary head", "4x4", "network.auxiliary=false")


def test_a_last_batch_of_one_image(tmp_path: Path) -> None:
    """Behind its 2x2 convolution the auxiliary head has a batch norm on maps of 1x1."""
    arguments = [a for a in TRAIN if "cells_per_stage" not in a]
    more = (f"genotype={DARTS}", "network.layers=3", "dataset.size=17", f"hydra.run.dir={tmp_path}")
    found = run("train", *arguments, *more)
    found.refused("a batch of a single image", "dataset.batch_size", "network.auxiliary=false")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("script", ["search", "train"])
def test_no_gpu(script: str, tmp_path: Path) -> None:
    arguments = SEARCH if script == "search" else (*TRAIN, f"genotype={NB201}")
    run(script, *arguments, "trainer=gpu", f"hydra.run.dir={tmp_path}").refused("finds no GPU", "trainer=cpu")


def test_full_errors_are_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(nas.utils.errors.NasError, match="Set at most 32"):
        run("search", *SEARCH, "dataset.batch_size=64", f"hydra.run.dir={tmp_path}")


@pytest.mark.parametrize(
    ("content", "phrases"),
    [
        ("{", ["is not JSON"]),
        ("{}", ["is not a genotype file", "'format'"]),
        ('{"format": "nas-genotype", "version": 2}', ["has version 2", "reads version 1"]),
        ('{"format": "nas-genotype", "version": 1, "space": "darts"}', ["is damaged", "links"]),
        ('{"format": "nas-genotype", "version": 1, "space": "foo", "cells": {}}', ["genotype 'foo'", "Choose from"]),
    ],
)
def test_genotype_files(content: str, phrases: list[str], tmp_path: Path) -> None:
    (tmp_path / "genotype.json").write_text(content)
    found = run("train", *TRAIN, f"genotype={tmp_path}", f"hydra.run.dir={tmp_path}/run")
    found.refused(*phrases)


def test_a_directory_without_a_genotype(tmp_path: Path) -> None:
    run("train", *TRAIN, f"genotype={tmp_path}", f"hydra.run.dir={tmp_path}/run").refused(
        f"no file {tmp_path}/genotype.json", "Give a run directory"
    )


def test_data_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["dataset=cifar10", f"paths.data={tmp_path}/data", f"hydra.run.dir={tmp_path}/run"]
    archive = Cifar10.archive
    found = run("search", *arguments, "dataset.download=false")
    found.refused(f"{tmp_path}/data/cifar-10-batches-py: missing", archive.url, archive.md5, "download is off")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.delenv("no_proxy", raising=False)
    run("search", *arguments).refused("the download failed", archive.url, archive.md5, f"{tmp_path}/data")
    assert not list((tmp_path / "data").iterdir())


def test_data_that_is_damaged(tmp_path: Path) -> None:
    archive, data = Cifar10.archive, tmp_path / "data"
    data.mkdir()
    (data / archive.file).write_bytes(b"x")
    arguments = ["dataset=cifar10", f"paths.data={data}", f"hydra.run.dir={tmp_path}/run"]
    run("search", *arguments).refused(f"{data / archive.file}: damaged", archive.md5, "Delete it")
    (data / archive.folder).mkdir()
    for name in archive.files:
        (data / archive.folder / name).write_bytes(b"x")
    before = snapshot(data)
    run("search", *arguments).refused("batches.meta: damaged", archive.files["batches.meta"], "Delete it")
    assert snapshot(data) == before


@pytest.mark.parametrize(
    ("what", "phrases"),
    [
        ("spoiled", ["train loss is nan", "'supernet.classifier.weight'"]),
        ("huge", ["train loss is", "first module whose output is not finite is 'supernet.classifier'"]),
        ("images", ["train loss is nan", "the images of the batch are not finite"]),
    ],
)
def test_a_loss_that_is_no_number(what: str, phrases: list[str], searched: Path, tmp_path: Path) -> None:
    directory = unfinished(searched, tmp_path / "run")
    before = snapshot(directory)
    found = run("search", f"ckpt_path={directory}", bomb(what))
    checkpoint = directory / "checkpoints" / "last.ckpt"
    found.refused(
        *phrases, "epoch 1, step 1", f"last good checkpoint is {checkpoint}", "method.weight_step.optimizer.lr"
    )
    after = snapshot(directory)
    assert {name for name in after if after[name] != before.get(name)} <= record(after)
    run("search", f"ckpt_path={directory}", "~callbacks.bomb").succeeded()
    assert json.loads((directory / "summary.json").read_text())["epochs"] == 2


def record(files: dict[str, str]) -> set[str]:
    """Return the files that Hydra writes of a run."""
    return {name for name in files if name.startswith(".hydra/")}


@pytest.mark.parametrize(
    ("arguments", "phrases"),
    [
        ("method.weight_step.optimizer.lr=1e30", ["loss is nan", "lower method.", "weight_step.optimizer.lr"]),
        ("method.arch_step.optimizer.lr=1e30", ["'relaxation.alpha.cell'", "a lower method.arch_step.optimizer.lr"]),
        ("method=darts method.weight_step.optimizer.lr=1e30", ["loss is nan", "first module"]),
    ],
)
def test_learning_rates_that_are_too_high(arguments: str, phrases: list[str], tmp_path: Path) -> None:
    found = run("search", *SEARCH, *arguments.split(), f"hydra.run.dir={tmp_path}")
    found.refused("epoch 0, step", "there is no checkpoint yet", *phrases)
    assert not (tmp_path / "genotype.json").exists() and not (tmp_path / "checkpoints").exists()


def test_a_training_whose_loss_is_no_number(tmp_path: Path) -> None:
    arguments = [*TRAIN, f"genotype={NB201}", "epochs=2", f"hydra.run.dir={tmp_path}/huge", bomb("huge")]
    found = run("train", *arguments)
    found.refused("epoch 1, step 1", "'network.classifier'", "last.ckpt", "training.optimizer.lr")
    found = run("train", *TRAIN, f"genotype={NB201}", "training.optimizer.lr=1e30", f"hydra.run.dir={tmp_path}/lr")
    found.refused("train loss is", "'network.", "there is no checkpoint yet")
    assert not (tmp_path / "lr" / "model.pt").exists()


@pytest.mark.gpu
def test_a_loss_that_is_no_number_on_a_gpu(tmp_path: Path) -> None:
    directory = tmp_path / "run"
    found = run("search", *SEARCH, "epochs=2", "trainer=gpu", f"hydra.run.dir={directory}", bomb("huge"))
    found.refused("train loss is", "epoch 1, step 1", f"last good checkpoint is {directory}/checkpoints/last.ckpt")
    saved = torch.load(directory / "checkpoints" / "last.ckpt", map_location="cpu", weights_only=True)
    assert saved["epoch"] == 0


def test_interruptions(searched: Path, tmp_path: Path) -> None:
    directory = unfinished(searched, tmp_path / "run")
    before = snapshot(directory)
    found = run("search", f"ckpt_path={directory}", bomb("interrupt"))
    found.refused("interrupted", f"Resume with ckpt_path={directory}", code=130)
    after = snapshot(directory)
    assert {name for name in after if after[name] != before.get(name)} <= record(after)
    found = run("search", *SEARCH, f"hydra.run.dir={tmp_path}/new", bomb("interrupt", epoch=0))
    found.refused("before the first epoch ended", "Start from scratch", code=130)
    run("search", f"ckpt_path={directory}", "~callbacks.bomb").succeeded()


def test_a_full_disk(searched: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = unfinished(searched, tmp_path / "run")
    before = snapshot(directory)

    def full(file: int) -> None:
        if os.readlink(f"/proc/self/fd/{file}").find(".last.ckpt.") >= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(nas.spaces.genotype_file.os, "fsync", full)
        run("search", f"ckpt_path={directory}").refused("no space left on device", "last complete epoch are kept")
    after = snapshot(directory)
    assert after["checkpoints/last.ckpt"] == before["checkpoints/last.ckpt"] and after.keys() == before.keys()
    run("search", f"ckpt_path={directory}").succeeded()


def test_a_small_disk(searched: Path, tmp_path: Path) -> None:
    size = sum(path.stat().st_size for path in searched.rglob("*") if path.is_file())
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", f"size={size + 100_000}", "tmpfs", str(disk)]
    if subprocess.run(mounted, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    try:
        directory = disk / "run"
        run("search", *SEARCH, "epochs=3", f"hydra.run.dir={directory}").refused("no space left on device", "ckpt_path")
        assert json.loads((directory / "genotype.json").read_text())["version"] == 1
        subprocess.run(["mount", "-o", "remount,size=16m", str(disk)], check=True)
        run("search", f"ckpt_path={directory}").succeeded()
        with (disk / "filler").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while file.write(bytes(4096)):
                pass
        run("search", *SEARCH, f"hydra.run.dir={disk}/other").refused("hydra.run.dir: cannot write to", "No space left")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_what_explain_knows() -> None:
    assert explain(ValueError("x")) is None
    assert explain(OSError(errno.ENOENT, "x")) is None
    assert "permission denied (/x)" in (explain(PermissionError(errno.EACCES, "x", "/x")) or "")
    kind = type("OutOfMemoryError", (RuntimeError,), {})
    assert "smaller dataset.batch_size" in (explain(kind("CUDA out of memory. Tried\nto allocate")) or "")
