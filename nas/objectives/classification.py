"""Loss and accuracy of image classification."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from nas.objectives.task import MetricInfo, Task
from nas.utils.ranges import PROBABILITY, check_ranges


@check_ranges(label_smoothing=PROBABILITY)
class Classification(Task):
    """Cross-entropy on class labels, with optional label smoothing during training."""

    metric = MetricInfo("accuracy", unit="%", higher_is_better=True, examples="images")
    has_reward = True

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.label_smoothing = label_smoothing

    def loss(self, logits: Tensor, target: Tensor, training: bool = True) -> Tensor:
        """Return the mean loss of logits [B, classes] and labels [B]."""
        return F.cross_entropy(logits, target, label_smoothing=self.label_smoothing if training else 0.0)

    def score(self, logits: Tensor, target: Tensor) -> Tensor:
        return self.accuracy(logits, target)

    def accuracy(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the top-1 accuracy in percent, a scalar tensor."""
        return 100 * (logits.detach().argmax(dim=-1) == target).float().mean()
