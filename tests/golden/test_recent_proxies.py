"""Golden tests of ZiCo, AZ-NAS, MeCo, SWAP, WRCor, EPE-NAS, l2_norm and plain on the authors' networks."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.deploy.published_weights import load_published_weights
from nas.proxies.az_nas import Expressivity, Progressivity, block_spectra, feature_entropy, features, trainability
from nas.proxies.combined import combine_ranks
from nas.proxies.epe_nas import EpeNas, class_score
from nas.proxies.gradient_based import Plain
from nas.proxies.l2_norm import L2Norm
from nas.proxies.linear_regions import count_distinct_rows
from nas.proxies.meco import Meco
from nas.proxies.pruned import PrunedSupernet
from nas.proxies.swap import Swap, count_patterns, unit_signs
from nas.proxies.wrcor import WrCor
from nas.proxies.zico import zico_of_batches
from nas.spaces.base import Network
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from tests.golden.test_common import our_names
from tests.golden.test_proxies import our_name
from tests.support.golden_tools import Golden, assert_golden

pytestmark = pytest.mark.data
FILES = ("zcr_nb201_a", "zcr_darts_a")
DOUBLE = torch.float64


def build(stored: Golden, dtype: torch.dtype = DOUBLE) -> Network:
    """Build the network of a golden with its weights."""
    given, shape = stored.entry["constructor"], stored.arrays["x"].shape[1:]
    if "arch" in given:
        space: Any = NasBench201(shape, given["num_classes"])
        network = space.network(space.parse(given["arch"]), channels=given["C"], cells_per_stage=given["N"])
    else:
        space = Darts(shape, given["num_classes"])
        cells = {}
        for kind in ("normal", "reduce"):
            links = [Link(op, source, 2 + i // 2) for i, (op, source) in enumerate(given["genotype"][kind])]
            cells[kind] = CellGenotype(tuple(links), tuple(given["genotype"][f"{kind}_concat"]))
        stem = "none" if given["network"] == "SWAPNetwork" else "cifar"
        size = {"channels": given["C"], "layers": given["layers"], "auxiliary": False, "stem": stem}
        network = space.network(Genotype(space.notation, cells), **size)
    load_published_weights(network, stored.state())
    return network.to(dtype).train()


def batch_of(stored: Golden) -> tuple[Tensor, Tensor]:
    return stored.tensor("x", DOUBLE), stored.tensor("y")


def layers(stored: Golden, network: Network, found: dict[str, Tensor]) -> Tensor:
    """Return the shares in the order of the golden's layers, which are all layers."""
    names = [f"{name}.weight" for name in stored.arrays["layer_names"].tolist()]
    ours = [name.removesuffix(".weight") for name in our_names(names, network)]
    assert sorted(ours) == sorted(found)
    return torch.stack([found[name] for name in ours])


@pytest.mark.parametrize("file", FILES)
def test_layerwise_proxies_match(golden: Callable[[str], Golden], file: str) -> None:
    stored = golden(file)
    network, (x, y), generator = build(stored), batch_of(stored), torch.Generator()
    sizes = stored.arrays["zico_batch_sizes"].tolist()
    found = zico_of_batches(network, list(zip(x.split(sizes), y.split(sizes), strict=True)))
    assert_golden(stored, "zico_layers64", layers(stored, network, found))
    assert_golden(stored, "zico64", torch.stack(list(found.values())).sum())
    for name, proxy in (("l2_norm", L2Norm()), ("plain", Plain())):
        shares = layers(stored, network, proxy.layer_scores(network, (x, y), generator))
        torch.testing.assert_close(shares, stored.tensor(f"{name}_layers64"), rtol=1e-6, atol=1e-9)
        assert_golden(stored, f"{name}64", proxy(network, (x, y), generator))


@pytest.mark.parametrize("file", FILES)
def test_az_nas_matches(golden: Callable[[str], Golden], file: str) -> None:
    stored = golden(file)
    network = build(stored)
    x = batch_of(stored)[0][: int(stored.arrays["az_images"])]
    found = features(network, x, {}, gradients=True)
    entropies = torch.stack([feature_entropy(feature) for feature in found])
    assert_golden(stored, "az_expressivity_layers64", entropies)
    assert_golden(stored, "az_expressivity64", Expressivity().of_entropies(entropies))
    assert_golden(stored, "az_progressivity64", Progressivity().of_entropies(entropies))
    signs = [stored.tensor(f"az_draw_{i}", DOUBLE) for i in range(len(found) - 1)]
    spectra = block_spectra(found, signs)
    assert_golden(stored, "az_top_singular64", spectra)
    assert_golden(stored, "az_trainability64", trainability(spectra))


@pytest.mark.parametrize("file", [*FILES, "zcr_swap_cell_a"])
def test_activation_patterns_match(golden: Callable[[str], Golden], file: str) -> None:
    stored = golden(file)
    signs = unit_signs(build(stored, torch.float32), stored.tensor("x"))
    assert_golden(stored, "swap_units", np.int64(signs.shape[1]))
    assert_golden(stored, "swap", np.int64(count_distinct_rows(signs.T)))
    assert_golden(stored, "swap", np.int64(count_patterns(build(stored, torch.float32), stored.tensor("x"))))
    proxy = Swap(mu=float(stored.arrays["swap_mu"]), sigma=float(stored.arrays["swap_sigma"]))
    assert_golden(stored, "swap_factor64", proxy.size_factor(build(stored)))
    assert_golden(stored, "swap_regularised64", count_distinct_rows(signs.T) * proxy.size_factor(build(stored)))


