"""Genotype files: writing genotype.json, and loading a genotype from any source that a user can name."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.architecture.cell import NONE, CellGenotype, Genotype, Link
from nas.nn.custom_ops import CUSTOM_OPS
from nas.nn.ops import OPS
from nas.spaces.check_inputs import require_text
from nas.spaces.choices_notation import NOTATION as CHOICES
from nas.spaces.custom_spaces import CUSTOM_SPACES
from nas.spaces.darts import notation as darts
from nas.spaces.genotype_text import abbreviate, choose_genotype, find_genotypes
from nas.spaces.genotype_values import WRAPPERS, genotype_of_value
from nas.spaces.notation import (
    EXAMPLES,
    FORMATTERS,
    find_other_notation,
    is_native_string,
    native_string,
    parse_genotype,
)
from nas.utils.atomic_write import write_json
from nas.utils.errors import NasError, one_line
from nas.utils.literals import read_literal
from nas.utils.own_parts import Origin
from nas.utils.user_path import user_path
from nas.zoo import architectures

log = logging.getLogger(__name__)

FORMAT = "nas-genotype"
VERSION = 1
GENOTYPE_FILE = "genotype.json"
MAX_BYTES = 32 * 2**20
"""Bound of the size of a file with an architecture."""
MAX_LINKS = 10_000

Budget = Mapping[str, Mapping[str, float]]
"""``value`` and ``limit`` of each limited cost, by its name (``nas.spaces.limits.Limits.report``)."""


def encode_genotype(genotype: Genotype, budget: Budget | None = None) -> dict[str, Any]:
    """Return a genotype as JSON values: format, version, space, native string and the links of each cell.

    ``own_parts`` records the origin of custom ops and of a custom space. ``budget`` records ``value`` and ``limit``
    of each limited cost of a search.
    """
    cells = {
        name: {"links": [list(link) for link in cell.links], "output": list(cell.output)}
        for name, cell in genotype.cells.items()
    }
    custom = {name: origin._asdict() for name, origin in find_origins(genotype).items()}
    return {
        "format": FORMAT,
        "version": VERSION,
        "space": genotype.space,
        "native": native_string(genotype),
        "cells": cells,
        **({"own_parts": custom} if custom else {}),
        **({"budget": {name: dict(cost) for name, cost in budget.items()}} if budget else {}),
    }


def find_origins(genotype: Genotype) -> dict[str, Origin]:
    """Return the places of the custom ops and the custom space of a genotype, by name."""
    custom_space = genotype.space not in FORMATTERS or genotype.space == CHOICES
    if not (custom_space or genotype.space == darts.NOTATION):  # the other published spaces have ops of fixed names
        return {}
    options = genotype.space == CHOICES  # not ops by name
    links = [] if options else [link for cell in genotype.cells.values() for link in cell.links]
    ops = sorted({link.op for link in links} - {NONE, *OPS})
    origins = {name: part.origin for name in ops if (part := CUSTOM_OPS.find(name)) is not None}
    space = CUSTOM_SPACES.find(genotype.space) if custom_space else None
    if space is not None:
        origins[genotype.space] = space.origin
    return {**genotype.origins, **origins}


def save_genotype(genotype: Genotype, path: str | Path, budget: Budget | None = None) -> None:
    """Write genotype.json atomically, with the limited costs of its search if there are any."""
    write_json(path, encode_genotype(genotype, budget))


def find_published(source: str | Path) -> architectures.PublishedArchitecture | None:
    """Return the published architecture with the name ``source``, None if it is a native string or an existing file."""
    text = str(source).strip()
    if is_native_string(text) or os.path.isfile(genotype_path(text)):
        return None
    return architectures.find_architecture(text)


def load_genotype(source: str | Path) -> Genotype:
    """Load a genotype from a run directory, a file, a string or the name of a published architecture.

    A file is a genotype.json, or a text that contains architectures, such as the log of a search: the last one counts.
    Strings and files may have the notation of another program (``parse_genotype``).

    Raises NasError if ``source`` is none of these, or ambiguous.
    """
    require_text(None if source is None else str(source))  # a run directory may have a number as its name
    text = str(source).strip()
    if is_native_string(text):
        return parse_genotype(text)
    architecture = find_published(text)
    if architecture is not None:
        return parse_genotype(architecture.genotype)
    path = genotype_path(text)
    if os.path.isfile(path):  # Path.is_file raises for a name that is too long
        return read_genotype_file(path)
    genotype = find_other_notation(text)
    if genotype is not None:
        return genotype
    if text[:1] in tuple("[({"):
        raise NasError(f"genotype={abbreviate(text)}: no known notation. Give {EXAMPLES}.")
    is_name = path.suffix != ".json" and path.parent == Path(".")
    near = architectures.similar_names(text) if is_name else []
    problem = "no published architecture and no file has this name" if is_name else f"there is no file {path}"
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise NasError(
        f"genotype={text}: {problem}.{hint} Give a run directory, a genotype.json, a published name "
        f"(train.py --list), {EXAMPLES}."
    )


def read_genotype_file(path: Path) -> Genotype:
    """Read a genotype.json, or the architecture that another text contains: its only one, or the last one of a log.

    Raises:
        NasError: if the file is not a text, is larger than ``MAX_BYTES``, or its architecture is missing, malformed or
            ambiguous.
    """
    text, problem = _read_text(path)
    value: Any = None
    if not problem:
        try:
            value, problem = _parse_value(text), ""
        except (ValueError, RecursionError) as error:
            problem = one_line(error)
    if isinstance(value, dict) and "format" in value:
        return decode_genotype(value, path)
    genotype = genotype_of_value(value, str(path))
    if genotype is not None:
        return genotype
    named = [value[key] for key in WRAPPERS if isinstance(value, dict) and isinstance(value.get(key), str)]
    if len(named) == 1:
        return parse_genotype(named[0])
    if is_native_string(text) and "\n" not in text.strip():
        return parse_genotype(text)
    genotypes = find_genotypes(text, str(path))
    if not genotypes:
        is_json = path.suffix == ".json"
        reason = f"the file is not JSON ({problem})" if is_json and problem else "the file contains no architecture"
        raise NasError(f"genotype={path}: {reason}. Give another genotype.json, or a text with {EXAMPLES}.")
    chosen = choose_genotype(genotypes, str(path), chronological=value is None)
    if len(genotypes) > 1:
        log.info("genotype       line %d of %s, the last of %d architectures", chosen.line, path, len(genotypes))
    return chosen.genotype


def _read_text(path: Path) -> tuple[str, str]:
    """Return the text of a file, and the problem of a file that is not a text."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise NasError(f"genotype={path}: {size / 2**20:.0f} MB are no architecture. Give a smaller file.")
    data = path.read_bytes()
    return ("", "binary data") if b"\0" in data else (data.decode("utf-8", errors="replace"), "")


