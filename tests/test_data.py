"""Loaders, splits and the data sets that need no files."""

import inspect
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf
from pytorch_lightning.utilities import CombinedLoader
from torch import Tensor

from nas.data.digits import Digits
from nas.data.images import ImageOptions
from nas.data.loader import TensorLoader
from nas.data.split import split_indices
from nas.data.synthetic import Synthetic
from nas.errors import NasError
from tests.golden_tools import shared_folder

CONF = Path(__file__).parents[1] / "conf" / "dataset"
SPLIT_FILE = shared_folder() / "data" / "splits" / "cifar-split.txt"


def noisy(x: Tensor, generator: torch.Generator | None) -> Tensor:
    return x.float() + torch.rand(x.shape, generator=generator)


def numbered(size: int = 23, **options) -> TensorLoader:
    """Images 0, 1, ... with their number as label."""
    numbers = torch.arange(size)
    given = {"batch_size": 5, "transform": noisy, "shuffle": True, "seed": 3} | options
    return TensorLoader(numbers.view(-1, 1, 1, 1).to(torch.uint8), numbers, **given)


def labels(loader) -> list[int]:
    return [int(label) for _, y in loader for label in y]


def pixels(loader) -> Tensor:
    return torch.cat([x for x, _ in loader])


class TestLoader:
    def test_a_pass_has_every_image_once_with_its_own_label(self):
        loader = numbered()
        x, y = (torch.cat(parts) for parts in zip(*loader, strict=True))
        assert sorted(y.tolist()) == list(range(23)) and y.tolist() != list(range(23))
        assert torch.equal(x.floor().flatten().long(), y)
        assert x.dtype == torch.float32 and len(loader) == 5

    def test_unshuffled_keeps_the_order_of_the_indices(self):
        assert labels(numbered(indices=torch.tensor([7, 3, 9]), shuffle=False)) == [7, 3, 9]

    def test_drop_last(self):
        loader = numbered(drop_last=True)
        assert [len(y) for _, y in loader] == [5, 5, 5, 5] and len(loader) == 4

    @pytest.mark.parametrize("of", [labels, lambda loader: pixels(loader).tolist()])
    def test_all_randomness_follows_from_seed_stream_epoch_and_pass(self, of):
        def at(epoch=2, passes=0, **options):
            loader = numbered(**options)
            loader.set_epoch(epoch)
            for _ in range(passes):
                of(loader)
            return of(loader)

        assert at() == at()
        for other in (at(epoch=3), at(passes=1), at(seed=4), at(stream=1)):
            assert other != at()

    def test_a_new_epoch_starts_again_at_its_first_pass(self):
        once, twice = numbered(), numbered()
        for loader, passes in ((once, 1), (twice, 2)):
            loader.set_epoch(0)
            for _ in range(passes):
                labels(loader)
            loader.set_epoch(1)
        assert labels(once) == labels(twice)

    def test_the_epoch_counts_when_the_first_batch_is_asked_for(self):
        early, late = numbered(), numbered()
        iterator = iter(early)  # Lightning makes the iterator before it announces the epoch
        early.set_epoch(5)
        late.set_epoch(5)
        assert labels(iterator) == labels(late)

    @pytest.mark.parametrize("size", [23, 24, 2])
    def test_ranks_share_out_a_pass_in_equal_parts(self, size):
        ranks = [numbered(size, rank=rank, world=3, batch_size=3) for rank in range(3)]
        seen = [labels(loader) for loader in ranks]
        assert len({len(part) for part in seen}) == 1 and len({len(loader) for loader in ranks}) == 1
        assert set().union(*seen) == set(range(size))
        repeated = sum(map(len, seen)) - size
        assert repeated == -size % 3  # only the images that fill up the last round come twice

    def test_ranks_augment_differently(self):
        one, other = (numbered(rank=rank, world=2, indices=torch.tensor([4, 4])) for rank in range(2))
        assert labels(one) == labels(other) and not torch.equal(pixels(one), pixels(other))

    def test_the_global_generator_is_left_alone(self):
        before = torch.get_rng_state()
        pixels(numbered())
        assert torch.equal(torch.get_rng_state(), before)

    def test_the_global_generator_does_not_matter(self):
        torch.manual_seed(1)
        one = pixels(numbered())
        torch.manual_seed(2)
        assert torch.equal(pixels(numbered()), one)

    @pytest.mark.parametrize("done", [0, 2, 5, 7])
    def test_goes_on_after_a_checkpoint_within_an_epoch(self, done):
        def stream(loader, count):
            while count:
                for batch in loader:
                    yield batch
                    count -= 1
                    if not count:
                        return

        whole, first, second = numbered(), numbered(), numbered()
        for loader in (whole, first):
            loader.set_epoch(6)
        expected = list(stream(whole, 12))
        got = list(stream(first, done))
        state = json.loads(json.dumps(first.state_dict()))
        second.load_state_dict(state)
        assert second.state_dict() == state
        second.set_epoch(6)
        got += list(stream(second, 12 - done))
        for (x, y), (want_x, want_y) in zip(got, expected, strict=True):
            assert torch.equal(x, want_x) and torch.equal(y, want_y)

    def test_a_restored_loader_forgets_it_in_another_epoch(self):
        restored, fresh = numbered(), numbered()
        restored.load_state_dict({"epoch": 6, "pass": 1, "batch": 2})
        restored.set_epoch(7)
        fresh.set_epoch(7)
        assert labels(restored) == labels(fresh)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"batch_size": 0}, "batch_size 0"),
            ({"rank": 2, "world": 2}, "rank 2, world 2"),
            ({"indices": torch.tensor([], dtype=torch.int64)}, "empty"),
        ],
    )
    def test_bad_values(self, options, message):
        with pytest.raises(NasError, match=message):
            numbered(**options)

    def test_images_without_labels(self):
        with pytest.raises(NasError, match="3 images and 2 labels"):
            TensorLoader(torch.zeros(3, 1, 1, 1), torch.zeros(2), batch_size=1, transform=noisy, shuffle=False)


