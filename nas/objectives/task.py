"""Interface of a task: the loss and the metric of a data set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

from torch import Tensor
from torchmetrics import Metric

from nas.spaces.base import Output


class MetricInfo(NamedTuple):
    """Name and format of the metric of a task."""

    name: str
    """Name in logged metrics and summaries, such as ``accuracy`` in ``val/accuracy``."""
    unit: str
    """Unit, empty without one."""
    higher_is_better: bool
    examples: str
    """Name of the objects that the metric is a mean over, such as "images"."""

    def describe(self, rest: str) -> str:
        """Describe a value for which higher is better: ``validation accuracy REST (%)``, or a negated perplexity."""
        sign, unit = "" if self.higher_is_better else "negative ", f" ({self.unit})" if self.unit else ""
        return f"{sign}validation {self.name} {rest}{unit}"

    def format(self, value: float, digits: int = 1) -> str:
        """Format a value with its unit: ``71.3%`` or ``perplexity 60.2``."""
        return f"{value:.{digits}f}{self.unit}" if self.unit else f"{self.name} {value:.{digits}f}"


class Task(ABC):
    """Loss and metric of a batch of logits and targets. Searches and trainings depend only on this interface.

    A score is higher for a better network, and its mean over examples is the score of an epoch. ``value`` converts a
    score to the metric.
    """

    metric: ClassVar[MetricInfo]
    has_reward: ClassVar[bool] = False
    """Flag of a task whose score is in percent, so that REINFORCE can use it as a reward."""

    @abstractmethod
    def loss(self, logits: Tensor, target: Tensor, training: bool = True) -> Tensor:
        """Return the mean loss, a scalar. ``training`` applies regularizers of the labels."""

    @abstractmethod
    def score(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the mean score of a batch, a scalar without gradient."""

    def value(self, score: Tensor) -> Tensor:
        """Return the metric of a mean score."""
        return score

    def ranked(self, score: Tensor) -> float:
        """Return the metric of a mean score, negated if lower is better."""
        value = float(self.value(score))
        return value if self.metric.higher_is_better else -value

    def epoch_metric(self) -> Metric | None:
        """Return an accumulator of scores over an epoch, None if the metric is the mean of those of the batches.

        ``update(score, examples)`` adds a batch.
        """
        return None

    def penalty(self, outputs: Output) -> Tensor | None:
        """Return the regularizer of the outputs of a pass, which weight steps add to the loss; None for no term."""
        return None

    def lr_scale(self, x: Any) -> float:
        """Return the learning rate of a weight step on the input ``x``, relative to the optimizer's."""
        return 1.0
