"""Checkpoint files: read with a check of their integrity, written atomically."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from nas.utils.atomic_write import write_atomically
from nas.utils.errors import NasError, one_line
from nas.utils.torch_file import check_tensors, check_torch_file, describe_damage
from nas.utils.user_path import real_path

UNREADABLE = (
    *(RuntimeError, pickle.UnpicklingError, OSError, EOFError, ValueError, LookupError, AttributeError, TypeError),
    *(MemoryError, ArithmeticError, ImportError, AssertionError, struct.error, zipfile.BadZipFile, zlib.error),
)
RENAMED_CALLBACKS = {"Curvature": "HessianEigenvalue", "Reinforce": "ControllerTraining"}
"""Callbacks whose state a checkpoint of version 0.1.0 stores under an earlier class name."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Checkpoint plugin that writes a temporary file beside the old one and renames it.

    The old file stays intact if the disk is full. Lightning's own writer copies over the old file from the temporary
    directory, which is often on another device.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, buffer.getvalue())

    def load_checkpoint(self, *args: Any, **options: Any) -> dict[str, Any]:
        checkpoint: dict[str, Any] = super().load_checkpoint(*args, **options)
        states = checkpoint.get("callbacks", {})
        checkpoint["callbacks"] = {RENAMED_CALLBACKS.get(name, name): _own(state) for name, state in states.items()}
        return checkpoint


def _own(state: Any) -> Any:
    """Return the state of a callback without paths out of its directory: Lightning deletes replaced checkpoints."""
    if not isinstance(state, dict) or not isinstance(state.get("dirpath"), str):
        return state
    home = real_path(state["dirpath"])

    def inside(path: Any) -> bool:
        return isinstance(path, str) and "://" not in path and real_path(path).is_relative_to(home)

    own = {name: value if not name.endswith("_path") or inside(value) else "" for name, value in state.items()}
    if isinstance(state.get("best_k_models"), dict):
        own["best_k_models"] = {path: score for path, score in state["best_k_models"].items() if inside(path)}
    return own


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Load a Lightning checkpoint; its tensors are memory-mapped.

    Raises:
        NasError: if the file is damaged (torch itself does not verify the checksums) or not a checkpoint of a run.
    """
    fix = "Give the checkpoints/last.ckpt of a run, or its directory."
    try:
        check_torch_file(path)
        checkpoint = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        check_tensors(checkpoint)
    except UNREADABLE as error:
        text = describe_damage(path) or one_line(error).partition(". ")[0][:200]
        raise NasError(f"ckpt_path: {path} is damaged or not a checkpoint ({text}). {fix}") from None
    if (
        not isinstance(checkpoint, dict)
        or not {"epoch", "state_dict", "pytorch-lightning_version"} <= checkpoint.keys()
    ):
        raise NasError(f"ckpt_path: {path} is not a checkpoint of a run. {fix}")
    return checkpoint
