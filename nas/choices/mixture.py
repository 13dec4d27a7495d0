"""Weighted sums of the outputs of options."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nas.choices.choice_module import ChoiceModule


class Mixture:
    """The weighted sum of the outputs of a choice's options, which must have one shape.

    Args:
        choice: the choice, for messages.
    """

    def __init__(self, choice: ChoiceModule) -> None:
        self.choice = choice
        self.total: Tensor | None = None
        self._first = ""

    def add(self, option: str, weight: Tensor, output: Any) -> None:
        """Add ``weight`` times an output. Raises NasError if it is no tensor or has another shape than earlier ones."""
        if not isinstance(output, Tensor):
            raise self.choice.error(
                f"has the option '{option}', which returns {type(output).__name__}. Return a tensor."
            )
        if self.total is None:
            self.total, self._first = weight * output, option
        elif output.shape != self.total.shape:
            raise self.choice.error(
                f"has options with outputs of different shapes: '{self._first}' {_shape(self.total)}, '{option}' "
                f"{_shape(output)} (batch first). Give them one shape."
            )
        else:
            self.total = self.total + weight * output

    def add_scalar(self, weight: Tensor | None, like: Tensor) -> None:
        """Add a scalar to every element; without earlier terms, to zeros of the shape of ``like``."""
        if weight is not None:
            self.total = (torch.zeros_like(like) if self.total is None else self.total) + weight


def _shape(tensor: Tensor) -> str:
    return str(list(tensor.shape))
