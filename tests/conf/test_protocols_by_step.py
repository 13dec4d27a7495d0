"""Protocols whose learning rate changes within an epoch: the current AutoDL-Projects, and single-path networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hydra.utils import instantiate

from nas.nn.depthwise import DepthwiseConv2d
from nas.nn.macs import count_macs, count_parameters
from nas.nn.param_groups import parameter_groups
from nas.spaces.darts.space import Darts
from nas.spaces.genotype_file import load_genotype
from nas.spaces.registry import space_of
from nas.training.lr_schedule import LRDecay
from tests.conf.test_protocols import AUTODL, ONE_SHOT, optimizer_of
from tests.support.compose_tools import composed
from tests.training.test_lr_schedule_by_step import autodl, dsnas, spos


def rates(cfg: Any, steps: int) -> list[float]:
    optimizer = instantiate(cfg.training.optimizer)([torch.nn.Parameter(torch.zeros(1))])
    scheduler = instantiate(cfg.training.scheduler)(optimizer)
    assert isinstance(scheduler, LRDecay) and scheduler.interval != "epoch"
    base = optimizer.param_groups[0]["initial_lr"]
    return [scheduler.rate(base, t / steps) for t in range(cfg.epochs * steps)]


def compose(name: str) -> Any:
    return composed("train", f"protocol={name}", "genotype=x", "paths.data=x", "paths.output=x")


@pytest.mark.parametrize("name", AUTODL)
def test_autodl_protocol_has_the_published_values(name: str) -> None:
    imagenet = name.endswith("imagenet")
    lr, decay, epochs, batch = (0.1, 3e-5, 250, 256) if imagenet else (0.025, 5e-4, 300, 96)
    channels, layers, drop, lastact = AUTODL[name]
    with compose(name) as cfg:
        size = cfg.dataset.global_batch_size if imagenet else cfg.dataset.batch_size
        assert (cfg.epochs, size) == (epochs, batch)
        assert optimizer_of(cfg) == (lr, 0.9, decay, True)
        assert rates(cfg, 4) == pytest.approx(autodl(lr, epochs - 5, 4), rel=1e-9, abs=1e-12)
        training, network, data = cfg.training, cfg.network, cfg.dataset
        assert (training.clip_norm, training.auxiliary_weight, training.drop_path) == (None, 0.4, drop)
        assert training.label_smoothing == (0.1 if imagenet else 0) and training.decay_norm_and_bias is True
        assert (network.channels, network.layers, network.auxiliary) == (channels, layers, True)
        assert (network.lastact or False, network.pool_norm) == (lastact, None)
        assert network.parallel_ops == ("last" if lastact else None)
        assert (network.auxiliary_norm, network.stem) == ((True, "imagenet") if imagenet else (None, None))
        assert data.cutout == (0 if imagenet else 16)
        if imagenet:
            assert (data.lighting, list(data.color_jitter), data.image_size) == (0.1, [0.4, 0.4, 0.4, 0.2], 224)
            return
        levels = {"cifar10": ((125.3, 123.0, 113.9), (63.0, 62.1, 66.7))}
        mean, std = levels.get(name.split("_")[-1], ((129.3, 124.1, 112.4), (68.2, 65.4, 70.4)))
        assert [255 * v for v in data.mean] == pytest.approx(mean, abs=1e-4)
        assert [255 * v for v in data.std] == pytest.approx(std, abs=1e-4)


@pytest.mark.parametrize(
    ("name", "channels", "total", "without"),
    [("gdas_autodl_cifar10", 33, 2_947_074, 2_476_792), ("gdas_autodl_cifar10", 36, 3_397_944, 2_921_518),
     ("gdas_autodl_20_cells_cifar10", 36, 3_845_208, 3_368_782)],
)  # fmt: skip
def test_autodl_network_has_the_published_size(name: str, channels: int, total: int, without: int) -> None:
    with compose(name) as cfg:
        options = {k: v for k, v in cfg.network.items() if v is not None} | {"channels": channels}
    with torch.device("meta"):
        network = Darts((3, 32, 32), 10).network(load_genotype("GDAS_V1"), **options)
    assert (count_parameters(network, auxiliary=True), count_parameters(network)) == (total, without)
    assert network.auxiliary_layer == (12 if options["layers"] == 18 else 13)


@pytest.mark.parametrize("name", ONE_SHOT)
def test_single_path_protocol_has_the_published_values(name: str) -> None:
    """Compare with the authors' programs, whose 300,000 steps are 240 epochs of 1,251 batches up to 0.1 %."""
    assert abs(300_000 / (1_281_167 / 1024) - 240) < 0.3
    lr, truth, jitter, dropout = ONE_SHOT[name]
    with compose(name) as cfg:
        assert (cfg.epochs, cfg.dataset.global_batch_size, cfg.dataset.image_size) == (240, 1024, 224)
        assert optimizer_of(cfg) == (lr, 0.9, 4e-5, False)
        assert rates(cfg, 4) == pytest.approx({"dsnas": dsnas, "spos": spos}[truth](lr, 240, 4), rel=1e-9, abs=1e-12)
        training, data = cfg.training, cfg.dataset
        assert (training.label_smoothing, training.clip_norm, training.drop_path) == (0.1, None, 0)
        assert training.decay_norm_and_bias is False and list(data.color_jitter) == jitter and data.lighting == 0
        levels = [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
        usual = [123.675, 116.28, 103.53, 58.395, 57.12, 57.375]
        found = [255 * v for v in (*data.mean, *data.std)]
        assert found == pytest.approx(levels if truth == "spos" else usual, abs=1e-6)
        assert cfg.callbacks.get("calibration", {}).get("batches") == (1250 if truth == "spos" else None)
        options = {k: v for k, v in cfg.network.items() if v is not None}
    genotype = load_genotype("DSNAS_imagenet")
    with torch.device("meta"):
        network = space_of(genotype, (3, 224, 224), 1000).network(genotype, **options)
    decayed, spared = (group["params"] for group in parameter_groups(network, decay_norm_and_bias=False))
    kinds = {p: module for module in network.modules() for p in module.parameters(recurse=False)}
    assert {type(kinds[p]) for p in spared} == {torch.nn.BatchNorm2d}, "batch norm alone: nothing else has a bias"
    assert {type(kinds[p]) for p in decayed} == {torch.nn.Conv2d, DepthwiseConv2d, torch.nn.Linear}
    assert {m.eps for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {1e-5}
    assert [m.p for m in network.modules() if isinstance(m, torch.nn.Dropout)] == [dropout]


def test_published_single_path_network_has_the_published_size() -> None:
    """Compare with 3.5M parameters (cut off) and 323M multiply-adds in the README of Single Path One-Shot."""
    genotype = load_genotype("shufflenet:2-1-0-1-2-0-2-0-2-0-2-3-0-0-0-0-3-2-3-3")
    with torch.device("meta"):
        network = space_of(genotype, (3, 224, 224), 1000).network(genotype)
    assert int(count_parameters(network) / 1e5) == 35 and round(count_macs(network, (3, 224, 224)) / 1e6) == 323
