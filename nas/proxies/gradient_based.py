"""Proxies from the gradient of the loss: grad_norm, snip, grasp (Abdelfattah et al., ICLR 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.proxies.proxy import Batch, LayerwiseProxy, stateless_forward, weight_layers
from nas.utils.ranges import COUNT, check_ranges


@check_ranges(batch_size=COUNT)
class GradNorm(LayerwiseProxy):
    """Sum of the gradient norms of the layers; not the norm of the whole gradient."""

    name = "grad_norm"

    def __init__(self, batch_size: int = 64) -> None:
        self.batch_size = batch_size

    def layer_scores(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        weights, grads = _gradients(network, batch)
        return {name: grad.norm() for name, grad in zip(weights, grads, strict=True)}


@check_ranges(batch_size=COUNT)
class Snip(LayerwiseProxy):
    """SNIP (Lee et al., ICLR 2019): the sum of |g * w|, the first-order effect of removing each weight.

    ``signed`` keeps the sign of g * w: the measure "plain" of zero-cost-nas.
    """

    name = "snip"

    def __init__(self, batch_size: int = 64, signed: bool = False) -> None:
        self.batch_size = batch_size
        self.signed = signed

    def layer_scores(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        weights, grads = _gradients(network, batch)
        products = {n: g * w.detach() for (n, w), g in zip(weights.items(), grads, strict=True)}
        return {name: (product if self.signed else product.abs()).sum() for name, product in products.items()}


@check_ranges(batch_size=COUNT)
class Plain(LayerwiseProxy):
    """The sum of g * w with its sign, the measure "plain" of zero-cost-nas.

    Of a convolution before a batch norm it is zero up to rounding, because scaling the kernel has no effect.
    """

    name = "plain"

    def __init__(self, batch_size: int = 64) -> None:
        self.batch_size = batch_size

    def layer_scores(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        return Snip(self.batch_size, signed=True).layer_scores(network, batch, generator)


@check_ranges(batch_size=COUNT)
class Grasp(LayerwiseProxy):
    """GraSP (Wang et al., ICLR 2020): the sum of -w * (Hg), with the sign of zero-cost-nas.

    H is the Hessian of the loss and g its gradient on the same batch; temperature 1, one iteration. The score is NaN if
    no weight has a gradient, since 0 would be an average score.
    """

    name = "grasp"

    def __init__(self, batch_size: int = 64) -> None:
        self.batch_size = batch_size

    def layer_scores(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        weights = _weights(network)
        with stateless_forward(network) as forward:
            loss = F.cross_entropy(forward(batch[0]), batch[1])
            grads = _zeros_for_none(
                weights, torch.autograd.grad(loss, list(weights.values()), allow_unused=True, create_graph=True)
            )
            no_gradient = not bool(torch.stack([grad.detach().abs().sum() for grad in grads]).sum() > 0)
            product = torch.stack([(grad.detach() * grad).sum() for grad in grads]).sum()
            if no_gradient or not product.requires_grad:
                return {name: torch.full((), float("nan")) for name in weights}
            second = _zeros_for_none(weights, torch.autograd.grad(product, list(weights.values()), allow_unused=True))
        return {n: -(w.detach() * h).sum() for (n, w), h in zip(weights.items(), second, strict=True)}


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: layer.weight for name, layer in weight_layers(network).items()}


def _gradients(network: nn.Module, batch: Batch) -> tuple[Mapping[str, Tensor], list[Tensor]]:
    weights = _weights(network)
    with stateless_forward(network) as forward:
        loss = F.cross_entropy(forward(batch[0]), batch[1])
        return weights, _zeros_for_none(weights, torch.autograd.grad(loss, list(weights.values()), allow_unused=True))


def _zeros_for_none(weights: Mapping[str, Tensor], grads: Sequence[Tensor | None]) -> list[Tensor]:
    """Replace the missing gradients of weights that the loss does not depend on by zeros."""
    return [torch.zeros_like(w) if g is None else g for w, g in zip(weights.values(), grads, strict=True)]
