"""Complete searches in stages: resumed in a later stage, and on two processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from nas.callbacks.schedules.drnas_progressive import DrnasProgressive
from nas.callbacks.schedules.p_darts import PDartsStages, SkipDropoutSchedule
from nas.nn.edges.skip_dropout import DroppedSkip
from nas.relaxations.dirichlet import Dirichlet
from nas.searches.gradient import GradientSearch
from tests.callbacks.schedules.test_stages import fitted, tiny
from tests.searches.test_ddp import probed
from tests.support.compose_tools import succeeded
from tests.support.resume_tools import (
    arguments_of,
    assert_equal,
    assert_same_run,
    checkpoint,
    history,
    kill,
    resume,
    run,
)

STAGED: dict[str, Callable[[], GradientSearch]] = {
    "drnas_progressive": lambda: tiny(relaxation=Dirichlet, callbacks=[DrnasProgressive([3], [2])], warmup_epochs=1),
    "p_darts": lambda: tiny(
        DroppedSkip, callbacks=[PDartsStages([3], [3]), SkipDropoutSchedule([0.5, 0.5])], warmup_epochs=1
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", STAGED)
@pytest.mark.parametrize("epoch", [0, 1, 2])
def test_staged_search_resumes_from_any_stage(method: str, epoch: int, tmp_path: Path) -> None:
    """Resume from ``epoch`` of four, at the end of a stage or within one."""
    whole, resumed = STAGED[method](), STAGED[method]()
    fitted(whole, 4, ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1, save_on_train_epoch_end=True))
    saved = torch.load(tmp_path / f"epoch={epoch}.ckpt", weights_only=True)
    assert saved["search"]["stage"] == epoch // 2
    fitted(resumed, 4, checkpoint=tmp_path / f"epoch={epoch}.ckpt")
    assert_equal(dict(whole.state_dict()), dict(resumed.state_dict()), "state")
    assert_equal(whole.trainer.optimizers[0].state_dict(), resumed.trainer.optimizers[0].state_dict(), "momentum")


@pytest.mark.slow
@pytest.mark.parametrize("method", STAGED)
def test_search_killed_in_a_later_stage_resumes(method: str, tmp_path: Path) -> None:
    """The checkpoint has a different supernet than a new search."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    arguments = [*arguments_of(method), "method.arch_step.warmup_epochs=0"]
    succeeded(run("search", arguments, whole))
    kill("search", arguments, broken, epoch=3, batch=1)
    saved = checkpoint(broken)
    assert saved["search"]["stage"] == 1 and saved["search"]["method"] == method
    said = resume("search", broken)
    assert "epoch 4/4" in said and "epoch 3/4" not in said
    assert_same_run(whole, broken, "search")
    assert history(whole) == history(broken)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "space"),
    [
        ("drnas_progressive", "nas_bench_201"),
        ("drnas_progressive", "darts"),
        ("p_darts", "nas_bench_201"),
        ("p_darts", "darts"),
    ],
)
def test_two_ranks_change_stages_together(method: str, space: str, tmp_path: Path) -> None:
    first, second = probed(method, space, tmp_path / "a", "method.arch_step.warmup_epochs=0")
    epochs = [[line for line in rank if line["what"] == "epoch"] for rank in (first, second)]
    assert len(epochs[0]) == 3 and epochs[0] == epochs[1], "alphas, and the weights to the last bit"
    assert len({str(line["alphas"]) for line in epochs[0]}) == 3
    steps = [[line for line in rank if line["what"] != "epoch"] for rank in (first, second)]
    for one, other in zip(*steps, strict=True):
        assert one["active"] == other["active"] and one["loss"] != other["loss"]
    assert steps[0][0]["active"] != steps[0][-1]["active"], "ops were pruned"
