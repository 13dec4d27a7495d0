"""Zen-score (Lin et al., ICCV 2021): the change of a network's features under a perturbation of its input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.nn.restored_state import temporary_hooks, training_modes_kept
from nas.proxies.proxy import Batch, Proxy
from nas.utils.ranges import COUNT, POSITIVE, check_ranges


@check_ranges(batch_size=COUNT, gamma=POSITIVE, repeats=COUNT)
class Zen(Proxy):
    """log E|f(x) - f(x + gamma e)| + the sum over batch norms of log sqrt(mean of the running variance).

    f is the feature map before global pooling. x, e and all weights are standard normal; batch norm has scale 1 and
    shift 0. The score is the mean over ``repeats`` samples. It is -inf if f does not depend on the input.

    Two details follow the authors' repository (idstcv/ZenNAS). The distance is the sum of absolute differences of an
    image; the paper has a Frobenius norm. The variances are running ones, which a sample updates twice with batch
    norm's momentum; the paper has the variances themselves. Batch norms without running statistics, or in parts that
    are not executed, contribute nothing.

    Args:
        batch_size: number of inputs per sample.
        gamma: scale of the perturbation.
        repeats: number of samples.
        carry: whether running variances continue from sample to sample, as in the authors' program with that many
            repeats. Otherwise they start at 1, which makes the samples independent, as in the authors' search with one
            repeat.

    Raises:
        NasError: if ``repeats`` or ``gamma`` is not positive.
    """

    name = "zen"

    def __init__(self, batch_size: int = 16, gamma: float = 1e-2, repeats: int = 32, carry: bool = True) -> None:
        self.batch_size = batch_size
        self.gamma = gamma
        self.repeats = repeats
        self.carry = carry

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        maps: list[Tensor] = []

        def save_map(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.dim() == 4:
                maps[:] = [output]  # the last map of a pass is the one before the pooling

        hooks = [module.register_forward_hook(save_map) for module in network.modules()]
        with temporary_hooks(hooks), training_modes_kept(network), torch.no_grad():
            network.train()
            samples: list[Tensor] = []
            buffers = _initial_buffers(network)
            for _ in range(self.repeats):
                samples.append(self._sample(network, batch[0], maps, generator, buffers))
                buffers = buffers if self.carry else _initial_buffers(network)
        values = torch.stack(samples).tolist()
        return float(sum(values) / len(values))

    def _sample(
        self,
        network: nn.Module,
        like: Tensor,
        maps: list[Tensor],
        generator: torch.Generator,
        buffers: dict[str, Tensor],
    ) -> Tensor:
        state = gaussian_weights(network, generator) | buffers
        x, e = (_normal(like, generator).to(like.device) for _ in range(2))
        if not x.is_cuda:  # faster for the pooling and batch norm of a CPU
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


def gaussian_weights(network: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
    """Return Gaussian weights of convolutions and linear layers; other parameters as in a new batch norm."""
    state: dict[str, Tensor] = {}
    weights: dict[str, Tensor] = {}
    for name, parameter in network.named_parameters():
        owner, _, leaf = name.rpartition(".")
        module = network.get_submodule(owner)
        if isinstance(module, nn.Conv2d | nn.Linear):
            if leaf == "weight":
                weights[name] = _normal(parameter, generator)
            else:
                state[name] = torch.zeros_like(parameter)
        elif isinstance(module, nn.BatchNorm2d):
            state[name] = torch.ones_like(parameter) if leaf == "weight" else torch.zeros_like(parameter)
    return state | (_to_device(weights, next(network.parameters()).device) if weights else {})


def _initial_buffers(network: nn.Module) -> dict[str, Tensor]:
    """Return the buffers of a network with the statistics of new batch norms."""
    initial = {
        "running_var": torch.ones_like,
        "running_mean": torch.zeros_like,
        "num_batches_tracked": torch.zeros_like,
    }
    return {name: initial.get(name.rpartition(".")[2], torch.clone)(buffer) for name, buffer in network.named_buffers()}


def _to_device(tensors: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """Move the tensors to a device in one transfer."""
    parts = (
        torch.cat([tensor.flatten() for tensor in tensors.values()])
        .to(device)
        .split([tensor.numel() for tensor in tensors.values()])
    )
    return {name: part.view_as(tensor) for (name, tensor), part in zip(tensors.items(), parts, strict=True)}
