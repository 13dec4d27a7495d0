"""Every file under conf/ composes and gives an object."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger

from nas.blackbox.search import BlackBoxSearch
from nas.cli.build import build_data, build_search, build_space, build_trainer
from nas.data.base import ImageData
from nas.proxies.proxy import Proxy
from nas.searches.base import Search
from nas.spaces.base import Space
from nas.training.module import Training
from tests.support.compose_tools import CONF, SIZED, choices, composed, searches, small

GROUPS = {"callbacks", "dataset", "experiment", "logger", "method", "paths", "protocol", "space", "trainer"}
GROUPS |= {"evaluator", "proxy", "ranking"}
DATASETS = [
    name for name in choices("dataset") if name != "folder"
]  # that one looks at its images: test_data_folder_runs
FILES = sorted(path.relative_to(CONF).as_posix() for path in CONF.rglob("*.yaml"))
EXPERIMENTS = choices("experiment")


@pytest.fixture
def search_config(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DictConfig]:
    """search.yaml with the overrides that a test gives as its parameter."""
    with composed("search", *request.param, f"paths.output={tmp_path}", f"paths.data={tmp_path}") as cfg:
        yield cfg


def each(group: str, *overrides: str) -> Any:
    """A decorator: the test once for each choice of a group."""
    names = DATASETS if group == "dataset" else choices(group)
    return pytest.mark.parametrize(
        "search_config", [[f"{group}={name}", *overrides] for name in names], ids=names, indirect=True
    )


def test_every_file_is_covered() -> None:
    """A file in a group that no test below knows would be composed by none of them."""
    assert {file.split("/")[0] for file in FILES if "/" in file} <= GROUPS
    assert {file for file in FILES if "/" not in file} == {"search.yaml", "train.yaml"}
    assert len(FILES) > 25


@pytest.mark.parametrize("file", FILES)
def test_file_begins_with_a_comment_or_is_short(file: str) -> None:
    text = (CONF / file).read_text()
    assert text.startswith("#") or text.count("\n") <= 30, f"{file}: say in a comment what it is and where it is from"


@pytest.mark.parametrize(
    "search_config",
    [[f"method={m}", *small("nats_size" if m in SIZED else "darts")] for m in searches()],
    ids=searches(),
    indirect=True,
)
def test_method(search_config: DictConfig) -> None:
    data = build_data(search_config)
    search = build_search(search_config.method, build_space(search_config.space, data))
    assert isinstance(search, Search) and search.name == search_config.method.name
    assert search_config.trainer.max_epochs == 30, "digits, so small a set, takes 30 epochs"


@pytest.mark.parametrize("method", choices("method"))
def test_method_has_a_published_length_and_a_source(method: str) -> None:
    with composed("search", f"method={method}", "dataset=synthetic") as cfg:
        assert cfg.method.name == method
        assert cfg.epochs == cfg.method.epochs == cfg.trainer.max_epochs > 0
    head = header((CONF / "method" / f"{method}.yaml").read_text())
    assert re.search(r"\b(19|20)\d\d\b", head), f"conf/method/{method}.yaml: its first comment names no publication"


@each("evaluator", "method=random_search")
def test_evaluator(search_config: DictConfig) -> None:
    """It is made when the search begins; until then nothing is read, nor missed."""
    data = build_data(search_config)
    if OmegaConf.is_missing(search_config.evaluator, "run"):
        search_config.evaluator.supernet_dir = "x"
    search = build_search(search_config.method, build_space(search_config.space, data))
    assert isinstance(search, BlackBoxSearch) and search.evaluator is None


@each("space")
def test_space(search_config: DictConfig) -> None:
    data = build_data(search_config)
    space = build_space(search_config.space, data)
    assert isinstance(space, Space) and space.name == search_config.space.name
    assert (space.shape, space.classes) == (data.shape, data.classes)


@each("dataset")
def test_dataset_reads_nothing_when_built(search_config: DictConfig, tmp_path: Path) -> None:
    data = build_data(search_config)
    assert isinstance(data, ImageData) and data.bilevel and data.seed == search_config.seed
    assert len(data.shape) == 3 and data.classes >= 10
    assert list(tmp_path.iterdir()) == []


@each("dataset", "seed=7", "dataset.batch_size=9")
def test_dataset_takes_options(search_config: DictConfig) -> None:
    data = build_data(search_config, bilevel=False)
    assert (data.seed, data.batch_size, data.bilevel) == (7, 9, False)


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_home_directory_is_expanded(dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with composed("search", f"dataset={dataset}", "paths.data='~/some data'") as cfg:
        build_data(cfg)
        assert cfg.dataset.root == str(tmp_path / "some data")


@each("trainer")
def test_trainer(search_config: DictConfig) -> None:
    """On one process of the CPU whatever it asks for; the rest of it must be what Trainer takes."""
    options = OmegaConf.to_container(search_config.trainer, resolve=True)
    assert isinstance(options, dict) and options["_target_"] == "pytorch_lightning.Trainer"
    search_config.trainer.accelerator, search_config.trainer.devices = "cpu", 1
    trainer = build_trainer(search_config)
    assert isinstance(trainer, pl.Trainer) and trainer.max_epochs == search_config.trainer.max_epochs
    assert type(trainer.strategy).__name__ == (
        "DDPStrategy" if options["strategy"] != "auto" else "SingleDeviceStrategy"
    )


def test_trainers_ask_for_what_they_say() -> None:
    found = {}
    for name in choices("trainer"):
        with composed("search", f"trainer={name}") as cfg:
            found[name] = (cfg.trainer.accelerator, cfg.trainer.devices)
    assert found["cpu"] == ("cpu", 1) and found["ddp_cpu"] == ("cpu", 2)
    assert found["gpu"] == ("gpu", 1) and found["ddp"] == ("gpu", -1)


@each("logger")
def test_logger(search_config: DictConfig, tmp_path: Path) -> None:
    if "tensorboard" in search_config.logger:
        pytest.importorskip("tensorboard")
    loggers = [instantiate(part, _convert_="all") for part in search_config.logger.values()]
    assert all(isinstance(logger, Logger) for logger in loggers)
    assert all(Path(str(logger.save_dir)).is_relative_to(tmp_path) for logger in loggers)


@each("proxy")
def test_proxy_preset(search_config: DictConfig) -> None:
    proxy = instantiate(search_config.proxy, _convert_="all")
    assert isinstance(proxy, Proxy) and proxy.batch_size > 0
    assert proxy.name == HydraConfig.get().runtime.choices["proxy"]


@each("callbacks")
def test_callbacks(search_config: DictConfig) -> None:
    found = [instantiate(part, _convert_="all") for part in search_config.callbacks.values()]
    assert found and all(isinstance(callback, pl.Callback) for callback in found)


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("trainer", choices("trainer"))
def test_train(trainer: str, dataset: str, tmp_path: Path) -> None:
    with composed("train", f"trainer={trainer}", f"dataset={dataset}", f"paths.output={tmp_path}", "genotype=x") as cfg:
        data = build_data(cfg, bilevel=False)
        training = instantiate(cfg.training, network=pl.LightningModule(), classes=data.classes, _convert_="all")
        assert isinstance(training, Training)
        assert all(isinstance(instantiate(part), pl.Callback) for part in cfg.callbacks.values())


def header(text: str) -> str:
    """The comment lines that a file begins with, without Hydra's @package line."""
    found = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            found.append(line.removeprefix("#").strip())
    return " ".join(found)


