"""Files of a run directory, and genotypes that train.py accepts."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import nas.cli.jobs.train
from nas.architecture.cell import Genotype
from nas.spaces.base import Network, Space
from nas.spaces.darts.space import Darts
from nas.spaces.genotype_file import decode_genotype, load_genotype
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.compose_tools import DATA, composed, lines, script, succeeded, tiny
from tests.support.resume_tools import DARTS

ENVIRONMENT = {"device", "precision", "peak_memory_bytes", "versions", "commit", "command"}
SMALL = ["network.channels=4", "network.cells_per_stage=1", "epochs=2"]
NB201 = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"


def summary(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "summary.json").read_text())
    return found


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run directory of a GDAS search of four epochs."""
    directory = tmp_path_factory.mktemp("search") / "run"
    arguments = [*tiny(), "trainer.max_epochs=4", "seed=5", f"hydra.run.dir={directory}"]
    succeeded(script("search", *arguments, cwd=directory.parent))
    return directory


@pytest.fixture(scope="module")
def trained(searched: Path) -> Path:
    """Return the run directory of a training of the found genotype on the data set of the search."""
    directory = searched.parent / "train"
    arguments = [f"genotype={searched}", *SMALL, "dataset.size=64", "seed=5", f"hydra.run.dir={directory}"]
    succeeded(script("train", *arguments, cwd=directory.parent))
    return directory


