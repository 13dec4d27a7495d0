"""Mistakes on the command line: one line on stderr that says what would work, before anything is written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from nas.cli.main import prepare
from nas.cli.overrides.parse import merge_overrides, quote, quote_texts
from tests.support.error_tools import NB201, SEARCH, run, snapshot

ROOT = Path(__file__).resolve().parents[2]
DARTS = "Genotype(normal=[('sep_conv_3x3', 1), ('none', 0)], normal_concat=range(2, 6), reduce=[])"

SEARCHES = {
    "method=gdass": ["unknown method 'gdass'", "did you mean 'gdas'?", "drnas"],
    "space=nasbench": ["unknown space 'nasbench'", "'nas_bench_201'"],
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
    "foo.bar=1": ["unknown key 'foo.bar'", "The top level has seed, epochs"],
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
    "seed=x": ["seed=x", "whole number"],
    "seed=-1": ["seed=-1", "whole number"],
    "seed=null": ["seed=None", "from 0 to 4294967295"],
    "method=gdas,darts": ["several values need -m", "method=[gdas,darts]"],
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
def test_a_process_ends_with_code_1_and_a_line_on_stderr(script: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / f"{script}.py"), "dataset=digit"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (1, "") and not list(tmp_path.iterdir())
    start = "error: unknown dataset 'digit': did you mean 'digits'? Choose from "
    assert found.stderr.startswith(start) and found.stderr.count("\n") == 1
    environment = {**os.environ, "HYDRA_FULL_ERROR": "1"}
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert found.returncode == 1 and "Traceback" in found.stderr and "NasError: unknown dataset" in found.stderr


def test_help_and_composition_need_no_checks(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_text("{}")
    assert prepare("search", ["--help", "method=foo"]) == ["--help", "method=foo"]
    given = ["--cfg", "job", f"hydra.run.dir={tmp_path}"]
    assert prepare("search", given) == given
    assert prepare("train", ["-c", "job"]) == ["-c", "job"]


def test_flags_may_stand_anywhere(tmp_path: Path) -> None:
    place = f"hydra.sweep.dir={tmp_path}/sweep"
    assert prepare("search", ["method=gdas,darts", "-m", place]) == ["-m", "method=gdas,darts", place]


@pytest.mark.parametrize("argument", ["method=gdas,gdass", "method=gdas seed=0,1 space.chanels=1,2", "seed=a,b"])
def test_sweeps_are_looked_at_before_their_first_job(argument: str, tmp_path: Path) -> None:
    run("search", "-m", *argument.split(), f"hydra.sweep.dir={tmp_path}/s").refused()
    assert not (tmp_path / "s").exists()


def test_directories_of_other_runs_are_left_alone(tmp_path: Path) -> None:
    for name in ("genotype.json", "summary.json", "checkpoints/last.ckpt"):
        directory = tmp_path / name.replace("/", "_") / "run"
        (directory / name).parent.mkdir(parents=True)
        (directory / name).write_text("{}")
        before = snapshot(tmp_path)
        run("search", *SEARCH, f"hydra.run.dir={directory}").refused(str(directory), "hydra.run.dir", "another")
        sweep = directory.parent
        run("search", "-m", *SEARCH, f"hydra.sweep.dir={sweep}").refused(
            str(sweep), "hydra.sweep.dir", "Choose another"
        )
        assert snapshot(tmp_path) == before


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    run("search", *SEARCH, f"hydra.run.dir={tmp_path}/file").refused("hydra.run.dir: cannot write to", "Choose another")
    assert (tmp_path / "file").read_text() == "x"


def test_genotypes_and_paths_need_no_quotes_of_their_own() -> None:
    assert quote_texts(f"genotype={NB201}") == f"genotype='{NB201}'"
    assert quote_texts(f"genotype={DARTS}") == f'genotype="{DARTS}"'
    assert quote_texts(f"genotype={NB201},{NB201}") == f"genotype='{NB201}','{NB201}'"
    assert quote_texts("ckpt_path=sweep/lr=0.1/run (1)") == "ckpt_path='sweep/lr=0.1/run (1)'"
    for argument in (f"genotype='{NB201}'", "genotype=outputs/a,outputs/b", "seed=1,2", "method=gdas", "--help"):
        assert quote_texts(argument) == argument
    assert quote_texts("ckpt_path=~/run") == f"ckpt_path={Path.home()}/run"
    assert prepare("train", [f"genotype={NB201}"]) == [f"genotype='{NB201}'"]
    assert [quote(text) for text in ("a", "a'b", "a'\"b")] == ["'a'", '"a\'b"', "'a\\'\"b'"]


def test_overrides_of_a_run_that_goes_on() -> None:
    saved = ["method=gdas", "epochs=2", "+callbacks.x={a:1}"]
    assert merge_overrides(saved, ["epochs=3"]) == ["method=gdas", "+callbacks.x={a:1}", "epochs=3"]
    assert merge_overrides(saved, ["~callbacks.x"]) == ["method=gdas", "epochs=2"]
