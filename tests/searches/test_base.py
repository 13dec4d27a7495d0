"""Evaluation of an architecture with the weights of a supernet, and the observers of a search."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from nas.relaxations.softmax import Softmax
from nas.searches.base import Observation
from nas.searches.gradient import GradientSearch
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.search_tools import weight_step


def build() -> GradientSearch:
    torch.manual_seed(0)
    space = NasBench201((3, 8, 8), 10, channels=2, cells_per_stage=1)
    return GradientSearch(space, Softmax, weight_step()).double()


def test_evaluate_uses_batch_statistics_and_changes_nothing() -> None:
    search = build().eval()
    x, y = torch.randn(8, 3, 8, 8, dtype=torch.float64), torch.randint(10, (8,))
    arch = search.relaxation.sample(search.masks)
    before = {name: value.clone() for name, value in search.state_dict().items() if torch.is_tensor(value)}
    loss, accuracy = search.evaluate((x, y), arch)
    assert not search.supernet.training
    assert all(torch.equal(value, search.state_dict()[name]) for name, value in before.items())
    with torch.no_grad():
        logits = search.supernet.train()(x, arch)
    torch.testing.assert_close(loss, F.cross_entropy(logits, y))
    assert float(accuracy) == 100 * float((logits.argmax(1) == y).double().mean())
    with torch.no_grad():
        assert not torch.allclose(logits, build().eval().supernet(x, arch)), "running statistics give something else"


def test_observers_see_the_step_of_a_loss() -> None:
    search, seen = build(), list[Observation]()
    search.observers.append(seen.append)
    loss = torch.ones((), requires_grad=True)
    for phase in ("train", "arch"):
        search.observe(phase, loss, (torch.zeros(1), torch.zeros(1)), {})
    assert [found.phase for found in seen] == ["train", "arch"] and not any(found.loss.requires_grad for found in seen)
