"""Loaders of text: chunk after chunk, with random lengths in training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from nas.data.pipeline.resumable import ResumableLoader
from nas.data.text.chunk_lengths import ChunkLengths, Span
from nas.nn.chunk import Chunk, Stream

TextBatch = tuple[Chunk, Tensor]
"""A chunk, and the next token for each of its tokens, int64 [T*B], time-major."""


def chunk_at(text: Tensor, span: Span, stream: Stream, number: int, bptt: int) -> TextBatch:
    """Return the chunk of a text at ``span`` with its targets.

    Args:
        text: int64 [rows, columns].
        span: rows of the chunk.
        stream: reader of the text.
        number: number of the chunk in its epoch.
        bptt: length with the learning rate of the optimizer.
    """
    rows = slice(span.start, span.start + span.length)
    target = text[span.start + 1 : span.start + span.length + 1].reshape(-1)
    return Chunk(text[rows], stream, number, span.sampled / bptt), target


class EvalChunks:
    """Chunks of ``bptt`` rows in order, for validation and test.

    Args:
        text: int64 [rows, columns].
        spans: rows of the chunks.
        stream: reader of the text.
        bptt: usual number of rows of a chunk.
        replicas: number of ranks that read these columns.
    """

    def __init__(self, text: Tensor, spans: Sequence[Span], stream: Stream, bptt: int, replicas: int = 1) -> None:
        self.text, self.spans, self.stream, self.bptt, self.replicas = text, spans, stream, bptt, replicas

    def __len__(self) -> int:
        return len(self.spans)

    def __iter__(self) -> Iterator[TextBatch]:
        for number, span in enumerate(self.spans):
            yield chunk_at(self.text, span, self.stream, number, self.bptt)


class TrainChunks(ResumableLoader):
    """Chunks of an epoch with random lengths, which are the same on every rank.

    Batches are ``(chunk, target)``. With ``arch_text`` they are ``{"train": (chunk, target), "val": (chunk, target)}``
    for the weights and the architecture. The second chunk begins at the same row, modulo the length of ``arch_text``,
    and has ``bptt`` rows, or fewer at the end of ``arch_text``.

    The number of chunks differs between epochs. ``len`` is that of ``epoch``, so a trainer needs a new loader for each
    epoch.

    Args:
        text: int64 [rows, columns].
        lengths: distribution of the lengths.
        arch_text: int64 [rows, columns]; None: no batches for an architecture.
        epoch: the epoch that follows.
        fixed: use the lengths of epoch 0 in every epoch.
        seed: seed of the run.
    """

    def __init__(
        self,
        text: Tensor,
        lengths: ChunkLengths,
        arch_text: Tensor | None = None,
        *,
        epoch: int = 0,
        fixed: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        self.text, self.lengths, self.arch_text, self.fixed = text, lengths, arch_text, fixed
        self._epoch = epoch

    def spans(self, epoch: int, number: int = 0) -> list[Span]:
        """Return the rows of the chunks of a pass of an epoch."""
        position = (0, 0) if self.fixed else (epoch, number)
        return self.lengths.sample(len(self.text), self.seed, self.stream, *position)

    def __len__(self) -> int:
        return len(self.spans(self._epoch))

    def _iterate(
        self, pass_key: tuple[int, ...], start: int
    ) -> Iterator[tuple[int, TextBatch | Mapping[str, TextBatch]]]:
        bptt = self.lengths.bptt
        for number, span in enumerate(self.spans(*pass_key[2:])[start:], start):
            batch = chunk_at(self.text, span, "train", number, bptt)
            if self.arch_text is None:
                yield number + 1, batch
                continue
            inputs = len(self.arch_text) - 1
            first = span.start % inputs
            arch_span = Span(first, min(bptt, inputs - first), bptt)
            yield number + 1, {"train": batch, "val": chunk_at(self.arch_text, arch_span, "arch", number, bptt)}
