"""Runs of search.py and train.py for tests: in this process by Hydra's compose, or in one of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytorch_lightning as pl
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
SCANS = ("scan",)  # methods that are no searches: they score architectures and train nothing
SIZED = ("mask_gumbel", "mask_rl", "tas")  # methods for widths of layers
REFUSED = {
    ("noisy_darts", "darts_s4"): "skip_connect",
    ("noisy_darts", "nats_size"): "skip_connect",
    ("gdas_frc", "nas_bench_201"): "fixed_reduction",
    ("gdas_frc", "nats_size"): "fixed_reduction",
    ("pc_darts", "nats_size"): "PartialChannels",
    ("drnas_progressive", "nats_size"): "PartialChannels",
    ("darts_minus", "nats_size"): "AuxiliarySkip",
    ("p_darts", "nats_size"): "DroppedSkip",
    ("te_nas", "nats_size"): "thin networks",
    **{(m, s): "mix" for m in SIZED for s in ("darts", *(f"darts_s{n}" for n in range(1, 5)), "nas_bench_201")},
}
"""Pairs of a method and a space that mean nothing, and a part of what is said about them."""
QUERYING = {"bohb", "local_search", "random_search", "regularized_evolution", "reinforce"}
"""The methods that have no supernet and ask an evaluator."""
DATA = ["dataset=synthetic", "dataset.shape=[3,8,8]", "dataset.size=64", "dataset.batch_size=16"]


def choices(group: str) -> list[str]:
    """The names of the files of a configuration group."""
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def small(space: str) -> list[str]:
    """Overrides that make a space's supernet as small as it may be."""
    if space == "nats_size":
        return [f"space={space}", "space.widths=[2,4,6,8]"]
    size = "space.layers=3" if space.startswith("darts") else "space.cells_per_stage=1"
    return [f"space={space}", "space.channels=4", size]


def searches() -> list[str]:
    """The methods that search."""
    return [method for method in choices("method") if method not in SCANS]


def tiny(method: str = "gdas", space: str = "nas_bench_201") -> list[str]:
    """Overrides of a search with two bilevel steps an epoch; on another space where ``space`` means nothing."""
    if (method, space) in REFUSED:
        space = "nats_size" if method in SIZED else "darts"
    return [f"method={method}", *small(space), *DATA, *budget(method)]


def budget(method: str) -> list[str]:
    """Overrides that end a search by queries soon."""
    return ["method.budget.queries=4"] if method in QUERYING else []


@contextmanager
def composed(name: str, *overrides: str) -> Iterator[DictConfig]:
    """What hydra.main gives to search.py or train.py; the environment is as before afterwards."""
    with mock.patch.dict(os.environ), initialize_config_dir(str(CONF), version_base="1.3", job_name=name):
        cfg = compose(name, list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        with open_dict(cfg):
            del cfg["hydra"]
        try:
            yield cfg
        finally:
            HydraConfig.instance().cfg = None


def script(
    name: str, *arguments: str, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """``python search.py ...`` as a user would start it in ``cwd``, on one thread, with nobody to answer a prompt."""
    return subprocess.run(
        [sys.executable, str(ROOT / f"{name}.py"), *arguments],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def succeeded(done: subprocess.CompletedProcess[str]) -> str:
    """What a process said, after checking that it ended well."""
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a JSON lines file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


class KillOnce(pl.Callback):
    """SIGKILL in the middle of an epoch, or at its end before the checkpoint; not again when ``flag`` exists."""

    def __init__(self, flag: str, epoch: int, batch: int | None = None) -> None:
        self.flag = Path(flag)
        self.epoch = epoch
        self.batch = batch

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.current_epoch == self.epoch and batch_idx == self.batch and trainer.is_global_zero:
            self._kill()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == self.epoch and self.batch is None:
            self._kill()

    def _kill(self) -> None:
        if not self.flag.exists():
            self.flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
