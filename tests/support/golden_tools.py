"""Locate, load and compare reference values that are not part of the repository."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Golden:
    """One reference computation: its manifest entry and its arrays by name."""

    entry: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]

    def tensor(self, name: str, dtype: torch.dtype | None = None) -> Tensor:
        """Return the array ``name`` as a tensor, in its stored type by default."""
        return torch.from_numpy(self.arrays[name].copy()).to(dtype)

    def state(self, prefix: str = "state/", dtype: torch.dtype | None = None) -> dict[str, Tensor]:
        """Return the tensors under ``prefix`` by their original names."""
        return {key.removeprefix(prefix): self.tensor(key, dtype) for key in self.arrays if key.startswith(prefix)}


def shared_folder() -> Path:
    """Return the folder of reference values: ``$NAS_SHARED``, else ``shared`` beside the repository."""
    return Path(os.environ.get("NAS_SHARED") or Path(__file__).resolve().parents[3] / "shared")


def golden_names(kind: str, *, containing: str = "") -> list[str]:
    """Return the names of all reference computations of a kind, an empty list without reference values.

    Args:
        kind: kind in the manifest.
        containing: part of the file name.
    """
    manifest = shared_folder() / "golden" / "manifest.json"
    if not manifest.is_file():
        return []
    entries = json.loads(manifest.read_text())["goldens"]
    return [e["file"].removesuffix(".npz") for e in entries if e["kind"] == kind and containing in e["file"]]


def load_golden(name: str) -> Golden:
    """Load the reference computation ``name``, its file name without ``.npz``."""
    folder = shared_folder() / "golden"
    manifest = json.loads((folder / "manifest.json").read_text())
    entry = next(entry for entry in manifest["goldens"] if entry["file"] == f"{name}.npz")
    with np.load(folder / entry["file"], allow_pickle=False) as stored:
        return Golden(entry, {key: stored[key] for key in stored.files})


def assert_golden(golden: Golden, name: str, got: object) -> None:
    """Fail unless ``got`` agrees with the stored array ``name``: |got - stored| <= atol + rtol * |stored|.

    The manifest tells atol and rtol. Where it does not, float64 must agree to rtol 1e-6 and all else exactly.
    """
    stored = golden.arrays[name]
    value = got.detach().cpu().numpy() if isinstance(got, Tensor) else np.asarray(got)
    assert value.shape == stored.shape, f"{name}: shape {value.shape}, expected {stored.shape}"
    tolerance = golden.entry["tolerance"].get(name)
    if tolerance is None and stored.dtype != np.float64:
        wrong = value != stored
        assert not wrong.any(), f"{name}: {int(wrong.sum())} of {wrong.size} entries differ: {value} != {stored}"
        return
    atol, rtol = (tolerance["atol"], tolerance["rtol"]) if tolerance else (0.0, 1e-6)
    close = np.isclose(value, stored, rtol=rtol, atol=atol, equal_nan=True)
    if not close.all():
        worst = np.unravel_index(np.argmax(np.where(close, -1.0, np.abs(value - stored))), stored.shape)
        raise AssertionError(
            f"{name}: {int((~close).sum())} of {close.size} entries differ, most at {tuple(map(int, worst))}: "
            f"{value[worst]:.8g}, expected {stored[worst]:.8g} (atol {atol:g}, rtol {rtol:g})"
        )
