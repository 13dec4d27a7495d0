"""Synaptic flow (Tanaka et al., NeurIPS 2020), in the version of zero-cost-nas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.nn.restored_state import training_modes_kept
from nas.proxies.proxy import Batch, LayerwiseProxy, weight_layers


class Synflow(LayerwiseProxy):
    """Sum of |w * dR/dw| in float64; R is the sum of the logits for an image of ones with all tensors made positive.

    The score is not logarithmic: values reach 1e55.

    Args:
        bn: whether batch norm is kept (the measure "synflow_bn"); otherwise it is the identity.
        keep: class names of modules that keep their batch norm. zero-cost-nas keeps that of NAS-Bench-201's residual
            blocks, ["Reduction"].
    """

    name = "synflow"
    batch_size = 1

    def __init__(self, bn: bool = False, keep: Sequence[str] = ()) -> None:
        self.bn = bn
        self.keep = tuple(keep)

    def layer_scores(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        state = {
            name: value.detach().abs().double() if value.is_floating_point() else value.clone()
            for name, value in (*network.named_parameters(), *network.named_buffers())
        }
        keys = {name: f"{name}.weight" for name in weight_layers(network)}
        weights = [state[key].requires_grad_() for key in keys.values()]
        ones = torch.ones_like(batch[0][:1], dtype=torch.float64)
        with training_modes_kept(network):
            network.train()
            with torch.enable_grad(), _identity_norms(() if self.bn else self._removed_norms(network)):
                logits = functional_call(network, state, (ones,))
                grads = torch.autograd.grad(logits.sum(), weights, allow_unused=True)
        zero = torch.zeros((), dtype=torch.float64, device=ones.device)
        pairs = zip(keys, weights, grads, strict=True)
        return {name: zero if g is None else (w.detach() * g).abs().sum() for name, w, g in pairs}

    def _removed_norms(self, network: nn.Module) -> list[nn.Module]:
        kept = {m for block in network.modules() if type(block).__name__ in self.keep for m in block.modules()}
        return [m for m in network.modules() if isinstance(m, nn.BatchNorm2d) and m not in kept]


@contextmanager
def _identity_norms(norms: Sequence[nn.Module]) -> Iterator[None]:
    """Replace the forward pass of ``norms`` by the identity."""
    for norm in norms:
        norm.forward = _identity
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward


def _identity(x: Tensor) -> Tensor:
    return x
