"""Interface of a search space and of its networks."""

from __future__ import annotations

import inspect
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.architecture.cell import (
    Architecture,
    Cell,
    CellGenotype,
    Genotype,
    Link,
    one_hot_weights,
    output_reads_input,
    sample_cell,
)
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.nn.macs import count_operations, count_parameters
from nas.spaces import generic_notation
from nas.spaces.check_inputs import checked_classes, checked_shape, require_genotype
from nas.utils.errors import NasError

Shape = tuple[int, int, int]
Inputs = Literal["images", "text"]
Probe = Literal["ntk", "regions"]
SIZES = ("channels", "layers", "cells_per_stage", "hidden_size")
"""Options of ``Space.network`` that determine the size of a network."""
PROBE_SHAPE: Shape = (1, 3, 3)
"""(C, H, W) of the crops for the "regions" probe."""


class Output(NamedTuple):
    """Outputs of a network.

    ``logits`` is [B, classes] and ``features`` the pooled features [B, width]. ``auxiliary`` holds the logits
    [B, classes] of the auxiliary head in training, None in a network without one. In a language model, ``logits`` is
    [T*B, words], ``features`` the outputs [T, B, n] after dropout, and ``hidden`` the hidden states [T, B, n].
    """

    logits: Tensor
    features: Tensor
    auxiliary: Tensor | None = None
    hidden: Tensor | None = None


class Network(nn.Module, ABC):
    """A supernet, or the network of one genotype: a function of images and an architecture."""

    @abstractmethod
    def outputs(self, x: Any, arch: Architecture | None = None) -> Output:
        """Compute all outputs for images [B, C, H, W], or for a ``Chunk`` of text.

        ``arch`` is None in the network of a genotype.
        """

    def pass_inputs(self, x: Any) -> tuple[Tensor, ...]:
        """Return the tensors that ``compute`` needs for ``x``. A network with a hidden state adds it."""
        return (x,)

    def compute(self, inputs: Sequence[Tensor], arch: Architecture | None = None) -> Output:
        """Compute all outputs, a function of ``pass_inputs`` alone."""
        return self.outputs(inputs[0], arch)

    def end_pass(self, x: Any, inputs: Sequence[Tensor], output: Output) -> None:  # noqa: B027, most have no state
        """Store what the next pass needs, such as a hidden state."""

    def cell_types(self) -> dict[int, str]:
        """Return the type of each searched cell by its position, empty in a network without cells."""
        return {}

    def forward(self, x: Any, arch: Architecture | None = None) -> Tensor:
        """Return the logits [B, classes], or [T*B, words] of a language model."""
        return self.outputs(x, arch).logits

    def call_with(self, weights: Mapping[str, Tensor], x: Any, arch: Architecture | None = None) -> Tensor:
        """Return the logits with ``weights`` in place of the parameters of these names, without effect on buffers."""
        buffers = {name: buffer.clone() for name, buffer in self.named_buffers()}
        logits: Tensor = functional_call(self, {**weights, **buffers}, (x, arch))
        return logits

    def use_batch_statistics(self) -> None:
        """Set the mode for the evaluation of a genotype in a supernet: statistics of the batch, without dropout."""
        self.train()


