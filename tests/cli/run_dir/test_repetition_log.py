"""Resume of repeated searches from their log."""

from __future__ import annotations

import json
import math
import signal
from pathlib import Path
from unittest import mock

import pytest

from nas.blackbox.anytime import AnytimeCurve
from nas.cli.run_dir.repetition_log import decode_curve, encode_curve
from tests.support.compose_tools import lines, script
from tests.support.error_tools import run
from tests.support.query_tools import COMMAND, FORMULA, QUICK, Formula

pytestmark = pytest.mark.slow

FILES = ("repetitions.jsonl", "table.csv", "anytime.csv", "genotype.json")


def test_read_repetitions_resumes_a_killed_run(tmp_path: Path) -> None:
    flag, whole, broken = tmp_path / "killed", tmp_path / "whole", tmp_path / "broken"
    killing = [
        "evaluator._target_=tests.support.query_tools.KillingFormula",
        f"+evaluator.flag={flag}",
        "+evaluator.at=9",
    ]
    common = ["method.budget.queries=15", "method.repetitions=6", "seed=5"]
    command = [*(a for a in COMMAND if "_target_" not in a), *QUICK, *killing, *common]
    died = script("search", *command, f"hydra.run.dir={broken}", cwd=tmp_path, env={"PYTHONPATH": "."})
    assert died.returncode == -signal.SIGKILL, died.stderr
    before = (broken / "repetitions.jsonl").read_text()
    assert before.count("\n") == 4
    with (broken / "repetitions.jsonl").open("a") as file:
        file.write('{"repetition": 4, "cut off in the mid')
    run("search", *command, f"hydra.run.dir={broken}").refused("holds an interrupted run", f"ckpt_path={broken}")
    other = run("search", f"ckpt_path={broken}", killing[0], "method.strategy.population=5")
    other.refused("have another method.strategy", "from scratch in another directory")
    run("search", f"ckpt_path={broken}", killing[0], "seed=6").refused("method.seed, seed")
    timing = (broken / "timing.json").read_text()
    leftover = broken / f".table.csv.{'0' * 32}.tmp"
    leftover.touch()
    found = run("search", f"ckpt_path={broken}", killing[0])
    found.succeeded()
    assert not leftover.exists() and "ignored line 5 of" in found.said
    assert "resumed after 4 of 6 repetitions" in found.said
    run("search", *command, f"hydra.run.dir={whole}").succeeded()
    for name in FILES:
        assert (whole / name).read_bytes() == (broken / name).read_bytes(), name
    assert (broken / "repetitions.jsonl").read_text().startswith(before)
    one, two = (json.loads((d / "summary.json").read_text()) for d in (whole, broken))
    assert two["search_seconds"] > json.loads(timing)["search_seconds"], "times add up over resumes"
    assert one["table"] == two["table"] and one["genotype"] == two["genotype"]
    run("search", f"ckpt_path={broken}", killing[0]).refused("holds a finished run")
    more = tmp_path / "more"
    run("search", f"ckpt_path={broken}", killing[0], "method.repetitions=8", f"hydra.run.dir={more}").succeeded()
    assert lines(more / "repetitions.jsonl")[:6] == lines(whole / "repetitions.jsonl")
    assert [row["seed"] for row in lines(more / "repetitions.jsonl")] == list(range(5, 13))


def test_read_repetitions_keeps_those_finished_before_an_interrupt(tmp_path: Path) -> None:
    def reset(self: Formula, seed: int) -> None:
        if seed == 2:
            raise KeyboardInterrupt
        self.calls = 1000 * seed

    command = [*COMMAND, *QUICK, "method.budget.queries=3", "method.repetitions=4", f"hydra.run.dir={tmp_path}/r"]
    with mock.patch.object(Formula, "reset", reset):
        stopped = run("search", *command)
    stopped.refused("all finished repetitions are kept. To resume, run python search.py ckpt_path=", code=130)
    assert [row["seed"] for row in lines(tmp_path / "r/repetitions.jsonl")] == [0, 1]
    run("search", f"ckpt_path={tmp_path}/r", *FORMULA).succeeded()
    assert [row["seed"] for row in lines(tmp_path / "r/repetitions.jsonl")] == [0, 1, 2, 3]


