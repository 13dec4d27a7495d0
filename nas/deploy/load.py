"""A trained network in two lines of Python."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.architecture.cell import Genotype
from nas.deploy.model import Model
from nas.deploy.resolve import resolve_model
from nas.spaces.base import Shape, Space
from nas.utils.errors import NasError, unknown


class TrainedNetwork(nn.Module):
    """A trained network and what is known of it. Images [B, C, H, W] -> logits [B, classes].

    Images are normalized by ``mean`` and ``std`` (one value a channel, of pixels in 0..1) before they come in; with
    ``normalize`` the network does that itself, and takes float pixels in 0..1.

    ``genotype``, ``options`` (of its space's network), ``shape`` (C, H, W), ``classes``, ``class_names`` (empty where
    not known), ``mean`` and ``std`` (None where not known) and ``dataset`` (that it was trained on) describe it.
    Raises NasError where ``normalize`` is asked for and the normalization is not known.
    """

    def __init__(self, model: Model, normalize: bool = False, auxiliary: bool = True) -> None:
        super().__init__()
        self.network = model.network(auxiliary)
        self.genotype: Genotype = model.genotype
        self.options: Mapping[str, Any] = dict(model.options)
        self.shape: Shape = model.shape
        self.classes = model.classes
        self.class_names = model.class_names
        self.mean, self.std = model.mean, model.std
        self.dataset = model.dataset
        self.normalize = normalize
        if normalize and (model.mean is None or model.std is None):
            raise NasError(
                "normalize: the file does not tell by what mean and std its images were normalized (a model.pt of "
                "version 1, or weights alone): normalize them yourself"
            )
        if normalize:
            mean, std = (torch.tensor(value).view(-1, 1, 1) for value in (model.mean, model.std))
            # not saved: the state_dict is that of the network alone
            self.register_buffer("_mean", mean, persistent=False)
            self.register_buffer("_std", std, persistent=False)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """The logits [B, classes] of images [B, C, H, W]."""
        if self.normalize:
            x = (x - self.get_buffer("_mean")) / self.get_buffer("_std")
        logits: Tensor = self.network(x)
        return logits


def load(
    source: str | Path,
    *,
    genotype: str | Path | Genotype | None = None,
    shape: Shape | None = None,
    normalize: bool = False,
    **options: Any,
) -> TrainedNetwork:
    """The trained network of a run directory, a model.pt, or a published state_dict, in evaluation mode on the CPU.

    Args:
        source: the directory of a finished training, its model.pt, or a file of weights.
        genotype: of weights that do not say it: a genotype, its file or its native string.
        shape: (C, H, W) of the images of such weights; 3 x 32 x 32 if ``None``.
        normalize: take float pixels in 0..1, and normalize them as in training.
        options: of the space's network, where they cannot be read off such weights.

    Raises:
        NasError: where there is no trained network, or the file cannot be read.
    """

    def checked(space: Space) -> Mapping[str, Any]:
        for name in options:
            if name not in space.network_options():
                raise unknown("option of the network", name, space.network_options())
        return options

    return TrainedNetwork(resolve_model(genotype, source, checked, shape).model, normalize)
