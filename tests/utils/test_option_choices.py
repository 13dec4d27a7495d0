from __future__ import annotations

import pydoc
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest
import torch

from nas.relaxations.dirichlet import Dirichlet
from nas.searches.weight_step import WeightStep
from nas.spaces.nas_bench_201.space import NasBench201
from nas.training.lr_schedule import LRDecay
from nas.utils.errors import NasError
from nas.utils.option_choices import choices_of, never_none
from nas.utils.ranges import COUNT, FINITE, check_ranges
from tests.support.compose_tools import CONF

CELLS = NasBench201((3, 8, 8), 10).cells


def example(a: Literal["x", "y"], b: Literal["z"] | None = None, c: str = "", d: Literal["u"] | int = 0) -> None: ...
def flags(
    a: bool, b: bool | None = None, c: Literal["auto"] | bool = "auto", d: float = 0, e: int | None = 1
) -> None: ...


def test_choices_are_those_of_literals_and_booleans() -> None:
    assert choices_of(example) == {"a": ("x", "y"), "b": ("z", None)}
    assert choices_of(flags) == {"a": (True, False), "b": (True, False, None), "c": ("auto", True, False)}


def test_further_options_and_arrays_are_compared_with_no_choice() -> None:
    def function(*modes: Literal["a"], flag: bool = True, kind: Literal["x"] = "x", **flags: bool) -> None: ...

    assert choices_of(function) == {"flag": (True, False), "kind": ("x",)}
    checked: Any = check_ranges()(function)
    checked("a", "b", flag=np.True_, kind=np.str_("x"), other=True)
    for wrong in ({"flag": torch.ones(2)}, {"kind": np.array(["x", "x"])}):
        with pytest.raises(NasError, match="^function: .*: unknown. "):
            checked(**wrong)


def test_text_is_no_boolean_and_none_no_number() -> None:
    assert never_none(flags) == {"d"}
    checked: Any = check_ranges(d=FINITE, e=COUNT)(flags)
    checked(True, None, False, d=1.5, e=None)
    for wrong, message in (
        ({"a": "false"}, "flags: a=false: unknown"),
        ({"a": None}, "flags: a=None: unknown"),
        ({"a": True, "d": None}, "flags: d=None: use a finite number"),
    ):
        with pytest.raises(NasError, match=message):
            checked(**wrong)


def test_value_that_is_no_choice_is_refused() -> None:
    @check_ranges()
    @dataclass
    class Part:
        kind: Literal["a", "b"] = "a"

    assert Part("b").kind == "b"
    with pytest.raises(NasError, match="^Part: kind=c: unknown. Choose from a, b"):
        Part("c")  # type: ignore[arg-type]
    checked: Any = check_ranges()(example)
    checked("x", b=None)
    with pytest.raises(NasError, match="^example: b=w: unknown"):
        checked("x", b="w")


@pytest.mark.parametrize(
    ("build", "option"),
    [
        (lambda: Dirichlet(CELLS, regularizer="l3"), "Dirichlet: regularizer=l3: unknown"),  # type: ignore[arg-type]
        (lambda: WeightStep(lambda p: None, clip_params="none"), "WeightStep: clip_params=none: unknown"),  # type: ignore
        (lambda: LRDecay(None, T_max=3, schedule="step"), "LRDecay: schedule=step: unknown"),  # type: ignore[arg-type]
    ],
)
def test_parts_refuse_unknown_choices_in_python(build: Any, option: str) -> None:
    with pytest.raises(NasError, match=option):
        build()


def configured() -> Iterator[Any]:
    """Yield the classes of this project that conf/ configures."""
    names = {name for file in CONF.rglob("*.yaml") for name in re.findall(r"_target_: (nas\.[\w.]+)", file.read_text())}
    yield from filter(lambda part: isinstance(part, type), map(pydoc.locate, sorted(names)))


def test_every_configured_class_checks_its_choices() -> None:
    unchecked = []
    for part in configured():
        own: Any = vars(part).get("__init__")
        has_literals = own is not None and any(
            typing.get_origin(hint) is Literal for hint in typing.get_type_hints(own).values()
        )
        if has_literals and not hasattr(own, "__wrapped__"):
            unchecked.append(part.__name__)
    assert unchecked == []
