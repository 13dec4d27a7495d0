"""Spaces of TransNAS-Bench-101: strings, limits, searches and trainings."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from nas.blackbox.encoding import CategoricalEncoding
from nas.blackbox.mutations import mutate, neighbors
from nas.plotting.cell import save_cell
from nas.spaces.base import Space
from nas.spaces.genotype_file import load_genotype, save_genotype
from nas.spaces.notation import is_native_string, native_string, parse_genotype
from nas.spaces.registry import space_of
from nas.spaces.trans_nas_bench_101.macro import TransNasBench101Macro
from nas.spaces.trans_nas_bench_101.micro import TransNasBench101Micro
from nas.utils.errors import NasError
from tests.support.compose_tools import QUERYING, lines
from tests.support.error_tools import TINY, run
from tests.support.query_tools import FORMULA
from tests.support.trans_nas_bench_101_tools import macro_names, micro_names

SPACES: dict[str, Space] = {
    "micro": TransNasBench101Micro((3, 32, 32), 10),
    "macro": TransNasBench101Macro((3, 32, 32), 10),
}


def test_micro_string_of_the_authors_example() -> None:
    """Node 1 is a skip of node 0, node 2 a 1x1 convolution of node 1, node 3 adds three 3x3 convolutions."""
    genotype = parse_genotype("64-41414-1_02_333")
    assert [tuple(link) for link in genotype.cells["cell"].links] == [
        ("skip_connect", 0, 1),
        ("none", 0, 2),
        ("nor_conv_1x1", 1, 2),
        ("nor_conv_3x3", 0, 3),
        ("nor_conv_3x3", 1, 3),
        ("nor_conv_3x3", 2, 3),
    ]


def test_dates_are_names_of_directories() -> None:
    assert is_native_string("32-41414-1_02_333") and is_native_string("64-12-basic")
    assert not any(map(is_native_string, ["2026-11-29_10_30", "2026-11-29_103000", "2026-11-29"]))


def test_macro_string_of_the_authors_example() -> None:
    links = parse_genotype("64-1234-basic").cells["skeleton"].links
    expected = ["normal", "double_channels", "half_resolution", "double_channels_half_resolution", "none", "none"]
    assert [link.op for link in links] == expected


@pytest.mark.parametrize(("names", "size"), [(micro_names(), 4096), (macro_names(), 3256)])
def test_strings_of_all_architectures_are_read_and_written(names: list[str], size: int) -> None:
    assert len(names) == size
    for name in names:
        genotype = parse_genotype(name)
        space = space_of(genotype, (3, 32, 32), 10)
        space.check(genotype)
        assert native_string(genotype) == name == space.native(space.parse(f" {name}\n"))
        assert space.admits(genotype)


@pytest.mark.parametrize("kind", ["micro", "macro"])
def test_published_lists_have_the_same_architectures(kind: str, shared: Path) -> None:
    file = shared / "data" / "benchmarks_other" / f"archs_transbench101_{kind}.json"
    if not file.is_file():
        pytest.skip(f"{file} is absent")
    published = {_digits(text) for text in json.loads(file.read_text()).values()}
    names, prefix = (micro_names(), "64-41414-") if kind == "micro" else (macro_names(), "64-")
    assert {_digits(name.removeprefix(prefix)) for name in names} == published


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


REFUSED = {
    "64-41414-1_02_334": "not a cell of TransNAS-Bench-101. Write 64-41414-a_bc_def with one digit per edge: 0 none",
    "64-41414-1_02_33": "not a cell of TransNAS-Bench-101",
    "32-41414-1_02_333": "not a cell of TransNAS-Bench-101",
    "64-1235-basic": "not a skeleton of TransNAS-Bench-101. Write 64-DIGITS-basic with 4 to 6 digits: 1 normal",
    "64-1111111-basic": "not a skeleton",
    "64-124-basic": "not a skeleton of TransNAS-Bench-101. Write 64-DIGITS-basic with 4 to 6 digits",
    "64-1133-basic": "0 of its modules double the channels, and 1 to 3 do in the space",
    "64-1122-basic": "0 of its modules halve the resolution, and 1 to 4 do in the space",
    "64-442211-basic": "4 of its modules double the channels",
    "64-333334-basic": "6 of its modules halve the resolution",
}


@pytest.mark.parametrize("text", REFUSED)
def test_other_strings_are_refused(text: str) -> None:
    with pytest.raises(NasError) as caught:
        genotype = parse_genotype(text)
        space_of(genotype, (3, 32, 32), 10).check(genotype)
    assert REFUSED[text] in str(caught.value) and str(caught.value).startswith(f"genotype={text}: ")


@pytest.mark.parametrize("kind", SPACES)
def test_files_and_pictures_keep_the_genotype(kind: str, tmp_path: Path) -> None:
    space = SPACES[kind]
    genotype = space.sample(random.Random(4))
    save_genotype(genotype, tmp_path / "genotype.json")
    assert load_genotype(tmp_path / "genotype.json") == genotype
    assert all(path.stat().st_size for path in save_cell(genotype, tmp_path))


@pytest.mark.parametrize("kind", SPACES)
def test_samples_mutations_and_neighbors_stay_in_the_space(kind: str) -> None:
    space, rng = SPACES[kind], random.Random(0)
    names = set(micro_names() if kind == "micro" else macro_names())
    for _ in range(30):
        genotype = space.sample(rng)
        found = [genotype, *(mutate(space, genotype, rng) for _ in range(5)), *neighbors(space, genotype)]
        assert {space.native(other) for other in found} <= names
    assert len(CategoricalEncoding(space).decisions) == 6


def test_skeletons_are_sampled_uniformly() -> None:
    """4, 5 and 6 modules occur in the ratio of 210, 750 and 2,296; deviations are within four standard errors."""
    rng, space, count = random.Random(0), SPACES["macro"], 3000
    found = Counter(len(space.native(space.sample(rng))) - len("64--basic") for _ in range(count))
    for modules, size in ((4, 210), (5, 750), (6, 2296)):
        share = size / 3256
        assert abs(found[modules] / count - share) < 4 * (share * (1 - share) / count) ** 0.5


def test_a_gap_between_modules_is_no_skeleton() -> None:
    space = SPACES["macro"]
    modules = [*["normal"] * 3, "double_channels_half_resolution", "none", "normal"]
    links = [(module, position, position + 1) for position, module in enumerate(modules)]
    genotype = parse_genotype(f"trans_nas_bench_101_macro:{ {'skeleton': (links, [6])} }")
    assert not space.admits(genotype)
    with pytest.raises(NasError, match="none is on an edge before a module"):
        space.check(genotype)


QUICK = ("regularized_evolution", "reinforce")
CASES = [
    pytest.param(method, kind, marks=[] if method in QUICK and kind == "macro" else pytest.mark.slow)
    for method in sorted(QUERYING)
    for kind in SPACES
]


@pytest.mark.parametrize(("method", "kind"), CASES)
def test_black_box_methods_query_architectures_of_the_space_only(method: str, kind: str, tmp_path: Path) -> None:
    command = [f"method={method}", f"space=trans_nas_bench_101_{kind}", "dataset=cifar10", *FORMULA]
    options = ["method.budget.queries=30", "logger=none", "~callbacks.cell_plots", f"hydra.run.dir={tmp_path / 'run'}"]
    run("search", *command, *options).succeeded()
    found = {line["genotype"] for line in lines(tmp_path / "run" / "queries.jsonl")}
    assert found <= set(micro_names() if kind == "micro" else macro_names())


def test_gdas_searches_and_trains_a_cell(tmp_path: Path) -> None:
    small = ["space.channels=4", "space.cells_per_stage=1", "epochs=1", "logger=none", "~callbacks.cell_plots"]
    command = ["method=gdas", "space=trans_nas_bench_101_micro", *TINY, *small, f"hydra.run.dir={tmp_path / 'search'}"]
    run("search", *command).succeeded()
    summary = json.loads((tmp_path / "search" / "summary.json").read_text())
    assert summary["genotype"] in micro_names()
    network = ["network.channels=4", "network.cells_per_stage=1", "epochs=1", "logger=none"]
    run("train", f"genotype={tmp_path / 'search'}", *TINY, *network, f"hydra.run.dir={tmp_path / 'train'}").succeeded()
    assert json.loads((tmp_path / "train" / "summary.json").read_text())["genotype"] == summary["genotype"]


def test_partial_channels_are_refused_in_one_line(tmp_path: Path) -> None:
    command = ["method=pc_darts", "space=trans_nas_bench_101_micro", f"hydra.run.dir={tmp_path / 'run'}"]
    run("search", *TINY, *command).refused("PartialChannels", "change the number of channels", "method=darts")


def test_gradient_methods_on_skeletons_are_refused_in_one_line(tmp_path: Path) -> None:
    command = ["method=darts", "space=trans_nas_bench_101_macro", f"hydra.run.dir={tmp_path / 'run'}"]
    run("search", *TINY, *command).refused("there is no supernet", "regularized_evolution")
