"""Feature vectors of NAS-Bench-301 against those of the authors' code."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.benchmarks.nas_bench_301.encoding import CELLS, NAMES, OPS, encode
from nas.spaces.darts.notation import TARGETS, parse
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.notation import from_index
from nas.utils.errors import NasError

SPACE = Darts((3, 32, 32), 10)
PAIRS = "[('max_pool_3x3', 0), ('sep_conv_3x3', 1)" + ", ('skip_connect', 0), ('sep_conv_3x3', 1)" * 3 + "]"


@pytest.mark.data
def test_encode_equals_golden(shared: Path) -> None:
    golden = np.load(shared / "golden" / "bench_nb301_a.npz")
    assert list(golden["vector_names"]) == list(NAMES)
    for ops, inputs, vector in zip(golden["ops"], golden["inputs"], golden["vector64"], strict=True):
        cells = {
            name: CellGenotype(
                tuple(Link(OPS[op], int(i), t) for op, i, t in zip(ops[k], inputs[k], TARGETS[8], strict=True)),
                (2, 3, 4, 5),
            )
            for k, name in enumerate(CELLS)
        }
        np.testing.assert_allclose(encode(Genotype("darts", cells)), vector, rtol=1e-9, atol=1e-9)


def test_encode_distinguishes_genotypes_but_not_the_order_of_links() -> None:
    rng = random.Random(1)
    genotypes = {SPACE.sample(rng) for _ in range(300)}
    assert len({encode(genotype).tobytes() for genotype in genotypes}) == len(genotypes)
    first = next(iter(genotypes))
    turned = {name: CellGenotype(cell.links[::-1], cell.output) for name, cell in first.cells.items()}
    np.testing.assert_array_equal(encode(Genotype("darts", turned)), encode(first))


def genotype_of(normal: str, reduce: str = PAIRS, output: str = "[2, 3, 4, 5]") -> Genotype:
    return parse(f"Genotype(normal={normal}, normal_concat={output}, reduce={reduce})")


@pytest.mark.parametrize(
    ("genotype", "problem"),
    [
        (from_index(3), "space 'nas_bench_201' with cells cell is not in NAS-Bench-301"),
        (genotype_of(PAIRS.replace("max_pool_3x3", "noise")), "has the op noise"),
        (genotype_of(PAIRS, "None"), "with cells normal is not in"),
        (genotype_of(PAIRS.replace("1)", "0)", 1)), "does not read two different nodes"),
        (genotype_of(PAIRS, output="[4, 5]"), "has other nodes than 2, 3, 4, 5"),
    ],
    ids=["space", "op", "fixed", "twice", "output"],
)
def test_encode_refuses_genotypes_outside_the_benchmark(genotype: Genotype, problem: str) -> None:
    with pytest.raises(NasError, match=problem):
        encode(genotype)
