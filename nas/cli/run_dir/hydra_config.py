"""Values of the resolver ``hydra`` outside of a job that Hydra runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig


@contextmanager
def hydra_config_of(cfg: DictConfig) -> Iterator[None]:
    """Provide the resolver ``hydra`` with a composed configuration, as while Hydra runs a job."""
    instance = HydraConfig.instance()
    before = instance.cfg
    instance.set_config(cfg)
    try:
        yield
    finally:
        instance.cfg = before
