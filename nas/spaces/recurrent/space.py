"""The recurrent space of DARTS (Liu et al., ICLR 2019): cells of language models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nas.architecture.cell import Cell, CellGenotype, Genotype
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.spaces.base import Network, Space
from nas.spaces.recurrent.cell import GenotypeCell
from nas.spaces.recurrent.network import Dropouts, LanguageModel
from nas.spaces.recurrent.notation import CELL, MAX_NODES, NODES, NOTATION, OPS, edges_of, native, parse
from nas.spaces.recurrent.search_cell import SearchCell
from nas.spaces.unsupported import require_default_discretization
from nas.utils.errors import NasError
from nas.utils.ranges import CHANNELS, DROP_PROBABILITY, NOT_NEGATIVE, Range, check_ranges


@check_ranges(hidden_size=CHANNELS, nodes=Range(1, MAX_NODES, whole=True))
@check_ranges(word_dropout=DROP_PROBABILITY, embedding_dropout=DROP_PROBABILITY, input_dropout=DROP_PROBABILITY)
@check_ranges(hidden_dropout=DROP_PROBABILITY, output_dropout=DROP_PROBABILITY)
@check_ranges(activation_penalty=NOT_NEGATIVE, temporal_penalty=NOT_NEGATIVE)
class Recurrent(Space):
    """The space of recurrent cells: each node applies one activation to one earlier node.

    Args:
        shape: shape of a token, ().
        classes: number of words.
        hidden_size: size of the supernet's embeddings and hidden states.
        nodes: nodes of a cell after node 0, which combines input and hidden state.
        word_dropout: dropout of whole words in the supernet.
        embedding_dropout: dropout of features of embedded words.
        input_dropout: dropout of inputs of the cell.
        hidden_dropout: dropout of hidden states and nodes that enter a linear map.
        output_dropout: dropout of features of the outputs.
        activation_penalty: factor of the mean square of the outputs after dropout, in weight steps of a search.
        temporal_penalty: factor of the mean squared difference of successive hidden states, in the same steps.
        name: of the space in messages and run directories.
    """

    inputs = "text"
    notation = NOTATION
    mixes_ops = False
    has_thin_networks = False

    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        hidden_size: int = 300,
        nodes: int = NODES,
        word_dropout: float = 0.0,
        embedding_dropout: float = 0.2,
        input_dropout: float = 0.75,
        hidden_dropout: float = 0.25,
        output_dropout: float = 0.75,
        activation_penalty: float = 0.0,
        temporal_penalty: float = 1e-3,
        name: str = "recurrent",
    ) -> None:
        super().__init__(name, shape, classes)
        self.cells = {CELL: Cell(edges_of(nodes), OPS, tuple(range(1, nodes + 1)), inputs=1)}
        self.hidden_size = hidden_size
        self.dropouts = Dropouts(word_dropout, embedding_dropout, input_dropout, hidden_dropout, output_dropout)
        self.task_options = {"activation_penalty": activation_penalty, "temporal_penalty": temporal_penalty}

    def supernet(self, edge: EdgeFactory = MixedEdge) -> Network:
        """Build the supernet. Raises NasError if ``edge`` is not a plain ``MixedEdge``."""
        self.check_edge(edge)
        dropouts = self.dropouts
        cell = SearchCell(self.hidden_size, self.cells[CELL], dropouts.input, dropouts.hidden)
        return LanguageModel(self.classes, self.hidden_size, cell, dropouts)

    @check_ranges(hidden_size=CHANNELS, word_dropout=DROP_PROBABILITY, embedding_dropout=DROP_PROBABILITY)
    @check_ranges(input_dropout=DROP_PROBABILITY, hidden_dropout=DROP_PROBABILITY, output_dropout=DROP_PROBABILITY)
    def network(
        self,
        genotype: Genotype,
        hidden_size: int = 850,
        word_dropout: float = 0.1,
        embedding_dropout: float = 0.2,
        input_dropout: float = 0.75,
        hidden_dropout: float = 0.25,
        output_dropout: float = 0.75,
    ) -> Network:
        """Build the evaluation network, by default that of Penn Treebank.

        The size for WikiText-2 is hidden_size=700 hidden_dropout=0.15. The cell has no batch norm.

        Args:
            genotype: the genotype.
            hidden_size: size of embeddings and hidden states.
            word_dropout, embedding_dropout, input_dropout, hidden_dropout, output_dropout: see ``Recurrent``.
        """
        self.check(genotype)
        dropouts = Dropouts(word_dropout, embedding_dropout, input_dropout, hidden_dropout, output_dropout)
        cell = GenotypeCell(hidden_size, genotype.cells[CELL], dropouts.input, dropouts.hidden)
        return LanguageModel(self.classes, hidden_size, cell, dropouts)

    def supernet_size(self) -> dict[str, Any]:
        return {"hidden_size": self.hidden_size}

    def check_discretization(self, rule: Callable[..., CellGenotype]) -> None:
        reason = f"each node of space={self.name} keeps one link, the strongest"
        require_default_discretization(rule, reason)

    def check(self, genotype: Genotype) -> None:
        super().check(genotype)
        targets = sorted(link.target for link in genotype.cells[CELL].links)
        if targets != list(self.cells[CELL].nodes):
            raise NasError(
                f"genotype: links into the nodes {targets}. Each of the nodes 1 to {len(self.cells[CELL].nodes)} of "
                f"space={self.name} needs one link."
            )

    def native(self, genotype: Genotype) -> str:
        return native(genotype)

    def parse(self, text: str) -> Genotype:
        return parse(text)
