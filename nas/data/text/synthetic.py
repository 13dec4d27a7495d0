"""Synthetic text from a Markov chain, for tests and first runs."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Generator, Tensor

from nas.data.text.base import TextData, TextOptions
from nas.data.text.corpus import Corpus
from nas.utils.ranges import Range, check_ranges

WORDS = Range(4, 10**5, whole=True)
TOKENS = Range(2, 10**8, whole=True)
PROBABILITIES = (0.5, 0.25, 0.15, 0.1)
"""Probabilities of the successors of a word. Their entropy is 1.208 nats, so the best perplexity is 3.35."""


@check_ranges(words=WORDS, size=TOKENS, eval_size=TOKENS)
class SyntheticText(TextData):
    """Text of a Markov chain: each word has four possible successors with fixed probabilities.

    A language model that has learned the successors reaches a perplexity of 3.35. The text is a function of ``seed``.

    Args:
        words: size of the vocabulary.
        size: training tokens.
        eval_size: tokens of the validation text and of the test text.
        options: see ``TextData``.
    """

    name = "text_synthetic"

    def __init__(
        self, *, words: int = 50, size: int = 20_000, eval_size: int = 2_000, **options: Unpack[TextOptions]
    ) -> None:
        super().__init__(**options)
        self.words, self.size, self.eval_size = words, size, eval_size

    def load(self) -> Corpus:
        """Sample the successors of each word, then the three texts."""
        generator = Generator().manual_seed(self.seed)
        successors = torch.stack([torch.randperm(self.words, generator=generator)[:4] for _ in range(self.words)])
        sizes = (self.size, self.eval_size, self.eval_size)
        return Corpus(
            tuple(f"word{number}" for number in range(self.words)),
            *(self._sample(successors, size, generator) for size in sizes),
        )

    def _sample(self, successors: Tensor, size: int, generator: Generator) -> Tensor:
        """Return a text, int64 [size], that begins with word 0."""
        choices = torch.multinomial(torch.tensor(PROBABILITIES), size, replacement=True, generator=generator).tolist()
        table, word, words = successors.tolist(), 0, []
        for choice in choices:
            words.append(word)
            word = table[word][choice]
        return torch.tensor(words, dtype=torch.int64)
