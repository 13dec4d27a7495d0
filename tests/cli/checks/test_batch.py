"""dataset.global_batch_size: its division among devices and passes, and the lines for numbers that do not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from nas.cli.checks.batch import apply_plan, check_batch, count_devices, plan_batches
from nas.cli.checks.options import check_options
from nas.cli.checks.values import check_config
from nas.cli.overrides.complete import complete
from nas.utils.errors import NasError
from tests.support.compose_tools import CONF, composed
from tests.support.error_tools import NB201

TRAIN = ("train", [f"genotype='{NB201}'"])
SEARCH = ("search", ["method=darts"])


def cfg_of(total: Any, size: Any, devices: Any = 1, accumulated: int = 1, **more: Any) -> Any:
    data = {"batch_size": size, "global_batch_size": total}
    trainer = {"devices": devices, "accelerator": "cpu", "num_nodes": 1, "accumulate_grad_batches": accumulated}
    return OmegaConf.create({"mode": "train", "dataset": data, "trainer": trainer, **more})


@pytest.mark.parametrize(
    ("total", "size", "devices", "accumulated", "plan", "text"),
    [
        (None, 64, 1, 1, (1, 1, 64), "64 images per step"),
        (None, 64, 2, 4, (2, 4, 64), "512 images per step (2 devices x 4 passes x 64 images)"),
        (1024, None, 1, 1, (1, 1, 1024), "1024 images per step"),
        (1024, None, 8, 1, (8, 1, 128), "1024 images per step (8 devices x 128 images)"),
        (1024, None, 8, 2, (8, 2, 64), "1024 images per step (8 devices x 2 passes x 64 images)"),
        (1024, 128, 1, 1, (1, 8, 128), "1024 images per step (8 passes x 128 images)"),
        (768, 96, 2, 4, (2, 4, 96), "768 images per step (2 devices x 4 passes x 96 images)"),
    ],
)
def test_images_are_divided(total: Any, size: Any, devices: int, accumulated: int, plan: Any, text: str) -> None:
    found = plan_batches(cfg_of(total, size, devices, accumulated))
    assert found == plan and found.describe() == text
    assert found.total == (total or size * devices * accumulated) and found.share * devices == found.total


@pytest.mark.parametrize(
    ("total", "size", "devices", "accumulated", "phrase"),
    [
        (1024, None, 3, 1, "dataset.global_batch_size=1024: 3 devices do not divide it"),
        (1024, 96, 1, 1, "dataset.batch_size=96: does not divide the 1024 images of each device"),
        (1024, 256, 8, 1, "dataset.batch_size=256: does not divide the 128 images"),
        (1024, 128, 2, 3, "trainer.accumulate_grad_batches=3: dataset.global_batch_size=1024"),
        (1000, None, 8, 2, "trainer.accumulate_grad_batches=2: does not divide the 125 images"),
        (0, None, 1, 1, "dataset.global_batch_size=0: use a whole number from 1"),
        ([], None, 1, 1, "dataset.global_batch_size=[]: use a whole number"),
        ({"a": 1}, None, 1, 1, "dataset.global_batch_size={'a': 1}: use a whole number"),
        (1.5, None, 1, 1, "dataset.global_batch_size=1.5: use a whole number"),
        ("word", None, 1, 1, "dataset.global_batch_size=word: use a whole number"),
        (None, None, 1, 1, "dataset.batch_size=null: a run without dataset.global_batch_size needs it"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(
    total: Any, size: Any, devices: int, accumulated: int, phrase: str
) -> None:
    with pytest.raises(NasError) as error:
        check_batch(cfg_of(total, size, devices, accumulated))
    assert str(error.value).startswith(phrase) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("devices", "accelerator", "nodes", "count"),
    [(1, "cpu", 1, 1), ("auto", "cpu", 1, 1), (4, "gpu", 2, 8), ([0, 2], "gpu", 1, 2), ("0,1,3", "gpu", 1, 3),
     (-1, "gpu", 2, 10), ("auto", "auto", 1, 5), ("3", "gpu", 1, 3)],
)  # fmt: skip
def test_devices_are_counted(
    devices: Any, accelerator: str, nodes: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 5)
    trainer = OmegaConf.create({"devices": devices, "accelerator": accelerator, "num_nodes": nodes})
    assert count_devices(trainer) == count


def test_plan_sets_the_passes_of_a_training_alone() -> None:
    training, search = cfg_of(64, 16, 2), cfg_of(64, None, 2, method={})
    apply_plan(training)
    apply_plan(search)
    assert (training.dataset.batch_size, training.trainer.accumulate_grad_batches) == (16, 2)
    assert (search.dataset.batch_size, search.trainer.accumulate_grad_batches) == (32, 1)


@pytest.mark.parametrize(
    ("given", "added"),
    [
        (["dataset.global_batch_size=256"], ["dataset.batch_size=null"]),
        (["dataset.global_batch_size=256", "dataset.batch_size=32"], []),
        (["dataset.global_batch_size=null"], []),
        (["dataset.batch_size=32"], []),
    ],
)
def test_size_alone_selects_a_single_pass(given: list[str], added: list[str]) -> None:
    assert complete(given, "search", False) == [*given, *added]


@pytest.mark.parametrize(
    ("method", "phrase"),
    [("te_nas", "method=te_nas trains no supernet"), ("random_search", "method=random_search trains no supernet")],
)
def test_methods_without_steps_are_refused(method: str, phrase: str) -> None:
    more = ["evaluator=zero_cost"] if method == "random_search" else []
    given = ("search", f"method={method}", *more, "dataset.global_batch_size=64")
    with composed(*given) as cfg, pytest.raises(NasError, match=phrase):
        check_batch(cfg)


def test_published_searches_and_trainings_on_imagenet_state_the_effective_batch(tmp_path: Path) -> None:
    """The effective batch of each preset is the same on one device and on eight."""
    sizes = {"experiment=pc_darts/imagenet": 1024, "experiment=drnas_progressive/darts_imagenet": 512}
    sizes["experiment=snas/darts_20_cells"] = 72
    names = sorted(path.stem for path in (CONF / "protocol").glob("*imagenet.yaml"))
    presets = [("search", line) for line in sizes] + [("train", f"protocol={name}") for name in names]
    for job, line in presets:
        given = [] if job == "search" else ["genotype=x"]
        for devices in (1, 8):
            place = [f"paths.data={tmp_path}", f"paths.output={tmp_path}", f"trainer.devices={devices}"]
            with composed(job, line, *given, *place) as cfg:
                check_config(cfg)
                check_options(cfg)
                plan = plan_batches(cfg)
                assert plan.devices == devices and plan.passes == 1
                assert plan.total == sizes.get(line, cfg.dataset.global_batch_size) >= 72
                assert f"{plan.total:,}" in text_of(line).replace("1024", "1,024"), "stated in the header"


def text_of(line: str) -> str:
    return (CONF / f"{line.replace('=', '/')}.yaml").read_text().partition("defaults:")[0]
