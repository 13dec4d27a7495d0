"""``nas-search count`` of published architectures and of a user's own networks."""

from __future__ import annotations

import json

import pytest
from torch import nn

from nas.cli.count_command.command import main

CELL = "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"


def own_network() -> nn.Module:
    return nn.Linear(6, 5)


def no_network() -> str:
    return "text"


def count(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, int]:
    assert main([*arguments, "--json"]) == 0
    found: dict[str, int] = json.loads(capsys.readouterr().out)
    return found


def test_count_gives_published_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert count(capsys, CELL, "--rule", "macs_bias") == {
        "parameters": 802426,
        "auxiliary_parameters": 0,
        "macs_bias": 113951370,
    }
    large = count(capsys, "DARTS_V2", "--shape", "3", "224", "224", "--classes", "1000")
    assert round(large["macs"] / 1e6, 1) == 529.9 and round(large["parameters"] / 1e6, 2) == 4.72
    small = count(capsys, "DARTS_V2", "--network", "layers=8", "channels=16", "auxiliary=false")
    assert small["parameters"] < 0.4e6 and small["auxiliary_parameters"] == 0


def test_count_prints_a_table_of_an_own_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"{__name__}:own_network", "--shape", "6", "--rule", "macs", "flops"]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()] == [
        ["parameters", "35"],
        ["macs", "30"],
        ["flops", "60"],
    ]


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        (["missing.package:net"], "No module named 'missing'"),
        ([f"{__name__}:nothing"], "has no attribute 'nothing'"),
        ([f"{__name__}:no_network"], "returns str"),
        (["torch.nn:Linear"], "Name a function that needs no arguments"),
        ([f"{__name__}:own_network", "--shape", "7"], "--shape 7: "),
        (["DARTS_V2", "--shape", "32", "32"], "Set C H W"),
        (["DARTS_V2", "--network", "chanels=3"], "--network.chanels: "),
        (["DARTS_V2", "--network", "channels"], "options are KEY=VALUE"),
        (["DARTS_V2", "--classes", "0"], "--classes 0: numbers start at 1"),
        (["NO_SUCH_NAME"], "NO_SUCH_NAME"),
    ],
)
def test_count_refuses_in_one_line(arguments: list[str], phrase: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and phrase in lines[0]
