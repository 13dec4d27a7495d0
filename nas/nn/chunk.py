"""A chunk of text: the input of one forward pass of a language model."""

from __future__ import annotations

from typing import Literal, NamedTuple

from torch import Tensor

Stream = Literal["train", "arch", "val", "test"]
"""Position of a reader in the text: weight steps, architecture steps, validation or test."""


class Chunk(NamedTuple):
    """Successive tokens of B columns of text. A batch is ``(chunk, target)``; target is int64 [T*B], time-major.

    A network carries a hidden state from each chunk of a stream to the next one (``HiddenStates``). Passes over the
    chunk of the same number begin with the same hidden state.
    """

    tokens: Tensor
    """int64 [T, B]."""
    stream: Stream = "train"
    number: int = 0
    """Number of the chunk in its epoch, or in its pass over the text. Chunk 0 begins with zeros."""
    lr_scale: float = 1.0
    """Learning rate of a step on this chunk, relative to that of a chunk of full length."""
