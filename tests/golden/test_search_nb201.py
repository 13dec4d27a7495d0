"""Golden tests of NAS-Bench-201 supernets with softmax, Dirichlet and Gumbel weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.architecture.cell import Genotype
from nas.architecture.discretization import discretize
from nas.architecture.masks import Masks
from nas.deploy.published_weights import load_published_weights
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.relaxations.base import Relaxation
from nas.relaxations.dirichlet import Dirichlet, reparameterize
from nas.relaxations.gumbel import Gumbel
from nas.relaxations.softmax import Softmax
from nas.spaces.base import Network
from nas.spaces.nas_bench_201.space import NasBench201
from tests.golden.test_common import Comparison
from tests.support.golden_tools import Golden, assert_golden

pytestmark = pytest.mark.data

# AutoDL-Projects' convolutions have biases that the batch norm behind them cancels.
CONV_BIAS = ".op.1.bias"


def build(stored: Golden, conv_bias: bool | None = None, edge: EdgeFactory = MixedEdge) -> tuple[NasBench201, Network]:
    """Build the space of the golden, and its supernet with the published weights."""
    given = stored.entry["constructor"]
    shape = stored.arrays["x"].shape
    space = NasBench201(
        shape[1:], given["num_classes"], channels=given["C"], cells_per_stage=given["N"], conv_bias=conv_bias
    )
    network = space.supernet(edge)
    load_published_weights(network, stored.state())
    return space, network.train()


def alpha_of(relaxation: Relaxation, stored: Golden) -> Tensor:
    """Set alpha to the values of the golden, and return it."""
    alpha = relaxation.alpha["cell"]
    alpha.data.copy_(stored.tensor("alpha"))
    return alpha


def genotype(space: NasBench201, relaxation: Relaxation) -> str:
    """Return the genotype of the relaxation as a native string."""
    cell = discretize(space.cells["cell"], relaxation.scores(Masks(space.cells))["cell"])
    return space.native(Genotype(space.notation, {"cell": cell}))


def test_softmax_matches_autodl(golden: Callable[[str], Golden]) -> None:
    stored = golden("search_nb201_softmax_darts")
    compare = Comparison(stored)
    space, network = build(stored)
    relaxation = Softmax(space.cells)
    alpha = alpha_of(relaxation, stored)
    x, y = stored.tensor("x"), stored.tensor("y")
    arch = relaxation.sample(Masks(space.cells))
    arch["cell"].op.retain_grad()

    compare.equal("eval_logits", network.eval()(x, arch))
    out = network.train().outputs(x, arch)
    loss = F.cross_entropy(out.logits, y)
    loss.backward()
    compare.equal("mixing_weights", arch["cell"].op)
    compare.equal("train_features", out.features)
    compare.equal("train_logits", out.logits)
    compare.equal("train_loss", loss)
    compare.equal("grad_mixing_weights", arch["cell"].op.grad)
    compare.equal("grad_alpha", alpha.grad)
    compare.equal("grad_stem_conv", network.get_parameter("stem.0.weight").grad)
    compare.gradients(network, unlisted=CONV_BIAS)
    assert genotype(space, relaxation) == stored.entry["genotype_result"]
    compare.finish()


class StoredDirichlet(Dirichlet):
    """A Dirichlet relaxation with a given sample."""

    theta: Tensor

    def sample_simplex(self, concentration: Tensor) -> Tensor:
        return reparameterize(concentration, self.theta)


@pytest.mark.parametrize("species", ["dirichlet", "softmax"])
def test_dirichlet_matches_drnas(golden: Callable[[str], Golden], species: str) -> None:
    stored = golden(f"search_nb201_drnas_{species}")
    compare = Comparison(stored)
    space, network = build(stored, conv_bias=False)
    relaxation: Relaxation = Softmax(space.cells)
    if species == "dirichlet":
        given = stored.entry["constructor"]
        relaxation = StoredDirichlet(space.cells, regularizer=given["reg_type"], reg_scale=given["reg_scale"])
        relaxation.theta = stored.tensor("theta")
    alpha = alpha_of(relaxation, stored)
    arch = relaxation.sample(Masks(space.cells))
    arch["cell"].op.retain_grad()
    logits = network(stored.tensor("x"), arch)
    loss = F.cross_entropy(logits, stored.tensor("y"))
    loss.backward()
    assert alpha.grad is not None
    grad = alpha.grad.clone()
    compare.equal("logits", logits)
    compare.equal("ce", loss)
    compare.equal("mixing_raw", arch["cell"].op)
    compare.equal("grad_mixing_raw", arch["cell"].op.grad)
    compare.equal("grad_alpha_ce", grad)
    compare.gradients(network)
    if species == "dirichlet":
        # normalization hides a part of the pathwise derivative, which is therefore compared separately
        sample = reparameterize(F.elu(alpha) + 1, stored.tensor("theta"))
        (direct,) = torch.autograd.grad(sample, alpha, stored.tensor("grad_mixing_raw"))
        assert_golden(stored, "grad_alpha_ce", direct)
        penalty = relaxation.penalty()
        assert isinstance(penalty, Tensor)
        (grad_penalty,) = torch.autograd.grad(penalty, alpha)
        compare.equal("kl_reg", penalty)
        compare.equal("grad_alpha_kl", grad_penalty)
        compare.equal("loss_total", loss + penalty)
        compare.equal("grad_alpha_total", grad + grad_penalty)
    assert genotype(space, relaxation) == stored.entry["genotype_result"]
    compare.finish()


@pytest.mark.parametrize("add_inactive", [True, False])
def test_gumbel_matches_gdas(
    golden: Callable[[str], Golden], monkeypatch: pytest.MonkeyPatch, add_inactive: bool
) -> None:
    stored = golden("search_nb201_gdas")
    compare = Comparison(stored)
    taus = stored.entry["taus"]
    for i, tau in enumerate(taus):
        draws = stored.tensor("exponential")[i]
        monkeypatch.setattr(Tensor, "exponential_", lambda self, generator, draws=draws: self.copy_(draws))
        run_gdas(compare, f"tau{i}/", tau, add_inactive)
    other = "grad_alpha_executed_only" if add_inactive else "grad_alpha"
    assert len(taus) == 2 and compare.left == {f"tau{i}/{other}" for i in range(2)}


def run_gdas(compare: Comparison, prefix: str, tau: float, add_inactive: bool) -> None:
    """Compare one temperature of the golden, with a newly loaded network."""
    stored = compare.golden
    space, network = build(stored, edge=partial(MixedEdge, add_inactive=add_inactive))
    masks = Masks(space.cells)
    soft = Gumbel(space.cells, hard=False, tau=tau)
    compare.equal(f"{prefix}gumbel", soft.noise(alpha_of(soft, stored)))
    compare.equal(f"{prefix}probs", soft.sample(masks)["cell"].op)

    relaxation = Gumbel(space.cells, hard=True, tau=tau)
    alpha = alpha_of(relaxation, stored)
    arch = relaxation.sample(masks)
    active = torch.tensor(arch["cell"].active)
    assert active.sum() == len(active)
    assert torch.equal(arch["cell"].op.detach().round(), active.float())
    compare.equal(f"{prefix}index", active.int().argmax(dim=-1))

    logits = network(stored.tensor("x"), arch)
    loss = F.cross_entropy(logits, stored.tensor("y"))
    loss.backward()
    compare.equal(f"{prefix}logits", logits)
    compare.equal(f"{prefix}loss", loss)
    compare.equal(f"{prefix}grad_alpha{'' if add_inactive else '_executed_only'}", alpha.grad)
    compare.gradients(network, prefix, unlisted=CONV_BIAS)
    assert genotype(space, relaxation) == stored.entry["genotype_result"]
