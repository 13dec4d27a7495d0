"""Warm-up of the size space: sampled widths, frozen alphas, resumed runs and refused options."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from nas.callbacks.schedules.width_warmup import WidthWarmup
from nas.relaxations.base import Relaxation
from nas.relaxations.block_gumbel import BlockCategorical, BlockGumbel
from nas.relaxations.softmax import Softmax
from nas.searches.base import Observation, SupernetSearch
from nas.searches.gradient import GradientSearch
from nas.spaces.nats_size.space import NatsSize
from nas.utils.errors import NasError
from tests.support.compose_tools import SIZED, lines, succeeded, tiny
from tests.support.error_tools import run
from tests.support.resume_tools import EPOCHS, arguments_of, assert_same_run, history, kill, resume
from tests.support.resume_tools import run as whole_run
from tests.support.search_tools import weight_step

WIDTHS, ROWS = (2, 3, 5, 8), (0, 0, 1, 2, 3, 4)
KINDS: dict[str, Callable[[Any], Relaxation]] = {
    "mask_gumbel": lambda cells: BlockGumbel(cells, ROWS),
    "mask_rl": lambda cells: BlockCategorical(cells, ROWS),
    "tas": lambda cells: BlockGumbel(cells, ROWS, pair=True),
}


def searching(relaxation: Callable[[Any], Relaxation]) -> GradientSearch:
    torch.manual_seed(0)
    return GradientSearch(NatsSize((3, 8, 8), 4, WIDTHS), relaxation, weight_step())


def at(epoch: int, epochs: int) -> Any:
    return SimpleNamespace(current_epoch=epoch, max_epochs=epochs, is_global_zero=True)


def test_width_warmup_probability_of_the_full_width() -> None:
    quarter = WidthWarmup(0.25)
    assert [quarter.full(epoch, 100) for epoch in (0, 5, 20, 24)] == pytest.approx([1.0, 0.8, 0.2, 0.04])
    assert quarter.full(25, 100) is None and quarter.full(99, 100) is None
    assert WidthWarmup(0.3).full(30, 100) is None and WidthWarmup(0.3).full(29, 100) is not None
    assert WidthWarmup(0.0).full(0, 100) is None and WidthWarmup().full(0, 100) is None
    assert [WidthWarmup(0.5).full(epoch, 3) for epoch in range(3)] == [1.0, pytest.approx(1 / 3), None]


@pytest.mark.parametrize("method", KINDS)
def test_width_warmup_samples_by_monte_carlo(method: str) -> None:
    """Each block has its full width with probability 1 - e / (E r), else one of four, independent of alpha."""
    search, warm_up, count = searching(KINDS[method]), WidthWarmup(0.5), 3000
    with torch.no_grad():
        search.relaxation.alpha["cell"][:, 0] = 9.0
    warm_up.setup(at(0, 8), search, "fit")
    assert search.arch_step.warmup_epochs == 4
    for epoch, full in ((0, 1.0), (1, 0.75), (3, 0.25)):
        warm_up.on_train_epoch_start(at(epoch, 8), search)
        found = [search.relaxation.sample(search.masks)["cell"] for _ in range(count)]
        op = torch.stack([weights.op for weights in found])
        assert op.shape == (count, 6, 4) and not op.requires_grad
        assert torch.equal(op.bool(), torch.tensor([weights.active for weights in found]))
        assert torch.equal(op.sum(-1), torch.ones(count, 6))
        p = torch.full((4,), (1 - full) / 4)
        p[-1] += full
        assert (op.mean(0) - p).abs().max() < 0.04  # 4.5 standard errors
        both = torch.einsum("ni,nj->ij", op[:, 0], op[:, 1]) / count
        assert (both - p[:, None] * p).abs().max() < 0.04
    warm_up.on_train_epoch_start(at(4, 8), search)
    op = torch.stack([search.relaxation.sample(search.masks)["cell"].op.detach() for _ in range(200)])
    assert op[:, :, 0].mean() > 0.2, "alpha, which wants the first width, takes part again"


def test_width_warmup_never_samples_masked_widths() -> None:
    for relaxation in KINDS.values():
        search = searching(relaxation)
        keep = torch.tensor([[True, True, False, False], *[[False, True, False, True]] * 4])
        search.masks.restrict("cell", keep)
        WidthWarmup(0.5).on_train_epoch_start(at(1, 4), search)
        found = torch.stack([search.relaxation.sample(search.masks)["cell"].op for _ in range(200)]).mean(0)
        assert torch.equal(found > 0, keep[list(ROWS)])
        assert found[:2, 1].min() > 0.6 and found[2:, 3].min() > 0.6, "full is the widest that is left: 3 / 4"


class Seen(pl.Callback):
    """Append a line to ``path`` for each loss and each epoch."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, SupernetSearch)
        pl_module.observers.append(lambda seen: self._step(trainer, seen))
        self.on_train_epoch_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, GradientSearch)
        self._write(what="epoch", epoch=trainer.current_epoch, alpha=pl_module.relaxation.alpha["cell"].tolist())

    def _step(self, trainer: pl.Trainer, seen: Observation) -> None:
        self._write(what=seen.phase, epoch=trainer.current_epoch, op=seen.arch["cell"].op.tolist())

    def _write(self, **line: Any) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


