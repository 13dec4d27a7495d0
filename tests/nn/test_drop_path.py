"""Tests of drop path."""

from __future__ import annotations

import torch

from nas.nn.drop_path import DropPath


def test_drop_path_zeroes_whole_samples_and_preserves_the_mean() -> None:
    torch.manual_seed(0)
    drop, x = DropPath(0.3), torch.rand(20_000, 2, 3) + 0.5
    out = drop(x)
    kept = (out != 0).flatten(1)
    assert torch.equal(kept.all(1), kept.any(1)), "a sample is kept or dropped as a whole"
    torch.testing.assert_close(out[kept.all(1)], x[kept.all(1)] / 0.7)
    share = kept.all(1).double().mean()
    assert abs(share - 0.7) < 5 * (0.7 * 0.3 / 20_000) ** 0.5
    assert torch.equal(drop.eval()(x), x) and torch.equal(DropPath()(x), x)
