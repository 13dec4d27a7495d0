"""Interface of zero-cost proxies, and measurements that leave the network unchanged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.nn.restored_state import training_modes_kept
from nas.spaces.base import Probe
from nas.utils.errors import NasError

Batch = tuple[Tensor, Tensor]
Forward = Callable[[Tensor], Tensor]


class Proxy(ABC):
    """Score of a network at initialization.

    Attributes:
        name: name of the proxy.
        higher_is_better: direction in which the paper uses the score.
        batch_size: number of images.
        min_images: minimum number of images on which the score is defined.
        needs_signal: whether the score is meaningless if the network's output does not depend on its input.
        probe: thin network on which the score is defined (``Space.probe``), None for any network.
    """

    name: str
    higher_is_better: bool = True
    batch_size: int = 64
    min_images: int = 1
    needs_signal: bool = True
    probe: Probe | None = None

    @abstractmethod
    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        """Return the score; NaN or infinite if it is undefined.

        The weights, buffers, gradients and training mode of the network are the same afterwards.

        Args:
            network: network whose forward(x) returns logits [B, classes].
            batch: images [B, C, H, W] and labels [B].
            generator: source of random numbers.
        """


class LayerwiseProxy(Proxy):
    """Proxy that is a sum over convolutions and linear layers."""

    @abstractmethod
    def layer_scores(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the scalar share of each layer by its name; 0 for layers that are not executed."""

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        scores = self.layer_scores(network, batch, generator)
        return float(torch.stack([share.double() for share in scores.values()]).sum()) if scores else float("nan")


def check_batch_size(proxy: Proxy, count: int) -> None:
    """Raise NasError if a proxy is not defined on ``count`` images."""
    if count < proxy.min_images:
        raise NasError(f"batch_size={count}: proxy={proxy.name} needs at least {proxy.min_images} images. Increase it.")


def weight_layers(network: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """Return the convolutions and linear layers of a network by name."""
    return {name: m for name, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}


@contextmanager
def stateless_forward(network: nn.Module, state: Mapping[str, Tensor] | None = None) -> Iterator[Forward]:
    """Yield the network in training mode as a function of images that does not change any buffer.

    ``state`` replaces parameters by name.
    """
    norms = {n: m for n, m in network.named_modules() if isinstance(m, nn.BatchNorm2d) and m.track_running_stats}
    other_buffers = [name for name, _ in network.named_buffers() if name.rpartition(".")[0] not in norms]

    def forward(x: Tensor) -> Tensor:
        buffers = {name: network.get_buffer(name).clone() for name in other_buffers}
        logits: Tensor = functional_call(network, {**buffers, **(state or {})}, (x,))
        return logits

    with training_modes_kept(network):
        network.train()
        for norm in norms.values():
            norm.track_running_stats = False  # training mode uses the batch's statistics; this stops their tracking
        try:
            with torch.enable_grad():
                yield forward
        finally:
            for norm in norms.values():
                norm.track_running_stats = True
