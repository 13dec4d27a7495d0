"""What a batch asks of a network: the loss and the accuracy."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


class Classification:
    """Cross-entropy on class labels; ``label_smoothing`` is taken from the true class (training only)."""

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def loss(self, logits: Tensor, target: Tensor, training: bool = True) -> Tensor:
        """The mean loss of logits [B, classes] and labels [B]."""
        return F.cross_entropy(logits, target, label_smoothing=self.label_smoothing if training else 0.0)

    def accuracy(self, logits: Tensor, target: Tensor) -> Tensor:
        """The share of right answers, a scalar tensor in percent."""
        return 100 * (logits.detach().argmax(dim=-1) == target).float().mean()
