"""Data sets that differ from the space, and genotypes or networks that are None, in library use."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
from torch.optim import SGD, Adam

import nas
from nas.blackbox.search import BlackBoxSearch
from nas.data.digits import Digits
from nas.data.synthetic import Synthetic
from nas.relaxations.dirichlet import Dirichlet
from nas.searches.arch_step import ArchStep
from nas.searches.gradient import GradientSearch
from nas.searches.weight_step import WeightStep
from nas.spaces.darts.space import Darts
from nas.spaces.genotype_file import load_genotype
from nas.spaces.nas_bench_101.space import NasBench101
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.space import NatsSize
from nas.spaces.notation import parse_genotype
from nas.spaces.recurrent.space import Recurrent
from nas.training.network_training import Training
from nas.utils.errors import NasError
from tests.support.error_tools import NB201

IMAGES = partial(Synthetic, shape=(3, 8, 8), size=32, test_size=16, batch_size=16)
SMALL = {"channels": 4, "cells_per_stage": 1}
OTHER: dict[str, Any] = {
    "channels": Digits(batch_size=16),
    "size": IMAGES(classes=10, shape=(3, 16, 16)),
    "classes": IMAGES(classes=12),
}


def trainer() -> pl.Trainer:
    return pl.Trainer(
        fast_dev_run=True, accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False
    )


def search() -> GradientSearch:
    space = NasBench201((3, 8, 8), 10, **SMALL)
    return GradientSearch(space, Dirichlet, WeightStep(partial(SGD, lr=0.05)), ArchStep(partial(Adam, lr=3e-3)))


@pytest.mark.parametrize("name", OTHER)
def test_search_refuses_data_of_another_space(name: str) -> None:
    with pytest.raises(NasError, match=r"it has shape .* but the network is built for shape \(3, 8, 8\) and 10 cl"):
        trainer().fit(search(), datamodule=OTHER[name])


def test_search_accepts_data_of_its_space_and_any_loader() -> None:
    data = IMAGES(classes=10)
    trainer().fit(search(), datamodule=data)
    trainer().fit(search(), train_dataloaders=data.train_dataloader(), val_dataloaders=data.val_dataloader())


def test_black_box_search_refuses_data_of_another_space() -> None:
    space = NasBench201((3, 8, 8), 10, **SMALL)
    searched = BlackBoxSearch.__new__(BlackBoxSearch)
    searched.__dict__["space"] = space
    with pytest.raises(NasError, match=r"dataset=synthetic: it has shape \(3, 8, 8\) and 12 classes"):
        searched.batches(OTHER["classes"])


@pytest.mark.parametrize("run", ["fit", "test"])
def test_training_refuses_another_number_of_classes(run: str) -> None:
    network = NasBench201((3, 8, 8), 10, **SMALL).network(parse_genotype(NB201), **SMALL)
    training = Training(network, partial(SGD, lr=0.05), classes=10)
    with pytest.raises(NasError, match="12 classes, but the network is built for 10 classes"):
        getattr(trainer(), run)(training, datamodule=IMAGES(classes=12, bilevel=False))


@pytest.mark.parametrize(
    "space",
    [
        NasBench201((3, 8, 8), 10),
        NatsSize((3, 8, 8), 10),
        NasBench101((3, 8, 8), 10),
        Darts((3, 8, 8), 10),
        Recurrent((), 10),
    ],
    ids=lambda space: space.name,
)
def test_space_parses_text_alone(space: Any) -> None:
    for value in (None, 5, ["a"]):
        with pytest.raises(NasError, match="not a text. Give the native string"):
            space.parse(value)


def test_none_is_neither_a_genotype_nor_a_network() -> None:
    for read in (parse_genotype, load_genotype):
        with pytest.raises(NasError, match="genotype=None: not a text"):
            read(None)  # type: ignore[operator]
    with pytest.raises(NasError, match="network=None: not a torch.nn.Module"):
        nas.count(None)  # type: ignore[arg-type]
