"""Low-rank adaptation in a search: frozen kernels, optimizer, resume and refused searches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nas.callbacks.schedules.low_rank import LowRankAdaptation
from nas.gradients.unrolled import Unrolled
from nas.nn.edges.entangled import EntangledEdge
from nas.nn.edges.mixed import MixedEdge
from nas.searches.gradient import GradientSearch
from nas.spaces.darts.space import Darts
from nas.spaces.nats_size.space import NatsSize
from nas.utils.errors import NasError
from tests.callbacks.schedules.test_op_early_stopping import Weights
from tests.callbacks.schedules.test_stages import fitted, tiny
from tests.support.resume_in_process import assert_resumes_bit_equal

KERNEL, UPDATE = ".parametrizations.weight.original", ".parametrizations.weight.0."


def build(space: Any = None, edge: Any = MixedEdge, **options: Any) -> GradientSearch:
    return tiny(edge, space=space, callbacks=[LowRankAdaptation(rank=1, warmup_epochs=2)], **options)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("gradient", [None, Unrolled()])
def test_kernels_are_frozen_after_the_warm_up(gradient: Any) -> None:
    search, seen = build(Darts((3, 8, 8), 10, channels=4, layers=3)), Weights()
    search.arch_step.gradient = search.arch_step.gradient if gradient is None else gradient
    names = [n for n, p in search.supernet.named_parameters() if ".graph.edges." in n and p.dim() == 4]
    trainer = fitted(search, 4, seen)
    assert search.stage == 1 and list(search.weights.values()) == trainer.optimizers[0].param_groups[0]["params"]
    frozen = {n for n, p in search.supernet.named_parameters() if not p.requires_grad}
    assert frozen == {n.removesuffix(".weight") + KERNEL for n in names}, "strided skips included"
    for name in names:
        kernel = search.weights[name.removesuffix(".weight") + KERNEL]
        assert (
            torch.equal(kernel, seen.seen[1][name]) and not torch.equal(seen.seen[0][name], kernel) or "reduce" in name
        )
    moved = {n for n in seen.seen[2] if not torch.equal(seen.seen[2][n], seen.seen[3][n])}
    assert any(n.endswith(UPDATE + "up") for n in moved) and any(n.endswith(UPDATE + "down") for n in moved)
    assert "classifier.weight" in moved and not moved & frozen
    search.space.check(search.genotype())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("after", [0, 2])
def test_search_resumes_before_and_after_the_adaptation(after: int, tmp_path: Path) -> None:
    assert_resumes_bit_equal(build, 4, after, tmp_path)


@pytest.mark.filterwarnings("ignore")
def test_warm_up_as_long_as_the_search_is_refused() -> None:
    with pytest.raises(NasError, match=r"^epochs=2: .* warm-up of 2 epochs. .*method.arch_step.warmup_epochs=0.$"):
        fitted(build(), 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"edge": EntangledEdge}, "EntangledEdge shares kernels"),
        ({"space": NatsSize((3, 8, 8), 10, (2, 3, 5, 8))}, "no candidate ops with kernels"),
    ],
)
def test_searches_without_own_kernels_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(NasError, match=message):
        build(**options)
