"""Trainings of genotypes in the notations of other programs, given on the command line and in files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.error_tools import TRAIN, run

DICT = {"0_1": "nor_conv_3x3", "0_2": "conv_1x1", "1_2": "none", "0_3": "none", "1_3": "skip_connect", "2_3": "none"}
NATIVE = "|nor_conv_3x3~0|+|nor_conv_1x1~0|none~1|+|none~0|skip_connect~1|none~2|"
GIVEN = {
    "JSON": json.dumps(DICT),
    "list": "[2,3,1,1,0,1]",
    "lines": f"[2020-01-02 03:04:05] it's done\ngenotype = Structure(4 nodes with {NATIVE})\n",
}


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_training_of_a_genotype_on_the_command_line(given: str, tmp_path: Path) -> None:
    run("train", *TRAIN, f"genotype={given}", f"hydra.run.dir={tmp_path}/run").succeeded()
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["genotype"] == NATIVE
    assert json.loads((tmp_path / "run" / "genotype.json").read_text())["native"] == NATIVE


def test_training_of_a_genotype_in_a_log(tmp_path: Path) -> None:
    log = tmp_path / "search.log"
    log.write_text(f"epoch 0: {NATIVE.replace('none~0', 'nor_conv_3x3~0')}\nepoch 1: {NATIVE}\n")
    found = run("train", *TRAIN, f"genotype={log}", f"hydra.run.dir={tmp_path}/run")
    found.succeeded()
    assert f"line 2 of {log}, the last of 2 architectures" in found.said
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["genotype"] == NATIVE
    weights = [f"weights={tmp_path}/run", f"genotype={log}", "evaluation.runs=1", f"hydra.run.dir={tmp_path}/eval"]
    run("train", "mode=eval", *weights).succeeded()
    log.write_text(f"A = '{NATIVE}'\nB = Genotype(normal=[], reduce=[])\n")
    more = f"hydra.run.dir={tmp_path}/refused"
    run("train", *TRAIN, f"genotype={log}", more).refused(f"genotype={log}, line 2: ", "found 0")
    run("train", *TRAIN, "genotype=[1,2]", more).refused("genotype=[1,2]: no known notation")
