"""REINFORCE (Williams, 1992) with a factorized policy, as in NAS-Bench-201."""

from __future__ import annotations

import math
import random

import torch
from torch import Tensor

from nas.architecture.cell import Genotype
from nas.blackbox.encoding import CategoricalEncoding
from nas.blackbox.strategies.base import Strategy
from nas.spaces.base import Space
from nas.spaces.limits import MAX_TRIES
from nas.utils.ranges import DROP_PROBABILITY, NOT_NEGATIVE, POSITIVE, check_ranges


@check_ranges(lr=POSITIVE, momentum=DROP_PROBABILITY, init_std=NOT_NEGATIVE)
class ReinforceStrategy(Strategy):
    """Independent categorical distributions, one per decision, trained by Adam along the score-function gradient.

    The loss of a genotype is - log p (value - baseline). The baseline is the exponential moving average of the values,
    the present value included, with bias correction. A value that is not finite changes nothing.

    Genotypes that are evaluated at the same time are a batch of the same policy. After the last value of the batch,
    Adam takes one step along the mean gradient.

    Args:
        space: search space.
        lr: learning rate of Adam.
        momentum: momentum of the moving average.
        init_std: standard deviation of the normal distribution of the initial logits.

    Raises:
        NasError: if an option is out of range.
    """

    def __init__(self, space: Space, lr: float = 0.001, momentum: float = 0.9, init_std: float = 1e-3) -> None:
        super().__init__(space)
        self.encoding = CategoricalEncoding(space)
        self.momentum = momentum
        self.init_std = init_std
        sizes = torch.tensor([decision.size for decision in self.encoding.decisions])
        self.invalid = torch.arange(int(sizes.max())) >= sizes[:, None]  # [decisions, options]
        self.logits = torch.nn.Parameter(torch.zeros(self.invalid.shape))
        self._optimizer = torch.optim.Adam([self.logits], lr=lr)
        self._initialized = False
        self.details: dict[int, int] = {}
        self._running = 0
        self._updating = False  # whether a value of the batch has arrived
        self._gradients: list[Tensor] = []
        self._sum = self._weight = 0.0

    def probabilities(self) -> Tensor:
        """Return the policy [decisions, options]; 0 for options that a decision does not have."""
        return self.logits.detach().masked_fill(self.invalid, -torch.inf).softmax(dim=1)

    def ask(self, rng: random.Random) -> Genotype | None:
        if self._updating:
            return None
        if not self._initialized:
            values = [rng.gauss(0.0, self.init_std) for _ in range(self.logits.numel())]
            self.logits.data.copy_(torch.tensor(values).view_as(self.logits))
            self._initialized = True
        table = self.probabilities().tolist()

        def choose(number: int) -> int:
            size = self.encoding.decisions[number].size
            self.details[number] = rng.choices(range(size), table[number][:size])[0]
            return self.details[number]

        for _ in range(MAX_TRIES):
            self.details = {}
            if self.allows(genotype := self.encoding.decode(choose)):
                self._running += 1
                return genotype
        assert self.limits is not None
        raise self.limits.too_few()

    def tell(self, genotype: Genotype, value: float) -> None:
        self._running -= 1
        self._updating = self._running > 0
        if math.isfinite(value):
            self._sum = self.momentum * self._sum + (1 - self.momentum) * value
            self._weight = self.momentum * self._weight + (1 - self.momentum)
            self._gradients.append(self.gradient(value - self._sum / self._weight))
        if self._gradients and not self._updating:
            self.logits.grad = torch.stack(self._gradients).mean(dim=0)
            self._optimizer.step()
            self._gradients = []

    def gradient(self, advantage: float) -> Tensor:
        """Return d loss / d logits [decisions, options] of the genotype in ``details``: advantage (p - one-hot).

        Decisions that took no part have gradient 0.
        """
        rows = torch.tensor(list(self.details))
        gradient = torch.zeros_like(self.logits)
        gradient[rows] = self.probabilities()[rows]
        gradient[rows, torch.tensor(list(self.details.values()))] -= 1
        return advantage * gradient
