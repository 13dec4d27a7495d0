"""Tests of networks in which a node has two ops on one predecessor (AutoDL-Projects)."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from nas.architecture.cell import Genotype
from nas.deploy.published_weights import load_published_weights
from nas.nn.macs import count_parameters
from nas.spaces.base import Network
from nas.spaces.darts.notation import parse
from nas.spaces.darts.space import Darts, last_parallel_ops
from nas.utils.errors import NasError

SIZE: dict[str, Any] = {"channels": 4, "layers": 3, "auxiliary": False, "lastact": True}
PARALLEL = (
    "[('sep_conv_3x3', 0), ('dil_conv_5x5', 0), ('max_pool_3x3', 1), ('skip_connect', 1), ('dil_conv_3x3', 2), "
    "('dil_conv_3x3', 2), ('sep_conv_5x5', 4), ('skip_connect', 0)]"
)


def parallel_network(**options: Any) -> tuple[Network, Genotype]:
    space = Darts((3, 16, 16), 5, repeats=True)
    concat = "[2, 3, 4, 5]"
    genotype = parse(f"Genotype(normal={PARALLEL}, normal_concat={concat}, reduce={PARALLEL}, reduce_concat={concat})")
    return space.network(genotype, **SIZE, **options).double(), genotype


class TestParallelOps:
    def test_the_last_op_is_applied_twice(self) -> None:
        """Compare with a network of separate ops that have the same weights."""
        torch.manual_seed(0)
        network, genotype = parallel_network(parallel_ops="last")
        space = Darts((3, 16, 16), 5, repeats=True)
        cells = {kind: last_parallel_ops(cell) for kind, cell in genotype.cells.items()}
        assert [link.op for link in cells["normal"].links[:4]] == ["dil_conv_5x5"] * 2 + ["skip_connect"] * 2
        twice = space.network(Genotype(genotype.space, cells), **SIZE).double()
        state = network.state_dict()
        twice.load_state_dict({key: state[key.replace("x.", ".", 1)] for key in twice.state_dict()})
        x = torch.randn(3, 3, 16, 16, dtype=torch.float64)
        logits, expected = network(x), twice(x)
        torch.testing.assert_close(logits, expected, rtol=1e-10, atol=1e-10)
        logits.square().sum().backward()
        expected.square().sum().backward()
        own = dict(network.named_parameters())
        grads = {key: torch.zeros_like(p) for key, p in own.items()}
        for key, p in twice.named_parameters():
            assert p.grad is not None
            grads[key.replace("x.", ".", 1)] += p.grad
        for key, p in own.items():
            torch.testing.assert_close(p.grad, grads[key], rtol=1e-8, atol=1e-10)
        assert count_parameters(network) < count_parameters(twice)

    def test_statistics_change_once_per_application(self) -> None:
        network, _ = parallel_network(parallel_ops="last")
        network(torch.randn(3, 3, 16, 16, dtype=torch.float64))
        counts = {int(b) for name, b in network.named_buffers() if name.endswith("op.3.num_batches_tracked")}
        assert counts == {1, 2}

    def test_published_weights_of_one_op_are_loaded(self) -> None:
        """The authors store one op per pair of nodes, under ``edges.TARGET<-SOURCE``."""
        network, _ = parallel_network(parallel_ops="last")
        ours = "cells.0.graph.edges.0_2.dil_conv_5x5.op.1.weight"
        state = {key: value.clone() for key, value in network.state_dict().items()}
        state["cells.0.edges.2<-0.op.1.weight"] = torch.full_like(state.pop(ours), 0.5)
        load_published_weights(network, state)
        assert torch.equal(network.get_parameter(ours), torch.full_like(network.get_parameter(ours), 0.5))
        separate, _ = parallel_network()
        with pytest.raises(NasError, match="missing"):
            load_published_weights(separate, state)