class TestSplit:
    @pytest.mark.parametrize(("split", "size", "first"), [("halves", 7, 3), (0.8, 10, 8), (0.25, 7, 1)])
    def test_by_index(self, split, size, first):
        train, val = split_indices(split, size)
        assert train.tolist() == list(range(first)) and val.tolist() == list(range(first, size))

    @pytest.mark.parametrize("split", [0.0, 1.0, 1, -0.5, 0.01, float("nan")])
    def test_an_empty_part(self, split):
        with pytest.raises(NasError, match="leaves a part of the 10 training images empty"):
            split_indices(split, 10)

    @pytest.mark.parametrize("parts", [[[3, 0], [2, 1]], [["int", ["3", "0"]], ["int", ["2", "1"]]]])
    def test_file(self, tmp_path, parts):
        path = tmp_path / "split.txt"
        path.write_text(json.dumps(dict(zip(("train", "valid"), parts, strict=True))))
        train, val = split_indices(str(path), 4)
        assert train.tolist() == [3, 0] and val.tolist() == [2, 1]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("{", "cannot read the split file"),
            ('{"xvalid": [0], "xtest": [1]}', r"no 'train' and 'valid' \(it has: xvalid, xtest\)"),
            ("[0, 1]", r"\(it has: list\)"),
            ('{"train": ["a"], "valid": [1]}', "'train' of the split file"),
            ('{"train": [0, 1], "valid": [3]}', r"does not fit the 4 training images: it has 3 indices \(0..3\)"),
            ('{"train": [0, 1], "valid": [1, 2]}', "each of 0..3 must be there once"),
            ('{"train": [], "valid": []}', r"0 indices \(none\)"),
        ],
    )
    def test_bad_file(self, tmp_path, content, message):
        path = tmp_path / "split.txt"
        path.write_text(content)
        with pytest.raises(NasError, match=message) as caught:
            split_indices(str(path), 4)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)

    def test_missing_file(self):
        with pytest.raises(NasError, match="no split file at .*nowhere.txt: give 'halves'"):
            split_indices("nowhere.txt", 4)

    @pytest.mark.data
    @pytest.mark.skipif(not SPLIT_FILE.exists(), reason="the official split files are not beside the repository")
    def test_official_file(self):
        train, val = split_indices(str(SPLIT_FILE), 50_000)
        # First indices and sums as published with the benchmark's split.
        assert train[:4].tolist() == [0, 5, 7, 11] and train.sum() == 623_618_849
        assert val[:4].tolist() == [1, 2, 3, 4] and val.sum() == 626_356_151
        with pytest.raises(NasError, match="does not fit the 1437 training images"):
            split_indices(str(SPLIT_FILE), 1437)


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

    def test_normalisation_fits_the_training_images(self):
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


def signature(images: Tensor) -> list[tuple]:
    return sorted(tuple(image.flatten().tolist()) for image in images)


