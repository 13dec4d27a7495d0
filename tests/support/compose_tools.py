"""Run search.py and train.py in tests, in this process through Hydra's compose or in a process of their own."""

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

from nas.cli.overrides.conf_dir import group_choices

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"
SIZED = ("mask_gumbel", "mask_rl", "tas")  # methods for widths of layers
S1_TO_S4 = ("", "_s1", "_s2", "_s3", "_s4")
CHAINS = ("mobile", "shufflenet")
ONE_SHOT = ("nas_bench_1shot1_1", "nas_bench_1shot1_2", "nas_bench_1shot1_3")
TRANSNAS = "trans_nas_bench_101_micro"
BLACK_BOX_SPACES = ("nas_bench_101", "trans_nas_bench_101_macro")  # spaces without a supernet
QUERYING = {
    "bananas",
    "bohb",
    "evolution",
    "local_search",
    "npenas",
    "nsga2",
    "random_search",
    "regularized_evolution",
    "reinforce",
}
"""The black-box methods, which have no supernet and need an evaluator."""
REFUSED = {
    ("noisy_darts", "darts_s4"): "skip_connect",
    ("noisy_darts", "nats_size"): "skip_connect",
    ("gdas_frc", "nas_bench_201"): "fixed_reduction",
    ("gdas_frc", "nats_size"): "fixed_reduction",
    ("pc_darts", "nats_size"): "PartialChannels",
    ("gaea_pc_darts", "nats_size"): "PartialChannels",
    ("drnas_progressive", "nats_size"): "PartialChannels",
    ("darts_minus", "nats_size"): "AuxiliarySkip",
    ("p_darts", "nats_size"): "DroppedSkip",
    ("te_nas", "nats_size"): "thin networks",
    ("tangle_nas", "nats_size"): "EntangledEdge",
    ("lambda_darts", "nats_size"): "alignment",
    ("oles", "nats_size"): "OpEarlyStopping",
    ("lora_darts", "nats_size"): "LowRankAdaptation",
    ("gm_nas", "nats_size"): "SplitEdges",
    ("dots", "darts_s2"): "no choice",
    ("dots", "darts_s4"): "no choice",
    ("dots", "nas_bench_201"): "keep all their edges",
    ("dots", "nats_size"): "keep all their edges",
    **{(m, s): "mix" for m in SIZED for s in (*(f"darts{s}" for s in S1_TO_S4), "nas_bench_201", "recurrent", *CHAINS)},
    ("noisy_darts", "shufflenet"): "skip_connect",
    **{("gdas_frc", s): "fixed_reduction" for s in CHAINS},
    **{(m, s): "PartialChannels" for m in ("pc_darts", "gaea_pc_darts", "drnas_progressive") for s in CHAINS},
    **{("p_darts", s): "cannot be deepened" for s in CHAINS},
    **{("p_darts", f"darts_s{n}"): "ops per edge" for n in (2, 3, 4)},
    **{("te_nas", s): "thin networks" for s in CHAINS},
    **{("dots", s): "keep all their edges" for s in CHAINS},
    **{("lambda_darts", s): "alignment" for s in CHAINS},
    **{("oles", s): "OpEarlyStopping" for s in CHAINS},
    **{("proxyless", s): "BinaryGates" for s in ("nats_size", "recurrent")},
    ("noisy_darts", "recurrent"): "skip_connect",
    ("gdas_frc", "recurrent"): "fixed_reduction",
    ("pc_darts", "recurrent"): "PartialChannels",
    ("gaea_pc_darts", "recurrent"): "PartialChannels",
    ("drnas_progressive", "recurrent"): "PartialChannels",
    ("darts_minus", "recurrent"): "AuxiliarySkip",
    ("p_darts", "recurrent"): "DroppedSkip",
    ("te_nas", "recurrent"): "thin networks",
    ("fair_darts", "recurrent"): "each node of space=recurrent keeps one link",
    ("enas", "recurrent"): "a reward is a score in percent",
    ("tangle_nas", "recurrent"): "EntangledEdge",
    ("lambda_darts", "recurrent"): "alignment",
    ("oles", "recurrent"): "OpEarlyStopping",
    ("lora_darts", "recurrent"): "LowRankAdaptation",
    ("dots", "recurrent"): "cannot be deepened or restricted",
    **{(m, TRANSNAS): "mix" for m in SIZED},
    ("gdas_frc", TRANSNAS): "fixed_reduction",
    **{(m, TRANSNAS): "PartialChannels" for m in ("pc_darts", "gaea_pc_darts", "drnas_progressive")},
    ("p_darts", TRANSNAS): "cannot be deepened",
    ("te_nas", TRANSNAS): "thin networks",
    ("dots", TRANSNAS): "keep all their edges",
    **{(m, "recurrent"): "method.arch_step.resource=null" for m in ("snas", "dsnas")},
    **{("noisy_darts", s): "skip_connect" for s in ONE_SHOT},
    **{("gdas_frc", s): "fixed_reduction" for s in ONE_SHOT},
    **{("drnas_progressive", s): "ops per edge" for s in ONE_SHOT},
    **{(m, s): "cannot be deepened" for m in ("dots", "p_darts") for s in ONE_SHOT},
    **{("te_nas", s): "thin networks" for s in ONE_SHOT},
    **{("fair_darts", s): "fixed number of parents" for s in ONE_SHOT},
    **{("lambda_darts", s): "alignment" for s in ONE_SHOT},
    **{("gm_nas", s): "SplitEdges: cells=" for s in ONE_SHOT},
    **{("proxyless", s): "BinaryGates do not train" for s in ONE_SHOT},
    **{(m, s): "mix" for m in SIZED for s in ONE_SHOT},
    **{(m, "recurrent"): "zero-cost proxies are defined on images" for m in sorted(QUERYING)},
}
"""Incompatible pairs of a method and a space, and a part of the error message."""
DATA = ["dataset=synthetic", "dataset.shape=[3,8,8]", "dataset.size=64", "dataset.batch_size=16"]
TEXT = [
    *("dataset=text_synthetic", "dataset.words=12", "dataset.size=400", "dataset.eval_size=200"),
    *("dataset.batch_size=16", "dataset.eval_batch_size=8", "dataset.bptt=8"),
]


