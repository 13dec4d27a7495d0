"""Every group of conf/: each choice composes and instantiates."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger

from nas.blackbox.search import BlackBoxSearch
from nas.cli.build import build_data, build_search, build_space, build_trainer
from nas.data.base import ImageData
from nas.data.text.base import TextData
from nas.proxies.proxy import Proxy
from nas.searches.base import Search
from nas.spaces.base import Space
from nas.spaces.genotype_file import load_genotype
from nas.spaces.registry import space_of
from nas.training.language_model import LanguageModelTraining
from nas.training.network_training import Training
from tests.support.compose_tools import CONF, SIZED, choices, composed, data_of, searches, small, spaces
from tests.support.conf_headers import header
from tests.support.error_tools import NB201, run

GROUPS = {"callbacks", "dataset", "debug", "evaluator", "executor", "experiment", "extras", "hydra", "predictor"}
GROUPS |= {
    "hparams_search",
    "logger",
    "method",
    "mode",
    "network",
    "normalization",
    "paths",
    "protocol",
    "proxy",
    "ranking",
    "space",
    "trainer",
}
DATASETS = [name for name in choices("dataset") if name not in ("folder", "hf")]
"""All but the data sets that read their images when a run is composed."""
FILES = sorted(path.relative_to(CONF).as_posix() for path in CONF.rglob("*.yaml") if path.parent.name != "local")


@pytest.fixture
def search_config(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DictConfig]:
    """Compose search.yaml with the overrides in the parameter of a test."""
    with composed("search", *request.param, f"paths.output={tmp_path}", f"paths.data={tmp_path}") as cfg:
        yield cfg


def each(group: str, *overrides: str) -> Any:
    """Parametrize ``search_config`` of a test by the choices of a group."""
    names = DATASETS if group == "dataset" else choices(group)
    return pytest.mark.parametrize(
        "search_config", [[f"{group}={name}", *overrides] for name in names], ids=names, indirect=True
    )


def test_groups_are_all_tested() -> None:
    assert {file.split("/")[0] for file in FILES if "/" in file} <= GROUPS
    assert {file for file in FILES if "/" not in file} == {"search.yaml", "train.yaml"}
    assert len(FILES) > 25


@pytest.mark.parametrize("file", FILES)
def test_file_begins_with_a_comment(file: str) -> None:
    assert header((CONF / file).read_text()), f"{file}: describe it in a comment at the top"


@pytest.mark.parametrize("file", FILES)
def test_comment_of_an_option_has_a_subject(file: str) -> None:
    """The documentation site shows comments without their keys, so ``# of the weights`` would be no description."""
    comments = re.findall(r"^ *[^#\n]+?  +# (.*)$", (CONF / file).read_text(), re.MULTILINE)
    assert not [comment for comment in comments if re.match(r"(of|or) ", comment)]


@pytest.mark.parametrize(
    "search_config",
    [[f"method={m}", *small("nats_size" if m in SIZED else "darts", m)] for m in searches()],
    ids=searches(),
    indirect=True,
)
def test_method_builds_a_search(search_config: DictConfig) -> None:
    data = build_data(search_config)
    search = build_search(search_config.method, build_space(search_config.space, data))
    assert isinstance(search, Search) and search.name == search_config.method.name
    assert search_config.trainer.max_epochs == 30, "digits, so small a set, takes 30 epochs"


@pytest.mark.parametrize("method", choices("method"))
def test_method_has_a_published_length_and_a_source(method: str) -> None:
    with composed("search", f"method={method}", "dataset=synthetic") as cfg:
        assert cfg.method.name == method
        assert cfg.epochs == cfg.method.epochs == cfg.trainer.max_epochs > 0
    head = " ".join(header((CONF / "method" / f"{method}.yaml").read_text()))
    assert re.search(r"\b(19|20)\d\d\b", head), f"conf/method/{method}.yaml: its first comment names no publication"


@each("evaluator", "method=random_search")
def test_evaluator_is_built_when_the_search_begins(search_config: DictConfig) -> None:
    data = build_data(search_config)
    search = build_search(search_config.method, build_space(search_config.space, data))
    assert isinstance(search, BlackBoxSearch) and search.evaluator is None


