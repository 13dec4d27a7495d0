"""nas.data.base: parts, batches and options of all image data sets."""

from types import SimpleNamespace

import pytest
import torch
from pytorch_lightning.utilities import CombinedLoader
from torch import Tensor

from nas.data.digits import Digits
from nas.data.pipeline.loader import TensorLoader
from nas.data.synthetic import Synthetic
from nas.utils.errors import NasError
from tests.support.case_ids import option_ids
from tests.support.data_tools import labels


def signature(images: Tensor) -> list[tuple]:
    return sorted(tuple(image.flatten().tolist()) for image in images)


def test_image_data_pairs_batches_of_both_parts() -> None:
    data = Synthetic(shape=(1, 4, 4), size=20, batch_size=4, mean=0, std=1)
    combined = data.train_dataloader()
    assert isinstance(combined, CombinedLoader)
    batches = [batch for batch, _, _ in combined]
    images = data.splits.train_images / 255
    for part, expected in (("train", images[:10]), ("val", images[10:])):
        seen = torch.cat([batch[part][0] for batch in batches])
        assert signature(seen) == signature(expected)


def test_image_data_cycles_the_shorter_part_in_a_new_order() -> None:
    data = Synthetic(shape=(1, 4, 4), classes=50, size=50, split=0.2, batch_size=10)
    batches = [batch["train"][1].tolist() for batch, _, _ in data.train_dataloader()]
    assert len(batches) == 4 and len({tuple(sorted(batch)) for batch in batches}) == 1
    assert len({tuple(batch) for batch in batches}) == 4


def test_image_data_shuffles_the_parts_independently() -> None:
    data = Synthetic(shape=(1, 4, 4), classes=10, size=20, batch_size=10)
    loaders = data.train_dataloader().iterables
    where = [loader._order((data.seed, loader.stream, 0, 0)) for loader in loaders.values()]
    assert not torch.equal(where[0], where[1] - 10)


def test_image_data_without_bilevel_uses_all_training_images() -> None:
    data = Synthetic(shape=(1, 4, 4), size=20, batch_size=4, bilevel=False)
    loader = data.train_dataloader()
    assert isinstance(loader, TensorLoader) and loader.shuffle
    assert sorted(labels(loader)) == sorted(data.splits.train_labels.tolist())
    assert data.val_dataloader() == []


def test_image_data_applies_cutout_in_training_only() -> None:
    data = Synthetic(shape=(1, 8, 8), size=8, batch_size=4, cutout=4, bilevel=True)
    holes = [(loader_x == 0).flatten(1).sum(1) for loader_x in (
        next(iter(data.train_dataloader()))[0]["train"][0], next(iter(data.val_dataloader()))[0])]  # fmt: skip
    assert holes[0].min() >= 4 and holes[1].max() == 0


def test_image_data_rejects_a_batch_larger_than_a_part() -> None:
    data = Synthetic(size=100, split=0.9, batch_size=11)
    with pytest.raises(NasError, match=r"batch_size=11: .* val part of synthetic \(10 images .*Set at most 10"):
        data.train_dataloader()


def test_image_data_uses_rank_and_device_of_the_trainer() -> None:
    def attached(rank: int, **options) -> Synthetic:
        data = Synthetic(shape=(1, 2, 2), size=20, batch_size=2, **options)
        strategy = SimpleNamespace(root_device=torch.device("meta"))
        data.trainer = SimpleNamespace(global_rank=rank, world_size=2, strategy=strategy)
        return data

    assert attached(0).train_dataloader().iterables["train"].device.type == "meta"
    ranks = [attached(rank, on_device=False).train_dataloader().iterables["val"] for rank in range(2)]
    orders = [loader._order((0, 1, 0, 0)).tolist() for loader in ranks]
    assert sorted(orders[0] + orders[1]) == list(range(10, 20)) and ranks[0].device.type == "cpu"
    data = attached(1, on_device=False)
    data.batch_size = 6
    with pytest.raises(NasError, match=r"10 images on 2 rank\(s\)\). Set at most 5"):
        data.train_dataloader()


def test_synthetic_rejects_a_single_class() -> None:
    with pytest.raises(NasError, match="classes=1: use a whole number from 2"):
        Synthetic(classes=1)


def test_image_data_accepts_the_largest_partial_hole() -> None:
    data = Synthetic(shape=(1, 8, 8), size=64, batch_size=64, cutout=14, bilevel=False, seed=1)
    x, _ = next(iter(data.train_dataloader()))
    assert 0 < (x != 0).sum() < x.numel() / 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "batch_size=0: use a whole number from 1"),
        ({"pad": -1}, "pad=-1"),
        ({"pad": 9}, r"dataset.pad=9: larger than the images of digits \(8x8\)"),
        ({"cutout": 16}, r"dataset.cutout=16: covers the whole image of digits \(8x8\)"),
        ({"mean": (0.5, 0.5, 0.5)}, "Set 1 value"),
        ({"std": (0.0,)}, "std=.*use a number above 0"),
    ],
    ids=option_ids,
)
def test_image_data_rejects_invalid_options(options, message) -> None:
    with pytest.raises(NasError, match=message):
        Digits(**options)


def test_image_data_rejects_images_of_another_shape() -> None:
    class Wide(Digits):
        shape = (1, 8, 9)

    with pytest.raises(NasError, match=r"shapes \(1, 8, 8\) \(train\).*declares \(1, 8, 9\)"):
        Wide().setup()
