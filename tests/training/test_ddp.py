"""A training on two processes: tested on each image once, and dropping paths apart on both."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.compose_tools import script, succeeded
from tests.support.error_tools import NB201, TRAIN


@pytest.mark.slow
def test_two_ranks_are_tested_as_one_and_draw_apart(tmp_path: Path) -> None:
    arguments = [a for a in TRAIN if "test_size" not in a and "epochs" not in a]
    arguments += [
        "epochs=2",
        "+callbacks.draws._target_=tests.support.ddp_probe.Draws",
        f"+callbacks.draws.directory={tmp_path}",
    ]
    run = f"hydra.run.dir={tmp_path}/run"
    more = ("dataset.test_size=5", "dataset.eval_batch_size=2", "trainer=ddp_cpu", run)
    succeeded(script("train", *arguments, f"genotype='{NB201}'", *more, cwd=tmp_path))
    draws = [json.loads((tmp_path / f"draws{rank}.json").read_text()) for rank in (0, 1)]
    assert len({*draws[0], *draws[1]}) == 4, draws
    run = f"hydra.run.dir={tmp_path}/eval"
    succeeded(script("train", "mode=eval", f"weights={tmp_path}/run", "trainer=cpu", run, cwd=tmp_path))
    trained, evaluated = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("run", "eval"))
    assert evaluated["images"] == trained["images"] == 5, "on two ranks, each once"
    for name in ("test_accuracy", "test_loss"):
        assert trained[name] == pytest.approx(evaluated[name], rel=1e-5), name
