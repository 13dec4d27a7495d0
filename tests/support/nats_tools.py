"""Small benchmarks in the layout of the published files, with numbers that a test knows."""

from __future__ import annotations

import bz2
import pickle
import random
from collections import OrderedDict
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nas.benchmarks.kinds import KINDS, Kind

TSS, SSS = "NATS-tss-v1_0-3ffb9", "NATS-sss-v1_0-50262"
SMALL: dict[str, Kind] = {
    "nas_bench_201": replace(KINDS["nas_bench_201"], ops=("none", "nor_conv_3x3")),
    "nats_size": replace(KINDS["nats_size"], ops=("8", "64")),
}
"""The benchmarks' spaces with two ops an edge: 64 and 32 architectures."""
SEEDS: dict[str, dict[int, list[int]]] = {
    "nas_bench_201": {12: [111], 200: [777, 888, 999]},
    "nats_size": {1: [777], 12: [777, 888], 90: [777]},
}
SETS = {"cifar10-valid": ["x-valid", "ori-test"], "cifar10": ["ori-test"]}
FULL_SETS = ["x-valid", "x-test", "ori-test"]


@lru_cache
def names(notation: str) -> list[str]:
    """The architectures of a small space in the order of its meta file, which is shuffled."""
    found = sorted(SMALL[notation].names())
    random.Random(1).shuffle(found)
    return found


def number(*key: object) -> float:
    """A percentage that is a function of what it is of."""
    return random.Random(repr(key)).uniform(1.0, 99.0)


def trial(index: int, run: str, seed: int, epochs: int) -> dict[str, Any]:
    """One training: curves end in ``number(index, epochs, run, seed, SET)``; an epoch takes ``index`` + 2 seconds."""
    last = epochs - 1
    before = {} if last == 0 else {"x-valid@0": 0.0, "ori-test@0": 0.0}
    parts = SETS.get(run, FULL_SETS)
    return {
        "name": run,
        "train_acc1es": {last - 1: 0.0, last: number(index, epochs, run, seed, "train")},
        "train_acc5es": None,
        "train_losses": {last: 1.0},
        "train_times": OrderedDict({last - 1: float(index + 1), last: float(index + 3)}),
        "arch_config": {"channel": 16, "num_cells": 5, "class_num": 10},
        "params": np.float64(0.1),
        "flop": 15.6,
        "seed": f"{seed:04d}",
        "epochs": epochs,
        "latency": [np.float64(0.25 + index)],
        "eval_names": parts,
        "eval_acc1es": before | {f"{part}@{last}": number(index, epochs, run, seed, part) for part in parts},
        "eval_losses": {},
        "eval_times": {f"{part}@{last}": 0.5 + index for part in parts},
        "net_state_dict": None,
    }


def record(notation: str, index: int) -> OrderedDict[str, Any]:
    """All trainings of an architecture; every third one lacks the last seed of the longest."""
    found: OrderedDict[str, Any] = OrderedDict()
    for epochs, seeds in SEEDS[notation].items():
        kept = seeds[:-1] if index % 3 == 0 and len(seeds) > 2 else seeds
        runs = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
        found[f"{epochs:02d}"] = {
            "arch_index": index,
            "arch_str": names(notation)[index],
            "all_results": {(run, seed): trial(index, run, seed, epochs) for run in runs for seed in kept},
            "dataset_seed": dict.fromkeys(runs, kept),
            "clear_net_done": True,
        }
    return found


def meta(notation: str, filled: bool = False) -> dict[str, Any]:
    """The meta file; ``filled`` with all records, as single files have them."""
    known = names(notation)
    infos = OrderedDict((i, record(notation, i)) for i in range(len(known))) if filled else None
    return {"meta_archs": known, "total_archs": len(known), "arch2infos": infos, "evaluated_indexes": set()}


def pack(value: Any) -> bytes:
    """A pickle, compressed."""
    return bz2.compress(pickle.dumps(value, protocol=4))


def directory(notation: str, where: Path, name: str | None = None) -> Path:
    """A benchmark as a directory of records."""
    folder = where / f"{name or {'nats_size': SSS}.get(notation, TSS)}-simple"
    folder.mkdir()
    (folder / "meta.pickle.pbz2").write_bytes(pack(meta(notation)))
    for index in range(len(names(notation))):
        (folder / f"{index:06d}.pickle.pbz2").write_bytes(pack(record(notation, index)))
    return folder


def single(where: Path) -> Path:
    """NATS-Bench as one file."""
    path = where / f"{TSS}.pickle.pbz2"
    path.write_bytes(pack(meta("nas_bench_201", filled=True)))
    return path


def saved(where: Path, zipped: bool) -> Path:
    """NAS-Bench-201's own file, in either form of torch.save; with a tensor, which it may hold."""
    whole = meta("nas_bench_201", filled=True)
    for infos in whole["arch2infos"].values():
        infos["less"], infos["full"] = infos.pop("12"), infos.pop("200")
    whole["arch2infos"][0]["full"]["weights"] = torch.ones(3)
    path = where / "NAS-Bench-201-v1_1-096897.pth"
    torch.save(whole, path, _use_new_zipfile_serialization=zipped)
    return path


class Run:
    """Pickles as a call of ``call``."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call = call
        self.arguments = arguments

    def __reduce__(self) -> Any:
        return self.call, self.arguments
