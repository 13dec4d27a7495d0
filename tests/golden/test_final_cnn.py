"""Golden tests of the evaluation networks of the DARTS space for CIFAR and ImageNet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch.nn.functional as F

from nas.architecture.cell import Genotype
from nas.deploy.published_weights import load_published_weights
from nas.spaces.base import Network
from nas.spaces.darts.notation import from_pairs
from nas.spaces.darts.space import Darts
from tests.golden.test_common import Comparison
from tests.support.golden_tools import Golden

pytestmark = pytest.mark.data

# Options in which the authors' networks differ from the defaults of the space.
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "final_darts_cifar_DARTS_V2": {},
    "final_darts_cifar_noisy_darts_a": {},
    "final_darts_imagenet_DARTS_V2": {"stem": "imagenet"},
    "final_drnas_cifar_DrNAS_cifar10": {"pool_norm": "plain"},
}


def build(golden: Golden, options: Mapping[str, Any]) -> Network:
    """Build the network of the golden with its published weights."""
    given = golden.entry["constructor"]
    pairs = given["genotype"]
    cells = {kind: from_pairs(pairs[kind], pairs[f"{kind}_concat"]) for kind in ("normal", "reduce")}
    space = Darts(golden.arrays["x"].shape[1:], given["num_classes"])
    network = space.network(
        Genotype(space.notation, cells), channels=given["C"], layers=given["layers"], auxiliary=True, **options
    )
    load_published_weights(network, golden.state())
    return network


@pytest.mark.parametrize("name", OPTIONS)
def test_darts_network_matches_the_authors(golden: Callable[[str], Golden], name: str) -> None:
    stored = golden(name)
    compare = Comparison(stored)
    network = build(stored, OPTIONS[name])
    stem = network.get_submodule("stem0" if hasattr(network, "stem0") else "stem")
    x, y = stored.tensor("x"), stored.tensor("y")

    out = network.eval().outputs(x)
    assert out.auxiliary is None
    compare.equal("eval_logits", out.logits)

    out = network.train().outputs(x)
    assert out.auxiliary is not None
    compare.equal("train_logits", out.logits)
    compare.equal("train_logits_aux", out.auxiliary)
    compare.equal("after_stem_bn_running_mean", stem.get_buffer("1.running_mean"))
    compare.equal("after_stem_bn_running_var", stem.get_buffer("1.running_var"))

    loss = F.cross_entropy(out.logits, y) + 0.4 * F.cross_entropy(out.auxiliary, y)
    loss.backward()
    compare.equal("train_loss", loss)
    compare.equal("grad_stem_conv", stem.get_parameter("0.weight").grad)
    compare.gradients(network)
    compare.finish()
