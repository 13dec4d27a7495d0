"""Base class of all text data sets."""

from __future__ import annotations

import logging
from typing import Any, ClassVar, TypedDict

import pytorch_lightning as pl
from torch import Tensor

from nas.data.placement import placement_of
from nas.data.text.chunk_lengths import ChunkLengths
from nas.data.text.chunk_loader import EvalChunks, TrainChunks
from nas.data.text.corpus import Corpus, batchify
from nas.nn.chunk import Stream
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, NOT_NEGATIVE, PROBABILITY, SEED, check_ranges

log = logging.getLogger(__name__)

SEARCH_STD, TRAINING_STD = 0.0, 5.0
"""Standard deviations of the chunk length in the search and the training of DARTS."""


class TextOptions(TypedDict, total=False):
    """Options of ``TextData`` with the same meaning and default for every data set."""

    batch_size: int
    eval_batch_size: int
    test_batch_size: int
    bptt: int
    short_probability: float
    length_std: float | None
    bilevel: bool
    seed: int
    on_device: bool


@check_ranges(batch_size=COUNT, eval_batch_size=COUNT, test_batch_size=COUNT, bptt=COUNT)
@check_ranges(short_probability=PROBABILITY, length_std=NOT_NEGATIVE, seed=SEED)
class TextData(pl.LightningDataModule):
    """Text in memory for language models. A subclass sets ``name`` and implements ``load``.

    A text is divided into ``batch_size`` consecutive parts, the columns of all chunks (``batchify``). A step reads the
    next rows of all columns. Their number is random (``ChunkLengths``). Batches are ``(Chunk, target)``, with the next
    token of each token as target, int64 [T*B].

    With ``bilevel`` the training batches are ``{"train": (chunk, target), "val": (chunk, target)}`` for the weights and
    for the architecture. The architecture reads the validation text, divided into ``batch_size`` columns, at the same
    row modulo its length, as in DARTS. Validation reads the validation text in ``eval_batch_size`` columns.

    The ranks of a distributed run share the columns of a training batch. In validation and test they do so if there
    are enough columns. Otherwise each rank reads the whole text. A supernet needs two columns per rank, because it
    normalizes by the statistics of the batch.

    Args:
        batch_size: columns of a training batch over all ranks.
        eval_batch_size: columns in validation.
        test_batch_size: columns in the test.
        bptt: usual number of rows of a chunk.
        short_probability: probability of the mean length ``bptt`` / 2 in training.
        length_std: standard deviation of the length in training; None: 0 with ``bilevel``, else 5, as in DARTS.
        bilevel: load batches for a search over weights and architecture. False: for a single network.
        seed: seed of the lengths.
        on_device: store the text on the training device.

    Raises:
        NasError: if a value is out of range, or, from a loader, if a text has too few tokens or the columns cannot be
            divided between the ranks.
    """

    inputs: ClassVar[str] = "text"
    """The kind of data, as in ``Space.inputs``."""
    halves_training: ClassVar[bool] = False
    """As in ``ImageData``: the parts of a text are fixed."""
    official: ClassVar[None] = None
    """As in ``ImageData``: there are no lists of images."""
    test_every_epoch = False
    """As in ``ImageData``, but without effect: every epoch is validated on the validation text."""

    shape: ClassVar[Any] = ()
    """Shape of a token, as the shape of an image in ``ImageData``."""
    name: str

    def __init__(
        self,
        *,
        batch_size: int = 64,
        eval_batch_size: int = 10,
        test_batch_size: int = 1,
        bptt: int = 35,
        short_probability: float = 0.05,
        length_std: float | None = None,
        bilevel: bool = True,
        seed: int = 0,
        on_device: bool = True,
    ) -> None:
        super().__init__()
        self.batch_size, self.eval_batch_size, self.test_batch_size = batch_size, eval_batch_size, test_batch_size
        self.bptt, self.bilevel, self.seed, self.on_device = bptt, bilevel, seed, on_device
        std = length_std if length_std is not None else SEARCH_STD if bilevel else TRAINING_STD
        self.lengths = ChunkLengths(bptt, short_probability, std)
        self._corpus: Corpus | None = None
        self._logged = False

    def load(self) -> Corpus:
        """Read the texts. It is called once per process."""
        raise NotImplementedError(f"{type(self).__name__} has no load()")

    @property
    def corpus(self) -> Corpus:
        """The texts and their vocabulary; read on first access."""
        if self._corpus is None:
            corpus = self.load()
            if len(corpus.vocabulary) < 2:
                raise NasError(f"dataset={self.name}: the vocabulary has a single word. Use the published files.")
            self._corpus = corpus
        return self._corpus

    @property
    def classes(self) -> int:
        """Number of words of the vocabulary."""
        return len(self.corpus.vocabulary)

    @property
    def class_names(self) -> tuple[str, ...]:
        """Words by number."""
        return self.corpus.vocabulary

    def setup(self, stage: str | None = None) -> None:
        """Read the texts, and let a trainer request a new loader in each epoch."""
        sizes = self.sizes()
        if self.trainer is None:
            return
        # The number of chunks differs between epochs, and Lightning reads the length of a loader only once.
        self.trainer.reload_dataloaders_every_n_epochs = 1  # type: ignore[attr-defined]
        if self.trainer.global_rank == 0 and not self._logged:
            self._logged = True
            parts = ", ".join(f"{size:,} {part}" for part, size in sizes.items())
            log.info("text           %s: vocabulary of %s words (tokens: %s)", self.name, f"{self.classes:,}", parts)

    def describe_split(self) -> str | None:
        """Return None: there is no split of NAS-Bench-201."""
        return None

    def describe_test_images(self) -> str:
        """Describe the examples of ``test_dataloader``, for logs and summaries."""
        return "tokens of the test text"

    def sizes(self) -> dict[str, int]:
        """Return the number of tokens by part: ``train``, ``val`` and ``test``."""
        corpus = self.corpus
        return {"train": len(corpus.train), "val": len(corpus.valid), "test": len(corpus.test)}

    def train_dataloader(self) -> TrainChunks:
        """Return the chunks of the current epoch; with ``trainer.overfit_batches`` those of the first one."""
        trainer: Any = self.trainer
        options: dict[str, Any] = {"seed": self.seed}
        if trainer is not None:
            options |= {"epoch": trainer.current_epoch, "fixed": trainer.overfit_batches > 0}
        text = self._columns("train", self.batch_size, split=True)
        arch_text = self._columns("valid", self.batch_size, split=True) if self.bilevel else None
        return TrainChunks(text, self.lengths, arch_text, **options)

    def val_dataloader(self) -> EvalChunks:
        """Return the chunks of the validation text in order."""
        return self._eval_loader("valid", self.eval_batch_size, "val")

    def test_dataloader(self) -> EvalChunks:
        """Return the chunks of the test text in order."""
        return self._eval_loader("test", self.test_batch_size, "test")

    def count_validated(self, total: int) -> int:
        """Return the number of different validation tokens among ``total`` that all ranks together have read."""
        return total // self._replicas(self.eval_batch_size)

    def _eval_loader(self, part: str, columns: int, stream: Stream) -> EvalChunks:
        text = self._columns(part, columns, split=False)
        return EvalChunks(text, self.lengths.regular(len(text)), stream, self.bptt, self._replicas(columns))

    def _replicas(self, columns: int) -> int:
        """Return the number of ranks that read the same columns in validation or test."""
        world = placement_of(self.trainer, self.on_device).world
        return world if columns < world * self._least_columns else 1

    @property
    def _least_columns(self) -> int:
        """Number of columns that each rank needs."""
        module = getattr(self.trainer, "lightning_module", None)
        return 2 if getattr(module, "uses_batch_statistics", False) else 1

    def _columns(self, part: str, columns: int, split: bool) -> Tensor:
        """Return the columns of this rank of a part of the corpus, int64 [rows, columns].

        Args:
            part: name of the part.
            columns: columns over all ranks.
            split: require equally many columns on each rank.
        """
        key = {"train": "batch_size", "valid": "eval_batch_size", "test": "test_batch_size"}[part]
        key = "batch_size" if split else key
        rank, world, device = placement_of(self.trainer, self.on_device)
        if split and columns % world:
            raise NasError(f"dataset.{key}={columns}: not a multiple of the {world} ranks. Set a multiple of {world}.")
        least = self._least_columns * (world if split else 1)
        if columns < least:
            raise NasError(
                f"dataset.{key}={columns}: batch norm of a search needs 2 columns per rank. Set at least {least}."
            )
        tokens: Tensor = getattr(self.corpus, part)
        most = len(tokens) // 3
        if columns > most:
            fix = f"Set at most {most}." if most >= least else "Use a longer text."
            raise NasError(
                f"dataset.{key}={columns}: the {part} text of {self.name} has {len(tokens)} tokens, and a column needs "
                f"3. {fix}"
            )
        text = batchify(tokens, columns)
        if split or self._replicas(columns) == 1:
            text = text.tensor_split(world, dim=1)[rank]
        return text.contiguous().to(device)
