"""Environments of runs."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def without_wandb_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove all settings of W&B from the environment."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
