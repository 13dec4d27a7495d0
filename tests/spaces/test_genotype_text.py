"""Tests of genotypes in the notations of other programs: strings, lines of logs, logs and files."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from nas.spaces import genotype_file
from nas.spaces.genotype_file import load_genotype
from nas.spaces.notation import parse_genotype
from nas.utils.errors import NasError

LINKS = "('sep_conv_3x3', 0), ('dil_conv_5x5', 1), ('skip_connect', 0), ('dil_conv_5x5', 2), "
LINKS += "('max_pool_3x3', 1), ('sep_conv_5x5', 0), ('avg_pool_3x3', 4), ('sep_conv_3x3', 1)"
GROUPS = LINKS.replace("('", "[('", 1).replace("1), ('sk", "1)], [('sk").replace("2), ", "2)], [")
GROUPS = GROUPS.replace("0), ('avg", "0)], [('avg") + "]"
CONCAT = "normal_concat=range(2, 6)"
NATIVE = f"Genotype(normal=[{LINKS}], normal_concat=[2, 3, 4, 5], reduce=[{LINKS}], reduce_concat=[2, 3, 4, 5])"
OTHER = NATIVE.replace("skip_connect", "sep_conv_3x3")
WEIGHTS = LINKS.replace("0)", "0, 0.25)").replace("1)", "1, np.float32(1.0))").replace("2)", "2, tensor(0.5))")
BENCH = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"
BENCH_2 = BENCH.replace("none~0", "skip_connect~0")
NINE = LINKS + ", ('none', 0)"

SAME = {
    "groups": f"Genotype(normal=[{GROUPS}], {CONCAT}, reduce=[{GROUPS}], connectN=None, connects=None)",
    "groups in tuples": f"Genotype(normal=[{GROUPS}], reduce=[{GROUPS}])".replace("[(", "((").replace(")]", "))"),
    "weights": f"Genotype(normal=[{WEIGHTS}, ], {CONCAT}, reduce=[{WEIGHTS.replace('4)', '4, 0.1)')}])",
    "dict": f"{{'normal': [{LINKS}], 'normal_concat': range(2, 6), 'reduce': [{LINKS}]}}",
    "JSON": f'{{"normal": [{LINKS}], "reduce": [{LINKS}]}}'.translate(str.maketrans("()'", '[]"')),
    "OrderedDict": f"OrderedDict([('normal', [{LINKS}]), ('reduce', [{LINKS}])])",
    "namedtuple as a list": f"[[{LINKS}], [2, 3, 4, 5], [{LINKS}], [2, 3, 4, 5]]",
    "log": f"03/05 01:23:45 PM genotype = {NATIVE}",
    "log with brackets": f"[2019-03-05-01:23:45] genotype: genotypes.{NATIVE} accuracy 93.1 (0)",
    "log of a dict": f"INFO best={{'normal': [{LINKS}], 'reduce': [{LINKS}]}}",
    "Python": f"# found\nDARTS = {NATIVE.replace(', re', ', # comment' + chr(10) + ' re')}\n",
    "result": f"{{'accuracy': 93.1, 'genotype': {{'normal': [{LINKS}], 'reduce': [{LINKS}]}}}}",
}
SAME_BENCH = {
    "Structure": f"Structure(4 nodes with {BENCH})",
    "log": f"<<<--->>> The 099-th epoch : Structure(4 nodes with {BENCH})",
    "log with an equals sign": f"arch={BENCH}, accuracy=90",
    "twice": f"genotype {BENCH} again {BENCH}",
    "op_indices": "02:11:09 op_indices: (2, 1, 4, 0, 3, 1)",
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_darts_notations_of_other_programs(text: str, tmp_path: Path) -> None:
    expected = parse_genotype(NATIVE)
    assert load_genotype(text) == expected
    (tmp_path / "file.txt").write_text(text)
    assert load_genotype(tmp_path / "file.txt") == expected


@pytest.mark.parametrize("text", SAME_BENCH.values(), ids=SAME_BENCH)
def test_nas_bench_201_notations_of_other_programs(text: str, tmp_path: Path) -> None:
    assert load_genotype(text) == parse_genotype(BENCH)
    (tmp_path / "file.txt").write_text(text)
    assert load_genotype(tmp_path / "file.txt") == parse_genotype(BENCH)


def test_groups_may_have_other_numbers_of_links() -> None:
    """Five nodes as in NASNet, and a node with a single link."""
    found = load_genotype(f"Genotype(normal=[{GROUPS}, [('skip_connect', 5)]], reduce=None)").cells["normal"]
    assert found.links[8:] == (("skip_connect", 5, 6),) and found.output == (2, 3, 4, 5, 6)
    assert [link.target for link in found.links] == [2, 2, 3, 3, 4, 4, 5, 5, 6]


REFUSED = {
    f"Genotype(normal=[{LINKS.replace('0)', '0, 1)')}], reduce=[{LINKS}])": "is not a triple",
    f"Genotype(normal=[{LINKS.replace('0)', 'True)')}], reduce=[{LINKS}])": "not a pair",
    f"Genotype(normal=[{GROUPS}, []], reduce=[{GROUPS}])": r"4 or 5 nodes with at least one link each.*2, 0\]",
    f"x Genotype(normal=[{NINE}], reduce=[{LINKS}])": "has 8 links, found 9",
    f"x Genotype(normal=[{LINKS}": r"cannot be read as an architecture \(']' is missing\)|the text ends",
    f"x {NATIVE} {OTHER}": "contains 2 different architectures. Give one of them",
    f"x {NATIVE} {BENCH}": "architectures of the spaces darts and nas_bench_201",
    f"Structure(5 nodes with {BENCH}+|none~0|none~1|none~2|none~3|)": "Write three nodes",
    "{'recurrent': [('tanh', 0)], 'concat': [2]}": "concat must list nodes of the cell, 1 to 1",
    "Genotype(recurrent=[('tanh', 1)], concat=range(1, 2))": "node 1 reads node 1",
    "x Genotype(recurrent=[('sep_conv_3x3', 0)])": "unknown op 'sep_conv_3x3' of a recurrent cell",
    "{'normal': 3, 'reduce': 3}": "'normal' is not a list of links",
    "[1, 2, 3]": r"genotype=\[1, 2, 3\]: no known notation",
    str([[(0, 1)] * 8] * 2): "ops by number, which programs number differently",
    "{'normal': [" * 40: "no known notation",
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=map(str, range(len(REFUSED))))
def test_ambiguous_strings_are_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(NasError, match=message) as caught:
        load_genotype(text)
    assert "\n" not in str(caught.value)


def test_the_last_genotype_of_a_log_counts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = tmp_path / "log.txt"
    log.write_text("".join(f"03/05 0{k}:00:00 AM genotype = {g}\nvalid 9{k}\n" for k, g in enumerate((OTHER, NATIVE))))
    with caplog.at_level(logging.INFO):
        assert load_genotype(log) == parse_genotype(NATIVE)
    assert f"line 3 of {log}, the last of 2 architectures" in caplog.text
    history = tmp_path / "history.jsonl"
    history.write_text("".join(json.dumps({"epoch": k, "genotype": g}) + "\n" for k, g in enumerate((BENCH_2, BENCH))))
    assert load_genotype(history) == parse_genotype(BENCH)
    (tmp_path / "summary.json").write_text(json.dumps({"genotype": "8:16:24:32:40", "seed": 1}))
    assert load_genotype(tmp_path / "summary.json") == parse_genotype("8:16:24:32:40")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"A = {NATIVE}\nB = {OTHER}\n", "contains 2 architectures, named A, B. Give one of them"),
        (f"03/05 genotype = {NATIVE}\n03/06 genotype = {NATIVE[:200]}\n", r"file, line 2: cannot be read.*\)"),
        (f"genotype = {NATIVE}\n<<<>>> Structure(4 nodes with {BENCH})\n", "of the spaces darts and nas_bench_201"),
        (json.dumps([{"arch": BENCH}, {"arch": BENCH_2}]), "contains 2 different architectures"),
        ("valid_acc 93\n", "contains no architecture. Give another"),
        ("", "contains no architecture"),
    ],
    ids=["names", "cut", "spaces", "list", "none", "empty"],
)
def test_ambiguous_files_are_refused_in_one_line(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text(content)
    with pytest.raises(NasError, match=message) as caught:
        load_genotype(tmp_path / "file")
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_large_and_binary_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "weights.pt").write_bytes(b"PK\x03\x04\0\0" + BENCH.encode())
    with pytest.raises(NasError, match="contains no architecture"):
        load_genotype(tmp_path / "weights.pt")
    (tmp_path / "log").write_text(BENCH)
    monkeypatch.setattr(genotype_file, "MAX_BYTES", 10)
    with pytest.raises(NasError, match="Give a smaller file"):
        load_genotype(tmp_path / "log")
