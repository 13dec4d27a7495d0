"""``nas-search count`` of published architectures and of a user's own networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from torch import Tensor, nn

from nas.cli.commands.count import main
from nas.cli.run_dir.figures import network_cost
from nas.spaces.genotype_file import save_genotype
from nas.spaces.nas_bench_201.space import NasBench201

CELL = "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|avg_pool_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"


def own_network() -> nn.Module:
    return nn.Linear(6, 5)


def no_network() -> str:
    return "text"


class FailingNetwork(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[-1] == 7, "seven features"
        return x


def failing_function() -> nn.Module:
    raise KeyError("width")


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


def test_count_of_a_run_has_the_images_of_its_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    space = NasBench201((1, 12, 12), 3)
    genotype = space.parse(CELL)
    save_genotype(genotype, tmp_path / "genotype.json")
    summary = tmp_path / "summary.json"
    figures = network_cost(space, genotype)
    summary.write_text(json.dumps(figures))
    found = count(capsys, str(tmp_path))
    assert (found["parameters"], found["macs_bias"]) == (figures["parameters"], figures["macs"])
    with_options = count(capsys, str(tmp_path), "--shape", "3", "32", "32", "--classes", "10")
    assert with_options == count(capsys, CELL)
    for record in ("[]", "{", '{"input_shape": [1, 12, true], "classes": 3}', '{"input_shape": 5, "classes": "x"}'):
        summary.write_text(record)
        assert count(capsys, str(tmp_path)) == with_options


def test_count_accepts_any_order_of_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    name = f"{__name__}:own_network"
    first = count(capsys, name, "--shape", "2", "6", "--rule", "macs", "flops")
    assert first == count(capsys, "--rule", "macs", "flops", "--shape", "2", "6", name)
    assert first == count(capsys, "--shape", "2", "6", name, "--rule", "macs", "flops")
    small = count(capsys, "--network", "layers=8", "channels=16", "DARTS_V2")
    assert small == count(capsys, "DARTS_V2", "--network", "layers=8", "channels=16")
    own = ("--own-parts", "my=torch.nn.Identity")
    assert small == count(capsys, *own, "DARTS_V2", "--network", "layers=8", "channels=16")


def test_count_gives_the_size_of_language_models_per_token(capsys: pytest.CaptureFixture[str]) -> None:
    """Published: 22.96 M parameters on Penn Treebank, 33,127,878 on WikiText-2 (quark0/darts, rnn/train.py)."""
    small = count(capsys, "RNN_DARTS_V2")
    assert small["parameters"] == 22_960_000 and set(small) == {
        *("parameters", "auxiliary_parameters", "macs", "macs_bias", "flops"),
    }
    cell, decoder = 10 * 850 * 2 * 850, 850 * 10_000
    assert small["macs"] == cell + decoder == small["flops"] // 2 and small["macs_bias"] == small["macs"] + 10_000
    large = count(capsys, "RNN_DARTS_V2", "--classes", "33278", "--network", "hidden_size=700")
    assert large["parameters"] == 33_127_878


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
        (["missing.package:net"], "count missing.package:net: there is no module 'missing'"),
        ([f"{__name__}:nothing"], "has no 'nothing'"),
        ([f"{__name__}:no_network"], "returns str"),
        ([f"{__name__}:failing_function"], "KeyError: 'width'"),
        ([f"{__name__}:FailingNetwork", "--shape", "6"], "AssertionError: seven features"),
        (["torch.nn:Linear"], "Name a function that needs no arguments"),
        ([f"{__name__}:own_network", "--shape", "7"], "--shape 7: "),
        (["DARTS_V2", "--shape", "32", "32"], "Set C H W"),
        (["RNN_DARTS_V2", "--shape", "3", "32", "32"], "is a token. Leave it out"),
        (["DARTS_V2", "--network", "chanels=3"], "--network chanels: "),
        (["DARTS_V2", "--network", "channels"], "options are KEY=VALUE"),
        (["DARTS_V2", "--classes", "0"], "--classes 0: numbers start at 1"),
        (["NO_SUCH_NAME"], "error: count NO_SUCH_NAME: no published architecture"),
        (["outputs/nope"], "error: count outputs/nope: there is no file outputs/nope"),
        (["--shape", "1", "8", "8"], "count: the following arguments are required: NETWORK"),
        (["DARTS_V2", "--shape", "x"], "count: --shape: invalid int value: 'x'"),
        (["DARTS_V2", "--own-parts", "no_such_module.Op"], "--own-parts no_such_module.Op: there is no module"),
        (["DARTS_V2", "--own-parts", "math.pi"], "--own-parts pi is a float"),
    ],
)
def test_count_refuses_in_one_line(arguments: list[str], phrase: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and phrase in lines[0]
