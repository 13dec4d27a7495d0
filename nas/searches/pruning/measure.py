"""Measurement of a proxy on pruned supernets, with weights and inputs determined by a key."""

from __future__ import annotations

import hashlib
import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from nas.data.proxy_batches import ProxyBatches
from nas.proxies.fused import can_fuse
from nas.proxies.linear_regions import sample_crops
from nas.proxies.precision import in_float32
from nas.proxies.proxy import Batch, Proxy
from nas.proxies.pruned import Alive, PrunedSupernet
from nas.spaces.base import Network, Space

Init = Literal["paper", "reference_code"]
PartialKey = tuple[int | None, ...]


class MeasurementKey(NamedTuple):
    """Position of a measurement in a search. It determines all random numbers of the measurement."""

    round: int
    candidate: int
    repeat: int


class ProxyMeasurement:
    """Measures one proxy on the supernet that remains after pruning, in float32.

    Args:
        space: the search space.
        proxy: the proxy to measure.
        batches: source of the input images.
        seed: seed of the search.
        init: "paper" samples new weights for each repeat: Kaiming normal by fan-out for the "ntk" probe and by fan-in
            for other networks. "reference_code" uses PyTorch's initialization as the released code does, once per
            round for the "ntk" probe and once per candidate for others.
        share: use the same weights and inputs for all candidates of a round. The unpruned supernet is then measured
            once per repeat instead of once per candidate.
        batch_size: number of images.
        device: device of the measurement; default: CPU.
    """

    def __init__(
        self,
        space: Space,
        proxy: Proxy,
        batches: ProxyBatches,
        seed: int,
        init: Init,
        share: bool,
        batch_size: int,
        device: torch.device | None = None,
    ) -> None:
        self.space = space
        self.proxy = proxy
        self.batches = batches
        self.seed = seed
        self.init = init
        self.share = share
        self.batch_size = batch_size
        self.device = torch.device("cpu") if device is None else device
        self._networks: dict[PartialKey, Network] = {}
        self._inputs: dict[PartialKey, Batch] = {}
        self._references: dict[object, float] = {}
        self._cached: tuple[int, int | None] = (-1, None)
        self._fuse: bool | None = None  # the same for all networks of a space
        self._non_finite = 0

    def __call__(self, alive: Alive, key: MeasurementKey) -> float:
        """Measure the supernet with the ops of ``alive``, with the weights and inputs of ``key``."""
        with in_float32(self.device):
            value = self._measure(alive, key)
        self._non_finite += not math.isfinite(value)
        return value

    def reference(self, alive: Alive, key: MeasurementKey) -> float:
        """Return the same value as a call, cached as long as weights and inputs are the same."""
        self._evict(key)
        entry = key.repeat, tuple((name, tuple(map(tuple, rows))) for name, rows in alive.items())
        if entry not in self._references:
            self._references[entry] = self(alive, key)
        return self._references[entry]

    def pop_non_finite(self) -> int:
        """Return the number of non-finite values since the last call of this method."""
        count, self._non_finite = self._non_finite, 0
        return count

    def network(self, key: MeasurementKey) -> Network:
        """Return the supernet with the weights of ``key``."""
        part = self._network_key(key)
        if part not in self._networks:
            with torch.random.fork_rng([]):
                torch.manual_seed(self._seed("weights", *part))
                network = self.space.supernet() if self.proxy.probe is None else self.space.probe(self.proxy.probe)
                if self.init == "paper":
                    init_kaiming(network, "fan_out" if self.proxy.probe == "ntk" else "fan_in")
            self._networks[part] = network.to(self.device)
        return self._networks[part]

    def batch(self, key: MeasurementKey) -> Batch:
        """Return the inputs of ``key`` with their labels."""
        part = self._input_key(key)
        if part not in self._inputs:
            seed = self._seed("batch", *part)
            if self.proxy.probe == "regions":
                images = self.batches.plain(self.batch_size, seed)
                x = sample_crops(images, torch.Generator().manual_seed(seed))
                y = torch.zeros(len(x), dtype=torch.int64)
            else:
                x, y = self.batches.augmented(self.batch_size, seed)
            self._inputs[part] = x.to(self.device), y.to(self.device)
        return self._inputs[part]

    def _measure(self, alive: Alive, key: MeasurementKey) -> float:
        self._evict(key)
        supernet = self.network(key)
        if self._fuse is None:
            self._fuse = self.proxy.probe is not None and can_fuse(supernet)
        network = PrunedSupernet(supernet, alive, self._fuse)
        seed = self._seed("draw", *self._input_key(key))
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(seed)  # for ops that sample, such as the noise of space S4
            return self.proxy(network, self.batch(key), torch.Generator().manual_seed(seed))

    def _input_key(self, key: MeasurementKey) -> PartialKey:
        return key.round, None if self.share else key.candidate, key.repeat

    def _network_key(self, key: MeasurementKey) -> PartialKey:
        if self.init == "paper":
            return self._input_key(key)
        per_round = self.share or self.proxy.probe == "ntk"
        return key.round, None if per_round else key.candidate, None

    def _evict(self, key: MeasurementKey) -> None:
        """Clear the caches of earlier rounds and candidates, which are not measured again."""
        current = key.round, None if self.share else key.candidate
        if current != self._cached:
            self._inputs.clear()
            self._references.clear()
            kept = self._network_key(key)
            self._networks = {part: network for part, network in self._networks.items() if part == kept}
            self._cached = current

    def _seed(self, purpose: str, *part: int | None) -> int:
        text = f"{self.seed} {self.proxy.name} {purpose} {part}"
        return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")


def init_kaiming(network: nn.Module, mode: Literal["fan_in", "fan_out"]) -> None:
    """Initialize weights by Kaiming normal and biases by 0, and reset batch norm."""
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
