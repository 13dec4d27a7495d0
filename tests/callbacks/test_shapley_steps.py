"""Steps along Shapley values (Shapley-NAS): an independent program, players, warm-up, resuming and refused options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor, nn
from torch.optim import SGD

from nas.architecture.cell import Architecture, EdgeWeights
from nas.callbacks.shapley_steps import Player, ShapleySteps, players_of
from nas.relaxations.edge_normalized import EdgeNormalized
from nas.relaxations.softmax import Softmax
from nas.searches.arch_step import ArchStep
from nas.searches.gradient import GradientSearch
from nas.spaces.base import Space
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_1shot1.space import NasBench1Shot1
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.compose_tools import lines, succeeded, tiny
from tests.support.error_tools import SEARCH, run
from tests.support.resume_tools import assert_equal, assert_same_run, checkpoint, kill, resume
from tests.support.resume_tools import run as run_whole
from tests.support.search_tools import weight_step

Data = list[tuple[Tensor, Tensor]]
LR, MOMENTUM = 0.1, 0.8
SPACES: dict[str, Callable[[], Space]] = {
    "darts": lambda: Darts((1, 6, 6), 3, channels=2, layers=3, ops=("skip_connect", "dil_conv_3x3"), nodes=2),
    "nas_bench_201": lambda: NasBench201((1, 8, 8), 3, channels=3, cells_per_stage=1),
}


class Stage:
    """A search in double precision with a trainer at the start of an epoch.

    Args:
        space: the space.
        relaxation: builds the relaxation.
        sizes: images of the validation batches.
        epochs: epochs of the search.
    """

    def __init__(
        self, space: Space, relaxation: Any = Softmax, sizes: Sequence[int] = (7, 4, 6), epochs: int = 4
    ) -> None:
        torch.manual_seed(0)
        step = ArchStep(partial(SGD, lr=LR), per_batch=False, warmup_share=0.5)
        self.search = GradientSearch(space, relaxation, weight_step(), step).double()
        self.data: Data = [(torch.randn(n, *space.shape).double(), torch.randint(3, (n,))) for n in sizes]
        sgd = SGD(self.search.relaxation.parameters(), lr=LR)
        self.search.optimizers = lambda: [None, SimpleNamespace(optimizer=sgd)]  # type: ignore[method-assign]
        self.logged: list[tuple[str, float, float, int]] = []
        self.search.log_scores = (  # type: ignore[method-assign]
            lambda phase, loss, score, size: self.logged.append((phase, float(loss), float(score), size))
        )
        self.trainer: Any = SimpleNamespace(
            max_epochs=epochs,
            current_epoch=0,
            received_sigterm=False,
            world_size=1,
            datamodule=SimpleNamespace(val_dataloader=lambda: self.data),
            strategy=SimpleNamespace(reduce=lambda tensor, reduce_op: tensor),
        )

    def start_epoch(self, callback: ShapleySteps, epoch: int) -> None:
        self.trainer.current_epoch = epoch
        callback.on_train_epoch_start(self.trainer, self.search)

    def alphas(self) -> dict[str, Tensor]:
        return {name: alpha.detach().clone() for name, alpha in self.search.relaxation.named_parameters()}


def accuracy(search: GradientSearch, tables: dict[str, Tensor], data: Data) -> float:
    """Return the accuracy in percent of the supernet under mixing weights, with the statistics of the batch."""
    for layer in search.supernet.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.track_running_stats = False
    arch = {name: EdgeWeights(table, [[True] * table.shape[1]] * len(table)) for name, table in tables.items()}
    with torch.no_grad():
        right = [int((search.supernet.train()(x, arch).argmax(1) == y).sum()) for x, y in data]
    return 100 * sum(right) / sum(len(y) for _, y in data)


def estimated(search: GradientSearch, batches: Sequence[Data], orders: Sequence[Sequence[int]]) -> np.ndarray:
    """Return the standardized values of all ops, [cells, edges, ops], removing one op after another as in the paper."""
    names = list(search.space.cells)
    softmax = torch.stack([search.relaxation.alpha[name].detach().softmax(-1) for name in names])
    drops = np.zeros((len(orders), softmax.numel()))
    for j, (data, order) in enumerate(zip(batches, orders, strict=True)):
        tables = softmax.clone()
        start = before = accuracy(search, dict(zip(names, tables, strict=True)), data)
        for player in order:
            tables.view(-1)[player] = 0
            after = accuracy(search, dict(zip(names, tables, strict=True)), data)
            drops[j, player] = before - after
            before = after
            if after < 0.5 * start:
                break
    values = (drops.mean(0) - drops.std(0)).reshape(softmax.shape)
    return np.stack([(v - v.mean()) / v.std(ddof=1) for v in values])


@pytest.mark.parametrize("space", SPACES)
def test_steps_equal_an_independent_program(space: str) -> None:
    """Two steps in float64, with the permutations of the relaxation's generator and batches in turn."""
    stage, twin = (Stage(SPACES[space](), partial(Softmax, init_std=1.0)) for _ in range(2))
    callback = ShapleySteps(samples=2, batches=2, momentum=MOMENTUM)
    count = sum(alpha.numel() for alpha in stage.search.relaxation.alpha.values())
    generator = torch.Generator()
    generator.set_state(twin.search.relaxation.generator(torch.device("cpu")).get_state())
    average = 0.0
    for epoch in (2, 3):
        stage.start_epoch(callback, epoch)
        orders = [torch.randperm(count, generator=generator).tolist() for _ in range(2)]
        turns = [[twin.data[(2 * j + i) % 3] for i in range(2)] for j in range(2)]
        average = MOMENTUM * average + (1 - MOMENTUM) * estimated(twin.search, turns, orders)
        for name, values in zip(twin.search.space.cells, average, strict=True):
            twin.search.relaxation.alpha[name].data += LR * torch.from_numpy(values)
        for name, alpha in twin.search.relaxation.alpha.items():
            # accuracies are float32
            torch.testing.assert_close(stage.search.relaxation.alpha[name], alpha, rtol=0, atol=1e-7)
    assert np.abs(average).max() > 0.1
    assert [entry[3] for entry in stage.logged] == [7, 4, 6, 7] * 2, "the whole supernet, once per permutation"


