"""Language model with a recurrent cell: the supernet of the search, and the network of a genotype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from nas.architecture.cell import Architecture
from nas.nn.chunk import Chunk
from nas.nn.hidden_states import HiddenStates
from nas.nn.variational_dropout import LockedDropout, WordEmbedding
from nas.spaces.base import Network, Output
from nas.spaces.recurrent.cell import RecurrentCell

INIT = 0.04
"""All weights are uniform within +-INIT, as in quark0/darts."""


class Dropouts(NamedTuple):
    """Probabilities of the dropouts of a language model, with the names of quark0/darts."""

    words: float = 0.0
    """Whole words of the embedding (dropoute)."""
    embedding: float = 0.0
    """Features of embedded words, at all time steps (dropouti)."""
    input: float = 0.0
    """Inputs of the cell's linear map (dropoutx)."""
    hidden: float = 0.0
    """Hidden states and nodes that enter a linear map (dropouth)."""
    output: float = 0.0
    """Features of the outputs, at all time steps (dropout)."""


class LanguageModel(Network):
    """Embedding, recurrent cell and decoder, a ``Chunk`` [T, B] -> logits [T*B, words] of the following tokens.

    The decoder shares its weight with the embedding. Hidden states are carried between the chunks of a stream
    (``HiddenStates``). A tensor of tokens [B] is a single time step that begins with zeros.

    Args:
        words: number of words.
        size: size n of embeddings and hidden states.
        cell: the recurrent cell.
        dropouts: probabilities; the cell has its own two.
    """

    def __init__(self, words: int, size: int, cell: RecurrentCell, dropouts: Dropouts) -> None:
        super().__init__()
        self.size = size
        self.embedding = WordEmbedding(words, size, dropouts.words)
        self.embedding_dropout = LockedDropout(dropouts.embedding)
        self.cell = cell
        self.output_dropout = LockedDropout(dropouts.output)
        self.decoder = nn.Linear(size, words)
        self.decoder.weight = self.embedding.weight
        self.states = HiddenStates()
        for name, parameter in self.named_parameters():
            with torch.no_grad():
                parameter.zero_() if name == "decoder.bias" else parameter.uniform_(-INIT, INIT)

    def outputs(self, x: Any, arch: Architecture | None = None) -> Output:
        inputs = self.pass_inputs(x)
        output = self.compute(inputs, arch)
        self.end_pass(x, inputs, output)
        return output

    def pass_inputs(self, x: Any) -> tuple[Tensor, ...]:
        """Return the tokens [T, B] and the hidden state [B, n] before them."""
        chunk = x if isinstance(x, Chunk) else Chunk(x.long()[None])
        return chunk.tokens, self.states.start(chunk, self.size, like=self.embedding.weight)

    def compute(self, inputs: Sequence[Tensor], arch: Architecture | None = None) -> Output:
        tokens, start = inputs
        hidden = self.cell(self.embedding_dropout(self.embedding(tokens)), start, arch)
        features = self.output_dropout(hidden)
        return Output(self.decoder(features.flatten(0, 1)), features, hidden=hidden)

    def end_pass(self, x: Any, inputs: Sequence[Tensor], output: Output) -> None:
        if isinstance(x, Chunk):
            assert output.hidden is not None
            self.states.keep(x, inputs[1], output.hidden[-1])

    def use_batch_statistics(self) -> None:
        """Set evaluation mode, in which nothing is dropped, with batch norm on the statistics of the batch."""
        self.eval()
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.train()
