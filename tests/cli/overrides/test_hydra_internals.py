"""Contract with Hydra: a new minor version of Hydra must pass these tests before it is supported."""

from __future__ import annotations

import tomllib

import hydra
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException

from nas.cli.overrides.hydra_internals import (
    BASIC_SWEEPER,
    SUPPORTED,
    expand_sweep,
    missing_choice,
    parse_override,
    refused_key,
    split_arguments,
)
from tests.support.compose_tools import CONF, ROOT


def test_supported_versions_are_those_of_the_package() -> None:
    assert ".".join(hydra.__version__.split(".")[:2]) in SUPPORTED
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (limits,) = (line for line in project["dependencies"] if line.startswith("hydra-core"))
    least, below = limits.removeprefix("hydra-core").split(",")
    assert least.startswith(f">={SUPPORTED[0]}.") and below == f"<1.{int(SUPPORTED[-1].split('.')[1]) + 1}"


def test_split_arguments_reads_flags_and_overrides() -> None:
    flags, unknown = split_arguments(["a=1", "-m", "--cfg", "job", "~b", "--foo"])
    assert (flags.overrides, flags.multirun, flags.cfg, unknown) == (["a=1", "~b"], True, "job", ["--foo"])
    names = "config_dir config_name config_path experimental_rerun help hydra_help info shell_completion"
    assert all(not getattr(flags, name) for name in names.split())


@pytest.mark.parametrize(
    ("text", "key", "kinds"),
    [
        ("a.b=1", "a.b", ""),
        ("+a.b=1", "a.b", "is_add"),
        ("++a.b=1", "a.b", "is_force_add"),
        ("~a.b", "a.b", "is_delete"),
        ("a=1,2", "a", "is_sweep_override is_discrete_sweep"),
        ("a=interval(0,1)", "a", "is_sweep_override"),
    ],
)
def test_parse_override_tells_its_kind(text: str, key: str, kinds: str) -> None:
    part = parse_override(text)
    all_kinds = ("is_add", "is_force_add", "is_delete", "is_sweep_override", "is_discrete_sweep")
    assert part.key_or_group == key and part.input_line == text
    assert {kind for kind in all_kinds if getattr(part, kind)()} == set(kinds.split())


def test_parse_override_gives_values_and_packages() -> None:
    assert parse_override("a=[1,b]").value() == [1, "b"]
    assert list(parse_override("a=x,y").sweep_string_iterator()) == ["x", "y"]
    assert parse_override("a@b.c=x").package == "b.c" and parse_override("a@b.c=x").get_key_element() == "a@b.c"
    with pytest.raises(HydraException):
        parse_override("a=[1")


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("method.foo=1", ("unknown", "method.foo")),
        ("method.foo.bar=1", ("unknown", "method.foo.bar")),
        ("~method.foo", ("unknown", "method.foo")),
        ("metod=gdas", ("unknown", "metod")),
        ("+space.channels=8", ("exists", "space.channels")),
        ("+method=darts", ("chosen twice", "method")),
        ("hydra.job.num=abc", None),
    ],
)
def test_refused_key_reads_composition_errors(argument: str, expected: tuple[str, str] | None) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"), pytest.raises(ConfigCompositionException) as caught:
        compose("search", [argument])
    assert refused_key(caught.value) == expected


def test_missing_choice_lists_the_available_names() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"), pytest.raises(MissingConfigException) as caught:
        compose("search", ["trainer=tpu"])
    found = missing_choice(caught.value)
    assert found is not None and found[:2] == ("trainer", "tpu") and {"cpu", "gpu"} <= set(found[2])
    assert missing_choice(ValueError("x")) is None


def test_expand_sweep_gives_the_jobs_of_the_basic_sweeper() -> None:
    """The last override of a key counts; a list is a single value; ``glob`` needs the choices of the group."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        found = expand_sweep(["seed=5", "a.b=range(1,3)", "seed=0,1", "+c=[1,2]"])
        assert found == [[seed, b, "+c=[1,2]"] for seed in ("seed=0", "seed=1") for b in ("a.b=1", "a.b=2")]
        assert ["trainer=ddp", "seed=0"] in expand_sweep(["trainer=glob(ddp*)", "seed=0"])
        cfg = compose("search", [], return_hydra_config=True)
        assert cfg.hydra.sweeper._target_ == BASIC_SWEEPER
