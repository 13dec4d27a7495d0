"""Golden tests of penalties on a search: beta-DARTS and Lambda-DARTS."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.optim import Adam

from nas.objectives.beta_decay import BetaDecay
from nas.objectives.cell_alignment import CellAlignment, correlation
from nas.searches.arch_step import ArchStep
from tests.golden.test_common import Comparison
from tests.support.golden_tools import Golden, assert_golden
from tests.support.recent_golden import DOUBLE, batch_of, nas_bench_201, norms, same

pytestmark = pytest.mark.data


def test_beta_decay_matches_beta_darts(golden: Callable[[str], Golden]) -> None:
    stored = golden("beta_decay_nb201")
    compare = Comparison(stored)
    for dtype in (torch.float32, DOUBLE):
        decay = BetaDecay(0.5 * int(stored.arrays["epoch"]))
        adam = partial(Adam, lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)
        search = nas_bench_201(stored, dtype, arch=ArchStep(adam, regularizer=decay))
        alpha = search.relaxation.alpha["cell"]
        penalty = decay(search.relaxation.alpha, search.masks) / decay.factor
        loss = search.loss(batch_of(stored, dtype))
        plain = loss - decay.factor * penalty
        (of_penalty,) = torch.autograd.grad(penalty, alpha, retain_graph=True)
        (of_loss,) = torch.autograd.grad(plain, alpha, retain_graph=True)
        (alpha.grad,) = torch.autograd.grad(loss, alpha)
        total = alpha.grad.clone()
        assert search.arch_step.optimizer is not None
        search.arch_step.optimizer([alpha]).step()
        if dtype == torch.float32:
            compare.equal("weight", np.float32(decay.factor))
            compare.equal("regulariser", penalty)
            compare.equal("regulariser_grad", of_penalty)
            compare.equal("val_loss", plain)
            compare.equal("val_grad", of_loss)
        suffix = "" if dtype == torch.float32 else "_64"
        compare.equal(f"alpha_grad{suffix}", total)
        compare.equal(f"alpha_after{suffix}", alpha)
    compare.finish()


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_cell_alignment_matches_lambda_darts(golden: Callable[[str], Golden], dtype: torch.dtype) -> None:
    stored = golden("lambda_nb201")
    suffix = "" if dtype == torch.float32 else "_64"
    own = [name for name in stored.entry["outputs"] if name.endswith("64") == bool(suffix) and "exact" not in name]
    compare = Comparison(stored, own)
    search = nas_bench_201(stored, dtype)
    x, y = batch_of(stored, dtype)
    alignment = CellAlignment(factor=1.0, radius=float(stored.arrays["epsilon_0"]))
    arch = {name: row.detach() for name, row in search.relaxation.sample(search.masks).items()}
    split = alignment.split(search.supernet, arch)
    loss = F.cross_entropy(search.supernet(x, split.arch), y)
    loss.backward()
    layers = torch.stack([shift.grad.flatten() for shift in split.shifts["cell"].values() if shift.grad is not None])
    directions = torch.stack(list(alignment.directions(split, same).values()))
    length = alignment.radius / directions.norm()
    weights = {name: p for name, p in search.supernet.named_parameters() if p.grad is not None}
    found = alignment.gradient(
        split, lambda other: F.cross_entropy(search.supernet(x, other), y), list(weights.values()), same
    )
    own_grads = {name: p.grad for name, p in weights.items() if p.grad is not None}
    pull = dict(zip(weights, found, strict=True))
    total = {name: grad + float(stored.arrays["lambda_"]) * pull[name] for name, grad in own_grads.items()}
    names = stored.arrays["param_names"].tolist()
    compare.equal(f"layer_grads{suffix}", layers)
    compare.equal(f"perturbations{suffix}", length * directions)
    compare.equal(f"reg_l2{suffix}", norms(names, search, pull).astype(stored.arrays[f"reg_l2{suffix}"].dtype))
    compare.equal(f"reg_stem{suffix}", pull["stem.0.weight"])
    compare.equal(f"total_l2{suffix}", norms(names, search, total).astype(stored.arrays[f"total_l2{suffix}"].dtype))
    compare.equal(f"total_stem{suffix}", total["stem.0.weight"])
    if not suffix:
        compare.equal("param_names", np.array(names))
        compare.equal("loss", loss)
        compare.equal("correlation", correlation(layers, "cosine"))
        compare.equal("epsilon", length)
        compare.equal("grad_l2", norms(names, search, own_grads).astype(np.float32))
        compare.equal("total_classifier", total["classifier.weight"])
    else:
        assert_golden(stored, "reg_stem_exact64", pull["stem.0.weight"])
        assert_golden(stored, "reg_exact64", norms(names, search, pull))
    compare.finish()
