"""Loss, perplexity and activation regularizers of language models."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from nas.nn.chunk import Chunk
from nas.objectives.task import MetricInfo, Task
from nas.spaces.base import Output
from nas.utils.ranges import NOT_NEGATIVE, check_ranges


@check_ranges(activation_penalty=NOT_NEGATIVE, temporal_penalty=NOT_NEGATIVE)
class LanguageModeling(Task):
    """Negative log-likelihood of the next token, in nats, and its exponential, the perplexity.

    The score of a batch is the mean log-likelihood. The regularizers of a weight step are those of Merity et al.
    (2017): activation regularization on the outputs after dropout, and temporal activation regularization on the
    hidden states before it.

    Args:
        activation_penalty: factor of the mean square of the outputs after dropout.
        temporal_penalty: factor of the mean squared difference of successive hidden states; 1e-3 in DARTS.
    """

    metric = MetricInfo("perplexity", unit="", higher_is_better=False, examples="tokens")

    def __init__(self, activation_penalty: float = 0.0, temporal_penalty: float = 0.0) -> None:
        self.activation_penalty = activation_penalty
        self.temporal_penalty = temporal_penalty

    def loss(self, logits: Tensor, target: Tensor, training: bool = True) -> Tensor:
        """Return the mean loss of logits [T*B, words] and tokens [T*B], without the regularizers."""
        return F.cross_entropy(logits, target)

    def score(self, logits: Tensor, target: Tensor) -> Tensor:
        return -self.loss(logits.detach(), target)

    def value(self, score: Tensor) -> Tensor:
        """Return the perplexity of a mean log-likelihood."""
        return torch.exp(-score)

    def epoch_metric(self) -> Metric:
        return Perplexity()

    def penalty(self, outputs: Output) -> Tensor | None:
        """Return the regularizer of a pass over at least two time steps.

        It is None if both factors are zero, or the network has no hidden states.
        """
        if outputs.hidden is None or not (self.activation_penalty or self.temporal_penalty):
            return None
        states, total = outputs.hidden, outputs.features.new_zeros(())
        if self.activation_penalty:
            total = total + self.activation_penalty * outputs.features.square().mean()
        if self.temporal_penalty and len(states) > 1:
            total = total + self.temporal_penalty * (states[1:] - states[:-1]).square().mean()
        return total

    def lr_scale(self, x: Chunk) -> float:
        return x.lr_scale


class Perplexity(Metric):
    """Perplexity of all tokens of an epoch, from the mean log-likelihood of each batch."""

    total: Tensor
    tokens: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("tokens", torch.zeros(()), dist_reduce_fx="sum")

    def update(self, score: Tensor, tokens: int) -> None:
        """Add a batch with the mean log-likelihood ``score`` of ``tokens`` tokens."""
        self.total += score.detach() * tokens
        self.tokens += tokens

    def compute(self) -> Tensor:
        """Return the perplexity."""
        return torch.exp(-self.total / self.tokens)
