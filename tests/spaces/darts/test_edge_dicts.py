"""Tests of DARTS architectures as dicts of choices: NNI, its earlier versions, and NAS-Bench-301."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from nas.spaces.darts.notation import native
from nas.spaces.genotype_values import genotype_of_value
from nas.utils.errors import NasError

# Links of each node, 2 to 5: (op, source).
LINKS = {
    "normal": [("sep_conv_3x3", 0), ("sep_conv_3x3", 1), ("sep_conv_5x5", 2), ("skip_connect", 0)]
    + [("dil_conv_3x3", 1), ("dil_conv_5x5", 3), ("max_pool_3x3", 0), ("avg_pool_3x3", 4)],
    "reduce": [("max_pool_3x3", 1), ("skip_connect", 0), ("sep_conv_3x3", 0), ("dil_conv_5x5", 1)]
    + [("avg_pool_3x3", 3), ("sep_conv_5x5", 2), ("dil_conv_3x3", 1), ("sep_conv_3x3", 2)],
}
FIRST = {2: 0, 3: 2, 4: 5, 5: 9}
EARLIER = {"sep_conv_3x3": "sepconv3x3", "sep_conv_5x5": "sepconv5x5", "dil_conv_3x3": "dilconv3x3"} | {
    "dil_conv_5x5": "dilconv5x5", "max_pool_3x3": "maxpool", "avg_pool_3x3": "avgpool", "skip_connect": "skipconnect"
}  # fmt: skip


def places() -> list[tuple[str, int, int, str, int]]:
    return [
        (kind, node, k, *LINKS[kind][2 * (node - 2) + k]) for kind, node, k in itertools.product(LINKS, FIRST, (0, 1))
    ]


def nni() -> dict[str, Any]:
    found: dict[str, Any] = {"width": 16, "depth": 20}
    for kind, node, k, op, source in places():
        found |= {f"model/{kind}/op_{node}_{k}": op, f"model/{kind}/input_{node}_{k}": [source]}
    return found


def earlier_nni(by_name: bool) -> dict[str, Any]:
    found: dict[str, Any] = {f"{kind}_n{node}_p{s}": "maxpool" for kind in LINKS for node in FIRST for s in range(node)}
    for kind, node, _, op, source in places():
        found[f"{kind}_n{node}_p{source}"] = EARLIER[op]
        found.setdefault(f"{kind}_n{node}_switch", []).append(f"{kind}_n{node}_p{source}" if by_name else source)
    return found


def nas_bench_301() -> dict[str, Any]:
    name = "NetworkSelectorDatasetInfo:darts:"
    found: dict[str, Any] = {f"{name}edge_{kind}_{FIRST[node] + s}": op for kind, node, _, op, s in places()}
    return {**found, f"{name}inputs_node_normal_3": "0_2"}


EXPECTED = "Genotype(" + ", ".join(f"{k}={LINKS[k]}, {k}_concat=[2, 3, 4, 5]" for k in LINKS) + ")"


@pytest.mark.parametrize("choices", [nni(), earlier_nni(True), earlier_nni(False)], ids=["nni", "names", "numbers"])
def test_choices_of_nni(choices: dict[str, Any]) -> None:
    genotype = genotype_of_value(choices)
    assert genotype is not None and native(genotype) == EXPECTED


def test_configuration_of_nas_bench_301() -> None:
    """The links of a node are in the order of their sources."""
    genotype = genotype_of_value(nas_bench_301())
    assert genotype is not None
    for kind in LINKS:
        links = [(op, source) for op, source, _ in genotype.cells[kind].links]
        assert links == [pair for n in range(0, 8, 2) for pair in sorted(LINKS[kind][n : n + 2], key=lambda p: p[1])]


@pytest.mark.parametrize("choices", [nni(), earlier_nni(True), nas_bench_301()], ids=["nni", "earlier", "301"])
def test_choices_are_refused_if_one_is_missing(choices: dict[str, Any]) -> None:
    for key in [key for key in choices if "reduce" in key and "_p" not in key]:
        with pytest.raises(NasError, match=r"incomplete choices of a DARTS cell\. Give .*reduce"):
            genotype_of_value({k: v for k, v in choices.items() if k != key})
