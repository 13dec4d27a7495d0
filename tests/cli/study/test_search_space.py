"""Override grammar as distributions of Optuna."""

from __future__ import annotations

import pytest
from hydra import initialize_config_dir
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.hydra_internals import read_sweep
from nas.cli.study.search_space import SearchSpace
from nas.utils.errors import NasError


def space_of(*arguments: str) -> SearchSpace:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return SearchSpace(*read_sweep(arguments))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("interval(0.1, 1)", FloatDistribution(0.1, 1.0)),
        ("tag(log, interval(1e-4, 1e-2))", FloatDistribution(1e-4, 1e-2, log=True)),
        ("int(interval(1, 8))", IntDistribution(1, 8)),
        ("tag(log, int(interval(1, 64)))", IntDistribution(1, 64, log=True)),
        ("range(1, 10, 3)", IntDistribution(1, 7, step=3)),
        ("range(4)", IntDistribution(0, 3)),
        ("range(9, 1, -4)", IntDistribution(5, 9, step=4)),
        ("range(0, 1, 0.25)", FloatDistribution(0.0, 0.75, step=0.25)),
        ("choice(16, 32)", CategoricalDistribution(("16", "32"))),
        ("a,b", CategoricalDistribution(("a", "b"))),
    ],
)
def test_grammar_gives_distributions(values: str, expected: object) -> None:
    assert space_of(f"x.y={values}").distributions() == {"x.y": expected}


def test_glob_lists_the_choices_of_a_group() -> None:
    (found,) = space_of("method=glob(darts*)").distributions().values()
    assert isinstance(found, CategoricalDistribution) and {"darts", "darts_2nd"} <= set(found.choices)


def test_overrides_of_a_trial_keep_prefixes_and_fixed_values() -> None:
    space = space_of("seed=0", "+x=interval(0, 1)", "method=darts,gdas", "seed=3")
    assert space.overrides({"x": 0.5, "method": "gdas"}) == ["seed=3", "+x=0.5", "method=gdas"]


def test_grid_lists_all_values() -> None:
    space = space_of("a=range(0, 1, 0.5)", "b=x,y", "c=range(2)")
    assert space.grid() == {"a": [0.0, 0.5], "b": ["x", "y"], "c": [0, 1]}
    with pytest.raises(NasError, match="sampler=grid: a is an interval"):
        space_of("a=interval(0, 1)").grid()


@pytest.mark.parametrize(
    ("argument", "phrase"),
    [
        ("x=tag(log, interval(0, 1))", "needs values above 0, found 0"),
        ("x=tag(fast, interval(0, 1))", "the tag fast is unknown"),
        ("x=tag(log, choice(1, 2))", "the tag log is unknown here"),
        ("x=tag(log, range(1, 9, 2))", "has no step"),
        ("x=interval(2, 1)", "the interval is empty"),
        ("x=range(3, 3)", "it has no values"),
    ],
)
def test_mistakes_are_one_line(argument: str, phrase: str) -> None:
    with pytest.raises(NasError, match=phrase):
        space_of(argument).distributions()
