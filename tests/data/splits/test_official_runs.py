"""dataset.split=nas_bench_201 in runs of search.py and train.py: with the official list, and without a network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nas.data.cifar import Cifar10, Cifar100
from nas.data.splits import official
from nas.data.splits.official import EQUAL_HALVES
from nas.utils.remote_file import RemoteFile
from tests.support.cifar_tools import CifarSite, cifar100_contents, unpack_files, write_cifar100
from tests.support.compose_tools import CONF
from tests.support.error_tools import run

WEIGHTS, ARCHITECTURE = list(range(1, 20, 2)), list(range(0, 20, 2))
LIST = json.dumps({"train": WEIGHTS, "valid": ARCHITECTURE}).encode()
TEST_LIST = json.dumps({"xvalid": list(range(0, 20, 2)), "xtest": list(range(1, 20, 2))}).encode()
TINY = ("space.channels=4", "epochs=1", "threads=1", "dataset.batch_size=4", "trainer.limit_train_batches=1")
EXPERIMENTS = sorted(
    str(path.relative_to(CONF / "experiment").with_suffix(""))
    for path in (CONF / "experiment").rglob("*.yaml")
    if not path.name.startswith("_") and "- /experiment/_autodl" in path.read_text()
)


def file_of(name: str, content: bytes) -> RemoteFile:
    """Describe a list at an address without a server."""
    return RemoteFile(name, ("http://127.0.0.1:9/nothing",), hashlib.sha256(content).hexdigest(), "sha256")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Unpack a small CIFAR-10 and CIFAR-100 of 20 and 20 images, without a network."""
    official._fetch_once.cache_clear()
    site = CifarSite(tmp_path / "site")
    folder = unpack_files(tmp_path / "data", site.files)
    monkeypatch.setattr(Cifar10, "archive", site.archive)
    monkeypatch.setattr(Cifar10, "split_list", file_of("cifar-split.txt", LIST))
    monkeypatch.setattr(Cifar100, "archive", write_cifar100(folder, cifar100_contents()))
    monkeypatch.setattr(Cifar100, "split_list", file_of("cifar100-test-split.txt", TEST_LIST))
    yield folder
    official._fetch_once.cache_clear()


def summary_of(directory: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((directory / "summary.json").read_text())
    return found


def test_experiment_starts_without_a_network_and_resumes_its_split(root: Path, tmp_path: Path) -> None:
    arguments = ("experiment=gdas/nas_bench_201", *TINY, "space.cells_per_stage=1", f"paths.data={root}")
    found = run("search", *arguments, f"hydra.run.dir={tmp_path}/one")
    found.succeeded()
    line = f"split          equal halves: {root}/cifar-split.txt is not available (Connection refused)."
    assert found.said.count(line) == 1
    assert summary_of(tmp_path / "one")["split"] == EQUAL_HALVES
    (root / "cifar-split.txt").write_bytes(LIST)
    more = (f"ckpt_path={tmp_path}/one", "epochs=2", f"hydra.run.dir={tmp_path}/more")
    again = run("search", *arguments[:2], *more)
    again.succeeded()
    assert "split.json used them" in again.said and summary_of(tmp_path / "more")["split"] == EQUAL_HALVES
    new = run("search", *arguments, f"hydra.run.dir={tmp_path}/new")
    new.succeeded()
    assert "equal halves" not in new.said
    assert summary_of(tmp_path / "new")["split"] == "official list of NAS-Bench-201 (cifar-split.txt)"


def test_training_is_tested_on_images_that_the_search_has_not_seen(root: Path, tmp_path: Path) -> None:
    """The list appears between the search and the training, whose protocol chooses the split on its own."""
    search = ("method=gdas", "space.cells_per_stage=1", *TINY, "dataset=cifar100", f"paths.data={root}")
    run("search", *search, "dataset.split=nas_bench_201", f"hydra.run.dir={tmp_path}/search").succeeded()
    assert summary_of(tmp_path / "search")["split"] == EQUAL_HALVES
    (root / "cifar100-test-split.txt").write_bytes(TEST_LIST)
    protocol = ("protocol=nas_bench_201_12_cifar100", "dataset.split=nas_bench_201", f"paths.data={root}", "epochs=1")
    small = ("network.channels=4", "network.cells_per_stage=1", "dataset.batch_size=4", "trainer.limit_train_batches=1")
    run("train", f"genotype={tmp_path}/search", *protocol, *small, f"hydra.run.dir={tmp_path}/train").succeeded()
    second = "half of the test images (the second half, in their order)"
    assert summary_of(tmp_path / "train")["tested_on"] == second
    run("train", "mode=eval", f"weights={tmp_path}/train", f"hydra.run.dir={tmp_path}/eval").succeeded()
    evaluated = summary_of(tmp_path / "eval")
    assert (evaluated["tested_on"], evaluated["images"], evaluated["split"]) == (second, 10, EQUAL_HALVES)
    (genotype,) = (summary_of(tmp_path / "search")["genotype"],)
    run("train", f"genotype={genotype}", *protocol, *small, f"hydra.run.dir={tmp_path}/other").succeeded()
    assert summary_of(tmp_path / "other")["tested_on"] == "half of the test images (xtest of the official list)"


@pytest.mark.slow
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiments_start_without_a_network(experiment: str, root: Path, tmp_path: Path) -> None:
    width = [] if experiment.endswith("nats_size") else ["space.channels=4"]
    width += ["space.layers=3"] if experiment.endswith("/darts") else []
    width += ["space.cells_per_stage=1"] if experiment.endswith("nas_bench_201") else []
    place = f"hydra.run.dir={tmp_path}/run"
    run("search", f"experiment={experiment}", *TINY[1:], *width, f"paths.data={root}", place).succeeded()
    assert summary_of(tmp_path / "run")["split"] == EQUAL_HALVES


def test_experiments_of_autodl_use_the_split_of_the_benchmark() -> None:
    assert len(EXPERIMENTS) >= 9 and "gdas/nas_bench_201" in EXPERIMENTS
