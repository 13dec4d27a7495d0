"""What a genotype is worth and what it costs to know: the contract between strategies and what they ask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nas.architecture.cell import Genotype
from nas.utils.errors import NasError


class Evaluation(NamedTuple):
    """The ``value`` of a genotype, bigger is better, and the ``seconds`` it cost: simulated or measured ones."""

    value: float
    seconds: float


class Evaluator(ABC):
    """Anything that values genotypes. A value that is not finite ranks last."""

    unit: str = "value"
    """What the value is, for the axis of a picture."""
    simulated = False
    """Whether its seconds are those of a table rather than of a clock."""
    fidelities: Sequence[int] = ()
    """The lengths of training, in epochs, among which a query chooses; empty where there is one fidelity."""

    @abstractmethod
    def __call__(self, genotype: Genotype, fidelity: int | None = None) -> Evaluation:
        """Values a genotype of the space, at one of the ``fidelities``; None where there is one."""

    def unit_at(self, fidelity: int | None) -> str:
        """What a value at one of the ``fidelities`` is; None: at any of them, or where there is one."""
        return self.unit

    def begin(self, seed: int) -> None:  # noqa: B027, most draw nothing from query to query
        """Begins a run: draws that go on from query to query start anew from ``seed``."""

    def state(self) -> dict[str, Any]:
        """What those draws need to go on, in primitives."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """The inverse of ``state``."""

    def facts(self, genotype: Genotype) -> dict[str, float]:
        """What else is known of a found genotype, by name: the accuracies that a benchmark reports."""
        return {}

    def optimum(self) -> dict[str, float]:
        """The best of each of the ``facts`` over the whole space, where it is known."""
        return {}


def growing(fidelities: Sequence[int] | None) -> tuple[int, ...]:
    """Lengths of training as they were given, none for None.

    Raises:
        NasError: where they are no whole numbers, at least 1, each above the one before.
    """
    given = () if fidelities is None else fidelities
    whole = isinstance(given, Sequence) and all(type(epochs) is int and epochs >= 1 for epochs in given)
    if not whole or any(second <= first for first, second in zip(given, given[1:], strict=False)):
        raise NasError(
            f"evaluator.fidelities={given}: give the lengths of training in epochs, whole numbers, each above the one "
            "before, such as [1,3,9]"
        )
    return tuple(given)
