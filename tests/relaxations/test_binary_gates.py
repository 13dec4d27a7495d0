"""Tests of the binary gates of ProxylessNAS: samples, gradients against formulas, and the rescaling of alpha."""

from __future__ import annotations

import pytest
import torch

from nas.architecture.cell import Cell
from nas.architecture.masks import Masks
from nas.relaxations.binary_gates import GateRelaxation, Paths, rescale_pair
from nas.utils.errors import NasError

EDGES = 4000
OPS = ("a", "b", "c", "skip_connect")
LOGITS = torch.tensor([0.5, -1.0, 1.0, 0.2], dtype=torch.float64)


def build(paths: Paths, edges: int = EDGES, zero_ops: tuple[str, ...] = ()) -> GateRelaxation:
    cells = {"cell": Cell(((0, 1),) * edges, OPS, (1,), excluded=frozenset({(0, "a")}))}
    torch.manual_seed(0)
    relaxation = GateRelaxation(cells, paths, zero_ops).double()
    relaxation.alpha["cell"].data.copy_(LOGITS.expand(edges, -1))
    return relaxation


def test_weight_steps_sample_one_op_from_the_softmax() -> None:
    relaxation = build("all")
    found = relaxation.sample_for_weights(Masks(relaxation.cells))["cell"]
    assert found.measured is None and torch.equal(found.op, torch.tensor(found.active, dtype=found.op.dtype))
    assert found.op[0, 0] == 0 and (found.op.sum(dim=1) == 1).all() and not found.op.requires_grad
    torch.testing.assert_close(found.op[1:].mean(dim=0), LOGITS.softmax(dim=0), atol=0.03, rtol=0)


def test_all_gates_have_the_gradient_of_the_softmax() -> None:
    relaxation = build("all", edges=3)
    found, alpha = relaxation.sample(Masks(relaxation.cells))["cell"], relaxation.alpha["cell"]
    assert found.measured == [[False, True, True, True]] + 2 * [[True] * 4]
    assert torch.equal(found.op, torch.tensor(found.active, dtype=found.op.dtype)), "gates are exactly 0 and 1"
    gate = torch.randn(3, 4, dtype=torch.float64)
    (grad,) = torch.autograd.grad((found.op * gate).sum(), alpha)
    allowed = torch.tensor(found.measured)
    p = LOGITS.expand(3, -1).masked_fill(~allowed, -torch.inf).softmax(dim=1)
    torch.testing.assert_close(grad, p * (gate - (gate * p).sum(dim=1, keepdim=True)))


def test_two_gates_are_sampled_without_replacement() -> None:
    relaxation = build("two")
    found = relaxation.sample(Masks(relaxation.cells))["cell"]
    active, measured = torch.tensor(found.active), torch.tensor(found.measured)
    assert (measured.sum(dim=1) == 2).all() and (active.sum(dim=1) == 1).all() and (measured | ~active).all()
    p = LOGITS.softmax(dim=0)
    pairs = torch.stack([p[i] * sum(p[j] / (1 - p[j]) for j in range(4) if j != i) + p[i] for i in range(4)])
    # P(i in the pair) = p_i + sum_j p_j p_i / (1 - p_j)
    torch.testing.assert_close(measured[1:].double().mean(dim=0), pairs, atol=0.03, rtol=0)
    gate = torch.randn(EDGES, 4, dtype=torch.float64)
    (grad,) = torch.autograd.grad((found.op * gate).sum(), relaxation.alpha["cell"])
    p = LOGITS.expand(EDGES, -1).masked_fill(~measured, -torch.inf).softmax(dim=1)
    torch.testing.assert_close(grad, p * (gate - (gate * p).sum(dim=1, keepdim=True)))


def test_log_prob_is_that_of_the_active_ops() -> None:
    relaxation = build("all", edges=3)
    masks, alpha = Masks(relaxation.cells), relaxation.alpha["cell"]
    chosen = relaxation.sample(masks)["cell"].op.argmax(dim=1)
    arch = {"cell": relaxation.sample(masks)["cell"]._replace(op=torch.eye(4, dtype=torch.float64)[chosen])}
    p = LOGITS.expand(3, -1).masked_fill(~masks.table("cell"), -torch.inf).softmax(dim=1)
    found = relaxation.log_prob(arch, masks)
    torch.testing.assert_close(found, p.gather(1, chosen[:, None]).log().sum())
    (grad,) = torch.autograd.grad(found, alpha)
    torch.testing.assert_close(grad, arch["cell"].op - p)


def test_finish_step_keeps_the_sum_of_exponentials() -> None:
    relaxation = build("two", edges=6)
    masks, alpha = Masks(relaxation.cells), relaxation.alpha["cell"]
    measured = torch.tensor(relaxation.sample(masks)["cell"].measured)
    before = alpha.detach().clone()
    alpha.data += torch.randn_like(alpha) * measured
    after = alpha.detach().clone()
    relaxation.finish_step(masks)
    torch.testing.assert_close(alpha.exp().sum(dim=1), before.exp().sum(dim=1))
    assert torch.equal(alpha[~measured], before[~measured]), "ops that are not measured do not move"
    shift = (alpha - after)[measured].view(6, 2)
    torch.testing.assert_close(shift[:, 0], shift[:, 1], msg="one offset for both")
    moved = alpha.detach().clone()
    relaxation.finish_step(masks)
    assert torch.equal(alpha, moved), "once per step"


def test_rescale_pair_keeps_a_single_allowed_op() -> None:
    before, after = torch.tensor([[1.0, 9.0]]), torch.tensor([[3.0, 9.0]])
    torch.testing.assert_close(rescale_pair(before, after, torch.tensor([[True, False]])), before)


@pytest.mark.parametrize("paths", ["all", "two"])
def test_an_active_zero_op_leaves_alpha_without_a_gradient(paths: Paths) -> None:
    relaxation = build(paths, zero_ops=("skip_connect",))
    found = relaxation.sample(Masks(relaxation.cells))["cell"]
    (grad,) = torch.autograd.grad((found.op * torch.randn(4, dtype=torch.float64)).sum(), relaxation.alpha["cell"])
    zero = torch.tensor(found.active)[:, 3]
    assert zero.any() and (grad[zero] == 0).all() and (grad[~zero] != 0).any(dim=1).all()
    assert not torch.tensor(found.measured)[zero].any()


def test_unknown_number_of_paths_is_refused() -> None:
    with pytest.raises(NasError, match="GateRelaxation: paths=three: unknown"):
        GateRelaxation({"cell": Cell(((0, 1),), OPS, (1,))}, paths="three")  # type: ignore[arg-type]
