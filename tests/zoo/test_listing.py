"""Published architectures through the front door: train.py --list and train.py genotype=NAME."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nas.zoo.listing import listed
from nas.zoo.table import entries, find
from tests.support.compose_tools import ROOT, script, succeeded
from tests.support.error_tools import TINY, run

SMALL = (*TINY, "epochs=1", "network.channels=8", "network.layers=3")


def test_list_names_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["name", "space", "parameters", "MACs", "of", "source", "paper"]
    assert [line.split()[0] for line in lines[1:-1]] == [entry.name for entry in entries()]
    row = next(line for line in lines if line.startswith("noisy_darts_a "))
    assert row.split()[:7] == ["noisy_darts_a", "darts", "3.25", "M", "534", "M", "cifar10"]
    assert "xiaomi-automl/NoisyDARTS" in row and "BMVC 2021" in row
    assert lines[-1].startswith(f"{len(entries())} architectures")


def test_list_is_narrowed_by_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert listed(["--list", "gdas", "darts"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()[1:-1]]
    assert {"GDAS_V1", "GDAS_F1"} <= set(names) and "PDARTS" not in names
    assert listed(["--list", "gdsa"]) == 1
    said = capsys.readouterr()
    assert not said.out and said.err.startswith("error: ") and said.err.count("\n") == 1 and "did you mean" in said.err
    assert listed(["genotype=x"]) is None


def test_list_needs_no_torch_and_survives_a_closed_pipe(tmp_path: Path) -> None:
    check = (
        "import runpy, sys; sys.argv = ['train.py', '--list']\n"
        f"try: runpy.run_path({str(ROOT / 'train.py')!r}, run_name='__main__')\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "assert 'torch' not in sys.modules and 'pytorch_lightning' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert not list(tmp_path.iterdir())
    closed = f"{sys.executable} {ROOT / 'train.py'} --list | head -n 1"
    done = subprocess.run(closed, shell=True, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and not done.stderr and done.stdout.startswith("name")
    assert not list(tmp_path.iterdir())


def test_a_name_builds_the_authors_network(tmp_path: Path) -> None:
    """DrNAS has batch norm behind its pools, which the space's default has not; an option on the command line wins."""
    for value, more in (("plain", ()), ("none", ("network.pool_norm=none",))):
        directory = tmp_path / value
        run("train", *SMALL, "genotype=drnas", *more, f"hydra.run.dir={directory}").succeeded()
        summary = json.loads((directory / "summary.json").read_text())
        assert summary["network"]["pool_norm"] == value and summary["network"]["channels"] == 8
        assert summary["macs_rule"] == "macs" and summary["published"]["name"] == "DrNAS_cifar10"
        model = torch.load(directory / "model.pt", weights_only=True)
        means = [key for key in model["state_dict"] if "max_pool_3x3" in key and key.endswith("running_mean")]
        assert bool(means) == (value == "plain")
        assert summary["genotype"] == find("DrNAS").genotype
        sizes = {k: v.numel() for k, v in model["state_dict"].items() if "running" not in k and "batches" not in k}
        head = sum(size for name, size in sizes.items() if name.startswith("auxiliary_head."))
        assert summary["parameters_with_auxiliary"] == sum(sizes.values()) == summary["parameters"] + head > head > 0


@pytest.mark.parametrize("name", ["nasnet", "SNAS_aggressive", "SETN", "GDAS_F1", "DCO_EDGE_BS_64", "darts_pt_s4_1"])
def test_cells_of_all_kinds_are_trained(name: str, tmp_path: Path) -> None:
    """Five nodes, a link twice, none on links, ops of their own, a fixed reduction, two ops an edge, noise or S4."""
    done = run("train", *SMALL, f"genotype={name}", f"hydra.run.dir={tmp_path}")
    done.succeeded()
    model = torch.load(tmp_path / "model.pt", weights_only=True)
    assert all(value.isfinite().all() for value in model["state_dict"].values())
    saved = json.loads((tmp_path / "genotype.json").read_text())
    assert saved["space"] == "darts"


@pytest.mark.parametrize("name", [pytest.param("NoisyDARTS-A", marks=pytest.mark.slow), "dsnas"])
def test_chains_are_trained(name: str, tmp_path: Path) -> None:
    """By name, by native string and from the run directory."""
    found = []
    for step, genotype in enumerate((name, find(name).genotype, f"{tmp_path}/0")):
        done = run("train", *TINY, "epochs=1", f"genotype={genotype}", f"hydra.run.dir={tmp_path}/{step}")
        done.succeeded()
        summary = json.loads((tmp_path / str(step) / "summary.json").read_text())
        found.append((summary["genotype"], summary["parameters"], summary["macs"], summary["test_loss"]))
    assert found[0] == found[1] == found[2] and found[0][0] == find(name).genotype


@pytest.mark.parametrize(
    ("name", "phrases"),
    [
        ("nosy_darts_a", ["nothing called 'nosy_darts_a', did you mean noisy_darts_a"]),
        ("noisydarts_a", ["may be any of noisy_darts_a, NoisyDARTS_A"]),
        ("foo", ["nothing called 'foo'", "train.py --list"]),
        ("shufflenet:0-1", ["20 blocks", "found 2"]),
        ("mobile:skip-skip", ["21 blocks"]),
    ],
)
def test_mistakes(name: str, phrases: list[str], tmp_path: Path) -> None:
    run("train", *SMALL, f"genotype={name}", f"hydra.run.dir={tmp_path}").refused(*phrases)


def test_options_that_a_network_lacks_are_refused(tmp_path: Path) -> None:
    done = run("train", *TINY, "genotype=dsnas", "network.layers=3", f"hydra.run.dir={tmp_path}")
    done.refused("network.layers", "'shufflenet'", "norm_eps")


@pytest.mark.slow
def test_list_as_a_user_sees_it(tmp_path: Path) -> None:
    assert "GDAS_V1" in succeeded(script("train", "--list", "gdas", cwd=tmp_path))
