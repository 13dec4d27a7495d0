"""Perturbations of the architecture in the weight step (SDARTS)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.architecture.cell import Architecture, EdgeWeights
from nas.gradients.base import Reduce
from nas.utils.device_tensor import device_tensor
from nas.utils.generators import Generators
from nas.utils.ranges import COUNT, NOT_NEGATIVE, check_ranges

ArchLoss = Callable[[Architecture], Tensor]


class Perturbation(Protocol):
    """Maps the architecture of the relaxation to the architecture of the weight step."""

    def __call__(self, arch: Architecture, loss: ArchLoss, reduce: Reduce) -> Architecture:
        """Perturb ``arch``.

        Args:
            arch: architecture of the relaxation.
            loss: loss of the training batch under an architecture, with the supernet in evaluation mode.
            reduce: averages tensors over ranks.
        """
        ...


def clip_and_normalize(p: Tensor, mask: Tensor) -> Tensor:
    """Clip mixing weights to [0, 1] and rescale each edge to sum 1, 0 where ``mask`` is False.

    If clipping leaves an edge without weight, its greatest entry gets weight 1. This is SDARTS' rule; it is not the
    Euclidean projection onto the simplex.

    Args:
        p: perturbed mixing weights [edges, ops].
        mask: True where an op may have weight [edges, ops].
    """
    p = p.masked_fill(~mask, -torch.inf)
    clipped = p.clamp(0, 1)
    total = clipped.sum(dim=-1, keepdim=True)
    greatest = F.one_hot(p.argmax(dim=-1), p.shape[-1]).to(p.dtype) * mask
    return torch.where(total > 0, clipped / torch.where(total > 0, total, 1), greatest)


@check_ranges(eps=NOT_NEGATIVE)
class RandomNoise(nn.Module):
    """SDARTS-RS: uniform noise from [-eps, eps] on each mixing weight (Chen and Hsieh, ICML 2020).

    Args:
        eps: radius of the noise.
    """

    def __init__(self, eps: float = 0.3) -> None:
        super().__init__()
        self.eps = eps
        self.draws = Generators()  # the name is part of the state_dict

    def noisy(self, weights: EdgeWeights) -> Tensor:
        """Return mixing weights [edges, ops] with noise, clipped and normalized. Inactive ops stay at 0."""
        p = weights.op.detach()
        noise = torch.empty_like(p).uniform_(-self.eps, self.eps, generator=self.draws.on(p.device))
        return clip_and_normalize(p + noise, _mask(weights))

    def forward(self, arch: Architecture, loss: ArchLoss, reduce: Reduce) -> Architecture:
        return {name: weights._replace(op=self.noisy(weights)) for name, weights in arch.items()}


@check_ranges(eps=NOT_NEGATIVE, steps=COUNT)
class Adversarial(RandomNoise):
    """SDARTS-ADV: the mixing weights in the eps-ball with the highest loss (Chen and Hsieh, ICML 2020).

    Projected gradient ascent in the maximum norm from a random start. Each step moves 2 * eps / steps along the sign
    of the gradient, is projected onto the eps-ball, and is then clipped and normalized. If the loss has not increased
    in the end, the architecture stays unperturbed.

    Args:
        eps: radius of the ball.
        steps: number of ascent steps.

    Raises:
        NasError: if ``steps`` is below 1.
    """

    def __init__(self, eps: float = 0.3, steps: int = 7) -> None:
        super().__init__(eps)
        self.steps = steps

    def forward(self, arch: Architecture, loss: ArchLoss, reduce: Reduce) -> Architecture:
        clean = {name: weights.detach() for name, weights in arch.items()}
        masks = {name: _mask(weights) for name, weights in clean.items()}
        perturbed = {name: weights._replace(op=self.noisy(weights)) for name, weights in clean.items()}
        for _ in range(self.steps):
            points = [weights.op.requires_grad_() for weights in perturbed.values()]
            grads = torch.autograd.grad(loss(perturbed), points, allow_unused=True)
            mean = reduce([torch.zeros_like(p) if g is None else g for p, g in zip(points, grads, strict=True)])
            perturbed = {
                name: weights._replace(op=self._ascend(weights.op.detach(), grad, clean[name].op, masks[name]))
                for (name, weights), grad in zip(perturbed.items(), mean, strict=True)
            }
        with torch.no_grad():
            (gain,) = reduce([loss(perturbed) - loss(clean)])
        return {n: w._replace(op=torch.where(gain > 0, w.op, clean[n].op)) for n, w in perturbed.items()}

    def _ascend(self, p: Tensor, grad: Tensor, center: Tensor, mask: Tensor) -> Tensor:
        moved = p + 2 * self.eps / self.steps * grad.sign()
        return clip_and_normalize(center + (moved - center).clamp(-self.eps, self.eps), mask)


def _mask(weights: EdgeWeights) -> Tensor:
    return device_tensor(weights.active, weights.op.device)
