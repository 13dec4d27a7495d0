"""The space of NAS-Bench-101: strings, limits, networks, and black-box searches within the limits."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from nas.blackbox.encoding import CategoricalEncoding
from nas.blackbox.mutations import mutate, neighbors
from nas.plotting.cell import save_cell
from nas.spaces.genotype_file import load_genotype, save_genotype
from nas.spaces.nas_bench_101.graph import OPS, find_problem, graph_hash, prune
from nas.spaces.nas_bench_101.network import GraphCell
from nas.spaces.nas_bench_101.notation import to_graph
from nas.spaces.nas_bench_101.space import NasBench101
from nas.spaces.notation import parse_genotype
from nas.utils.errors import NasError
from tests.support.compose_tools import QUERYING, lines
from tests.support.error_tools import TINY, run
from tests.support.query_tools import FORMULA

SPACE = NasBench101((3, 32, 32), 10)
INCEPTION = (
    "ModelSpec(matrix=[[0, 1, 1, 1, 0, 1, 0], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 0, 0], "
    "[0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0, 0]], ops=['input', 'conv1x1-bn-relu', "
    "'conv3x3-bn-relu', 'conv3x3-bn-relu', 'conv3x3-bn-relu', 'maxpool3x3', 'output'])"
)
"""The cell of the authors' example."""


def test_network_has_the_published_parameters() -> None:
    genotype = SPACE.parse(INCEPTION)
    pruned = prune(to_graph(genotype))
    assert pruned is not None and graph_hash(pruned) == "28cfc7874f6d200472e1a9dcd8650aa0"
    assert SPACE.count(genotype)[0] == 2_694_282


def test_cell_equals_its_composition() -> None:
    """Vertices of 3 and 2 channels feed the output, the wider one also the other; input and output are linked."""
    text = "ModelSpec([[0,1,0,1],[0,0,1,1],[0,0,0,1],[0,0,0,0]], ['input','maxpool3x3','conv3x3-bn-relu','output'])"
    pruned = prune(to_graph(SPACE.parse(text)))
    assert pruned is not None
    cell, x = GraphCell(pruned, 4, 5), torch.randn(2, 4, 6, 6)
    pool, conv = cell.ops
    first = pool(cell.projections["1"](x))
    second = conv(first[:, :2])
    expected = torch.cat([first, second], 1) + cell.projections["3"](x)
    torch.testing.assert_close(cell(x), expected)
    assert set(cell.projections) == {"1", "3"} and first.shape[1] == 3 and second.shape[1] == 2


def test_network_computes_logits_and_the_linked_ends_alone() -> None:
    for text in (INCEPTION, "ModelSpec(matrix=[[0, 1], [0, 0]], ops=['input', 'output'])"):
        network = SPACE.network(SPACE.parse(text), channels=8, cells_per_stage=1)
        output = network.outputs(torch.randn(2, 3, 9, 9))
        assert output.logits.shape == (2, 10) and output.features.shape == (2, 32)


def test_strings_files_and_pictures_keep_the_genotype(tmp_path: Path) -> None:
    rng = random.Random(3)
    for genotype in [SPACE.parse(INCEPTION), *(SPACE.sample(rng) for _ in range(5))]:
        assert SPACE.parse(SPACE.native(genotype)) == parse_genotype(SPACE.native(genotype)) == genotype
        save_genotype(genotype, tmp_path / "genotype.json")
        assert load_genotype(tmp_path / "genotype.json") == genotype
    assert all(path.stat().st_size for path in save_cell(genotype, tmp_path))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("ModelSpec(matrix=[[0, 0], [0, 0]], ops=['input', 'output'])", "input and output are not connected"),
        (INCEPTION.replace("[0, 0, 0, 0, 0, 0, 1]", "[0, 0, 1, 1, 1, 1, 1]", 1), "13 edges, and at most 9"),
        (INCEPTION.replace("maxpool3x3", "maxpool5x5"), "ops must be 'input', then conv3x3-bn-relu"),
        (INCEPTION.replace("[0, 1, 1, 1, 0, 1, 0]", "[1, 1, 1, 1, 0, 1, 0]"), "upper triangular"),
        (INCEPTION.replace("[0, 1, 1, 1, 0, 1, 0], ", ""), "one row and one column for each of the 7 ops"),
        ("ModelSpec(matrix=3, ops=[])", "matrix must be a list of rows"),
        (f"ModelSpec(matrix={[[0] * 8] * 8}, ops={['input', *OPS[:1] * 6, 'output']})", "8 vertices, and at most 7"),
    ],
)
def test_cells_outside_the_space_are_refused(text: str, problem: str) -> None:
    with pytest.raises(NasError, match=problem):
        SPACE.check(SPACE.parse(text))


def test_samples_mutations_and_neighbors_stay_within_the_limits() -> None:
    rng = random.Random(0)
    for _ in range(30):
        genotype = SPACE.sample(rng)
        others = [mutate(SPACE, genotype, rng) for _ in range(5)] + list(neighbors(SPACE, genotype))
        assert all(find_problem(to_graph(other)) is None for other in others)
        assert all(sum(a != b for a, b in zip(_links(other), _links(genotype), strict=True)) == 1 for other in others)
    assert len(CategoricalEncoding(SPACE).decisions) == 26


def _links(genotype: object) -> tuple[object, ...]:
    return genotype.cells["cell"].links  # type: ignore[attr-defined, no-any-return]


METHODS = [
    pytest.param(name, marks=[] if name in ("regularized_evolution", "reinforce") else pytest.mark.slow)
    for name in sorted(QUERYING)
]


@pytest.mark.parametrize("method", METHODS)
def test_black_box_methods_query_cells_of_the_space_only(method: str, tmp_path: Path) -> None:
    command = [f"method={method}", "space=nas_bench_101", "dataset=cifar10", *FORMULA, "method.budget.queries=30"]
    options = ["logger=none", "~callbacks.cell_plots", f"hydra.run.dir={tmp_path / 'run'}"]
    run("search", *command, *options).succeeded()
    found = [SPACE.parse(line["genotype"]) for line in lines(tmp_path / "run" / "queries.jsonl")]
    assert len(found) == 30 and all(map(SPACE.admits, found))


def test_gradient_methods_are_refused_in_one_line(tmp_path: Path) -> None:
    command = ["method=darts", "space=nas_bench_101", f"hydra.run.dir={tmp_path / 'run'}"]
    run("search", *TINY, *command).refused("space=nas_bench_101", "there is no supernet", "regularized_evolution")