@pytest.mark.parametrize("method", SIZED)
def test_width_warmup_freezes_alphas_then_trains_them(method: str, tmp_path: Path) -> None:
    seen = [f"+callbacks.seen._target_={__name__}.Seen", f"+callbacks.seen.path={tmp_path}/seen.jsonl"]
    options = [
        *tiny(method),
        "dataset.size=128",
        "epochs=4",
        "method.warmup_ratio=0.5",
        f"hydra.run.dir={tmp_path}/run",
    ]
    done = run("search", *options, *seen)
    done.succeeded()
    assert "alphas are frozen in the first 2 of 4 epochs" in done.said
    found = lines(tmp_path / "seen.jsonl")
    alphas = [line["alpha"] for line in found if line["what"] == "epoch"]
    assert alphas[0] == alphas[1] == alphas[2] and alphas[2] != alphas[3] != alphas[4]
    learnt = {line["epoch"] for line in found if line["what"] == "arch"}
    assert learnt == ({0, 1, 2, 3} if method == "mask_rl" else {2, 3}), "its baseline goes on in the warm-up"
    first = [line["op"] for line in found if line["what"] == "train" and line["epoch"] == 0]
    assert len(first) == 4 and all(block == [0, 0, 0, 1] for op in first for block in op)
    second = [block for line in found if line["what"] == "train" and line["epoch"] == 1 for block in line["op"]]
    assert all(sorted(block) == [0, 0, 0, 1] for block in second) and any(block != [0, 0, 0, 1] for block in second)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "epoch"), [("mask_rl", 1), ("mask_gumbel", 1), ("tas", 2)])
def test_killed_width_warmup_resumes(method: str, epoch: int, tmp_path: Path) -> None:
    """Kill the search in the warm-up and in the epoch after it."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    arguments = [*arguments_of(method), "method.warmup_ratio=0.5"]
    succeeded(whole_run("search", arguments, whole))
    kill("search", arguments, broken, epoch=epoch, batch=1)
    resume("search", broken)
    assert_same_run(whole, broken, "search")
    assert len(history(whole)) == EPOCHS and history(whole) == history(broken)


def test_width_warmup_refuses_bad_ratios(tmp_path: Path) -> None:
    to = f"hydra.run.dir={tmp_path / 'new'}"
    for ratio, phrase in (("1.5", "below 1"), ("-0.1", "below 1"), ("true", "below 1"), ("0.9", "all 4 epochs")):
        options = [*tiny("tas"), "epochs=4", f"method.warmup_ratio={ratio}", to]
        run("search", *options).refused(
            f"method.warmup_ratio={ratio.capitalize() if ratio == 'true' else ratio}", phrase
        )
    run("search", *tiny("gdas"), "method.warmup_ratio=0.5", to).refused("unknown key 'method.warmup_ratio'")
    with pytest.raises(NasError, match="Softmax samples no widths"):
        WidthWarmup(0.5).setup(at(0, 4), searching(Softmax), "fit")
    with pytest.raises(NasError, match="trainer.max_epochs"):
        WidthWarmup(0.5).setup(at(0, -1), searching(KINDS["tas"]), "fit")
