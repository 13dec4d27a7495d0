"""nas.data.pipeline.loader under the trainer of Lightning: epochs, and batches of a resumed run."""

import pytest
import pytorch_lightning as pl
import torch

from nas.data.synthetic import Synthetic


class RecordBatches(pl.LightningModule):
    """Record the batches."""

    def __init__(self) -> None:
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
    """Return data with ten batches per pass for the architecture, and three for the weights, the last one smaller."""
    return Synthetic(shape=(1, 4, 4), classes=2, size=50, split=0.2, batch_size=4, pad=1, **options)


class SaveOnce(pl.Callback):
    """Save a checkpoint after a batch, or in a hook at the end of an epoch."""

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
def test_loader_shuffles_every_epoch_and_pass(tmp_path) -> None:
    watch = RecordBatches()
    trainer(tmp_path, num_sanity_val_steps=2).fit(watch, datamodule=uneven())
    assert len(watch.seen) == 30
    sums = [tuple(part) for _, _, part in watch.seen]
    assert len(set(sums)) == 30
    assert watch.validated == 3 * 40 + 40  # a single batch of the sanity check has all images


@pytest.mark.filterwarnings("ignore:.*")
def test_loader_receives_the_epochs_of_the_trainer(tmp_path) -> None:
    watch, data = RecordBatches(), uneven()
    trainer(tmp_path).fit(watch, datamodule=data)
    combined = uneven().train_dataloader()
    for epoch in range(3):
        for loader in combined.iterables.values():
            loader.set_epoch(epoch)
        expected = [[float(x.double().sum()) for x, _ in batch.values()] for batch, _, _ in combined]
        assert [part for at, _, part in watch.seen if at == epoch] == expected


@pytest.mark.filterwarnings("ignore:.*")
@pytest.mark.parametrize("when", [0, 4, 8, 9, "validation", "epoch"])
@pytest.mark.parametrize("bilevel", [True, False])
def test_loader_repeats_the_batches_of_a_resumed_run(tmp_path, when, bilevel) -> None:
    if when == "validation" and not bilevel:
        pytest.skip("there is no validation without bilevel")
    path = tmp_path / "last.ckpt"
    whole, resumed = RecordBatches(), RecordBatches()
    trainer(tmp_path, SaveOnce(path, 1, when)).fit(whole, datamodule=uneven(bilevel=bilevel))
    trainer(tmp_path).fit(resumed, datamodule=uneven(bilevel=bilevel), ckpt_path=path)
    assert 0 < len(resumed.seen) < len(whole.seen)
    assert resumed.seen == whole.seen[-len(resumed.seen) :]
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.filterwarnings("ignore:.*")
def test_loader_without_validation(tmp_path) -> None:
    watch = RecordBatches()
    runner = trainer(tmp_path, epochs=1)
    runner.fit(watch, datamodule=uneven(bilevel=False))
    assert len(watch.seen) == 13 and watch.validated == 0


@pytest.mark.filterwarnings("ignore:.*")
@pytest.mark.parametrize("bilevel", [True, False])
def test_loader_augments_differently_in_each_epoch_of_a_short_training(tmp_path, bilevel) -> None:
    """With one image per part and one step per epoch, order and mini-batches cannot differ."""
    data = Synthetic(shape=(1, 4, 4), classes=2, size=2 if bilevel else 1, batch_size=1, pad=2, bilevel=bilevel)
    watch = RecordBatches()
    trainer(tmp_path, epochs=6).fit(watch, datamodule=data)
    assert [epoch for epoch, _, _ in watch.seen] == list(range(6))
    for part in zip(*(sums for _, _, sums in watch.seen), strict=True):
        assert len(set(part)) > 2
