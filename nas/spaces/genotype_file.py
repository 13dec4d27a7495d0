"""Files that a run leaves behind, written so that a reader never sees half of one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from nas.architecture.cell import CellGenotype, Genotype, Link
from nas.spaces.notation import EXAMPLES, is_native_string, native_string, parse_genotype
from nas.utils.errors import NasError
from nas.utils.io import write_json
from nas.zoo import architectures

FORMAT = "nas-genotype"
VERSION = 1
GENOTYPE_FILE = "genotype.json"


def encode_genotype(genotype: Genotype) -> dict[str, Any]:
    """A genotype as plain values: format, version, space, native string and the links of each cell."""
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
    """Writes genotype.json, atomically."""
    write_json(path, encode_genotype(genotype))


def published(source: str | Path) -> architectures.PublishedArchitecture | None:
    """The published architecture that ``source`` names; None for a native string, or where there is such a file."""
    text = str(source).strip()
    if is_native_string(text) or os.path.isfile(_genotype_file(text)):
        return None
    return architectures.find_architecture(text)


def load_genotype(source: str | Path) -> Genotype:
    """The genotype of a run directory, a genotype.json, a native string or the name of a published architecture.

    Raises NasError where there is none.
    """
    text = str(source).strip()
    if is_native_string(text):
        return parse_genotype(text)
    entry = published(text)
    if entry is not None:
        return parse_genotype(entry.genotype)
    path = _genotype_file(text)
    if not os.path.isfile(path):  # unlike Path's, false for a name that is too long for a file
        bare = path.suffix != ".json" and path.parent == Path(".")
        near = architectures.similar_names(text) if bare else []
        looked = f"nothing called '{text}'" if bare else f"no file {path}"
        hint = f", did you mean {' or '.join(near)}?" if near else ";"
        raise NasError(
            f"genotype: {looked}{hint} give a run directory, a genotype.json, a published name (train.py --list), "
            f"{EXAMPLES}"
        )
    try:
        value = json.loads(path.read_text())
    except (ValueError, RecursionError) as error:
        raise NasError(f"{path} is not JSON ({error})") from None
    return decode_genotype(value, path)


def _genotype_file(text: str) -> Path:
    path = Path(os.path.expanduser(text))
    return path / GENOTYPE_FILE if os.path.isdir(path) else path


def decode_genotype(value: Any, path: Path) -> Genotype:
    """The inverse of ``encode_genotype``. Raises NasError, naming ``path``, where it is not one."""
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise NasError(f"{path} is not a genotype file: its 'format' is not '{FORMAT}'")
    if value.get("version") != VERSION:
        raise NasError(f"{path} has version {value.get('version')}, this release reads version {VERSION}")
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
            f"{path} is damaged: every cell needs 'links' [[op, source, target], ...] and 'output'"
        ) from None
