"""DARTS-PT: cost of removals by brute force, decision epochs, and edges without ops."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD

import nas.cli.jobs.search
from nas.architecture.cell import Cell, EdgeWeights, sample_cell
from nas.architecture.discretization import discretize
from nas.architecture.masks import Masks
from nas.callbacks.selection.perturbation_selection import PerturbationSelection, architecture_without, decision_epochs
from nas.relaxations.base import Relaxation
from nas.relaxations.dirichlet import Dirichlet
from nas.relaxations.gumbel import Gumbel
from nas.relaxations.softmax import Softmax
from nas.relaxations.uniform import Uniform
from nas.searches.gradient import GradientSearch
from nas.spaces.base import Space
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.training.search_lr import CosineThenProjection
from nas.utils.errors import NasError
from tests.support.compose_tools import composed, tiny
from tests.support.lr_tools import rates_by_step
from tests.support.search_tools import weight_step

Data = list[tuple[Tensor, Tensor]]
SPACES: dict[str, Callable[[], Space]] = {
    "darts": lambda: Darts((1, 6, 6), 3, channels=2, layers=3, ops=("none", "skip_connect", "dil_conv_3x3")),
    "nas_bench_201": lambda: NasBench201((1, 8, 8), 3, channels=3, cells_per_stage=1),
}


class Still:
    """Trainer with validation batches and one process."""

    received_sigterm, world_size = False, 1

    def __init__(self, data: Data) -> None:
        self.datamodule = self.strategy = self
        self.data = data

    def val_dataloader(self) -> Data:
        return self.data

    @staticmethod
    def reduce(value: Tensor, reduce_op: str) -> Tensor:
        return value


def setting(space: str = "darts", sizes: tuple[int, ...] = (7, 4)) -> tuple[GradientSearch, Any]:
    """Build a search in double precision with non-zero alphas, and its validation data."""
    torch.manual_seed(0)
    search = GradientSearch(SPACES[space](), lambda c: Softmax(c, init_std=1.0), weight_step()).double()
    data = [(torch.randn(n, *search.space.shape).double(), torch.randint(3, (n,))) for n in sizes]
    return search, Still(data)


def brute_force_cost(search: GradientSearch, data: Data, name: str, edge: int, op: int | None, criterion: str) -> float:
    """Return the validation loss, or the negated accuracy, with weights set to 0 in a copy of the softmax."""
    arch = {}
    for kind, alpha in search.relaxation.alpha.items():
        table = torch.zeros_like(alpha)
        for e, row in enumerate(search.masks.table(kind).tolist()):
            on = [c for c, there in enumerate(row) if there]
            if on:
                table[e, on] = alpha.detach()[e, on].softmax(0)
        if kind == name:
            table[edge, slice(None) if op is None else op] = 0
        arch[kind] = EdgeWeights(table, [[True] * table.shape[1]] * table.shape[0])
    right = loss = 0.0
    count = sum(len(y) for _, y in data)
    for layer in search.supernet.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.track_running_stats = False
    for x, y in data:
        with torch.no_grad():
            logits = search.supernet.train()(x, arch)
        loss += float(F.cross_entropy(logits, y, reduction="sum"))
        right += float((logits.argmax(1) == y).sum())
    return loss / count if criterion == "loss" else -100 * right / count


@pytest.mark.parametrize("criterion", ["loss", "accuracy"])
@pytest.mark.parametrize("space", SPACES)
def test_edge_keeps_the_op_with_the_largest_removal_cost(space: str, criterion: Any) -> None:
    search, trainer = setting(space)
    before = {key: value.clone() for key, value in search.supernet.state_dict().items()}
    for name, cell in search.space.cells.items():
        old = torch.tensor(search.masks.lists(name))
        PerturbationSelection(criterion=criterion).decide(trainer, search, name)
        assert all(torch.equal(value, before[key]) for key, value in search.supernet.state_dict().items())
        new = search.masks.table(name).clone()
        (edge,) = [e for e in range(len(cell.edges)) if new[e].sum() == 1]
        assert torch.equal(new[torch.arange(len(new)) != edge], old[torch.arange(len(new)) != edge])

        fresh, _ = setting(space)
        for other in search.space.cells:
            if other != name:
                fresh.masks.restrict(other, search.masks.table(other))
        cost = {
            op: brute_force_cost(fresh, trainer.data, name, edge, cell.ops.index(op), criterion)
            for op in cell.choices(edge)
        }
        (kept,) = [op for op, on in zip(cell.ops, new[edge].tolist(), strict=True) if on]
        assert cost[kept] == pytest.approx(max(cost.values()), rel=1e-9)
        assert criterion == "accuracy" or len(set(cost.values())) > 1


def test_architecture_without_does_not_renormalize() -> None:
    search, trainer = setting()
    name, edge = "normal", 3
    for column in (0, 1, 2):
        found = PerturbationSelection(criterion="loss").removal_cost(
            trainer, search, [architecture_without(search, name, edge, column)]
        )
        fresh, _ = setting()
        assert found == pytest.approx([brute_force_cost(fresh, trainer.data, name, edge, column, "loss")], rel=1e-9)
    arch = architecture_without(search, name, edge, 1)[name]
    assert arch.op[edge].sum() < 1 and arch.active[edge] == [True, False, True]


def test_node_keeps_the_two_edges_with_the_largest_removal_cost() -> None:
    search, trainer = setting()
    project = PerturbationSelection(criterion="loss")
    for _ in range(14):
        for name in search.space.cells:
            project.decide(trainer, search, name)
    assert all(sum(row) == 1 for name in search.space.cells for row in search.masks.lists(name))
    for step in range(3):
        before = {name: search.masks.table(name).clone() for name in search.space.cells}
        project.decide(trainer, search, "normal")
        gone = (before["normal"] & ~search.masks.table("normal")).any(-1).nonzero().flatten().tolist()
        (node,) = {search.space.cells["normal"].edges[e][1] for e in gone}
        rows = search.space.cells["normal"].into(node)
        assert len(rows) - len(gone) == 2
        fresh, _ = setting()
        for name, mask in before.items():
            fresh.masks.restrict(name, mask)
        cost = {e: brute_force_cost(fresh, trainer.data, "normal", e, None, "loss") for e in rows}
        assert min(cost[e] for e in rows if e not in gone) >= max(cost[e] for e in gone) - 1e-12, step
    project.decide(trainer, search, "normal")  # nothing is left to decide
    for _ in range(3):
        project.decide(trainer, search, "reduce")
    search.space.check(search.genotype())
    chosen = {(link.source, link.target) for link in search.genotype().cells["normal"].links}
    assert chosen == {
        search.space.cells["normal"].edges[e] for e, row in enumerate(search.masks.lists("normal")) if any(row)
    }
    assert search.loss(trainer.data[0]).isfinite() and search.relaxation.entropy(search.masks).isfinite()


def test_decisions_survive_a_checkpoint() -> None:
    (search, trainer), (again, _) = setting(), setting()
    for _ in range(6):
        PerturbationSelection(batches=1).decide(trainer, search, "normal")
    again.load_state_dict(search.state_dict())
    for _ in range(11):
        for made in (search, again):
            PerturbationSelection(batches=1).decide(trainer, made, "normal")
    assert search.masks.lists("normal") == again.masks.lists("normal") and search.genotype() == again.genotype()


def test_limited_batches_are_the_first_ones() -> None:
    search, trainer = setting()
    variants = [architecture_without(search, "normal", 0, 1)]
    assert PerturbationSelection(criterion="loss", batches=1).removal_cost(trainer, search, variants) == pytest.approx(
        [brute_force_cost(search, trainer.data[:1], "normal", 0, 1, "loss")]
    )


def test_decision_epochs_of_the_paper() -> None:
    darts, nb201 = SPACES["darts"]().cells, SPACES["nas_bench_201"]().cells
    assert decision_epochs(darts, 81) == list(range(0, 81, 5)) and len(decision_epochs(darts, 81)) == 14 + 3
    assert decision_epochs(nb201, 25) == [0, 5, 10, 15, 20, 24]
    for tune in (1, 2, 7, 300):
        found = decision_epochs(darts, tune)
        assert len(found) == 17 and found == sorted(found) and {found[0], found[-1]} == {0, tune - 1}


def test_cosine_then_projection_has_two_cosines() -> None:
    """Compare with torch's cosine over each phase."""

    def rates(schedule: Callable[[SGD], Any], lr: float, epochs: int) -> list[float]:
        optimizer = SGD([nn.Parameter(torch.zeros(1))], lr=lr)
        return rates_by_step(schedule(optimizer), epochs)

    def cosine(epochs: int) -> Callable[[SGD], Any]:
        return lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs, eta_min=0.001)

    found = rates(lambda optimizer: CosineThenProjection(optimizer, 131, 50, 81), 0.025, 131)
    assert found == pytest.approx(rates(cosine(50), 0.025, 50) + rates(cosine(81), 0.0025, 81), rel=1e-9)
    flat = rates(lambda optimizer: CosineThenProjection(optimizer, 125, 100, 25, projection_lr_min=0.0025), 0.025, 125)
    assert flat == pytest.approx(rates(cosine(100), 0.025, 100) + [0.0025] * 25, rel=1e-9)
    short = rates(lambda optimizer: CosineThenProjection(optimizer, 13, 50, 81), 0.025, 13)
    assert short[5] == 0.0025 < min(short[:5]) and short[0] == 0.025


