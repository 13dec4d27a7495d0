"""Check of the weights of a trained network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from nas.utils.errors import NasError


def check_finite(state: Mapping[str, Tensor], path: Path, option: str = "weights") -> None:
    """Raise NasError if a tensor has a NaN or an infinity, statistics of batch norm included.

    An infinite variance makes every output finite and wrong, so the outputs alone do not reveal it.

    Args:
        state: tensors by name.
        path: file of the tensors, for the error message.
        option: name of the option with the path, for the error message.
    """
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise NasError(
                f"{option}={path}: '{name}' has values that are not finite. Use the weights of another training."
            )
