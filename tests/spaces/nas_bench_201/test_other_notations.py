"""Tests of NAS-Bench-201 architectures in the notations of NASLib, NNI and AutoDL-Projects."""

from __future__ import annotations

from typing import Any

import pytest

from nas.spaces.genotype_values import genotype_of_value
from nas.spaces.nas_bench_201.notation import native, to_index
from nas.utils.errors import NasError

# Example of NNI's documentation: an entry of its benchmark database with index 0 of the published order.
NNI = {
    **{"0_1": "avg_pool_3x3", "0_2": "conv_1x1", "0_3": "conv_1x1"},
    **{"1_2": "skip_connect", "1_3": "skip_connect", "2_3": "skip_connect"},
}


def native_of(value: Any) -> str:
    genotype = genotype_of_value(value)
    assert genotype is not None
    return native(genotype)


def test_op_indices_of_naslib() -> None:
    """NASLib orders edges by their source, and numbers skip, none, 3x3, 1x1 and pool."""
    expected = "|avg_pool_3x3~0|+|skip_connect~0|none~1|+|nor_conv_1x1~0|avg_pool_3x3~1|nor_conv_1x1~2|"
    assert native_of((4, 0, 3, 1, 4, 3)) == native_of([4, 0, 3, 1, 4, 3]) == expected
    expected = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
    assert native_of((2, 0, 0, 1, 0, 0)) == expected
    for indices, wrong in (((4, 0, 3, 1, 4, 5), "found 5"), ((4, 0, 3, 1, 4, -1), "found -1")):
        with pytest.raises(NasError, match=f"in the order of NASLib, 0 to 4, {wrong}"):
            genotype_of_value(indices)
    for other in ((4, 0, 3, 1, 4), (4, 0, 3, 1, 4, 3, 1), (True, 0, 3, 1, 4, 3)):
        assert genotype_of_value(other) is None


@pytest.mark.parametrize(
    "value",
    [
        NNI,
        {f"cell/{key}": op for key, op in NNI.items()},
        {key: [op] for key, op in NNI.items()},
        {(int(key[0]), int(key[2])): op for key, op in NNI.items()},
        {f"({key[0]}, {key[2]})": op for key, op in NNI.items()},
        {f"{int(key[0]) + 1}_{int(key[2]) + 1}": op for key, op in NNI.items()},
        dict(reversed(NNI.items())),
        {"arch": NNI, "accuracy": 90.1},
        [
            [("avg_pool_3x3", 0)],
            [("nor_conv_1x1", 0), ("skip_connect", 1)],
            [("nor_conv_1x1", 0), ("skip_connect", 1), ("skip_connect", 2)],
        ],
    ],
    ids=["nni", "label", "list", "pairs", "text", "from_one", "order", "result", "nodes"],
)
def test_dicts_and_lists_of_edges(value: Any) -> None:
    genotype = genotype_of_value(value)
    assert genotype is not None and to_index(genotype) == 0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({key: op for key, op in NNI.items() if key != "2_3"}, "found 0_1, 0_2, 0_3, 1_2, 1_3"),
        ({**NNI, "3_4": "none"}, "found .*3_4"),
        ({**NNI, "cell/0_1": "none"}, "has an op on each of the edges"),
        ({**NNI, "0_1": "conv_7x7"}, "unknown op 'conv_7x7'"),
        (list(NNI.values()), "6 ops, whose edges are not known"),
        ([[("none", 0)], [("none", 0), ("none", 0)], [("none", 0), ("none", 1), ("none", 2)]], "reads each node"),
    ],
    ids=["missing", "surplus", "twice", "op", "ops", "nodes"],
)
def test_dicts_and_lists_of_edges_are_refused(value: Any, message: str) -> None:
    with pytest.raises(NasError, match=message):
        genotype_of_value(value)
