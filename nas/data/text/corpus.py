"""Text files as sequences of word numbers."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nas.utils.errors import NasError, one_line

END_OF_LINE = "<eos>"
PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Corpus:
    """Training, validation and test text.

    Attributes:
        vocabulary: words by number.
        train, valid, test: word numbers, int64 [tokens].
    """

    vocabulary: tuple[str, ...]
    train: Tensor
    valid: Tensor
    test: Tensor


def read_corpus(files: Mapping[str, Path]) -> Corpus:
    """Read the text files of the parts ``train``, ``valid`` and ``test``.

    Words are separated by white space, and every line ends with ``<eos>``. Words are numbered in the order of their
    first occurrence in the training, validation and test text, as in quark0/darts and salesforce/awd-lstm-lm.

    Raises:
        NasError: if a file cannot be read, is not UTF-8 text, or has fewer than two tokens.
    """
    numbers: dict[str, int] = {}
    tokens = {part: _read(files[part], numbers) for part in PARTS}
    return Corpus(tuple(numbers), **tokens)


def _read(path: Path, numbers: dict[str, int]) -> Tensor:
    """Return the word numbers of a file, and add its new words to ``numbers``."""
    indices = array("q")
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                for word in (*line.split(), END_OF_LINE):
                    indices.append(numbers.setdefault(word, len(numbers)))
    except OSError as error:
        raise NasError(f"{path}: cannot be read ({one_line(error)}).") from error
    except UnicodeDecodeError as error:
        raise NasError(f"{path}: not UTF-8 text ({one_line(error)}). Use the published file.") from None
    if len(indices) < 2:
        raise NasError(f"{path}: {len(indices)} token(s), but a text needs at least two. Use the published file.")
    return torch.tensor(indices, dtype=torch.int64)


def batchify(tokens: Tensor, columns: int) -> Tensor:
    """Divide a text into ``columns`` consecutive parts of equal length, without the rest of the division.

    Args:
        tokens: int64 [tokens].
        columns: number of parts.

    Returns:
        int64 [tokens // columns, columns]; each column is a part, from top to bottom.
    """
    rows = len(tokens) // columns
    return tokens[: rows * columns].view(columns, rows).t().contiguous()
