"""The package of docs/extending/space.md, as a user installs it: search, training, evaluation, export, figures."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from nas.cli.commands.count import main as count
from nas.cli.commands.plot import main as plot
from tests.support.custom_packages import code_block, install, python_blocks, write_package
from tests.support.error_tools import TINY, run, unfinished

PAGE = "extending/space.md"
MODULE = "my_nas"
SMALL = (*TINY, "space=ladder", "space.channels=4", "space.stages=2", "epochs=1")
SEARCHES = {
    "gdas": (),
    "drnas": ("fold_weights=true",),
    "te_nas": ("epochs=3", "method.repeats=1", "method.ntk_batch=4", "method.proxies.1.batch_size=20"),
    "regularized_evolution": ("method.budget.queries=6", "method.strategy.population=3"),
}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the module of the page, and the entry points of its pyproject.toml."""
    points = tomllib.loads(code_block(PAGE, "toml"))["project"]["entry-points"]
    named = {f"{group}/{name}": value for group, table in points.items() for name, value in table.items()}
    return write_package(tmp_path_factory.mktemp("package"), MODULE, python_blocks(PAGE)[0], named)


@pytest.fixture(autouse=True)
def installed(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, package, MODULE)


def test_code_has_60_lines() -> None:
    assert sum(map(bool, map(str.strip, python_blocks(PAGE)[0].splitlines()))) <= 60


def test_tests_of_the_page_pass(package: Path, tmp_path: Path) -> None:
    code = f"import sys\nsys.path.insert(0, {str(package)!r})\n{python_blocks(PAGE)[1]}"
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], env=env, check=True)


def test_custom_space_is_trained_evaluated_exported_and_resumed(tmp_path: Path) -> None:
    found = tmp_path / "found"
    run("search", *SMALL, "method=gdas", f"hydra.run.dir={found}").succeeded()
    genotype = json.loads((found / "genotype.json").read_text())
    assert genotype["space"] == "ladder" and genotype["native"].startswith("ladder:{'cell': ([(")
    assert genotype["own_parts"]["ladder"] == {"target": "my_nas.Ladder", "package": "my_nas 0.1"}
    train = (*TINY, "epochs=1", "network.channels=4", "+network.stages=2", f"hydra.run.dir={tmp_path}/t")
    run("train", f"genotype={found}", *train).succeeded()
    weights = f"weights={tmp_path}/t"
    run("train", "mode=eval", weights, "evaluation.runs=1", f"hydra.run.dir={tmp_path}/e").succeeded()
    run("train", "mode=export", "export.format=torch_export", weights, f"hydra.run.dir={tmp_path}/x").succeeded()
    assert (tmp_path / "x" / "model.pt2").is_file()
    assert plot([str(found), "--output", str(tmp_path / "cell.png")]) == 0
    assert count([str(found), "--network", "channels=4", "stages=2"]) == 0
    resumed = unfinished(found, tmp_path / "resumed")
    run("search", f"ckpt_path={resumed}").succeeded()
    assert json.loads((resumed / "summary.json").read_text())["epochs"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("method", list(SEARCHES)[1:])
def test_custom_space_is_searched_by(method: str, tmp_path: Path) -> None:
    run("search", *SMALL, f"method={method}", *SEARCHES[method], f"hydra.run.dir={tmp_path}/run").succeeded()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["space"] == "ladder" and summary["parameters"] > 0


def test_file_of_the_space_has_its_options(tmp_path: Path) -> None:
    file = tmp_path / "conf" / "space" / "rungs.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(code_block(PAGE, "yaml").replace("name: ladder", "name: rungs"))
    short = [argument for argument in SMALL if argument != "space=ladder"]
    found = run("search", *short, "-cd", f"{tmp_path}/conf", "space=rungs", f"hydra.run.dir={tmp_path}/run")
    found.succeeded()
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["space"] == "rungs"


def test_methods_that_do_not_fit_are_refused_by_name(tmp_path: Path) -> None:
    refused = run("search", *SMALL, "method=p_darts", f"hydra.run.dir={tmp_path}/run")
    refused.refused("space=ladder: its supernet cannot be deepened")


def test_a_missing_package_is_named(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from nas.spaces.genotype_file import save_genotype

    space = __import__(MODULE).Ladder((3, 8, 8), 10)
    save_genotype(space.sample(random.Random(0)), tmp_path / "genotype.json")
    monkeypatch.delitem(sys.modules, MODULE)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder != str(package)])
    run("train", *TINY, f"genotype={tmp_path}/genotype.json", f"hydra.run.dir={tmp_path}/run").refused(
        "its space 'ladder' is my_nas.Ladder of my_nas 0.1, which is not installed. Install it"
    )
