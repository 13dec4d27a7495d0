"""The spaces of NAS-Bench-1Shot1: genotypes, strings, derived networks, relaxations and commands."""

from __future__ import annotations

import json
import math
import random
from functools import partial
from pathlib import Path

import pytest
import torch

from nas.architecture.cell import Genotype, Link
from nas.architecture.discretization import discretize, discretize_all_edges, discretize_by_threshold
from nas.architecture.masks import Masks
from nas.blackbox.encoding import CategoricalEncoding
from nas.blackbox.mutations import mutate, neighbors
from nas.plotting.cell import save_cell
from nas.relaxations.binary_gates import GateRelaxation
from nas.relaxations.dirichlet import Dirichlet
from nas.relaxations.edge_normalized import EdgeNormalized, with_edge_weights
from nas.relaxations.enas_controller import Controller
from nas.relaxations.gumbel import Gumbel
from nas.relaxations.softmax import Softmax
from nas.relaxations.uniform import Uniform, UniformWeights
from nas.spaces.genotype_file import load_genotype, save_genotype
from nas.spaces.nas_bench_1shot1.notation import from_graph, parse, to_graph
from nas.spaces.nas_bench_1shot1.space import NasBench1Shot1
from nas.spaces.nas_bench_1shot1.subspaces import PARENTS
from nas.spaces.nas_bench_101.notation import format_graph
from nas.spaces.nas_bench_101.space import NasBench101
from nas.spaces.notation import parse_genotype
from nas.spaces.registry import space_of
from nas.utils.errors import NasError
from tests.support.error_tools import TINY, run

SPACES = {subspace: NasBench1Shot1((3, 32, 32), 10, subspace, channels=4, cells_per_stage=1) for subspace in PARENTS}


@pytest.mark.parametrize("subspace", [1, 2, 3])
def test_strings_files_and_pictures_keep_the_genotype(subspace: int, tmp_path: Path) -> None:
    rng, space = random.Random(0), SPACES[subspace]
    for genotype in [space.sample(rng) for _ in range(5)]:
        space.check(genotype)
        text = space.native(genotype)
        assert space.parse(text) == parse_genotype(text) == from_graph(to_graph(genotype)) == genotype
        assert space.parse(text.partition(":")[2]) == genotype
        save_genotype(genotype, tmp_path / "genotype.json")
        assert load_genotype(tmp_path / "genotype.json") == genotype
        found = space_of(genotype, (3, 32, 32), 10)
        assert isinstance(found, NasBench1Shot1) and found.subspace == subspace
    assert all(path.stat().st_size for path in save_cell(genotype, tmp_path))


@pytest.mark.parametrize("subspace", [1, 2, 3])
def test_network_is_that_of_nas_bench_101(subspace: int) -> None:
    full, space = NasBench101((3, 32, 32), 10), SPACES[subspace]
    genotype = space.sample(random.Random(subspace))
    published = full.parse(format_graph(to_graph(genotype)))
    assert space.count(genotype) == full.count(published)
    torch.manual_seed(0)
    network = space.network(genotype, channels=8, cells_per_stage=1)
    torch.manual_seed(0)
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(network(x), full.network(published, channels=8, cells_per_stage=1)(x))


@pytest.mark.parametrize("subspace", [1, 2, 3])
def test_black_box_proposals_stay_in_the_subspace(subspace: int) -> None:
    rng, space = random.Random(0), SPACES[subspace]
    sampled = space.sample(rng)
    encoding = CategoricalEncoding(space)
    decoded = encoding.decode(lambda number: rng.randrange(encoding.decisions[number].size))
    for genotype in [decoded, *(mutate(space, sampled, rng) for _ in range(30)), *neighbors(space, sampled)]:
        space.check(genotype)
        assert parse(space.native(genotype)) == genotype


@pytest.mark.parametrize("rule", [discretize, discretize_all_edges])
def test_genotypes_have_the_strongest_parents_and_ops(rule: object) -> None:
    space = SPACES[2]
    relaxation = with_edge_weights(space.cells, Softmax)
    assert isinstance(relaxation, EdgeNormalized)
    torch.manual_seed(1)
    for parameter in relaxation.parameters():
        torch.nn.init.normal_(parameter)
    rules = dict.fromkeys(space.cells, rule)
    genotype = Genotype(space.notation, relaxation.mode(Masks(space.cells), rules))  # type: ignore[arg-type]
    space.check(genotype)
    for name, cell in space.cells.items():
        parents = [e for e, (_, target) in enumerate(cell.edges) if target == cell.edges[0][1]]
        best = sorted(sorted(parents, key=lambda e: -relaxation.beta[name][e].item())[: cell.inputs])
        links = [link for link in genotype.cells[name].links if link.op == "connect"]
        assert [link.source for link in links] == best
        if name != "output":
            op = relaxation.alpha[name][-1, 1:].argmax().item()
            assert genotype.cells[name].links[-1].op == cell.ops[1 + int(op)]


