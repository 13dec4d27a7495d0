"""Keywords of Hydra with wrong values."""

from __future__ import annotations

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from nas.cli.checks.keywords import CONVERSIONS, check_keywords
from nas.utils.errors import NasError
from tests.support.compose_tools import composed, published, searches
from tests.support.error_tools import NB201, SEARCH, TRAIN, run


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("method.relaxation._partial_=null", "it takes true or false."),
        ("++method._partial_=3", "it takes true or false."),
        ("++method.arch_step._recursive_=x", "it takes true or false."),
        ("++method.arch_step.optimizer._convert_=some", "it takes none, partial, object or all."),
        ("++method.arch_step.optimizer._args_=3", "it takes a list."),
        ("method.arch_step.optimizer._target_=null", "it takes the dotted name of a class or function."),
        ("method.relaxation._target_=true", "it takes the dotted name of a class or function."),
        ("++method.arch_step._recursive_=false", "nas.searches.arch_step.ArchStep needs its parts, not their options."),
        ("++callbacks.mine=[{_target_:nas.X,_partial_:1}]", "it takes true or false."),
    ],
)
def test_wrong_value_is_refused_in_one_line(line: str, message: str) -> None:
    found = run("search", "method=darts", *SEARCH, line)
    key = "callbacks.mine.0._partial_=1" if "mine" in line else line.lstrip("+")
    found.refused(f"error: {key}: {message}")


def test_wrong_value_of_a_training_is_refused() -> None:
    run("train", *TRAIN, f"genotype={NB201}", "training.optimizer._partial_=null").refused(
        "training.optimizer._partial_=null: it takes true or false."
    )


def test_values_are_those_that_hydra_accepts() -> None:
    for conversion in (*CONVERSIONS, "ALL"):
        node = OmegaConf.create({"_target_": "builtins.dict", "_convert_": conversion, "_partial_": True})
        check_keywords(node)
        instantiate(node)
    for key, value in {"_partial_": None, "_recursive_": "x", "_target_": 3}.items():
        node = OmegaConf.create({"_target_": "builtins.dict", key: value})
        with pytest.raises(NasError, match=f"^{key}="):
            check_keywords(node)
        with pytest.raises(Exception, match="must be a bool|callable|Expected"):
            instantiate(node)


def test_all_configurations_have_accepted_keywords() -> None:
    for name in searches():
        with composed("search", f"method={name}") as cfg:
            check_keywords(cfg)
    for name in published()[:3]:
        with composed("search", f"experiment={name}") as cfg:
            check_keywords(cfg)
