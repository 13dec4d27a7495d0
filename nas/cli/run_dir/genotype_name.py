"""Names of genotypes, for the names of runs in loggers."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from nas.architecture.cell import Genotype
from nas.spaces.genotype_file import GENOTYPE_FILE
from nas.spaces.notation import is_native_string, native_string
from nas.utils.errors import NasError
from nas.utils.read_file import read_json
from nas.utils.user_path import real_path, user_path
from nas.zoo.architectures import PublishedArchitecture

PARTS = ("method", "space", "dataset")
MAX_NAME = 60  # characters


def genotype_name(source: str, genotype: Genotype, published: PublishedArchitecture | None) -> str:
    """Return a name that identifies a genotype: its published name, its search, or its space and a hash.

    Args:
        source: value of ``genotype=``.
        genotype: the genotype.
        published: its entry in the zoo, None for any other genotype.
    """
    if published is not None:
        return published.name
    directory = source_run(source)
    if directory is not None:
        return _search_name(directory)
    digest = hashlib.sha256(native_string(genotype).encode()).hexdigest()[:6]
    file = Path(source.strip())
    stem = file.stem if not is_native_string(source) and file.suffix else ""
    name = genotype.space if stem in ("", Path(GENOTYPE_FILE).stem) else _plain(stem)
    return f"{name}-{digest}"


def source_run(source: str) -> Path | None:
    """Return the run directory of the path in ``genotype=`` or ``weights=``, None for other values."""
    if is_native_string(source.strip()):
        return None
    path = user_path(source.strip())
    try:
        places = (path,) if path.is_dir() else (path.parent, path.parent.parent)  # a file or a checkpoint of a run
        return next((place for place in places if path.exists() and (place / ".hydra").is_dir()), None)
    except OSError:  # a name that is too long
        return None


def _search_name(directory: Path) -> str:
    """Return method, space, data set and seed of a finished run, else the name of its directory."""
    try:
        summary = read_json(directory / "summary.json")
        parts = [str(summary[part]) for part in PARTS if part in summary]
        return _plain("-".join([*parts, f"s{summary['seed']}"]))
    except (OSError, ValueError, KeyError, TypeError, NasError):
        return _plain(real_path(directory).name)


def _plain(text: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", text)[:MAX_NAME]
