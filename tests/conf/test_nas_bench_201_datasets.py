"""Searches on NAS-Bench-201 with each of its data sets: one experiment per method, and dataset=NAME."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf

from nas.cli.build import build_data
from nas.cli.main import prepare
from nas.data.cifar import Cifar100
from tests.data.test_imagenet16 import kept_images, write_files
from tests.support.cifar_tools import cifar100_contents, write_cifar100
from tests.support.compose_tools import composed
from tests.support.error_tools import run
from tests.support.means_table import write_means_table

AUTODL = ("gdas", "darts", "darts_2nd", "setn", "enas", "rsps", "te_nas")
DRNAS = ("snas", "pc_darts", "drnas", "drnas_progressive")
SHAPES = {"cifar100": ((3, 32, 32), 100), "imagenet16_120": ((3, 16, 16), 120)}
STATISTICS = {
    "cifar100": ((129.3, 124.1, 112.4), (68.2, 65.4, 70.4)),
    "imagenet16_120": ((122.68, 116.66, 104.01), (63.22, 61.26, 65.09)),
}
"""Mean and standard deviation of pixels from 0 to 255 (AutoDL-Projects)."""
OF_DRNAS = {"cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762))}
"""Mean and standard deviation of pixels from 0 to 1 (DrNAS)."""
OTHERS = ("cifar100", "imagenet16_120")
PAIRS = [(method, dataset) for method in (*AUTODL, *DRNAS) for dataset in OTHERS]
QUICK = [("gdas", "cifar100"), ("drnas", "imagenet16_120")]
PROXIES = (
    "method.proxies=[{_target_:nas.proxies.ntk.Ntk},"
    "{_target_:nas.proxies.linear_regions.LinearRegions,batch_size:32,chunk:32}]"
)
SMALL = ("space.channels=8", "space.cells_per_stage=1", "epochs=2", "threads=1", "trainer.limit_train_batches=2")


@cache
def composed_search(method: str, dataset: str) -> dict[str, Any]:
    """Return the composed experiment of a method, unresolved, with the built data set."""
    given = [f"experiment={method}/nas_bench_201", f"dataset={dataset}", "paths.data=x", "paths.output=y"]
    with composed("search", *given) as cfg:
        found: Any = OmegaConf.to_container(cfg, resolve=False)
        return {**found, "data": build_data(cfg)}


@pytest.mark.parametrize("dataset", OTHERS)
@pytest.mark.parametrize("method", [*AUTODL, *DRNAS])
def test_data_follow_the_data_set(method: str, dataset: str) -> None:
    found, own = composed_search(method, dataset), composed_search(method, "cifar10")
    data = found["data"]
    mean, std = (tuple(value / 255 for value in part) for part in STATISTICS[dataset])
    if method in DRNAS:
        mean, std = OF_DRNAS.get(dataset, (mean, std))
    assert data.mean == pytest.approx(mean, abs=1e-8) and data.std == pytest.approx(std, abs=1e-8)
    assert (data.shape, data.classes) == SHAPES[dataset] and data.name == dataset
    assert data.split == ("halves" if method in DRNAS else "nas_bench_201")
    assert data.pad == (2 if dataset == "imagenet16_120" else 4) and data.flip
    assert data.batch_size == (128 if method == "enas" else 64)
    assert all(found[part] == own[part] for part in ("method", "space", "epochs", "seed"))


@pytest.mark.parametrize("dataset", OTHERS)
@pytest.mark.parametrize("method", ["gdas", "drnas"])
def test_command_line_is_accepted(method: str, dataset: str, tmp_path: Path) -> None:
    """No value of another data set is among the options."""
    given = [f"experiment={method}/nas_bench_201", f"dataset={dataset}", f"hydra.run.dir={tmp_path}/run"]
    assert prepare("search", given).plan is not None


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_means_table(tmp_path_factory.mktemp("table") / "means.parquet")


def official_files(dataset: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write small files in the official layout, and return the overrides that select them."""
    if dataset == "cifar100":
        monkeypatch.setattr(Cifar100, "archive", write_cifar100(root, cifar100_contents(32, 24)))
        (root / "cifar100-test-split.txt").write_text(split_list(24))
        return [f"dataset={dataset}", f"paths.data={root}", f"dataset.test_split={root}/cifar100-test-split.txt"]
    write_files(root / "ImageNet16", train=12, val=48)
    (root / "imagenet-16-120-test-split.txt").write_text(split_list(len(kept_images(11, 48)[0])))
    lists = f"dataset.test_split={root}/imagenet-16-120-test-split.txt"
    return [f"dataset={dataset}", f"paths.data={root}", "dataset.md5=skip", lists]


def split_list(size: int) -> str:
    """Return a split file whose halves are the even and the odd test images."""
    return json.dumps({"xvalid": list(range(0, size, 2)), "xtest": list(range(1, size, 2))})


@pytest.mark.parametrize(
    ("method", "dataset"), [pair if pair in QUICK else pytest.param(*pair, marks=pytest.mark.slow) for pair in PAIRS]
)
def test_search_reads_official_files_and_the_columns_of_its_data_set(
    method: str, dataset: str, tmp_path: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = official_files(dataset, tmp_path / "data", monkeypatch)
    files = files[:-1] if method in DRNAS else files
    more = ("method.ntk_batch=8", "method.repeats=1", PROXIES) if method == "te_nas" else ()
    size = ("dataset.batch_size=8", "dataset.eval_batch_size=8")
    place = (f"paths.benchmark={table.parent}", f"hydra.run.dir={tmp_path}/run")
    run("search", f"experiment={method}/nas_bench_201", *files, *SMALL, *more, *size, *place).succeeded()
    summary: dict[str, Any] = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["dataset"] == dataset
    column = {"cifar100": "cifar100_test_acc_200", "imagenet16_120": "imagenet16_test_acc_200"}[dataset]
    content = pq.read_table(table)
    names = next(name for name in content.column_names if content[name].type == "string")
    row = content.filter(pc.equal(content[names], summary["genotype"]))
    assert summary["benchmark/test"] == pytest.approx(row[column][0].as_py())