def test_search_writes_its_files(searched: Path) -> None:
    found = {path.relative_to(searched).as_posix() for path in searched.rglob("*") if path.is_file()}
    hydra = {f".hydra/{name}.yaml" for name in ("config", "hydra", "overrides")}
    pictures = {"cell.svg", "cell.png"}
    records = {"genotype.json", "history.jsonl", "metrics.csv", "search.log", "summary.json", "checkpoints/last.ckpt"}
    records.add("alphas.jsonl")
    assert found == hydra | pictures | records
    assert (searched / "cell.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (searched / "cell.svg").read_text()
    assert {path.name for path in searched.parent.iterdir()} <= {"run", "train"}, "no file outside of the run directory"


def test_search_summary_describes_genotype_and_environment(searched: Path) -> None:
    found = summary(searched)
    expected = {"method": "gdas", "space": "nas_bench_201", "dataset": "synthetic", "seed": 5, "epochs": 4}
    assert {key: found[key] for key in expected} == expected
    space = NasBench201((3, 8, 8), 10)
    genotype = space.parse(found["genotype"])
    assert load_genotype(searched) == load_genotype(searched / "genotype.json") == genotype
    network = space.network(genotype)
    assert found["parameters"] == sum(p.numel() for p in network.parameters()) and found["macs"] > found["parameters"]
    assert found["val_accuracy"] == lines(searched / "history.jsonl")[-1]["val/accuracy"]
    assert 0 < found["step_seconds"] < found["search_seconds"]
    assert_environment(found, searched, "search.py")


def assert_environment(found: dict[str, Any], directory: Path, entry: str) -> None:
    assert set(found) >= ENVIRONMENT
    assert found["precision"] == "32-true" and found["device"]
    assert 50e6 < found["estimated_memory_bytes"] < 1.2 * found["peak_memory_bytes"] < 50e9
    assert found["versions"]["torch"] == torch.__version__ and {"python", "pytorch-lightning"} <= set(found["versions"])
    assert found["commit"] is None or len(found["commit"].rstrip("+")) == 40
    assert entry in found["command"] and f"hydra.run.dir={directory}" in found["command"]


def test_history_has_one_line_per_epoch(searched: Path) -> None:
    history = lines(searched / "history.jsonl")
    assert [line["epoch"] for line in history] == [0, 1, 2, 3]
    assert [line["tau"] for line in history] == pytest.approx([10.0, 6.7, 3.4, 0.1])
    rates = [0.001 + (0.025 - 0.001) * (1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(4)]
    assert [line["weights_lr"] for line in history] == pytest.approx(rates)
    assert [line["arch_lr"] for line in history] == [3e-4] * 4
    entropies = [line["entropy"] for line in history]
    assert entropies[0] == pytest.approx(math.log(5), abs=1e-3) and entropies[-1] < entropies[0]
    for line in history:
        assert sum(line["ops"].values()) == 6 and line["genotype"].count("~") == 6 and line["seconds"] > 0
    assert history[-1]["genotype"] == summary(searched)["genotype"]


def test_log_has_every_epoch_and_the_next_command(searched: Path) -> None:
    text = (searched / "search.log").read_text()
    assert [f"epoch {n}/4" in text for n in range(1, 6)] == [True] * 4 + [False]
    assert summary(searched)["genotype"] in text and f"python train.py genotype={searched}" in text


def test_training_writes_its_files(trained: Path) -> None:
    found = {path.relative_to(trained).as_posix() for path in trained.rglob("*") if path.is_file()}
    hydra = {f".hydra/{name}.yaml" for name in ("config", "hydra", "overrides")}
    assert found == hydra | {
        "genotype.json", "metrics.csv", "train.log", "summary.json", "model.pt", "checkpoints/last.ckpt"
    }  # fmt: skip


def test_training_summary_describes_network_and_environment(searched: Path, trained: Path) -> None:
    found = summary(trained)
    network = rebuilt(trained)
    expected = {"genotype": summary(searched)["genotype"], "dataset": "synthetic", "seed": 5, "epochs": 2}
    assert {key: found[key] for key in expected} == expected
    assert 0 <= found["test_accuracy"] <= 100 and found["train_seconds"] > 0
    assert found["parameters"] == sum(p.numel() for p in network.parameters())
    assert 0 < found["macs"] < summary(searched)["macs"], "the MACs of the small network that was trained"
    assert_environment(found, trained, "train.py")


def test_training_inherits_the_data_set_of_the_search(searched: Path, trained: Path) -> None:
    search, train = (yaml.safe_load((run / ".hydra" / "config.yaml").read_text()) for run in (searched, trained))
    assert train["dataset"]["_target_"] == search["dataset"]["_target_"] == "nas.data.synthetic.Synthetic"
    assert train["dataset"]["shape"] == search["dataset"]["shape"] == [3, 8, 8]


def rebuilt(directory: Path) -> Network:
    """Rebuild the network from its model.pt alone."""
    model = torch.load(directory / "model.pt", weights_only=True)
    assert (model["format"], model["version"]) == ("nas-model", 2)
    genotype = decode_genotype(model["genotype"], directory / "model.pt")
    spaces: dict[str, Any] = {"nas_bench_201": NasBench201, "darts": Darts}
    space: Space = spaces[model["space"]](tuple(model["shape"]), model["classes"])
    network = space.network(genotype, **model["options"])
    network.load_state_dict(model["state_dict"])
    return network.eval()


def test_model_file_gives_the_logits_of_the_checkpoint(searched: Path, trained: Path) -> None:
    network = rebuilt(trained)
    state = torch.load(trained / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    weights = {key.removeprefix("network."): value for key, value in state.items() if key.startswith("network.")}
    other = NasBench201((3, 8, 8), 10).network(load_genotype(searched), channels=4, cells_per_stage=1)
    images = torch.randn(4, 3, 8, 8)
    assert not torch.allclose(network(images), other.eval()(images))
    other.load_state_dict(weights)
    torch.testing.assert_close(network(images), other(images), rtol=0, atol=0)


def train(output: Path, genotype: str, *overrides: str) -> dict[str, Any]:
    """Run a training of one epoch in this process."""
    common = [*DATA, "trainer.max_epochs=1", f"paths.output={output}", f"genotype={genotype}"]
    with composed("train", *common, *overrides) as cfg:
        accuracy = nas.cli.jobs.train.run(cfg)
    found = summary(output)
    assert accuracy == found["test_accuracy"]
    return found


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (NB201, ["network.cells_per_stage=1"]),
        (DARTS, ["network.layers=3", "network.auxiliary=false", "training.drop_path=0.2"]),
        (DARTS, ["network.layers=3", "network.auxiliary=true", "training.label_smoothing=0.1"]),
    ],
    ids=["nas_bench_201", "darts", "darts with auxiliary head"],
)
def test_training_accepts_a_native_string(text: str, size: list[str], tmp_path: Path) -> None:
    found = train(tmp_path, f'"{text}"', "network.channels=4", *size)
    assert load_genotype(found["genotype"]) == load_genotype(text) and found["space"] == load_genotype(text).space
    genotype: Genotype = load_genotype(text)
    assert load_genotype(tmp_path) == genotype
    network = rebuilt(tmp_path)
    counted = sum(p.numel() for name, p in network.named_parameters() if "auxiliary" not in name)
    assert found["parameters"] == counted and found["macs"] > 0
    assert network(torch.zeros(2, 3, 8, 8)).shape == (2, 10)


def test_training_accepts_a_genotype_file(searched: Path, tmp_path: Path) -> None:
    file = tmp_path / "some name.json"
    file.write_bytes((searched / "genotype.json").read_bytes())
    found = train(tmp_path / "run", f"'{file}'", *SMALL)
    assert found["genotype"] == summary(searched)["genotype"]
