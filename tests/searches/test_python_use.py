"""Searches in Python: wrong parts are named, and a search can be pickled."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam

from nas.data.synthetic import Synthetic
from nas.deploy.load import load
from nas.deploy.model import Model, save_model
from nas.plotting.cell import cell_figure
from nas.plotting.figure import save_figure
from nas.relaxations.gumbel import Gumbel
from nas.relaxations.softmax import Softmax
from nas.searches.arch_step import ArchStep
from nas.searches.gradient import GradientSearch
from nas.searches.weight_step import WeightStep
from nas.spaces.genotype_file import load_genotype, save_genotype
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError

SGD_STEP = partial(SGD, lr=0.05)


def space() -> NasBench201:
    return NasBench201((3, 8, 8), 10, channels=2, cells_per_stage=1)


def search(**changes: Any) -> GradientSearch:
    parts = {"space": space(), "relaxation": Softmax, "weight_step": WeightStep(SGD_STEP), "arch_step": None}
    return GradientSearch(**{**parts, **changes})


@pytest.mark.parametrize("relaxation", [Softmax, partial(Gumbel, tau=1.0)])
def test_search_is_pickled_with_its_masks(relaxation: Any) -> None:
    before = search(relaxation=relaxation, arch_step=ArchStep(partial(Adam, lr=3e-3)))
    before.masks.restrict("cell", torch.arange(5).expand(6, 5) > 1)
    after = pickle.loads(pickle.dumps(before))
    assert after.genotype() == before.genotype() and after.masks.lists("cell") == before.masks.lists("cell")
    after.load_state_dict(search(relaxation=relaxation).state_dict())
    assert after.masks.full("cell"), "the lists follow the loaded masks"


def test_batches_of_one_part_need_steps_on_one_part() -> None:
    data = Synthetic(shape=(3, 8, 8), size=32, test_size=8, batch_size=8, bilevel=False)
    with pytest.raises(NasError, match="^dataset.bilevel=false: the search takes a batch of each part"):
        search().check_data(data)
    search(arch_step=ArchStep(partial(Adam, lr=3e-3), single_level=True)).check_data(data)


@pytest.mark.parametrize(
    ("changes", "phrase"),
    [
        ({"space": None}, "space=None: use a Space"),
        ({"space": NasBench201}, "use a Space"),
        ({"relaxation": "softmax"}, "relaxation=softmax: use a class such as Softmax"),
        ({"relaxation": lambda cells: None}, "use a class such as Softmax"),
        ({"relaxation": Softmax(space().cells)}, "use a class such as Softmax"),
        ({"weight_step": SGD_STEP}, "use WeightStep"),
        ({"arch_step": partial(Adam, lr=3e-3)}, "use ArchStep"),
        ({"callbacks": ["progress"]}, "use a list of Lightning callbacks"),
        ({"step_order": "alpha_first"}, "step_order=alpha_first: unknown"),
    ],
)
def test_wrong_part_is_named(changes: dict[str, Any], phrase: str) -> None:
    with pytest.raises(NasError, match=phrase):
        search(**changes)


def test_files_are_written_to_paths_as_text(tmp_path: Path) -> None:
    genotype = search().genotype()
    save_genotype(genotype, f"{tmp_path}/genotype.json")
    assert load_genotype(f"{tmp_path}/genotype.json") == genotype
    save_figure(cell_figure(genotype), f"{tmp_path}/cell.svg")
    assert (tmp_path / "cell.svg").is_file()
    with pytest.raises(NasError, match="unknown format '.txt'"):
        save_figure(cell_figure(genotype), f"{tmp_path}/cell.txt")
    network = space().network(genotype, channels=2, cells_per_stage=1)
    size = {"channels": 2, "cells_per_stage": 1}
    save_model(Model(genotype, size, (3, 8, 8), 10, network.state_dict()), f"{tmp_path}/model.pt")
    assert isinstance(load(f"{tmp_path}/model.pt", shape=(3, 8, 8)), nn.Module)
    with pytest.raises(NasError, match="Leave out shape"):
        load(f"{tmp_path}/model.pt", shape=(1, 8, 8))
