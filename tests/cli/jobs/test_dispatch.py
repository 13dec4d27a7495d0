"""Checks at the start of a run: options, values, files and data."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch

import nas.spaces.genotype_file
from nas.data.cifar import Cifar10
from tests.support.error_tools import NB201, SEARCH, TRAIN, run, snapshot

SEARCHES = {
    "+method.foo=3": ["unknown option 'method.foo'", "method.weight_step"],
    "+method.weight_step.optimizer.foo=1": ["unknown option 'method.weight_step.optimizer.foo'", "momentum"],
    "+trainer.foo=1": ["unknown option 'trainer.foo'"],
    "+dataset.cutout=8": ["exists already", "Write dataset.cutout=8"],
    "+dataset.foo=1": ["unknown option 'dataset.foo'", "dataset.cutout"],
    "method._target_=nas.searches.gradient.Foo": ["Foo: module 'nas.searches.gradient' has no 'Foo'"],
    "method._target_=nas.searches.gradient.GradientSerch": ["Did you mean 'GradientSearch'?"],
    "method._target_=nas.serches.gradient.GradientSearch": ["module 'nas' has no 'serches'. Did you mean 'searches'?"],
    "method.step_order=foo": ["unknown method.step_order 'foo'", "arch_first, simultaneous, weights_first"],
    "method.weight_step.clip_params=foo": ["unknown method.weight_step.clip_params 'foo'", "all_accumulated"],
    "space.conv_bias=abc": ["space.conv_bias=abc", "true or false"],
    "method.weight_step.optimizer.lr=-1": ["optimizer.lr=-1", "at least 0"],
    "space.channels=0": ["channels=0", "from 1 to 8,192"],
    "dataset.shape=[3,8]": ["needs three numbers"],
    "dataset.batch_size=64": ["batch_size=64", "train part of synthetic (32 images", "Set at most 32"],
    "dataset.split=nowhere.json": ["nowhere.json: file not found", "halves"],
    "trainer.devices=abc": ["trainer.devices=abc"],
    "trainer.precision=16-mixed": ["trainer.precision=16-mixed", "bf16-mixed"],
    "trainer.precision=16": ["trainer.precision=16-mixed", "bf16-mixed"],
    "trainer.precision=bf16-true": ["trainer.precision=bf16-true", "bf16-mixed"],
}
TRAININGS = {
    f"genotype={NB201} network.layers=3": ["network.layers", "space=nas_bench_201", "channels, cells_per_stage"],
    f"genotype={NB201} network.channels=0": ["channels=0", "from 1 to 8,192"],
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


def test_run_job_refuses_an_auxiliary_head_on_small_maps(tmp_path: Path) -> None:
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


def test_run_job_refuses_a_last_batch_of_one_image(tmp_path: Path) -> None:
    """The auxiliary head has a batch norm on maps of 1x1 after its 2x2 convolution."""
    arguments = [a for a in TRAIN if "cells_per_stage" not in a]
    more = (f"genotype={DARTS}", "network.layers=3", "dataset.size=17", f"hydra.run.dir={tmp_path}")
    found = run("train", *arguments, *more)
    found.refused("a batch of a single image", "dataset.batch_size", "network.auxiliary=false")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("script", ["search", "train"])
def test_run_job_refuses_a_gpu_that_is_absent(script: str, tmp_path: Path) -> None:
    arguments = SEARCH if script == "search" else (*TRAIN, f"genotype={NB201}")
    run(script, *arguments, "trainer=gpu", f"hydra.run.dir={tmp_path}").refused("finds no GPU", "trainer=cpu")


def test_full_errors_raises_the_exception(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(nas.utils.errors.NasError, match="Set at most 32"):
        run("search", *SEARCH, "dataset.batch_size=64", f"hydra.run.dir={tmp_path}")


@pytest.mark.parametrize(
    ("content", "phrases"),
    [
        ("{", ["is not JSON"]),
        ("{}", ["contains no architecture", "genotype.json"]),
        ('{"format": "nas-genotype", "version": 2}', ["has version 2", "reads version 1"]),
        ('{"format": "nas-genotype", "version": 1, "space": "darts"}', ["is damaged", "links"]),
        ('{"format": "nas-genotype", "version": 1, "space": "foo", "cells": {}}', ["genotype 'foo'", "Choose from"]),
    ],
)
def test_run_job_refuses_damaged_genotype_files(content: str, phrases: list[str], tmp_path: Path) -> None:
    (tmp_path / "genotype.json").write_text(content)
    found = run("train", *TRAIN, f"genotype={tmp_path}", f"hydra.run.dir={tmp_path}/run")
    found.refused(*phrases)


def test_run_job_refuses_a_directory_without_a_genotype(tmp_path: Path) -> None:
    run("train", *TRAIN, f"genotype={tmp_path}", f"hydra.run.dir={tmp_path}/run").refused(
        f"no file {tmp_path}/genotype.json", "Give a run directory"
    )


def test_run_job_names_missing_data_and_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["dataset=cifar10", f"paths.data={tmp_path}/data", f"hydra.run.dir={tmp_path}/run"]
    archive = Cifar10.archive
    found = run("search", *arguments, "dataset.download=false")
    found.refused(f"{tmp_path}/data/cifar-10-batches-py: missing", archive.url, archive.md5, "download is off")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.delenv("no_proxy", raising=False)
    run("search", *arguments).refused("the download failed", archive.url, archive.md5, f"{tmp_path}/data")
    assert not (tmp_path / "data").exists(), "nothing is created before there is something to write"


def test_run_job_refuses_damaged_data(tmp_path: Path) -> None:
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


def test_messages_about_damaged_compiled_code_are_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch prints a traceback for each file of its cache that it cannot read, and compiles again."""
    logger = logging.getLogger("torch._inductor.codecache")
    monkeypatch.setattr(logger, "level", logging.WARNING)
    logger.manager._clear_cache()  # type: ignore[attr-defined]
    run("search", *SEARCH, "dataset.batch_size=64", f"hydra.run.dir={tmp_path}/run").refused("batch_size=64")
    assert not logger.isEnabledFor(logging.WARNING)
