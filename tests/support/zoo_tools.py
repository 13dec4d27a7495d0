"""Networks of published architectures on the meta device, as train.py builds them."""

from __future__ import annotations

import math
from typing import Any

import torch

from nas.architecture.cell import NONE, Genotype
from nas.nn.ops import OPS
from nas.spaces.base import Network, Shape, Space
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.notation import parse_genotype
from nas.spaces.recurrent.space import Recurrent
from nas.spaces.single_path.mobilenet_v2 import MobileNetV2Space
from nas.spaces.single_path.shufflenet_v2 import ShuffleNetV2Space
from nas.zoo.architectures import PublishedArchitecture

DATASETS: dict[str, tuple[Any, int]] = {
    "cifar10": ((3, 32, 32), 10),
    "cifar100": ((3, 32, 32), 100),
    "svhn": ((3, 32, 32), 10),
    "imagenet16_120": ((3, 16, 16), 120),
    "imagenet": ((3, 224, 224), 1000),
    "ptb": ((), 10_000),
    "wikitext2": ((), 33_278),
}


def build_space_of(genotype: Genotype, shape: Shape, classes: int) -> Space:
    """Return a space that builds the network of a genotype."""
    if genotype.space == "recurrent":
        return Recurrent((), classes, nodes=len(genotype.cells["recurrent"].links))
    if genotype.space != "darts":
        spaces = (MobileNetV2Space, ShuffleNetV2Space, NasBench201)
        by_notation: dict[str, type[Space]] = {space.notation: space for space in spaces}
        return by_notation[genotype.space](shape, classes)  # type: ignore[arg-type]
    nodes = max(link.target - 1 for cell in genotype.cells.values() for link in cell.links)
    fixed = "reduce" not in genotype.cells
    return Darts(
        shape, classes, ops=[NONE, *OPS], nodes=max(nodes, 4), repeats=True, keeps_none=True, fixed_reduction=fixed
    )


def build_network(entry: PublishedArchitecture, dataset: str, **options: Any) -> Network:
    """Return the authors' network for a data set, on the meta device."""
    shape, classes = DATASETS[dataset]
    genotype = parse_genotype(entry.genotype)
    with torch.device("meta"):
        space = build_space_of(genotype, shape, classes)
        protocol = {"hidden_size": 700} if dataset == "wikitext2" else {}
        return space.network(genotype, **{**entry.network_options(shape[1:]), **protocol, **options})


def equals_reported(count: int, reported: float) -> bool:
    """Return whether a count equals a reported figure in millions, which may be rounded or truncated."""
    places = len(repr(reported).partition(".")[2]) if isinstance(reported, float) else 0
    value = round(count / 1e6 * 10**places, 6)
    return round(reported * 10**places) in (math.floor(value), math.floor(value + 0.5))
