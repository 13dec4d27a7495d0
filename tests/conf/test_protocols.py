"""Training protocols: composed values equal those of the publications."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate

from nas.cli.build import build_data
from nas.training.network_training import Training
from tests.support.compose_tools import CONF, choices, composed
from tests.support.conf_headers import header_faults
from tests.support.error_tools import NB201, TRAIN, run
from tests.training.test_network_training import Small

SGD = (0.025, 0.9, 3e-4, False)  # rate, momentum, weight decay, Nesterov
CIFAR = {
    "epochs": 600,
    "batch": 96,
    "sgd": SGD,
    "drop": 0.2,
    "drop_on": None,
    "size": (36, 20),
    "pool": None,
    "eta": 0.0,
    "stats": None,
}
STATS_10 = ([0.49139968, 0.48215827, 0.44653124], [0.24703233, 0.24348505, 0.26158768])
STATS_100 = ([129.3 / 255, 124.1 / 255, 112.4 / 255], [68.2 / 255, 65.4 / 255, 70.4 / 255])
ROUNDED = ([0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762])  # RobustDARTS and its derivatives
P_DARTS = ([0.5071, 0.4867, 0.4408], [0.2675, 0.2565, 0.2761])
FAIR = ([0.50707519, 0.48654887, 0.44091785], [0.26733428, 0.25643846, 0.27615049])
# Differences from the protocol of DARTS on CIFAR
CIFARS = {
    "darts_cifar10": {},
    "noisy_darts_cifar10": {},
    "fair_darts_cifar10": {"drop_on": "node"},
    "darts_pt_cifar10": {},
    "darts_pt_cifar100": {"size": (16, 8), "stats": ROUNDED},
    "darts_minus_cifar10": {},
    "darts_minus_cifar100": {"stats": ROUNDED},
    "sdarts_cifar10": {},
    "r_darts_cifar10": {"size": (16, 8)},
    "pc_darts_cifar10": {"drop": 0.3},
    "drnas_cifar10": {"drop": 0.3, "batch": 64, "pool": "plain"},
    "te_nas_cifar10": {"drop": 0.3, "epochs": 800, "pool": "plain"},
    "p_darts_cifar10": {"drop": 0.3, "batch": 128},
    "p_darts_cifar100": {"drop": 0.3, "batch": 128, "stats": P_DARTS},
    "snas_cifar10": {"pool": "affine"},
    "gdas_cifar10": {"pool": "plain", "eta": 1e-4},
    "gdas_cifar100": {"pool": "plain", "eta": 1e-4},
    "darts_cifar100": {},
    "noisy_darts_cifar100": {},
    "fair_darts_cifar100": {"drop_on": "node", "stats": FAIR},
    "sdarts_cifar100": {"stats": ROUNDED},
    "r_darts_cifar100": {"size": (16, 8), "stats": ROUNDED},
    "pc_darts_cifar100": {"drop": 0.3, "stats": STATS_10},
    "drnas_cifar100": {"drop": 0.3, "batch": 64, "pool": "plain", "stats": STATS_10},
    "te_nas_cifar100": {"drop": 0.3, "epochs": 800, "pool": "plain", "stats": STATS_10},
}
# batch, learning rate, Nesterov, schedule, warm-up, channels, second norm of the auxiliary head, norm after pools
IMAGENETS = {
    "darts_imagenet": (128, 0.1, False, "exponential", 0, 48, False, None),
    "pc_darts_imagenet": (1024, 0.5, False, "linear", 5, 48, False, None),
    "drnas_imagenet": (768, 0.5, False, "linear", 5, 48, False, "plain"),
    "te_nas_imagenet": (768, 0.5, False, "cosine", 5, 48, False, "plain"),
    "p_darts_imagenet": (256, 0.1, False, "linear", 0, 48, True, None),
    "snas_imagenet": (128, 0.1, False, "exponential", 0, 50, True, "affine"),
    "gdas_imagenet": (128, 0.1, True, "exponential", 0, 50, False, "plain"),
    "sdarts_imagenet": (1024, 0.5, False, "linear", 5, 48, False, None),
    "darts_pt_imagenet": (128, 0.1, False, "exponential", 0, 48, False, None),
    "darts_minus_imagenet": (256, 0.1, False, "linear", 0, 48, True, None),
}
# For test_protocols_by_step.py: channels, cells, drop path, batch norm after the last cell
AUTODL = {
    "gdas_autodl_cifar10": (33, 18, 0.0, True),
    "gdas_autodl_cifar100": (33, 18, 0.0, True),
    "gdas_autodl_20_cells_cifar10": (36, 20, 0.2, False),
    "gdas_autodl_20_cells_cifar100": (36, 20, 0.2, False),
    "gdas_autodl_imagenet": (50, 14, 0.0, False),
}
# Learning rate, schedule, color jitter, dropout
ONE_SHOT = {
    "spos_imagenet": (0.5, "spos", [0.4, 0.4, 0.4, 0.0], 0.1),
    "dsnas_imagenet": (0.34, "dsnas", [0.0, 0.0, 0.0, 0.0], 0.0),
}
# For test_protocols_text.py: vocabulary's data set, hidden size, dropout of hidden states, weight decay, epochs,
# comparison without the last validations
TEXT = {
    "darts_ptb": ("ptb", 850, 0.25, 8e-7, 8000, True),
    "darts_wikitext2": ("wikitext2", 700, 0.15, 5e-7, 8000, True),
    "gdas_ptb": ("ptb", 850, 0.25, 8e-7, 3000, False),
    "gdas_wikitext2": ("wikitext2", 700, 0.15, 5e-7, 3000, False),
}
# Epochs, batch, rate, weight decay, Nesterov, label smoothing, scale of crops, color jitter, dropout
MOBILE = {
    "dsnas_imagenet_child": (160, 1024, 0.3845, 4e-5, False, 0.1, [0.08, 1.0], [0.0, 0.0, 0.0, 0.0], 0.0),
    "proxyless_imagenet": (300, 256, 0.05, 4e-5, True, 0.1, [0.08, 1.0], [0.4, 0.4, 0.4, 0.1], 0.0),
    "noisy_darts_a_imagenet": (350, 1024, 0.5, 4e-5, True, 0.1, [0.2, 1.0], [0.0, 0.0, 0.0, 0.0], 0.2),
    "noisy_darts_a_cifar10": (200, 256, 0.05, 0.0, False, 0.0, None, None, 0.1),
}
BENCHMARK = [
    f"nas_bench_201_{e}_{d}" for e in (200, 12) for d in ("cifar10", "cifar10_valid", "cifar100", "imagenet16_120")
]


def optimizer_of(cfg) -> tuple[float, float, float, bool]:
    optimizer = instantiate(cfg.training.optimizer)([torch.nn.Parameter(torch.zeros(1))])
    assert type(optimizer) is torch.optim.SGD
    group = optimizer.param_groups[0]
    return group["lr"], group["momentum"], group["weight_decay"], group["nesterov"]


def rates_of(cfg) -> list[float]:
    optimizer = instantiate(cfg.training.optimizer)([torch.nn.Parameter(torch.zeros(1))])
    scheduler = instantiate(cfg.training.scheduler)(optimizer)
    return [scheduler.rate(optimizer.param_groups[0]["initial_lr"], e) for e in range(cfg.epochs)]


def test_protocols_are_all_tested() -> None:
    assert set(choices("protocol")) == {*CIFARS, *IMAGENETS, *AUTODL, *ONE_SHOT, *TEXT, *MOBILE, *BENCHMARK}


@pytest.mark.parametrize("name", MOBILE)
def test_mobile_protocol_has_its_values(name: str) -> None:
    epochs, batch, lr, decay, nesterov, smoothing, scale, jitter, dropout = MOBILE[name]
    with composed("train", f"protocol={name}", "genotype=x", "paths.data=x", "paths.output=x") as cfg:
        assert (cfg.epochs, cfg.dataset.global_batch_size, cfg.dataset.image_size) == (epochs, batch, 224)
        assert optimizer_of(cfg) == (lr, 0.9, decay, nesterov)
        assert (cfg.training.label_smoothing, cfg.training.clip_norm) == (smoothing, None)
        assert (cfg.dataset.get("scale"), cfg.dataset.get("color_jitter")) == (scale, jitter)
        assert (cfg.network.dropout, cfg.ema) == (dropout, 0.9999 if name == "noisy_darts_a_imagenet" else None)
        norm = {"dsnas_imagenet_child": 1e-2, "proxyless_imagenet": 1e-3}
        assert cfg.network.norm_eps == norm.get(name)
        assert (cfg.dataset.get("resize"), cfg.training.drop_path) == ((256, 0.1) if "cifar10" in name else (None, 0.0))
        warm = 5 if name == "noisy_darts_a_imagenet" else 0
        found = rates_of(cfg)
        span = epochs - warm
        expected = [lr * (1 + math.cos(math.pi * e / span)) / 2 for e in range(span)]
        assert found[warm:] == pytest.approx(expected, rel=1e-9) and len(found) == epochs


@pytest.mark.parametrize("name", choices("protocol"))
def test_protocol_has_a_header_and_composes(name: str, tmp_path: Path) -> None:
    text = (CONF / "protocol" / f"{name}.yaml").read_text()
    assert not header_faults(text, f"protocol={name}")
    with composed(
        "train", f"protocol={name}", "genotype=x", f"paths.data={tmp_path}", f"paths.output={tmp_path}"
    ) as cfg:
        data = build_data(cfg, bilevel=False)
        if name in TEXT:
            return  # its values: test_protocols_text.py
        training = instantiate(cfg.training, network=Small(), classes=data.classes, _convert_="all")
        assert isinstance(training, Training) and data.name in name
        assert cfg.trainer.max_epochs == cfg.epochs and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", CIFARS)
def test_cifar_protocol_has_the_published_values(name: str) -> None:
    want = CIFAR | CIFARS[name]
    with composed("train", f"protocol={name}", "genotype=x", "paths.data=x", "paths.output=x") as cfg:
        assert (cfg.epochs, cfg.dataset.batch_size, optimizer_of(cfg)) == (want["epochs"], want["batch"], want["sgd"])
        assert (cfg.training.drop_path, cfg.training.auxiliary_weight, cfg.training.clip_norm) == (want["drop"], 0.4, 5)
        assert (cfg.dataset.cutout, cfg.dataset.pad, cfg.dataset.flip) == (16, 4, True)
        assert (cfg.network.channels, cfg.network.layers) == want["size"] and cfg.network.auxiliary is True
        assert cfg.network.pool_norm == want["pool"] and cfg.training.label_smoothing == 0
        assert cfg.network.drop_path_on == want["drop_on"] and cfg.training.decay_norm_and_bias is True
        mean, std = want["stats"] or (STATS_100 if name.endswith("100") else STATS_10)
        assert list(cfg.dataset.mean) == pytest.approx(mean, abs=1e-8)
        assert list(cfg.dataset.std) == pytest.approx(std, abs=1e-8)
        eta, epochs = want["eta"], want["epochs"]
        expected = [eta + (0.025 - eta) * (1 + math.cos(math.pi * e / epochs)) / 2 for e in range(epochs)]
        assert rates_of(cfg) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", IMAGENETS)
def test_imagenet_protocol_has_the_published_values(name: str) -> None:
    batch, lr, nesterov, law, warmup, channels, norm, pool = IMAGENETS[name]
    laws = {
        "exponential": lambda e: lr * 0.97**e,
        "linear": lambda e: lr * (245 - e) / 245 if 250 - e > 5 else lr * (250 - e) / 1225,
        "cosine": lambda e: lr * (1 + math.cos(math.pi * e / 250)) / 2,
    }
    with composed("train", f"protocol={name}", "genotype=x", "paths.data=x", "paths.output=x") as cfg:
        assert (cfg.epochs, cfg.dataset.global_batch_size, cfg.dataset.batch_size) == (250, batch, None)
        assert cfg.dataset.image_size == 224
        assert optimizer_of(cfg) == (lr, 0.9, 3e-5, nesterov)
        training = cfg.training
        assert (training.label_smoothing, training.auxiliary_weight, training.clip_norm) == (0.1, 0.4, 5)
        assert (training.drop_path, cfg.dataset.cutout) == (0, 0)
        network = cfg.network
        assert (network.channels, network.layers, network.stem, network.auxiliary) == (channels, 14, "imagenet", True)
        assert (network.auxiliary_norm, network.pool_norm) == (norm, pool)
        expected = [lr * (e + 1) / warmup if e < warmup else laws[law](e) for e in range(250)]
        assert rates_of(cfg) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", BENCHMARK)
def test_nas_bench_201_protocol_has_the_published_values(name: str) -> None:
    epochs = 12 if "_12_" in name else 200
    with composed("train", f"protocol={name}", "genotype=x", "paths.data=x", "paths.output=x") as cfg:
        assert (cfg.epochs, cfg.dataset.batch_size, optimizer_of(cfg)) == (epochs, 256, (0.1, 0.9, 5e-4, True))
        assert cfg.training.clip_norm is None and cfg.training.label_smoothing == cfg.dataset.cutout == 0
        assert cfg.dataset.pad == (2 if "imagenet16" in name else 4) and cfg.training.decay_norm_and_bias
        assert (cfg.network.channels, cfg.network.cells_per_stage) == (16, 5)
        data = name.removeprefix(f"nas_bench_201_{epochs}_")
        assert cfg.dataset.hold_out == (data == "cifar10_valid")
        assert cfg.dataset.split == ("nas_bench_201" if "imagenet16" in name else "halves")
        mean = {"cifar10": (125.3, 123.0, 113.9), "cifar100": (129.3, 124.1, 112.4)}
        found = [255 * value for value in cfg.dataset.mean]
        assert found == pytest.approx(mean.get(data.removesuffix("_valid"), (122.68, 116.66, 104.01)), abs=1e-4)
        expected = [0.05 * (1 + math.cos(math.pi * e / epochs)) for e in range(epochs)]
        assert rates_of(cfg) == pytest.approx(expected, rel=1e-9)


def test_protocol_replaces_the_data_set_of_the_search(tmp_path: Path) -> None:
    """Inherit the folder of the data from the search, but not its data set."""
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    (tmp_path / "run" / ".hydra" / "overrides.yaml").write_text(f"- dataset=digits\n- paths.data={tmp_path}/there\n")
    (tmp_path / "run" / ".hydra" / "hydra.yaml").write_text("hydra: {runtime: {choices: {dataset: digits}}}\n")
    from nas.cli.overrides.inherit_from_search import inherit_from_search

    given = [f"genotype={tmp_path}/run"]
    assert inherit_from_search(given) == ["dataset=digits", f"paths.data={tmp_path}/there", *given]
    given.append("protocol=darts_cifar10")
    assert inherit_from_search(given) == [f"paths.data={tmp_path}/there", *given]
    with composed("train", "protocol=darts_cifar10", "dataset=digits", "genotype=x", "paths.output=x") as cfg:
        assert cfg.epochs == 600 and cfg.dataset._target_.endswith("Digits"), "the command line takes precedence"


def test_protocol_mistakes_are_refused_in_one_line(tmp_path: Path) -> None:
    place = f"hydra.run.dir={tmp_path}/run"
    run("train", f"genotype={NB201}", "protocol=dart_cifar10", place).refused("unknown protocol", "'darts_cifar10'")
    run("search", "protocol=darts_cifar10", place).refused("search.py has no group protocol", "experiment=NAME")
    found = run("train", *TRAIN, f"genotype={NB201}", "ema=1.5", place)
    found.refused("ema=1.5: use a number above 0 and below 1")
