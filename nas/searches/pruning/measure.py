"""One proxy of a pruned supernet, at drawn weights and on drawn inputs."""

from __future__ import annotations

import hashlib
import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from nas.data.proxy_batches import ProxyBatches
from nas.proxies.fused import fusible
from nas.proxies.linear_regions import crops
from nas.proxies.precision import in_float32
from nas.proxies.proxy import Batch, Proxy
from nas.proxies.pruned import Alive, Pruned
from nas.spaces.base import Network, Space

Init = Literal["paper", "reference_code"]


class Place(NamedTuple):
    """Where in a search a measurement stands: its round, candidate and repeat."""

    round: int
    candidate: int
    repeat: int


class Meter:
    """``meter(alive, place)``: the proxy of the supernet that ``alive`` leaves. All randomness follows from the place.

    Scores are measured in float32, whatever the precision of the trainer.

    ``init`` "paper" draws the weights anew for each repeat, Kaiming normal by fan-out for the kernel's network and by
    fan-in for others; "reference_code" is what the released code does: PyTorch's initialization, one network a round
    for the kernel and one a candidate for the regions. With ``share`` all candidates of a round see the
    same weights and inputs, so that the unpruned supernet is measured once a repeat and not once a candidate.
    """

    def __init__(
        self,
        space: Space,
        proxy: Proxy,
        draws: ProxyBatches,
        seed: int,
        init: Init,
        share: bool,
        batch_size: int,
        device: torch.device | None = None,
    ) -> None:
        self.space = space
        self.proxy = proxy
        self.draws = draws
        self.seed = seed
        self.init = init
        self.share = share
        self.batch_size = batch_size
        self.device = torch.device("cpu") if device is None else device
        self._networks: dict[tuple[int | None, ...], Network] = {}
        self._batches: dict[tuple[int | None, ...], Batch] = {}
        self._references: dict[object, float] = {}
        self._where: tuple[int, int | None] = (-1, None)
        self._fuse: bool | None = None  # all networks of a space are alike
        self._not_finite = 0

    def __call__(self, alive: Alive, place: Place) -> float:
        """The proxy of what is left, at the place's weights and inputs."""
        with in_float32(self.device):
            value = self._measured(alive, place)
        self._not_finite += not math.isfinite(value)
        return value

    def not_finite(self) -> int:
        """How many of the scores measured since this was last asked were not finite."""
        found, self._not_finite = self._not_finite, 0
        return found

    def _measured(self, alive: Alive, place: Place) -> float:
        self._enter(place)
        supernet = self.network(place)
        if self._fuse is None:
            self._fuse = self.proxy.probe is not None and fusible(supernet)
        network = Pruned(supernet, alive, self._fuse)
        seed = self._seed("draw", *self._of_batch(place))
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)  # of ops that draw: the noise of space S4
            return self.proxy(network, self.batch(place), torch.Generator().manual_seed(seed))

    def reference(self, alive: Alive, place: Place) -> float:
        """The same, remembered as long as weights and inputs stay."""
        self._enter(place)
        key = place.repeat, tuple((name, tuple(map(tuple, rows))) for name, rows in alive.items())
        if key not in self._references:
            self._references[key] = self(alive, place)
        return self._references[key]

    def network(self, place: Place) -> Network:
        """The supernet with the weights of a place."""
        key = self._of_network(place)
        if key not in self._networks:
            with torch.random.fork_rng([]):
                torch.manual_seed(self._seed("weights", *key))
                network = self.space.supernet() if self.proxy.probe is None else self.space.probe(self.proxy.probe)
                if self.init == "paper":
                    kaiming(network, "fan_out" if self.proxy.probe == "ntk" else "fan_in")
            self._networks[key] = network.to(self.device)
        return self._networks[key]

    def batch(self, place: Place) -> Batch:
        """The inputs of a place and their labels."""
        key = self._of_batch(place)
        if key not in self._batches:
            seed = self._seed("batch", *key)
            if self.proxy.probe == "regions":
                images = self.draws.plain(self.batch_size, seed)
                x = crops(images, torch.Generator().manual_seed(seed))
                y = torch.zeros(len(x), dtype=torch.int64)
            else:
                x, y = self.draws.augmented(self.batch_size, seed)
            self._batches[key] = x.to(self.device), y.to(self.device)
        return self._batches[key]

    def _of_batch(self, place: Place) -> tuple[int | None, ...]:
        return place.round, None if self.share else place.candidate, place.repeat

    def _of_network(self, place: Place) -> tuple[int | None, ...]:
        if self.init == "paper":
            return self._of_batch(place)
        per_round = self.share or self.proxy.probe == "ntk"
        return place.round, None if per_round else place.candidate, None

    def _enter(self, place: Place) -> None:
        """Forgets what no later place of the search uses."""
        where = place.round, None if self.share else place.candidate
        if where != self._where:
            self._batches.clear()
            self._references.clear()
            kept = self._of_network(place)
            self._networks = {key: network for key, network in self._networks.items() if key == kept}
            self._where = where

    def _seed(self, what: str, *place: int | None) -> int:
        text = f"{self.seed} {self.proxy.name} {what} {place}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")


def kaiming(network: nn.Module, mode: Literal["fan_in", "fan_out"]) -> None:
    """Kaiming normal weights, no biases, batch norm as new."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, mode=mode, nonlinearity="relu")
            _fill(module.bias, 0.0)
        elif isinstance(module, nn.BatchNorm2d):
            _fill(module.weight, 1.0)
            _fill(module.bias, 0.0)


def _fill(tensor: Tensor | None, value: float) -> None:
    if tensor is not None:
        nn.init.constant_(tensor, value)
