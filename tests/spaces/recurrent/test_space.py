"""The recurrent space: cells, genotypes, and combinations that are refused."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.architecture.discretization import discretize_all_edges
from nas.blackbox.mutations import mutate
from nas.spaces.recurrent.notation import CELL, NOTATION
from nas.spaces.recurrent.space import Recurrent
from nas.spaces.registry import space_of
from nas.utils.errors import NasError
from nas.zoo.architectures import published_architectures
from tests.support.compose_tools import TEXT, small
from tests.support.error_tools import run

SEARCH = [*small("recurrent"), "epochs=1"]
ZOO = [entry for entry in published_architectures() if entry.space == "recurrent"]


def test_cell_has_an_edge_from_each_earlier_node() -> None:
    cell = Recurrent((), 10).cells[CELL]
    assert len(cell.edges) == 36 and cell.edges[:3] == ((0, 1), (0, 2), (1, 2))
    assert cell.ops == ("none", "tanh", "relu", "sigmoid", "identity") and cell.output == tuple(range(1, 9))


def test_each_node_keeps_its_strongest_edge_without_none() -> None:
    cell = Recurrent((), 10, nodes=2).cells[CELL]
    scores = torch.tensor([[0.9, 0.1, 0.2, 0.2, 0.0], [0.0, 0.3, 0.0, 0.0, 0.3], [0.8, 0.0, 0.29, 0.0, 0.0]])
    assert discretize_all_edges(cell, scores).links == (Link("relu", 0, 1), Link("tanh", 0, 2))


def test_samples_and_mutations_are_members() -> None:
    space, rng = Recurrent((), 10), random.Random(0)
    genotypes = [space.sample(rng) for _ in range(20)]
    genotypes += [mutate(space, genotype, rng) for genotype in genotypes]
    for genotype in genotypes:
        space.check(genotype)
        assert space.parse(space.native(genotype)) == genotype
        active = space.encode(genotype)[CELL].active
        assert [sum(map(sum, (active[e] for e in space.cells[CELL].into(n)))) for n in range(1, 9)] == [1] * 8


@pytest.mark.parametrize("entry", ZOO, ids=lambda entry: entry.name)
def test_published_cells_build_their_networks(entry: object) -> None:
    text = entry.genotype  # type: ignore[attr-defined]
    genotype = Recurrent((), 10).parse(text)
    space = space_of(genotype, (), 10)
    assert space.native(genotype) == text
    logits = space.network(genotype, hidden_size=4)(torch.arange(3))
    assert logits.shape == (3, 10)


def test_zoo_has_the_published_cells() -> None:
    assert [entry.name for entry in ZOO] == ["RNN_ENAS", "RNN_DARTS_V1", "RNN_DARTS_V2", "RNN_GDAS"]


@pytest.mark.parametrize(
    ("links", "output", "phrase"),
    [
        ([Link("tanh", 0, 1)], (1,), "Each of the nodes 1 to 2"),
        ([Link("tanh", 0, 1), Link("relu", 0, 2), Link("relu", 1, 2)], (2,), "needs one link"),
        ([Link("tanh", 0, 1), Link("none", 0, 2)], (2,), "op 'none' is not a choice"),
        ([Link("tanh", 0, 1), Link("relu", 0, 2)], (), "the output of the recurrent cell"),
    ],
)
def test_other_genotypes_are_refused(links: list[Link], output: tuple[int, ...], phrase: str) -> None:
    with pytest.raises(NasError, match=phrase):
        Recurrent((), 10, nodes=2).check(Genotype(NOTATION, {CELL: CellGenotype(tuple(links), output)}))


@pytest.mark.parametrize(
    ("arguments", "phrases"),
    [
        (["space=recurrent", "dataset=synthetic"], ["space=recurrent dataset=synthetic", "take text", "dataset=ptb"]),
        ([*SEARCH, "channels_last=true"], ["channels_last=true: ", "images"]),
        (["space=recurrent", "space.hidden_size=0"], ["space.hidden_size=0: use a whole number"]),
        (["space=recurrent", "space.output_dropout=1"], ["space.output_dropout=1"]),
    ],
)
def test_mistake_is_answered_by_one_line(arguments: list[str], phrases: list[str], tmp_path: Path) -> None:
    data = [] if any(argument.startswith("dataset=") for argument in arguments) else TEXT
    run("search", "method=darts", *arguments, *data, f"hydra.run.dir={tmp_path}/run").refused(*phrases)
