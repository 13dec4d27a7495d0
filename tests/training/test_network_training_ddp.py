"""nas.training.network_training on two processes: each image is tested once, and drop paths differ."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.compose_tools import script, succeeded
from tests.support.error_tools import NB201, TRAIN


@pytest.mark.slow
def test_training_on_two_ranks_tests_each_image_once(tmp_path: Path) -> None:
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
    assert evaluated["images"] == trained["images"] == 5, "each image once on two ranks"
    for name in ("test_accuracy", "test_loss"):
        assert trained[name] == pytest.approx(evaluated[name], rel=1e-5), name
