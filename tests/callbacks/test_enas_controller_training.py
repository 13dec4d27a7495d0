"""ENAS controller: probabilities by enumeration, the exact REINFORCE gradient, and the baseline."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.architecture.cell import Cell
from nas.architecture.masks import Masks
from nas.callbacks.enas_controller_training import ControllerTraining
from nas.callbacks.selection.select_best import SelectSampled
from nas.relaxations.enas_controller import Controller, SampledPath
from nas.searches.arch_step import ArchStep
from nas.searches.gradient import GradientSearch
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.notation import CELL
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.search_tools import weight_step

SHAPE = (3, 8, 8)
FLAT = {"cell": Cell(((0, 1), (0, 2)), ("a", "b", "c"), (2,), excluded=frozenset({(1, "b")}))}
NESTED = {
    "normal": Cell(
        ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3)),
        ("none", "a", "b"),
        (3,),
        inputs=2,
        excluded=frozenset((e, "b") for e in range(4)),
    ),
    "reduce": Cell(((0, 1),), ("b", "a"), (1,), inputs=2),
}


class OpenError(Exception):
    """Raised when all forced decisions are used."""

    def __init__(self, choices: list[int]) -> None:
        self.choices = choices


def controller(cells: dict[str, Cell], spread: float = 1.0) -> Controller:
    torch.manual_seed(0)
    return Controller(cells, hidden=4, spread=spread, temperature=1.0).double()


def every_path(monkeypatch: pytest.MonkeyPatch, written_by: Controller) -> list[SampledPath]:
    """Enumerate all sequences of decisions by forcing each in turn."""
    masks, found, scripts = Masks(written_by.cells), [], [[]]
    while scripts:
        script: list[int] = scripts.pop()
        left = iter(script)

        def forced(p: Tensor, generator: object, left: Any = left) -> Tensor:
            chosen = next(left, None)
            if chosen is None:
                raise OpenError(p.nonzero().flatten().tolist())
            return torch.tensor([chosen])

        with monkeypatch.context() as patch:
            patch.setattr("nas.relaxations.enas_controller.sample_categorical", forced)
            try:
                found.append(written_by.sample_path(masks))
            except OpenError as more:
                scripts += [[*script, choice] for choice in more.choices]
    return found


@pytest.mark.parametrize(("cells", "count"), [(FLAT, 3 * 2), (NESTED, (3 * 2 + 4) * 2)])
def test_probabilities_of_all_paths_sum_to_one(
    monkeypatch: pytest.MonkeyPatch, cells: dict[str, Cell], count: int
) -> None:
    paths = every_path(monkeypatch, controller(cells))
    assert len(paths) == count
    torch.testing.assert_close(torch.stack([path.log_prob for path in paths]).exp().sum().item(), 1.0)
    for path in paths:
        for name, cell in cells.items():
            active = torch.tensor(path.arch[name].active)
            assert torch.equal(path.arch[name].op, active.double()) and not active[~cell.allowed()].any()
            for node in cell.nodes:
                rows = cell.into(node)
                assert int(active[rows].sum()) == min(cell.inputs or len(rows), len(rows))
            assert "none" not in cell.ops or not active[:, 0].any()


def test_mean_of_decision_entropies_is_the_path_entropy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean over paths of the sum of the decisions' entropies is the entropy of the whole path (chain rule)."""
    paths = every_path(monkeypatch, controller(NESTED))
    p = torch.stack([path.log_prob for path in paths]).exp()
    mean = (p * torch.stack([path.entropy for path in paths])).sum()
    torch.testing.assert_close(mean, torch.special.entr(p).sum())


def test_samples_follow_the_path_probabilities(monkeypatch: pytest.MonkeyPatch) -> None:
    writer, masks = controller(FLAT), Masks(FLAT)
    law = {str(path.arch["cell"].active): path.log_prob.exp().item() for path in every_path(monkeypatch, writer)}
    drawn = [str(writer.sample(masks)["cell"].active) for _ in range(600)]
    for path, p in law.items():
        assert drawn.count(path) / 600 == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / 600))


