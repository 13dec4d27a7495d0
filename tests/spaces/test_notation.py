"""Notations and files: round trips that lose nothing, and strings that are believed nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.spaces.base import Space
from nas.spaces.darts.notation import DARTS_OPS, NODES
from nas.spaces.darts.space import Darts
from nas.spaces.genotype_file import load_genotype, save_genotype
from nas.spaces.nas_bench_201.notation import OPS, benchmark_order, from_index, from_ops, to_index
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.notation import native_string, parse_genotype
from nas.utils.errors import NasError

BENCH = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
PAIRS = "[('sep_conv_3x3', 1), ('skip_connect', 0)" + ", ('max_pool_3x3', 0), ('dil_conv_5x5', 2)" * 3 + "]"
DARTS = f"Genotype(normal={PAIRS}, normal_concat=[2, 3, 4, 5], reduce={PAIRS}, reduce_concat=range(3, 6))"


def darts_cell(op: st.SearchStrategy[str]) -> st.SearchStrategy[CellGenotype]:
    node = [st.permutations(range(target)).map(lambda order: order[:2]) for target in NODES]
    outputs = st.sets(st.sampled_from(NODES), min_size=1).map(lambda nodes: tuple(sorted(nodes)))

    def cell(sources: tuple[list[int], ...], ops: list[str], output: tuple[int, ...]) -> CellGenotype:
        pairs = zip(ops, [s for pair in sources for s in pair], strict=True)
        return CellGenotype(tuple(Link(o, s, 2 + i // 2) for i, (o, s) in enumerate(pairs)), output)

    return st.builds(cell, st.tuples(*node), st.lists(op, min_size=8, max_size=8), outputs)


BENCH_GENOTYPES = st.tuples(*[st.sampled_from(OPS)] * 6).map(from_ops)
CELL = darts_cell(st.sampled_from(DARTS_OPS[1:]))
DARTS_GENOTYPES = st.fixed_dictionaries({"normal": CELL, "reduce": CELL}).map(lambda cells: Genotype("darts", cells))
SPACES: dict[str, Space] = {"nas_bench_201": NasBench201((3, 8, 8), 4), "darts": Darts((3, 8, 8), 4)}


@settings(deadline=None, max_examples=60)
@given(genotype=BENCH_GENOTYPES | DARTS_GENOTYPES)
def test_round_trips(genotype: Genotype, tmp_path_factory: pytest.TempPathFactory) -> None:
    space = SPACES[genotype.space]
    space.check(genotype)
    text = space.native(genotype)
    assert space.parse(text) == parse_genotype(text) == load_genotype(f"  {text}\n") == genotype
    folder = tmp_path_factory.mktemp("run")
    save_genotype(genotype, folder / "genotype.json")
    assert load_genotype(folder) == load_genotype(folder / "genotype.json") == genotype
    assert json.loads((folder / "genotype.json").read_text())["native"] == text
    shuffled = {n: c._replace(links=tuple(sorted(c.links, key=lambda k: -k.target))) for n, c in genotype.cells.items()}
    assert space.native(Genotype(genotype.space, shuffled)) == text


def test_the_order_of_the_benchmark() -> None:
    strings = [native_string(from_ops(ops)) for ops in benchmark_order()]
    assert hashlib.md5("\n".join(strings).encode()).hexdigest() == "1985aacc268bf045d31ddeecaaac0dc0"
    spots = {
        0: "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
        284: "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|nor_conv_1x1~1|none~2|",
        15624: "|nor_conv_1x1~0|+|none~0|nor_conv_1x1~1|+|none~0|nor_conv_1x1~1|nor_conv_1x1~2|",
    }
    for index, text in enumerate(strings):
        assert to_index(parse_genotype(text)) == index and spots.get(index, text) == text
        assert from_index(index) == parse_genotype(text)
    for index in (-1, 15_625):
        with pytest.raises(NasError, match="0 to 15624"):
            from_index(index)


BAD = {
    BENCH.replace("none~0", "nor_conv_7x7~0"): "unknown op 'nor_conv_7x7'.*nor_conv_3x3",
    BENCH.replace("|none~0", ""): "edge 0->2 is missing",
    BENCH.replace("none~0", "none~2"): "bad edge 'none~2'",
    BENCH.replace("none~0", "none~\u00b2"): "bad edge",
    BENCH.replace("none~0", "none~" + "9" * 5000): "bad edge",
    BENCH.replace("none~0", "none~1"): "bad edge",
    BENCH.rpartition("+")[0]: "expected three nodes",
    DARTS.replace("skip_connect", "skip_conect"): "unknown op 'skip_conect'.*skip_connect",
    DARTS.replace("('sep_conv_3x3', 1), ", ""): "8 links, found 7",
    DARTS.replace("('sep_conv_3x3', 1)", "('sep_conv_3x3', 'a')"): "not a pair",
    DARTS.replace("reduce", "reduced"): "'reduce' is missing",
    DARTS.replace("[2, 3, 4, 5]", "['a']"): "must list nodes",
    DARTS.replace("range(3, 6)", "range(10**9)"): "not a DARTS genotype",
    DARTS.replace("range(3, 6)", "range(1000000000000)"): "not a DARTS genotype",
    DARTS.replace("range(3, 6)", "range(1, 9, 0)"): "not a DARTS genotype",
    DARTS.replace("range(3, 6)", "-" * 20_000 + "1"): "not a DARTS genotype",
    DARTS.replace("3, 6)", "3, 6"): "not a DARTS genotype",
    "Genotype(\0)": "not a DARTS genotype",
    "genotype(": "not a genotype",
}


@pytest.mark.parametrize(("text", "message"), BAD.items(), ids=map(str, range(len(BAD))))
def test_bad_strings_get_a_helpful_line(text: str, message: str) -> None:
    with pytest.raises(NasError, match=message):
        parse_genotype(text)
    with pytest.raises(NasError):
        load_genotype(text)


@pytest.mark.parametrize(
    "where", ["normal={}", "normal=[('skip_connect', {})]", "{}", "normal=list({})", "normal=range({})"]
)
def test_strings_are_never_executed(where: str, tmp_path: Path) -> None:
    target = tmp_path / "made"
    call = f"__import__('pathlib').Path({str(target)!r}).touch()"
    assert eval(call) is None and target.exists()
    target.unlink()
    with pytest.raises(NasError):
        parse_genotype(f"Genotype({where.format(call)}, reduce=[])")
    assert not target.exists()


@settings(deadline=None, max_examples=200)
@given(
    base=st.sampled_from([BENCH, DARTS]),
    cut=st.tuples(st.integers(0, 400), st.integers(0, 9)),
    more=st.text(max_size=9),
)
def test_any_string_is_a_genotype_or_an_error(base: str, cut: tuple[int, int], more: str) -> None:
    text = base[: cut[0]] + more + base[sum(cut) :]
    try:
        found = load_genotype(text)
    except NasError as error:
        assert str(error)
    else:
        assert load_genotype(native_string(found)) == found


def test_genotypes_of_other_spaces_are_refused() -> None:
    bench, nested = (SPACES[name] for name in ("nas_bench_201", "darts"))
    with pytest.raises(NasError, match="space 'darts'.*does not fit space=nas_bench_201"):
        bench.network(parse_genotype(DARTS))
    with pytest.raises(NasError, match="space 'nas_bench_201'.*does not fit space=darts"):
        nested.network(parse_genotype(BENCH))
    changes: list[tuple[Space, str, Mapping[str, Any], str]] = [
        (bench, BENCH, {"links": lambda links: links[1:]}, "one op on each of its 6 edges"),
        (bench, BENCH, {"links": lambda links: links + links[:1]}, "one op on each of its 6 edges"),
        (nested, DARTS, {"links": lambda links: links[:-2]}, "node 5 of the .* cell has no links"),
        (
            nested,
            DARTS,
            {"links": lambda links: (Link("none", 0, 2), *links[1:])},
            "'none' is not a choice on edge 0->2",
        ),
        (nested, DARTS, {"links": lambda links: (Link("skip_connect", 2, 2), *links[1:])}, "no edge 2->2"),
        (nested, DARTS, {"output": lambda output: (2, 9)}, r"is \(2, 9\)"),
        (nested, DARTS, {"output": lambda output: ()}, r"is \(\)"),
    ]
    for space, text, change, message in changes:
        cells = parse_genotype(text).cells
        (field, edit), *_ = change.items()
        changed = {name: cell._replace(**{field: edit(getattr(cell, field))}) for name, cell in cells.items()}
        with pytest.raises(NasError, match=message):
            space.network(Genotype(space.notation, changed))


# What a genotype.json holds, changed in one place, and what is said about it.
DAMAGE: list[tuple[str, Callable[[dict[str, Any]], object], str]] = [
    ("other format", lambda value: value.update(format="other"), "not a genotype file"),
    ("other version", lambda value: value.update(version=2), "has version 2, but this release reads version 1"),
    ("no version", lambda value: value.pop("version"), "has version None"),
    ("no cells", lambda value: value.pop("cells"), "is damaged"),
    ("cells of another type", lambda value: value.update(cells=[1]), "is damaged"),
    ("no output", lambda value: value["cells"]["normal"].pop("output"), "is damaged"),
    ("short link", lambda value: value["cells"]["normal"]["links"][0].pop(), "is damaged"),
    ("source is text", lambda value: value["cells"]["normal"]["links"].append(["none", "a", 2]), "is damaged"),
    ("source is infinite", lambda value: value["cells"]["normal"]["links"].append(["none", 1e999, 2]), "is damaged"),
]


@pytest.mark.parametrize(("edit", "message"), [d[1:] for d in DAMAGE], ids=[d[0] for d in DAMAGE])
def test_damaged_files_get_a_helpful_line(
    edit: Callable[[dict[str, Any]], object], message: str, tmp_path: Path
) -> None:
    file = tmp_path / "genotype.json"
    save_genotype(parse_genotype(DARTS), file)
    value = json.loads(file.read_text())
    edit(value)
    file.write_text(json.dumps(value))
    with pytest.raises(NasError, match=f"genotype.json .*{message}") as caught:
        load_genotype(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000, BENCH.encode()])
def test_files_that_are_no_json(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "genotype.json").write_bytes(content)
    with pytest.raises(NasError, match="genotype.json: the file is not JSON"):
        load_genotype(tmp_path)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    for source, message in ((tmp_path, "there is no file .*genotype.json"), ("resnet", "no file has this name")):
        with pytest.raises(NasError, match=f"genotype={source}: .*{message}.*Give a run directory"):
            load_genotype(source)
    for source in ("", "x" * 5000, "a\0b", "~nobody_of_this_name/run"):
        with pytest.raises(NasError):
            load_genotype(source)
