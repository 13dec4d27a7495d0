"""Golden tests of AutoDL-Projects' NASNet-like supernets with softmax and Gumbel weights and fixed reduction cells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.architecture.masks import Masks
from nas.deploy.published_weights import load_published_weights
from nas.relaxations.base import Relaxation
from nas.relaxations.gumbel import Gumbel
from nas.relaxations.softmax import Softmax
from nas.searches.gradient import GradientSearch
from nas.spaces.base import Network
from nas.spaces.darts.notation import AUTODL_OPS
from nas.spaces.darts.space import Darts
from tests.golden.test_common import Comparison
from tests.support.golden_tools import Golden
from tests.support.search_tools import weight_step

pytestmark = pytest.mark.data

BOTH = {"normal": "arch_normal_parameters", "reduce": "arch_reduce_parameters"}
NORMAL = {"normal": "arch_parameters"}


def build(stored: Golden, fixed: bool = False) -> tuple[Darts, Network]:
    """Build the space of the golden, and its supernet with the published weights."""
    given = stored.entry["constructor"]
    space = Darts(
        stored.arrays["x"].shape[1:],
        given["num_classes"],
        channels=given["C"],
        layers=3 * given["N"],
        stem_multiplier=given["stem_multiplier"],
        ops=[AUTODL_OPS.get(op, op) for op in given["space"]],
        affine=given["affine"],
        pool_norm="none",
        repeats=True,
        lastact=True,
        conv_bias=None,
        fixed_reduction=fixed,
    )
    network = space.supernet()
    load_published_weights(network, stored.state())
    return space, network.train()


def set_alphas(relaxation: Relaxation, stored: Golden, names: Mapping[str, str]) -> None:
    for kind, name in names.items():
        relaxation.alpha[kind].data.copy_(stored.tensor(name))


def equal_gradients(compare: Comparison, network: Network, prefix: str = "") -> None:
    """Compare the gradient norms of all weights; the reference lists no biases of convolutions.

    A batch norm cancels them, but for those between the grouped convolutions of a fixed reduction cell, which the
    zeros around the maps keep from being constant.
    """
    for name, p in network.named_parameters():
        if name.endswith(".1.bias") and "conv_branches" in name:
            assert p.grad is not None and p.grad.norm() > 1e-5
            p.grad = None
    compare.gradients(network, prefix, unlisted=".bias")


def assert_genotype(space: Darts, relaxation: Relaxation, stored: Golden) -> None:
    """Compare with the authors' pooled derivation, in which two links of a node may share a predecessor."""
    search = GradientSearch(space, lambda cells: relaxation, weight_step())
    expected = stored.entry["genotype_result"]
    for kind, cell in search.genotype().cells.items():
        found = [(link.op, link.source, link.target) for link in cell.links]
        nodes: Sequence[Sequence[Sequence[object]]] = expected[kind]
        pairs = [(AUTODL_OPS.get(str(op), op), j, 2 + k) for k, node in enumerate(nodes) for op, j, _ in node]
        assert found == pairs


def test_softmax_matches_autodl(golden: Callable[[str], Golden]) -> None:
    stored = golden("search_nasnet_darts")
    compare = Comparison(stored)
    space, network = build(stored)
    relaxation = Softmax(space.cells)
    set_alphas(relaxation, stored, BOTH)
    arch = relaxation.sample(Masks(space.cells))
    logits = network(stored.tensor("x"), arch)
    loss = F.cross_entropy(logits, stored.tensor("y"))
    loss.backward()
    compare.equal("logits", logits)
    compare.equal("loss", loss)
    for kind, name in BOTH.items():
        compare.equal(f"probs/{name}", arch[kind].op)
        compare.equal(f"grad/{name}", relaxation.alpha[kind].grad)
    equal_gradients(compare, network)
    assert_genotype(space, relaxation, stored)
    compare.finish()


class StoredGumbel(Gumbel):
    """A Gumbel relaxation with given exponential variables, one tensor per cell type."""

    draws: list[Tensor]

    def noise(self, like: Tensor) -> Tensor:
        return -self.draws.pop(0).log()


@pytest.mark.parametrize(("name", "names"), [("gdas", BOTH), ("gdas_frc", NORMAL)])
def test_gumbel_matches_gdas(golden: Callable[[str], Golden], name: str, names: Mapping[str, str]) -> None:
    stored = golden(f"search_nasnet_{name}")
    compare = Comparison(stored)
    assert len(stored.entry["taus"]) == 2
    for i, tau in enumerate(stored.entry["taus"]):
        space, network = build(stored, fixed=name == "gdas_frc")
        assert list(space.cells) == list(names)
        found = {}
        for hard in (False, True):
            relaxation = StoredGumbel(space.cells, hard=hard, tau=tau)
            relaxation.draws = [stored.tensor(f"exponential/{a}")[i] for a in names.values()]
            set_alphas(relaxation, stored, names)
            found[hard] = relaxation.sample(Masks(space.cells))
        logits = network(stored.tensor("x"), found[True])
        loss = F.cross_entropy(logits, stored.tensor("y"))
        loss.backward()
        compare.equal(f"tau{i}/logits", logits)
        compare.equal(f"tau{i}/loss", loss)
        for kind, a in names.items():
            compare.equal(f"tau{i}/probs/{a}", found[False][kind].op)
            compare.equal(f"tau{i}/index/{a}", torch.tensor(found[True][kind].active).int().argmax(dim=-1))
            compare.equal(f"tau{i}/grad/{a}", relaxation.alpha[kind].grad)
        equal_gradients(compare, network, f"tau{i}/")
        assert_genotype(space, relaxation, stored)
    compare.finish()
