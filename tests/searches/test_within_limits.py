"""nas.searches.within_limits: derivation of genotypes within limits in gradient searches."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from nas.architecture.discretization import discretize_by_threshold
from nas.objectives.budget_penalty import BudgetPenalty
from nas.relaxations.enas_controller import Controller
from nas.relaxations.gumbel import Gumbel
from nas.relaxations.sigmoid import Sigmoid
from nas.relaxations.softmax import Softmax
from nas.searches.gradient import GradientSearch
from nas.searches.within_limits import log_scores, penalty_of_path
from nas.spaces.darts.space import Darts
from nas.spaces.limits import Limit, Limits
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.network_cost import network_costs
from tests.support.query_tools import small_images
from tests.support.resume_tools import assert_equal
from tests.support.search_tools import arch_step, weight_step
from tests.support.space_tools import same_op_everywhere

SPACE = NasBench201((3, 8, 8), 10, channels=2, cells_per_stage=1)
_, MACS = network_costs(SPACE)
LARGEST = MACS(same_op_everywhere(SPACE, "nor_conv_3x3"))


def search_of(limit: float, relaxation: Any = Softmax, **options: Any) -> GradientSearch:
    search = GradientSearch(SPACE, relaxation, weight_step(), arch_step(), **options)
    search.use_limits(Limits(SPACE, [Limit(MACS, limit)]), 0.01)
    with torch.no_grad():
        search.relaxation.alpha["cell"][:, SPACE.cells["cell"].ops.index("nor_conv_3x3")] += 3.0
    return search


def test_derived_genotype_is_the_most_probable_within_the_limit() -> None:
    torch.manual_seed(0)
    search = search_of(LARGEST / 2)
    found = search.genotype()
    assert MACS(found) <= LARGEST / 2 < MACS(search_of(LARGEST).genotype())
    scores = log_scores(search.relaxation, search.masks)["cell"]
    cell = SPACE.cells["cell"]

    def score(genotype: Any) -> float:
        links = genotype.cells["cell"].links
        return float(sum(scores[cell.edges.index((s, t)), cell.ops.index(op)] for op, s, t in links))

    allowed = [one for one in map(SPACE.from_index, range(15_625)) if MACS(one) <= LARGEST / 2]
    assert score(found) >= max(map(score, allowed)) - 1e-6


def test_genotype_within_the_limit_is_that_of_the_method() -> None:
    torch.manual_seed(0)
    assert search_of(LARGEST).genotype() == same_op_everywhere(SPACE, "nor_conv_3x3")
    rule = partial(discretize_by_threshold, threshold=0.9)
    assert search_of(LARGEST, Sigmoid, discretization=rule).genotype().cells["cell"].links[0].op == "nor_conv_3x3"
    assert MACS(search_of(LARGEST / 2, Sigmoid, discretization=rule).genotype()) <= LARGEST / 2


def test_selected_genotype_changes_as_little_as_possible() -> None:
    torch.manual_seed(0)
    search = search_of(LARGEST * 0.9)
    search.selected = same_op_everywhere(SPACE, "nor_conv_3x3")
    links = search.genotype().cells["cell"].links
    assert sum(link.op == "nor_conv_3x3" for link in links) == 5 and MACS(search.genotype()) <= LARGEST * 0.9


def test_masked_ops_return_only_if_all_others_exceed_the_limit() -> None:
    search = search_of(LARGEST / 2)
    keep = torch.tensor([op == "nor_conv_3x3" for op in SPACE.cells["cell"].ops]).expand(6, -1)
    search.masks.restrict("cell", keep)
    found = search.genotype()
    assert MACS(found) <= LARGEST / 2
    assert sum(link.op == "nor_conv_3x3" for link in found.cells["cell"].links) >= 2


def test_masked_ops_of_a_selected_genotype_are_not_chosen() -> None:
    search = search_of(LARGEST / 2)
    search.selected = same_op_everywhere(SPACE, "nor_conv_3x3")
    keep = torch.tensor([op != "nor_conv_3x3" for op in SPACE.cells["cell"].ops]).expand(6, -1)
    search.masks.restrict("cell", keep)
    assert all(link.op != "nor_conv_3x3" for link in search.genotype().cells["cell"].links)


def test_penalty_joins_the_loss_and_the_state() -> None:
    search = search_of(LARGEST / 2)
    assert isinstance(search.resource, BudgetPenalty)
    assert "resource.multipliers" in search.state_dict()
    batch = torch.zeros(2, 3, 8, 8), torch.zeros(2, dtype=torch.long)
    free = search.loss(batch)
    search.resource.ascend(torch.tensor([50.0]))
    expected = search.resource.expected(search.relaxation.sample(search.masks))[0] - 1
    assert torch.isclose(search.loss(batch) - free, 0.5 * expected, atol=1e-4)


def test_reward_of_a_path_falls_with_its_cost() -> None:
    space = Darts((3, 16, 16), 10, channels=2, layers=3)
    search = GradientSearch(space, Controller, weight_step(), arch_step(per_batch=False))
    _, macs = network_costs(space, channels=4, layers=3, auxiliary=False)
    cheap, dear = (space.encode(same_op_everywhere(space, op)) for op in ("skip_connect", "sep_conv_5x5"))
    assert penalty_of_path(search, cheap) == 0.0
    search.use_limits(Limits(space, [Limit(macs, macs(same_op_everywhere(space, "sep_conv_3x3")) * 0.9)]), 0.5)
    assert float(penalty_of_path(search, dear)) == 0.0
    assert float(penalty_of_path(search, dear)) > 0 > float(penalty_of_path(search, cheap))


def trained(directory: Path, checkpoint: Path | None = None) -> GradientSearch:
    """Train a search whose genotype exceeds its limit for two epochs, with a checkpoint after each."""
    pl.seed_everything(3, verbose=False)
    search = search_of(LARGEST / 2, partial(Gumbel, tau=2.0))
    assert isinstance(search.resource, BudgetPenalty)
    search.resource.multiplier_lr = 0.5
    saving = ModelCheckpoint(directory, "{epoch}", save_top_k=-1)
    options: dict[str, Any] = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False}
    trainer = pl.Trainer(max_epochs=2, callbacks=[saving], enable_model_summary=False, **options)
    trainer.fit(search, datamodule=small_images(), ckpt_path=checkpoint, weights_only=True)
    return search


def test_resumed_search_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole")
    resumed = trained(tmp_path / "resumed", tmp_path / "whole" / "epoch=0.ckpt")
    one, other = whole.state_dict(), resumed.state_dict()
    assert_equal(one, other, "state_dict")
    assert float(one["resource.multipliers"]) > 0
    assert whole.genotype() == resumed.genotype()
