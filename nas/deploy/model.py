"""The file model.pt: a trained network with all that is needed to rebuild and use it."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.architecture.cell import Genotype
from nas.deploy.check_model import (
    build_without_memory,
    check_options,
    checked_classes,
    checked_names,
    checked_numbers,
    checked_options,
    checked_shape,
    checked_state,
)
from nas.spaces.base import Network, Shape, Space
from nas.spaces.genotype_file import decode_genotype, encode_genotype
from nas.spaces.registry import space_of
from nas.utils.atomic_write import write_atomically
from nas.utils.errors import NasError, one_line

FORMAT = "nas-model"
VERSION = 2  # version 1 had no normalization, class names or data set
MODEL_FILE = "model.pt"


@dataclass(frozen=True)
class Model:
    """Weights of a trained network, and its description.

    Args:
        genotype: genotype of the network.
        options: options of the network of its space.
        shape: channels, height and width of the images; () for a language model.
        classes: number of classes.
        state: state_dict of the network.
        mean, std: normalization of pixels in 0..1, a value per channel; None if unknown.
        class_names: names by label; empty if unknown.
        dataset: name of the training data set; None if unknown.
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
        """Space of the genotype."""
        return space_of(self.genotype, self.shape, self.classes)

    def network(self, auxiliary: bool = True) -> Network:
        """Build the network with its weights, in evaluation mode.

        Args:
            auxiliary: keep the auxiliary head, if there is one.

        Raises:
            NasError: if the weights do not fit the genotype and the options.
        """
        space, options, state = self.space, dict(self.options), dict(self.state)
        if not auxiliary and "auxiliary" in space.network_options():
            options["auxiliary"] = False
            state = {key: value for key, value in state.items() if "auxiliary" not in key}
        shapes = {name: value.to("meta") for name, value in state.items()}
        try:  # before any memory is allocated
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # warnings about batch counters that a file does not have
                build_without_memory(space, self.genotype, options).load_state_dict(shapes)
        except RuntimeError as error:
            raise NasError(
                f"weights: the tensors of the file do not fit its genotype ({one_line(error)[:300]})."
            ) from None
        network = space.network(self.genotype, **options)
        network.load_state_dict(state)
        return network.eval()


def save_model(model: Model, path: str | Path) -> None:
    """Write a model.pt atomically. ``nas.load`` reads it, as does ``torch.load(weights_only=True)``."""
    buffer = io.BytesIO()
    content = {
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
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def is_model(content: Any) -> bool:
    """Return whether the content of a file claims to be a model.pt."""
    return isinstance(content, dict) and content.get("format") == FORMAT


def decode_model(content: Any, path: Path) -> Model:
    """Return the model in the content of the model.pt at ``path``.

    Raises:
        NasError: if the content is not a model.pt, of a newer version, or damaged.
    """
    if not is_model(content):
        raise NasError(f"{path}: not a model.pt; its 'format' is not '{FORMAT}'.")
    version = content.get("version")
    if type(version) is not int or version not in range(1, VERSION + 1):
        raise NasError(
            f"{path}: has version {str(version)[:20] if isinstance(version, int | str) else 'unknown'}, but this "
            f"release reads versions 1 to {VERSION}. "
            "Install a newer release."
        )
    try:
        genotype = decode_genotype(content["genotype"], path)
        shape, classes = checked_shape(content["shape"]), checked_classes(content["classes"])
        mean, std = (checked_numbers(key, content.get(key), shape[0] if shape else 0) for key in ("mean", "std"))
        options, state = checked_options(content["options"]), checked_state(content["state_dict"])
        names, dataset = checked_names(content.get("class_names"), classes), content.get("dataset")
        if not isinstance(dataset, str | None):
            raise ValueError("dataset is not a name")
        check_options(space_of(genotype, shape, classes), options, len(state))
        return Model(genotype, options, shape, classes, state, mean, std, names, dataset)
    except KeyError as error:
        raise NasError(f"{path}: damaged (it lacks the entry {error}).") from None
    except (TypeError, ValueError, AttributeError, OverflowError) as error:
        raise NasError(f"{path}: damaged ({one_line(error)[:300]}).") from None
    except NasError as error:
        raise error if str(path) in str(error) else NasError(f"{path}: {error}") from None