def test_read_repetitions_refuses_a_directory_without_them(tmp_path: Path) -> None:
    single, begun = tmp_path / "single", tmp_path / "begun"
    command = [*COMMAND, *QUICK, "method.budget.queries=3", "epochs=1"]
    run("search", *command, f"hydra.run.dir={single}").succeeded()
    again = ["method.repetitions=3", f"hydra.run.dir={tmp_path}/new"]
    run("search", f"ckpt_path={single}", *FORMULA, *again).refused(f"ckpt_path={single}: there is no repetitions.jsonl")
    (begun / ".hydra").mkdir(parents=True)
    (begun / ".hydra" / "overrides.yaml").write_text("[]")
    (begun / "repetitions.jsonl").touch()
    run("search", *command, f"ckpt_path={begun}", *again).refused("the options of its repetitions are unknown")


def test_read_repetitions_refuses_fewer_than_finished_and_damaged_lines(tmp_path: Path) -> None:
    here, file = tmp_path / "run", tmp_path / "run" / "repetitions.jsonl"
    command = [*COMMAND, *QUICK, "method.budget.queries=3", "method.repetitions=2", f"hydra.run.dir={here}"]
    early = [a for a in command if "queries" not in a] + ["method.budget.seconds=5"]
    run("search", *early).refused("the first query takes")
    assert not file.exists(), "nothing to resume, so the directory is free"
    run("search", *command).succeeded()
    (here / "summary.json").unlink()
    run("search", f"ckpt_path={here}", *FORMULA, "method.repetitions=4").succeeded()
    (here / "summary.json").unlink()
    written = file.read_text()
    for fewer in ("2", "3"):
        found = run("search", f"ckpt_path={here}", *FORMULA, f"method.repetitions={fewer}")
        found.refused("has 4 finished repetitions", f"method.repetitions={fewer}")
    single = run("search", f"ckpt_path={here}", *FORMULA, "method.repetitions=1")
    single.refused("no checkpoint", "same method.repetitions, or more")
    run("search", f"ckpt_path={here}", *FORMULA).succeeded()
    assert file.read_text() == written and written.count("\n") == 4, "the last number of repetitions was four"
    (here / "summary.json").unlink()
    first, *rest = written.splitlines(keepends=True)
    whole = json.loads(first)
    without = {key: value for key, value in whole.items() if key != "curve"}
    curve = {**whole["curve"], "values": {"value": ["x"] * len(whole["curve"]["spent"])}}
    rows = [
        without,
        {**whole, "curve": {}},
        {**whole, "curve": curve},
        {**whole, "value": "x"},
        {**whole, "genotype": 1},
    ]
    for bad in (b"{\n", b"\xff\n", b"\n"):
        file.write_bytes(b"".join([first.encode(), bad, *(line.encode() for line in rest)]))
        run("search", f"ckpt_path={here}", *FORMULA).refused(f"{file}: line 2 is damaged", "Restore the file")
    for other in (*(json.dumps(row) + "\n" for row in rows), "[]\n", rest[0]):
        file.write_text("".join([other, *rest]))
        run("search", f"ckpt_path={here}", *FORMULA).refused("line 1 of", "not a line of this version for repetition 0")
        assert file.read_text() == "".join([other, *rest])


def test_decode_curve_inverts_encode_curve() -> None:
    found = AnytimeCurve([1.5, 2.1], {"value": [math.nan, 0.1 + 0.2], "fact": [1.0, 1 / 3]}, 9.75)
    again = decode_curve({"curve": json.loads(json.dumps(encode_curve(found), allow_nan=False))})
    assert again.spent == found.spent and again.end == found.end
    assert math.isnan(again.values["value"][0]) and again.values["value"][1] == found.values["value"][1]
    assert again.values["fact"] == found.values["fact"]
