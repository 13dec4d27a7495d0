"""Numbers in conf/: each has a declared range, and every other value is answered in one line."""

from __future__ import annotations

import math
import pydoc
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from nas.blackbox.search import BlackBoxSearch
from nas.cli.build import build_data, build_search, build_space, build_trainer
from nas.cli.checks.options import check_options, parameters
from nas.cli.checks.values import check_config
from nas.cli.errors import explain
from nas.cli.jobs.rank_proxies import build_ranking
from nas.data.base import ImageData
from nas.data.synthetic import Synthetic
from nas.data.text.base import TextData
from nas.searches.gradient import GradientSearch
from nas.training.network_training import Training
from nas.utils.ranges import ranges_of
from tests.support.compose_tools import CONF, DATA, choices, composed, data_of, searches, spaces, tiny

HUGE = 10**18
VALUES: tuple[Any, ...] = (-1, 0, math.nan, math.inf, -math.inf, 1.5, HUGE, 10.0**400 if False else 1e300, "word", True)
NUMBERS = (int, float)
GIVEN = {"shape", "classes", "channels", "stride", "cells"}
"""Arguments that the program passes itself."""
MIXED = {"split", "benchmark_seed"}
"""Arguments that take a word or a number, which their constructors check."""


def targets() -> dict[str, Any]:
    """Return the classes and functions of this project that files of conf/ name, by dotted name."""
    found: set[str] = set()
    for file in CONF.rglob("*.yaml"):
        found |= set(_names(OmegaConf.to_container(OmegaConf.load(file))))
    return {name: pydoc.locate(name) for name in sorted(found) if name.startswith("nas.")}


def _names(node: Any) -> Iterator[str]:
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _names(value)
    if isinstance(node, dict) and "_target_" in node:
        yield node["_target_"]


def numeric(hint: Any) -> bool:
    """Return whether a type hint admits numbers, alone or in a list."""
    return hint in NUMBERS or any(numeric(part) for part in typing.get_args(hint))


@pytest.mark.parametrize("name", targets())
def test_every_number_of_a_constructor_has_a_range(name: str) -> None:
    target: Any = pydoc.locate(name)
    accepted = {option for option, hint in (parameters(target) or {}).items() if numeric(hint)}
    missing = accepted - ranges_of(target).keys() - MIXED
    if not issubclass_of_data(target):
        missing -= GIVEN
    assert not missing, f"declare a range of {name}: {sorted(missing)}"
    own = vars(target).get("__ranges__", {}) if isinstance(target, type) else {}
    assert own.keys() <= accepted


def issubclass_of_data(target: Any) -> bool:
    return isinstance(target, type) and issubclass(target, ImageData | TextData)


VALUES: tuple[Any, ...] = (-1, 0, math.nan, math.inf, 1.5, 1e30, "word")
"""Values that are tried for each number."""
SEEN: set[tuple[str, str]] = set()
"""Numbers that an earlier test of this process has tried."""
EPOCHS = "epochs=${method.epochs}"  # a small data set has a number of its own
STARTS: dict[str, list[str]] = {
    **{f"method={name}": ["search", *tiny(name)] for name in searches()},
    **{f"evaluator={name}": ["search", *tiny("random_search"), f"evaluator={name}"] for name in choices("evaluator")},
    **{f"predictor={name}": ["search", *tiny("bananas"), f"predictor={name}"] for name in choices("predictor")},
    **{f"proxy={name}": ["search", "mode=rank_proxies", *tiny()[1:], f"proxy={name}"] for name in choices("proxy")},
    **{
        f"dataset={name}": ["search", "method=darts", f"dataset={name}"]
        for name in choices("dataset")
        if name not in ("folder", "imagenet", "hf")
    },
    **{f"space={name}": ["search", "method=darts", *data_of(name), f"space={name}", EPOCHS] for name in spaces()},
    **{f"callbacks={name}": ["search", *tiny("darts"), f"callbacks={name}"] for name in choices("callbacks")},
    "train": ["train", "genotype=x", *DATA],
}
"""Configurations that contain the numbers of conf/."""


