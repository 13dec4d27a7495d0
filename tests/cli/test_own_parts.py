"""Custom ops through the command line: search, training, evaluation, export, resume, count and plot."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from nas.cli.commands.count import main as count
from nas.cli.commands.plot import main as plot
from nas.cli.commands.report.command import main as report
from nas.cli.own_parts import own_parts_in_use
from nas.utils.errors import NasError
from nas.utils.own_parts import installed
from tests.support.custom_packages import BOTTLENECK, install, write_package
from tests.support.error_tools import TINY, run, unfinished

MODULE = "own_cli_ops"
OP = f"{MODULE}.Bottleneck"
OPS = f"space.ops=[none,skip_connect,{OP}]"
SMALL = (*TINY, "space=darts", "space.channels=4", "space.layers=3", "epochs=1", "method=gdas")
NETWORK = ("network.channels=4", "network.layers=3", "epochs=1")
PARTS = f"own_parts=[{OP}]"


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_package(tmp_path_factory.mktemp("package"), MODULE, BOTTLENECK)


@pytest.fixture(autouse=True)
def importable(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, package, MODULE)


@pytest.fixture(scope="module")
def searched(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run of a search whose custom op is the only op besides skip connections."""
    directory = tmp_path_factory.mktemp("searched") / "run"
    with pytest.MonkeyPatch.context() as patch:
        install(patch, package, MODULE)
        found = run("search", *SMALL, f"space.ops=[none,{OP}]", f"hydra.run.dir={directory}")
    found.succeeded()
    assert f"'{PARTS}' genotype=" in found.said
    return directory


def test_genotype_records_the_op(searched: Path) -> None:
    value = json.loads((searched / "genotype.json").read_text())
    assert value["own_parts"] == {"Bottleneck": {"target": OP, "package": f"the module {MODULE}"}}
    assert {op for op, _, _ in value["cells"]["normal"]["links"]} == {"Bottleneck"}
    assert (searched / "cell.png").is_file()


def test_training_needs_the_op_and_names_it(searched: Path, tmp_path: Path) -> None:
    directory = tmp_path / "trained"
    train = (*TINY, *NETWORK, f"genotype={searched}", f"hydra.run.dir={directory}")
    run("train", *train).refused(f"its op 'Bottleneck' is {OP}", f"add {PARTS}")
    run("train", *train, PARTS).succeeded()
    weights = f"weights={directory}"
    run("train", "mode=eval", weights, f"hydra.run.dir={tmp_path}/e", "evaluation.runs=1").refused(f"add {PARTS}")
    shutil.copy(directory / "model.pt", tmp_path / "model.pt")  # without its run
    given = (f"weights={tmp_path}/model.pt", *TINY[1:], "evaluation.runs=1", f"hydra.run.dir={tmp_path}/e")
    run("train", "mode=eval", *given, PARTS).succeeded()


def test_resume_repeats_the_dotted_name(searched: Path, tmp_path: Path) -> None:
    """A record must not cause an import: the run may be another person's."""
    directory = unfinished(searched, tmp_path / "run")
    sys.modules.pop(MODULE, None)
    refused = run("search", f"ckpt_path={directory}")
    refused.refused("space.ops=", "a run does not name code to import", "Set the option on the command line")
    assert MODULE not in sys.modules
    run("search", f"ckpt_path={directory}", f"space.ops=[none,{OP}]").succeeded()
    assert json.loads((directory / "summary.json").read_text())["epochs"] == 2


def test_commands_read_the_genotype(searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--network", "channels=4", "layers=3"]
    assert count([str(searched), *small]) == 1 and OP in capsys.readouterr().err
    assert count([str(searched), "--own-parts", f"Bottleneck={OP}", *small]) == 0
    assert "parameters" in capsys.readouterr().out
    assert plot([str(searched), "--output", str(tmp_path / "cell.svg")]) == 0, "a figure needs no code"
    assert report([str(searched), "--output", str(tmp_path / "report.html")]) == 0
    page = (tmp_path / "report.html").read_text()
    assert "Bottleneck" in page and "unknown op" not in page


def test_training_finds_the_op_in_the_file_of_the_space(tmp_path: Path) -> None:
    """A named op in a directory of the user; the op is inherited with the choice of the space."""
    (tmp_path / "conf" / "space").mkdir(parents=True)
    lines = [
        *("defaults: [darts, _self_]", "name: my_darts", "channels: 4", "layers: 3", "ops:", "  - none"),
        f"  - wide: {{_target_: {OP}, _partial_: true, expansion: 3}}",
    ]
    (tmp_path / "conf" / "space" / "my_darts.yaml").write_text("\n".join(lines))
    own = ("-cd", f"{tmp_path}/conf")
    small = [part for part in SMALL if not part.startswith("space")]
    run("search", *own, *small, "method=drnas", "space=my_darts", f"hydra.run.dir={tmp_path}/s").succeeded()
    assert json.loads((tmp_path / "s" / "genotype.json").read_text())["own_parts"]["wide"]["target"] == OP
    train = (*TINY, *NETWORK, f"genotype={tmp_path}/s", f"hydra.run.dir={tmp_path}/t")
    run("train", *own, *train).succeeded()
    width = json.loads((tmp_path / "t" / "summary.json").read_text())["parameters"]
    run("train", *train[:-1], f"hydra.run.dir={tmp_path}/u").refused(f"its op 'wide' is {OP}")
    named = f"own_parts={{wide:{{_target_:{OP},_partial_:true,expansion:3}}}}"
    run("train", *train[:-1], named, f"hydra.run.dir={tmp_path}/v").succeeded()
    assert json.loads((tmp_path / "v" / "summary.json").read_text())["parameters"] == width


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (3, "own_parts=3: is not a list. Write dotted names"),
        (["Op"], "own_parts.Op: Op is not a dotted name"),
        (["no_such_module.Op"], "own_parts.no_such_module.Op: there is no module 'no_such_module'.*PYTHONPATH"),
        ([f"{MODULE}.Bottlenek"], f"module '{MODULE}' has no 'Bottlenek'. Did you mean 'Bottleneck'?"),
        ({"a": {"_target_": OP}}, "own_parts.a: needs a _target_ and _partial_: true"),
        ({"skip_connect": OP}, f"{OP} has the name of the built-in op 'skip_connect'"),
        (["math.pi"], "own_parts: pi is a float"),
    ],
)
def test_mistakes_are_named(given: Any, message: str) -> None:
    with pytest.raises(NasError, match=message), own_parts_in_use(OmegaConf.create({"own_parts": given})):
        pass


def test_missing_op_of_a_search_is_one_line(tmp_path: Path) -> None:
    fixed = (*TINY, "space=nas_bench_201", f"space.ops=[none,{OP}]", f"hydra.run.dir={tmp_path}/fixed")
    run("search", *fixed).refused("space.ops: the ops of space=nas_bench_201 are fixed. Use space=darts, or a custom")
    run("search", *SMALL, "space.ops=[none,no_such_module.Op]", f"hydra.run.dir={tmp_path}/run").refused(
        "space.ops.no_such_module.Op: there is no module 'no_such_module'", "PYTHONPATH"
    )


def test_space_of_a_training_is_an_own_one(tmp_path: Path) -> None:
    genotype = "genotype=PC_DARTS_cifar"
    run("train", *TINY, genotype, "space=darts", f"hydra.run.dir={tmp_path}/run").refused(
        "space=darts: the genotype determines the space. Leave it out"
    )


def test_nothing_is_installed_for_these_tests() -> None:
    assert "Bottleneck" not in installed("nas.ops")
