"""Features of genotypes, against the authors' formula and an enumeration of walks."""

from __future__ import annotations

import random

import numpy as np
import pytest

from nas.architecture.cell import CellGenotype, Link
from nas.blackbox.features import OneHotFeatures, PathFeatures, features_of, paths_of
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.space import NatsSize
from nas.spaces.recurrent.space import Recurrent
from nas.utils.errors import NasError
from tests.support.query_tools import CHAIN, CHOOSING, SmallSpace, all_genotypes

NB201 = NasBench201((3, 32, 32), 10)


def test_paths_of_nas_bench_201_are_those_of_the_authors() -> None:
    """Four paths by edge number, and 5 + 25 + 125 indicators: naszilla/bananas, nas_bench_201/cell.py."""
    features, rng = PathFeatures(NB201), random.Random(0)
    assert features.size == 155
    for _ in range(20):
        genotype = NB201.sample(rng)
        (cell,) = genotype.cells.values()
        op = {(link.source, link.target): link.op for link in cell.links}
        nodes = [(0, 3), (0, 1, 3), (0, 2, 3), (0, 1, 2, 3)]
        paths = {(0, tuple(op[step] for step in zip(path, path[1:], strict=False))) for path in nodes}
        assert paths_of(cell, 3) == paths
        assert features.encode([genotype]).sum() == len(paths)


def test_paths_of_darts_end_in_every_node_of_the_output() -> None:
    links = (Link("a", 0, 2), Link("b", 1, 2), Link("c", 2, 3), Link("d", 0, 3))
    cell = CellGenotype(links, (2, 3))
    expected = {(0, ("a",)), (1, ("b",)), (0, ("a", "c")), (1, ("b", "c")), (0, ("d",))}
    assert paths_of(cell, 4) == expected
    assert paths_of(cell, 1) == {path for path in expected if len(path[1]) == 1}


def test_number_of_path_features_of_darts() -> None:
    """Two cells, two inputs and 7 ops: paths up to length 4, of which a limit leaves out the longest."""
    space = Darts((3, 32, 32), 10)
    assert PathFeatures(space, 10**5).size == 4 * (7 + 7**2 + 7**3 + 7**4)
    assert PathFeatures(space).size == 4 * (7 + 7**2 + 7**3)
    genotype = space.sample(random.Random(1))
    counts = [len(paths_of(cell, 3)) for cell in genotype.cells.values()]
    assert PathFeatures(space).encode([genotype]).sum() == sum(counts)


@pytest.mark.parametrize("cell", [CHAIN, CHOOSING], ids=["all_edges", "selected_edges"])
def test_one_hot_features_distinguish_all_genotypes(cell: object) -> None:
    space = SmallSpace(cell)  # type: ignore[arg-type]
    genotypes = sorted(all_genotypes(space), key=space.native)
    table = OneHotFeatures(space).encode(genotypes)
    assert len(np.unique(table, axis=0)) == len(genotypes)
    links = [sum(len(part.links) for part in genotype.cells.values()) for genotype in genotypes]
    assert table.sum(axis=1).tolist() == links


def test_auto_selects_paths_if_cells_have_branches() -> None:
    sizes = NatsSize((3, 32, 32), 10)
    assert isinstance(features_of(NB201), PathFeatures) and isinstance(features_of(sizes), OneHotFeatures)
    assert features_of(sizes).size == 5 * 8
    recurrent = Recurrent((), 100)
    assert isinstance(features_of(recurrent), PathFeatures)
    assert features_of(recurrent).encode([recurrent.sample(random.Random(0))]).sum() > 0


def test_encodings_without_meaning_are_refused() -> None:
    with pytest.raises(NasError, match="encoding=paths: in space=nats_size a single path.*encoding=one_hot"):
        features_of(NatsSize((3, 32, 32), 10), "paths")
    with pytest.raises(NasError, match="max_paths=4: space=nas_bench_201 has more paths of length 1"):
        features_of(NB201, "paths", max_paths=4)
    with pytest.raises(NasError, match="encoding=graph: use auto, paths or one_hot"):
        features_of(NB201, "graph")  # type: ignore[arg-type]
