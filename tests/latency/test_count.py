"""Parts of networks against the modules that are executed, and paths through cells."""

from __future__ import annotations

import random
from collections import Counter
from itertools import product

import pytest
import torch
from torch import nn

from nas.architecture.cell import NONE, CellGenotype, Link
from nas.latency.count import PartCounter, live
from nas.latency.covering import covering_genotypes
from nas.latency.parts import PartKey, addition, find_parts
from nas.nn.pooling import Pool
from nas.spaces.base import Space
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.space import NatsSize
from nas.spaces.single_path.layout import Layout
from nas.spaces.single_path.mobilenet_v2 import MobileNetV2Space
from nas.spaces.single_path.shufflenet_v2 import ShuffleNetV2Space
from tests.support.choice_models import Net

SHAPE = (3, 8, 8)
CELLS = NasBench201(SHAPE, 4)
SMALL = {"channels": 4, "cells_per_stage": 1}
CHAIN = Layout((8, 12), (2, 2), (1, 2))


def test_counts_of_a_cell_are_its_edges_times_the_cells_of_a_stage() -> None:
    genotype = CELLS.parse("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_1x1~1|avg_pool_3x3~2|")
    counts = PartCounter(CELLS, {"channels": 4, "cells_per_stage": 2})(genotype)
    per_cell = {"nor_conv_3x3": 2, "skip_connect": 1, "nor_conv_1x1": 1, "avg_pool_3x3": 1}
    shapes = [(4, 8, 8), (8, 4, 4), (16, 2, 2)]
    assert counts == {PartKey(op, shape, shape): 2 * count for op, count in per_cell.items() for shape in shapes}


@pytest.mark.parametrize(
    ("space", "options"),
    [
        (CELLS, SMALL),
        (Darts(SHAPE, 4), {"channels": 4, "layers": 3, "auxiliary": False}),
        (MobileNetV2Space(SHAPE, 4, widths=CHAIN.widths, depths=CHAIN.depths, strides=CHAIN.strides), {}),
        (ShuffleNetV2Space(SHAPE, 4, widths=(24, 32), depths=(2, 2), strides=(1, 2)), {}),
        (NatsSize(SHAPE, 4, widths=(4, 8)), {}),
    ],
    ids=lambda value: value.name if isinstance(value, Space) else "",
)
def test_counts_of_known_links_are_those_of_the_network(space: Space, options: dict[str, int]) -> None:
    rng, counter = random.Random(0), PartCounter(space, options)
    for _ in range(12):
        genotype = space.sample(rng)
        with torch.device("meta"):
            network = space.network(genotype, **options)
        parts = find_parts(network, genotype, space.shape)
        found, expected = counter(genotype), Counter(part.key for part in parts)
        assert sum(found.values()) == sum(expected.values()) > 0
        shared = {addition(part.key) for part in parts if part.shareable}
        assert all(found[key] == count for key, count in expected.items() if "pool" not in key.op)
        assert set(found) - set(expected) <= shared


@pytest.mark.parametrize("space", [CELLS, Darts(SHAPE, 4)], ids=["nas_bench_201", "darts"])
def test_equal_pools_of_a_node_count_as_often_as_they_run(space: Space) -> None:
    rng = random.Random(3)
    options = {"channels": 4} | ({"cells_per_stage": 1} if space is CELLS else {"layers": 4, "auxiliary": False})
    counter = PartCounter(space, options)
    runs: list[int] = []
    for _ in range(6):
        genotype = space.sample(rng)
        network = space.network(genotype, **options).eval()
        for pool in (module for module in network.modules() if isinstance(module, Pool)):
            pool.pool.register_forward_hook(lambda *_: runs.append(1))
        runs.clear()
        with torch.no_grad():
            network(torch.zeros(1, *SHAPE))
        assert sum(count for key, count in counter(genotype).items() if "pool" in key.op) == len(runs)


def test_layers_of_other_networks_are_their_parts() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Identity(), nn.Flatten(), nn.Linear(144, 5))
    parts = find_parts(network, CELLS.from_index(0), SHAPE)
    assert [(part.key.op.partition("(")[0], part.key.inputs, part.key.outputs) for part in parts] == [
        ("Conv2d", (3, 8, 8), (4, 6, 6)),
        ("ReLU", (4, 6, 6), (4, 6, 6)),
        ("Flatten", (4, 6, 6), (144,)),
        ("Linear", (144,), (5,)),
    ]
    assert all(part.link is None for part in parts)


def paths(links: list[Link], node: int, output: int) -> list[list[Link]]:
    """Return all paths from a node to the output of a cell by depth-first search."""
    if node == output:
        return [[]]
    return [[link, *rest] for link in links if link.source == node for rest in paths(links, link.target, output)]


def test_live_links_lie_on_a_path_from_input_to_output() -> None:
    edges = [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)]
    for ops in product((NONE, "conv"), repeat=6):
        cell = CellGenotype(tuple(Link(op, *edge) for op, edge in zip(ops, edges, strict=True)), (3,))
        executed = [link for link in cell.links if link.op != NONE]
        expected = {link for path in paths(executed, 0, 3) for link in path}
        assert set(live(cell)) == expected


def test_pruned_counts_leave_out_ops_without_effect() -> None:
    genotype = CELLS.parse("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|avg_pool_3x3~2|")
    assert {key.op for key in PartCounter(CELLS, SMALL)(genotype)} == {"nor_conv_3x3", "skip_connect", "avg_pool_3x3"}
    assert {key.op for key in PartCounter(CELLS, SMALL, prune=True)(genotype)} == {"skip_connect"}


def test_covering_genotypes_contain_each_link_and_each_pair() -> None:
    space = Darts(SHAPE, 4)
    found = {(name, link) for g in covering_genotypes(space) for name, cell in g.cells.items() for link in cell.links}
    assert found == {
        (name, Link(op, *cell.edges[e]))
        for name, cell in space.cells.items()
        for e in range(len(cell.edges))
        for op in cell.choices(e)
    }
    sizes = NatsSize(SHAPE, 4, widths=(4, 8, 12))
    chosen = [[link.op for link in genotype.cells["cell"].links] for genotype in covering_genotypes(sizes, pairs=True)]
    for first, second in ((0, 1), (1, 4), (2, 3)):
        assert {(ops[first], ops[second]) for ops in chosen} == set(product(("4", "8", "12"), repeat=2))
    assert len(chosen) < 40


def test_parts_of_a_model_with_choices() -> None:
    from nas.choices.model_space import space as model_space

    space = model_space(Net, SHAPE, 4)
    counter, rng = PartCounter(space, {}), random.Random(0)
    counts = [counter(space.sample(rng)) for _ in range(5)]
    assert all(any(key.op.startswith("Conv2d") for key in count) for count in counts)
