"""Files in the layout of TransNAS-Bench-101, with made-up values or those of a published sample."""

from __future__ import annotations

import itertools
import json
import random
import zipfile
from ast import literal_eval
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

METRICS: Mapping[str, tuple[str, ...]] = {
    "class_object": ("top1", "top5", "loss"),
    "room_layout": ("loss", "neg_loss"),
    "segmentsemantic": ("loss", "acc", "mIoU"),
}
"""Kinds of metrics of some tasks."""
EPOCHS = {"class_object": 3, "room_layout": 2, "segmentsemantic": 2}
INFO = ("inference_time", "encoder_params", "model_params", "model_FLOPs", "encoder_FLOPs")
SPLITS = ("train", "valid", "test")
SOURCE = "transnas-bench_v10141024.pth"
MICRO, MACRO = "trans_nas_bench_101_micro", "trans_nas_bench_101_macro"
Curve = Callable[[str, str, str], list[float]]
"""Maps architecture, task and metric to the values after each epoch."""


def micro_names() -> list[str]:
    """Return the strings of all cells."""
    digits = map("".join, itertools.product("0123", repeat=6))
    return [f"64-41414-{d[0]}_{d[1:3]}_{d[3:]}" for d in digits]


NAMES = random.Random(7).sample(micro_names(), 12)
"""A sample of the cells."""
SKELETONS = ["64-4111-basic", "64-2311-basic", "64-443311-basic"]


def macro_names() -> list[str]:
    """Return the strings of all skeletons, by an enumeration of its own."""
    found = []
    for count in (4, 5, 6):
        for digits in itertools.product("1234", repeat=count):
            wider, smaller = sum(d in "24" for d in digits), sum(d in "34" for d in digits)
            if 1 <= wider <= 3 and 1 <= smaller <= 4:
                found.append(f"64-{''.join(digits)}-basic")
    return found


def curve_of(name: str, task: str, metric: str) -> list[float]:
    """Return multiples of 1/64 that depend only on the arguments; those of a loss are opposite to its negative."""
    if metric.endswith("neg_loss"):
        return [-value for value in curve_of(name, task, metric.replace("neg_loss", "loss"))]
    rng = random.Random(f"{name} {task} {metric}")
    return [rng.randrange(64, 6400) / 64 for _ in range(EPOCHS[task])]


def times_of(name: str, task: str) -> list[str]:
    """Return the times after each epoch as HH:MM:SS, above an hour in the end."""
    step = 1300 + random.Random(f"{name} {task}").randrange(600)
    seconds = [step * epoch for epoch in range(1, EPOCHS[task] + 1)]
    return [f"{s // 3600:02}:{s // 60 % 60:02}:{s % 60:02}" for s in seconds]


def results_of(name: str, tasks: Iterable[str], curve: Curve = curve_of) -> dict[str, Any]:
    """Return the results of an architecture."""
    return {
        task: {
            "total_epochs": EPOCHS[task],
            "model_info": {key: 10.0 * number for number, key in enumerate(INFO)} | {"model_params": ""},
            "metrics": {
                **{
                    f"{split}_{kind}": curve(name, task, f"{split}_{kind}")
                    for split in SPLITS
                    for kind in METRICS[task]
                },
                "time_elapsed": times_of(name, task),
            },
        }
        for task in tasks
    }


def content(
    macro: Iterable[str], micro: Iterable[str], tasks: Iterable[str] = tuple(METRICS), curve: Curve = curve_of
) -> dict[str, Any]:
    """Return the content of a file, skeletons first."""
    tasks = list(tasks)
    names = {
        task: [*(f"{split}_{kind}" for split in SPLITS for kind in METRICS[task]), "time_elapsed"] for task in tasks
    }
    data = {
        space: {name: results_of(name, tasks, curve) for name in found}
        for space, found in (("macro", macro), ("micro", micro))
    }
    return {"metrics_dict": names, "info_names": list(INFO), "task_list": tasks, "data": data}


def sample_content(shared: Path) -> dict[str, Any]:
    """Return the best validation values of all cells in a sample of NAS-Bench-Suite-Zero, as trainings of one epoch."""
    file = shared / "data" / "benchmarks_other" / "all_benchmarks_zen.zip"
    found: dict[str, dict[str, Any]] = {name: {} for name in micro_names()}
    metrics: dict[str, list[str]] = {}
    kinds = {"room_layout": "neg_loss", "segmentsemantic": "acc", "normal": "ssim", "autoencoder": "ssim"}
    with zipfile.ZipFile(file) as archive:
        for entry in sorted(name for name in archive.namelist() if name.endswith(".json")):
            _, space, task, _ = entry.removesuffix(".json").split("--")
            assert space == "transbench101_micro"
            metric = f"valid_{kinds.get(task, 'top1')}"
            metrics[task] = [metric, "time_elapsed"]
            for line in json.loads(archive.read(entry)):
                digits = "".join(map(str, literal_eval(line["arch"])))
                curves = {metric: [line["val_accuracy"]], "time_elapsed": [1.0]}
                name = f"64-41414-{digits[0]}_{digits[1:3]}_{digits[3:]}"
                found[name][task] = {"total_epochs": 1, "model_info": {}, "metrics": curves}
    return {"metrics_dict": metrics, "info_names": [], "task_list": list(metrics), "data": {"micro": found}}


def save(content: Any, path: Path, legacy: bool = False) -> Path:
    """Write a file of torch.save, or of its older format."""
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path
