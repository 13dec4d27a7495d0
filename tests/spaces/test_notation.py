"""Tests of native strings of all spaces: round trips, helpful errors, and no execution of input."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.spaces.base import Space
from nas.spaces.darts import notation as darts_notation
from nas.spaces.darts.notation import DARTS_OPS, NODES
from nas.spaces.darts.space import Darts
from nas.spaces.genotype_file import load_genotype, save_genotype
from nas.spaces.nas_bench_201.notation import OPS, from_ops
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.notation import native_string, parse_genotype
from nas.spaces.recurrent import notation as recurrent_notation
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
def test_native_strings_and_files_round_trip(genotype: Genotype, tmp_path_factory: pytest.TempPathFactory) -> None:
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


BAD = {
    BENCH.replace("none~0", "nor_conv_7x7~0"): "unknown op 'nor_conv_7x7'.*nor_conv_3x3",
    BENCH.replace("|none~0", ""): "edge 0->2 is missing",
    BENCH.replace("none~0", "none~2"): "bad edge 'none~2'",
    BENCH.replace("none~0", "none~\u00b2"): "bad edge",
    BENCH.replace("none~0", "none~" + "9" * 5000): "bad edge",
    BENCH.replace("none~0", "none~1"): "bad edge",
    BENCH.rpartition("+")[0]: "Write three nodes",
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
def test_parse_genotype_refuses_malformed_strings(text: str, message: str) -> None:
    with pytest.raises(NasError, match=message):
        parse_genotype(text)
    with pytest.raises(NasError):
        load_genotype(text)


@pytest.mark.parametrize(
    "where", ["normal={}", "normal=[('skip_connect', {})]", "{}", "normal=list({})", "normal=range({})"]
)
def test_parse_genotype_never_executes_input(where: str, tmp_path: Path) -> None:
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
def test_load_genotype_returns_or_raises_on_any_string(base: str, cut: tuple[int, int], more: str) -> None:
    text = base[: cut[0]] + more + base[sum(cut) :]
    try:
        found = load_genotype(text)
    except NasError as error:
        assert str(error)
    else:
        assert load_genotype(native_string(found)) == found


def test_check_refuses_genotypes_of_other_spaces() -> None:
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


def test_fields_of_published_namedtuples_have_ranges() -> None:
    """The authors' files write ``concat=range(2, 6)``, which is a range in Python."""
    pairs = [("sep_conv_3x3", 1), ("skip_connect", 0)] * 4
    fields = {"normal": pairs, "normal_concat": range(2, 6), "reduce": pairs, "reduce_concat": range(3, 6)}
    found = darts_notation.from_fields(fields)
    assert (found.cells["normal"].output, found.cells["reduce"].output) == ((2, 3, 4, 5), (3, 4, 5))
    nodes = [("tanh", 0), ("relu", 1)]
    cell = recurrent_notation.from_fields({"recurrent": nodes, "concat": range(1, 3)}).cells["recurrent"]
    assert cell.output == (1, 2)
