"""Searches of recurrent cells by the front door: exact resume, ranks, black-box methods."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from nas.spaces.genotype_file import load_genotype
from nas.spaces.recurrent.notation import NOTATION
from tests.support.compose_tools import TEXT, lines, script, small, succeeded
from tests.support.error_tools import run
from tests.support.resume_tools import assert_same_results, checkpoint

SMALL = [*small("recurrent"), *TEXT, "~callbacks.cell_plots", "method.weight_step.optimizer.lr=1"]
LEARNING = ["space.output_dropout=0", "space.input_dropout=0", "dataset.size=1600"]
LIMIT = "trainer.max_steps"


@pytest.mark.parametrize("method", ["darts_2nd", pytest.param("gdas", marks=pytest.mark.slow)])
def test_stopped_search_resumes_exactly_and_lowers_the_perplexity(method: str, tmp_path: Path) -> None:
    given = [f"method={method}", *SMALL, *LEARNING, "epochs=3"]
    whole, limited = tmp_path / "whole", tmp_path / "limited"
    run("search", *given, f"hydra.run.dir={whole}").succeeded()
    steps = checkpoint(whole)["global_step"]
    run("search", *given, f"hydra.run.dir={limited}", f"{LIMIT}={steps // 2}").succeeded()
    assert not (limited / "summary.json").exists()
    run("search", f"ckpt_path={limited}", f"{LIMIT}=-1").succeeded()
    assert_same_results(whole, limited)
    found = [line["val/perplexity"] for line in lines(whole / "history.jsonl")]
    assert found[-1] < found[0] < 13, "twelve words"
    summary = json.loads((whole / "summary.json").read_text())
    assert summary["val_perplexity"] == found[-1] and "val_accuracy" not in summary
    assert math.exp(lines(whole / "history.jsonl")[-1]["val/loss"]) == pytest.approx(found[-1], rel=1e-5)
    assert load_genotype(whole).space == NOTATION and summary["macs"] > 0


def test_black_box_methods_query_trainings_and_supernets(tmp_path: Path) -> None:
    supernet = tmp_path / "supernet"
    run("search", "method=one_shot", *SMALL, "epochs=1", f"hydra.run.dir={supernet}").succeeded()
    queries = ["method=random_search", *small("recurrent"), *TEXT, "method.budget.queries=3", "epochs=1"]
    network = "+evaluator.network.hidden_size=6"
    for evaluator in (
        ["evaluator=supernet", f"evaluator.supernet_dir={supernet}"],
        ["evaluator=training", network, "evaluator.optimizer.lr=1"],
    ):
        directory = tmp_path / evaluator[0]
        run("search", *queries, *evaluator, "~callbacks.cell_plots", f"hydra.run.dir={directory}").succeeded()
        summary = json.loads((directory / "summary.json").read_text())
        assert -13 < summary["value"] < -5 and "negative validation perplexity" in summary["value_of"]
    single = ["evaluator=supernet", f"evaluator.supernet_dir={supernet}", "dataset.eval_batch_size=1"]
    refused = run("search", *queries, *single, f"hydra.run.dir={tmp_path}/single")
    refused.refused("dataset.eval_batch_size=1: batch norm of a supernet needs 2 columns. Set at least 2.")


@pytest.mark.slow
def test_ranks_read_their_own_columns_and_keep_the_same_architecture(tmp_path: Path) -> None:
    probe = ["+callbacks.probe._target_=tests.support.ddp_probe.Probe", f"+callbacks.probe.directory={tmp_path}"]
    given = ["method=darts_2nd", *SMALL, "epochs=2", "trainer=ddp_cpu", *probe, f"hydra.run.dir={tmp_path}/run"]
    succeeded(script("search", *given, cwd=tmp_path))
    first, second = (lines(tmp_path / f"rank{rank}.jsonl") for rank in (0, 1))
    steps = [[line for line in rank if line["what"] != "epoch"] for rank in (first, second)]
    assert all(one["batch"] != other["batch"] for one, other in zip(*steps, strict=True))
    epochs = [[line for line in rank if line["what"] == "epoch"] for rank in (first, second)]
    assert epochs[0] == epochs[1] and len({str(line["alphas"]) for line in epochs[0]}) == 2
