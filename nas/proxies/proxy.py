"""What a training-free proxy is, and how a network is measured without leaving a trace in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nas.spaces.base import Probe
from nas.utils.errors import NasError

Batch = tuple[Tensor, Tensor]
Forward = Callable[[Tensor], Tensor]


class Proxy(ABC):
    """A number that says something of a network at initialization.

    ``higher_is_better`` is the direction in which the paper uses it. ``batch_size`` is how many images it wants,
    ``least`` how many it is defined on. ``of_signal`` says that it measures what the input does to the output: it says
    nothing of a network where that is nothing.
    ``probe`` names the thin network that the proxy is defined on (see ``Space.probe``), None for any network.
    """

    name: str
    higher_is_better: bool = True
    batch_size: int = 64
    least: int = 1
    of_signal: bool = True
    probe: Probe | None = None

    @abstractmethod
    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        """The published value for a network whose forward(x) gives logits [B, classes]; where it has none, NaN or inf.

        ``batch`` is (images [B, C, H, W], labels [B]); what is drawn comes from ``generator``. The network's weights,
        buffers, gradients and mode are afterwards as before.
        """


class LayerwiseProxy(Proxy):
    """A proxy that is a sum over the convolutions and linear layers."""

    @abstractmethod
    def layers(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """The share of each layer, a scalar, by the layer's name. Layers that are not executed have 0."""

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        found = self.layers(network, batch, generator)
        return float(torch.stack([share.double() for share in found.values()]).sum()) if found else float("nan")


def check_images(proxy: Proxy, count: int) -> None:
    """Raises NasError where a proxy would be measured on fewer images than say anything."""
    if count < proxy.least:
        what = "image" if proxy.least == 1 else "images"
        raise NasError(f"{proxy.name} of a batch of {count}: it is defined on at least {proxy.least} {what}")


def weighted(network: nn.Module) -> dict[str, nn.Conv2d | nn.Linear]:
    """The convolutions and linear layers of a network by name."""
    return {name: m for name, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}


@contextmanager
def measured(network: nn.Module) -> Iterator[Forward]:
    """The network in training mode as a function of images whose batch norm statistics stay as they are."""
    modes = [(module, module.training) for module in network.modules()]
    norms = {n: m for n, m in network.named_modules() if isinstance(m, nn.BatchNorm2d) and m.track_running_stats}
    others = [name for name, _ in network.named_buffers() if name.rpartition(".")[0] not in norms]

    def forward(x: Tensor) -> Tensor:
        buffers = {name: network.get_buffer(name).clone() for name in others}
        logits: Tensor = functional_call(network, buffers, (x,))
        return logits

    network.train()
    for norm in norms.values():
        norm.track_running_stats = False  # statistics are those of the batch anyway, and now nothing is noted
    try:
        with torch.enable_grad():
            yield forward
    finally:
        for norm in norms.values():
            norm.track_running_stats = True
        for module, training in modes:
            module.training = training
