"""model.pt: a trained network with all that is needed to build it again and to use it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.architecture.cell import Genotype
from nas.spaces.base import Network, Shape, Space
from nas.spaces.genotype_file import decode_genotype, encode_genotype
from nas.spaces.registry import space_of
from nas.utils.errors import NasError, one_line
from nas.utils.io import write_atomically

FORMAT = "nas-model"
VERSION = 2  # 1 had no normalization, class names or data set
MODEL_FILE = "model.pt"


@dataclass(frozen=True)
class Model:
    """A trained network of ``genotype``, built with ``options``, for images ``shape`` (C, H, W) in ``classes`` classes.

    ``state`` is its state_dict. ``mean`` and ``std`` normalized its images, one value a channel, of pixels in 0..1;
    None where that is not known. ``class_names`` are by label, empty where not known; ``dataset`` trained it.
    """

    genotype: Genotype
    options: Mapping[str, Any]
    shape: Shape
    classes: int
    state: Mapping[str, Tensor]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    class_names: tuple[str, ...] = field(default=())
    dataset: str | None = None

    @property
    def space(self) -> Space:
        """The space of the genotype."""
        return space_of(self.genotype, self.shape, self.classes)

    def network(self, auxiliary: bool = True) -> Network:
        """The network with its weights, in evaluation mode; without its auxiliary head unless ``auxiliary``.

        Raises NasError where the weights do not fit the genotype and the options.
        """
        space, options, state = self.space, dict(self.options), dict(self.state)
        if not auxiliary and "auxiliary" in space.network_options():
            options["auxiliary"] = False
            state = {key: value for key, value in state.items() if "auxiliary" not in key}
        network = space.network(self.genotype, **options)
        try:
            network.load_state_dict(state)
        except RuntimeError as error:
            raise NasError(f"the weights do not fit their genotype: {one_line(error)[:300]}") from None
        return network.eval()


def save_model(model: Model, path: Path) -> None:
    """Writes model.pt atomically; ``torch.load(weights_only=True)`` reads it, and so does ``nas.load``."""
    buffer = io.BytesIO()
    value = {
        "format": FORMAT,
        "version": VERSION,
        "genotype": encode_genotype(model.genotype),
        "space": model.genotype.space,
        "options": dict(model.options),
        "shape": list(model.shape),
        "classes": model.classes,
        "mean": None if model.mean is None else list(model.mean),
        "std": None if model.std is None else list(model.std),
        "class_names": list(model.class_names),
        "dataset": model.dataset,
        "state_dict": dict(model.state),
    }
    torch.save(value, buffer)
    write_atomically(path, buffer.getvalue())


def is_model(value: Any) -> bool:
    """Whether a file's content claims to be a model.pt."""
    return isinstance(value, dict) and value.get("format") == FORMAT


def decode_model(value: Any, path: Path) -> Model:
    """The model in the content of a model.pt. Raises NasError, naming ``path``, where it cannot be read."""
    if not is_model(value):
        raise NasError(f"{path} is not a model.pt: its 'format' is not '{FORMAT}'")
    if value.get("version") not in range(1, VERSION + 1):
        raise NasError(f"{path} has version {value.get('version')}, this release reads versions 1 to {VERSION}")
    try:
        c, h, w = (int(side) for side in value["shape"])
        mean, std = (None if value.get(key) is None else tuple(map(float, value[key])) for key in ("mean", "std"))
        return Model(
            decode_genotype(value["genotype"], path),
            {str(name): option for name, option in value["options"].items()},
            (c, h, w),
            int(value["classes"]),
            dict(value["state_dict"]),
            mean,
            std,
            tuple(map(str, value.get("class_names") or ())),
            value.get("dataset"),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NasError(f"{path} is damaged: {one_line(repr(error))}") from None
