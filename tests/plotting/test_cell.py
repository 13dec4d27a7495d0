"""Tests of cell graphs: they show every link, cut off no text, and have reproducible bytes."""

from __future__ import annotations

import os
from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.patches import FancyArrowPatch
from matplotlib.text import Text

from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.plotting.cell import cell_figure, save_cell

PAIRS = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
BENCH_OPS = ("nor_conv_3x3", "nor_conv_3x3", "nor_conv_1x1", "skip_connect", "none", "avg_pool_3x3")


def bench(*ops: str) -> Genotype:
    links = tuple(Link(op, source, target) for op, (source, target) in zip(ops, PAIRS, strict=True))
    return Genotype("nas_bench_201", {"cell": CellGenotype(links, (3,))})


def darts(**cells: str) -> Genotype:
    """Parse cells such as ``skip_connect 0, sep_conv_3x3 1, ...``: two links per node, from node 2."""
    parts = {name: [part.split() for part in text.split(", ")] for name, text in cells.items()}
    links = {name: tuple(Link(op, int(s), 2 + i // 2) for i, (op, s) in enumerate(p)) for name, p in parts.items()}
    return Genotype("darts", {name: CellGenotype(chosen, (2, 3, 4, 5)) for name, chosen in links.items()})


DARTS_V2 = darts(
    normal="sep_conv_3x3 0, sep_conv_3x3 1, sep_conv_3x3 0, sep_conv_3x3 1, "
    "sep_conv_3x3 1, skip_connect 0, skip_connect 0, dil_conv_3x3 2",
    reduce="max_pool_3x3 0, max_pool_3x3 1, skip_connect 2, max_pool_3x3 1, "
    "max_pool_3x3 0, skip_connect 2, skip_connect 2, max_pool_3x3 1",
)
DEEP = darts(normal="skip_connect 0, sep_conv_3x3 1, " + ", ".join(f"sep_conv_5x5 {n}, none 0" for n in (2, 3, 4)))
REPEATED = Genotype("nasnet", {"cell": CellGenotype((Link("avg_pool_3x3", 0, 2),) * 2, (2,))})
GENOTYPES = {
    "bench": bench(*BENCH_OPS),
    "all_conv": bench(*["nor_conv_3x3"] * 6),
    "darts": DARTS_V2,
    "deep": DEEP,
    "two_deep": Genotype("darts", {"normal": DEEP.cells["normal"], "reduce": DEEP.cells["normal"]}),
    "repeated": REPEATED,
    "empty": Genotype("darts", {"normal": CellGenotype((), (2, 3))}),
}


@pytest.mark.parametrize("genotype", GENOTYPES.values(), ids=GENOTYPES)
def test_cell_figure_text_fits_without_overlap(genotype: Genotype) -> None:
    figure = cell_figure(genotype)
    figure.draw_without_rendering()
    extents = [(text.get_text(), Text.get_window_extent(text)) for axes in figure.axes for text in axes.texts]
    for name, box in extents:
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, name
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1, name
    for (a, first), (b, second) in combinations(extents, 2):
        assert not first.overlaps(second), f"{a} overlaps {b}"


@pytest.mark.parametrize("genotype", GENOTYPES.values(), ids=GENOTYPES)
def test_cell_figure_labels_every_link(genotype: Genotype) -> None:
    figure = cell_figure(genotype)
    for axes, cell in zip(figure.axes, genotype.cells.values(), strict=True):
        names = [text.get_text() for text in axes.texts]
        for link in cell.links:
            assert names.count(link.op) == sum(other.op == link.op for other in cell.links)
        arrows = [patch for patch in axes.patches if isinstance(patch, FancyArrowPatch)]
        assert len(arrows) == len(cell.links) + (len(cell.output) if len(cell.output) > 1 else 0)


def test_cell_figure_names_nodes_as_the_papers() -> None:
    bench_names = [text.get_text() for text in cell_figure(bench(*BENCH_OPS)).axes[0].texts]
    assert {"in", "1", "2", "out"} <= set(bench_names) and "3" not in bench_names
    darts_names = [text.get_text() for text in cell_figure(DARTS_V2).axes[0].texts]
    assert {"normal", "$c_{k-2}$", "$c_{k-1}$", "2", "5", "out"} <= set(darts_names)


def test_cell_figure_dots_none_links() -> None:
    figure = cell_figure(bench(*BENCH_OPS))
    styles = [patch.get_linestyle() for patch in figure.axes[0].patches if isinstance(patch, FancyArrowPatch)]
    assert styles.count("dotted") + styles.count(":") == 1


def test_save_cell_writes_reproducible_files(tmp_path: Path) -> None:
    first, second = save_cell(DARTS_V2, tmp_path / "new" / "a"), save_cell(DARTS_V2, tmp_path / "b")
    assert [file.name for file in first] == ["cell.svg", "cell.png"]
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]
    assert sorted(file.name for file in (tmp_path / "b").iterdir()) == ["cell.png", "cell.svg"]
    assert first[1].read_bytes().startswith(b"\x89PNG") and first[0].read_text().rstrip().endswith("</svg>")


def test_save_cell_keeps_the_old_file_on_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    svg, png = save_cell(DARTS_V2, tmp_path)
    before = svg.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_cell(DEEP, tmp_path)
    assert svg.read_bytes() == before and sorted(tmp_path.iterdir()) == [png, svg]