def choices(group: str) -> list[str]:
    """Return the choices of a configuration group, such as ``gdas/nas_bench_201``, without fragments."""
    return group_choices(group)


def spaces() -> list[str]:
    """Return the published spaces with a supernet: not ``choices``, which needs a model of the user (tests/choices)."""
    return [name for name in choices("space") if name not in ("choices", *BLACK_BOX_SPACES)]


def published() -> list[str]:
    """Return the names of the experiments that repeat published searches: all outside of the laptop track."""
    return [name for name in choices("experiment") if not name.startswith("laptop/")]


def small(space: str, method: str = "") -> list[str]:
    """Return overrides for the smallest supernet of a space; lambda_darts needs two normal cells."""
    if space == "nats_size":
        return [f"space={space}", "space.widths=[2,4,6,8]"]
    if space == "recurrent":
        return [f"space={space}", "space.hidden_size=6", "space.nodes=3"]
    if space in CHAINS:
        small_chain = ["widths=[8,12]", "depths=[2,1]", "strides=[2,1]", "stem_width=4", "head=8"]
        small_chain += ["first_width=4"] if space == "mobile" else []
        options = [f"space={space}", *(f"space.{option}" for option in small_chain)]
    else:
        layers = 4 if method == "lambda_darts" else 3
        size = f"space.layers={layers}" if space.startswith("darts") else "space.cells_per_stage=1"
        options = [f"space={space}", "space.channels=4", size]
    if method == "lora_darts" and space in (*CHAINS, TRANSNAS):
        options.append("space.affine=true")  # otherwise three steps move no weight of an op
    return options


def data_of(space: str) -> list[str]:
    """Return overrides for a small data set of the kind that a space takes."""
    return TEXT if space == "recurrent" else DATA


def searches() -> list[str]:
    """Return the names of all search methods."""
    return choices("method")


def tiny(method: str = "gdas", space: str = "nas_bench_201") -> list[str]:
    """Return overrides for two bilevel steps per epoch, on a compatible space if ``space`` is incompatible."""
    if (method, space) in REFUSED:
        space = "nats_size" if method in SIZED else "darts"
    return [f"method={method}", *small(space, method), *DATA, *budget(method)]


def budget(method: str) -> list[str]:
    """Return overrides for a small budget of a black-box method, and short versions of long phases."""
    if method == "lora_darts":
        return ["method.arch_step.warmup_epochs=1"]
    if method == "shapley_nas":
        return ["method.callbacks.0.samples=3", "method.callbacks.0.batches=1", "method.callbacks.0.threshold=0"]
    return ["method.budget.queries=4"] if method in QUERYING else []


@contextmanager
def composed(name: str, *overrides: str) -> Iterator[DictConfig]:
    """Compose the configuration that hydra.main passes to search.py or train.py, and restore the environment."""
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
    """Run ``python search.py ...`` in ``cwd`` as a user would, on one thread and without standard input."""
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
    """Return the output of a process, and assert that it succeeded."""
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a JSON lines file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


class KillOnce(pl.Callback):
    """Send SIGKILL within an epoch, or at its end before the checkpoint, unless ``flag`` exists."""

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
