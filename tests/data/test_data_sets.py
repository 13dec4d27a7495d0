"""The data sets that need no files, and what the configuration says of all."""

import inspect
from pathlib import Path

import pytest
import torch
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from nas.data.base import ImageOptions
from nas.data.digits import Digits
from nas.data.synthetic import Synthetic
from nas.utils.errors import NasError
from tests.support.data_tools import labels, pixels

CONF = Path(__file__).parents[2] / "conf" / "dataset"


class TestDigits:
    def test_what_it_says_before_it_is_loaded(self):
        data = Digits()
        assert (data.name, data.shape, data.classes) == ("digits", (1, 8, 8), 10)
        assert data._splits is None

    def test_content(self):
        from sklearn.datasets import load_digits

        splits = Digits().splits
        assert splits.test_images.shape == (360, 1, 8, 8) and splits.train_images.shape == (1437, 1, 8, 8)
        assert splits.train_images.dtype == torch.uint8 and splits.train_images.max() == 255
        official = load_digits()
        assert splits.test_labels.tolist() == official.target[::5].tolist()
        sixteenths = splits.test_images[:, 0].double() * 16 / 255
        assert torch.allclose(sixteenths, torch.tensor(official.images[::5]), atol=0.04)

    def test_normalization_fits_the_training_images(self):
        data = Digits(pad=0, bilevel=False)
        x = pixels(data.train_dataloader())
        assert abs(x.mean()) < 1e-3 and abs(x.std() - 1) < 1e-3

    def test_parts(self):
        data = Digits()
        assert data.sizes() == {"train": 718, "val": 719, "test": 360}
        assert labels(data.val_dataloader()) == data.splits.train_labels[718:].tolist()
        assert labels(data.test_dataloader()) == data.splits.test_labels.tolist()
        assert Digits(split=0.8).sizes() == {"train": 1149, "val": 288, "test": 360}
        assert Digits(bilevel=False).sizes() == {"train": 1437, "test": 360}


class TestSynthetic:
    def test_follows_the_seed(self):
        one, same, other = (Synthetic(seed=seed, size=64).splits for seed in (1, 1, 2))
        assert torch.equal(one.train_images, same.train_images)
        assert not torch.equal(one.train_images, other.train_images)
        assert not torch.equal(one.train_images[:64], one.test_images[:64])

    def test_classes_are_balanced_and_normalized(self):
        data = Synthetic(shape=(2, 8, 8), classes=4, size=2050)
        counts = data.splits.train_labels.bincount()
        assert counts.sum() == 2050 and counts.max() - counts.min() <= 1
        x = pixels(data.val_dataloader())
        assert abs(x.mean()) < 0.2 and 0.8 < x.std() < 1.2

    def test_nearest_pattern_tells_the_class(self):
        splits = Synthetic(shape=(3, 8, 8), classes=5, size=500).splits
        train, test = splits.train_images.float().flatten(1), splits.test_images.float().flatten(1)
        centers = torch.stack([train[splits.train_labels == c].mean(0) for c in range(5)])
        assert (torch.cdist(test, centers).argmin(1) == splits.test_labels).float().mean() > 0.95

    @pytest.mark.parametrize("options", [{"shape": (3, 8)}, {"classes": 0}, {"size": 0}, {"noise": -1.0}])
    def test_bad_values(self, options):
        with pytest.raises(NasError, match="out of range. Set three numbers"):
            Synthetic(**options)


@pytest.mark.parametrize("name", ["digits", "cifar10", "cifar100", "imagenet16_120", "synthetic"])
def test_the_configuration_lists_every_value_with_its_default(name):
    found = OmegaConf.load(CONF / f"{name}.yaml")
    found = found if "dataset" in found else OmegaConf.create({"dataset": found})
    conf = OmegaConf.merge({"paths": {"data": "there"}, "seed": 0}, found)
    made = get_class(conf.dataset._target_)
    explicit = set(inspect.signature(made.__init__).parameters) - {"self", "options"}
    assert set(conf.dataset) - {"_target_"} == explicit | set(ImageOptions.__annotations__)
    configured = instantiate(conf.dataset)
    default = made("there") if "root" in explicit else made()
    assert configured.name == name
    assert {key: getattr(configured, key) for key in explicit} == {key: getattr(default, key) for key in explicit}
