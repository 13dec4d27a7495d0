"""Initial weights for fine-tuning on other images or other classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nas.architecture.cell import Genotype
from nas.deploy.finite import check_finite
from nas.deploy.missing_model import explain_missing_model
from nas.deploy.model import MODEL_FILE, decode_model, is_model
from nas.deploy.published_weights import translate_state_dict
from nas.deploy.weights_file import extract_state_dict, read_weights_file
from nas.spaces.base import Network
from nas.utils.errors import NasError

REINITIALIZED = ("classifier.", "auxiliary_head.")
"""Modules that may keep their own weights: classes may differ, and published weights may lack an auxiliary head."""
_SHOWN = 5


def load_initial_weights(network: Network, genotype: Genotype, source: str | Path) -> list[str]:
    """Copy the weights of a trained network into ``network``.

    Args:
        network: network of ``genotype`` to initialize.
        genotype: its genotype.
        source: a run directory, a model.pt or a published state_dict.

    Returns:
        Names of the weights that keep their random initialization, such as those of a classifier with another number
        of classes.

    Raises:
        NasError: if the file cannot be read, or weights other than ``REINITIALIZED`` are missing, unexpected or of
            another shape. The network is unchanged then.
    """
    path = Path(str(source)).expanduser()
    if path.is_dir():
        if not (path / MODEL_FILE).is_file():
            raise NasError(f"init_weights={path}: {explain_missing_model(path)}")
        path = path / MODEL_FILE
    content = read_weights_file(path, "init_weights")
    if is_model(content):
        model = decode_model(content, path)
        if model.genotype != genotype:
            raise NasError(
                f"init_weights={path}: a network of another genotype, {model.space.native(model.genotype)}. "
                "Set weights of the same genotype."
            )
        state = dict(model.state)
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
            "Set the genotype and the network options of the weights."
        )
    with torch.no_grad():
        network.load_state_dict(fitting, strict=False)
    return new


def _translate(content: Any, path: Path, network: Network) -> dict[str, Tensor]:
    """Return a published state_dict under the names of ``network``."""
    state = extract_state_dict(content, path, "init_weights")[0]
    try:
        return translate_state_dict(state, network)
    except NasError as error:
        raise NasError(f"init_weights={path}: {error}") from None
