"""Weights that a training inherits from the supernet of a search in a model with choices."""

from __future__ import annotations

from pathlib import Path

import torch

import nas.choices
from nas.deploy.fine_tune import load_initial_weights
from nas.spaces.genotype_file import load_genotype
from tests.support.choice_models import Net
from tests.support.choice_tools import NET
from tests.support.error_tools import TINY, run

MODEL = ("space=choices", f"space.model={NET}")


def test_training_starts_from_the_supernet(tmp_path: Path) -> None:
    small = (*TINY, *MODEL, "epochs=1", "dataset.size=32")
    run("search", *small, "method=gdas", "~callbacks.cell_plots", f"hydra.run.dir={tmp_path}/found").succeeded()
    space, genotype = nas.choices.space(Net, (3, 8, 8), 10), load_genotype(tmp_path / "found")
    network = space.network(genotype)
    assert load_initial_weights(network, genotype, tmp_path / "found", space) == []
    saved = torch.load(tmp_path / "found" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    supernet = space.supernet()
    supernet.load_state_dict({k.removeprefix("supernet."): v for k, v in saved.items() if k.startswith("supernet.")})
    images = torch.rand(4, 3, 8, 8)
    with torch.no_grad():
        expected = supernet.eval()(images, space.encode(genotype))
        torch.testing.assert_close(network.eval()(images), expected, rtol=1e-4, atol=1e-5)

    found = (f"genotype={tmp_path}/found", f"init_weights={tmp_path}/found")
    trained = run("train", *small, *found, f"hydra.run.dir={tmp_path}/trained")
    trained.succeeded()
    assert f"init weights   {tmp_path}/found\n" in trained.said
    fewer = (*found, "dataset.classes=5", f"hydra.run.dir={tmp_path}/fewer")
    run("train", *small, *fewer).refused(
        "init_weights=", "the weights are of another model", "Set init_weights to the run directory of"
    )


def test_ntk_measures_the_network_itself(tmp_path: Path) -> None:
    given = (*TINY, *MODEL, "proxy=ntk", "method.budget.queries=2", f"hydra.run.dir={tmp_path}")
    run("search", *given, "method=random_search").succeeded()
