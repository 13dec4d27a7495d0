"""Dropout whose mask is shared by all time steps of a chunk (Gal and Ghahramani, NeurIPS 2016)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.utils.ranges import DROP_PROBABILITY, check_ranges


@check_ranges(probability=DROP_PROBABILITY)
class LockedDropout(nn.Module):
    """Dropout of features with one mask per column of text, the same at all time steps.

    Args:
        probability: probability of a zero in the mask.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def mask(self, like: Tensor) -> Tensor | None:
        """Sample a mask of the shape of ``like`` [B, n], scaled by 1 / (1 - p); None in evaluation and for p = 0."""
        if not self.training or not self.probability:
            return None
        return F.dropout(torch.ones_like(like, requires_grad=False), self.probability)

    def forward(self, x: Tensor) -> Tensor:
        """Drop features of [T, B, n]."""
        mask = self.mask(x[0])
        return x if mask is None else x * mask


@check_ranges(dropout=DROP_PROBABILITY)
class WordEmbedding(nn.Embedding):
    """An embedding with dropout of whole words: all occurrences of a dropped word are zero.

    Args:
        words: number of words.
        width: size of an embedding.
        dropout: probability that a word is dropped in a pass.
    """

    def __init__(self, words: int, width: int, dropout: float = 0.0) -> None:
        super().__init__(words, width)
        self.dropout = dropout

    def forward(self, tokens: Tensor) -> Tensor:
        """Embed tokens, int64 [T, B] -> [T, B, width]."""
        embedded = super().forward(tokens)
        if not self.training or not self.dropout:
            return embedded
        kept = F.dropout(embedded.new_ones(self.num_embeddings, 1), self.dropout)
        return embedded * F.embedding(tokens, kept)
