"""Golden tests of the evaluation networks of GDAS: fixed reduction cell (2019) and NASNet-like (AutoDL-Projects)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from nas.architecture.cell import Genotype
from nas.deploy.published_weights import load_published_weights
from nas.nn.macs import count_macs, count_parameters
from nas.spaces.base import Network
from nas.spaces.darts.notation import from_pairs
from nas.spaces.darts.space import Darts
from tests.golden.test_common import Comparison
from tests.support.golden_tools import Golden

pytestmark = pytest.mark.data


def genotype_of(given: dict[str, Any]) -> Genotype:
    """Return the genotype of pairs in one list or by node, without a reduction cell if that is fixed."""
    cells = {}
    for kind in ("normal", "reduce"):
        if given[kind] is not None:
            entries = given[kind]
            pairs = entries if isinstance(entries[0][0], str) else [pair for node in entries for pair in node]
            cells[kind] = from_pairs(pairs, given[f"{kind}_concat"])
    return Genotype("darts", cells)


def build(stored: Golden, layers: int, **options: Any) -> Network:
    given = stored.entry["constructor"]
    genotype = genotype_of(given["genotype"])
    space = Darts(stored.arrays["x"].shape[1:], given["num_classes"], fixed_reduction="reduce" not in genotype.cells)
    network = space.network(genotype, channels=given["C"], layers=layers, auxiliary=True, **options)
    load_published_weights(network, stored.state())
    return network


@pytest.mark.parametrize("name", ["final_gdas2019_cifar_GDAS_F1", "final_nasnet_autodl"])
def test_nasnet_network_matches_autodl(golden: Callable[[str], Golden], name: str) -> None:
    stored = golden(name)
    compare = Comparison(stored)
    given = stored.entry["constructor"]
    autodl = "N" in given
    network = (
        build(stored, 3 * given["N"], lastact=True) if autodl else build(stored, given["layers"], pool_norm="plain")
    )
    x, y = stored.tensor("x"), stored.tensor("y")
    out = network.eval().outputs(x)
    compare.equal("eval_logits", out.logits)
    if autodl:
        compare.equal("eval_features", out.features)
    out = network.train().outputs(x)
    assert out.auxiliary is not None
    compare.equal("train_logits", out.logits)
    compare.equal("train_logits_aux", out.auxiliary)
    loss = F.cross_entropy(out.logits, y) + 0.4 * F.cross_entropy(out.auxiliary, y)
    loss.backward()
    compare.equal("train_loss", loss)
    compare.equal("grad_stem_conv", network.get_parameter("stem.0.weight").grad)
    if not autodl:
        compare.equal("after_stem_bn_running_mean", network.get_buffer("stem.1.running_mean"))
        compare.equal("after_stem_bn_running_var", network.get_buffer("stem.1.running_var"))
    compare.gradients(network)
    compare.finish()


@pytest.mark.parametrize(
    ("name", "options", "total", "left", "madds"),
    [
        ("GDAS_F1", {}, 3.019440, 2.543014, 402.78),
        ("GDAS_FG", {}, 3.388584, 2.912158, 439.91),
        ("GDAS_V1", {}, 3.845208, 3.368782, 519.43),
        ("GDAS_V1", {"channels": 33, "layers": 18, "lastact": True}, 2.947074, 2.476792, 402.24),
        ("GDAS_V1", {"channels": 36, "layers": 21, "lastact": True}, 3.872712, 3.396286, 545.68),
    ],
)
def test_nasnet_sizes_match_autodl(
    name: str, options: Any, total: float, left: float, madds: float, shared: Path
) -> None:
    """Compare parameters with and without the auxiliary head, and MACs, in millions, counted as in AutoDL-Projects."""
    genotype = genotype_of(json.loads((shared / "specs" / "genotypes.json").read_text())[name])
    space = Darts((3, 32, 32), 10, fixed_reduction="reduce" not in genotype.cells)
    with torch.device("meta"):
        network = space.network(genotype, **options)
    assert count_parameters(network, auxiliary=True) == round(total * 1e6)
    assert count_parameters(network) == round(left * 1e6)
    assert abs(count_macs(network, space.shape, bias=True) / 1e6 - madds) < 0.006
    assert space.parse(space.native(genotype)) == genotype
