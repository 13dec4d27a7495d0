"""Command plot: pictures of genotypes of every kind, names, and refusals."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.plotting.cell import cell_figure
from nas.spaces.notation import parse_genotype
from nas.spaces.registry import space_of
from nas.zoo.architectures import published_architectures
from tests.support.error_tools import NB201, run

KINDS = {"darts": "DARTS_V2", "nasnet": "AmoebaNet", "chain": "DSNAS_imagenet", "bench": NB201, "size": "8:16:24:32:64"}
MAGIC = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


@pytest.mark.parametrize(("kind", "suffix"), list(zip(KINDS, [".png", ".svg", ".pdf", ".svg", ".png"], strict=True)))
def test_plot_writes_each_kind(kind: str, suffix: str, tmp_path: Path) -> None:
    files = [tmp_path / f"{name}{suffix}" for name in ("first", "second")]
    for file in files:
        run("search", "plot", KINDS[kind], "--output", file).succeeded()
    content = files[0].read_bytes()
    assert content.startswith(MAGIC[suffix]) and content == files[1].read_bytes()


def test_plot_names_its_file(short_search: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("search", "plot", short_search)
    done.succeeded()
    assert done.said == "gdas-nas_bench_201-synthetic-s0.png\n" and Path(done.said.strip()).is_file()
    run("search", "plot", "PC-DARTS-cifar", "--output", "cell.svg").succeeded()
    before = Path("cell.svg").read_bytes()
    run("search", "plot", NB201, "--output", "cell.svg").refused("--output=cell.svg: exists", "--overwrite")
    assert Path("cell.svg").read_bytes() == before
    run("search", "plot", NB201, "--output", "cell.svg", "--overwrite").succeeded()
    assert Path("cell.svg").read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        (["PC_DARTS_cifa"], "Did you mean PC_DARTS_cifar"),
        ([NB201, "--output", "cell.jpg"], "unknown format '.jpg'. Use .png, .svg, .pdf"),
        ([NB201, "--output", "none/cell.png"], "there is no directory none"),
        (["Genotype(normal=[('tanh', 0)], reduce=None)"], "error: plot Genotype(normal=[('tanh', 0)]"),
        (["outputs/nope"], "error: plot outputs/nope: there is no file outputs/nope. Give a run directory"),
        ([], "error: plot: the following arguments are required: GENOTYPE"),
    ],
)
def test_plot_is_refused(arguments: list[str], phrase: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("search", "plot", *arguments).refused(phrase)
    assert not list(tmp_path.iterdir())


def draw(number: int, step: int) -> None:
    """Build the figure of every ``step``-th published architecture, from ``number``."""
    for entry in published_architectures()[number::step]:
        genotype = parse_genotype(entry.genotype)
        space_of(genotype, (3, 32, 32), 10).check(genotype)
        figure = cell_figure(genotype, entry.name)
        texts = [text.get_text() for axes in figure.axes for text in axes.texts]
        for cell in genotype.cells.values():
            assert {link.op for link in cell.links} <= set(texts), entry.name


def test_published_architectures_are_drawn() -> None:
    draw(3, 40)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(8))
def test_all_published_architectures_are_drawn(number: int) -> None:
    draw(number, 8)
