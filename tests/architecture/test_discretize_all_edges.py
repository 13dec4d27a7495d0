"""Tests of the discretization that keeps all edges (SNAS)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from nas.architecture.cell import Genotype, Link
from nas.architecture.discretization import discretize_all_edges
from nas.spaces.darts.notation import parse
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201

SHAPE = (3, 8, 8)


NESTED = Darts(SHAPE, 10).cells["normal"]


def scores(best: Mapping[int, str]) -> Tensor:
    """Return scores under which edge e prefers ``best[e]``, and all other edges none."""
    table = torch.zeros(14, 8)
    for e in range(14):
        table[e, NESTED.ops.index(best.get(e, "none"))] = 1.0 + e
    return table


def test_discretize_all_edges_drops_edges_without_an_op() -> None:
    found = discretize_all_edges(
        NESTED, scores({0: "skip_connect", 2: "sep_conv_3x3", 3: "max_pool_3x3", 4: "dil_conv_3x3"})
    )
    # sorted by score; nodes 4 and 5 are empty
    assert found.links[1:] == (Link("dil_conv_3x3", 2, 3), Link("max_pool_3x3", 1, 3), Link("sep_conv_3x3", 0, 3))
    assert found.links[0] == Link("skip_connect", 0, 2) and found.output == (2, 3)
    # edge 11 reads node 2, which is empty
    found = discretize_all_edges(NESTED, scores({9: "skip_connect", 11: "sep_conv_3x3", 13: "sep_conv_5x5"}))
    assert found.links == (Link("skip_connect", 0, 5),) and found.output == (5,)
    full = discretize_all_edges(NESTED, scores(dict.fromkeys(range(14), "sep_conv_3x3")))
    assert len(full.links) == 14 and full.output == (2, 3, 4, 5)


def test_discretize_all_edges_keeps_one_link_of_an_empty_cell() -> None:
    table = scores({})
    table[5, NESTED.ops.index("dil_conv_5x5")] = 0.5
    assert discretize_all_edges(NESTED, table).links == (Link("dil_conv_5x5", 0, 4),)


def test_discretize_all_edges_genotypes_build_and_parse() -> None:
    """Parse the native string, and run the network and the supernet of the genotype."""
    space = Darts(SHAPE, 10, channels=4, layers=3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        cells = {k: discretize_all_edges(c, torch.rand(14, 8, generator=generator)) for k, c in space.cells.items()}
        genotype = Genotype("darts", cells)
        space.check(genotype)
        assert sorted(parse(space.native(genotype)).cells["normal"].links) == sorted(cells["normal"].links)
        x = torch.randn(2, *SHAPE)
        assert space.network(genotype, 4, 3, auxiliary=False)(x).shape == (2, 10)
        assert torch.isfinite(space.supernet()(x, space.encode(genotype))).all()


def test_discretize_all_edges_keeps_none_if_genotypes_may() -> None:
    cell = NasBench201(SHAPE, 10).cells["cell"]
    table = torch.zeros(6, 5)
    table[:, 0] = 1
    assert [link.op for link in discretize_all_edges(cell, table).links] == ["none"] * 6
