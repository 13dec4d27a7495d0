"""Genotype files: writing genotype.json, and loading a genotype from any source that a user can name."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.spaces.notation import EXAMPLES, is_native_string, native_string, parse_genotype
from nas.utils.atomic_write import write_json
from nas.utils.errors import NasError
from nas.zoo import architectures

FORMAT = "nas-genotype"
VERSION = 1
GENOTYPE_FILE = "genotype.json"


def encode_genotype(genotype: Genotype) -> dict[str, Any]:
    """Return a genotype as JSON values: format, version, space, native string and the links of each cell."""
    cells = {
        name: {"links": [list(link) for link in cell.links], "output": list(cell.output)}
        for name, cell in genotype.cells.items()
    }
    return {
        "format": FORMAT,
        "version": VERSION,
        "space": genotype.space,
        "native": native_string(genotype),
        "cells": cells,
    }


def save_genotype(genotype: Genotype, path: Path) -> None:
    """Write genotype.json atomically."""
    write_json(path, encode_genotype(genotype))


def find_published(source: str | Path) -> architectures.PublishedArchitecture | None:
    """Return the published architecture with the name ``source``, None if it is a native string or an existing file."""
    text = str(source).strip()
    if is_native_string(text) or os.path.isfile(_genotype_file(text)):
        return None
    return architectures.find_architecture(text)


def load_genotype(source: str | Path) -> Genotype:
    """Load a genotype from a run directory, a genotype.json, a native string or the name of a published architecture.

    Raises NasError if ``source`` is none of these.
    """
    text = str(source).strip()
    if is_native_string(text):
        return parse_genotype(text)
    architecture = find_published(text)
    if architecture is not None:
        return parse_genotype(architecture.genotype)
    path = _genotype_file(text)
    if not os.path.isfile(path):  # Path.is_file raises for a name that is too long
        is_name = path.suffix != ".json" and path.parent == Path(".")
        near = architectures.similar_names(text) if is_name else []
        problem = "no published architecture and no file has this name" if is_name else f"there is no file {path}"
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise NasError(
            f"genotype={text}: {problem}.{hint} Give a run directory, a genotype.json, a published name "
            f"(train.py --list), {EXAMPLES}."
        )
    try:
        value = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise NasError(f"genotype={path}: the file is not JSON ({error}). Give another genotype.json.") from None
    return decode_genotype(value, path)


def _genotype_file(text: str) -> Path:
    path = Path(os.path.expanduser(text))
    return path / GENOTYPE_FILE if os.path.isdir(path) else path


def decode_genotype(value: Any, path: Path) -> Genotype:
    """Return the genotype of JSON values. Raises NasError, which names ``path``, if they are not a genotype."""
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise NasError(f"{path} is not a genotype file: its 'format' is not '{FORMAT}'.")
    if value.get("version") != VERSION:
        raise NasError(f"{path} has version {value.get('version')}, but this release reads version {VERSION}.")
    try:
        cells = {
            str(name): CellGenotype(
                tuple(Link(str(op), int(source), int(target)) for op, source, target in cell["links"]),
                tuple(int(node) for node in cell["output"]),
            )
            for name, cell in value["cells"].items()
        }
        return Genotype(str(value["space"]), cells)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise NasError(
            f"{path} is damaged: every cell needs 'links' [[op, source, target], ...] and 'output'."
        ) from None
