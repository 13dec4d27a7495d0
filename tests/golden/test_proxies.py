"""Golden tests of zero-cost proxies, layer by layer."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from nas.deploy.published_weights import load_published_weights, translate_state_dict
from nas.proxies.fisher import Fisher
from nas.proxies.gradient_based import GradNorm, Grasp, Snip
from nas.proxies.jacob_cov import JacobCov
from nas.proxies.linear_regions import LinearRegions, count_distinct_rows
from nas.proxies.naswot import Naswot
from nas.proxies.ntk import Ntk, Rows, condition_number
from nas.proxies.proxy import LayerwiseProxy
from nas.proxies.pruned import PrunedSupernet
from nas.proxies.synflow import Synflow
from nas.spaces.base import Network
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.golden_tools import Golden, assert_golden
from tests.support.tenas_tools import pruned

pytestmark = pytest.mark.data

PROXIES: dict[str, LayerwiseProxy] = {
    "grad_norm": GradNorm(),
    "snip": Snip(),
    "plain": Snip(signed=True),
    "grasp": Grasp(),
    "fisher": Fisher(),
    "synflow64": Synflow(),
    "synflow_bn64": Synflow(bn=True),
}


def tiny_network(stored: Golden) -> Network:
    """Build the benchmark's network of the golden's architecture."""
    given = stored.entry["constructor"]
    space = NasBench201(stored.arrays["x"].shape[1:], given["num_classes"])
    network = space.network(space.parse(given["arch"]), channels=given["C"], cells_per_stage=given["N"])
    load_published_weights(network, {key.removeprefix("net."): value for key, value in stored.state().items()})
    return network


def full_network(stored: Golden) -> tuple[nn.Module, dict[str, str]]:
    """Build a supernet that executes one architecture as NAS201Model does; return it with our layer names."""
    given = stored.entry["constructor"]
    space = NasBench201(
        stored.arrays["x"].shape[1:],
        given["num_classes"],
        channels=given["C"],
        cells_per_stage=given["cells_per_stage"],
        track_statistics=False,
    )
    supernet = space.supernet()
    names = {key: our_name(key) for key in stored.state()}
    state = {names[key]: value for key, value in stored.state().items()}
    own = supernet.state_dict()
    assert {k for k in own if "num_batches" not in k} == set(state)
    supernet.load_state_dict(state, strict=False)
    layers = {
        name: our_name(name + ".weight").removesuffix(".weight") for name in stored.arrays["layer_names"].tolist()
    }
    arch = space.encode(space.parse(given["arch"]))
    return PrunedSupernet(supernet, {name: weights.active for name, weights in arch.items()}), layers


ROWS = ("0_1", "0_2", "1_2", "0_3", "1_3", "2_3")
OPS = ("none", "avg_pool_3x3", "nor_conv_3x3", "nor_conv_1x1", "skip_connect")


def our_name(key: str) -> str:
    """Translate a layer name of NAS201Model (zero-cost-nas) to our supernet with five cells per stage."""
    head, _, rest = key.partition(".")
    if head == "stem":
        return rest.replace("net.", "stem.")
    if head == "top":
        return rest
    if head.startswith("reduction"):
        place = {"1": 5, "2": 11}[head[-1]]
        return f"cells.{place}.{rest.replace('residual', 'downsample')}"
    cell, _, option, inner = rest.split(".", 3)
    edge, op = divmod(int(option), len(OPS))
    return f"cells.{6 * (int(head[-1]) - 1) + int(cell)}.edges.{ROWS[edge]}.{OPS[op]}.{inner}"


@pytest.mark.parametrize("name", PROXIES)
def test_proxies_match_on_a_tiny_network(golden: Callable[[str], Golden], name: str) -> None:
    stored = golden("zero_cost_nb201_tinynetwork")
    network, batch = tiny_network(stored), (stored.tensor("x"), stored.tensor("y"))
    found = PROXIES[name].layer_scores(network, batch, torch.Generator())
    keys = [f"{name.removeprefix('net.')}.weight" for name in stored.arrays["layer_names"].tolist()]
    assert [f"{layer}.weight" for layer in found] == list(
        translate_state_dict(dict.fromkeys(keys, stored.tensor("x")), network)
    )
    layers = f"{name.removesuffix('64')}_layers" + ("64" if name.endswith("64") else "")
    assert_golden(stored, layers, torch.stack(list(found.values())))
    assert_golden(stored, name, PROXIES[name](network, batch, torch.Generator()))


@pytest.mark.parametrize("name", PROXIES)
def test_proxies_match_on_a_full_network(golden: Callable[[str], Golden], name: str) -> None:
    """Execute all five ops on every edge; synflow keeps batch norm in the residual blocks."""
    stored = golden("zero_cost_nb201_nas201model")
    network, names = full_network(stored)
    batch = stored.tensor("x"), stored.tensor("y")
    proxy = Synflow(keep=["Reduction"]) if name == "synflow64" else PROXIES[name]
    found = {
        layer.removeprefix("supernet."): share
        for layer, share in proxy.layer_scores(network, batch, torch.Generator()).items()
    }
    assert set(found) == set(names.values())
    layers = f"{name.removesuffix('64')}_layers" + ("64" if name.endswith("64") else "")
    assert_golden(stored, layers, torch.stack([found[layer] for layer in names.values()]))
    assert_golden(stored, name, proxy(network, batch, torch.Generator()))


@pytest.mark.parametrize("file", ["tinynetwork", "nas201model"])
def test_naswot_and_jacob_cov_match(golden: Callable[[str], Golden], file: str) -> None:
    stored = golden(f"zero_cost_nb201_{file}")
    network = tiny_network(stored) if file == "tinynetwork" else full_network(stored)[0]
    batch = stored.tensor("x"), stored.tensor("y")
    assert_golden(stored, "jacob_cov", JacobCov()(network, batch, torch.Generator()))
    for dead in (False, True):
        assert_golden(stored, "nwot_K64", Naswot(dead=dead, also=["ReluConvNorm"]).kernel(network, batch[0]))
        assert_golden(stored, "nwot", Naswot(dead=dead, also=["ReluConvNorm"])(network, batch, torch.Generator()))


@pytest.mark.parametrize("rows", ["loop", "batched"])
@pytest.mark.parametrize("file", ["tenas_kappa_nb201", "tenas_kappa_darts"])
@pytest.mark.parametrize("fuse", [False, True])
def test_ntk_condition_number_matches_te_nas(
    golden: Callable[[str], Golden], file: str, rows: Rows, fuse: bool
) -> None:
    stored = golden(file)
    x = stored.tensor("x", torch.float64)
    kernels = torch.stack(
        [Ntk(rows=rows).kernel(pruned(stored, "ntk", alphas, fuse=fuse), x) for alphas in stored.tensor("alphas")]
    )
    assert_golden(stored, "ntk64", kernels)
    assert_golden(stored, "eigenvalues64", torch.linalg.eigvalsh(kernels))
    assert_golden(stored, "kappa64", [condition_number(kernel) for kernel in kernels])


@pytest.mark.parametrize("file", ["tenas_regions_nb201", "tenas_regions_darts"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_linear_regions_match_te_nas(golden: Callable[[str], Golden], file: str, dtype: torch.dtype) -> None:
    stored = golden(file)
    x = stored.tensor("x", dtype).flatten(0, 1)
    proxy = LinearRegions(chunk=stored.entry["case"]["batch"])
    patterns = [proxy.activation_patterns(pruned(stored, "regions", a, dtype), x) for a in stored.tensor("alphas")]
    assert_golden(stored, "neurons", [rows.shape[1] for rows in patterns])
    fused = [
        proxy.activation_patterns(pruned(stored, "regions", a, dtype, fuse=True), x) for a in stored.tensor("alphas")
    ]
    for found in (patterns, fused):
        assert [count_distinct_rows(rows) for rows in found] == stored.tensor("regions").round().int().tolist()
