"""Weights that a training begins with: fine-tuning on other images or other classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.architecture.cell import Genotype
from nas.deploy.model import MODEL_FILE, decode_model, is_model
from nas.deploy.not_a_model import explain_missing_model
from nas.deploy.published_weights import translate_state_dict
from nas.deploy.weights_file import extract_state_dict, read_weights_file
from nas.spaces.base import Network
from nas.utils.errors import NasError

NEW = ("classifier.", "auxiliary_head.")
"""Where a network may keep its own weights: classes differ, and published weights may lack the auxiliary head."""
_SHOWN = 5


def load_initial_weights(network: Network, genotype: Genotype, source: str | Path) -> list[str]:
    """Copies the weights of a run directory, a model.pt or a published state_dict into ``network``.

    Returns the names of the weights that stay new, of classifiers for another number of classes. Raises NasError,
    before anything is changed, where the file cannot be read, or any other weights are missing, unexpected or of
    another shape.
    """
    path = Path(str(source)).expanduser()
    if path.is_dir():
        if not (path / MODEL_FILE).is_file():
            raise NasError(f"initial: {explain_missing_model(path)}")
        path = path / MODEL_FILE
    value = read_weights_file(path, "initial")
    if is_model(value):
        model = decode_model(value, path)
        if model.genotype != genotype:
            raise NasError(
                f"initial: {path} is a network of {model.space.native(model.genotype)}, not of this genotype"
            )
        found = dict(model.state)
    else:
        found = _translated(value, path, network)
    own = network.state_dict()
    fits = {name: value for name, value in found.items() if name in own and own[name].shape == value.shape}
    new = [name for name in own if name not in fits and not name.endswith("num_batches_tracked")]
    wrong = [name for name in [*new, *(name for name in found if name not in own)] if not name.startswith(NEW)]
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise NasError(
            f"initial: {path} does not fit this network, which differs in {', '.join(dict.fromkeys(wrong[:_SHOWN]))}"
            f"{more}: give the genotype and the network options that it was trained with"
        )
    with torch.no_grad():
        network.load_state_dict(fits, strict=False)
    return new


def _translated(value: Any, path: Path, network: Network) -> dict[str, Tensor]:
    """A published state_dict by the names of ``network``."""
    state = extract_state_dict(value, path, "initial")[0]
    try:
        return translate_state_dict(state, network)
    except NasError as error:
        raise NasError(f"initial: {path}: {error}") from None
