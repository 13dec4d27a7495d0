"""Checks of single values in the composed configuration."""

from __future__ import annotations

import pytest

from nas.cli.checks.values import check_config
from nas.utils.errors import NasError
from tests.support.compose_tools import composed


@pytest.mark.parametrize("seed", [0, 2**32 - 1])
def test_check_config_accepts_every_seed_of_numpy(seed: int) -> None:
    with composed("search", f"seed={seed}") as cfg:
        check_config(cfg)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True, None])
def test_check_config_refuses_other_seeds(seed: object) -> None:
    with composed("search") as cfg:
        cfg.seed = seed
        with pytest.raises(NasError, match=f"seed={seed}: give a whole number from 0 to 4294967295"):
            check_config(cfg)
