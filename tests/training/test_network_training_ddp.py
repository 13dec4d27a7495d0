"""nas.training.network_training on two processes: each image is tested once, and drop paths differ."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nas.data.synthetic import Synthetic
from nas.training.network_training import Training
from tests.support.compose_tools import script, succeeded
from tests.support.error_tools import NB201, TRAIN
from tests.support.rank_tools import on_two_ranks
from tests.training.test_network_training import SGD, Small


def measure(rank: int, world: int = 2, batch: int = 2) -> dict[str, float]:
    """Test a network on the share of a rank, and return the logged metrics and the number of images."""
    torch.manual_seed(0)
    data: Any = Synthetic(shape=(3, 2, 2), classes=5, size=8, test_size=5, batch_size=2, eval_batch_size=batch)
    data.trainer = SimpleNamespace(
        global_rank=rank, world_size=world, strategy=SimpleNamespace(root_device=torch.device("cpu"))
    )
    training: Any = Training(Small(), SGD, classes=5).eval()
    logged: dict[str, float] = {}
    training.log_dict = lambda metrics: logged.update({name: float(value) for name, value in metrics.items()})
    seen = 0
    with torch.no_grad():
        for number, batch in enumerate(data.test_dataloader()):
            training.test_step(batch, number)
            seen += len(batch[1])
        training.on_test_epoch_end()
    return {**logged, "images": training.tested_images, "own images": seen}


def test_two_ranks_count_each_test_image_once(tmp_path: Path) -> None:
    """Compare with a single batch of all images on one process; losses and accuracies are means over images."""
    first, second = on_two_ranks(measure, tmp_path)
    alone = measure(0, world=1, batch=5)
    assert (first.pop("own images"), second.pop("own images"), alone.pop("own images")) == (3, 2, 5)
    assert first == second == pytest.approx(alone, rel=1e-5) and alone["images"] == 5


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
