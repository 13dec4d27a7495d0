"""Evaluation by a zero-cost proxy against the proxy itself."""

from __future__ import annotations

import torch

from nas.blackbox.evaluators.zero_cost import ZeroCost
from nas.data.proxy_batches import ProxyBatches
from nas.proxies.naswot import Naswot
from nas.proxies.ntk import Ntk
from nas.proxies.params_macs import Params
from nas.spaces.nas_bench_201.notation import from_index
from tests.support.query_tools import SMALL_NETWORK, SMALL_SPACE, small_images


def test_zero_cost_equals_proxy_at_initialization() -> None:
    data, genotype = small_images(), from_index(11)
    evaluator = ZeroCost(SMALL_SPACE, data, proxy=Naswot(batch_size=16), network=SMALL_NETWORK, seed=5)
    first, second = evaluator(genotype), evaluator(from_index(12))
    assert evaluator(genotype).value == first.value != second.value and first.seconds > 0
    torch.manual_seed(5)
    network = SMALL_SPACE.network(genotype, **SMALL_NETWORK)
    expected = Naswot(batch_size=16)(network, ProxyBatches(data, 5)(16), torch.Generator().manual_seed(5))
    assert first.value == expected
    assert evaluator.describe_value(None) == f"naswot of the network with {SMALL_SPACE.describe_size(**SMALL_NETWORK)}"
    assert "thin size for ntk" in ZeroCost(SMALL_SPACE, data, proxy=Ntk()).describe_value(None)
    supernet = SMALL_SPACE.describe_size(**SMALL_SPACE.supernet_size())
    assert ZeroCost(SMALL_SPACE, data, proxy=Params()).describe_value(None).endswith(supernet)
    params = ZeroCost(SMALL_SPACE, data, proxy=Params(), network=SMALL_NETWORK)
    sign = 1 if Params().higher_is_better else -1
    assert params(genotype).value == sign * sum(p.numel() for p in network.parameters())
