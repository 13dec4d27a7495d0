"""The picture of the correlations of proxies."""

from __future__ import annotations

from pathlib import Path

from nas.plotting.figure import save_figure
from nas.zoo.results import load_results
from tools.proxy_picture import ALL, measured_correlations, proxies_figure

ROW = """\
- kind: proxy
  proxy: {0}
  variant: {1}
  space: nas_bench_201
  dataset: {2}
  metric: spearman
  {3}
  ours: {{value: {4}, interval: [0.1, 0.9], date: 2026-11-29}}
"""
HEAD = """\
metrics:
  spearman: {title: Spearman correlation, unit: '', direction: higher}
sources:
  a paper: 'Authors, Title, Venue'
results:
"""
PUBLISHED = "published: {value: 0.7, source: a paper}"


def test_picture_has_a_row_per_measured_proxy_and_the_published_values(tmp_path: Path) -> None:
    rows = [
        ROW.format("naswot", ALL, "cifar10", "", 0.8),
        ROW.format("zico", f"'{ALL}, 125 cells'", "cifar10", PUBLISHED, 0.6),
        ROW.format("naswot", f"'{ALL}, 125 cells'", "cifar10", "", 0.5),
        ROW.format("zico", f"'{ALL}, 60 cells'", "cifar10", "", 0.9),
        ROW.format("synflow", "networks trained on half of CIFAR-10", "cifar10", "", 0.7),
        ROW.format("snip", ALL, "cifar100", "", 0.7),
    ]
    (tmp_path / "results.yaml").write_text(HEAD + "".join(rows))
    found = measured_correlations(load_results(tmp_path / "results.yaml"))
    assert [result.proxy for result, _ in found] == ["zico", "naswot"]
    figure = proxies_figure(found)
    (axes,) = figure.axes
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["zico (125)", "naswot"]
    points = {
        (line.get_marker(), *map(float, line.get_xydata()[0])) for line in axes.lines if len(line.get_xydata()) == 1
    }
    assert points == {("o", 0.6, 0.0), ("o", 0.8, 1.0), ("D", 0.7, 0.0)}
    save_figure(figure, tmp_path / "proxies.png")
    assert (tmp_path / "proxies.png").read_bytes().startswith(b"\x89PNG")