def numbers(cfg: DictConfig) -> dict[tuple[str, str], str]:
    """Return the key of each number of a configuration by (target, path of the option below its target)."""
    found: dict[tuple[str, str], str] = {}

    def walk(node: Any, key: str, target: str, path: str) -> None:
        if isinstance(node, dict):
            if "_target_" in node:
                target, path = node["_target_"], ""
            for name, value in node.items():
                walk(value, f"{key}.{name}" if key else name, target, f"{path}.{name}" if path else name)
        elif isinstance(node, list):
            for position, value in enumerate(node):
                walk(value, f"{key}.{position}", target, path)
        elif isinstance(node, int | float) and not isinstance(node, bool):
            found.setdefault((target, path), key)

    walk(OmegaConf.to_container(cfg, resolve=False), "", "", "")
    return found


def build(cfg: DictConfig, part: str) -> None:
    """Build the part of a run that a top-level key of the configuration belongs to."""
    data = build_data(cfg)
    if part == "dataset":
        return
    if part in ("trainer", "callbacks", "logger"):
        build_trainer(cfg)
    elif part in ("ranking", "proxy"):
        build_ranking(cfg, build_space(cfg.space, data), data, torch.device("cpu"))
    elif part in ("method", "space", "evaluator"):
        search = build_search(cfg.method, build_space(cfg.space, data))
        if isinstance(search, GradientSearch):
            weights = search.weight_step.optimizer(search.supernet.parameters())
            if search.weight_step.scheduler is not None:
                search.weight_step.scheduler(weights)
            if search.arch_step.optimizer is not None:
                search.arch_step.optimizer(search.relaxation.parameters())
        elif isinstance(search, BlackBoxSearch) and cfg.evaluator._target_.rpartition(".")[2] == "ShortTraining":
            data.setup()
            search.build_evaluator(data, torch.device("cpu"))
    elif part == "text_training":
        instantiate(cfg.text_training, network=torch.nn.Linear(2, 2), _convert_="all")
        instantiate(cfg.text_training.optimizer)(torch.nn.Linear(2, 2).parameters())
    elif part == "training":
        network = torch.nn.Linear(2, 2)
        training = instantiate(cfg.training, network=network, classes=data.classes, _convert_="all")
        assert isinstance(training, Training)
        instantiate(cfg.training.scheduler)(instantiate(cfg.training.optimizer)(network.parameters()))


def attempt(cfg: DictConfig, key: str, value: Any) -> str | None:
    """Set a key, check and build its part; return the line of the error, None if the value is accepted."""
    before = OmegaConf.select(cfg, key)
    OmegaConf.update(cfg, key, value)
    try:
        check_config(cfg)
        check_options(cfg)
        build(cfg, key.partition(".")[0])
    except Exception as error:
        line = explain(error)
        if line is None:
            raise
        return line
    finally:
        OmegaConf.update(cfg, key, before)
    return None


QUICK = ("method=darts", "method=bohb", "dataset=cifar10", "proxy=zen", "train")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in STARTS]
)
def test_every_number_of_conf_is_used_or_refused_in_one_line(name: str, tmp_path: Path) -> None:
    job, *overrides = STARTS[name]
    wrong = []
    with composed(job, *overrides, f"paths.output={tmp_path}", f"paths.data={tmp_path}") as cfg:
        OmegaConf.set_struct(cfg, False)
        for place, key in numbers(cfg).items():
            if place in SEEN or key.startswith("dataset_defaults"):
                continue
            SEEN.add(place)
            option = re.sub(r"\.\d+$", "", key).rpartition(".")[2]
            for value in VALUES:
                try:
                    line = attempt(cfg, key, value)
                except Exception as error:
                    wrong.append(f"{key}={value}: {type(error).__name__}: {error}")
                    continue
                if line is not None and ("\n" in line or option not in line):
                    wrong.append(f"{key}={value}: the line does not name the option: {line}")
                if line is None and (isinstance(value, str) or not math.isfinite(value)):
                    wrong.append(f"{key}={value}: accepted")
    assert not wrong, "\n".join(wrong)


def test_whole_numbers_may_be_written_with_an_exponent(tmp_path: Path) -> None:
    with composed("search", *tiny("darts"), "dataset.size=1e2", f"paths.output={tmp_path}") as cfg:
        check_options(cfg)
        data = build_data(cfg)
        assert isinstance(data, Synthetic) and (data.size, type(data.size)) == (100, int)
