"""Initial weights for fine-tuning on other images or other classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.architecture.cell import Genotype
from nas.deploy.child_weights import PREFIX, child_weights
from nas.deploy.finite import check_finite
from nas.deploy.missing_model import explain_missing_model
from nas.deploy.model import MODEL_FILE, decode_model, is_model
from nas.deploy.published_weights import translate_state_dict
from nas.deploy.weights_file import extract_state_dict, read_weights_file
from nas.spaces.base import Network, Space
from nas.spaces.genotype_file import GENOTYPE_FILE
from nas.utils.errors import NasError
from nas.utils.user_path import user_path

REINITIALIZED = ("classifier.", "auxiliary_head.")
"""Modules that may keep their own weights: classes may differ, and published weights may lack an auxiliary head."""
SEARCH_CHECKPOINT = "checkpoints/last.ckpt"
_SHOWN = 5


def load_initial_weights(
    network: Network, genotype: Genotype, source: str | Path, space: Space | None = None
) -> list[str]:
    """Copy the weights of a trained network into ``network``.

    Args:
        network: network of ``genotype`` to initialize.
        genotype: its genotype.
        source: the run directory of a training, a model.pt, a published state_dict, or the run directory of a search
            whose supernet has the weights of the genotype: in single-path spaces and models with choices.
        space: space of the genotype, which a search in a model with choices needs.

    Returns:
        Names of the weights that keep their random initialization, such as those of a classifier with another number
        of classes.

    Raises:
        NasError: if the file cannot be read, or weights other than ``REINITIALIZED`` are missing, unexpected or of
            another shape. The network is unchanged then.
    """
    path = _weights_path(source)
    content = read_weights_file(path, "init_weights")
    if is_model(content):
        model = decode_model(content, path)
        if model.genotype != genotype:
            raise NasError(
                f"init_weights={path}: a network of another genotype, {model.space.native(model.genotype)}. "
                "Set weights of the same genotype."
            )
        state = dict(model.state)
    elif path.name == Path(SEARCH_CHECKPOINT).name and isinstance(content, Mapping) and "search" in content:
        state = _child(content, genotype, path, space)
    else:
        state = _translate(content, path, network)
    check_finite(state, path, "init_weights")
    own = network.state_dict()
    fitting = {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}
    new = [name for name in own if name not in fitting and not name.endswith("num_batches_tracked")]
    differing = [*new, *(name for name in state if name not in own)]
    wrong = list(dict.fromkeys(name for name in differing if not name.startswith(REINITIALIZED)))
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise NasError(
            f"init_weights={path}: does not fit the network, which differs in {', '.join(wrong[:_SHOWN])}{more}. "
            "Set genotype and network.* to those of the training of the weights."
        )
    with torch.no_grad():
        network.load_state_dict(fitting, strict=False)
    return new


def _weights_path(source: str | Path) -> Path:
    """Return the file of weights: ``source`` itself, the model.pt of a training, or the checkpoint of a search."""
    path = user_path(str(source))
    if not path.is_dir():
        return path
    if (path / MODEL_FILE).is_file():
        return path / MODEL_FILE
    if (path / SEARCH_CHECKPOINT).is_file() and (path / GENOTYPE_FILE).is_file():
        return path / SEARCH_CHECKPOINT
    raise NasError(f"init_weights={path}: {explain_missing_model(path)}")


def _child(content: Mapping[str, Any], genotype: Genotype, path: Path, space: Space | None) -> dict[str, Tensor]:
    """Return the weights of a genotype in the checkpoint of a search."""
    saved = content.get("state_dict")
    if not isinstance(saved, Mapping) or not all(isinstance(name, str) for name in saved):
        saved = {}
    weights: Mapping[str, Any] | None = child_weights(saved, genotype)
    supernet = {name.removeprefix(PREFIX): value for name, value in saved.items() if name.startswith(PREFIX)}
    if weights is None and space is not None and supernet:
        try:
            weights = space.child_weights(genotype, supernet)
        except NasError as error:
            raise NasError(
                f"init_weights={path}: {error} Set init_weights to the run directory of the search that found this "
                "genotype."
            ) from None
    if not weights or not all(isinstance(value, Tensor) for value in weights.values()):
        raise NasError(
            f"init_weights={path}: only supernets of space=mobile, shufflenet and choices have the weights of a "
            "genotype. Set init_weights to the run directory of a training."
        )
    return dict(weights)


def _translate(content: Any, path: Path, network: Network) -> dict[str, Tensor]:
    """Return a published state_dict under the names of ``network``."""
    state = extract_state_dict(content, path, "init_weights")[0]
    try:
        return translate_state_dict(state, network)
    except NasError as error:
        raise NasError(f"init_weights={path}: {error}") from None