class Space(ABC):
    """A search space: its cell types, the networks built from them, and a native notation for genotypes.

    The data set determines ``shape`` and ``classes``: (C, H, W) and the number of classes of images, or () and the
    number of words of a text. A custom space sets ``notation`` and ``cells``, and implements ``supernet`` and
    ``network`` (docs/extending/space.md).
    """

    inputs: ClassVar[Inputs] = "images"
    """The kind of data that the networks take. It determines the task of a search (``task_of``)."""
    task_options: Mapping[str, float] = {}
    """Options of the task."""
    name: str
    notation: str
    """Name of the space in genotypes: letters, digits and ``_``, different from those of other spaces."""
    cells: Mapping[str, Cell]

    counts_bias = False
    """True if published multiply-adds for this space include one per output for a bias."""
    mixes_ops = True
    """True if edges of the supernet, built by an ``EdgeFactory``, mix candidate ops."""
    has_thin_networks = True
    """True if ``probe`` builds networks."""
    has_macs_table = False
    """True if ``macs`` reads a table, so that it is fast enough for thousands of genotypes."""
    size: int | None = None
    """Number of genotypes of an indexed space, else None."""

    def __init__(self, name: str, shape: Sequence[int], classes: int) -> None:
        self.name = name
        self.shape: Any = checked_shape(shape)  # a configuration contains a list
        self.classes = checked_classes(classes)

    @abstractmethod
    def supernet(self, edge: EdgeFactory = MixedEdge) -> Network:
        """Build the weight-sharing network over all candidates."""

    @abstractmethod
    def network(self, genotype: Genotype, *args: Any, **options: Any) -> Network:
        """Build the network of a genotype, by default at its published evaluation size."""

    def macs(self, genotype: Genotype) -> int:
        """Return the multiply-adds of convolutions and linear layers of the network of a genotype for one image.

        The network has the size of the supernet, or the published size if there is none.
        """
        with torch.device("meta"):
            network = self.network(genotype, **self.supernet_size())
        return count_operations(network, self.shape, "macs")

    def count(self, genotype: Genotype, *args: Any, **options: Any) -> tuple[int, int]:
        """Return the parameters, without an auxiliary head, and the multiply-adds of ``network`` for one input.

        Multiply-adds follow the rule of the space, with biases if ``counts_bias`` is set.
        """
        with torch.device("meta"):
            network = self.network(genotype, *args, **options)
        rule = "macs_bias" if self.counts_bias else "macs"
        return count_parameters(network), count_operations(network, self.shape, rule)

    def cost_key(self, cell: str, link: Link) -> Hashable:
        """Return a key that links of a cell type share if they cost the same; by default each link has its own."""
        return link

    def supernet_size(self) -> dict[str, Any]:
        """Return the options of ``network`` that give a genotype the size of the supernet."""
        return {}

    def describe_size(self, **options: Any) -> str:
        """Describe the size of ``network`` with some options, ``channels=16 cells_per_stage=5`` for example.

        Empty if the genotype alone determines the size.
        """
        parameters = inspect.signature(self.network).parameters
        sizes = {name: options.get(name, parameters[name].default) for name in SIZES if name in parameters}
        return " ".join(f"{name}={value}" for name, value in sizes.items())

    def check_edge(self, edge: EdgeFactory) -> None:
        """Raise NasError if the supernet cannot use ``edge`` because it has no edges of its own kind."""
        if self.mixes_ops:
            return
        factory, options = getattr(edge, "func", edge), getattr(edge, "keywords", {})
        given = getattr(factory, "__name__", str(factory))
        if factory is MixedEdge and options.get("add_inactive"):
            given = "MixedEdge(add_inactive=true)"
        elif factory is MixedEdge:
            return
        raise NasError(
            f"method.edge={given}: space={self.name} builds no edges of another kind. Use a method with plain edges, "
            "such as method=darts, or another space."
        )

    def check_discretization(self, rule: Callable[..., CellGenotype]) -> None:  # noqa: B027, most spaces accept all
        """Raise NasError if genotypes that a discretization rule derives are not members of this space."""

    def probe(self, kind: Probe, genotype: Genotype | None = None) -> Network:
        """Build the thin network on which TE-NAS (Chen et al., ICLR 2021) measures the supernet or a genotype.

        The "ntk" probe takes images of the data set, the "regions" probe crops [B, 1, 3, 3]. Raises NasError if the
        space has no thin networks.
        """
        raise NasError(
            f"space={self.name}: the proxies ntk and linear_regions are not defined on this space. "
            "Use another proxy, or space=nas_bench_201 or darts."
        )

    def child_weights(self, genotype: Genotype, state: Mapping[str, Tensor]) -> Mapping[str, Tensor] | None:
        """Return the weights of a genotype in the state_dict of a supernet, under the names of its network.

        None if the supernets of this space share no weights with its networks. Raises NasError if the weights are of
        another supernet.
        """
        return None

    @classmethod
    def of_genotype(cls, genotype: Genotype, shape: Shape, classes: int) -> Space:
        """Build the space that contains a genotype, for its training and evaluation."""
        return cls(shape=shape, classes=classes)  # type: ignore[call-arg]

    def native(self, genotype: Genotype) -> str:
        """Return the genotype as a string: in the notation of its publication, or a generic one."""
        return generic_notation.native(genotype)

    def parse(self, text: str) -> Genotype:
        """Parse a native string. Raises NasError if it is not a genotype of this space."""
        return generic_notation.parse(text)

    def encode(self, genotype: Genotype, like: Tensor | None = None) -> Architecture:
        """Return the one-hot weights under which the supernet computes the genotype."""
        return {name: one_hot_weights(cell, genotype.cells[name], like) for name, cell in self.cells.items()}

    def sample(self, rng: random.Random) -> Genotype:
        """Sample a genotype uniformly: edges and ops at random, until the space admits the genotype."""
        while True:
            genotype = Genotype(self.notation, {name: sample_cell(cell, rng) for name, cell in self.cells.items()})
            if self.admits(genotype):
                return genotype

    def from_index(self, index: int) -> Genotype:
        """Return the genotype at ``index``, 0 to ``size`` - 1. Raises NasError if the space is not indexed."""
        raise NasError(f"space={self.name}: its genotypes have no indices. Use space=nas_bench_201 or nats_size.")

    def deepen(self, cells: Mapping[str, Cell], extra: int) -> Space:
        """Return the space with other ``cells`` of the same edges and ops, its supernet ``extra`` cells deeper.

        Searches in stages need it. Raises NasError if the space does not support it.
        """
        raise NasError(
            f"space={self.name}: its supernet cannot be deepened or restricted in stages. Use space=darts or "
            "nas_bench_201."
        )

    def reads_input(self, genotype: Genotype) -> bool:
        """Return whether the outputs of the network depend on its input: a path without ``none`` in each cell."""
        return all(output_reads_input(cell) for cell in genotype.cells.values())

    def network_options(self) -> list[str]:
        """Return the names of the options of ``network``."""
        return [name for name in inspect.signature(self.network).parameters if name != "genotype"]

    def admits(self, genotype: Genotype) -> bool:
        """Return whether a genotype of the links in ``cells`` fulfills further limits of the space, if there are any.

        Black-box strategies propose only genotypes that do.
        """
        return True

    def check(self, genotype: Genotype) -> None:
        """Raise NasError if the genotype is not a member of this space."""
        require_genotype(genotype)
        if genotype.space != self.notation or set(genotype.cells) != set(self.cells):
            raise NasError(
                f"genotype of space '{genotype.space}' (cells {', '.join(genotype.cells)}) does not fit "
                f"space={self.name} (notation '{self.notation}', cells {', '.join(self.cells)})."
            )
        for name, cell in self.cells.items():
            self._check_cell(name, cell, genotype)

    def _check_cell(self, name: str, cell: Cell, genotype: Genotype) -> None:
        output = genotype.cells[name].output
        if not output or not set(output) <= set(cell.nodes):
            raise NasError(
                f"genotype: the output of the {name} cell is {output}. In space={self.name} it must list some of the "
                f"nodes {cell.nodes}."
            )
        for op, source, target in genotype.cells[name].links:
            if (source, target) not in cell.edges:
                raise NasError(f"genotype: space={self.name} has no edge {source}->{target} in its {name} cell.")
            choices = cell.choices(cell.edges.index((source, target)))
            if op not in choices:
                raise NasError(
                    f"genotype: op '{op}' is not a choice on edge {source}->{target} of the {name} cell of "
                    f"space={self.name}. Choose from {', '.join(choices)}."
                )
