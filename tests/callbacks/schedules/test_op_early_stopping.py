"""OLES: scores against loops, decisions, frozen ops, samples, resume and refused searches."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.optim import SGD

from nas.callbacks.schedules.dots import DotsStages
from nas.callbacks.schedules.op_early_stopping import OpEarlyStopping, WatchedOp, kernel_similarity, watched_ops
from nas.callbacks.schedules.p_darts import PDartsStages
from nas.gradients.clipped import Clipped
from nas.gradients.mixed_level import MixedLevel
from nas.gradients.unrolled import Unrolled
from nas.nn.edges.entangled import EntangledEdge
from nas.nn.edges.mixed import MixedEdge
from nas.relaxations.gumbel import Gumbel
from nas.relaxations.softmax import Softmax
from nas.searches.arch_step import ArchStep
from nas.searches.gradient import GradientSearch
from nas.searches.weight_step import WeightStep
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.callbacks.schedules.test_stages import fitted
from tests.support.resume_in_process import assert_resumes_bit_equal


def build(callback: Any = None, relaxation: Any = Softmax, space: Any = None, **arch: Any) -> GradientSearch:
    torch.manual_seed(0)
    space = NasBench201((3, 8, 8), 10, channels=2, cells_per_stage=1) if space is None else space
    weights = WeightStep(
        partial(SGD, lr=0.1, momentum=0.9, weight_decay=0.1), decay_unsampled_weights=arch.pop("decays", False)
    )
    edge = arch.pop("edge", MixedEdge)
    step = ArchStep(**{"optimizer": partial(torch.optim.Adam, lr=0.01), **arch})
    return GradientSearch(space, relaxation, weights, step, edge, callbacks=[callback] if callback else [])


class Weights(pl.Callback):
    """Record all weights after each step."""

    def __init__(self) -> None:
        self.seen: list[dict[str, torch.Tensor]] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, *rest: Any) -> None:
        self.seen.append({name: w.detach().clone() for name, w in pl_module.supernet.named_parameters()})


def test_kernel_similarity_is_the_mean_of_cosines_along_output_channels() -> None:
    a, b = torch.randn(2, 3, 4, 2, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for n in range(3):
        values = []
        for i in range(2):
            for y in range(3):
                for x in range(3):
                    u, v = a[n, :, i, y, x], b[n, :, i, y, x]
                    values.append(float(u @ v / (u.norm() * v.norm())))
        assert float(kernel_similarity(a, b)[n]) == pytest.approx(sum(values) / 18, rel=1e-9)


def test_kernel_similarity_of_vectors_is_their_cosine() -> None:
    """The scales of an affine batch norm have one cosine (``cosine_similarity`` along dimension 0 in OLES)."""
    first, second = torch.tensor([[1.0, 2.0, 2.0], [0.0, 0.0, 0.0]]), torch.tensor([[2.0, 1.0, -2.0], [1.0, 1.0, 1.0]])
    torch.testing.assert_close(kernel_similarity(first, second), torch.zeros(2), atol=1e-7, rtol=0)
    torch.testing.assert_close(kernel_similarity(first, first + second)[0], torch.tensor(0.5**0.5))


def test_watched_ops_are_convolutions_with_their_kernels() -> None:
    ops = list(watched_ops(build(space=Darts((3, 8, 8), 10, channels=2, layers=3))))
    assert len(ops) == 3 * 14 * 4, "no pools, no skips of stride 2"
    assert {len(op.kernels) for op in ops} == {2, 4} and {op.cell for op in ops} == {"normal", "reduce"}
    ops = list(watched_ops(build()))
    assert len(ops) == 3 * 6 * 2 and {len(op.kernels) for op in ops} == {1}
    assert all(set(op.kernels) < set(op.weights) and ".bias" in op.weights[1] for op in ops), "biases have no score"


def test_score_of_an_op_is_the_mean_over_its_kernels_and_decisions_follow_the_window() -> None:
    weights = {name: nn.Parameter(torch.zeros(4, 2)) for name in ("a", "b", "c", "d")}
    ops = [WatchedOp("cell", 0, 0, ("a", "b"), ("a", "b", "d")), WatchedOp("cell", 0, 1, ("c",), ("c",))]
    callback = OpEarlyStopping(window=2, threshold=0.5, compared="validation")
    callback.watch(ops, weights, torch.device("cpu"))
    train = {name: torch.eye(4)[:, :2] for name in "abc"}
    val = {"a": train["a"], "b": -train["b"], "c": train["c"]}
    assert callback.scores(train, val, [0, 1]).tolist() == [0, 1] and callback.scores(train, val, [1]).tolist() == [
        0,
        1,
    ]
    callback.compared = "accumulated"
    assert callback.scores(train, {**val, "b": 2 * val["b"]}, [0, 1]).tolist() == [0, 1], "-b and b + (-2 b)"
    callback.compared = "validation"
    for step in range(3):
        assert callback.frozen == [] and callback.counts == [step, step]
        callback.add(train, val, [0, 1])
    assert callback.frozen == [0] and callback.counts == [0, 0] and callback.sums.tolist() == [0, 0]
    assert [name for name, w in weights.items() if not w.requires_grad] == ["a", "b", "d"]


@pytest.mark.filterwarnings("ignore")
def test_frozen_ops_stop_and_the_others_go_on() -> None:
    callback, seen = OpEarlyStopping(window=1, threshold=10.0), Weights()
    search = build(callback)
    fitted(search, 6, seen)
    # the first step has no earlier gradient, so that the second decision-making score is that of the third step
    assert sorted(callback.frozen) == list(range(36)) and callback.counts == [0] * 36
    watched = {name for op in callback.ops for name in op.weights}
    moved = [
        {n for n in now if not torch.equal(now[n], before[n])}
        for before, now in zip(seen.seen, seen.seen[1:], strict=False)
    ]
    assert moved[0] >= {name for op in callback.ops for name in op.kernels}
    assert all(not (names & watched) and "classifier.weight" in names for names in moved[1:])


@pytest.mark.filterwarnings("ignore")
def test_search_without_frozen_ops_is_unchanged() -> None:
    plain, watched = build(), build(OpEarlyStopping(window=1, threshold=-10.0))
    for search in (plain, watched):
        fitted(search, 4)
    assert [
        n
        for n, w in plain.state_dict().items()
        if "generators" not in n and not torch.equal(w, watched.state_dict()[n])
    ] == []


@pytest.mark.filterwarnings("ignore")
def test_scores_compare_the_last_weight_step_with_the_architecture_step() -> None:
    """Both steps of this data use the same batch: without steps in between, the two gradients are equal."""
    callback = OpEarlyStopping(window=100, compared="validation")
    search = build(callback)
    search.weight_step.optimizer = partial(SGD, lr=0.0)
    search.weight_step.clip_norm = None
    search.arch_step.optimizer = partial(torch.optim.SGD, lr=0.0)
    fitted(search, 3)
    assert callback.counts == [2] * 36
    equal = callback.scores(callback.last, callback.last, range(36))
    assert float(equal.mean()) > 0.95, "1, except for positions of a kernel without a gradient"
    torch.testing.assert_close(callback.sums, 2 * equal, rtol=1e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_sampled_ops_alone_have_scores() -> None:
    callback = OpEarlyStopping(window=100)
    search = build(callback, Gumbel)
    expected, last = [0] * 36, [False] * 36

    def count(seen: Any) -> None:
        nonlocal last
        now = [seen.arch[op.cell].active[op.edge][op.column] for op in callback.ops]
        if seen.phase == "train":
            last = now
        else:
            for i in range(36):
                expected[i] += now[i] and last[i]

    search.observers.append(count)
    fitted(search, 8)
    assert callback.counts == expected and 0 < sum(expected) < 7 * 36


@pytest.mark.filterwarnings("ignore")
def test_entangled_candidates_are_one_op() -> None:
    """The shared kernel has a score if the largest candidate is executed, and is frozen for all candidates."""
    callback, seen = OpEarlyStopping(window=1, threshold=10.0), Weights()
    fitted(build(callback, edge=EntangledEdge), 5, seen)
    assert len(callback.ops) == 18 and sorted(callback.frozen) == list(range(18))
    names = {name for op in callback.ops for name in op.kernels}
    assert all(".nor_conv_3x3." in name for name in names)
    assert all(not torch.equal(seen.seen[0][name], seen.seen[1][name]) for name in names)
    assert all(torch.equal(seen.seen[-2][name], seen.seen[-1][name]) for name in names)
    sampled = OpEarlyStopping(window=100)
    fitted(build(sampled, Gumbel, edge=EntangledEdge), 8)
    assert 0 < sum(sampled.counts) < 7 * 18


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("relaxation", "epochs", "threshold"), [(Softmax, 6, 1.9), (Gumbel, 14, 10.0)])
def test_resumed_search_freezes_the_same_ops(relaxation: Any, epochs: int, threshold: float, tmp_path: Path) -> None:
    found: list[OpEarlyStopping] = []

    def search() -> GradientSearch:
        found.append(OpEarlyStopping(window=1, threshold=threshold))
        return build(found[-1], relaxation, decays=relaxation is Gumbel)

    assert_resumes_bit_equal(search, epochs, epochs - 3, tmp_path)
    assert found[0].frozen == found[1].frozen and found[0].counts == found[1].counts and 0 < len(found[0].frozen) < 36


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gradient": Unrolled()}, "Unrolled has no plain gradient"),
        ({"gradient": Clipped(1.0, Unrolled())}, "Unrolled has no plain gradient"),
        ({"gradient": Clipped(1.0, MixedLevel())}, "MixedLevel has no plain gradient"),
        ({"single_level": True}, "same batch"),
        ({"optimizer": None}, "trains no alphas"),
        ({"per_batch": False}, "trains no alphas"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_searches_without_two_gradients_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(NasError, match=message) as error:
        fitted(build(OpEarlyStopping(), **options), 1)
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore")
def test_passes_are_refused() -> None:
    """The gradient of accumulated passes contains the mixing weights alone."""
    search = build(OpEarlyStopping())
    search.accumulate(2)
    with pytest.raises(NasError, match=r"^OpEarlyStopping: .* in one pass. Set dataset.batch_size=null"):
        fitted(search, 1)


def test_stages_are_refused() -> None:
    search = build(space=Darts((3, 8, 8), 10, channels=2, layers=3))
    search.callbacks = [PDartsStages([5], [1])]
    with pytest.raises(NasError, match="PDartsStages replaces the ops"):
        OpEarlyStopping().on_train_start(None, search)  # type: ignore[arg-type]
    with pytest.raises(NasError, match="PDartsStages and DotsStages both replace"):
        GradientSearch(search.space, Softmax, search.weight_step, callbacks=[PDartsStages([5], [1]), DotsStages()])


def test_unknown_comparison_is_refused() -> None:
    with pytest.raises(NasError, match="compared=plain: unknown"):
        OpEarlyStopping(compared="plain")  # type: ignore[arg-type]
