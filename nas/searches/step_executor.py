"""Interface of another execution of training steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from torch import Tensor, nn
from torch.optim import Optimizer

from nas.architecture.cell import Architecture
from nas.gradients.base import Weights
from nas.spaces.base import Output


class StepExecutor(Protocol):
    """Alternative execution of the passes of training steps, for example together with other searches."""

    def forward(self, x: Any, arch: Architecture) -> Tensor:
        """Return the logits of the supernet."""
        ...

    def outputs(self, x: Any, arch: Architecture) -> Output:
        """Return the outputs of the supernet, at least the logits."""
        ...

    def call_with(self, weights: Weights, x: Any, arch: Architecture) -> Tensor:
        """Return the logits with ``weights`` in place of the supernet's parameters, without effect on its buffers."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Accumulate the gradients of a loss in all parameters. ``update`` uses the gradients of the weights."""
        ...

    def update(self, optimizer: Optimizer, clip_norm: float | None, others: Sequence[nn.Parameter]) -> bool:
        """Clip the gradients and take the step of the weights, and remove their gradients.

        Args:
            optimizer: optimizer of the weights.
            clip_norm: largest norm of the gradient; None: no clipping.
            others: parameters apart from the weights whose gradients count towards the norm.

        Returns:
            False if the search is to take the step itself, with the gradients of its weights.
        """
        ...

    def grad(self, loss: Tensor, inputs: Sequence[Tensor]) -> list[Tensor]:
        """Return the gradients of a loss with respect to ``inputs``."""
        ...