@pytest.mark.parametrize("search_config", [[f"space={s}", *data_of(s)] for s in spaces()], ids=spaces(), indirect=True)
def test_space_takes_shape_and_classes_of_the_data(search_config: DictConfig) -> None:
    data = build_data(search_config)
    space = build_space(search_config.space, data)
    assert isinstance(space, Space) and space.name == search_config.space.name
    assert (space.shape, space.classes) == (data.shape, data.classes)


@each("dataset")
def test_dataset_reads_nothing_when_built(search_config: DictConfig, tmp_path: Path) -> None:
    data = build_data(search_config)
    assert isinstance(data, ImageData | TextData) and data.bilevel and data.seed == search_config.seed
    if isinstance(data, ImageData):
        assert len(data.shape) == 3 and data.classes >= 10
    else:
        assert data.shape == () and data._corpus is None
    assert list(tmp_path.iterdir()) == []


@each("dataset", "seed=7", "dataset.batch_size=9")
def test_dataset_takes_options(search_config: DictConfig) -> None:
    data = build_data(search_config, bilevel=False)
    assert (data.seed, data.batch_size, data.bilevel) == (7, 9, False)


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100"])
def test_dataset_expands_the_home_directory(dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with composed("search", f"dataset={dataset}", "paths.data='~/some data'") as cfg:
        build_data(cfg)
        assert cfg.dataset.root == str(tmp_path / "some data")


@each("trainer")
def test_trainer_options_are_accepted_by_lightning(search_config: DictConfig) -> None:
    """Build each trainer for one CPU process; all other options stay as they are."""
    options = OmegaConf.to_container(search_config.trainer, resolve=True)
    assert isinstance(options, dict) and options["_target_"] == "pytorch_lightning.Trainer"
    search_config.trainer.accelerator, search_config.trainer.devices = "cpu", 1
    trainer = build_trainer(search_config)
    assert isinstance(trainer, pl.Trainer) and trainer.max_epochs == search_config.trainer.max_epochs
    assert type(trainer.strategy).__name__ == (
        "DDPStrategy" if options["strategy"] != "auto" else "SingleDeviceStrategy"
    )


def test_trainer_selects_accelerator_and_devices() -> None:
    found = {}
    for name in choices("trainer"):
        with composed("search", f"trainer={name}") as cfg:
            found[name] = (cfg.trainer.accelerator, cfg.trainer.devices)
    assert found["cpu"] == ("cpu", 1) and found["ddp_cpu"] == ("cpu", 2)
    assert found["gpu"] == ("gpu", 1) and found["ddp"] == ("gpu", -1) and found["slurm"] == ("gpu", 1)
    assert found["ddp_multinode"] == ("gpu", 1), "as many as the launcher has started, here none"


@each("logger")
def test_logger_writes_below_the_output(search_config: DictConfig, tmp_path: Path) -> None:
    for name in ("tensorboard", "mlflow"):
        if name in search_config.logger:
            pytest.importorskip(name)
    loggers = [instantiate(part, _convert_="all") for part in search_config.logger.values()]
    assert all(isinstance(logger, Logger) for logger in loggers)
    places = [logger.save_dir or logger._tracking_uri.removeprefix("sqlite:///") for logger in loggers]
    assert all(Path(place).is_relative_to(tmp_path) for place in places)


@each("proxy", "method=random_search")
def test_proxy_has_the_name_of_its_file(search_config: DictConfig) -> None:
    proxy = instantiate(search_config.proxy, _convert_="all")
    assert isinstance(proxy, Proxy) and proxy.batch_size > 0
    assert proxy.name == HydraConfig.get().runtime.choices["proxy"]


@each("callbacks")
def test_callbacks_instantiate(search_config: DictConfig) -> None:
    found = [instantiate(part, _convert_="all") for part in search_config.callbacks.values()]
    assert found and all(isinstance(callback, pl.Callback) for callback in found)


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize("trainer", choices("trainer"))
def test_training_builds_for_each_trainer_and_dataset(trainer: str, dataset: str, tmp_path: Path) -> None:
    with composed("train", f"trainer={trainer}", f"dataset={dataset}", f"paths.output={tmp_path}", "genotype=x") as cfg:
        data = build_data(cfg, bilevel=False)
        if isinstance(data, TextData):
            text_training = instantiate(cfg.text_training, network=pl.LightningModule(), _convert_="all")
            assert isinstance(text_training, LanguageModelTraining)
            return
        training = instantiate(cfg.training, network=pl.LightningModule(), classes=data.classes, _convert_="all")
        assert isinstance(training, Training)
        assert all(isinstance(instantiate(part), pl.Callback) for part in cfg.callbacks.values())


@pytest.mark.parametrize("entry", ["search", "train"])
def test_groups_are_composed_only_by_methods_that_use_them(entry: str) -> None:
    with composed(entry, *(["genotype=x"] if entry == "train" else ["method=darts"])) as cfg:
        assert not {"proxy", "evaluator", "ranking"} & set(cfg)


@pytest.mark.parametrize(
    ("overrides", "phrases"),
    [
        (["method=darts", "proxy=snip"], ["proxy=snip: method=darts uses no proxy"]),
        (["experiment=laptop/random_search", "method=darts"], ["it sets proxy, which method=darts does not use"]),
        (["method=darts", "proxy.batch_size=3"], ["proxy.batch_size: method=darts uses no proxy"]),
        (["method=darts", "evaluator=benchmark"], ["evaluator=benchmark: method=darts uses no evaluator"]),
        (["method=darts", "evaluator=benchmark", "proxy=snip"], ["method=darts uses no"]),
        (["experiment=gdas/nas_bench_201", "evaluator.epochs=3"], ["evaluator.epochs: method=gdas uses no evaluator"]),
        (["method=bohb", "evaluator=benchmark", "proxy=snip"], ["evaluator=benchmark uses no", "evaluator=zero_cost"]),
        (["method=te_nas", "proxy=snip"], ["has proxies", "+proxy=snip 'method.proxies=[${proxy}]'"]),
        (["hparams_search=darts_lr"], ["hparams_search=darts_lr", "-m hparams_search=darts_lr"]),
    ],
    ids=lambda value: " ".join(value) if "=" in value[0] and len(value[0].split()) == 1 else None,
)
def test_choices_without_effect_are_refused(overrides: list[str], phrases: list[str], tmp_path: Path) -> None:
    run("search", *overrides, f"hydra.run.dir={tmp_path}/run").refused(*phrases)
    assert not (tmp_path / "run").exists()


def test_te_nas_can_prune_by_an_added_proxy() -> None:
    with composed("search", "method=te_nas", "+proxy=naswot", "method.proxies=[${proxy}]") as cfg:
        assert [proxy._target_ for proxy in cfg.method.proxies] == ["nas.proxies.naswot.Naswot"]


def test_network_options_of_a_space_are_those_of_its_networks() -> None:
    """``auto`` has the options of all spaces."""
    spaces = {
        "darts": ["DARTS_V2"],
        "nas_bench_101": ["ModelSpec(matrix=[[0, 1], [0, 0]], ops=['input', 'output'])"],
        "nas_bench_201": [NB201],
        "recurrent": ["RNN_DARTS_V2"],
        "trans_nas_bench_101": ["64-41414-1_02_333", "64-1234-basic"],
        "single_path": ["shufflenet:2-1-0-1-2-0-2-0-2-0-2-3-0-0-0-0-3-2-3-3", "mobile:" + "-".join(["k3e6"] * 19)],
    }
    assert set(choices("network")) == {"auto", *spaces}
    every: set[str] = set()
    for name, genotypes in spaces.items():
        with composed("train", "genotype=x", f"network={name}") as cfg:
            assert all(value is None for value in cfg.network.values())
            accepted = {o for g in genotypes for o in space_of(load_genotype(g), (3, 32, 32), 10).network_options()}
            assert set(cfg.network) == accepted
            every |= accepted
    with composed("train", "genotype=x") as cfg:
        assert set(cfg.network) == every


def test_digits_sets_the_epochs_of_a_run_and_the_log_shows_it(tmp_path: Path) -> None:
    with composed("search", "method=darts") as cfg:
        assert (cfg.epochs, cfg.threads, cfg.method.epochs) == (30, 1, 50)
    with composed("search", "method=darts", "dataset=cifar10") as cfg:
        assert (cfg.epochs, cfg.threads) == (50, None)
    with composed("train", "genotype=x", "dataset=cifar10") as cfg:
        assert (cfg.epochs, cfg.threads) == (20, None)
    small = ("space.channels=4", "space.cells_per_stage=1", "trainer.limit_train_batches=1", "epochs=1")
    found = run("search", *small, f"hydra.run.dir={tmp_path}/run")
    found.succeeded()
    assert "dataset=digits sets threads=1\n" in found.said, "epochs=1 replaces the 30 epochs of the data set"
