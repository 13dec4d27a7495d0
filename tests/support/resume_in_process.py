"""Comparison of an uninterrupted search with one that is resumed from a checkpoint, in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from pytorch_lightning.callbacks import ModelCheckpoint

from nas.searches.gradient import GradientSearch
from tests.callbacks.schedules.test_stages import fitted


def assert_resumes_bit_equal(build: Callable[[], GradientSearch], epochs: int, after: int, directory: Path) -> None:
    """Run ``epochs`` epochs, resume from the checkpoint of epoch ``after``, and compare all tensors."""
    saver = ModelCheckpoint(directory, "{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
    whole, resumed = build(), build()
    trainers = fitted(whole, epochs, saver), fitted(resumed, epochs, checkpoint=directory / f"epoch={after}.ckpt")
    first, second = whole.state_dict(), resumed.state_dict()
    assert list(first) == list(second)
    assert [name for name in first if "generators" not in name and not torch.equal(first[name], second[name])] == []
    for one, other in zip(*(trainer.optimizers for trainer in trainers), strict=True):
        states = [optimizer.state_dict() for optimizer in (one, other)]
        assert states[0]["param_groups"] == states[1]["param_groups"]
        assert states[0]["state"].keys() == states[1]["state"].keys()
        for key, state in states[0]["state"].items():
            assert all(
                torch.equal(torch.as_tensor(v), torch.as_tensor(states[1]["state"][key][n]))
                for n, v in state.items()
                if v is not None
            )
