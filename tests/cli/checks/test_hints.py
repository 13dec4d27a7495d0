"""Values against type hints: what a yaml file can hold, for each kind of hint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

import pytest
from torch import nn

from nas.cli.checks.hints import accepts, describe
from nas.cli.checks.options import check_arguments, check_options
from nas.utils.errors import NasError
from tests.support.compose_tools import composed
from tests.support.error_tools import run


class Named(Protocol):
    """Stand for an interface."""

    name: str


OBJECT = {"_target_": "torch.nn.ReLU"}
CASES: list[tuple[Any, list[Any], list[Any]]] = [
    (int | bool, [3, True], ["maybe", 2.5, [], {"a": 1}]),
    (float | str, [1, 0.5, "halves"], [[], [1], {"a": 1}, True]),
    (str | timedelta | dict[str, int] | None, ["a", {"a": 1}, OBJECT, None], [5, [], True]),
    (str | nn.Module, ["a", OBJECT], [5, [], {"a": 1}]),
    (Callable[..., Any] | None, [OBJECT, None], ["abc", 5, True, [], {"a": 1}]),
    (list[nn.Module] | None, [[OBJECT], [], None], [5, ["a"], {"a": 1}]),
    (Iterable[int] | int, [[1, 2], 1], [["a"], {"a": 1}, 2.5]),
    (Sequence[float], [[1, 0.5], ["${seed}"]], [["a"], 1]),
    (tuple[float, float], [[0.9, 0.999]], [0.9, {"a": 1}]),
    (Mapping[str, int] | None, [{"a": 1}], [[], 1, "a"]),
    (Literal["auto"] | bool, ["auto", True], ["no", 1.5, []]),
    (Path | str, ["a"], [1, [], {"a": 1}]),
    (Named, [OBJECT], [None, 1, "a", []]),
    (nn.Module, [OBJECT], [None, 1, "a", []]),
    (Any, [1, "a", [], {}], []),
    (object, [1, "a", [], {}], []),
]


@pytest.mark.parametrize(("hint", "fitting", "others"), CASES, ids=[str(case[0]) for case in CASES])
def test_values_fit_their_hints(hint: Any, fitting: list[Any], others: list[Any]) -> None:
    assert [value for value in (*fitting, "${seed}") if not accepts(hint, value)] == []
    assert [value for value in others if accepts(hint, value)] == []


def test_kinds_are_described() -> None:
    assert describe(str | nn.Module | None) == "text or keys with _target_ or null"
    assert describe(Literal["a", "b"] | Sequence[int]) == "a or b or a list (elements: a whole number)"
    assert describe(Named) == describe(nn.Module) == describe(Callable[..., Any]) == "keys with _target_"
    assert describe(dict[str, int] | float) == "keys or a number"


def part(steps: int | bool = 1, model: Callable[..., Any] | None = None, root: str = "") -> None:
    """Stand for a class of several kinds of options."""


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"steps": "few"}, "part.steps=few: it takes a whole number or true or false."),
        ({"model": 5}, "part.model=5: it takes keys with _target_ or null."),
        ({"root": 5}, "part.root=5: it takes text. Put quotes within quotes: \"part.root='5'\""),
        ({"root": ["a"]}, "part.root=['a']: it takes text."),
    ],
)
def test_other_kinds_are_refused(given: dict[str, Any], line: str) -> None:
    with pytest.raises(NasError) as error:
        check_arguments("part", part, given)
    assert str(error.value) == line


@pytest.mark.parametrize(
    ("chosen", "option"), [("method=random_search", "method.edge"), ("evaluator=zero_cost", "evaluator.epochs")]
)
def test_options_that_an_experiment_sets_are_not_those_of_the_user(chosen: str, option: str, tmp_path: Path) -> None:
    experiment = f"experiment={'bananas' if chosen.startswith('evaluator') else 'gdas'}/nas_bench_201"
    done = run("search", experiment, chosen, "dataset=synthetic", f"hydra.run.dir={tmp_path}/run")
    done.refused(f"{experiment}: it sets {option}, which {chosen} does not have. Leave out one of the two.")


def test_options_that_an_experiment_does_not_set_are_unknown(tmp_path: Path) -> None:
    (tmp_path / "space").mkdir()
    (tmp_path / "space" / "mine.yaml").write_text("defaults: [nas_bench_201]\nchanels: 4\n")
    given = ["-cd", tmp_path, "experiment=gdas/nas_bench_201", "space=mine", "dataset=synthetic"]
    done = run("search", *given, f"hydra.run.dir={tmp_path}/run")
    done.refused("unknown option 'space.chanels'", "did you mean 'space.channels'")


@pytest.mark.parametrize(
    ("job", "given", "line"),
    [
        ("search", ["trainer.strategy=5"], "trainer.strategy=5: it takes text or keys with _target_."),
        ("search", ["trainer.fast_dev_run=maybe"], "trainer.fast_dev_run=maybe: it takes a whole number or true or"),
        (
            "search",
            ["+trainer.plugins=5"],
            "trainer.plugins=5: it takes keys with _target_ or a list (elements: keys with _target_)",
        ),
        ("train", ["genotype=x", "text_training.scheduler=5"], "text_training.scheduler=5: it takes keys with"),
    ],
)
def test_options_of_several_kinds_are_checked(job: str, given: list[str], line: str) -> None:
    with composed(job, *given) as cfg, pytest.raises(NasError) as error:
        check_options(cfg)
    assert str(error.value).startswith(line)
