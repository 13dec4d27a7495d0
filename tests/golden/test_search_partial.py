"""Golden tests of the supernets with partial channels of PC-DARTS and DrNAS."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.architecture.cell import Architecture, CellGenotype, Genotype
from nas.architecture.masks import Masks
from nas.callbacks.schedules.stages import prune
from nas.deploy.published_weights import load_published_weights
from nas.nn.edges.partial_channels import PartialChannels
from nas.relaxations.dirichlet import Dirichlet, reparameterize
from nas.relaxations.edge_normalized import EdgeNormalized
from nas.relaxations.edgewise import RelaxedEdges
from nas.searches.gradient import GradientSearch
from nas.spaces.base import Space
from nas.spaces.darts.notation import DARTS_OPS
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from tests.golden.test_common import Comparison
from tests.support.golden_tools import Golden
from tests.support.search_tools import weight_step

pytestmark = pytest.mark.data

KINDS = ("normal", "reduce")


class Stored(Dirichlet):
    """A Dirichlet relaxation with given samples, one tensor per cell type."""

    thetas: dict[str, Tensor]

    def sample(self, masks: Masks) -> Architecture:
        self.names = iter(self.alpha)
        return super().sample(masks)

    def relax(self, alpha: Tensor, mask: Tensor) -> RelaxedEdges:
        self.now = next(self.names)
        return super().relax(alpha, mask)

    def sample_simplex(self, concentration: Tensor) -> Tensor:
        sample = reparameterize(concentration, self.thetas[self.now])
        sample.retain_grad()
        self.samples = {**getattr(self, "samples", {}), self.now: sample}
        return sample


def search(stored: Golden, space: Space, relaxation: Callable[..., object], portion: int) -> GradientSearch:
    """Build the search of the golden with the published weights."""
    found = GradientSearch(space, relaxation, weight_step(), edge=partial(PartialChannels, channel_divisor=portion))  # type: ignore[arg-type]
    load_published_weights(found.supernet, stored.state())
    return found.train()


def darts(stored: Golden, ops: tuple[str, ...], images: str) -> Darts:
    given = stored.entry["constructor"]
    shape = stored.arrays[images].shape[1:]
    return Darts(shape, given["num_classes"], channels=given["C"], layers=given["layers"], ops=ops)


def pairs(cell: CellGenotype) -> list[list[object]]:
    return [[link.op, link.source] for link in cell.links]


def assert_genotype(stored: Golden, found: Genotype) -> None:
    for kind in KINDS:
        assert pairs(found.cells[kind]) == stored.entry["genotype_result"][kind]


def test_edge_normalized_matches_pc_darts(golden: Callable[[str], Golden]) -> None:
    stored = golden("search_pcdarts_l4")
    compare = Comparison(stored)
    found = search(stored, darts(stored, DARTS_OPS, "x_val"), EdgeNormalized, 4)
    relaxation = found.relaxation
    assert isinstance(relaxation, EdgeNormalized)
    for kind in KINDS:
        relaxation.alpha[kind].data.copy_(stored.tensor(f"alphas_{kind}"))
        relaxation.beta[kind].data.copy_(stored.tensor(f"betas_{kind}"))
    x, y = stored.tensor("x_val"), stored.tensor("y_val")
    network, arch = found.supernet, relaxation.sample(found.masks)
    compare.equal("eval_logits_val", network.eval()(x, arch))
    compare.training_pass(network, x, y, arch, ("train_mode_logits_val", "loss_val", "grad_stem_conv_val"))
    for kind in KINDS:
        compare.equal(f"first_order/alphas_{kind}", relaxation.alpha[kind].grad)
        compare.equal(f"first_order/betas_{kind}", relaxation.beta[kind].grad)
    compare.finish()
    assert_genotype(stored, found.genotype())


def test_dirichlet_matches_drnas_on_darts(golden: Callable[[str], Golden]) -> None:
    stored = golden("search_drnas_darts_l4")
    compare = Comparison(stored)
    given = stored.entry["constructor"]
    kl = partial(Stored, regularizer="kl", reg_scale=given["reg_scale"])
    found = search(stored, darts(stored, DARTS_OPS[1:], "x"), kl, given["k"])
    relaxation = found.relaxation
    assert isinstance(relaxation, Stored)
    relaxation.thetas = {kind: stored.tensor(f"theta_{kind}") for kind in KINDS}
    for kind in KINDS:
        relaxation.alpha[kind].data.copy_(stored.tensor(f"alphas_{kind}"))
    arch = relaxation.sample(found.masks)
    for weights in arch.values():
        weights.op.retain_grad()  # the authors normalize a sample only after ops are pruned
    logits = found.supernet(stored.tensor("x"), arch)
    loss = F.cross_entropy(logits, stored.tensor("y"))
    loss.backward()
    compare.equal("logits", logits)
    compare.equal("ce", loss)
    penalty = relaxation.penalty()
    compare.equal("kl_reg", penalty)
    found_penalty = torch.autograd.grad(penalty, list(relaxation.alpha.values()))
    for kind, grad in zip(KINDS, found_penalty, strict=True):
        compare.equal(f"grad_theta_{kind}", arch[kind].op.grad)
        compare.equal(f"grad_ce/alphas_{kind}", relaxation.alpha[kind].grad)
        compare.equal(f"grad_kl/alphas_{kind}", grad)
    compare.finish()
    assert_genotype(stored, found.genotype())


def test_dirichlet_matches_drnas_after_pruning(golden: Callable[[str], Golden]) -> None:
    stored = golden("search_nb201_drnas_partial_pruned")
    compare = Comparison(stored)
    given = stored.entry["constructor"]
    shape = stored.arrays["x"].shape[1:]
    space = NasBench201(shape, given["num_classes"], channels=given["C"], cells_per_stage=given["N"], conv_bias=False)
    found = search(stored, space, partial(Stored, regularizer="kl", reg_scale=given["reg_scale"]), given["k"])
    relaxation = found.relaxation
    assert isinstance(relaxation, Stored)
    relaxation.thetas = {"cell": stored.tensor("theta")}
    alpha = relaxation.alpha["cell"]
    alpha.data.copy_(stored.tensor("alpha"))
    prune(found, stored.entry["case"]["num_keep"])
    compare.equal("alpha_after_pruning", alpha)
    compare.equal("mask", found.masks.table("cell").long())
    logits = found.supernet(stored.tensor("x"), relaxation.sample(found.masks))
    loss = F.cross_entropy(logits, stored.tensor("y"))
    loss.backward()
    assert alpha.grad is not None
    (penalty_grad,) = torch.autograd.grad(relaxation.penalty(), alpha)
    compare.equal("mixing_raw", relaxation.samples["cell"])
    compare.equal("grad_mixing_raw", relaxation.samples["cell"].grad)
    compare.equal("logits", logits)
    compare.equal("ce", loss)
    compare.equal("grad_alpha_ce", alpha.grad)
    compare.equal("kl_reg", relaxation.penalty())
    compare.equal("grad_alpha_kl", penalty_grad)
    compare.equal("loss_total", loss + relaxation.penalty())
    compare.equal("grad_alpha_total", alpha.grad + penalty_grad)
    compare.gradients(found.supernet)
    compare.finish()
    assert space.native(found.genotype()) == stored.entry["genotype_result"]
