"""Small networks, batches and configured proxies for tests of zero-cost proxies."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from nas.data.proxy_batches import ProxyBatches
from nas.data.synthetic import Synthetic
from nas.proxies.proxy import Batch, Proxy
from nas.spaces.nas_bench_201.network import NasBench201Network
from nas.spaces.nas_bench_201.notation import from_ops
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.compose_tools import CONF

PROXY_FILES = sorted((CONF / "proxy").glob("*.yaml"))
CELL = ["nor_conv_3x3", "skip_connect", "nor_conv_1x1", "avg_pool_3x3", "none", "nor_conv_3x3"]
SKIP, CONV1, CONV3, NONE = "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "none"


def random_batch(count: int = 6, dtype: torch.dtype = torch.float64) -> Batch:
    """Return random images [count, 3, 8, 8] and labels [count] of a fixed seed."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, 3, 8, 8, generator=generator, dtype=dtype)
    return x, torch.randint(10, (count,), generator=generator)


def small_network(dtype: torch.dtype = torch.float64) -> NasBench201Network:
    """Build the network of ``CELL`` with 4 channels and one cell per stage, from a fixed seed."""
    torch.manual_seed(0)
    found = NasBench201((3, 8, 8), 10).network(from_ops(CELL), channels=4, cells_per_stage=1)
    assert isinstance(found, NasBench201Network)
    return found.to(dtype)


def proxy_batches() -> ProxyBatches:
    """Build batches of synthetic images [3, 8, 8]."""
    return ProxyBatches(Synthetic(shape=[3, 8, 8], size=300, mean=0.5, std=0.25, batch_size=8), 0)


def load_proxy(file: Path) -> Proxy:
    """Instantiate a proxy from its configuration, with fewer repeats or references."""
    options = {"zen": {"repeats": 2}, "swap": {"repeats": 2}, "combined": {"references": 3}}.get(file.stem, {})
    found: Proxy = instantiate(OmegaConf.load(file), **options)
    return found


def formula_network(arch: str, size: int = 12) -> NasBench201Network:
    """Build the network of an architecture string in float64, with weights from a formula.

    Images are [3, ``size``, ``size``]. Parameter t, counted in the order of the network, has the entries
    cos(i ** 1.5 + t).
    """
    space = NasBench201((3, size, size), 10)
    found = space.network(space.parse(arch), channels=4, cells_per_stage=1)
    assert isinstance(found, NasBench201Network)
    with torch.no_grad():
        for t, parameter in enumerate(found.double().train().parameters()):
            parameter.copy_(formula_images(*parameter.shape, phase=t))
    return found


def formula_images(*shape: int, phase: float = 0.0) -> torch.Tensor:
    """Return a float64 tensor with the entries cos(i ** 1.5 + ``phase``)."""
    return torch.cos(torch.arange(math.prod(shape), dtype=torch.float64) ** 1.5 + phase).reshape(shape)