@pytest.mark.parametrize(
    "relaxation",
    [Softmax, lambda c: Gumbel(c, hard=True), lambda c: Gumbel(c, hard=False, tau=0.1), Dirichlet, Uniform],
    ids=["softmax", "gdas", "snas", "drnas", "uniform"],
)
def test_edges_without_ops(relaxation: Callable[[Any], Relaxation]) -> None:
    """Such edges have weight 0 and execute no op; outputs and gradients stay finite and unchanged."""
    cell = Darts((1, 6, 6), 3).cells["normal"]
    torch.manual_seed(0)
    made, masks = relaxation({"normal": cell}), Masks({"normal": cell})
    keep = torch.ones(14, 8, dtype=torch.bool)
    keep[[4, 5, 9]], keep[0, 1:] = False, False
    keep[1, 2:] = False
    masks.restrict("normal", keep)
    weights = made.sample(masks)["normal"]
    assert not weights.op[[4, 5, 9]].any() and not any(any(weights.active[e]) for e in (4, 5, 9))
    assert weights.op.isfinite().all() and not weights.op[~keep].any()
    if not isinstance(made, Uniform):
        assert torch.allclose(weights.op.sum(-1), keep.any(-1).float()) and weights.op[0, 0] == 1
        (weights.op * torch.randn(14, 8)).sum().backward()
        grad = made.alpha["normal"].grad
        assert grad is not None and grad.isfinite().all() and not grad[~keep].any() and grad[6].any()
    scores = made.scores(masks)["normal"]
    assert torch.allclose(scores.sum(-1), keep.any(-1).float()) and made.entropy(masks).isfinite()
    genotype = discretize(cell.masked(masks.lists("normal")), scores)
    assert {cell.edges.index((link.source, link.target)) for link in genotype.links}.isdisjoint({4, 5, 9})


