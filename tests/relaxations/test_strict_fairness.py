"""Strict fairness: each weight step trains each op of each layer once, with summed gradients."""

from __future__ import annotations

from collections import Counter
from functools import partial

import pytest
import torch
from torch import Tensor

from nas.architecture.masks import Masks
from nas.relaxations.strict_fairness import StrictFairness
from nas.searches.gradient import GradientSearch
from nas.searches.step_macs import count_step_macs
from nas.searches.weight_step import WeightStep
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.single_path.mobilenet_v2 import MobileNetV2Space
from nas.utils.errors import NasError
from tests.support.error_tools import run

BLOCKS = ("mbconv3_3x3", "mbconv6_3x3", "mbconv3_5x5")
SMALL = {"widths": (4, 6), "depths": (2, 1), "strides": (1, 2), "stem_width": 4, "first_width": 4, "head": 8}
SPACE = MobileNetV2Space((3, 8, 8), 3, ops=BLOCKS, **SMALL)  # type: ignore[arg-type]
LAYERS = len(SPACE.cells["chain"].edges)


def test_paths_of_a_step_have_each_op_of_a_layer_once() -> None:
    torch.manual_seed(0)
    relaxation, masks = StrictFairness(SPACE.cells), Masks(SPACE.cells)
    orders: Counter[tuple[int, ...]] = Counter()
    for _ in range(600):
        paths = torch.stack([path["chain"].op for path in relaxation.weight_samples(masks)])
        assert paths.shape == (3, LAYERS, 3)
        assert torch.equal(paths.sum(0), torch.ones(LAYERS, 3)) and torch.equal(paths.sum(2), torch.ones(3, LAYERS))
        orders[tuple(paths.argmax(-1).flatten().tolist())] += 1
    assert len(orders) > 150, "216 orders: those of the layers are independent"
    assert len(relaxation.weight_samples(masks)[0]["chain"].active) == LAYERS


def test_step_follows_the_sum_of_the_gradients_of_its_paths() -> None:
    torch.manual_seed(0)
    rate = 0.1
    step = WeightStep(partial(torch.optim.SGD, lr=rate), clip_norm=None)
    search = GradientSearch(SPACE, StrictFairness, step).double()
    batch = (torch.randn(6, 3, 8, 8, dtype=torch.float64), torch.randint(3, (6,)))
    state = search.relaxation.generators.get_extra_state()
    paths = search.relaxation.weight_samples(search.masks)
    search.relaxation.generators.set_extra_state(state)
    weights = dict(search.supernet.named_parameters())
    expected = {name: weight.detach().clone() for name, weight in weights.items()}
    for path in paths:
        loss = search.task.loss(search.supernet(batch[0], path), batch[1])
        grads = torch.autograd.grad(loss, list(weights.values()), allow_unused=True)
        for (name, _), grad in zip(weights.items(), grads, strict=True):
            expected[name] -= rate * (torch.zeros_like(expected[name]) if grad is None else grad)
    logged: list[float] = []
    search.log_step = lambda phase, loss, logits, target: logged.append(float(loss))  # type: ignore[method-assign]
    search.manual_backward = Tensor.backward  # type: ignore[method-assign, assignment]
    step.take(search, search.relaxation, batch, torch.optim.SGD(search.supernet.parameters(), rate))
    for name, weight in weights.items():
        torch.testing.assert_close(weight.detach(), expected[name])
    assert len(logged) == 3


def test_spaces_with_unequal_layers_are_refused() -> None:
    with_skip = MobileNetV2Space((3, 8, 8), 3, ops=(*BLOCKS, "skip_connect"), **SMALL)  # type: ignore[arg-type]
    with pytest.raises(NasError, match=r"edges have 3 to 4 ops.*such as skip_connect"):
        StrictFairness(with_skip.cells)
    with pytest.raises(NasError, match=r"nodes of the cell 'normal' keep 2 of their edges"):
        StrictFairness(Darts((3, 8, 8), 3, channels=4, layers=3).cells)
    bench = NasBench201((3, 8, 8), 3, channels=2, cells_per_stage=1)
    searches = [GradientSearch(bench, kind, WeightStep(torch.optim.SGD)) for kind in (StrictFairness, Uniformly)]
    assert count_step_macs(searches[0]) == pytest.approx(5 * count_step_macs(searches[1])), "a path per op"


class Uniformly(StrictFairness):
    """The paths of ``Uniform``, one per step."""

    def weight_samples(self, masks: Masks) -> list[dict[str, object]]:  # type: ignore[override]
        return [self.sample_for_weights(masks)]  # type: ignore[list-item]


def test_one_shot_search_on_the_mobile_space(tmp_path: object) -> None:
    fair = "method.relaxation._target_=nas.relaxations.strict_fairness.StrictFairness"
    chain = [f"space.{key}={list(value) if isinstance(value, tuple) else value}" for key, value in SMALL.items()]
    data = ["dataset=synthetic", "dataset.shape=[3,8,8]", "dataset.size=32", "dataset.batch_size=8", "epochs=1"]
    given = ["method=one_shot", "space=mobile", *chain, *data, "method.callbacks.0.final=3", fair]
    run("search", *given, f"hydra.run.dir={tmp_path}/r").refused("edges have 6 to 7 ops", "skip_connect")
    ops = f"space.ops=[{','.join(BLOCKS)}]"
    run("search", *given, ops, "~callbacks.cell_plots", f"hydra.run.dir={tmp_path}/run").succeeded()
