"""The channels-last memory format: chosen by mode and length of the search, equal up to rounding."""

from __future__ import annotations

from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch

import nas.callbacks.execution_switch
from nas.callbacks.channels_last import ChannelsLast
from nas.utils.errors import NasError
from tests.callbacks.test_compile import assert_close, losses
from tests.support.error_tools import SEARCH, run

GDAS = (*SEARCH, "method=gdas", "epochs=2", "~callbacks.cell_plots")


def test_modes_set_the_format_of_the_supernet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    formats: list[bool] = []
    original = ChannelsLast.on_train_epoch_end

    def record(self: ChannelsLast, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        original(self, trainer, pl_module)
        weights = [p for p in pl_module.supernet.parameters() if p.dim() == 4 and p.shape[2] == 3 and p.shape[1] > 1]  # type: ignore[union-attr]
        assert len({p.is_contiguous(memory_format=torch.channels_last) for p in weights}) == 1
        formats.append(weights[0].is_contiguous(memory_format=torch.channels_last))

    monkeypatch.setattr(ChannelsLast, "on_train_epoch_end", record)
    for name, mode in (("plain", "false"), ("true", "true"), ("auto", "auto")):
        run("search", *GDAS, f"channels_last={mode}", f"hydra.run.dir={tmp_path}/{name}").succeeded()
    assert formats == [False] * 2 + [True] * 2 + [False] * 2, "an epoch each"
    assert losses(tmp_path / "auto") == losses(tmp_path / "plain"), "the estimate draws no random number"
    assert_close(tmp_path / "plain", tmp_path / "true")
    monkeypatch.setattr(nas.callbacks.execution_switch, "LONG", 0.0)
    run("search", *GDAS, f"hydra.run.dir={tmp_path}/long").succeeded()
    assert formats[-1]


def test_search_without_supernet_refuses_the_format(tmp_path: Path) -> None:
    for more in (["method=random_search", "proxy=params"], ["method=te_nas"]):
        found = run("search", *SEARCH, *more, "channels_last=true", f"hydra.run.dir={tmp_path}/r")
        found.refused("channels_last=true: this run trains no network on images")
    for option in ("channels_last=true", "compile=true"):
        found = run("search", "mode=rank_proxies", "proxy=params", option, f"hydra.run.dir={tmp_path}/r")
        found.refused(f"{option}: mode=rank_proxies does not use")


def test_wrong_mode_is_one_line() -> None:
    for mode in ("yes", 1, None):
        with pytest.raises(NasError, match=f"channels_last={mode}: use auto, true or false"):
            ChannelsLast(mode)  # type: ignore[arg-type]
