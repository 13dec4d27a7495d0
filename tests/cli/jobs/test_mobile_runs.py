"""Protocols of several commands in single-path spaces: supernet and evolution, search and child."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from nas.spaces.single_path.chain import chain_ops
from nas.spaces.single_path.shufflenet_v2 import ShuffleNetV2Space
from tests.support.compose_tools import small
from tests.support.error_tools import TINY, run

pytestmark = pytest.mark.slow

LAYOUT = {"widths": [8, 12], "depths": [2, 1], "strides": [2, 1]}
QUIET = ("~callbacks.cell_plots", "logger=none", "trainer.enable_progress_bar=false")


def summary(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "summary.json").read_text())
    return found


def test_supernet_and_evolution_under_a_limit(tmp_path: Path) -> None:
    """The limit excludes the largest units; statistics of batch norm are averaged per candidate."""
    space = ShuffleNetV2Space((3, 8, 8), 10, **LAYOUT, stem_width=4, head=8)  # type: ignore[arg-type]
    limit = space.macs(space.parse("shufflenet:1-1-1"))
    common = [*small("shufflenet"), *TINY, *QUIET]
    supernet = run("search", "method=one_shot", *common, "epochs=2", f"hydra.run.dir={tmp_path}/supernet")
    supernet.succeeded()
    evolution = ["method=evolution", "evaluator=supernet", f"evaluator.supernet_dir={tmp_path}/supernet"]
    evolution += ["evaluator.recalibration=2", "evaluator.batches=1", f"method.strategy.max_macs={limit}"]
    evolution += [
        f"method.strategy.{option}" for option in ("population=6", "parents=2", "mutations=2", "crossovers=2")
    ]
    evolution += ["method.budget.queries=14", "epochs=2", *common]
    run("search", *evolution, f"hydra.run.dir={tmp_path}/found").succeeded()
    lines = [json.loads(line) for line in (tmp_path / "found" / "queries.jsonl").read_text().splitlines()]
    genotypes = [space.parse(line["genotype"]) for line in lines]
    assert len(set(genotypes)) == 14 and max(map(space.macs, genotypes)) <= limit
    found = summary(tmp_path / "found")
    assert found["value"] == max(line["value"] for line in lines) and found["space"] == "shufflenet"
    run("search", *evolution, "space.widths=[8,16]", f"hydra.run.dir={tmp_path}/other").refused(
        "other layers, widths or ops"
    )
    run("search", *evolution, "space.depths=[3,1]", f"hydra.run.dir={tmp_path}/deep").refused(
        "other layers, widths or ops"
    )


def test_dsnas_search_and_child_without_retraining(tmp_path: Path) -> None:
    """The child has the layout of the search and, at learning rate zero, the weights of the supernet."""
    search = ["method=dsnas", *small("shufflenet"), "space.affine=true", "space.norm_eps=1e-2", *TINY, *QUIET]
    search += ["method.arch_step.resource.strength=1e-9", "epochs=2", f"hydra.run.dir={tmp_path}/search"]
    run("search", *search).succeeded()
    child = [f"genotype={tmp_path}/search", f"init_weights={tmp_path}/search", "network.norm_eps=1e-2", *QUIET[1:]]
    child += ["training.optimizer.lr=0.0", "epochs=1"]
    done = run("train", *child, f"hydra.run.dir={tmp_path}/child")
    done.succeeded()
    options = summary(tmp_path / "child")["network"]
    assert {key: options[key] for key in LAYOUT} == LAYOUT
    assert OmegaConf.load(tmp_path / "child" / ".hydra" / "config.yaml").dataset.shape == [3, 8, 8]
    state = torch.load(tmp_path / "search" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    model = torch.load(tmp_path / "child" / "model.pt", weights_only=True)["state_dict"]
    (op, *_) = chain_ops(ShuffleNetV2Space((3, 8, 8), 10).parse(summary(tmp_path / "search")["genotype"]))
    name = "branch_main.0.weight"
    assert torch.equal(model[f"features.0.{name}"], state[f"supernet.features.graph.edges.0_1.{op}.{name}"])
    assert not torch.equal(model["conv_last.1.running_mean"], state["supernet.conv_last.1.running_mean"])
    other = run("train", *child, "network.widths=[8,16]", f"hydra.run.dir={tmp_path}/other")
    other.refused("does not fit the network")
