"""The forms in which the benchmarks are distributed."""

from __future__ import annotations

import bz2
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from nas.benchmarks.collect import Columns, check_names, empty
from nas.benchmarks.kinds import KINDS, Kind
from nas.benchmarks.unpickle import BROKEN, Plain, Streaming
from nas.utils.errors import NasError, one_line

VERSIONS: Mapping[str, str] = {
    "NATS-tss-v1_0-3ffb9": "nas_bench_201",
    "NATS-sss-v1_0-50262": "nats_size",
    "NAS-Bench-201-v1_0-e61699": "nas_bench_201",
    "NAS-Bench-201-v1_1-096897": "nas_bench_201",
}
"""The releases that can be read, by the stem of their file's or directory's name, with the space's notation."""
MAGIC = 0x1950A86A20F9469CFC6C
"""What a file of torch.save begins with where it is no zip archive."""
RECORD = {"arch_index", "arch_str", "dataset_seed", "all_results"}
Progress = Callable[[int, int], None]
"""Called with how much was read, and of how much."""


def release(source: Path, stated: str | None) -> str:
    """The release that a source is, by its name or as ``stated``. Raises NasError where it is not a known one."""
    if not source.exists():
        raise NasError(f"SRC: there is nothing at {source}")
    name = source.resolve().name if stated is None else stated
    for suffix in ("-simple", ".pickle.pbz2", ".pth"):
        name = name.removesuffix(suffix)
    if name not in VERSIONS:
        known = "NATS-tss-v1_0-3ffb9-simple, NATS-sss-v1_0-50262-simple (or the .pickle.pbz2 of these) and "
        raise NasError(
            f"SRC: {source} is called '{name}', a release that is not known: {known}NAS-Bench-201-v1_0-e61699.pth, "
            "NAS-Bench-201-v1_1-096897.pth can be read; --as NAME where yours was renamed"
        )
    return name


def read(source: Path, name: str, partial: bool, progress: Progress) -> Columns:
    """All numbers of a release. Raises NasError where it is incomplete (unless ``partial``), damaged or hostile."""
    kind = KINDS[VERSIONS[name]]
    columns = Columns(kind)
    stated = _directory(source, columns, partial, progress) if source.is_dir() else _file(source, columns, progress)
    check_names(kind, stated, columns.names, str(source))
    if not columns.names or (len(columns.names) < kind.size and not partial):
        absent = [index for index in range(kind.size) if index not in columns.names]
        raise _incomplete(source, absent, kind)
    return columns


def _directory(source: Path, columns: Columns, partial: bool, progress: Progress) -> list[str]:
    stated = _stated(_load(source / "meta.pickle.pbz2"), source / "meta.pickle.pbz2")
    check_names(columns.kind, stated, {}, str(source))  # before minutes are spent on the records
    files = [source / f"{index:06d}.pickle.pbz2" for index in range(columns.kind.size)]
    there = {path.name for path in source.iterdir()}
    absent = [index for index, path in enumerate(files) if path.name not in there]
    if len(absent) == len(files) or (absent and not partial):
        raise _incomplete(source, absent, columns.kind)
    files = [path for path in files if path.name in there]
    for done, path in enumerate(files, 1):
        record = _load(path)
        if not isinstance(record, dict):
            raise NasError(f"{path} is not a benchmark's record, but a {type(record).__name__}")
        for results in record.values():
            columns.add(results, str(path))
        progress(done, len(files))
    return stated


def _file(source: Path, columns: Columns, progress: Progress) -> list[str]:
    size = source.stat().st_size
    with source.open("rb") as raw:

        def finished(value: dict[Any, Any]) -> None:
            if value.keys() >= RECORD:
                columns.add(value, str(source))
                empty(value)
                progress(min(raw.tell(), size), size)

        with _reading(source), _pickle(source, raw) as file:
            whole = Streaming(file, str(source), finished).load()
            _end(source, file, raw)
    return _stated(whole, source)


@contextmanager
def _pickle(source: Path, raw: IO[bytes]) -> Iterator[IO[bytes]]:
    """The pickle of a file: bz2, or torch.save's, a zip archive or the older form with three pickles in front."""
    begin = raw.read(4)
    raw.seek(0)
    if begin[:3] == b"BZh":
        with bz2.open(raw) as file:
            yield file
    elif begin == b"PK\x03\x04":
        with zipfile.ZipFile(raw) as archive:
            inside = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if len(inside) != 1:
                raise NasError(f"{source} is a zip archive, but not one of torch.save")
            with archive.open(inside[0]) as file:
                yield file
    else:
        if Plain(raw, str(source)).load() != MAGIC:
            raise NasError(f"{source} is neither a .pickle.pbz2 nor a file of torch.save")
        for _ in range(2):
            Plain(raw, str(source)).load()
        yield raw


def _load(path: Path) -> Any:
    with _reading(path), bz2.open(path) as file:
        value = Plain(file, str(path)).load()
        _end(path, file, None)
        return value


def _end(path: Path, file: IO[bytes], raw: IO[bytes] | None) -> None:
    """Reads on to the end, where a stream proves to be whole; the older torch.save has a list of tensors there."""
    if file is raw:
        Plain(file, str(path)).load()
    elif file.read(1):
        raise NasError(f"{path} goes on after its pickle: it is not a benchmark's file")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NasError(f"SRC: there is no file {path}") from None
    except (*BROKEN, zipfile.BadZipFile) as error:
        raise NasError(f"{path} is damaged or cut off ({one_line(error) or type(error).__name__})") from None


def _stated(meta: Any, path: Path) -> list[str]:
    names = meta.get("meta_archs") if isinstance(meta, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise NasError(f"{path} has no list 'meta_archs': it is not a benchmark's file, or of another version")
    return names


def _incomplete(source: Path, absent: list[int], kind: Kind) -> NasError:
    first = ", ".join(f"{index:06d}" for index in absent[:3]) + (", ..." if len(absent) > 3 else "")
    return NasError(
        f"{source} lacks {len(absent):,} of the {kind.size:,} architectures of {kind.title} ({first})"
        + ("" if len(absent) == kind.size else ": --partial converts those that are there")
    )
