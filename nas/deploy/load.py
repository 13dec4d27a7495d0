"""Loading of trained networks in Python: ``nas.load``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nas.architecture.cell import Genotype
from nas.deploy.model import Model
from nas.deploy.resolve import resolve_model
from nas.spaces.base import Shape, Space
from nas.spaces.custom_spaces import own_parts as own_parts_in_use
from nas.utils.errors import NasError, unknown


class TrainedNetwork(nn.Module):
    """A trained network and its description, from images [B, C, H, W] to logits [B, classes].

    By default images must be normalized by ``mean`` and ``std`` (a value per channel, of pixels in 0..1). With
    ``normalize`` the network takes float pixels in 0..1 and normalizes them itself.

    Attributes: ``genotype``, ``options`` (of the network of its space), ``shape`` (C, H, W), ``classes``,
    ``class_names`` (empty if unknown), ``mean`` and ``std`` (None if unknown), ``dataset`` (of the training).

    Raises:
        NasError: if ``normalize`` is set and the normalization is unknown.
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
                "normalize=True: the file has no mean and std (a model.pt of version 1, or weights alone). "
                "Normalize the images before the network."
            )
        if normalize:
            mean, std = (torch.tensor(value).view(-1, 1, 1) for value in (model.mean, model.std))
            # Not persistent: the state_dict is that of the network alone.
            self.register_buffer("_mean", mean, persistent=False)
            self.register_buffer("_std", std, persistent=False)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits [B, classes] of images [B, C, H, W]."""
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
    own_parts: Sequence[Any] | Mapping[str, Any] = (),
    **options: Any,
) -> TrainedNetwork:
    """Load a trained network in evaluation mode on the CPU.

    Args:
        source: directory of a finished training, its model.pt, or a published file of weights.
        genotype: genotype of a file of weights: a ``Genotype``, its file or its native string.
        shape: (C, H, W) of the images, for a file of weights; None: 3 x 32 x 32.
        normalize: take float pixels in 0..1, and normalize them as in training.
        own_parts: classes of custom ops and spaces of the genotype, or ops by name. Packages with an entry point
            need not be named.
        options: options of the network of the space, if they cannot be inferred from a file of weights.

    Raises:
        NasError: if there is no trained network, or the file cannot be read.
    """

    def checked_options(space: Space) -> Mapping[str, Any]:
        for name in options:
            if name not in space.network_options():
                raise unknown("option of the network", name, space.network_options())
        return options

    named = own_parts if isinstance(own_parts, Mapping) else {}
    with own_parts_in_use(*(() if named else own_parts), **named):
        model = resolve_model(genotype, source, checked_options, shape).model
        if shape is not None and tuple(shape) != tuple(model.shape):
            raise NasError(f"shape={tuple(shape)}: {source} has images of shape {model.shape}. Leave out shape.")
        return TrainedNetwork(model, normalize)
