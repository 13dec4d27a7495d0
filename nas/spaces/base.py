"""What a search space must offer."""

from __future__ import annotations

import inspect
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from torch import Tensor, nn

from nas.architecture.cell import Architecture, Cell, Genotype, encode, sample
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.utils.errors import NasError

Shape = tuple[int, int, int]
Probe = Literal["ntk", "regions"]
PROBE_SHAPE: Shape = (1, 3, 3)
"""What the thin network for linear regions takes."""


class Output(NamedTuple):
    """What a network computes: ``logits`` [B, classes], pooled ``features`` [B, width], and the
    ``auxiliary`` head's logits where it has one and is training."""

    logits: Tensor
    features: Tensor
    auxiliary: Tensor | None = None


class Network(nn.Module, ABC):
    """A supernet, or the network of one genotype: a function of (images, architecture)."""

    @abstractmethod
    def outputs(self, x: Tensor, arch: Architecture | None = None) -> Output:
        """Everything the network computes of images [B, C, H, W]; ``arch`` is None in a genotype's network."""

    def forward(self, x: Tensor, arch: Architecture | None = None) -> Tensor:
        """The logits [B, classes]."""
        return self.outputs(x, arch).logits


class Space(ABC):
    """A search space: cell types, the networks made of them, and a native notation.

    ``shape`` (C, H, W) and ``classes`` come from the data set.
    """

    name: str
    notation: str
    cells: Mapping[str, Cell]
    counts_bias = False
    """Whether the field's figures for this space add one multiply-add an output for a bias."""
    mixes_ops = True
    """Whether the supernet mixes candidates on edges, which an ``EdgeFactory`` builds."""

    members: int | None = None
    """How many genotypes the space has, where they are numbered."""

    def __init__(self, name: str, shape: Shape, classes: int) -> None:
        self.name = name
        self.shape: Shape = (shape[0], shape[1], shape[2])  # a configuration gives a list
        self.classes = classes

    @abstractmethod
    def supernet(self, edge: EdgeFactory = MixedEdge) -> Network:
        """The weight-sharing network over all candidates."""

    @abstractmethod
    def network(self, genotype: Genotype, *args: Any, **options: Any) -> Network:
        """The network of one genotype, at its published evaluation size unless options say otherwise."""

    def supernet_size(self) -> dict[str, Any]:
        """Options of ``network`` that give a genotype the size of the supernet."""
        return {}

    def probe(self, kind: Probe, genotype: Genotype | None = None) -> Network:
        """The thin network on which TE-NAS (Chen et al., ICLR 2021) measures: the supernet, or that of a genotype.

        "ntk" takes the data's images, "regions" crops [B, 1, 3, 3]. Raises NasError where the space has none.
        """
        raise NasError(f"space '{self.name}' has no thin networks: ntk and linear_regions are not defined on it")

    @abstractmethod
    def native(self, genotype: Genotype) -> str:
        """The genotype in the notation of the field."""

    @abstractmethod
    def parse(self, text: str) -> Genotype:
        """The genotype that ``text`` names. Raises NasError where it is not of this space."""

    def encode(self, genotype: Genotype, like: Tensor | None = None) -> Architecture:
        """One-hot weights under which the supernet computes the genotype."""
        return {name: encode(cell, genotype.cells[name], like) for name, cell in self.cells.items()}

    def sample(self, rng: random.Random) -> Genotype:
        """A genotype drawn uniformly."""
        return Genotype(self.notation, {name: sample(cell, rng) for name, cell in self.cells.items()})

    def member(self, index: int) -> Genotype:
        """The genotype with a number below ``members``. Raises NasError where they are not numbered."""
        raise NasError(f"the genotypes of space '{self.name}' are not numbered")

    def deepened(self, cells: Mapping[str, Cell], more: int) -> Space:
        """The same space with other tables of the same edges and ops, its supernet ``more`` cells deeper.

        Raises NasError where it cannot be.
        """
        raise NasError(f"the supernet of space '{self.name}' cannot be built of other tables or deeper")

    def network_options(self) -> list[str]:
        """The names of what ``network`` takes beside the genotype."""
        return [name for name in inspect.signature(self.network).parameters if name != "genotype"]

    def check(self, genotype: Genotype) -> None:
        """Raises NasError where the genotype cannot be a member of this space."""
        if genotype.space != self.notation or set(genotype.cells) != set(self.cells):
            raise NasError(
                f"a genotype of space '{genotype.space}' (cells {', '.join(genotype.cells)}) cannot be built in space "
                f"'{self.name}' (notation '{self.notation}', cells {', '.join(self.cells)})"
            )
        for name, cell in self.cells.items():
            self._check_cell(name, cell, genotype)

    def _check_cell(self, name: str, cell: Cell, genotype: Genotype) -> None:
        output = genotype.cells[name].output
        if not output or not set(output) <= set(cell.nodes):
            raise NasError(f"output {output} of the {name} cell: space '{self.name}' has nodes {cell.nodes} to form it")
        for op, source, target in genotype.cells[name].links:
            if (source, target) not in cell.edges:
                raise NasError(f"space '{self.name}' has no edge {source}->{target} in its {name} cell")
            if op not in cell.choices(cell.edges.index((source, target))):
                raise NasError(
                    f"op '{op}' is not a choice on edge {source}->{target} of the {name} cell of space '{self.name}': "
                    f"choose from {', '.join(cell.choices(cell.edges.index((source, target))))}"
                )
