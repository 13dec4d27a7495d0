"""Small benchmarks in the layout of the published files, with known numbers."""

from __future__ import annotations

import bz2
import pickle
import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.benchmarks.benchmark_spaces import BENCHMARK_SPACES, BenchmarkSpace
from tests.support.golden_tools import shared_folder

TSS, SSS = "NATS-tss-v1_0-3ffb9", "NATS-sss-v1_0-50262"
SMALL: dict[str, BenchmarkSpace] = {
    "nas_bench_201": replace(BENCHMARK_SPACES["nas_bench_201"], ops=("none", "nor_conv_3x3")),
    "nats_size": replace(BENCHMARK_SPACES["nats_size"], ops=("8", "64")),
}
"""Spaces of the benchmarks with two ops per edge: 64 and 32 architectures."""
SEEDS: dict[str, dict[int, list[int]]] = {
    "nas_bench_201": {12: [111], 200: [777, 888, 999]},
    "nats_size": {1: [777], 12: [777, 888], 90: [777]},
}
SETS = {"cifar10-valid": ["x-valid", "ori-test"], "cifar10": ["ori-test"]}
FULL_SETS = ["x-valid", "x-test", "ori-test"]


@lru_cache
def shuffled_names(notation: str) -> list[str]:
    """Return the architectures of a small space in the shuffled order of its meta file."""
    found = sorted(SMALL[notation].all_native())
    random.Random(1).shuffle(found)
    return found


def percentage_of(*key: object) -> float:
    """Return a percentage that depends only on the key."""
    return random.Random(repr(key)).uniform(1.0, 99.0)


def training_record(index: int, run: str, seed: int, epochs: int) -> dict[str, Any]:
    """Return one training; its curves end in ``percentage_of(index, epochs, run, seed, SET)``."""
    last = epochs - 1
    before = {} if last == 0 else {"x-valid@0": 0.0, "ori-test@0": 0.0}
    parts = SETS.get(run, FULL_SETS)
    return {
        "name": run,
        "train_acc1es": {last - 1: 0.0, last: percentage_of(index, epochs, run, seed, "train")},
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
        "eval_acc1es": before | {f"{part}@{last}": percentage_of(index, epochs, run, seed, part) for part in parts},
        "eval_losses": {},
        "eval_times": {f"{part}@{last}": 0.5 + index for part in parts},
        "net_state_dict": None,
    }


def record_content(notation: str, index: int) -> OrderedDict[str, Any]:
    """Return all trainings of an architecture; every third one lacks the last seed of the longest training."""
    found: OrderedDict[str, Any] = OrderedDict()
    for epochs, seeds in SEEDS[notation].items():
        kept = seeds[:-1] if index % 3 == 0 and len(seeds) > 2 else seeds
        runs = ("cifar10-valid", "cifar10", "cifar100", "ImageNet16-120")
        found[f"{epochs:02d}"] = {
            "arch_index": index,
            "arch_str": shuffled_names(notation)[index],
            "all_results": {(run, seed): training_record(index, run, seed, epochs) for run in runs for seed in kept},
            "dataset_seed": dict.fromkeys(runs, kept),
            "clear_net_done": True,
        }
    return found


def meta_content(notation: str, filled: bool = False) -> dict[str, Any]:
    """Return the meta file; with all records if ``filled``, as in single files."""
    known = shuffled_names(notation)
    infos = OrderedDict((i, record_content(notation, i)) for i in range(len(known))) if filled else None
    return {"meta_archs": known, "total_archs": len(known), "arch2infos": infos, "evaluated_indexes": set()}


def compressed_pickle(value: Any) -> bytes:
    """Return a compressed pickle."""
    return bz2.compress(pickle.dumps(value, protocol=4))


def write_directory(notation: str, parent: Path, name: str | None = None) -> Path:
    """Write a benchmark as a directory of records."""
    folder = parent / f"{name or {'nats_size': SSS}.get(notation, TSS)}-simple"
    folder.mkdir()
    (folder / "meta.pickle.pbz2").write_bytes(compressed_pickle(meta_content(notation)))
    for index in range(len(shuffled_names(notation))):
        (folder / f"{index:06d}.pickle.pbz2").write_bytes(compressed_pickle(record_content(notation, index)))
    return folder