class TestImageData:
    def test_bilevel_batches_pair_the_two_halves(self):
        data = Synthetic(shape=(1, 4, 4), size=20, batch_size=4, mean=0, std=1)
        combined = data.train_dataloader()
        assert isinstance(combined, CombinedLoader)
        batches = [batch for batch, _, _ in combined]
        images = data.splits.train_images / 255
        for part, expected in (("train", images[:10]), ("val", images[10:])):
            seen = torch.cat([batch[part][0] for batch in batches])
            assert signature(seen) == signature(expected)

    def test_the_shorter_part_is_cycled_in_a_new_order(self):
        data = Synthetic(shape=(1, 4, 4), classes=50, size=50, split=0.2, batch_size=10)
        batches = [batch["train"][1].tolist() for batch, _, _ in data.train_dataloader()]
        assert len(batches) == 4 and len({tuple(sorted(batch)) for batch in batches}) == 1
        assert len({tuple(batch) for batch in batches}) == 4

    def test_the_two_parts_are_shuffled_apart(self):
        data = Synthetic(shape=(1, 4, 4), classes=10, size=20, batch_size=10)
        loaders = data.train_dataloader().iterables
        where = [loader._order((data.seed, loader.stream, 0, 0)) for loader in loaders.values()]
        assert not torch.equal(where[0], where[1] - 10)

    def test_one_network_trains_on_everything(self):
        data = Synthetic(shape=(1, 4, 4), size=20, batch_size=4, bilevel=False)
        loader = data.train_dataloader()
        assert isinstance(loader, TensorLoader) and loader.shuffle
        assert sorted(labels(loader)) == sorted(data.splits.train_labels.tolist())
        assert data.val_dataloader() == []

    def test_cutout_only_in_training(self):
        data = Synthetic(shape=(1, 8, 8), size=8, batch_size=4, cutout=4, bilevel=True)
        holes = [(loader_x == 0).flatten(1).sum(1) for loader_x in (
            next(iter(data.train_dataloader()))[0]["train"][0], next(iter(data.val_dataloader()))[0])]  # fmt: skip
        assert holes[0].min() >= 4 and holes[1].max() == 0

    def test_batch_larger_than_a_part(self):
        data = Synthetic(size=100, split=0.9, batch_size=11)
        with pytest.raises(NasError, match=r"batch_size 11 .* val split of synthetic \(10 images .*use at most 10"):
            data.train_dataloader()

    def test_rank_and_device_come_from_the_trainer(self):
        def attached(rank: int, **options) -> Synthetic:
            data = Synthetic(shape=(1, 2, 2), size=20, batch_size=2, **options)
            strategy = SimpleNamespace(root_device=torch.device("meta"))
            data.trainer = SimpleNamespace(global_rank=rank, world_size=2, strategy=strategy)
            return data

        assert attached(0).train_dataloader().iterables["train"].device.type == "meta"
        ranks = [attached(rank, resident=False).train_dataloader().iterables["val"] for rank in range(2)]
        orders = [loader._order((0, 1, 0, 0)).tolist() for loader in ranks]
        assert sorted(orders[0] + orders[1]) == list(range(10, 20)) and ranks[0].device.type == "cpu"
        data = attached(1, resident=False)
        data.batch_size = 6
        with pytest.raises(NasError, match=r"10 images on 2 rank\(s\)\): use at most 5"):
            data.train_dataloader()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"batch_size": 0}, "batch_size is 0 for digits"),
            ({"pad": -1}, "pad is -1"),
            ({"mean": (0.5, 0.5, 0.5)}, "has 1 channel"),
            ({"std": (0.0,)}, "positive std"),
        ],
    )
    def test_bad_values(self, options, message):
        with pytest.raises(NasError, match=message):
            Digits(**options)

    def test_a_subclass_that_declares_another_shape(self):
        class Wide(Digits):
            shape = (1, 8, 9)

        with pytest.raises(NasError, match=r"shape \(1, 8, 8\) \(train\).*declares \(1, 8, 9\)"):
            Wide().setup()


class TestSynthetic:
    def test_follows_the_seed(self):
        one, same, other = (Synthetic(seed=seed, size=64).splits for seed in (1, 1, 2))
        assert torch.equal(one.train_images, same.train_images)
        assert not torch.equal(one.train_images, other.train_images)
        assert not torch.equal(one.train_images[:64], one.test_images[:64])

    def test_classes_are_balanced_and_normalised(self):
        data = Synthetic(shape=(2, 8, 8), classes=4, size=2050)
        counts = data.splits.train_labels.bincount()
        assert counts.sum() == 2050 and counts.max() - counts.min() <= 1
        x = pixels(data.val_dataloader())
        assert abs(x.mean()) < 0.2 and 0.8 < x.std() < 1.2

    def test_nearest_pattern_tells_the_class(self):
        splits = Synthetic(shape=(3, 8, 8), classes=5, size=500).splits
        train, test = splits.train_images.float().flatten(1), splits.test_images.float().flatten(1)
        centres = torch.stack([train[splits.train_labels == c].mean(0) for c in range(5)])
        assert (torch.cdist(test, centres).argmin(1) == splits.test_labels).float().mean() > 0.95

    @pytest.mark.parametrize("options", [{"shape": (3, 8)}, {"classes": 0}, {"size": 0}, {"noise": -1.0}])
    def test_bad_values(self, options):
        with pytest.raises(NasError, match="synthetic data got"):
            Synthetic(**options)


