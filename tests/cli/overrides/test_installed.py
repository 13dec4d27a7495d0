"""Choices of installed packages: data sets, methods and ops by entry points."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hydra.core.config_store import ConfigStore

from nas.cli.overrides.installed import configuration, installed_choices
from nas.utils.errors import NasError
from tests.support.custom_packages import BOTTLENECK, install, write_package
from tests.support.error_tools import SEARCH, run

MODULE = "installed_choices"
CODE = f"""
{BOTTLENECK}
from nas.data.synthetic import Synthetic

SOFT = {{
    "defaults": ["darts", "_self_"],
    "name": "soft_gumbel",
    "relaxation": {{"_target_": "nas.relaxations.gumbel.Gumbel", "hard": False, "tau": 1.0}},
}}
NUMBER = 3


class Squares(Synthetic):
    name = "squares"

    def __init__(self, *, size=32, test_size=16, **options):
        super().__init__(shape=(3, 8, 8), classes=3, size=size, test_size=test_size, **options)


def no_name(shape, classes):
    pass
"""
POINTS = {
    "nas.datasets/squares": f"{MODULE}:Squares",
    "nas.methods/soft_gumbel": f"{MODULE}:SOFT",
    "nas.methods/number": f"{MODULE}:NUMBER",
    "nas.ops/bottle": f"{MODULE}:Bottleneck",
}


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, write_package(tmp_path / "package", MODULE, CODE, POINTS), MODULE)


def test_search_combines_installed_parts(tmp_path: Path) -> None:
    small = ("space=darts", "space.channels=4", "space.layers=3", "epochs=1", "dataset.batch_size=16")
    choices = ("dataset=squares", "method=soft_gumbel", "space.ops=[none,bottle]")
    run("search", *small, *choices, f"hydra.run.dir={tmp_path}/s").succeeded()
    summary = json.loads((tmp_path / "s" / "summary.json").read_text())
    assert (summary["method"], summary["dataset"]) == ("soft_gumbel", "squares")
    train = ("network.channels=4", "network.layers=3", "epochs=1", "dataset.batch_size=16", f"genotype={tmp_path}/s")
    run("train", *train, f"hydra.run.dir={tmp_path}/t").succeeded()
    trained = json.loads((tmp_path / "t" / "summary.json").read_text())
    assert trained["dataset"] == "squares", "the data set is inherited, the op is found by its entry point"
    ConfigStore.instance().repo["dataset"].pop("squares.yaml")  # as in a new process
    run("train", "mode=eval", f"weights={tmp_path}/t", "evaluation.runs=1", f"hydra.run.dir={tmp_path}/e").succeeded()


def test_unusable_choices_are_one_line(tmp_path: Path) -> None:
    assert installed_choices("method") == ["number", "soft_gumbel"] and installed_choices("trainer") == []
    run("search", *SEARCH, "method=soft_gumble", f"hydra.run.dir={tmp_path}/a").refused("did you mean 'soft_gumbel'")
    run("search", *SEARCH, "method=number", f"hydra.run.dir={tmp_path}/b").refused("nas.methods: 'number' is a int")


def test_options_are_the_arguments_of_a_class() -> None:
    import installed_choices as package  # type: ignore[import-not-found]

    found = configuration("dataset", "squares", package.Squares)
    assert found["_target_"] == f"{MODULE}.Squares" and (found["size"], found["seed"]) == (32, "${seed}")
    with pytest.raises(NasError, match="space=x: installed_choices.no_name takes no argument 'name'"):
        configuration("space", "x", package.no_name)
