"""Properties of all configured proxies."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nas.spaces.nas_bench_201.notation import from_ops
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.proxy_tools import (
    CELL,
    PROXY_FILES,
    load_proxy,
    random_batch,
)


@pytest.mark.parametrize("file", PROXY_FILES, ids=lambda file: file.stem)
def test_proxy_leaves_network_unchanged(file: Path) -> None:
    net = NasBench201((3, 8, 8), 10).network(from_ops(CELL), channels=4, cells_per_stage=1).eval()
    proxy = load_proxy(file)
    x = torch.randn(30, 1, 3, 3) if proxy.probe == "regions" else random_batch(6, torch.float32)[0]
    if proxy.probe == "regions":
        net = NasBench201((3, 8, 8), 10).probe("regions", from_ops(CELL)).eval()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    proxy(net, (x, torch.zeros(len(x), dtype=torch.int64)), torch.Generator().manual_seed(0))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters()) and not any(m.training for m in net.modules())
    hooks = [h for m in net.modules() for h in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())]
    assert not hooks and not any("forward" in vars(m) for m in net.modules())