def write_single_file(parent: Path) -> Path:
    """Write NATS-Bench as one file."""
    path = parent / f"{TSS}.pickle.pbz2"
    path.write_bytes(compressed_pickle(meta_content("nas_bench_201", filled=True)))
    return path


def write_torch_file(parent: Path, zipped: bool) -> Path:
    """Write the file of NAS-Bench-201 in either format of torch.save, with a tensor in it."""
    whole = meta_content("nas_bench_201", filled=True)
    for infos in whole["arch2infos"].values():
        infos["less"], infos["full"] = infos.pop("12"), infos.pop("200")
    whole["arch2infos"][0]["full"]["weights"] = torch.ones(3)
    path = parent / "NAS-Bench-201-v1_1-096897.pth"
    torch.save(whole, path, _use_new_zipfile_serialization=zipped)
    return path


class CallOnLoad:
    """Object whose pickle calls ``call``."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call = call
        self.arguments = arguments

    def __reduce__(self) -> Any:
        return self.call, self.arguments


def widths_genotype(text: str) -> Genotype:
    """Return the genotype of the size space with the given widths, such as 8:8:16:16:64."""
    links = tuple(Link(width, node, node + 1) for node, width in enumerate(text.split(":")))
    return Genotype("nats_size", {"cell": CellGenotype(links, (5,))})


def shared_data() -> Path:
    """Return the directory of the shared benchmark tables."""
    return shared_folder() / "data"


needs_means = pytest.mark.skipif(
    not (shared_data() / "nas_bench_201" / "nb201.parquet").exists(),
    reason=f"no nas_bench_201/nb201.parquet in {shared_data()}",
)
RELEASE_FORMS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "directory": ("nas_bench_201", lambda parent: write_directory("nas_bench_201", parent)),
    "sizes": ("nats_size", lambda parent: write_directory("nats_size", parent)),
    "single": ("nas_bench_201", write_single_file),
    "zip": ("nas_bench_201", lambda parent: write_torch_file(parent, True)),
    "legacy": ("nas_bench_201", lambda parent: write_torch_file(parent, False)),
}
"""Notation and writer of each form in which releases are distributed."""
MEANS = [
    (0, "cifar10", "valid", 200, 81.9827),
    (0, "cifar10", "test", 200, 85.8633),
    (0, "cifar10", "test_of_valid_run", 200, 81.52),
    (0, "cifar10", "valid", 12, 63.364),
    (0, "cifar100", "test", 200, 52.9133),
    (11, "cifar10", "valid", 200, 87.94),
    (11, "cifar10", "test", 200, 91.5833),
    (11, "cifar100", "test", 200, 67.6067),
    (11, "imagenet16_120", "test", 200, 30.1667),
    (284, "cifar10", "valid", 12, 72.876),
    (284, "cifar10", "valid", 200, 86.0467),
    (284, "cifar10", "test", 200, 88.79),
    (284, "cifar100", "test", 200, 62.14),
    (284, "imagenet16_120", "test", 200, 32.4667),
]
RECORDS_ONLY = [
    (0, "cifar10", "test_of_valid_run", 12, 63.24),
    (0, "cifar100", "valid", 200, 52.70),
    (11, "cifar100", "valid", 200, 67.4533),
    (11, "imagenet16_120", "valid", 200, 30.4111),
    (284, "cifar100", "valid", 200, 61.68),
    (284, "imagenet16_120", "valid", 200, 33.40),
]
SECONDS = [
    (11, "cifar10", 12, 153.69593326),
    (11, "cifar10", 200, 2496.56261086),
    (11, "cifar100", 12, 299.9196134),
    (11, "imagenet16_120", 12, 907.9352778),
    (284, "cifar10", 12, 60.89902594),
    (0, "cifar10", 12, 12 * 7.221093 + 2.548979),
]