def header_faults(text: str) -> list[str]:
    """What the header of an experiment lacks: its source, a publication or a repository, and the number to expect."""
    head = header(text)
    faults = []
    if not re.search(r"\b[A-Z]\w+.*\b(19|20)\d\d\b|\bSource: \w+", head):
        faults.append("it names no source ('Source: ...', or a publication with its year)")
    if not re.search(r"\d+\.\d+|\d+ ?%|not yet reproduced", head):
        faults.append("it gives no number and does not say 'not yet reproduced'")
    return faults


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("# @package _global_\n# DARTS (Liu et al., 2019), table 1:\n# 2.76 +- 0.09 % test error\nseed: 0\n", 0),
        ("# GDAS (Dong and Yang, CVPR 2019); not yet reproduced\n", 0),
        ("# GDAS. Source: repository D-X-Y/AutoDL-Projects.\n# Published: 93.61 test.\n", 0),
        ("# GDAS (Dong and Yang, CVPR 2019)\n", 1),
        ("# GDAS. Source: repository D-X-Y/AutoDL-Projects.\n", 1),
        ("# 93.5 %\n", 1),
        ("seed: 0  # Liu et al., 2019: 2.76\n", 2),
    ],
)
def test_header_faults_are_found(text: str, faults: int) -> None:
    assert len(header_faults(text)) == faults


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiment(name: str, tmp_path: Path) -> None:
    file = CONF / "experiment" / f"{name}.yaml"
    text = file.read_text()
    faults = header_faults(text)
    assert not faults, f"{file.relative_to(CONF.parent)}: " + "; ".join(faults)
    assert text.startswith("# @package _global_"), "its keys would land under experiment."
    chosen = yaml.safe_load(text) or {}
    entry, required = ("train", ["genotype=x"]) if {"network", "training"} & set(chosen) else ("search", [])
    with composed(entry, f"experiment={name}", f"paths.output={tmp_path}", f"paths.data={tmp_path}", *required) as cfg:
        assert {key: cfg[key] for key in ("seed", "epochs") if key in chosen}.items() <= chosen.items()
        data = build_data(cfg, bilevel=entry == "search")
        if entry == "train":
            assert isinstance(instantiate(cfg.training, network=pl.LightningModule(), _convert_="all"), Training)
            return
        if "channels" in cfg.space:  # its own size takes seconds to build
            cfg.space.channels = 12 if "channel_divisor" in cfg.method.get("edge", {}) else 4
        search = build_search(cfg.method, build_space(cfg.space, data))
        assert isinstance(search, Search)
        search.space.check(search.genotype())


def test_experiments_are_all_tested() -> None:
    """The folder is filled by hand: an experiment lies where the tests above, and Hydra, find it."""
    assert sorted(p.stem for p in CONF.rglob("*.yaml") if p.parent.name == "experiment") == EXPERIMENTS
