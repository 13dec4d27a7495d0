"""Golden tests of the networks of NAS-Bench-201 architectures."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from nas.deploy.published_weights import load_published_weights
from nas.spaces.nas_bench_201.space import NasBench201
from tests.golden.test_common import Comparison
from tests.support.golden_tools import Golden

pytestmark = pytest.mark.data


@pytest.mark.parametrize("name", ["final_nb201_a", "final_nb201_b"])
def test_nas_bench_201_network_matches_the_benchmark(golden: Callable[[str], Golden], name: str) -> None:
    stored = golden(name)
    compare = Comparison(stored)
    given = stored.entry["constructor"]
    x, y = stored.tensor("x"), stored.tensor("y")
    space = NasBench201(stored.arrays["x"].shape[1:], given["num_classes"])
    network = space.network(space.parse(given["arch"]), channels=given["C"], cells_per_stage=given["N"])
    load_published_weights(network, stored.state())

    out = network.eval().outputs(x)
    compare.equal("eval_logits", out.logits)
    compare.equal("eval_features", out.features)

    compare.training_pass(network, x, y, None, ("train_logits", "train_loss", "grad_stem_conv"))
    compare.finish()
