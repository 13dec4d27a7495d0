"""Zen-score (Lin et al., ICCV 2021): how far a network's features move when its input does."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.proxies.proxy import Batch, Proxy
from nas.utils.errors import NasError


class Zen(Proxy):
    """log E|f(x) - f(x + gamma e)| + the sum over batch norms of log sqrt(mean of the running variance).

    f is the map before the global pooling, x and e are standard normal, the weights standard normal too, batch norm
    scales 1 and shifts 0; the mean of ``repeats`` draws. This is the side of the authors' repository (idstcv/ZenNAS):
    the sum of absolute differences of an image, the paper writes a Frobenius norm; running variances, which a draw
    updates twice with batch norm's momentum, the paper the variances themselves. With ``carry`` they go on from one
    draw to the next, as in the authors' program of that many repeats; without they begin at 1 in each draw, so that
    draws are independent, as in the authors' search, which makes one. Batch norms without running statistics, or
    in parts that are not executed, count nothing. -inf where the input does not reach the map.
    """

    name = "zen"

    def __init__(self, batch_size: int = 16, gamma: float = 1e-2, repeats: int = 32, carry: bool = True) -> None:
        if repeats < 1 or gamma <= 0:
            raise NasError(f"zen: repeats={repeats}, gamma={gamma}: give at least 1 repeat, and a gamma above 0")
        self.batch_size = batch_size
        self.gamma = gamma
        self.repeats = repeats
        self.carry = carry

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        modes = [(module, module.training) for module in network.modules()]
        maps: list[Tensor] = []

        def keep(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.dim() == 4:
                maps[:] = [output]  # the last one of a pass is the map before the pooling

        hooks = [module.register_forward_hook(keep) for module in network.modules()]
        try:
            network.train()
            with torch.no_grad():
                found: list[Tensor] = []
                buffers = _as_new(network)
                for _ in range(self.repeats):
                    found.append(self._draw(network, batch[0], maps, generator, buffers))
                    buffers = buffers if self.carry else _as_new(network)
        finally:
            for hook in hooks:
                hook.remove()
            for module, training in modes:
                module.training = training
        values = torch.stack(found).tolist()
        return float(sum(values) / len(values))

    def _draw(
        self,
        network: nn.Module,
        like: Tensor,
        maps: list[Tensor],
        generator: torch.Generator,
        buffers: dict[str, Tensor],
    ) -> Tensor:
        state = _gaussian(network, generator) | buffers
        x, e = (_normal(like, generator).to(like.device) for _ in range(2))
        if not x.is_cuda:  # pools and batch norms of a CPU are faster so
            x, e = (part.contiguous(memory_format=torch.channels_last) for part in (x, e))
        functional_call(network, state, (x,))
        (before,) = maps
        functional_call(network, state, (x + self.gamma * e,))
        difference = (before - maps[0]).abs().sum(dim=(1, 2, 3)).mean().double()
        scale = torch.zeros_like(difference)
        for name, module in network.named_modules():
            variance = state.get(f"{name}.running_var")
            if isinstance(module, nn.BatchNorm2d) and variance is not None:
                executed = state[f"{name}.num_batches_tracked"] > 0
                scale += torch.where(executed, variance.double().mean().sqrt().log(), 0.0)
        return difference.log() + scale


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=generator.device, dtype=like.dtype)


def _gaussian(network: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
    """Weights of convolutions and linear layers drawn anew, other parameters as a new batch norm has them."""
    state: dict[str, Tensor] = {}
    drawn: dict[str, Tensor] = {}
    for name, parameter in network.named_parameters():
        owner, _, leaf = name.rpartition(".")
        module = network.get_submodule(owner)
        if isinstance(module, nn.Conv2d | nn.Linear):
            if leaf == "weight":
                drawn[name] = _normal(parameter, generator)
            else:
                state[name] = torch.zeros_like(parameter)
        elif isinstance(module, nn.BatchNorm2d):
            state[name] = torch.ones_like(parameter) if leaf == "weight" else torch.zeros_like(parameter)
    return state | (_moved(drawn, next(network.parameters()).device) if drawn else {})


def _as_new(network: nn.Module) -> dict[str, Tensor]:
    """The buffers of a network, statistics of batch norms as if nothing had been seen."""
    known = {"running_var": torch.ones_like, "running_mean": torch.zeros_like, "num_batches_tracked": torch.zeros_like}
    return {name: known.get(name.rpartition(".")[2], torch.clone)(buffer) for name, buffer in network.named_buffers()}


def _moved(tensors: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """The tensors on a device, in one transfer."""
    parts = (
        torch.cat([tensor.flatten() for tensor in tensors.values()])
        .to(device)
        .split([tensor.numel() for tensor in tensors.values()])
    )
    return {name: part.view_as(tensor) for (name, tensor), part in zip(tensors.items(), parts, strict=True)}
