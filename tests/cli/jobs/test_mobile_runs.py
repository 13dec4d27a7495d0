"""Runs of several commands in single-path spaces: supernet and evolution, search and child, search to export."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

import nas
import nas.cli.commands.count as count
import nas.cli.commands.plot as plot
from nas.spaces.single_path.chain import chain_ops
from nas.spaces.single_path.shufflenet_v2 import ShuffleNetV2Space
from tests.support.compose_tools import small
from tests.support.error_tools import TINY, run
from tests.support.folder_tools import image_folder

SLOW = pytest.mark.slow
LAYOUT = {"widths": [8, 12], "depths": [2, 1], "strides": [2, 1]}
QUIET = ("~callbacks.cell_plots", "logger=none", "trainer.enable_progress_bar=false")


def summary(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "summary.json").read_text())
    return found


@SLOW
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


@SLOW
@pytest.mark.parametrize("ops", [(), ("space.ops=[shuffle_3x3_1.4,xception_3x3_0.6]",)], ids=["units", "widths"])
def test_dsnas_search_and_child_without_retraining(tmp_path: Path, ops: tuple[str, ...]) -> None:
    """The child has the layout of the search and, at learning rate zero, the weights of the supernet."""
    search = ["method=dsnas", *ops, *small("shufflenet"), "space.affine=true", "space.norm_eps=1e-2", *TINY, *QUIET]
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
    op, name = op.replace(".", "_"), "branch_main.0.weight"
    assert torch.equal(model[f"features.0.{name}"], state[f"supernet.features.graph.edges.0_1.{op}.{name}"])
    assert not torch.equal(model["conv_last.1.running_mean"], state["supernet.conv_last.1.running_mean"])
    other = run("train", *child, "network.widths=[8,16]", f"hydra.run.dir={tmp_path}/other")
    other.refused("does not fit the network")


SIZES = {"mobile": ("first_width=4",), "shufflenet": ()}
OPTIONS = {
    "gdas": (),
    "dsnas": (),
    "proxyless": (),
    "one_shot": ("method.callbacks.0.samples=2", "method.callbacks.0.final=3"),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_folder(tmp_path_factory.mktemp("images"), train=12, val=3)


@pytest.mark.parametrize(
    ("method", "space"),
    [
        (method, space) if (method, space) == ("gdas", "mobile") else pytest.param(method, space, marks=SLOW)
        for method in OPTIONS
        for space in SIZES
    ],
)
def test_search_to_export_on_a_folder(method: str, space: str, folder: Path, tmp_path: Path) -> None:
    """Each command names the data set, and only the first one the layout of the network."""
    data = ["dataset=folder", f"dataset.root={folder}", "dataset.image_size=16", "dataset.batch_size=4"]
    data += ["dataset.num_workers=0", "threads=1"]
    layout = ["widths=[8,12]", "depths=[2,1]", "strides=[1,2]", "stem_stride=1", "stem_width=4", "head=8"]
    sizes = [f"space.{option}" for option in (*layout, *SIZES[space])]
    search = [f"method={method}", f"space={space}", *sizes, *OPTIONS[method], "epochs=1"]
    found, trained = tmp_path / "search", tmp_path / "train"
    run("search", *search, *data, *QUIET, f"hydra.run.dir={found}").succeeded()
    if method == "one_shot":
        found = evolved(space, sizes, data, found, tmp_path / "evolution")
    run("train", f"genotype={found}", *data, *QUIET[1:], "epochs=1", f"hydra.run.dir={trained}").succeeded()
    assert summary(trained)["network"]["depths"] == [2, 1] and summary(trained)["genotype"] == genotype(found)
    evaluation = ["mode=eval", f"weights={trained}", *data[:-1], "evaluation.runs=1"]
    run("train", *evaluation, f"hydra.run.dir={tmp_path}/eval").succeeded()
    assert summary(tmp_path / "eval")["test_accuracy"] == pytest.approx(summary(trained)["test_accuracy"])
    exported = tmp_path / "network.pt2"
    run("train", "mode=export", "export.format=torch_export", f"export.file={exported}", f"weights={trained}")
    images = torch.randn(2, 3, 16, 16)
    network = nas.load(trained).network.eval()
    torch.testing.assert_close(torch.export.load(exported).module()(images), network(images), rtol=1e-4, atol=1e-5)
    assert plot.main([str(found), "--output", str(tmp_path / "chain.svg")]) == 0
    assert count.main([str(found), "--classes", "3", "--rule", "macs"]) == 0


def genotype(directory: Path) -> str:
    found: str = json.loads((directory / "genotype.json").read_text())["native"]
    return found


def evolved(space: str, sizes: list[str], data: list[str], supernet: Path, directory: Path) -> Path:
    """Search by evolution with the weights of a supernet, under a limit that excludes the largest network."""
    run(
        *("search", "method=evolution", f"space={space}", *sizes, *data, "~callbacks.cell_plots", "logger=none"),
        *("evaluator=supernet", f"evaluator.supernet_dir={supernet}", "evaluator.batches=1"),
        *(f"method.strategy.{option}" for option in ("population=4", "parents=2", "mutations=1", "crossovers=1")),
        *("method.strategy.max_macs=2e6", "method.budget.queries=6", f"hydra.run.dir={directory}"),
    ).succeeded()
    return directory
