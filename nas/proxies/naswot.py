"""NASWOT (Mellor et al., ICML 2021): how differently images switch the ReLUs of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nas.proxies.proxy import Batch, Proxy, measured


class Naswot(Proxy):
    """log|det K|, K[i, j] being the number of units that images i and j switch alike, over all ReLU layers.

    A unit is on where the ReLU's input is above 0. ``dead`` counts ReLUs that the output does not depend on too, as
    NASLib does; the authors' code counts those that a backward pass visits. ``also`` names classes of modules whose
    input counts like a ReLU's: the authors look for "ReLU" in class names and so count those in NAS-Bench-201's
    ReLUConvBN twice, which is ["ReluConvNorm"] here. -inf where two images are told apart by no unit.
    """

    name = "naswot"
    least = 2

    def __init__(self, batch_size: int = 128, dead: bool = False, also: Sequence[str] = ()) -> None:
        self.batch_size = batch_size
        self.dead = dead
        self.also = tuple(also)

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        value = torch.linalg.slogdet(self.kernel(network, batch[0]))
        return float(value.logabsdet) if bool(value.sign != 0) else float("-inf")

    def kernel(self, network: nn.Module, x: Tensor) -> Tensor:
        """K, float64 [images, images]."""
        codes: list[Tensor] = []
        outputs: list[Tensor] = []
        begun: list[Tensor] = []  # nested modules end in the reverse order

        def encode(relu: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            begun.append((inputs[0].detach() > 0).flatten(1).float())

        def keep(relu: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
            codes.append(begun.pop())
            outputs.append(output)

        relus = [m for m in network.modules() if isinstance(m, nn.ReLU) or type(m).__name__ in self.also]
        handles = [m.register_forward_pre_hook(encode) for m in relus]
        handles += [m.register_forward_hook(keep) for m in relus]
        try:
            with measured(network) as forward:
                logits = forward(x.detach().requires_grad_())
                counted = [True] * len(codes) if self.dead else self._visited(logits, outputs)
        finally:
            for handle in handles:
                handle.remove()
        kernel = torch.zeros(len(x), len(x), dtype=torch.float64, device=x.device)
        for code, on in zip(codes, counted, strict=True):
            if on:  # whole numbers below 2^24: exact in float32
                kernel += code @ code.T + (1 - code) @ (1 - code).T
        return kernel

    @staticmethod
    def _visited(logits: Tensor, outputs: list[Tensor]) -> list[bool]:
        asked = [output for output in outputs if output.requires_grad]
        if not logits.requires_grad or not asked:
            return [False] * len(outputs)
        grads = iter(torch.autograd.grad(logits.sum(), asked, allow_unused=True))
        return [output.requires_grad and next(grads) is not None for output in outputs]
