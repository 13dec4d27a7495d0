"""Tests of confusion matrices with few, a hundred and a thousand classes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from torch import Tensor

from nas.plotting.confusion import confusion_figure, save_confusion
from nas.plotting.figure import DPI


def counts(classes: int) -> Tensor:
    """Mostly correct predictions; class 0 is often predicted as the last class, and class 1 has no images."""
    table = torch.diag(torch.full((classes,), 90)) + torch.diag(torch.full((classes - 1,), 5), 1)
    table[0, -1] += 45
    table[1] = 0
    return table


@pytest.mark.parametrize("classes", [2, 10, 20, 100])
def test_confusion_figure_names_fit_without_overlap(classes: int) -> None:
    names = [f"a rather long name {k}" for k in range(classes)]
    figure = confusion_figure(counts(classes), names)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    labels = axes.get_yticklabels()
    assert [label.get_text() for label in labels] == names
    boxes = [label.get_window_extent() for label in labels]
    assert all(box.x0 >= 0 for box in boxes)
    assert all(upper.y0 >= lower.y1 - 0.5 for upper, lower in pairwise(boxes))
    below = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert all(box.y0 >= 0 for box in below) and all(a.x1 <= b.x0 + 0.5 for a, b in pairwise(below))
    assert axes.yaxis.label.get_window_extent().x0 >= 0 and axes.title.get_window_extent().y1 <= figure.bbox.y1
    assert figure.axes[1].yaxis.label.get_window_extent().x1 <= figure.bbox.x1
    share = 100 * float(counts(classes).diag().sum() / counts(classes).sum())
    assert axes.get_title() == f"{share:.2f} % of {int(counts(classes).sum())} images"


def test_confusion_figure_prints_numbers_for_few_classes() -> None:
    texts = {text.get_position(): text.get_text() for text in confusion_figure(counts(10)).axes[0].texts}
    assert texts[(9, 0)] == "32" and texts[(0, 0)] == "64" and texts[(1, 0)] == "3.6" and texts[(4, 4)] == "95"
    assert not any(row == 1 for _, row in texts), "a class without images"


def test_save_confusion_resolves_a_thousand_classes(tmp_path: Path) -> None:
    """A row is higher than a pixel, so single errors remain visible."""
    table = counts(1000)
    save_confusion(table, (), tmp_path / "confusion.png")
    image = imread(tmp_path / "confusion.png")
    assert max(image.shape[:2]) < 20 * DPI
    figure = confusion_figure(table)
    box = figure.axes[0].get_position()
    side = box.width * figure.get_figwidth() * DPI
    assert side >= 1500
    x0, y1 = box.x0 * image.shape[1], (1 - box.y1) * image.shape[0]
    cell = side / 1000

    def color(row: int, column: int) -> np.ndarray:
        return image[round(y1 + (row + 0.5) * cell), round(x0 + (column + 0.5) * cell), :3]

    assert color(0, 999).mean() < 0.85 and color(500, 500).mean() < 0.5 and color(300, 700).mean() > 0.9


def test_save_confusion_is_reproducible(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        save_confusion(counts(10), (), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
