"""REINFORCE (Williams, 1992) with a factorized policy, as in NAS-Bench-201."""

from __future__ import annotations

import math
import random

import torch
from torch import Tensor

from nas.architecture.cell import Genotype
from nas.blackbox.encoding import Decisions
from nas.blackbox.strategies.base import Strategy
from nas.spaces.base import Space
from nas.utils.errors import NasError


class Reinforce(Strategy):
    """Independent categoricals, one for each decision, moved by Adam along the score-function gradient.

    The loss of a genotype is - log p (value - baseline); the baseline is an exponential moving average of the values
    with its bias corrected, updated first. A value that is no number moves nothing.

    Args:
        lr: of Adam.
        momentum: of the moving average.
        init_std: of the normal distribution that the logits are drawn from.
    """

    def __init__(self, space: Space, lr: float = 0.001, momentum: float = 0.9, init_std: float = 1e-3) -> None:
        super().__init__(space)
        if lr <= 0 or not 0 <= momentum < 1 or init_std < 0:
            raise NasError(
                f"lr={lr}, momentum={momentum}, init_std={init_std}: lr must be above 0, momentum from 0 to below 1, "
                "and init_std not below 0"
            )
        self.decisions = Decisions(space)
        self.momentum = momentum
        self.init_std = init_std
        sizes = torch.tensor([decision.size for decision in self.decisions.all])
        self.absent = torch.arange(int(sizes.max())) >= sizes[:, None]  # [decisions, choices]
        self.logits = torch.nn.Parameter(torch.zeros(self.absent.shape))
        self._optimizer = torch.optim.Adam([self.logits], lr=lr)
        self._ready = False
        self._picked: dict[int, int] = {}
        self._sum = self._weight = 0.0

    def probabilities(self) -> Tensor:
        """[decisions, choices] The policy; 0 where a decision has fewer choices."""
        return self.logits.detach().masked_fill(self.absent, -torch.inf).softmax(dim=1)

    def ask(self, rng: random.Random) -> Genotype:
        if not self._ready:
            values = [rng.gauss(0.0, self.init_std) for _ in range(self.logits.numel())]
            self.logits.data.copy_(torch.tensor(values).view_as(self.logits))
            self._ready = True
        table = self.probabilities().tolist()
        self._picked = {}

        def pick(number: int) -> int:
            size = self.decisions.all[number].size
            self._picked[number] = rng.choices(range(size), table[number][:size])[0]
            return self._picked[number]

        return self.decisions.genotype(pick)

    def tell(self, genotype: Genotype, value: float) -> None:
        if not math.isfinite(value):
            return
        self._sum = self.momentum * self._sum + (1 - self.momentum) * value
        self._weight = self.momentum * self._weight + (1 - self.momentum)
        self.logits.grad = self.gradient(value - self._sum / self._weight)
        self._optimizer.step()

    def gradient(self, advantage: float) -> Tensor:
        """[decisions, choices] d loss / d logits of the genotype asked for last: advantage (p - one-hot).

        Decisions that took no part have none.
        """
        rows = torch.tensor(list(self._picked))
        gradient = torch.zeros_like(self.logits)
        gradient[rows] = self.probabilities()[rows]
        gradient[rows, torch.tensor(list(self._picked.values()))] -= 1
        return advantage * gradient