@pytest.mark.parametrize("file", FILES)
def test_correlations_of_activations_and_gradients_match(golden: Callable[[str], Golden], file: str) -> None:
    stored = golden(file)
    network, (x, y) = build(stored), batch_of(stored)
    proxy = WrCor(also=["ReluConvNorm"])
    assert_golden(stored, "wrcor_K64", proxy.kernel(network, (x, y)))
    assert_golden(stored, "wrcor64", proxy(network, (x, y), torch.Generator()))


def test_classwise_correlations_match(golden: Callable[[str], Golden]) -> None:
    stored = golden("zcr_nb201_a")
    network, batch = build(stored), batch_of(stored)
    x = batch[0].clone().requires_grad_()
    (jacobian,) = torch.autograd.grad(network(x).sum(), x)
    labels = batch[1].unique()
    assert_golden(stored, "epe_classes", labels)
    scores = [class_score(jacobian.flatten(1)[batch[1] == label]).abs() for label in labels]
    assert_golden(stored, "epe_class_scores64", torch.stack(scores))
    for classes, name in (("outputs", "epe_nas"), ("few", "epe_original"), ("labels", "epe_wrcor_copy")):
        assert_golden(stored, f"{name}64", EpeNas(classes=classes)(network, batch, torch.Generator()))  # type: ignore[arg-type]


@pytest.mark.parametrize("file", FILES)
def test_shares_of_modules_match(golden: Callable[[str], Golden], file: str) -> None:
    """Each module of the authors' network has a counterpart with the same share."""
    stored = golden(file)
    network, x = build(stored), stored.tensor("x_meco", DOUBLE)
    found = np.array([float(value) for _, value in Meco().module_scores(network, x, torch.Generator())])
    for name, value in zip(stored.arrays["meco_module_names"], stored.arrays["meco_modules64"], strict=True):
        assert np.isclose(found, value, rtol=1e-6, atol=1e-9).any(), name
    if file == "zcr_nb201_a":  # the modules are nested in the same way
        assert_golden(stored, "meco64", found.sum())


CONTAINERS = {"stem.net": "stem", "top.global_pooling": "pool", "<root>": "supernet"}


def named(key: str) -> str:
    """Translate a name of NAS201Model to the network of the benchmark."""
    cell = re.fullmatch(r"stack_cell(\d)\.(\d)\.weight", key)
    if cell:
        return f"cells.{6 * (int(cell[1]) - 1) + int(cell[2])}.weight"
    return our_name(key) if "options" in key or key.startswith(("stem.", "top.", "reduction")) else key


def test_shares_of_modules_match_nas201model(golden: Callable[[str], Golden]) -> None:
    """NAS201Model computes an op without a container of its edge, and has a container of each stage."""
    stored = golden("zcr_meco_nas201_a")
    given, x = stored.entry["constructor"], stored.tensor("x_meco", DOUBLE)
    size = {"channels": given["C"], "cells_per_stage": 5, "track_statistics": False}
    space = NasBench201(x.shape[1:], given["num_classes"], **size)
    supernet = space.supernet()
    supernet.load_state_dict({named(key): value for key, value in stored.state().items()}, strict=False)
    arch = space.encode(space.parse(given["arch"]))
    network = PrunedSupernet(supernet, {name: weights.active for name, weights in arch.items()})
    shares = Meco().module_scores(network.double().train(), x, torch.Generator())
    found = {name.removeprefix("supernet."): float(value) for name, value in shares}
    compared, last = set(), float("nan")
    for name, value in zip(stored.arrays["meco_module_names"].tolist(), stored.arrays["meco_modules64"], strict=True):
        ours = CONTAINERS.get(name) or named(name + ".weight").removesuffix(".weight").replace("avgpool", "pool")
        compared.add(ours)
        last = 0.0 if ours.endswith(".none") else found.get(ours, last)  # a stage is a container of its last cell
        assert np.isclose(last, value, rtol=1e-6, atol=1e-9), name
    assert set(found) <= compared and len(found) == len(shares)


def test_sampled_channels_are_scaled() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1))
    proxy = Meco(channels=8)
    (_, first), (_, second) = proxy.module_scores(network, torch.randn(1, 3, 9, 9), torch.Generator().manual_seed(0))
    assert float(first) > 0 and float(second) > 0


def test_combination_of_ranks_matches_az_nas(golden: Callable[[str], Golden]) -> None:
    stored = golden("zcr_az_rank_a")
    names = ("expressivity64", "progressivity64", "trainability64", "complexity64")
    found = np.array(combine_ranks(np.stack([stored.arrays[name] for name in names], axis=1).tolist()))
    assert_golden(stored, "aggregate64", found)
    assert_golden(stored, "best", np.int64(found.argmax()))
    assert_golden(stored, "order", np.argsort(-found, kind="stable"))
    ranks = stats.rankdata(found), stats.rankdata(stored.arrays["accuracy64"])
    assert_golden(stored, "kendall64", stats.kendalltau(*ranks)[0])
    assert_golden(stored, "spearman64", stats.spearmanr(*ranks)[0])
