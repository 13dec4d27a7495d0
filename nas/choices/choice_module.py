"""Base class of the choices inside a user-defined model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from nas.architecture.cell import Cell, Link
from nas.nn.edges.mixed import EdgeRow
from nas.utils.errors import NasError

ModuleCost = Callable[[nn.Module], Tensor]
"""Maps a module to its parameters, multiply-adds and memory access [3]."""


class ChoiceModule(nn.Module, ABC):
    """A module with several options, among which a genotype chooses.

    A supernet sets ``rows``, the row of each edge of ``cell()``, before it executes the model, and ``forward`` mixes
    the options. In the network of a genotype the module is replaced by ``chosen(links)``.

    Args:
        name: name of the decision. Choices of one name share a decision. None: the position of the module in the model,
            as ``layers_0_conv`` for ``model.layers[0].conv``.
    """

    def __init__(self, name: str | None) -> None:
        super().__init__()
        self.name = name
        self.decision = name or ""
        """Name of the decision; the space sets that of a choice without a name."""
        self.owner = ""
        """Description of the user's model, for messages."""
        self.add_inactive = False
        """Add the weights of options that are not executed as scalars (``MixedEdge``)."""
        self.rows: Sequence[EdgeRow] | None = None

    @abstractmethod
    def cell(self) -> Cell:
        """Return the table of the decision."""

    @abstractmethod
    def chosen(self, links: Sequence[Link]) -> nn.Module:
        """Return the module that replaces this one in the network of a genotype. It may contain further choices."""

    @abstractmethod
    def costs(self, cost: ModuleCost) -> Tensor:
        """Return parameters, multiply-adds and memory access of each option, [3, edges, ops]."""

    def weights(self) -> Sequence[EdgeRow]:
        """Return the rows of the current pass. Raises NasError outside of a supernet."""
        if self.rows is None:
            raise self.error(
                "is executed outside of a supernet. Build one with nas.choices.space(model, shape, classes).supernet()."
            )
        return self.rows

    def error(self, problem: str) -> NasError:
        """Return the error for a problem of this choice; it names the user's model."""
        where = f"{self.owner}: " if self.owner else ""
        name = f" '{self.decision}'" if self.decision else ""
        return NasError(f"{where}{type(self).__name__}{name} {problem}")


def single_row(options: Sequence[str], keeps_none: bool = False) -> Cell:
    """Return the table of a decision that chooses one of its options: a single edge."""
    return Cell(((0, 1),), tuple(options), (1,), keeps_none=keeps_none)
