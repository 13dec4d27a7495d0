"""Architectures of the DARTS space as dicts of choices: NNI, its earlier versions, and NAS-Bench-301."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from nas.architecture.cell import Genotype
from nas.spaces.darts.notation import NODES, from_fields
from nas.utils.errors import NasError

_NNI = re.compile(r"(?:.*/)?(normal|reduce)/(op|input)_(\d)_(\d)")
_EARLIER_NNI = re.compile(r"(normal|reduce)_n(\d)_(?:p(\d)|switch)")
_NAS_BENCH_301 = re.compile(r"(?:.*:)?(?:edge|inputs_node)_(normal|reduce)_(\d+)")
_KINDS = ("normal", "reduce")
_FIRST_EDGE = {node: sum(range(2, node)) for node in NODES}
"""Number of the first edge into each node."""

Choices = Mapping[str, Any]
Pairs = list[tuple[Any, Any]]


def from_choices(choices: Mapping[Any, Any], text: str = "") -> Genotype | None:
    """Return the genotype of a dict of choices; None if its keys are of another kind.

    Supported are the choices of NNI (``normal/op_2_0``, ``normal/input_2_0``), those of its earlier versions
    (``normal_n2_p0``, ``normal_n2_switch``), and configurations of NAS-Bench-301
    (``NetworkSelectorDatasetInfo:darts:edge_normal_0``). All four nodes form the output.

    Args:
        choices: values by key; keys of other kinds, such as the width of the network, are ignored.
        text: given text, for error messages.

    Raises:
        NasError: if a choice is missing or malformed.
    """
    named = {key: value for key, value in choices.items() if isinstance(key, str)}
    for pattern, read in READERS.items():
        if any(pattern.fullmatch(key) for key in named):
            cells = {kind: [pair for node in NODES for pair in read(named, kind, node, text)] for kind in _KINDS}
            return from_fields(cells, text)
    return None


def _from_nni(choices: Choices, kind: str, node: int, text: str) -> Pairs:
    places = {
        (m[2], int(m[4])): value
        for key, value in choices.items()
        if (m := _NNI.fullmatch(key)) and (m[1], m[3]) == (kind, str(node))
    }
    if set(places) != {(part, k) for part in ("op", "input") for k in (0, 1)}:
        raise _incomplete(text, f"{kind}/op_{node}_0, op_{node}_1, input_{node}_0 and input_{node}_1")
    return [(places["op", k], _single(places["input", k])) for k in (0, 1)]


def _from_earlier_nni(choices: Choices, kind: str, node: int, text: str) -> Pairs:
    chosen = choices.get(f"{kind}_n{node}_switch")
    inputs = [_node_of(entry) for entry in chosen] if isinstance(chosen, list | tuple) else []
    ops = [choices.get(f"{kind}_n{node}_p{source}") for source in inputs]
    if len(inputs) != 2 or None in inputs or None in ops:
        raise _incomplete(text, f"{kind}_n{node}_switch with two inputs, and their ops {kind}_n{node}_p0, ...")
    return [(_single(op), source) for op, source in zip(ops, inputs, strict=True)]


def _from_nas_bench_301(choices: Choices, kind: str, node: int, text: str) -> Pairs:
    ops = {
        int(match[1]): value
        for key, value in choices.items()
        if (match := re.fullmatch(rf"(?:.*:)?edge_{kind}_(\d+)", key))
    }
    first = _FIRST_EDGE[node]
    pairs = [(ops[first + source], source) for source in range(node) if first + source in ops]
    if len(pairs) != 2:
        raise _incomplete(text, f"two of edge_{kind}_{first} to edge_{kind}_{first + node - 1}")
    return pairs


READERS: Mapping[re.Pattern[str], Callable[[Choices, str, int, str], Pairs]] = {
    _NNI: _from_nni,
    _EARLIER_NNI: _from_earlier_nni,
    _NAS_BENCH_301: _from_nas_bench_301,
}
"""Reader of the two links of a node, by the pattern of the keys."""


def _single(value: Any) -> Any:
    """Return the element of a list of one, else the value itself."""
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 else value


def _node_of(entry: Any) -> Any:
    """Return the source node that a switch names by number or by the key of its op."""
    match = re.fullmatch(r".*_p(\d)", entry) if isinstance(entry, str) else None
    return int(match[1]) if match else entry if type(entry) is int else None


def _incomplete(text: str, needed: str) -> NasError:
    return NasError(f"genotype={text}: incomplete choices of a DARTS cell. Give {needed}.")
