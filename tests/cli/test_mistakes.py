"""Mistakes of all kinds through the front door: one line each, and advice that works."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import pytorch_lightning as pl
from hydra._internal.hydra import Hydra

from nas.callbacks.recording.checkpoint import Checkpoint
from nas.choices.model_space import ModelSpace
from nas.cli.checks.options import check_arguments
from nas.cli.command_list import COMMANDS
from nas.cli.errors import explain
from nas.cli.main import prepare
from nas.cli.run_dir.job_record import JobRecord
from nas.data.synthetic import Synthetic
from nas.spaces.darts.space import Darts
from nas.utils.errors import NasError, nearest, unknown
from tests.support.error_tools import SEARCH, TINY, run

PROGRESSIVE = (
    *("method=drnas_progressive", "space.cells_per_stage=1", *TINY, "epochs=2", "method.arch_step.warmup_epochs=0"),
    *("method.edge.channel_divisor=6", "method.callbacks.0.channel_divisors=[4]"),
)
RUNS = {
    "method.callbacks.0.start=-1": ["Anneal: path=relaxation.tau, start=-1: use a number above 0"],
    "dataset.split=2.0": ["dataset.split=2.0: use a number above 0 and below 1"],
    "dataset.mean=[nan,0,0]": ["dataset.mean=[nan, 0, 0]: use a finite number"],
    "method.weight_step.scheduler.T_max=0": ["method.weight_step.scheduler.T_max=0: use a whole number from 1"],
    "space.channels=null": ["space.channels=null: it takes a whole number"],
    "method.weight_step.optimizer=null": ["method.weight_step.optimizer=null: it takes keys with _target_"],
    "method.arch_step.gradient=null": ["method.arch_step.gradient=null: it takes keys with _target_"],
    "dataset._target_=pytorch_lightning.LightningDataModule": ["is not a nas.data.base.ImageData", "dataset=folder"],
    "+callbacks.stop={_target_:pytorch_lightning.callbacks.EarlyStopping,monitor:foo}": ["metric `foo`", "val/loss"],
    "+callbacks.stop=5": ["callbacks.stop=5: it has no _target_", "PACKAGE.CLASS"],
    "+callbacks.stop={patience:5}": ["callbacks.stop={'patience': 5}: it has no _target_"],
    "+callbacks.stop._target_=builtins.dict": ["callbacks.stop._target_: dict is not a pytorch_lightning.", "Callback"],
    "method._target_=builtins.dict": ["method._target_: dict is not a nas.searches.base.Search. Set a subclass"],
    "space._target_=builtins.dict": ["space._target_: dict is not a nas.spaces.base.Space"],
    "trainer._target_=builtins.dict": ["trainer._target_: dict is not a pytorch_lightning."],
    "logger.csv._target_=builtins.dict": ["logger.csv._target_: dict is not a pytorch_lightning.loggers"],
    "+trainer.logger=true": ["trainer.logger:", "logger=NAME"],
    "method.weight_step.optimizer.lr=null": ["method.weight_step.optimizer.lr=null: it takes a number"],
    "trainer.overfit_batches=null": ["trainer.overfit_batches=null: it takes a whole number or a number"],
    "trainer.val_check_interval=70": ["trainer.val_check_interval=70: an epoch has", "Set at most"],
    "trainer.min_epochs=7": ["trainer.min_epochs=7: above trainer.max_epochs=1. Set at most 1"],
    "tags=[[a]]": ["tags=[[a]]: tags takes a list of texts"],
    "run_name=[a]": ["run_name=[a]: run_name takes text"],
    "dataset.bilevel=false": ["dataset.bilevel=false: the search takes a batch of each part", "single_level=true"],
    "trainer.strategy=abacus": ["unknown trainer.strategy 'abacus'", "ddp"],
}


def further(name: str | None = None, size: int = 1, **options: int) -> None:
    """Accept any further name, as classes of other packages do."""


def unresolved(count: int = 1, other: "Missing | None" = None) -> None:  # type: ignore[name-defined]  # noqa: F821, UP037
    """Have a type that only a type checker resolves, as classes of other packages do."""


@pytest.mark.parametrize(
    ("target", "options", "phrase"),
    [
        (further, {"name": 5}, "part.name=5: it takes text"),
        (further, {"name": [1]}, "part.name=[1]: it takes text"),
        (further, {"size": "x", "any": 1}, "part.size=x: it takes a whole number"),
        (unresolved, {"count": 1.5}, "part.count=1.5: it takes a whole number"),
    ],
)
def test_values_of_other_packages_are_checked(target: Any, options: dict[str, Any], phrase: str) -> None:
    with pytest.raises(NasError, match=re.escape(phrase)):
        check_arguments("part", target, options)


def test_further_names_and_unknown_types_are_accepted() -> None:
    check_arguments("part", further, {"name": None, "size": 2, "any": "x"})
    check_arguments("part", unresolved, {"count": 2, "other": "x"})


@pytest.mark.parametrize("argument", RUNS)
def test_mistake_is_answered_by_one_line(argument: str, tmp_path: Path) -> None:
    run("search", *SEARCH, argument, f"hydra.run.dir={tmp_path}/run").refused(*RUNS[argument])


@pytest.mark.parametrize(
    ("script", "argument", "phrase"),
    [
        ("search", "paths.data=0", "paths.data takes a path"),
        ("search", "++paths.benchmark={}", "paths.benchmark takes a path"),
        ("search", "paths.output=null", "paths.output takes a path"),
        ("search", "method.weight_step.optimizer=1", "takes keys (such as method.weight_step.optimizer.lr=VALUE)"),
        ("search", "method.weight_step={clip_norm:x}", "method.weight_step.clip_norm takes a number"),
        ("train", "evaluation=null", "evaluation takes keys (such as evaluation.logits=VALUE)"),
        ("search", "hydra.output_subdir=../.hydra", "use a name within the run directory"),
    ],
)
def test_value_of_another_type_is_refused(script: str, argument: str, phrase: str) -> None:
    given = ["mode=eval", "genotype=GDAS_V1"] if script == "train" else []
    with pytest.raises(NasError) as error:
        prepare(script, [*given, argument])
    assert phrase in str(error.value)


def test_text_options_take_text() -> None:
    """By the declared types, those of Lightning included."""
    check_arguments("callbacks.checkpoint", Checkpoint, {"dirpath": Path("x"), "filename": "last", "monitor": None})
    check_arguments("space", Darts, {"ops": ["none", "skip_connect"]})
    for name, value in {"dirpath": 0, "filename": ["x"], "monitor": True}.items():
        with pytest.raises(NasError, match=f"callbacks.checkpoint.{name}=.*: it takes text"):
            check_arguments("callbacks.checkpoint", Checkpoint, {name: value})


def test_lists_and_mappings_have_no_other_values() -> None:
    """By the declared types."""
    check_arguments("dataset", Synthetic, {"shape": [3, 8, 8], "mean": 0.5})
    check_arguments("space", ModelSpace, {"options": {"width": 8}})
    for value in (8, "8", {"side": 8}):
        with pytest.raises(NasError, match=r"^dataset.shape=.*: it takes a list"):
            check_arguments("dataset", Synthetic, {"shape": value})
    for value in (8, "8", [8]):
        with pytest.raises(NasError, match=r"^space.options=.*: it takes keys"):
            check_arguments("space", ModelSpace, {"options": value})
        with pytest.raises(NasError, match=r"^budget.network=.*: it takes keys"):
            prepare("search", [f"budget.network={value}".replace("'", "")])


def test_both_ways_of_running_are_refused() -> None:
    with pytest.raises(NasError, match="hydra.mode=RUN: -m runs a sweep"):
        prepare("search", ["-m", "seed=0,1", "hydra.mode=RUN"])


def test_processes_of_a_cpu_are_bounded(tmp_path: Path) -> None:
    found = run("search", *SEARCH, "trainer=ddp_cpu", "trainer.devices=1000", f"hydra.run.dir={tmp_path}/run")
    found.refused("trainer.devices=1000: each is a process on the CPU", "Use at most")


def test_errors_of_a_launcher_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hydra prints a traceback for those that are raised outside of a job, as by a worker of joblib that is killed."""
    killed = type("TerminatedWorkerError", (RuntimeError,), {})
    for error, phrase in (
        (killed("A worker process"), "launcher=joblib: a worker process was killed"),
        (OverflowError("too much"), "unexpected OverflowError: too much in"),
    ):

        def launch(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr(Hydra, "multirun", launch)
        JobRecord(5, "x", ()).save(tmp_path / "sweep")  # of a sweep that was killed: it is no job of this one
        run("search", "-m", *SEARCH, "seed=0,1", f"hydra.sweep.dir={tmp_path}/sweep").refused(phrase)
        assert not (tmp_path / "sweep" / "sweep.csv").exists()


def test_stages_name_a_number_of_channels_that_fits_all_of_them(tmp_path: Path) -> None:
    found = run("search", *PROGRESSIVE, "space.channels=4", f"hydra.run.dir={tmp_path}/a")
    found.refused("space.channels=4: the stages divide it by 6, 4. Use a multiple of 12, such as 12.")
    run("search", *PROGRESSIVE, "space.channels=12", f"hydra.run.dir={tmp_path}/b").succeeded()


def test_stages_keep_no_more_ops_than_there_are(tmp_path: Path) -> None:
    options = ("method=p_darts", "space=darts", *TINY, "space.channels=4", "space.layers=3")
    found = run("search", *options, "method.callbacks.0.keep=[9,8]", f"hydra.run.dir={tmp_path}/a")
    found.refused("keep=[9, 8]: space=darts has 8 ops per edge. Use numbers that fall from at most 8.")


@pytest.mark.parametrize(
    ("refused", "phrase", "works"),
    [
        ("logger=null", "Use logger=none.", "logger=none"),
        ("callbacks=null", "as in ~callbacks.cell_plots", "~callbacks.cell_plots"),
        ("experiment=null", "Leave experiment out", "seed=1"),
        ("dataset=null", "Use dataset=NAME", "dataset=synthetic"),
        ("~method", "Use method=NAME", "method=darts"),
        ("~callbacks", "Use callbacks=NAME", "callbacks=default"),
    ],
)
def test_advice_against_null_works(refused: str, phrase: str, works: str, tmp_path: Path) -> None:
    place = f"hydra.run.dir={tmp_path}/run"
    with pytest.raises(NasError, match=phrase):
        prepare("search", [refused, place])
    assert works in prepare("search", [works, place]).arguments


@pytest.mark.parametrize("method", ["darts", "darts_2nd"])  # the latter has a mapping with another key
def test_mapping_with_a_new_key_names_the_overrides_that_add_it(method: str) -> None:
    part = (
        "nas.gradients.clipped.Clipped,norm:1.0"
        if method == "darts_2nd"
        else "nas.gradients.unrolled.Unrolled,radius:0.01"
    )
    given = f"method.arch_step.gradient={{_target_:{part}}}"
    with pytest.raises(NasError, match="the mapping has a key that the present value lacks") as refused:
        prepare("search", [f"method={method}", given])
    works = re.findall(r"'([^']+)'", str(refused.value).partition("Write")[2])
    assert prepare("search", [f"method={method}", *works]).plan is not None


def test_suggestions_ignore_capitals() -> None:
    assert "did you mean 'gdas'?" in str(unknown("method", "GDAS", ["gdas", "darts"]))
    assert nearest("cifar10", ["CIFAR10", "digits"], 1) == ["CIFAR10"]
    with pytest.raises(NasError, match="did you mean space.channels"):
        prepare("search", ["SPACE.Channels=4"])


def test_explain_covers_errors_of_other_libraries() -> None:
    wandb, used = (type(name, (Exception,), {"__module__": "wandb.errors"}) for name in ("CommError", "UsageError"))
    cases = {
        MemoryError(): "out of memory",
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 4 bytes"): "out of memory",
        RuntimeError("Storage size calculation overflowed with sizes=[1]"): "out of memory",
        used(
            "Run ID cannot contain /."
        ): "logger.wandb: Run ID cannot contain /. Change the option of logger.wandb, or its",
        used("No API key configured"): "logger.wandb: No API key configured. Run wandb login",
        wandb("no network"): "logger.wandb: no network. Run wandb login, or set logger.wandb.offline=true.",
        pl.utilities.exceptions.MisconfigurationException(): "trainer: Lightning rejects its options",
    }
    for error, phrase in cases.items():
        assert phrase in (explain(error) or ""), error


def test_online_logger_without_a_key_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr(wandb.api, "_api", None, raising=False)
    options = ("logger=wandb", "logger.wandb.offline=false", f"hydra.run.dir={tmp_path}/run")
    run("search", *SEARCH, *options).refused("W&B has no API key", "wandb login")


def test_unknown_processes_of_slurm_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "job", "SLURM_NTASKS_PER_NODE": "4"}.items():
        monkeypatch.setenv(name, value)
    for name in ("SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID", "SLURM_STEP_ID"):
        monkeypatch.setenv(name, "0")
    options = ("trainer=ddp_cpu", f"hydra.run.dir={tmp_path}/run")
    run("search", *SEARCH, *options).refused("trainer.devices=2", "srun has started 4 processes")


