"""Golden tests of DARTS: supernet, first-order and second-order gradients of the authors' program."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.optim import SGD

from nas.deploy.published_weights import load_published_weights, translate_state_dict
from nas.gradients.base import ArchGradient, Batch, BilevelStep, Weights
from nas.gradients.first_order import FirstOrder
from nas.gradients.unrolled import Unrolled
from nas.relaxations.softmax import Softmax
from nas.searches.gradient import GradientSearch
from nas.searches.weight_step import WeightStep
from nas.spaces.darts.space import Darts
from tests.golden.test_common import Comparison
from tests.support.golden_tools import Golden

pytestmark = pytest.mark.data

NAME = "search_darts_l4"
SECOND_ORDER = ("nomom", "mom")
DOUBLE = ("nomom_float64", "mom_float64", "nomom_exact64", "mom_exact64")
ALPHAS = {"normal": "alphas_normal", "reduce": "alphas_reduce"}


def part_of(output: str) -> str:
    """Return the part of the golden that contains an output: ``plain`` or a case of the second order."""
    found = re.search(r"(nomom|mom)(_float64|_exact64)?(/|$)", output)
    return f"{found[1]}{found[2] or ''}" if found else "plain"


def part(stored: Golden, name: str) -> Comparison:
    """Return a comparison of the outputs of one part."""
    outputs = stored.entry["outputs"]
    assert {part_of(output) for output in outputs} == {"plain", *SECOND_ORDER, *DOUBLE}
    return Comparison(stored, [output for output in outputs if part_of(output) == name])


def sgd(stored: Golden) -> Callable[[Iterable[Tensor]], SGD]:
    """Return the factory of the weight optimizer."""
    hyper = stored.entry["hyper"]
    return partial(SGD, lr=hyper["eta"], momentum=hyper["momentum"], weight_decay=hyper["weight_decay"])


def build(stored: Golden, dtype: torch.dtype = torch.float32) -> GradientSearch:
    """Build the search of the golden in training mode."""
    given = stored.entry["constructor"]
    space = Darts(
        stored.arrays["x_val"].shape[1:],
        given["num_classes"],
        channels=given["C"],
        layers=given["layers"],
        stem_multiplier=given["stem_multiplier"],
    )
    search = GradientSearch(space, Softmax, WeightStep(sgd(stored))).to(dtype)
    load_published_weights(search.supernet, stored.state())
    for kind, name in ALPHAS.items():
        search.relaxation.alpha[kind].data.copy_(stored.tensor(name))
    return search.train()


def load(stored: Golden, half: str, dtype: torch.dtype = torch.float32) -> Batch:
    return stored.tensor(f"x_{half}", dtype), stored.tensor(f"y_{half}")


class Gradient:
    """An architecture gradient, with the losses and the tensors that it averages over ranks."""

    def __init__(self, stored: Golden, method: ArchGradient, momentum: bool, dtype: torch.dtype) -> None:
        search = build(stored, dtype)
        weights = dict(search.supernet.named_parameters())
        optimizer = sgd(stored)(weights.values())
        if momentum:
            buffers = translate_state_dict(stored.state("momentum/", dtype), search.supernet)
            assert set(buffers) == set(weights)
            for name, buffer in buffers.items():
                optimizer.state[weights[name]]["momentum_buffer"] = buffer
        before = [p.detach().clone() for p in weights.values()]
        self.losses: list[Tensor] = []
        self.reduced: list[list[Tensor]] = []

        def loss(batch: Batch, weights: Weights | None = None) -> Tensor:
            self.losses.append(search.loss(batch, weights))
            return self.losses[-1]

        def reduce(tensors: list[Tensor]) -> list[Tensor]:
            self.reduced.append(tensors)
            return tensors

        alphas = [search.relaxation.alpha[kind] for kind in ALPHAS]
        train, val = load(stored, "train", dtype), load(stored, "val", dtype)
        self.found = method(BilevelStep(loss, alphas, weights, train, val, optimizer, reduce))
        assert all(torch.equal(old, new) for old, new in zip(before, weights.values(), strict=True))


def equal(compare: Comparison, prefix: str, found: list[Tensor]) -> None:
    """Compare one tensor per alpha."""
    for name, got in zip(ALPHAS.values(), found, strict=True):
        compare.equal(f"{prefix}/{name}", got)


def test_first_order_gradient_and_supernet_match_darts(golden: Callable[[str], Golden]) -> None:
    stored = golden(NAME)
    compare = part(stored, "plain")
    search = build(stored)
    x, y = load(stored, "val")
    network, arch = search.supernet, search.relaxation.sample(search.masks)
    compare.equal("eval_logits_val", network.eval()(x, arch))
    compare.training_pass(network, x, y, arch, ("train_mode_logits_val", "loss_val", "grad_stem_conv_val"))
    equal(compare, "first_order", Gradient(stored, FirstOrder(), False, torch.float32).found)
    compare.finish()


@pytest.mark.parametrize("case", SECOND_ORDER)
def test_unrolled_gradient_matches_darts(golden: Callable[[str], Golden], case: str) -> None:
    stored = golden(NAME)
    compare = part(stored, case)
    hyper = stored.entry["hyper"]
    run = Gradient(stored, Unrolled(radius=hyper["hvp_r"]), case == "mom", torch.float32)
    _, ahead, *sides = run.losses
    _, found, hessian = run.reduced
    assert len(sides) == 2
    equal(compare, f"second_order_{case}", run.found)
    equal(compare, f"alpha_grad_at_unrolled_{case}", found[:2])
    equal(compare, f"hessian_vector_{case}", [product / hyper["eta"] for product in hessian])
    compare.equal(f"unrolled_loss_val_{case}", ahead)
    norm = torch.cat([gradient.flatten() for gradient in found[2:]]).norm()
    compare.equal(f"unrolled_weight_grad_norm_{case}", norm)
    compare.finish()


@pytest.mark.parametrize("case", DOUBLE)
def test_unrolled_gradient_matches_darts_in_double_precision(golden: Callable[[str], Golden], case: str) -> None:
    stored = golden(NAME)
    compare = part(stored, case)
    method = Unrolled(radius=stored.entry["hyper"]["hvp_r"], exact=case.endswith("exact64"))
    run = Gradient(stored, method, case.startswith("mom"), torch.float64)
    assert len(run.losses) == (2 if method.exact else 4)
    equal(compare, f"second_order_{case}", run.found)
    compare.finish()


def test_genotype_matches_darts(golden: Callable[[str], Golden]) -> None:
    stored = golden(NAME)
    expected = stored.entry["genotype_result"]
    found = build(stored).genotype()
    for kind in ALPHAS:
        assert [[link.op, link.source] for link in found.cells[kind].links] == expected[kind]
        assert list(found.cells[kind].output) == expected[f"{kind}_concat"]
