"""Genotypes from Python and JSON values: the notations of other programs, distinguished by their form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nas.architecture.cell import Genotype
from nas.spaces.darts import notation as darts
from nas.spaces.darts.edge_dicts import from_choices
from nas.spaces.nas_bench_201 import notation as nas_bench_201
from nas.spaces.nas_bench_201.other_notations import from_edge_dict, from_nodes, from_op_indices, is_op_indices
from nas.spaces.nats_size import notation as nats_size
from nas.spaces.recurrent import notation as recurrent
from nas.utils.errors import NasError
from nas.utils.literals import Call

WRAPPERS = ("genotype", "arch", "arch_str", "architecture")
"""Keys of an architecture in a dict of results."""


def genotype_of_value(value: Any, text: str = "") -> Genotype | None:
    """Return the genotype of a value; None if it has the form of no notation.

    Args:
        value: dict, list, tuple or ``Call``.
        text: given text, for error messages.

    Raises:
        NasError: if the value has the form of a notation and is malformed, or of several notations.
    """
    if isinstance(value, Call):
        if value.name.rpartition(".")[2] != "Genotype":
            return None
        notation = recurrent if "recurrent" in value.keywords else darts
        return notation.from_fields(notation.fields_of(value), text)
    if isinstance(value, Mapping):
        return _of_dict(value, text)
    if isinstance(value, list | tuple):
        return _of_sequence(value, text)
    return None


def _of_dict(value: Mapping[Any, Any], text: str) -> Genotype | None:
    if "normal" in value or "recurrent" in value:
        notation = darts if "normal" in value else recurrent
        return notation.from_fields(value, text)
    genotype = from_choices(value, text) or from_edge_dict(value, text)
    wrapped = [value[key] for key in WRAPPERS if isinstance(value.get(key), dict | list | tuple)]
    if genotype is None and len(wrapped) == 1:
        return genotype_of_value(wrapped[0], text)
    return genotype


def _of_sequence(value: Sequence[Any], text: str) -> Genotype | None:
    if is_op_indices(value):
        return from_op_indices(value, text)
    if len(value) == nats_size.LAYERS and all(type(width) is int and width >= 8 for width in value):
        return nats_size.from_widths(value)
    if len(value) == len(nas_bench_201.EDGES) and all(isinstance(op, str) for op in value):
        raise NasError(
            f"genotype={text}: {len(value)} ops, whose edges are not known: programs order them differently. Write "
            "the architecture as |op~0|+|op~0|op~1|+|op~0|op~1|op~2|, or with edges as {'0_1': op, ...}."
        )
    if len(value) == 2 and all(map(_is_numbered_cell, value)):
        raise NasError(
            f"genotype={text}: a cell with ops by number, which programs number differently. Write ops by name, "
            "Genotype(normal=[('op', source), ...], reduce=[...])."
        )
    if len(value) in (2, 4) and all(map(_is_cell, value[:: len(value) // 2])):
        names = darts.FIELDS if len(value) == 4 else ("normal", "reduce")
        return darts.from_fields(dict(zip(names, value, strict=True)), text)
    return from_nodes(value, text)


def _is_numbered_cell(value: Any) -> bool:
    """Return whether a value is a list of pairs of numbers, as in the compact form of NASLib and BANANAS."""
    return (
        isinstance(value, list | tuple)
        and len(value) >= 8
        and all(isinstance(p, list | tuple) and len(p) == 2 and all(type(i) is int for i in p) for p in value)
    )


def _is_cell(value: Any) -> bool:
    """Return whether a value is a list of links, flat or by node, as in ``Genotype.normal``."""
    if not isinstance(value, list | tuple) or len(value) < 4:
        return False
    first = value[0]
    if isinstance(first, list | tuple) and first and isinstance(first[0], list | tuple):
        first = first[0]
    return isinstance(first, list | tuple) and len(first) >= 2 and isinstance(first[0], str)
