"""Checkpoint files: read with a check of their integrity, written atomically."""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from nas.utils.atomic_write import write_atomically
from nas.utils.errors import NasError, one_line

UNREADABLE = (RuntimeError, pickle.UnpicklingError, OSError, EOFError, ValueError, KeyError, AttributeError)
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
        checkpoint["callbacks"] = {RENAMED_CALLBACKS.get(name, name): state for name, state in states.items()}
        return checkpoint


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Load a Lightning checkpoint; its tensors are memory-mapped.

    Raises:
        NasError: if the file is damaged (torch itself does not verify the checksums) or not a checkpoint of a run.
    """
    fix = "Give the checkpoints/last.ckpt of a run, or its directory."
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"the checksum of {damaged} does not match")
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (*UNREADABLE, zipfile.BadZipFile, zlib.error) as error:
        text = one_line(error).partition(". ")[0][:200]
        raise NasError(f"ckpt_path: {path} is damaged or not a checkpoint ({text}). {fix}") from None
    if not isinstance(found, dict) or not {"epoch", "state_dict", "pytorch-lightning_version"} <= found.keys():
        raise NasError(f"ckpt_path: {path} is not a checkpoint of a run. {fix}")
    return found