@pytest.mark.parametrize("command", ["report", "leaderboard", "accuracy-range", "plot", "merge"])
def test_link_to_itself_is_a_missing_path(command: str, tmp_path: Path) -> None:
    (tmp_path / "ring").symlink_to(tmp_path / "ring")
    found = run("search", command, tmp_path / "ring")
    found.refused(str(tmp_path / "ring"))
    assert "unexpected" not in found.erred


@pytest.mark.parametrize(
    ("arguments", "phrase"),
    [
        (("report", "{}"), "does not exist"),
        (("leaderboard", "{}"), "there is no such directory"),
        (("accuracy-range", "{}"), "Give the run directory"),
        (("plot", "GDAS_V1", "--output={}/cell.png"), "there is no directory"),
        (("latency", "output={}/table.json"), "in an existing directory"),
        (("ckpt_path={}",), "ckpt_path: there is no"),
        (("dataset=folder", "dataset.root={}"), "no such folder"),
        (("dataset.split={}/split.txt",), "dataset.split="),
    ],
)
def test_home_of_an_unknown_user_is_a_missing_path(arguments: tuple[str, ...], phrase: str, tmp_path: Path) -> None:
    given = [argument.format("~no-such-user/x") for argument in arguments]
    place = [] if "=" not in given[0] else [f"hydra.run.dir={tmp_path}/run"]
    run("search", *given, *place).refused("~no-such-user/x", phrase)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_commands_refuse_in_one_line(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run("search", command, "--no-such-flag").refused()

    imported = importlib.import_module

    def interrupted(name: str) -> ModuleType:
        if name.startswith("nas.cli.programs."):
            return imported(name)
        raise KeyboardInterrupt

    monkeypatch.setattr("importlib.import_module", interrupted)
    run("search", command).refused("interrupted. Run the command again.", code=130)