@pytest.mark.parametrize("name", ["digits", "cifar10", "cifar100", "synthetic"])
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


class Watch(pl.LightningModule):
    """Writes down what it is fed."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(16, 2)
        self.seen: list[tuple[int, int, list[float]]] = []
        self.validated = 0

    def training_step(self, batch, batch_idx):
        pairs = batch if isinstance(batch, dict) else {"train": batch}
        self.seen.append((self.current_epoch, batch_idx, [float(x.double().sum()) for x, _ in pairs.values()]))
        return sum(self.layer(x.flatten(1)).square().mean() for x, _ in pairs.values())

    def validation_step(self, batch, batch_idx):
        self.validated += len(batch[1])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def trainer(tmp_path, *callbacks, epochs=3, **options):
    return pl.Trainer(
        max_epochs=epochs, accelerator="cpu", devices=1, logger=False, default_root_dir=tmp_path,
        enable_progress_bar=False, enable_model_summary=False, callbacks=list(callbacks),
        **({"num_sanity_val_steps": 0, "enable_checkpointing": False} | options),
    )  # fmt: skip


def uneven(**options) -> Synthetic:
    """Ten training batches a pass for the architecture, three (the last one smaller) for the weights."""
    return Synthetic(shape=(1, 4, 4), classes=2, size=50, split=0.2, batch_size=4, pad=1, **options)


class Save(pl.Callback):
    """Saves a checkpoint after one batch, or in one of the hooks at the end of an epoch."""

    def __init__(self, path, epoch, when):
        self.path, self.epoch, self.when = path, epoch, when

    def _save(self, trainer, when):
        if trainer.current_epoch == self.epoch and when == self.when and not trainer.sanity_checking:
            trainer.save_checkpoint(self.path)

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self._save(trainer, batch_idx)

    def on_validation_end(self, trainer, module):
        self._save(trainer, "validation")

    def on_train_epoch_end(self, trainer, module):
        self._save(trainer, "epoch")


@pytest.mark.filterwarnings("ignore:.*")
class TestUnderTrainer:
    def test_every_epoch_and_every_pass_has_its_own_order(self, tmp_path):
        watch = Watch()
        trainer(tmp_path, num_sanity_val_steps=2).fit(watch, datamodule=uneven())
        assert len(watch.seen) == 30
        sums = [tuple(part) for _, _, part in watch.seen]
        assert len(set(sums)) == 30
        assert watch.validated == 3 * 40 + 40  # one batch of the sanity check holds them all

    def test_the_epochs_are_those_of_the_loader(self, tmp_path):
        watch, data = Watch(), uneven()
        trainer(tmp_path).fit(watch, datamodule=data)
        combined = uneven().train_dataloader()
        for epoch in range(3):
            for loader in combined.iterables.values():
                loader.set_epoch(epoch)
            expected = [[float(x.double().sum()) for x, _ in batch.values()] for batch, _, _ in combined]
            assert [part for at, _, part in watch.seen if at == epoch] == expected

    @pytest.mark.parametrize("when", [0, 4, 8, 9, "validation", "epoch"])
    @pytest.mark.parametrize("bilevel", [True, False])
    def test_a_resumed_run_sees_the_same_batches(self, tmp_path, when, bilevel):
        if when == "validation" and not bilevel:
            pytest.skip("without the bilevel parts there is no validation")
        path = tmp_path / "last.ckpt"
        whole, resumed = Watch(), Watch()
        trainer(tmp_path, Save(path, 1, when)).fit(whole, datamodule=uneven(bilevel=bilevel))
        trainer(tmp_path).fit(resumed, datamodule=uneven(bilevel=bilevel), ckpt_path=path)
        assert 0 < len(resumed.seen) < len(whole.seen)
        assert resumed.seen == whole.seen[-len(resumed.seen) :]
        for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
            assert torch.equal(one, other)

    def test_training_one_network_needs_no_validation(self, tmp_path):
        watch = Watch()
        runner = trainer(tmp_path, epochs=1)
        runner.fit(watch, datamodule=uneven(bilevel=False))
        assert len(watch.seen) == 13 and watch.validated == 0