def test_edge_weights_are_those_of_the_authors() -> None:
    """The softmax over the parents of a vertex; parents without an alternative have weight 1."""
    space = SPACES[1]
    relaxation = with_edge_weights(space.cells, Softmax)
    assert isinstance(relaxation, EdgeNormalized)
    weights = {name: rows.edge for name, rows in relaxation.sample(Masks(space.cells)).items()}
    assert weights["vertex_1"] is not None and weights["vertex_2"] is not None
    assert weights["vertex_1"].tolist() == [1, 1] and weights["vertex_2"].tolist() == [1, 1, 1]
    for name, count in (("vertex_3", 3), ("vertex_4", 4)):
        expected = [*relaxation.beta[name][:count].softmax(0).tolist(), 1.0]
        assert weights[name].tolist() == pytest.approx(expected)  # type: ignore[union-attr]
    assert weights["output"].sum().item() == pytest.approx(1)  # type: ignore[union-attr]


def test_entropy_is_that_of_the_decisions() -> None:
    """Uniform weights: four choices among three ops, and choices among 3, 4 and 5 parents."""
    relaxation = with_edge_weights(SPACES[1].cells, partial(Softmax, init_std=0.0))
    assert isinstance(relaxation, EdgeNormalized)
    for beta in relaxation.beta.values():
        torch.nn.init.zeros_(beta)
    expected = (4 * math.log(3) + math.log(3) + math.log(4) + math.log(5)) / 7
    assert relaxation.entropy(Masks(SPACES[1].cells)).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("build", [Softmax, Gumbel, partial(Gumbel, hard=False), Dirichlet, UniformWeights])
def test_relaxations_of_ops_get_edge_weights(build: object) -> None:
    space = SPACES[3]
    relaxation = with_edge_weights(space.cells, build)  # type: ignore[arg-type]
    arch = relaxation.sample(Masks(space.cells))
    loss = space.supernet()(torch.randn(4, 3, 8, 8), arch).square().mean()
    loss.backward()
    assert isinstance(relaxation, EdgeNormalized) and relaxation.beta["output"].grad is not None
    assert relaxation.beta["output"].grad.any()


@pytest.mark.parametrize("build", [Uniform, UniformWeights, Controller])
def test_sampled_paths_are_genotypes(build: object) -> None:
    """Every path of a weight step has the parents of the subspace with weight 1."""
    space = SPACES[3]
    relaxation = with_edge_weights(space.cells, build)  # type: ignore[arg-type]
    for _ in range(10):
        arch = relaxation.sample_for_weights(Masks(space.cells))
        cells = {name: discretize(cell, arch[name].op) for name, cell in space.cells.items()}
        space.check(Genotype(space.notation, cells))
        for name, cell in space.cells.items():
            assert arch[name].edge is None and arch[name].op.sum() == (cell.inputs or 0) + (name != "output")


def test_temperature_is_that_of_the_ops() -> None:
    relaxation = with_edge_weights(SPACES[1].cells, partial(Gumbel, tau=3.0))
    assert relaxation.tau == 3.0
    relaxation.tau = 0.5
    assert isinstance(relaxation, EdgeNormalized) and relaxation.ops.tau == 0.5
    with pytest.raises(NasError, match="relaxation.tau=0: use a number above 0"):
        relaxation.tau = 0
    assert not hasattr(with_edge_weights(SPACES[1].cells, Softmax), "tau")


def test_binary_gates_and_other_discretizations_are_refused() -> None:
    with pytest.raises(NasError, match="edge weights, which BinaryGates do not train"):
        with_edge_weights(SPACES[1].cells, GateRelaxation)
    with pytest.raises(NasError, match="discretize_by_threshold: each vertex of space=.* fixed number of parents"):
        SPACES[1].check_discretization(discretize_by_threshold)


def test_other_genotypes_are_refused() -> None:
    genotype = SPACES[1].sample(random.Random(0))
    with pytest.raises(NasError, match="no subspace of.*1, 1 parents.*without a prefix for a cell"):
        parse("ModelSpec(matrix=[[0, 1, 0], [0, 0, 1], [0, 0, 0]], ops=['input', 'maxpool3x3', 'output'])")
    with pytest.raises(NasError, match=r"fit space=|has \d parents and"):
        SPACES[2].check(genotype)
    vertex = genotype.cells["vertex_3"]
    links = (Link("connect", 0, 3), Link("connect", 0, 3), vertex.links[-1])
    twice = Genotype(genotype.space, {**genotype.cells, "vertex_3": vertex._replace(links=links)})
    with pytest.raises(NasError, match="vertex_3 has 1 parents and 1 ops. In space=.* it has 2 different parents"):
        SPACES[1].check(twice)


def test_search_trains_and_exports_a_cell(tmp_path: Path) -> None:
    """The cell of a search is trained by train.py as a network of NAS-Bench-101, drawn and exported."""
    size = ["space=nas_bench_1shot1_3", "space.channels=4", "space.cells_per_stage=1"]
    run("search", *TINY, "method=gdas", *size, "epochs=1", f"hydra.run.dir={tmp_path}/s").succeeded()
    summary = json.loads((tmp_path / "s" / "summary.json").read_text())
    assert summary["genotype"].startswith("nas_bench_1shot1:ModelSpec(matrix=")
    options = ["network.channels=4", "network.cells_per_stage=1", "epochs=1", f"hydra.run.dir={tmp_path}/t"]
    run("train", *TINY, f"genotype={tmp_path}/s", *options).succeeded()
    run("train", "mode=export", f"weights={tmp_path}/t", f"hydra.run.dir={tmp_path}/e").succeeded()
    assert list((tmp_path / "e").glob("*.onnx")) + list((tmp_path / "e").glob("*.pt*"))