def test_estimate_changes_no_tensor_of_the_supernet() -> None:
    stage = Stage(SPACES["darts"]())
    before = {key: value.clone() for key, value in stage.search.supernet.state_dict().items()}
    modes = [module.training for module in stage.search.supernet.modules()]
    weights = [weight.grad for weight in stage.search.supernet.parameters()]
    stage.start_epoch(ShapleySteps(samples=1, batches=1), 2)
    assert all(torch.equal(value, before[key]) for key, value in stage.search.supernet.state_dict().items())
    assert [module.training for module in stage.search.supernet.modules()] == modes
    assert [weight.grad for weight in stage.search.supernet.parameters()] == weights


def test_warm_up_takes_no_step() -> None:
    stage, callback = Stage(SPACES["nas_bench_201"]()), ShapleySteps(samples=1, batches=1)
    before = stage.alphas()
    for epoch in (0, 1):
        stage.start_epoch(callback, epoch)
    assert all(torch.equal(alpha, before[name]) for name, alpha in stage.alphas().items()) and not stage.logged
    stage.start_epoch(callback, 2)
    assert not any(torch.equal(alpha, before[name]) for name, alpha in stage.alphas().items())


def test_masked_ops_and_edges_without_a_choice_are_no_players() -> None:
    stage = Stage(SPACES["nas_bench_201"]())
    keep = torch.ones(6, 5, dtype=torch.bool)
    keep[0, 3] = False
    keep[2, 1:] = False
    stage.search.masks.restrict("cell", keep)
    found = list(players_of(stage.search))
    keep[2] = False
    assert found == [Player("alpha.cell", position) for position in keep.flatten().nonzero().flatten().tolist()]
    before = stage.alphas()["alpha.cell"]
    stage.start_epoch(ShapleySteps(samples=1, batches=1), 2)
    moved = stage.alphas()["alpha.cell"] != before
    assert not moved[~keep].any() and moved[keep].any()


def test_search_without_a_choice_takes_no_step() -> None:
    stage = Stage(SPACES["nas_bench_201"]())
    keep = torch.zeros(6, 5, dtype=torch.bool)
    keep[:, 3] = True
    stage.search.masks.restrict("cell", keep)
    stage.start_epoch(ShapleySteps(samples=1, batches=1), 3)
    assert not stage.logged


