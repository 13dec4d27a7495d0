"""The size of a network as a score: what every other score has to beat."""

from __future__ import annotations

import torch
from torch import nn

from nas.count import macs, parameters
from nas.scores.score import Batch, Score


class Params(Score):
    """The number of parameters, without an auxiliary head."""

    name = "params"
    of_signal = False
    batch_size = 1

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        return float(parameters(network))


class Macs(Score):
    """The multiply-adds of one image; ``bias`` counts one more an output where a layer has a bias."""

    name = "macs"
    of_signal = False
    batch_size = 1

    def __init__(self, bias: bool = False) -> None:
        self.bias = bias

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        _, channels, height, width = batch[0].shape
        return float(macs(network, (channels, height, width), bias=self.bias))
