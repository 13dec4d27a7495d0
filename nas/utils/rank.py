"""Position of a process among the ranks of a distributed run, from its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping

RANK_NAMES = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "LOCAL_RANK", "NODE_RANK")
"""Environment variables with the position of a process, those over all machines first."""


def rank_of(environment: Mapping[str, str] = os.environ) -> str:
    """Return the position of this process among the ranks, "0" if it is no rank of a distributed run.

    Variables that are no numbers are ignored.
    """
    return next((environment[name] for name in RANK_NAMES if environment.get(name, "").isdecimal()), "0")
