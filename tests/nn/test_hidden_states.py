"""Hidden states of streams: carried from chunk to chunk, equal in repeated passes."""

from __future__ import annotations

import torch

from nas.nn.chunk import Chunk, Stream
from nas.nn.hidden_states import HiddenStates

LIKE = torch.zeros(1)


def chunk(number: int, stream: Stream = "train") -> Chunk:
    return Chunk(torch.zeros(5, 2, dtype=torch.long), stream, number)


def run(states: HiddenStates, number: int, stream: Stream = "train", plus: float = 1.0) -> float:
    """Pass over a chunk that adds ``plus`` to the hidden state, and return the state before it."""
    start = states.start(chunk(number, stream), 3, LIKE)
    states.keep(chunk(number, stream), start, start + plus)
    assert start.shape == (2, 3)
    return float(start[0, 0])


def test_each_stream_carries_its_own_state_and_begins_an_epoch_with_zeros() -> None:
    states = HiddenStates()
    assert [run(states, n) for n in range(3)] == [0, 1, 2]
    assert [run(states, n, "arch", plus=10.0) for n in range(2)] == [0, 10]
    assert run(states, 3) == 3
    assert run(states, 0) == 0 and run(states, 2, "arch") == 20


def test_repeated_pass_begins_with_the_same_state_and_the_last_one_is_carried() -> None:
    states = HiddenStates()
    run(states, 0)
    assert [run(states, 1, plus=plus) for plus in (5.0, 6.0, 7.0)] == [1, 1, 1]
    assert run(states, 2) == 8


def test_state_round_trips_and_is_detached_from_the_graph() -> None:
    states, other = HiddenStates(), HiddenStates()
    start = states.start(chunk(0), 3, LIKE)
    states.keep(chunk(0), start, start + torch.ones(1, requires_grad=True))
    other.load_state(states.state())
    assert run(other, 1) == run(states, 1) == 1
    assert not other.start(chunk(2), 3, LIKE).requires_grad
    states.clear()
    assert run(states, 3) == 0
