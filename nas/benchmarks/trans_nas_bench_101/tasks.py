"""Tasks and metrics of TransNAS-Bench-101."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

RELEASE = "transnas-bench_v10141024"
"""Published file without its suffix."""
Direction = Literal["max", "min"]


class Metric(NamedTuple):
    """Kind of a metric: its title, its unit to print, and whether higher or lower values are better."""

    title: str
    unit: str
    direction: Direction


METRICS: Mapping[str, Metric] = {
    "top1": Metric("top-1 accuracy", " (%)", "max"),
    "top5": Metric("top-5 accuracy", " (%)", "max"),
    "acc": Metric("pixel accuracy", " (%)", "max"),
    "mIoU": Metric("mIoU", " (%)", "max"),
    "ssim": Metric("SSIM", "", "max"),
    "neg_loss": Metric("negative loss", "", "max"),
    "loss": Metric("loss", "", "min"),
    "l1_loss": Metric("L1 loss", "", "min"),
    "g_loss": Metric("generator loss", "", "min"),
    "d_loss": Metric("discriminator loss", "", "min"),
}
"""Kinds of metrics by the names of the published file, in which a split precedes them: ``valid_top1``."""
TASKS: Mapping[str, str] = {
    "class_scene": "top1",
    "class_object": "top1",
    "room_layout": "neg_loss",
    "jigsaw": "top1",
    "segmentsemantic": "mIoU",
    "normal": "ssim",
    "autoencoder": "ssim",
}
"""Kind of the metric that papers report for each task; higher is better for all of them."""
SPLITS = ("train", "valid", "test")


def split_metric(name: str) -> tuple[str, str]:
    """Split a name such as ``valid_top1`` into the split and the kind of the metric, which may be unknown."""
    split, _, kind = name.partition("_")
    return split, kind


def quantity(task: str, split: str) -> Metric:
    """Return the metric of a task on a split: ``valid`` for the reported one, or ``valid_top5`` for example."""
    return METRICS[split_metric(split)[1] or TASKS[task]]
