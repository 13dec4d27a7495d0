"""Figures of chains: every block in its stage, without overlaps."""

from __future__ import annotations

from itertools import combinations

import pytest
from matplotlib.text import Text

from nas.plotting.cell import cell_figure
from nas.spaces.genotype_file import load_genotype
from nas.spaces.single_path.chain import chain_from_ops, chain_ops


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("NoisyDARTS_A", ["32 channels, stride 2", "40 channels, stride 2", "96 channels", "320 channels"]),
        ("DSNAS_imagenet", ["64 channels, stride 2", "640 channels, stride 2"]),
    ],
)
def test_chain_figure_shows_every_block(name: str, stages: list[str]) -> None:
    genotype = load_genotype(name)
    figure = cell_figure(genotype, name)
    (axes,) = figure.axes
    texts = [text.get_text() for text in axes.texts]
    for op in chain_ops(genotype):
        assert texts.count(op) == chain_ops(genotype).count(op)
    assert {*stages, "in", "out"} <= set(texts) and [text.get_text() for text in figure.texts] == [name]
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(text) for text in [*axes.texts, *figure.texts] if text.get_text()]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_chain_figure_of_another_length_has_no_stages() -> None:
    genotype = chain_from_ops("mobile", ["mbconv3_3x3"] * 3)
    texts = [text.get_text() for text in cell_figure(genotype).axes[0].texts]
    assert sorted(filter(None, texts)) == ["in", *["mbconv3_3x3"] * 3, "out"]
