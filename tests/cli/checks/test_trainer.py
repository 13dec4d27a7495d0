"""Options of the trainer: ranges, names, options of another key, and common options without a plus."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.cli.main import prepare
from nas.utils.errors import NasError
from tests.support.compose_tools import composed
from tests.support.error_tools import NB201, TINY

REFUSED = {
    "trainer.accelerator=abacus": "unknown trainer.accelerator 'abacus'",
    "trainer.accelerator=CPU": "did you mean 'cpu'",
    "trainer.precision=8": "unknown trainer.precision '8'",
    "trainer.profiler=simpel": "did you mean 'simple'",
    "trainer.devices=0": "trainer.devices=0: use a number",
    "trainer.devices=two": "trainer.devices=two: use a number",
    "trainer.devices=true": "trainer.devices=True: use a number",
    "trainer.devices=[0,-1]": "a list of indices",
    "trainer.limit_train_batches=0": "use a whole number of batches",
    "trainer.limit_train_batches=1.5": "use a whole number of batches",
    "trainer.limit_train_batches=-0.5": "use a number above 0",
    "trainer.limit_train_batches=nan": "use a whole number of batches",
    "trainer.limit_test_batches=0": "use a whole number of batches",
    "+trainer.limit_test_batches=0": "use a whole number of batches",
    "trainer.limit_val_batches=-1": "or 0 for none",
    "trainer.num_nodes=2": "no launcher has started this process",
    "trainer.deterministic=sometimes": "use true, false or warn",
    "trainer.val_check_interval=0": "use a whole number of batches",
    "trainer.overfit_batches=-1": "or 0 for none",
    "trainer.max_time=abc": "trainer.max_time=abc: use DD:HH:MM:SS",
    "trainer.max_time=90": "trainer.max_time=90: use DD:HH:MM:SS",
    "trainer.max_time=[]": "trainer.max_time=[]: use DD:HH:MM:SS",
    "trainer.max_time={hour: 1}": "use DD:HH:MM:SS",
    "trainer.max_time={hours: soon}": "use DD:HH:MM:SS",
    "threads=[]": "threads=[]: threads takes a whole number",
    "threads=0": "threads=0: use a whole number from 1",
}
ACCEPTED = [
    *("trainer.devices=-1", "trainer.devices=auto", "trainer.devices=[0,1]", "trainer.devices='0,1'"),
    *("trainer.limit_train_batches=0.5", "trainer.limit_train_batches=3", "trainer.limit_val_batches=0"),
    *("trainer.precision=bf16-mixed", "trainer.profiler=simple", "trainer.max_steps=3", "trainer.max_time=00:00:10:00"),
    *("trainer.max_time={hours: 1.5}", "trainer.max_time=null"),
    "+trainer.max_time={_target_: datetime.timedelta, hours: 1}",
    *("trainer.num_nodes=1", "+trainer.limit_test_batches=2", "+trainer.barebones=false", "trainer.fast_dev_run=true"),
    *("trainer.num_sanity_val_steps=2", "trainer.overfit_batches=2", "trainer.detect_anomaly=true"),
]


@pytest.mark.parametrize("argument", REFUSED)
def test_trainer_options_out_of_range_are_refused(argument: str, tmp_path: Path) -> None:
    with pytest.raises(NasError, match=".*") as error:
        prepare("search", ["method=gdas", argument, f"hydra.run.dir={tmp_path}/run"])
    assert REFUSED[argument] in str(error.value) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("strategy", ["ddp", "fsdp", "auto"])
def test_name_of_a_strategy_replaces_its_options(strategy: str) -> None:
    with composed("search", "trainer=ddp", f"trainer.strategy={strategy}") as cfg:
        assert cfg.trainer.strategy == strategy
    assert prepare("search", ["method=gdas", "trainer=ddp", f"trainer.strategy={strategy}"])


def test_synchronized_batch_norm_needs_gpus(tmp_path: Path) -> None:
    given = ["method=gdas", "trainer.sync_batchnorm=true", f"hydra.run.dir={tmp_path}/run"]
    with pytest.raises(
        NasError, match="trainer.sync_batchnorm=true: PyTorch synchronizes batch norm between GPUs only"
    ):
        prepare("search", [*given, "trainer=ddp_cpu"])
    assert prepare("search", [*given, "trainer=cpu"]), "one process has nothing to synchronize"


def test_trainer_options_need_no_plus(tmp_path: Path) -> None:
    for argument in ACCEPTED:
        line = prepare("search", ["method=gdas", argument, f"hydra.run.dir={tmp_path}/run"]).arguments
        assert argument.lstrip("+") in [given.lstrip("+") for given in line]


@pytest.mark.parametrize(
    ("job", "arguments", "unused"),
    [
        ("search", ["mode=rank_proxies", "trainer.precision=abc"], "trainer.precision"),
        ("search", ["mode=rank_proxies", "epochs=3"], "epochs"),
        ("train", [f"genotype={NB201}", "dataset.bilevel=true"], "dataset.bilevel"),
        ("search", ["mode=rank_proxies", "callbacks.history=null"], "callbacks.history"),
        ("search", ["mode=rank_proxies", "logger=wandb"], "logger"),
        ("train", ["mode=eval", "weights=X", "ema=0.5"], "ema"),
        ("train", ["mode=eval", "weights=X", "training.optimizer.lr=1"], "training.optimizer.lr"),
        ("train", ["mode=eval", "weights=X", "+trainer.max_steps=3"], "trainer.max_steps"),
        ("train", ["mode=eval", "weights=X", "export.format=onx"], "export.format"),
        ("train", ["mode=export", "weights=X", "evaluation.runs=0"], "evaluation.runs"),
        ("train", ["mode=export", "weights=X", "trainer.precision=16"], "trainer.precision"),
        ("train", [f"genotype='{NB201}'", "export.format=onx"], "export.format"),
        ("train", ["-m", "mode=eval,export", "weights=X", "ema=0.5"], "ema"),
    ],
    ids=lambda value: " ".join(value[-1:]) if isinstance(value, list) else None,
)
def test_options_that_a_mode_does_not_use_are_refused(job: str, arguments: list[str], unused: str) -> None:
    with pytest.raises(NasError, match=f"mode=[a-z_,]+ does not use {unused}. Leave it out."):
        prepare(job, [*TINY, *arguments])


def test_options_that_one_of_several_modes_uses_are_accepted(tmp_path: Path) -> None:
    prepare("train", ["-m", "mode=train,eval", f"genotype='{NB201}'", "ema=0.5", f"hydra.sweep.dir={tmp_path}/s"])
