"""What a method asks of a space, in the key ``needs`` of its configuration."""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from nas.spaces.base import Space
from nas.utils.errors import NasError

MIXED_EDGE = "nas.nn.edges.mixed.MixedEdge"
PRUNING = "nas.searches.pruning.search.PruningSearch"
STAGED = ("nas.callbacks.schedules.drnas_progressive.DrnasProgressive", "nas.callbacks.schedules.p_darts.PDartsStages")


def refuse_unmet_needs(method: DictConfig, options: DictConfig, space: Space) -> None:
    """Raises NasError where a method means nothing on a space.

    ``needs.ops`` lists ops that must be candidates somewhere; any other key is an option of the space that must have
    this value.
    """
    needs: dict[str, Any] = dict(method.get("needs") or {})
    ops = {op for cell in space.cells.values() for op in cell.ops}
    for op in needs.pop("ops", []):
        if op not in ops:
            raise NasError(f"method={method.name} is about {op}, which space '{space.name}' does not have")
    for key, value in needs.items():
        if key not in options:
            raise NasError(
                f"method={method.name} needs space.{key}={value}, which space '{space.name}' does not have "
                f"(the cells it searches: {', '.join(space.cells)})"
            )
        if options[key] != value:
            raise NasError(f"method={method.name} needs space.{key}={value}, not {options[key]}")
    if not space.mixes_ops:
        _refuse_edges(method, space)


def _refuse_edges(method: DictConfig, space: Space) -> None:
    """Raises NasError for a method of edges or stages of its own, where the space has no edges that mix ops."""
    if method.get("_target_") == PRUNING:
        raise NasError(
            f"method={method.name} prunes the ops of edges by measuring thin networks of all that are left; what space "
            f"'{space.name}' searches are widths, it has no such networks"
        )
    edge = method.get("edge") or {}
    kind = str(edge.get("_target_", MIXED_EDGE))
    if kind != MIXED_EDGE or edge.get("add_inactive"):
        what = kind.rpartition(".")[2] if kind != MIXED_EDGE else "add_inactive"
        raise NasError(
            f"method={method.name} changes how an edge mixes its ops (method.edge: {what}); what space '{space.name}' "
            "searches are widths, it has no such edges"
        )
    for schedule in method.get("schedules") or []:
        kind = str(schedule.get("_target_"))
        if kind in STAGED:
            raise NasError(
                f"method={method.name} widens or deepens its supernet in stages ({kind.rpartition('.')[2]}), which "
                f"space '{space.name}' cannot"
            )