def _parse_value(text: str) -> Any:
    """Return the JSON value or the Python literal of a whole text. Raises ValueError or RecursionError."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        try:
            value, end = read_literal(text)
        except ValueError:
            raise error from None
        if text[end:].strip():
            raise error from None
        return value


def genotype_path(text: str) -> Path:
    """Return the file of a genotype: genotype.json of a run directory, otherwise the path itself."""
    path = user_path(text)
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
        if sum(len(cell.links) + len(cell.output) for cell in cells.values()) > MAX_LINKS:
            raise ValueError("too many links")
        genotype = Genotype(str(value["space"]), cells, _origins(value.get("own_parts") or {}))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise NasError(
            f"{path} is damaged: every cell needs 'links' [[op, source, target], ...] and 'output'."
        ) from None
    try:
        native_string(genotype)
    except (LookupError, ValueError, TypeError):
        raise NasError(f"{path} is damaged: its cells are not those of space={genotype.space}.") from None
    return genotype


def _origins(value: Any) -> dict[str, Origin]:
    """Return the recorded places of custom parts. Raises ValueError for anything but short plain texts."""
    origins = {}
    for name, place in value.items():
        texts = (name, place["target"], place["package"])
        if not all(isinstance(text, str) and re.fullmatch(r"[\w.+ <>-]{1,200}", text) for text in texts):
            raise ValueError("own_parts")
        origins[name] = Origin(place["target"], place["package"])
    return origins
