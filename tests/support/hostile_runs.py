"""Run directories with a hostile record (.hydra), and the command lines that read them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.hostile_bench import (
    SYNTHETIC,
    Bench,
    Case,
    evil_choice,
    payload,
    set_value,
)

# Overrides in .hydra/overrides.yaml, with words of the refusal. {code}: a payload in Hydra's grammar; {evil}: a path
# out of conf/; {dir}: the directory of the case.
OVERRIDES: dict[str, str] = {
    "dataset.test_split={code}": "plain values only",
    "+dataset.root=[{code}]": "plain values only",
    "dataset._target_=os.mkdir": "plain values only",
    "++dataset._recursive_=true": "plain values only",
    "+callbacks.x={code}": "plain values only",
    "+callbacks.x._target_=os.mkdir": "plain values only",
    "+dataset._args_=[1]": "plain values only",
    "run_name=${{oc.env:HOME}}": "plain keys only",
    "run_name='a ${{oc.decode:x}} b'": "plain keys only",
    "run_name='${{run_${{seed}}}}'": "plain keys only",
    "run_name='${{seed'": "plain keys only",
    "hydra.run.dir={dir}": "option of Hydra itself",
    "hydra.searchpath=['file://{dir}']": "option of Hydra itself",
    "hydra/launcher=joblib": "option of Hydra itself",
    "+hydra.callbacks.x={code}": "option of Hydra itself",
    "+dataset@hydra.callbacks.x=digits": "option of Hydra itself",
    "dataset={evil}": "not a choice of your configuration",
    "+dataset@callbacks.x={evil}": "not a choice of your configuration",
    "dataset=[digits,../x]": "not a choice of your configuration",
    "trainer=/etc/passwd": "not a choice of your configuration",
    "seed=0,1": "several values",
    "seed=range(3)": "several values",
    "seed=glob(*)": "several values",
    "--config-dir={dir}": "is not an override",
    "-m": "is not an override",
    "seed": "is not an override",
    "dataset.batch_size=[1]": "takes a whole number",
    "dataset.split={{a:1}}": "takes a single value",
    "epochs=many": "whole number",
    "unknown.key=1": "unknown key",
    "callbacks.history.directory={dir}": "does not set where to write",
    "callbacks.checkpoint={{dirpath:{dir}}}": "does not set where to write",
    "paths.output={dir}": "does not set where to write",
    "run_name='" + "${{seed}}" * 17 + "'": "references",
}


def _override(line: str, bench: Bench) -> str:
    fields = {"code": f"{{_target_:os.mkdir,path:{bench.marker}}}", "dir": bench.directory}
    return line.format(evil=evil_choice(bench), **fields)


def _add_override(run: Path, line: str) -> None:
    file = run / ".hydra" / "overrides.yaml"
    file.write_text(yaml.safe_dump([*yaml.safe_load(file.read_text()), line]))


def _resume(line: str) -> Callable[[Bench], list[str]]:
    def make(bench: Bench) -> list[str]:
        run = bench.copy(bench.searched, finished=False)
        _add_override(run, _override(line, bench))
        return [f"ckpt_path={run}"]

    return make


def _record(name: str, *arguments: str) -> Callable[[str], Callable[[Bench], list[str]]]:
    """Return the maker of makers: a text for the file ``name`` of the record of a run, and the arguments {run}."""

    def with_text(text: str) -> Callable[[Bench], list[str]]:
        def make(bench: Bench) -> list[str]:
            run = bench.copy(bench.trained, finished=False)
            file = run / ".hydra" / name
            file.unlink()
            if text == "FIFO":
                os.mkfifo(file)
            elif text == "BYTES":
                file.write_bytes(b"\xff\xfe\x00")
            else:
                file.write_text(text.replace("{marker}", str(bench.marker)))
            return [argument.format(run=run) for argument in arguments]

        return make

    return with_text


YAML = {
    "python tag": ("!!python/object/apply:os.mkdir ['{marker}']", "has the tag"),
    "local tag": ("!x [1]", "has the tag"),
    "alias bomb": ("a: &a [1]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcd", "bcde", strict=True)),
                   "anchor or alias"),
    "deep": ("[" * 5000, "is nested deeper"),
    "large": ("# " + "x" * (1 << 20) + "\n[]", "has more than"),
    "date": ("[2020-01-01]", "contains a date"),
    "not utf-8": ("BYTES", "is damaged"),
}  # fmt: skip


def _config(*place: str, value: Any, script: str = "train") -> Callable[[Bench], list[str]]:
    """Return the maker of a run with a changed .hydra/config.yaml, which mode=eval reads."""

    def make(bench: Bench) -> list[str]:
        run = bench.copy(bench.trained)
        file = run / ".hydra" / "config.yaml"
        content = yaml.safe_load(file.read_text())
        set_value(*place, value=payload(bench) if value == "{code}" else value)(content, bench)
        file.write_text(yaml.safe_dump(content))
        return ["mode=eval", f"weights={run}", "evaluation.runs=1"]

    return make


def _choice(value: Any, *arguments: str) -> Callable[[Bench], list[str]]:
    """Return the maker of a run whose record names this data set."""

    def make(bench: Bench) -> list[str]:
        run = bench.copy(bench.trained)
        file = run / ".hydra" / "hydra.yaml"
        content = yaml.safe_load(file.read_text())
        content["hydra"]["runtime"]["choices"]["dataset"] = evil_choice(bench) if value == "{evil}" else value
        file.write_text(yaml.safe_dump(content))
        return [argument.format(run=run) for argument in arguments]

    return make


def _genotype_run(line: str) -> Callable[[Bench], list[str]]:
    """Return the maker of a search with a further override, whose genotype is trained."""

    def make(bench: Bench) -> list[str]:
        run = bench.copy(bench.searched)
        _add_override(run, _override(line, bench))
        return [f"genotype={run}", "network.channels=4", "network.cells_per_stage=1", "epochs=1"]

    return make


def _supernet(line: str) -> Callable[[Bench], list[str]]:
    """Return the maker of a search with a further override, whose supernet evaluates another search."""

    def make(bench: Bench) -> list[str]:
        run = bench.copy(bench.searched)
        _add_override(run, _override(line, bench))
        tiny = ("space.channels=4", "space.cells_per_stage=1", "method.budget.queries=2")
        return ["method=random_search", "evaluator=supernet", f"evaluator.supernet_dir={run}", *SYNTHETIC, *tiny]

    return make


def run_cases() -> Iterator[Case]:
    """Yield the run directories."""
    for line, phrase in OVERRIDES.items():
        yield Case(f"ckpt_path: {line[:60]}", "search", _resume(line), phrase)
    for name, (text, phrase) in YAML.items():
        yield Case(f"overrides.yaml: {name}", "train", _record("overrides.yaml", "ckpt_path={run}")(text), phrase)
        evaluate = ("mode=eval", "weights={run}", "evaluation.runs=1")
        yield Case(f"config.yaml: {name}", "train", _record("config.yaml", *evaluate)(text), phrase)
        yield Case(f"hydra.yaml: {name}", "train", _record("hydra.yaml", *evaluate)(text), phrase)
    resumed = _record("overrides.yaml", "ckpt_path={run}")("FIFO")
    yield Case("overrides.yaml: pipe", "train", resumed, "is no regular file")
    for value in ("{evil}", "/etc/passwd", "digits,../x", "../../x"):
        for arguments in (
            ("mode=eval", "weights={run}"),
            ("genotype={run}", "epochs=1"),
            ("mode=eval", "genotype={run}"),
        ):
            name = f"hydra.yaml: dataset={value} {' '.join(arguments)}"
            yield Case(name, "train", _choice(value, *arguments), "not a choice of your configuration")
    for line in (
        "dataset.test_split={code}",
        "dataset.root={code}",
        "++dataset.root=${{oc.env:HOME}}",
        "paths.data={code}",
    ):
        yield Case(f"genotype: {line}", "train", _genotype_run(line), "a run ")
    for line in ("dataset.shape=[{code}]", "dataset.classes=x", "dataset.scale=${{x:y}}", "dataset.root=[1]"):
        yield Case(f"genotype: {line}", "train", _genotype_run(line), "overrides.yaml")
    for line in ("method.edge={code}", "dataset={evil}", "space._target_=os.mkdir", "space.channels={{a:1}}"):
        yield Case(f"supernet_dir: {line}", "search", _supernet(line), "overrides.yaml")
    for place, value in {
        ("dataset", "test_split"): "{code}",
        ("dataset", "_target_"): "os.mkdir",
        ("dataset", "mean"): "${oc.env:HOME}",
        ("dataset", "size"): [1],
        ("dataset", "split"): {"a": 1},
        ("dataset", "noise"): "${now:%Y}",
        ("seed",): "x', +x={_target_:os.mkdir}",
        ("paths", "data"): "{code}",
    }.items():
        yield Case(f"config.yaml: {'.'.join(place)}={value}", "train", _config(*place, value=value), "config.yaml: ")
