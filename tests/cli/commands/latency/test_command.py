"""``nas-search latency``: table and picture of small spaces, and refusals."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from nas.cli.commands.latency.command import main
from nas.cli.run_dir import progress
from nas.latency.predictor import LatencyPredictor
from nas.latency.table_file import load_table
from nas.spaces.nas_bench_201.space import NasBench201

FAST = ("runs=3", "warmup=0", "networks=5")
CELL = ("space=nas_bench_201", "network.channels=2", "network.cells_per_stage=1")


def test_table_predicts_genotypes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "t.json"
    assert main([*CELL, *FAST, f"output={output}", "statistic=low", "predictor=ridge", "batch=2"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["space"].endswith("images 1x8x8, 10 classes, channels=2 cells_per_stage=1")
    assert "torch, batch 2, precision 32, 1 thread(s), 10 % quantile of 3 passes" in lines["conditions"]
    assert lines["ops"].startswith("15, ") and lines["networks"].startswith("5, ") and lines["predictor"] == "ridge"
    assert output.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    space = NasBench201((1, 8, 8), 10)
    table = load_table(output, space)
    assert table.setup.batch == 2 and table.machine["processor"] and table.versions["torch"] and table.date
    assert LatencyPredictor(table, space)(space.from_index(3)) > 0
    assert set(json.loads(output.read_text())["results"]["held_out"]) == {"sum", "ridge"}
    assert main([*CELL, *FAST, f"output={output}"]) == 1
    assert capsys.readouterr().err == f"error: output={output}: exists. Choose another file, or set overwrite=true.\n"


def test_progress_of_each_part_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress, "PAUSE", 0.0)
    with caplog.at_level("INFO"):
        assert main([*CELL, *FAST, "warmup=1", f"output={tmp_path / 't.json'}"]) == 0
    lines = [" ".join(line.split()) for line in caplog.messages if " remaining" in line]
    for begin in ("2/4 passes of all ops", "3/4 passes of all networks", "4/5 networks prepared"):
        assert any(re.match(rf"{begin} [\d.]+ s each .* remaining", line) for line in lines), begin


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments",
    [
        ["space=darts", "network.channels=4", "network.layers=3", "network.auxiliary=false"],
        ["space=mobile", "network.head=16"],
        ["space=shufflenet", "network.head=16"],
        ["space=nats_size", "space.widths=[2,4]"],
        [*CELL, "backend=onnxruntime"],
        ["space=choices", "+space.model=tests.support.choice_models:Net"],
    ],
    ids=["darts", "mobile", "shufflenet", "nats_size", "onnxruntime", "choices"],
)
def test_tables_of_other_spaces(tmp_path: Path, arguments: list[str]) -> None:
    assert main([*arguments, *FAST, "dataset=cifar10", f"output={tmp_path / 't.json'}"]) == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["space=recurrent", "dataset=text_synthetic"], "space=recurrent: its networks read text of any length"),
        (["runs=2"], "runs=2: use a whole number from 3"),
        (["networks=4"], "networks=4: use a whole number from 5"),
        (["backend=tensorrt"], "unknown backend 'tensorrt'"),
        (["precision=64"], "unknown precision '64'"),
        (["threads=0"], "threads=0: use a whole number from 1"),
        (["runs=null"], "runs=null: use"),
        (["overwrite=maybe"], "overwrite=maybe: use true or false"),
        (["space=nowhere"], "space"),
        (["network.layers=3"], "network.layers: the networks of space=nas_bench_201 do not have it"),
        (["output=absent/t.json"], "output=absent/t.json: needs a file name"),
        (["device=nowhere"], "device=nowhere: PyTorch"),
        (["batchsize=3"], "batchsize"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_mistakes_are_reported_in_one_line(
    arguments: list[str],
    expected: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 1
    found = capsys.readouterr().err
    assert found.startswith("error: ") and expected in found and found.count("\n") == 1
    assert not list(tmp_path.iterdir())
