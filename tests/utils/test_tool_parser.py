"""nas.utils.tool_parser: options with several values in any place, mistakes in one line."""

from __future__ import annotations

import argparse
import itertools

import pytest

from nas.utils.errors import NasError
from nas.utils.tool_parser import ToolParser, named_by_user


@pytest.fixture
def parser() -> ToolParser:
    found = ToolParser("nas-search count")
    found.add_argument("network", metavar="NETWORK")
    found.add_values("--shape", str.isdecimal, "N", type=int, help="shape")
    found.add_values("--rule", lambda word: word in ("macs", "flops"), "RULE", choices=["macs", "flops"])
    found.add_argument("--json", action="store_true")
    return found


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_arguments_may_have_any_order(order: tuple[int, ...], parser: ToolParser) -> None:
    parts = [["name"], ["--shape", "1", "8", "8"], ["--rule", "macs", "flops"], ["--json"]]
    found = parser.parse([word for place in order for word in parts[place]])
    assert found == argparse.Namespace(network="name", shape=[1, 8, 8], rule=["macs", "flops"], json=True)


def test_values_may_be_repeated_or_follow_an_equals_sign(parser: ToolParser) -> None:
    assert parser.parse(["--shape=1", "8", "name", "--shape", "9"]).shape == [1, 8, 9]
    assert parser.parse(["--shape", "1", "--", "8"]).network == "8"
    assert parser.parse(["name"]).shape is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--shape", "1", "8"], "count: the following arguments are required: NETWORK. nas-search count --help"),
        (["name", "--shape", "x"], "count: --shape: invalid int value: 'x'. nas-search count --help lists the options"),
        (["name", "--shape"], "count: --shape: expected one argument"),
        (["name", "--shape", "--json"], "count: --shape: expected one argument"),
        (["name", "--rule", "mac"], "count: --rule: invalid choice: 'mac'"),
        (["name", "other"], "count: unrecognized arguments: other"),
        (["name", "--jso"], "count: unrecognized arguments: --jso"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], message: str, parser: ToolParser, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NasError) as caught:
        parser.parse(arguments)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
    assert capsys.readouterr() == ("", "")


def test_help_is_printed(parser: ToolParser, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        parser.parse(["--help"])
    assert stop.value.code == 0 and "--shape N [N ...]" in capsys.readouterr().out


def test_named_by_user_replaces_the_option() -> None:
    for text, shown in (("genotype=x: no file.", "plot x: no file."), ("other=x: no file.", "other=x: no file.")):
        with pytest.raises(NasError, match=f"^{shown}$"), named_by_user("genotype", "plot"):
            raise NasError(text)
