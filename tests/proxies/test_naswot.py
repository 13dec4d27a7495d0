"""NASWOT against a count by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.proxies.naswot import Naswot
from nas.spaces.nas_bench_201.notation import from_ops
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.proxy_tools import (
    CONV1,
    CONV3,
    NONE,
    SKIP,
    random_batch,
)


def test_naswot_kernel_equals_count_of_units() -> None:
    """Count unit by unit; ReLUs on which the output does not depend count only with ``dead``."""
    torch.manual_seed(0)
    ops = [CONV3, CONV1, CONV3, SKIP, NONE, NONE]  # nodes 1 and 2 do not reach node 3
    net = NasBench201((3, 8, 8), 10).network(from_ops(ops), channels=2, cells_per_stage=1).double()
    x = random_batch(4)[0]
    active: dict[str, Tensor] = {}
    for name, module in net.named_modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda m, i, o, name=name: active.__setitem__(name, i[0] > 0))
    net.train()(x)
    for dead in (False, True):
        codes = torch.cat([c.flatten(1) for name, c in active.items() if dead or ".edges." not in name], dim=1)
        kernel = np.array([[int((a == b).sum()) for b in codes] for a in codes], dtype=float)
        assert np.array_equal(Naswot(dead=dead).kernel(net, x).numpy(), kernel)
        found = Naswot(dead=dead)(net, (x, x[:, 0, 0, 0]), torch.Generator())
        assert found == pytest.approx(np.linalg.slogdet(kernel)[1])
