"""Training of published architectures by name (train.py genotype=NAME)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from nas.zoo.architectures import get_architecture
from tests.support.error_tools import TINY, run

SMALL = (*TINY, "epochs=1", "network.channels=8", "network.layers=3")


def test_train_builds_authors_network_by_name(tmp_path: Path) -> None:
    """DrNAS has batch norm after its pools, unlike the default of the space; the command line has precedence."""
    for value, more in (("plain", ()), ("none", ("network.pool_norm=none",))):
        directory = tmp_path / value
        run("train", *SMALL, "genotype=drnas", *more, f"hydra.run.dir={directory}").succeeded()
        summary = json.loads((directory / "summary.json").read_text())
        assert summary["network"]["pool_norm"] == value and summary["network"]["channels"] == 8
        assert summary["macs_rule"] == "macs" and summary["published"]["name"] == "DrNAS_cifar10"
        model = torch.load(directory / "model.pt", weights_only=True)
        means = [key for key in model["state_dict"] if "max_pool_3x3" in key and key.endswith("running_mean")]
        assert bool(means) == (value == "plain")
        assert summary["genotype"] == get_architecture("DrNAS").genotype
        sizes = {k: v.numel() for k, v in model["state_dict"].items() if "running" not in k and "batches" not in k}
        head = sum(size for name, size in sizes.items() if name.startswith("auxiliary_head."))
        assert summary["parameters_with_auxiliary"] == sum(sizes.values()) == summary["parameters"] + head > head > 0


@pytest.mark.parametrize("name", ["nasnet", "SNAS_aggressive", "SETN", "GDAS_F1", "DCO_EDGE_BS_64", "darts_pt_s4_1"])
def test_train_accepts_every_kind_of_darts_cell(name: str, tmp_path: Path) -> None:
    """Cover five nodes, repeated links, ``none`` links, extra ops, fixed reduction, two ops per edge, noise ops."""
    done = run("train", *SMALL, f"genotype={name}", f"hydra.run.dir={tmp_path}")
    done.succeeded()
    model = torch.load(tmp_path / "model.pt", weights_only=True)
    assert all(value.isfinite().all() for value in model["state_dict"].values())
    saved = json.loads((tmp_path / "genotype.json").read_text())
    assert saved["space"] == "darts"


@pytest.mark.parametrize("name", [pytest.param("NoisyDARTS-A", marks=pytest.mark.slow), "dsnas"])
def test_train_gives_same_network_from_name_native_string_and_run_directory(name: str, tmp_path: Path) -> None:
    found = []
    for step, genotype in enumerate((name, get_architecture(name).genotype, f"{tmp_path}/0")):
        done = run("train", *TINY, "epochs=1", f"genotype={genotype}", f"hydra.run.dir={tmp_path}/{step}")
        done.succeeded()
        summary = json.loads((tmp_path / str(step) / "summary.json").read_text())
        found.append((summary["genotype"], summary["parameters"], summary["macs"], summary["test_loss"]))
    assert found[0] == found[1] == found[2] and found[0][0] == get_architecture(name).genotype


@pytest.mark.parametrize(
    ("name", "phrases"),
    [
        ("nosy_darts_a", ["genotype=nosy_darts_a: ", "Did you mean noisy_darts_a"]),
        ("noisydarts_a", ["ambiguous name", "Use one of noisy_darts_a, NoisyDARTS_A"]),
        ("foo", ["genotype=foo: ", "train.py --list"]),
        ("shufflenet:0-1", ["20 blocks", "found 2"]),
        ("mobile:skip-skip", ["19 blocks", "found 2"]),
    ],
)
def test_train_refuses_unknown_names_and_native_strings(name: str, phrases: list[str], tmp_path: Path) -> None:
    run("train", *TINY, f"genotype={name}", f"hydra.run.dir={tmp_path}").refused(*phrases)


def test_train_refuses_options_that_network_does_not_have(tmp_path: Path) -> None:
    done = run("train", *TINY, "genotype=dsnas", "network.layers=3", f"hydra.run.dir={tmp_path}")
    done.refused("network.layers", "space=shufflenet", "norm_eps")
