"""Which architecture the supernet's weights are trained on, where it is not the relaxation's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.architecture.cell import Architecture, EdgeWeights
from nas.gradients.base import Reduce
from nas.utils.errors import NasError
from nas.utils.generators import Generators

ArchLoss = Callable[[Architecture], Tensor]


class Perturbation(Protocol):
    """Returns the architecture of the weight step, given the relaxation's.

    ``loss`` maps an architecture to the loss of the training batch, with the supernet in evaluation mode;
    ``reduce`` averages tensors over ranks.
    """

    def __call__(self, arch: Architecture, loss: ArchLoss, reduce: Reduce) -> Architecture: ...


def clip(p: Tensor, mask: Tensor) -> Tensor:
    """Mixing weights [edges, ops] brought back to where they make sense: clipped to [0, 1], each edge to sum 1.

    An edge of which nothing would be left gives all to what was its greatest entry. 0 where ``mask`` is False.
    This is SDARTS' rule; it is not the Euclidean projection onto the simplex.
    """
    p = p.masked_fill(~mask, -torch.inf)
    clipped = p.clamp(0, 1)
    total = clipped.sum(dim=-1, keepdim=True)
    greatest = F.one_hot(p.argmax(dim=-1), p.shape[-1]).to(p.dtype) * mask
    return torch.where(total > 0, clipped / torch.where(total > 0, total, 1), greatest)


class RandomNoise(nn.Module):
    """SDARTS-RS: uniform noise from [-eps, eps] on each mixing weight, one draw a step (Chen and Hsieh, ICML 2020)."""

    def __init__(self, eps: float = 0.3) -> None:
        super().__init__()
        self.eps = eps
        self.draws = Generators()

    def noisy(self, weights: EdgeWeights) -> Tensor:
        """Mixing weights [edges, ops] with noise, clipped. Ops that are not executed stay at 0."""
        p = weights.op.detach()
        noise = torch.empty_like(p).uniform_(-self.eps, self.eps, generator=self.draws.on(p.device))
        return clip(p + noise, _mask(weights))

    def forward(self, arch: Architecture, loss: ArchLoss, reduce: Reduce) -> Architecture:
        return {name: weights._replace(op=self.noisy(weights)) for name, weights in arch.items()}


class Adversarial(RandomNoise):
    """SDARTS-ADV: the mixing weights near the present ones that hurt most (Chen and Hsieh, ICML 2020).

    Projected gradient ascent in the maximum norm: from a random start ``steps`` steps of 2 * eps / steps along the
    sign of the loss' gradient, each projected onto the eps-ball and then clipped. Where the loss did not increase
    the weights stay as they were.
    """

    def __init__(self, eps: float = 0.3, steps: int = 7) -> None:
        super().__init__(eps)
        if steps < 1:
            raise NasError(f"perturbation.steps={steps}: an attack takes at least 1 step")
        self.steps = steps

    def forward(self, arch: Architecture, loss: ArchLoss, reduce: Reduce) -> Architecture:
        clean = {name: weights.detach() for name, weights in arch.items()}
        masks = {name: _mask(weights) for name, weights in clean.items()}
        found = {name: weights._replace(op=self.noisy(weights)) for name, weights in clean.items()}
        for _ in range(self.steps):
            points = [weights.op.requires_grad_() for weights in found.values()]
            grads = torch.autograd.grad(loss(found), points, allow_unused=True)
            slopes = reduce([torch.zeros_like(p) if g is None else g for p, g in zip(points, grads, strict=True)])
            found = {
                name: weights._replace(op=self._step(weights.op.detach(), slope, clean[name].op, masks[name]))
                for (name, weights), slope in zip(found.items(), slopes, strict=True)
            }
        with torch.no_grad():
            (gain,) = reduce([loss(found) - loss(clean)])
        return {n: w._replace(op=torch.where(gain > 0, w.op, clean[n].op)) for n, w in found.items()}

    def _step(self, p: Tensor, slope: Tensor, center: Tensor, mask: Tensor) -> Tensor:
        moved = p + 2 * self.eps / self.steps * slope.sign()
        return clip(center + (moved - center).clamp(-self.eps, self.eps), mask)


def _mask(weights: EdgeWeights) -> Tensor:
    return torch.tensor(weights.active, device=weights.op.device)
