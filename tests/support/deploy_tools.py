"""Networks with random weights as if trained, model files, and data sets of given images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

import torch
from torch import Tensor

from nas.data.base import ImageData, ImageOptions
from nas.data.splits.partition import Splits
from nas.deploy.model import Model, save_model
from nas.spaces.notation import parse_genotype
from nas.spaces.registry import space_of

NB201 = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"
DARTS = (
    "Genotype(normal=[('sep_conv_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 0), ('dil_conv_3x3', 2),"
    " ('sep_conv_5x5', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('dil_conv_5x5', 4)],"
    " reduce=[('skip_connect', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('avg_pool_3x3', 0),"
    " ('sep_conv_3x3', 3), ('dil_conv_3x3', 0), ('skip_connect', 2), ('max_pool_3x3', 1)])"
)
SIZES: Mapping[str, dict[str, Any]] = {
    NB201: {"channels": 4, "cells_per_stage": 1},
    DARTS: {"channels": 4, "layers": 3, "auxiliary": True},
}


class Stored(ImageData):
    """Images and labels of a file {"x": float [N, C, H, W], "y": int64 [N]}, without normalization."""

    name = "stored"

    def __init__(self, path: str, classes: int = 10, **options: Unpack[ImageOptions]) -> None:
        self.path = path
        held = torch.load(path, weights_only=True)
        self.shape, self.classes = tuple(held["x"].shape[1:]), classes
        channels = self.shape[0]
        super().__init__(mean=(0.0,) * channels, std=(1.0,) * channels, pad=0, flip=False, **options)

    def load(self) -> Splits:
        held = torch.load(self.path, weights_only=True)
        return Splits(held["x"], held["y"], held["x"], held["y"])


def stored(directory: Path, x: Tensor, y: Tensor, classes: int = 10) -> list[str]:
    """Return the arguments that select these images; their configuration is written to ``directory``."""
    torch.save({"x": x, "y": y}, directory / "images.pt")
    (directory / "dataset").mkdir(exist_ok=True)
    lines = ["_target_: tests.support.deploy_tools.Stored", f"path: {directory / 'images.pt'}", f"classes: {classes}"]
    lines += ["bilevel: false", "seed: ${seed}", "eval_batch_size: 512"]
    (directory / "dataset" / "stored.yaml").write_text("\n".join(lines) + "\n")
    return [f"--config-dir={directory}", "dataset=stored"]


def random_model(text: str = NB201, shape: tuple[int, int, int] = (3, 8, 8), classes: int = 10, seed: int = 0) -> Model:
    """Return a model with random weights and running statistics, as if it had been trained."""
    genotype, generator = parse_genotype(text), torch.Generator().manual_seed(seed)
    network = space_of(genotype, shape, classes).network(genotype, **SIZES[text])
    state = network.state_dict()
    for name, value in state.items():
        if name.endswith("running_mean"):
            value.normal_(0, 0.3, generator=generator)
        elif name.endswith("running_var"):
            value.uniform_(0.5, 2, generator=generator)
        elif value.is_floating_point():
            value.copy_(torch.randn(value.shape, generator=generator) / max(1, value[0].numel()) ** 0.5)
    channels = shape[0]
    names = tuple(f"kind {k}" for k in range(classes))
    return Model(genotype, SIZES[text], shape, classes, state, (0.4,) * channels, (0.2,) * channels, names, "synthetic")


def save_random_model(path: Path, **options: Any) -> Path:
    """Write the model.pt of ``random_model``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(random_model(**options), path)
    return path
