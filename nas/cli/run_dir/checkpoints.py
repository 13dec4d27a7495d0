"""Reading checkpoints, and writing them so that a reader never sees half of one."""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from nas.utils.errors import NasError, one_line
from nas.utils.io import write_atomically

UNREADABLE = (RuntimeError, pickle.UnpicklingError, OSError, EOFError, ValueError, KeyError, AttributeError)


class WholeCheckpoints(TorchCheckpointIO):
    """Writes beside the file and moves it there: the checkpoint before stays whole if the disk is full.

    Lightning's own writer copies from the temporary directory, which is often another device, over the old file.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, buffer.getvalue())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a Lightning checkpoint holds; its tensors stay on the disk until they are used.

    Raises:
        NasError: for a file that is no such checkpoint, or a damaged one; torch itself does not look at the checksums.
    """
    wanted = "give the checkpoints/last.ckpt of a run, or its directory"
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise ValueError(f"the checksum of {damaged} does not fit")
        found = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (*UNREADABLE, zipfile.BadZipFile, zlib.error) as error:
        text = one_line(error).partition(". ")[0][:200]
        raise NasError(f"ckpt_path: {path} is damaged or no checkpoint ({text}); {wanted}") from None
    if not isinstance(found, dict) or not {"epoch", "state_dict", "pytorch-lightning_version"} <= found.keys():
        raise NasError(f"ckpt_path: {path} is not a checkpoint of a run; {wanted}")
    return found