@pytest.mark.parametrize("cells", [FLAT, NESTED])
def test_surrogate_gradient_is_that_of_the_expected_reward(
    monkeypatch: pytest.MonkeyPatch, cells: dict[str, Cell]
) -> None:
    """Compare the mean update over all paths with a finite difference of E[reward], for any baseline."""
    writer = controller(cells)
    rewards = torch.rand(200, dtype=torch.float64)
    reinforce = ControllerTraining(entropy_weight=0.0)
    reinforce.baseline = 0.3
    paths = every_path(monkeypatch, writer)
    losses = [
        p.log_prob.detach().exp() * reinforce.surrogate(p.log_prob, p.entropy, r)[0]
        for p, r in zip(paths, rewards, strict=False)
    ]
    torch.stack(losses).sum().backward()

    def value() -> float:
        found = every_path(monkeypatch, writer)
        return float(sum(p.log_prob.detach().exp() * r for p, r in zip(found, rewards, strict=False)))

    names = [n for n, p in writer.named_parameters() if p.grad is not None]
    assert {"first", "embedding.weight", "lstm.weight_hh_l1", "op_head.weight"} <= set(names)
    for name in (
        "first",
        "embedding.weight",
        "lstm.weight_ih_l0",
        "lstm.weight_hh_l1",
        "op_head.weight",
        "op_head.bias",
    ):
        weight = writer.get_parameter(name)
        assert weight.grad is not None
        flat = weight.grad.flatten()
        at = int(flat.abs().argmax())
        sides = []
        for step in (1e-5, -2e-5):
            weight.data.view(-1)[at] += step
            sides.append(value())
        weight.data.view(-1)[at] += 1e-5
        slope = (sides[0] - sides[1]) / 2e-5
        assert abs(slope) > 1e-6
        assert float(flat[at]) == pytest.approx(-0.99 * slope, rel=1e-4), name


def test_surrogate_adds_entropy_and_starts_the_baseline() -> None:
    log_p, entropy = torch.tensor(-2.0, requires_grad=True), torch.tensor(1.5, requires_grad=True)
    reinforce = ControllerTraining(entropy_weight=0.1, baseline_decay=0.9)
    loss, baseline = reinforce.surrogate(log_p, entropy, torch.tensor(0.4))
    assert float(baseline) == pytest.approx(0.4)
    slopes = torch.autograd.grad(loss, (log_p, entropy))
    assert [float(s) for s in slopes] == pytest.approx([-0.1 * 1.5, 2.0 * 0.1])  # the entropy alone
    reinforce.baseline = 0.2
    loss, baseline = reinforce.surrogate(log_p, entropy, torch.tensor(0.4))
    assert float(baseline) == pytest.approx(0.2 - 0.1 * (0.2 - 0.55))
    slopes = torch.autograd.grad(loss, (log_p, entropy))
    assert [float(s) for s in slopes] == pytest.approx([-0.9 * (0.55 - 0.2), 2.0 * 0.9 * 0.1])