def test_a_sample_avoids_edges_without_ops() -> None:
    cell = Cell(((0, 2), (1, 2), (0, 3), (1, 3), (2, 3)), ("a", "b"), (2, 3), inputs=2)
    left = cell.masked([[True, True], [True, False], [False, False], [True, True], [False, True]])
    for seed in range(20):
        links = sample_cell(left, random.Random(seed)).links
        assert {(link.source, link.target) for link in links} == set(cell.edges) - {(0, 3)}


class Phases(pl.Callback):
    """Record the state at the start of each epoch, after its decisions."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, int, int]] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, GradientSearch)
        decided = sum(sum(row) == 1 for row in pl_module.masks.lists("cell"))
        optimizer = trainer.optimizers[0]
        self.seen.append((optimizer.param_groups[0]["lr"], len(optimizer.state), decided))


def test_run_has_a_supernet_and_a_projection_phase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    phases, found = Phases(), []
    build = nas.cli.jobs.search.build_search

    def watched(*args: Any) -> GradientSearch:
        found.append(build(*args))
        found[0].callbacks.append(phases)
        return found[0]

    monkeypatch.setattr(nas.cli.jobs.search, "build_search", watched)
    options = [
        "method.weight_step.scheduler.supernet_epochs=2",
        "method.weight_step.scheduler.projection_epochs=3",
        "epochs=5",
        "~callbacks.cell_plots",
    ]
    with composed("search", *tiny("darts_pt"), *options, f"paths.output={tmp_path}") as cfg:
        nas.cli.jobs.search.run(cfg)
    lrs, momenta, decided = zip(*phases.seen, strict=True)
    assert lrs[0] == 0.025 and lrs[2] == 0.0025 and list(lrs) == sorted(lrs, reverse=True)
    assert [bool(count) for count in momenta] == [False, True, False, True, True]
    assert decided == (0, 0, 1, 3, 6), "at 0, 1, 1, 2, 2, 2 of the three epochs: two fifths of each, rounded up"
    chosen = [row.index(True) for row in found[0].masks.lists("cell")]
    assert [link.op for link in found[0].genotype().cells["cell"].links] == [
        found[0].space.cells["cell"].ops[column] for column in chosen
    ]


def test_perturbation_selection_refuses_bad_options() -> None:
    search, _ = setting()
    with pytest.raises(NasError, match="max_epochs"):
        PerturbationSelection().on_train_epoch_start(
            pl.Trainer(max_epochs=None, logger=False, enable_checkpointing=False), search
        )
    with pytest.raises(NasError, match="Choose from accuracy, loss"):
        PerturbationSelection(criterion="acc")  # type: ignore[arg-type]
