"""Figure of the accuracy range: one panel per data set with band, lines and optimum."""

from __future__ import annotations

from nas.benchmarks.accuracy_range import AccuracyRange
from nas.plotting.accuracy_range import accuracy_range_figure


def test_accuracy_range_figure_shows_each_data_set() -> None:
    ranges = [
        AccuracyRange(epoch, dataset, 10.0 + epoch, 60.0, 93.0, 91.0 + epoch, 94.37, 100)
        for epoch in range(3)
        for dataset in ("cifar10", "cifar100")
    ]
    figure = accuracy_range_figure(ranges)
    assert [axes.get_title() for axes in figure.axes] == ["CIFAR-10", "CIFAR-100"]
    for axes in figure.axes:
        lines = {str(line.get_label()): line for line in axes.lines}
        assert list(lines["mode"].get_xdata()) == [1, 2, 3] and list(lines["mode"].get_ydata()) == [91.0, 92.0, 93.0]
        assert list(lines["optimum"].get_ydata()) == [94.37, 94.37]
        (band,) = axes.collections
        heights = band.get_paths()[0].vertices[:, 1]  # type: ignore[index]
        assert (heights.min(), heights.max()) == (10.0, 93.0) and band.get_label() == "range of 100 samples"
