"""Checks of a command line before the run: one line on stderr, and nothing is written."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from nas.__main__ import ALL_COMMANDS
from nas.cli.checks.arguments import MODES
from nas.cli.command_list import COMMANDS
from nas.cli.main import prepare
from nas.cli.overrides.program_groups import OTHER_GROUPS, SETTINGS
from tests.support.compose_tools import CONF, ROOT, choices
from tests.support.error_tools import SEARCH, run

SEARCHES = {
    "method=gdass": ["unknown method 'gdass'", "did you mean 'gdas' or 'sgas'"],
    "space=nasbench": ["unknown space 'nasbench'", "'nas_bench_201'"],
    "dataset=csv": ["unknown dataset 'csv'", "For your own data, use dataset=folder or a class (docs/data.md)."],
    "dataset=cifar": ["unknown dataset 'cifar'", "'cifar10'", "digits"],
    "trainer=tpu": ["unknown trainer 'tpu'", "'gpu'"],
    "logger=tensorbord": ["unknown logger 'tensorbord'", "'tensorboard'"],
    "experiment=null": ["experiment=null", "Leave experiment out"],
    "experiment=foo": ["unknown experiment 'foo'"],
    "+experiment=foo": ["unknown experiment 'foo'"],
    "hydra/launcher=foo": ["unknown hydra/launcher 'foo'", "basic"],
    "metod=gdas": ["unknown key 'metod'", "did you mean method?"],
    "channels=8": ["unknown key 'channels'", "did you mean space.channels?"],
    "lr=0.1": ["unknown key 'lr'", "method.weight_step.optimizer.lr", "method.arch_step.optimizer.lr"],
    "method.arch_optimiser.lr=1": ["did you mean method.arch_step.optimizer.lr"],
    "foo.bar=1": ["unknown key 'foo.bar'", "The top level has seed, seeds, epochs"],
    "method.foo=1": ["unknown key 'method.foo'", "method.weight_step"],
    "~method.foo": ["unknown key 'method.foo'"],
    "space.chanels=8": ["unknown key 'space.chanels'", "did you mean 'space.channels'?"],
    "space.channels=abc": ["space.channels=abc", "takes a whole number (such as"],
    "space.channels=2.5": ["takes a whole number"],
    "space.channels=-3": ["takes a whole number, not below 0"],
    "space.channels=": ["takes a whole number"],
    "space.affine=3": ["takes true or false"],
    "method.weight_step.optimizer.lr=fast": ["takes a number (such as"],
    "dataset.shape=3": ["takes a list (such as"],
    "epochs=-1": ["epochs=-1", "whole number"],
    "epochs=0": ["epochs=0", "at least 1"],
    "trainer.max_epochs=-1": ["trainer.max_epochs=-1", "whole number"],
    "method.weight_step.optimizer.weight_decay=1000000000000000000000": ["supports whole numbers below 2^63", "1e21"],
    "seed=x": ["seed=x", "whole number"],
    "seed=-1": ["seed=-1", "whole number"],
    "seed=null": ["seed=None", "from 0 to 4294967295"],
    "method=gdas,darts": ["several values need -m", "method=[gdas,darts]"],
    "seed=0,1": ["several values need -m"],
    "trainer.batch_size=8": ["unknown key 'trainer.batch_size'", "'dataset.batch_size'"],
    "foo": ["'foo' is not an override", "key=value"],
    "a b=3": ["'a b' is not a key"],
    "space.ops=[a,b": ["cannot be read", "Check that its brackets"],
    "run_name=a=b": ["cannot be read", "run_name='a=b'"],
    "--foo": ["unknown option --foo", "--hydra-help"],
    "--config-dir=/nonexistent": ["--config-dir", "/nonexistent"],
    "trainer.gradient_clip_val=5": [
        "trainer.gradient_clip_val=5",
        "method.weight_step.clip_norm=5",
        "method.weight_step.clip_params",
    ],
    "+trainer.gradient_clip_val=5": ["trainer.gradient_clip_val=5"],
    "+space.channels=8": ["exists already", "Write space.channels=8"],
    "trainer.accumulate_grad_batches=2": ["trainer.accumulate_grad_batches=2", "dataset.batch_size"],
    "hydra.job.num=abc": ["hydra.job.num=abc", "Integer"],
    "ckpt_path=/nonexistent/last.ckpt": ["ckpt_path", "there is no /nonexistent/last.ckpt", "run directory"],
}
TRAININGS = {
    "": ["genotype is missing", "python train.py genotype=X"],
    "genotype=null": ["genotype is missing"],
    "genotype=x trainer.gradient_clip_val=5": ["training.clip_norm=5"],
}


@pytest.mark.parametrize("argument", SEARCHES)
def test_search_refuses(argument: str, tmp_path: Path) -> None:
    run("search", *SEARCH, f"hydra.run.dir={tmp_path}/run", argument).refused(*SEARCHES[argument])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("arguments", TRAININGS)
def test_train_refuses(arguments: str, tmp_path: Path) -> None:
    run("train", *arguments.split(), f"hydra.run.dir={tmp_path}/run").refused(*TRAININGS[arguments])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("script", ["search", "train"])
def test_launch_exits_with_code_1_and_one_line_on_stderr(script: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / f"{script}.py"), "dataset=digit"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (1, "") and not list(tmp_path.iterdir())
    start = "error: unknown dataset 'digit': did you mean 'digits'? Choose from "
    assert found.stderr.startswith(start) and found.stderr.count("\n") == 1
    environment = {**os.environ, "HYDRA_FULL_ERROR": "1"}
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert found.returncode == 1 and "Traceback" in found.stderr and "NasError: unknown dataset" in found.stderr


def test_prepare_checks_nothing_for_help_and_cfg(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("{}")
    assert prepare("search", ["--help", "method=foo"]).arguments == ["--help", "method=foo"]
    given = ["--cfg", "job", f"hydra.run.dir={tmp_path}"]
    assert prepare("search", given).arguments == given
    assert prepare("train", ["-c", "job"]).arguments == ["-c", "job"]


def test_prepare_accepts_that_all_checkpoints_are_kept() -> None:
    """The default of the option is a number above 0."""
    plan = prepare("search", ["callbacks.checkpoint.save_top_k=-1"]).plan
    assert plan is not None and plan.cfg.callbacks.checkpoint.save_top_k == -1


@pytest.mark.parametrize("flags", ["-m --cfg job", "--run --multirun", "-m --info all", "--resolve"])
def test_flags_that_exclude_each_other_are_one_line(flags: str) -> None:
    run("search", *flags.split(), "seed=0,1").refused("--resolve" if flags == "--resolve" else "only one of these")


def test_prepare_accepts_flags_at_any_position(tmp_path: Path) -> None:
    place = f"hydra.sweep.dir={tmp_path}/sweep"
    assert prepare("search", ["method=gdas,darts", "-m", place]).arguments == ["-m", "method=gdas,darts", place]


@pytest.mark.parametrize("argument", ["method=gdas,gdass", "method=gdas seed=0,1 space.chanels=1,2", "seed=a,b"])
def test_prepare_checks_a_sweep_before_its_first_job(argument: str, tmp_path: Path) -> None:
    run("search", "-m", *argument.split(), f"hydra.sweep.dir={tmp_path}/s").refused()
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("entry", ["search", "train"])
def test_help_lists_all_choices_without_heavy_imports(entry: str, tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-X", "importtime", str(ROOT / f"{entry}.py"), "--help"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds < 6, f"{seconds:.1f} s of processor time"
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "hydra" in imported and not imported & {"torch", "pytorch_lightning", "numpy", "wandb", "matplotlib"}

    groups = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    assert not groups.keys() & {*OTHER_GROUPS[entry], *SETTINGS}
    assert set(groups["mode"].split(", ")) == set(MODES[entry])
    used = {path.name for path in CONF.iterdir() if path.is_dir()} - {*OTHER_GROUPS[entry], *SETTINGS}
    for group in used - {"hydra", "local", "mode"}:
        listed = {name: text.split(", ") for name, text in groups.items() if f"{name}/".startswith(f"{group}/")}
        found = [f"{name}/{file}".removeprefix(f"{group}/") for name, files in listed.items() for file in files]
        assert sorted(name for name in found if not name.rpartition("/")[2].startswith("_")) == choices(group)
    examples = [line for line in done.stdout.splitlines() if line.strip().startswith(f"python {entry}.py ")]
    bare = [line for line in done.stdout.splitlines() if line.strip() == f"python {entry}.py"]
    assert len(examples) + len(bare) >= 5
    described = {line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")}
    assert COMMANDS.keys() <= described if entry == "search" else "COMMAND_LIST" not in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("entry", [["search.py"], ["-m", "nas", "search"]], ids=["script", "module"])
def test_tab_completion_offers_the_choices_of_a_group(entry: list[str], tmp_path: Path) -> None:
    words = [str(ROOT / part) if part.endswith(".py") else part for part in entry]
    line = "python search.py method=darts_"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COMP_LINE": line, "COMP_POINT": str(len(line))}
    command = [sys.executable, *words, "-sc", "query=bash"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=60)
    expected = [f"method={name}" for name in choices("method") if name.startswith("darts_")]
    assert (done.returncode, sorted(done.stdout.split())) == (0, expected), done.stderr


def test_cfg_prints_the_configuration_of_an_installed_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nas", "search", "--cfg", "job", "method=gdas"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "name: gdas" in done.stdout and list(tmp_path.iterdir()) == []


def test_module_has_the_commands_of_the_search_program() -> None:
    assert COMMANDS.items() <= ALL_COMMANDS.items()
