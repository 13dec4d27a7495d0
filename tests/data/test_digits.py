"""nas.data.digits: content, normalization and parts of the handwritten digits."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from nas.data.digits import Digits, _read_digits
from tests.support.data_tools import labels, pixels


def test_digits_knows_its_shape_before_loading() -> None:
    data = Digits()
    assert (data.name, data.shape, data.classes) == ("digits", (1, 8, 8), 10)
    assert data._splits is None


def test_digits_match_scikit_learn() -> None:
    from sklearn.datasets import load_digits

    splits = Digits().splits
    assert splits.test_images.shape == (360, 1, 8, 8) and splits.train_images.shape == (1437, 1, 8, 8)
    assert splits.train_images.dtype == torch.uint8 and splits.train_images.max() == 255
    official = load_digits()
    assert splits.test_labels.tolist() == official.target[::5].tolist()
    sixteenths = splits.test_images[:, 0].double() * 16 / 255
    assert torch.allclose(sixteenths, torch.tensor(official.images[::5]), atol=0.04)


def test_digits_of_another_layout_come_from_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = _read_digits()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    found = _read_digits()
    assert all((one == other).all() and one.dtype == other.dtype for one, other in zip(expected, found, strict=True))


def test_digits_normalization_fits_the_training_images() -> None:
    data = Digits(pad=0, bilevel=False)
    x = pixels(data.train_dataloader())
    assert abs(x.mean()) < 1e-3 and abs(x.std() - 1) < 1e-3


def test_digits_parts_follow_the_split() -> None:
    data = Digits()
    assert data.sizes() == {"train": 718, "val": 719, "test": 360}
    assert labels(data.val_dataloader()) == data.splits.train_labels[718:].tolist()
    assert labels(data.test_dataloader()) == data.splits.test_labels.tolist()
    assert Digits(split=0.8).sizes() == {"train": 1149, "val": 288, "test": 360}
    assert Digits(bilevel=False).sizes() == {"train": 1437, "test": 360}