class Stage:
    """Search with a controller and a given accuracy per path, with a trainer at the end of an epoch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, accuracy: Callable[[int, Tensor], float]) -> None:
        torch.manual_seed(0)
        self.search = GradientSearch(
            NasBench201(SHAPE, 10, channels=2, cells_per_stage=1),
            Controller,
            weight_step(),
            ArchStep(per_batch=False),
        )
        self.seen: list[int] = []
        calls = iter(range(10**6))

        def evaluate(batch: Any, arch: Any) -> tuple[Tensor, Tensor]:
            self.seen.append(int(batch[0]))
            return torch.tensor(1.0), torch.tensor(100 * accuracy(next(calls), arch["cell"].op))

        adam = torch.optim.Adam(self.search.relaxation.parameters(), 0.05, (0.0, 0.999), 1e-3)
        self.logged: dict[str, Tensor] = {}
        monkeypatch.setattr(self.search, "evaluate", evaluate)
        monkeypatch.setattr(self.search, "optimizers", lambda: [None, SimpleNamespace(optimizer=adam)])
        monkeypatch.setattr(self.search, "log_dict", lambda values, **k: self.logged.update(values))
        loader = SimpleNamespace(set_epoch=lambda epoch: None)
        batches = [(torch.tensor(i), torch.tensor(0)) for i in range(3)]
        loader = type("Loader", (), {"set_epoch": lambda self, e: None, "__iter__": lambda self: iter(batches)})()
        self.trainer: Any = SimpleNamespace(
            is_last_batch=True,
            received_sigterm=False,
            world_size=1,
            current_epoch=0,
            datamodule=SimpleNamespace(train_dataloader=lambda: SimpleNamespace(iterables={"val": loader})),
            strategy=SimpleNamespace(reduce=lambda tensor, reduce_op: tensor),
        )

    def train(self, reinforce: ControllerTraining) -> None:
        reinforce.on_train_batch_end(self.trainer, self.search, None, None, 0)


def test_baseline_value_by_value(monkeypatch: pytest.MonkeyPatch) -> None:
    accuracies = [0.1, 0.5, 0.3, 0.7, 0.9, 0.2, 0.6, 0.4]
    stage = Stage(monkeypatch, lambda call, op: accuracies[call])
    reinforce = ControllerTraining(steps=2, samples=2, entropy_weight=0.0, baseline_decay=0.9)
    used: list[tuple[float, float]] = []
    inner = reinforce.surrogate

    def watched(log_p: Tensor, entropy: Tensor, accuracy: Tensor) -> tuple[Tensor, Tensor]:
        loss, baseline = inner(log_p, entropy, accuracy)
        used.append((float(accuracy), float(baseline)))
        return loss, baseline

    monkeypatch.setattr(reinforce, "surrogate", watched)
    before = [p.detach().clone() for p in stage.search.relaxation.parameters()]
    stage.train(reinforce)
    assert [b for _, b in used] == pytest.approx(accuracies[:4]) and reinforce.baseline == pytest.approx(0.7)
    after = list(stage.search.relaxation.named_parameters())
    moved = {name for old, (name, new) in zip(before, after, strict=True) if not torch.equal(old, new)}
    assert moved == {"alpha.cell"}, "without entropy and baseline the first epoch teaches nothing"

    copy = ControllerTraining()
    copy.load_state_dict(reinforce.state_dict())
    assert copy.baseline == reinforce.baseline
    stage.train(reinforce)
    expected = [0.7 - 0.1 * (0.7 - a) for a in accuracies[4:]]
    assert [b for _, b in used[4:]] == pytest.approx(expected) and reinforce.baseline == pytest.approx(expected[-1])
    assert stage.seen == [0, 1, 2, 0, 0, 1, 2, 0]
    assert float(stage.logged["arch/accuracy"]) == pytest.approx(52.5)


def test_controller_learns_the_rewarded_path(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, lambda call, op: float(op[:, 3].mean()))
    reinforce = ControllerTraining(steps=25, samples=4)
    scores = []
    for _ in range(3):
        stage.train(reinforce)
        scores.append(float(stage.search.relaxation.scores(stage.search.masks)["cell"][:, 3].mean()))
    assert scores[-1] > max(0.3, scores[0])
    assert [link.op for link in stage.search.genotype().cells["cell"].links].count("nor_conv_3x3") >= 3
    drawn = SelectSampled().candidates(stage.search, 30)
    ops = [link.op for genotype in drawn for link in genotype.cells["cell"].links]
    assert ops.count("nor_conv_3x3") / len(ops) > 0.4


def test_samples_on_nested_cells_continue_after_a_reload() -> None:
    space = Darts(SHAPE, 10, channels=2, layers=3)
    torch.manual_seed(0)
    search = GradientSearch(space, Controller, weight_step(), ArchStep(per_batch=False))
    keep = torch.ones(14, 8, dtype=torch.bool)
    keep[:, 3] = False
    search.masks.restrict("normal", keep)
    for genotype in SelectSampled().candidates(search, 20):
        space.check(genotype)
        assert "skip_connect" not in [link.op for link in genotype.cells["normal"].links]
    state = search.relaxation.state_dict()
    expected = [search.relaxation.sample(search.masks)["reduce"].active for _ in range(3)]
    search.relaxation.load_state_dict(state)
    assert [search.relaxation.sample(search.masks)["reduce"].active for _ in range(3)] == expected
    assert len({str(active) for active in expected}) == 3


def test_parameters_start_as_in_the_reference() -> None:
    torch.manual_seed(0)
    found = Controller({"cell": CELL})
    assert found.edge_head is None and found.embedding.weight.shape == (5, 32)
    for weight in (found.first, found.embedding.weight, found.op_head.weight, found.lstm.weight_ih_l0):
        assert 0.05 < float(weight.abs().max()) <= 0.1
    assert float(found.lstm.weight_ih_l1.abs().max()) > 0.1  # torch's own, 1 / sqrt(32)


def test_controller_training_requires_validation_images() -> None:
    trainer: Any = SimpleNamespace(datamodule=SimpleNamespace(bilevel=False))
    with pytest.raises(NasError, match="bilevel"):
        ControllerTraining().setup(trainer, None, "fit")  # type: ignore[arg-type]


@pytest.mark.parametrize("clip_norm", [0.5, 1e9])
def test_controller_gradient_is_clipped(clip_norm: float) -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = SimpleNamespace(optimizer=torch.optim.SGD([weight], lr=1.0))
    relaxation = SimpleNamespace(parameters=lambda: [weight])
    search: Any = SimpleNamespace(relaxation=relaxation, wrapped_optimizers=lambda: [None, optimizer])
    ControllerTraining(clip_norm=clip_norm)._update(search, -(weight * torch.tensor([3.0, 4.0])).sum())
    torch.testing.assert_close(weight.detach(), torch.tensor([3.0, 4.0]) * min(1.0, clip_norm / 5))
