"""ZiCo against loops over batches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.proxies.zico import Zico
from tests.support.proxy_tools import random_batch, small_network


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_zico_matches_loops_over_batches() -> None:
    network, (x, y) = small_network().train(), random_batch(9)
    grads: dict[str, list[Tensor]] = {}
    for part in (slice(0, 3), slice(3, 6), slice(6, 9)):
        network.zero_grad()
        F.cross_entropy(network(x[part]), y[part]).backward()
        for name, module in network.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear) and module.weight.grad is not None:
                grads.setdefault(name, []).append(module.weight.grad.clone())
    network.zero_grad()
    total = 0.0
    for parts in grads.values():
        values = torch.stack(parts).flatten(1).numpy()
        deviation = values.std(axis=0)
        kept = deviation > 0
        total += math.log((np.abs(values).mean(axis=0)[kept] / deviation[kept]).sum())
    assert Zico(batches=3)(network, (x, y), generator()) == pytest.approx(total, rel=1e-6)


def test_zico_ignores_layers_with_equal_gradients() -> None:
    network, (x, y) = small_network(), random_batch(3)
    batch = torch.cat([x, x]), torch.cat([y, y])
    assert Zico()(network, batch, generator()) == 0


def test_zico_is_undefined_with_gradients_that_are_not_finite() -> None:
    network = small_network()
    network.classifier.bias.data[0] = math.nan
    assert math.isnan(Zico()(network, random_batch(6), generator()))
