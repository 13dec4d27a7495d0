"""Hidden states that a recurrent network carries from chunk to chunk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nas.nn.chunk import Chunk


class StreamState(NamedTuple):
    """Hidden states [B, n] before and after the last chunk of a stream, and the number of that chunk."""

    number: int
    start: Tensor
    end: Tensor


class HiddenStates:
    """The hidden state of each stream, detached from the autograd graph.

    A repeated pass over a chunk, such as the look-ahead of a second-order gradient before the weight step, begins with
    the same state as the first one. The following chunk begins with the state after the last pass. The states are
    neither parameters nor buffers: each rank of a distributed run has its own, and a state_dict has none. A search
    resumes from the end of an epoch and begins with zeros. A run that resumes within an epoch saves ``state`` of each
    rank.
    """

    def __init__(self) -> None:
        self._streams: dict[str, StreamState] = {}

    def start(self, chunk: Chunk, width: int, like: Tensor) -> Tensor:
        """Return the hidden state [B, width] before ``chunk``, in the dtype and on the device of ``like``."""
        saved = self._streams.get(chunk.stream)
        if saved is None or chunk.number == 0:
            return like.new_zeros(chunk.tokens.shape[1], width)
        return (saved.start if saved.number == chunk.number else saved.end).to(like)

    def keep(self, chunk: Chunk, start: Tensor, end: Tensor) -> None:
        """Store the hidden states [B, n] before and after ``chunk``."""
        self._streams[chunk.stream] = StreamState(chunk.number, start.detach(), end.detach().clone())

    def clear(self) -> None:
        """Clear the states of all streams."""
        self._streams.clear()

    def state(self) -> dict[str, dict[str, Any]]:
        """Return copies of the states of all streams on the CPU, by stream, for a checkpoint."""
        return {
            stream: {"number": saved.number, "start": saved.start.cpu().clone(), "end": saved.end.cpu().clone()}
            for stream, saved in self._streams.items()
        }

    def load_state(self, state: Mapping[str, Mapping[str, Any]]) -> None:
        """Restore the result of ``state``."""
        self._streams = {
            stream: StreamState(int(saved["number"]), torch.as_tensor(saved["start"]), torch.as_tensor(saved["end"]))
            for stream, saved in state.items()
        }
