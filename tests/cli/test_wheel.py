"""The wheel: it contains the configuration and runs from another directory without the checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

from tests.support.compose_tools import ROOT
from tests.support.custom_packages import code_block, python_blocks

COMMANDS = ("nas-search", "nas-train")
TINY = (
    *("method=gdas", "space.channels=4", "space.cells_per_stage=1", "dataset=synthetic", "dataset.size=32"),
    *("dataset.batch_size=8", "dataset.shape=[3,8,8]", "epochs=1", "threads=1", "hydra.run.dir=run"),
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of the tracked sources, without a network."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("nas", "conf", "hydra_plugins"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    (source / "conf" / "local").mkdir(exist_ok=True)
    (source / "conf" / "local" / "default.yaml").write_text("seed: 7\n")
    for file in (*ROOT.glob("*.md"), *ROOT.glob("*.py"), ROOT / "pyproject.toml", ROOT / "LICENSE"):
        shutil.copy(file, source)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", target, source]
    subprocess.run(command, check=True)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def prefix(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel without its dependencies into an empty folder."""
    folder = tmp_path_factory.mktemp("prefix")
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", folder, wheel]
    subprocess.run(command, check=True)
    return folder


def run(prefix: Path | str, directory: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command that finds the package in ``prefix`` only."""
    env = {**os.environ, "PYTHONPATH": str(prefix), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *command], cwd=directory, env=env, capture_output=True, text=True)


def test_wheel_contains_the_configuration_but_no_local_files(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    tracked = {path.relative_to(ROOT) for path in (ROOT / "conf").rglob("*.yaml") if "local" not in path.parts}
    assert {f"nas/{path.as_posix()}" for path in tracked} <= names
    assert {"nas/report/templates/run.html", "nas/report/templates/style.css"} <= names
    assert not [name for name in names if "/local/" in name or name.startswith(("tests/", "conf/"))]


def test_wheel_metadata_has_readme_classifiers_and_commands(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (info,) = {name.partition("/")[0] for name in archive.namelist() if ".dist-info/" in name}
    text = archive.read(f"{info}/METADATA").decode()
    metadata = HeaderParser().parsestr(text)
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert (ROOT / "README.md").read_text().splitlines()[2] in text
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
    commands = archive.read(f"{info}/entry_points.txt").decode()
    assert all(f"{command} = nas.cli." in commands for command in COMMANDS)


def test_installed_search_and_training_run_in_another_directory(prefix: Path, tmp_path: Path) -> None:
    script = prefix / "bin" / "nas-search"
    searched = run(prefix, tmp_path, str(script), *TINY)
    assert searched.returncode == 0, searched.stderr
    assert (tmp_path / "run" / "genotype.json").is_file()
    assert "nas-train genotype=" in searched.stdout
    trained = run(prefix, tmp_path, "-m", "nas", "train", "genotype=run", "epochs=1", "hydra.run.dir=trained")
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "trained" / "model.pt").is_file()


@pytest.mark.slow
def test_installed_package_has_the_plugins_of_hydra(prefix: Path, tmp_path: Path) -> None:
    given = ("-m", "hydra/sweeper=optuna", "hydra.sweeper.n_trials=1", "seed=0,1", "hydra.sweep.dir=sweep")
    tiny = [part for part in TINY if not part.startswith("hydra.run.dir")]
    searched = run(prefix, tmp_path, str(prefix / "bin" / "nas-search"), *given, *tiny)
    assert searched.returncode == 0, searched.stderr
    assert "1 complete" in searched.stdout and (tmp_path / "sweep" / "optimization_results.yaml").is_file()
    code = "from hydra.core.plugins import Plugins; from hydra.plugins.launcher import Launcher\n"
    code += "print([plugin.__name__ for plugin in Plugins.instance().discover(Launcher)])"
    assert "RayLauncher" in run(prefix, tmp_path, "-c", code).stdout


@pytest.mark.parametrize("command", ["search", "train", "convert", "data"])
def test_module_command_prints_its_help(prefix: Path, tmp_path: Path, command: str) -> None:
    shown = run(prefix, tmp_path, "-m", "nas", command, "--help")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.strip() and not list(tmp_path.iterdir())
    assert "python search.py" not in shown.stdout and "python train.py" not in shown.stdout


def test_module_lists_and_refuses_commands(prefix: Path, tmp_path: Path) -> None:
    assert "convert" in run(prefix, tmp_path, "-m", "nas").stdout
    refused = run(prefix, tmp_path, "-m", "nas", "serach")
    assert refused.returncode == 1 and refused.stderr.startswith("error: unknown command 'serach'")


@pytest.mark.slow
def test_installed_package_of_a_user_adds_a_space(prefix: Path, tmp_path: Path) -> None:
    """The package of docs/extending/space.md, built by pip and installed beside the wheel."""
    source, folder, work = tmp_path / "source", tmp_path / "packages", tmp_path / "work"
    source.mkdir()
    work.mkdir()
    (source / "pyproject.toml").write_text(code_block("extending/space.md", "toml"))
    (source / "my_nas.py").write_text(python_blocks("extending/space.md")[0])
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-build-isolation", "--no-deps", "--target", folder]
    subprocess.run([*command, source], check=True)
    both = f"{folder}{os.pathsep}{prefix}"
    tiny = [part for part in TINY if not part.startswith("space.")]
    searched = run(both, work, "-m", "nas", "search", *tiny, "space=ladder", "space.channels=4", "space.stages=2")
    assert searched.returncode == 0, searched.stderr
    small = ("epochs=1", "network.channels=4", "+network.stages=2")
    trained = run(both, work, "-m", "nas", "train", "genotype=run", *small, "hydra.run.dir=trained")
    assert trained.returncode == 0, trained.stderr
    export = ("mode=export", "export.format=torch_export", "weights=trained", "hydra.run.dir=exported")
    exported = run(both, work, "-m", "nas", "train", *export)
    assert exported.returncode == 0, exported.stderr
    assert (work / "exported" / "model.pt2").is_file()
    refused = run(prefix, work, "-m", "nas", "train", "genotype=run/genotype.json", "dataset=synthetic")
    assert "its space 'ladder' is my_nas.Ladder of my-nas 0.1.0, which is not installed" in refused.stderr
