"""Architectures of NAS-Bench-201 in the notations of NASLib, NNI and AutoDL-Projects."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from nas.architecture.cell import Genotype
from nas.spaces.nas_bench_201.notation import EDGES, OPS, from_ops
from nas.utils.errors import NasError

NASLIB_EDGES = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
NASLIB_OPS = ("skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3")
"""Order of the edges and numbers of the ops in NASLib's ``op_indices``; both differ from ``EDGES`` and ``OPS``."""
OTHER_NAMES = {
    **{"conv_1x1": "nor_conv_1x1", "conv_3x3": "nor_conv_3x3"},
    **{"Identity": "skip_connect", "Zero": "none", "ReLUConvBN1x1": "nor_conv_1x1", "ReLUConvBN3x3": "nor_conv_3x3"},
    **{"AvgPool1x1": "avg_pool_3x3"},
}
"""Names of ops in NNI and NASLib -> names in this project."""
_EDGE_KEY = re.compile(r"(?:.*/)?\(?(\d)(?:_|, ?)(\d)\)?")


def is_op_indices(value: Any) -> bool:
    """Return whether a value is a sequence of six numbers of ops, 0 to 4."""
    return isinstance(value, list | tuple) and len(value) == len(EDGES) and all(type(i) is int for i in value)


def from_op_indices(indices: Sequence[int], text: str = "") -> Genotype:
    """Return the genotype of NASLib's ``op_indices``. Raises NasError for a number above 4."""
    wrong = [index for index in indices if not 0 <= index < len(NASLIB_OPS)]
    if wrong:
        raise NasError(
            f"genotype={text}: {len(EDGES)} numbers are the ops of a NAS-Bench-201 cell in the order of NASLib, "
            f"0 to {len(NASLIB_OPS) - 1}, found {wrong[0]}."
        )
    ops = {edge: NASLIB_OPS[index] for edge, index in zip(NASLIB_EDGES, indices, strict=True)}
    return from_ops([ops[edge] for edge in EDGES])


def from_edge_dict(ops: Mapping[Any, Any], text: str = "") -> Genotype | None:
    """Return the genotype of a dict of ops by edge; None if its keys are no edges.

    Keys are ``0_1`` as in NNI, with or without the label of the cell (``cell/0_1``), or pairs (0, 1). Nodes are
    numbered from 0, or from 1 as in NASLib.

    Raises:
        NasError: if an edge is missing or unknown, or an op is unknown.
    """
    edges = {key: _edge_of(key) for key in ops}
    if not edges or None in edges.values():
        return None
    for first in (0, 1):
        op_of_edge = {(s - first, t - first): _op(ops[key], text) for key, (s, t) in edges.items()}  # type: ignore[misc]
        if set(op_of_edge) == set(EDGES) and len(op_of_edge) == len(ops):
            return from_ops([op_of_edge[edge] for edge in EDGES])
    raise NasError(
        f"genotype={text}: a cell of NAS-Bench-201 has an op on each of the edges 0_1, 0_2, 1_2, 0_3, 1_3 and 2_3, "
        f"found {', '.join(map(str, ops))}."
    )


def from_nodes(nodes: Sequence[Any], text: str = "") -> Genotype | None:
    """Return the genotype of lists of pairs (op, source) by node, as in AutoDL-Projects; None for another value.

    Raises:
        NasError: if an edge is missing or an op is unknown.
    """
    if len(nodes) != 3 or not all(isinstance(node, list | tuple) for node in nodes):
        return None
    if not all(_is_pair(pair) for node in nodes for pair in node):
        return None
    ops = {(pair[1], target): _op(pair[0], text) for target, node in enumerate(nodes, 1) for pair in node}
    if set(ops) != set(EDGES) or sum(map(len, nodes)) != len(EDGES):
        raise NasError(f"genotype={text}: node k of a NAS-Bench-201 cell reads each node before it once.")
    return from_ops([ops[edge] for edge in EDGES])


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str) and type(pair[1]) is int


def _edge_of(key: Any) -> tuple[int, int] | None:
    if isinstance(key, tuple) and len(key) == 2 and all(type(node) is int for node in key):
        return key
    match = _EDGE_KEY.fullmatch(key) if isinstance(key, str) else None
    return None if match is None else (int(match[1]), int(match[2]))


def _op(op: Any, text: str) -> str:
    single = op[0] if isinstance(op, list | tuple) and len(op) == 1 else op
    name = OTHER_NAMES.get(str(single), str(single))
    if name not in OPS:
        raise NasError(f"genotype={text}: unknown op '{single}'. Choose from {', '.join(OPS)}.")
    return name