@pytest.mark.parametrize(
    ("space", "relaxation"),
    [
        (lambda: NasBench1Shot1((1, 8, 8), 3, channels=4, cells_per_stage=1), Softmax),
        (SPACES["darts"], EdgeNormalized),
    ],
    ids=["nas_bench_1shot1", "edge_normalized"],
)
def test_edges_with_weights_are_players(space: Callable[[], Space], relaxation: Any) -> None:
    stage, callback = Stage(space(), relaxation), ShapleySteps(samples=1, batches=1)
    before = stage.alphas()
    stage.start_epoch(callback, 2)
    moved = {name for name, value in stage.alphas().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in moved} == {"alpha", "beta"}
    for name, value in stage.alphas().items():
        if name in callback.average:
            torch.testing.assert_close(value - before[name], LR * callback.average[name])


def test_state_restores_the_moving_average() -> None:
    whole, resumed = Stage(SPACES["nas_bench_201"]()), Stage(SPACES["nas_bench_201"]())
    first, second = (ShapleySteps(samples=2, batches=1) for _ in range(2))
    whole.start_epoch(first, 2)
    resumed.search.load_state_dict(whole.search.state_dict())
    second.load_state_dict(first.state_dict())
    whole.start_epoch(first, 3)
    resumed.start_epoch(second, 3)
    assert all(torch.equal(alpha, whole.alphas()[name]) for name, alpha in resumed.alphas().items())
    assert torch.equal(first.average["alpha.cell"], second.average["alpha.cell"])


def test_penalty_of_limits_is_subtracted_from_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """The costs of one op exceed a limit, and all other ops are free."""

    def percent(search: GradientSearch, arch: Architecture) -> Tensor:
        return 1e6 * arch["cell"].op[2, 3]

    monkeypatch.setattr("nas.callbacks.shapley_steps.percent_over_limits", percent)
    stage, callback = Stage(SPACES["nas_bench_201"]()), ShapleySteps(samples=1, batches=1)
    stage.start_epoch(callback, 2)
    assert callback.average["alpha.cell"].argmin() == 2 * 5 + 3


def test_signal_ends_an_estimate() -> None:
    stage = Stage(SPACES["nas_bench_201"]())
    stage.trainer.received_sigterm = True
    with pytest.raises(SIGTERMException):
        stage.start_epoch(ShapleySteps(), 2)


def test_second_half_of_a_search_takes_steps(tmp_path: Path) -> None:
    few = ("method.callbacks.0.samples=2", "method.callbacks.0.batches=1")
    run("search", *SEARCH, "method=shapley_nas", *few, "epochs=4", f"hydra.run.dir={tmp_path}").succeeded()
    history = lines(tmp_path / "history.jsonl")
    assert ["arch/accuracy" in line for line in history] == [False, False, True, True]
    assert history[0]["entropy"] == history[1]["entropy"] != history[2]["entropy"] != history[3]["entropy"]


def test_killed_search_resumes_with_its_moving_average(tmp_path: Path) -> None:
    """The killed epoch is the second one with a step, whose values include those of the first one."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    arguments = [*tiny("shapley_nas"), "method.callbacks.0.samples=1"]
    succeeded(run_whole("search", arguments, whole))
    kill("search", arguments, broken, epoch=3, batch=0)
    resume("search", broken)
    assert_same_run(whole, broken, "search")
    first, second = (checkpoint(directory)["callbacks"]["ShapleySteps"] for directory in (whole, broken))
    assert_equal(first, second, "average")
    assert first["average"]["alpha.cell"].abs().max() > 0


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("method.arch_step.per_batch=true", "Set method.arch_step.per_batch=false"),
        ("method.arch_step.optimizer=null", "ShapleySteps needs an optimizer"),
    ],
)
def test_other_steps_are_refused(option: str, message: str, tmp_path: Path) -> None:
    run("search", *SEARCH, "method=shapley_nas", option, f"hydra.run.dir={tmp_path}/r").refused(message)


@pytest.mark.parametrize("option", [{"momentum": 1.0}, {"threshold": 2.0}, {"samples": 0}, {"batches": 0}])
def test_options_have_ranges(option: dict[str, Any]) -> None:
    with pytest.raises(NasError, match=next(iter(option))):
        ShapleySteps(**option)


def test_validation_images_are_required() -> None:
    trainer: Any = SimpleNamespace(datamodule=SimpleNamespace(bilevel=False))
    with pytest.raises(NasError, match="bilevel"):
        ShapleySteps().setup(trainer, None, "fit")  # type: ignore[arg-type]
