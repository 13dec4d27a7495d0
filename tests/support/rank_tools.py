"""Two ranks of a distributed run as forked processes, which start in a fraction of a second."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from tests.support.forked_script import preloaded_processes


def on_two_ranks(function: Callable[[int], Any], directory: Path) -> list[Any]:
    """Return the results of ``function(rank)`` on two ranks, which must not compute gradients."""
    mp.start_processes(_on_rank, (function, _free_port(), str(directory)), nprocs=2, start_method="fork")
    return [torch.load(directory / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]


def spawned_ranks(function: Callable[[int, int, str], None], directory: Path) -> list[Any]:
    """Return the content of the files RANK.pt that ``function(rank, port, directory)`` writes in two processes.

    They may compute gradients, because their parent has computed none.
    """
    preloaded_processes()
    mp.start_processes(function, (_free_port(), str(directory)), nprocs=2, start_method="forkserver")
    return [torch.load(directory / f"{rank}.pt", weights_only=True) for rank in (0, 1)]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _on_rank(rank: int, function: Callable[[int], Any], port: int, directory: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    torch.save(function(rank), f"{directory}/rank{rank}.pt")
    dist.destroy_process_group()
