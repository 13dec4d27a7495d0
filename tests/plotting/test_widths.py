"""Tests of bar charts of layer widths."""

from __future__ import annotations

from nas.plotting.widths import widths_figure


def test_widths_figure_has_one_bar_per_layer() -> None:
    for narrow in ((8, 12, 16, 16, 16), (1, 2, 1, 2, 1)):
        ticks = widths_figure(narrow).axes[0].get_yticks()
        assert len(ticks) > 2 and all(tick == int(tick) for tick in ticks), "ticks are whole channels"
    axes = widths_figure((8, 64, 24, 8, 40)).axes[0]
    assert [round(patch.get_height()) for patch in axes.patches] == [8, 64, 24, 8, 40]  # type: ignore[attr-defined]
    assert [text.get_text() for text in axes.texts] == ["8", "64", "24", "8", "40"]
    assert [label.get_text().split("\n")[1] for label in axes.get_xticklabels()] == ["cell", "reduction"] * 2 + ["cell"]
