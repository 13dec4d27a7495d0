"""Measurements in float32."""

from __future__ import annotations

import pytest
import torch

from nas.proxies.precision import in_float32


def test_in_float32_disables_tf32_and_restores_it() -> None:
    before = torch.backends.cudnn.allow_tf32
    with pytest.raises(ValueError), in_float32(torch.device("cpu")):
        assert not torch.backends.cudnn.allow_tf32
        raise ValueError
    assert torch.backends.cudnn.allow_tf32 == before
