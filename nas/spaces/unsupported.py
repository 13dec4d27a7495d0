"""Refusals that several spaces share: of a supernet, of edges, and of discretization rules."""

from __future__ import annotations

from collections.abc import Callable

from nas.architecture.cell import CellGenotype
from nas.architecture.discretization import discretize, discretize_all_edges
from nas.nn.edges.mixed import EdgeFactory
from nas.nn.edges.partial_channels import PartialChannels
from nas.utils.errors import NasError


def no_supernet(space: str, other: str = "") -> NasError:
    """Return the error for a supernet of a space whose candidates share no weights.

    Args:
        space: name of the space.
        other: further advice, such as ", or space=OTHER".
    """
    return NasError(
        f"space={space}: candidates have no weights in common, so there is no supernet. Use a black-box method "
        f"such as method=regularized_evolution evaluator=benchmark{other}."
    )


def refuse_partial_channels(edge: EdgeFactory, space: str, parts: str) -> None:
    """Raise NasError for edges that bypass channels.

    Args:
        edge: factory of the edges of the supernet.
        space: name of the space.
        parts: noun for the parts that change the number of channels, in the plural.
    """
    factory = getattr(edge, "func", edge)
    if isinstance(factory, type) and issubclass(factory, PartialChannels):
        raise NasError(
            f"method.edge={factory.__name__}: {parts} of space={space} change the number of channels, so that "
            "none can bypass them. Use a method with whole channels, such as method=darts."
        )


def require_default_discretization(rule: Callable[..., CellGenotype], reason: str) -> None:
    """Raise NasError for a rule other than the default ones of a space, which keep a fixed number of links.

    Args:
        rule: discretization rule of a search.
        reason: clause that explains why the space supports no other rule.
    """
    given = getattr(rule, "func", rule)
    if given not in (discretize, discretize_all_edges):
        name = getattr(given, "__name__", given)
        raise NasError(f"method.discretization={name}: {reason}. Use method.discretization=null.")
