"""Hostile files of weights, and the command lines that read them."""

from __future__ import annotations

import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

from tests.support.hostile_bench import (
    HUGE_CELL,
    LINKS,
    SYNTHETIC,
    Bench,
    Case,
    Code,
    Edit,
    laughs,
    set_value,
)


def _weights(edit: Edit, *more: str) -> Callable[[Bench], list[str]]:
    """Return the maker of a model.pt with changed content, which mode=eval reads."""

    def make(bench: Bench) -> list[str]:
        content = torch.load(bench.trained / "model.pt", weights_only=True)
        edit(content, bench)
        torch.save(content, bench.directory / "model.pt")
        return ["mode=eval", f"weights={bench.directory}/model.pt", "evaluation.runs=1", *more]

    return make


MODELS: dict[str, tuple[Edit, str]] = {
    "channels": (set_value("options", "channels", value=10**9), "option channels=1000000000 is out of range"),
    "many channels": (set_value("options", "channels", value=60_000), "use a whole number from 1 to 8,192"),
    "negative channels": (set_value("options", "channels", value=-1), "is out of range"),
    "text channels": (set_value("options", "channels", value="4"), "has a type that the option does not accept"),
    "list option": (set_value("options", "channels", value=laughs()), "options has a value of type list"),
    "cells": (set_value("options", "cells_per_stage", value=10**7), "is out of range"),
    "unknown option": (set_value("options", "__class__", value=1), "is unknown to the networks"),
    "no options": (set_value("options", value=[1]), "options is not a mapping"),
    "short mean": (set_value("mean", value=[0.5]), "mean does not have a number for each of 3 channels"),
    "mean of lists": (set_value("mean", value=laughs()), "mean does not have a number"),
    "std of zero": (set_value("std", value=[0.0, 1.0, 1.0]), "std has a value that is not positive"),
    "infinite std": (set_value("std", value=[float("inf")] * 3), "not a finite number"),
    "names": (set_value("class_names", value=["a"]), "class_names does not have a name for each"),
    "nested names": (set_value("class_names", value=[laughs()] * 10), "class_names has a name that is not text"),
    "long name": (set_value("class_names", value=["x" * 10**6] * 10), "class_names has a name"),
    "classes": (set_value("classes", value=10**9), "classes is not a whole number from 1"),
    "shape": (set_value("shape", value=[3, 10**6, 10**6]), "has more than"),
    "short shape": (set_value("shape", value=[3, 8]), "shape is not [channels, height, width]"),
    "data set path": (set_value("dataset", value="{evil}"), "not a choice of your configuration"),
    "data set list": (set_value("dataset", value=laughs()), "dataset is not a name"),
    "version": (set_value("version", value=laughs()), "has version unknown"),
    "strides": (
        set_value("state_dict", "classifier.bias", value=torch.ones(1).expand(200_000_000)),
        "a tensor of (200000000,) in a storage of 4 bytes",
    ),
    "overlap": (
        set_value("state_dict", "classifier.bias", value=torch.ones(20_000).as_strided((10_000, 10_000), (1, 1))),
        "in a storage of 80,000 bytes",
    ),
    "sparse": (set_value("state_dict", "classifier.bias", value="{sparse}"), "a tensor that is sparse"),
    "meta": (set_value("state_dict", "classifier.bias", value=torch.ones(10**9, device="meta")), "without data"),
    "no tensor": (set_value("state_dict", "classifier.bias", value=laughs()), "does not map names to tensors"),
    "nested key": (lambda content, bench: content.update({laughs(tuple, 10): 1}), "a nested key of a mapping"),
    "nodes": (set_value("genotype", value={**LINKS, "cells": {"normal": HUGE_CELL}}), "a cell with 999999999 nodes"),
    "object": (lambda content, bench: content.update(x=Code(bench.marker)), "contains a Python object (posix.mkdir)"),
}


def _model_file(write: Callable[[Path, Bench], object], option: str = "weights") -> Callable[[Bench], list[str]]:
    def make(bench: Bench) -> list[str]:
        write(bench.directory / "model.pt", bench)
        genotype = [] if option == "weights" else [f"genotype={bench.trained}", "epochs=1"]
        return [f"{option}={bench.directory}/model.pt", *(["mode=eval"] if option == "weights" else genotype)]

    return make


def zip_bomb(path: Path, bench: Bench) -> None:
    """Write a model.pt with a compressed record: 256 MiB of zeros in less than 1 MB."""
    shutil.copy(bench.trained / "model.pt", path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/bomb", bytes(1 << 28))


def short_storage(path: Path, bench: Bench) -> None:
    """Write a model.pt whose storages declare more numbers than their records hold."""
    with zipfile.ZipFile(bench.trained / "model.pt") as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            content = old.read(entry)
            new.writestr(entry.filename, content[:4] if "/data/" in entry.filename else content)


def legacy_storage(path: Path, bench: Bench) -> None:
    """Write a file of the format without an archive that declares 10**15 numbers."""
    torch.save({"w": torch.ones(3)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    declared = b"K\x03N"  # BININT1 3, NONE: the number of elements
    assert content.count(declared) == 1
    path.write_bytes(content.replace(declared, b"\x8a\x08" + struct.pack("<q", 10**15) + b"N"))


def code_alone(path: Path, bench: Bench) -> None:
    """Write a pickle that creates the marker."""
    path.write_bytes(pickle.dumps(Code(bench.marker)))


def _endless_cells(bench: Bench) -> list[str]:
    """Write published weights with a name of cell 10**7, and return the arguments of their evaluation."""
    state = {
        "stem.0.weight": torch.ones(12, 3, 3, 3),
        "cells.0.preprocess1.op.1.weight": torch.ones(4, 12, 1, 1),
        "classifier.weight": torch.ones(10, 8),
    }
    torch.save({**state, "cells.10000000.x": torch.ones(1)}, bench.directory / "weights.pt")
    return ["mode=eval", "genotype=DARTS_V2", f"weights={bench.directory}/weights.pt", *SYNTHETIC[:4]]


def weights_cases() -> Iterator[Case]:
    """Yield the files of weights."""
    for name, (edit, phrase) in MODELS.items():
        yield Case(f"model.pt: {name}", "train", _weights(edit), phrase)
    yield Case("model.pt: zip bomb", "train", _model_file(zip_bomb), "bytes declared in a file")
    yield Case("model.pt: short storage", "train", _model_file(short_storage), "a storage declares")
    yield Case("model.pt: legacy storage", "train", _model_file(legacy_storage), "a storage declares")
    yield Case("model.pt: code", "train", _model_file(code_alone), "not a file of torch.save")
    yield Case("init_weights: zip bomb", "train", _model_file(zip_bomb, "init_weights"), "bytes declared in a file")
    yield Case("weights: cells", "train", _endless_cells, "is out of range")
