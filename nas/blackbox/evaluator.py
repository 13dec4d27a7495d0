"""Interface between search strategies and the evaluation of genotypes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from nas.spaces.resolve_genotype import GivenGenotype
from nas.utils.errors import NasError


class QueryResult(NamedTuple):
    """Value of a genotype, higher is better, and the simulated or measured seconds of its evaluation."""

    value: float
    seconds: float


class TiedResult(QueryResult):
    """Result with a number that orders genotypes of equal values, such as the top-5 accuracy; higher is better."""

    tie: float = 0.0

    @classmethod
    def of(cls, value: float, seconds: float, tie: float) -> TiedResult:
        """Return a result with a tie."""
        result = cls(value, seconds)
        result.tie = tie
        return result


def tie_of(result: QueryResult) -> float:
    """Return the tie of a result, 0 without one."""
    return result.tie if isinstance(result, TiedResult) else 0.0


class Evaluator(ABC):
    """Base class of evaluators. A value that is not finite ranks last.

    Attributes:
        label: description of the value, for summaries and plots.
        simulated: whether the seconds are stored in a table instead of measured.
        network_size: description of the network that is evaluated, empty if the genotype alone determines it.
        fidelities: training lengths in epochs among which a query selects; empty for a single fidelity.
    """

    label: str = "value"
    simulated = False
    network_size: str = ""
    fidelities: Sequence[int] = ()

    @abstractmethod
    def __call__(self, genotype: GivenGenotype, fidelity: int | None = None) -> QueryResult:
        """Evaluate a genotype of the space.

        Args:
            genotype: genotype to evaluate, or its string or index (``resolve_genotype``).
            fidelity: one of ``fidelities``; None if there are none.
        """

    def label_at(self, fidelity: int | None) -> str:
        """Return the description of values at one fidelity; None: at any fidelity, or at the only one."""
        return self.label

    def describe_value(self, fidelity: int | None) -> str:
        """Return the description of values at one fidelity, and of the network that they are measured on."""
        label = self.label_at(fidelity)
        return f"{label} of the network with {self.network_size}" if self.network_size else label

    def reset(self, seed: int) -> None:  # noqa: B027, most evaluators have no random state
        """Start a run: reseed random numbers that continue from query to query."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state of those random numbers in primitives, for a checkpoint."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Restore the result of ``state_dict``."""

    def reported_accuracies(self, genotype: GivenGenotype) -> dict[str, float]:
        """Return accuracies of a found genotype that are only reported, by name, such as those of a benchmark."""
        return {}

    def best_accuracies(self) -> dict[str, float]:
        """Return the maximum of each of the ``reported_accuracies`` over the space, if it is known."""
        return {}


def check_fidelities(fidelities: Sequence[int] | None) -> tuple[int, ...]:
    """Return the fidelities as a tuple; empty for None.

    Raises:
        NasError: if they are not increasing whole numbers of at least 1.
    """
    given = () if fidelities is None else fidelities
    whole = isinstance(given, Sequence) and all(type(epochs) is int and epochs >= 1 for epochs in given)
    if not whole or any(second <= first for first, second in zip(given, given[1:], strict=False)):
        raise NasError(f"evaluator.fidelities={given}: use increasing whole numbers of epochs, such as [1,3,9].")
    return tuple(given)
