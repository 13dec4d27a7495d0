"""NASWOT (Mellor et al., ICML 2021): how differently images activate the ReLUs of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nas.proxies.proxy import Batch, Proxy, stateless_forward
from nas.utils.ranges import COUNT, check_ranges


@check_ranges(batch_size=COUNT)
class Naswot(Proxy):
    """log|det K|; K[i, j] is the number of units, over all ReLUs, in the same state for images i and j.

    A unit is active if the input of the ReLU or ReLU6 is above 0. The score is -inf if no unit distinguishes two
    images.

    Args:
        batch_size: number of images.
        dead: whether ReLUs count on which the output does not depend, as in NASLib. The authors' code counts only those
            that a backward pass visits.
        also: class names of further modules whose input counts like that of a ReLU. The authors search class names for
            "ReLU" and so count those in NAS-Bench-201's ReLUConvBN twice, which is ["ReluConvNorm"] here.
    """

    name = "naswot"
    min_images = 2

    def __init__(self, batch_size: int = 128, dead: bool = False, also: Sequence[str] = ()) -> None:
        self.batch_size = batch_size
        self.dead = dead
        self.also = tuple(also)

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        value = torch.linalg.slogdet(self.kernel(network, batch[0]))
        return float(value.logabsdet) if bool(value.sign != 0) else float("-inf")

    def kernel(self, network: nn.Module, x: Tensor) -> Tensor:
        """Return K, float64 [images, images]."""
        codes: list[Tensor] = []
        outputs: list[Tensor] = []
        open_codes: list[Tensor] = []  # a stack: nested modules end in reverse order

        def encode_input(relu: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            open_codes.append((inputs[0].detach() > 0).flatten(1).float())

        def save_output(relu: nn.Module, inputs: tuple[Tensor, ...], output: Any) -> None:
            codes.append(open_codes.pop())
            outputs.append(output)

        relus = [m for m in network.modules() if isinstance(m, nn.ReLU | nn.ReLU6) or type(m).__name__ in self.also]
        handles = [m.register_forward_pre_hook(encode_input) for m in relus]
        handles += [m.register_forward_hook(save_output) for m in relus]
        try:
            with stateless_forward(network) as forward:
                logits = forward(x.detach().requires_grad_())
                counted = [True] * len(codes) if self.dead else self._reached_backward(logits, outputs)
        finally:
            for handle in handles:
                handle.remove()
        kernel = torch.zeros(len(x), len(x), dtype=torch.float64, device=x.device)
        for code, counts in zip(codes, counted, strict=True):
            if counts:  # whole numbers below 2^24 are exact in float32
                kernel += code @ code.T + (1 - code) @ (1 - code).T
        return kernel

    @staticmethod
    def _reached_backward(logits: Tensor, outputs: list[Tensor]) -> list[bool]:
        """Return for each output whether the logits depend on it."""
        differentiable = [output for output in outputs if output.requires_grad]
        if not logits.requires_grad or not differentiable:
            return [False] * len(outputs)
        grads = iter(torch.autograd.grad(logits.sum(), differentiable, allow_unused=True))
        return [output.requires_grad and next(grads) is not None for output in outputs]
