"""Readers of the published releases of NAS-Bench-201 and NATS-Bench."""

from __future__ import annotations

import bz2
import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from nas.benchmarks import hw_nas_bench
from nas.benchmarks.benchmark_spaces import BENCHMARK_SPACES, BenchmarkSpace
from nas.benchmarks.nas_bench_101 import convert as nas_bench_101
from nas.benchmarks.records import RecordColumns, check_names, clear_record
from nas.benchmarks.safe_unpickle import READ_ERRORS, SafeUnpickler, StreamingUnpickler
from nas.benchmarks.trans_nas_bench_101 import tasks as trans_nas_bench_101
from nas.utils.errors import NasError, one_line
from nas.utils.user_path import real_path

RELEASES: Mapping[str, str] = {
    "NATS-tss-v1_0-3ffb9": "nas_bench_201",
    "NATS-sss-v1_0-50262": "nats_size",
    "NAS-Bench-201-v1_0-e61699": "nas_bench_201",
    "NAS-Bench-201-v1_1-096897": "nas_bench_201",
}
"""Notation of the space for each supported release, by the stem of its file or directory."""
TORCH_SAVE_MAGIC = 0x1950A86A20F9469CFC6C
"""First pickle of a file written by torch.save without a zip archive."""
RECORD_KEYS = {"arch_index", "arch_str", "dataset_seed", "all_results"}
MAX_RATIO, SLACK = 1000, 1 << 26
"""Limit of the unpacked bytes: MAX_RATIO times the bytes of the file, plus SLACK."""
Progress = Callable[[int, int], None]
"""Receives the amount that was read and the total."""


class LimitedReader(io.BufferedIOBase):
    """Reader of a decompressed stream that refuses to go beyond ``limit`` bytes."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file = file
        self._left = limit

    def read(self, size: int | None = -1, /) -> bytes:
        return self._count(self._file.read(self._allowed(size)))

    def readline(self, size: int | None = -1, /) -> bytes:
        return self._count(self._file.readline(self._allowed(size)))

    def _allowed(self, size: int | None) -> int:
        return self._left + 1 if size is None or size < 0 else min(size, self._left + 1)

    def _count(self, content: bytes) -> bytes:
        self._left -= len(content)
        if self._left < 0:
            raise ValueError("it unpacks to far more than a benchmark")
        return content


def _limited(content: IO[bytes], path: Path) -> IO[bytes]:
    return cast(IO[bytes], LimitedReader(content, MAX_RATIO * path.stat().st_size + SLACK))


def release_name(source: Path, given: str | None) -> str:
    """Return the release of a source, by its file name or as given. Raise NasError if it is not supported."""
    if not source.exists():
        raise NasError(f"SRC: {source} does not exist")
    name = real_path(source).name if given is None else given
    for suffix in ("-simple", ".pickle.pbz2", ".pth", ".tfrecord", ".pickle"):
        name = name.removesuffix(suffix)
    others = (hw_nas_bench.RELEASE, trans_nas_bench_101.RELEASE)
    if name not in (*RELEASES, *nas_bench_101.RELEASES, *others):
        raise NasError(
            f"SRC: '{name}' ({source}) is not a supported release. Supported are NATS-tss-v1_0-3ffb9-simple, "
            "NATS-sss-v1_0-50262-simple (or their .pickle.pbz2), NAS-Bench-201-v1_0-e61699.pth, "
            "NAS-Bench-201-v1_1-096897.pth, nasbench_only108.tfrecord, nasbench_full.tfrecord, "
            "HW-NAS-Bench-v1_0.pickle, transnas-bench_v10141024.pth and the directory nb_models of NAS-Bench-301 with "
            "xgb_v1.0 in it. Use --as NAME for a renamed file."
        )
    return name


def read_release(source: Path, name: str, partial: bool, progress: Progress) -> RecordColumns:
    """Read all numbers of a release.

    Args:
        source: file or directory.
        name: release, see ``release_name``.
        partial: accept missing architectures.
        progress: receives the progress.

    Raises:
        NasError: if the source is incomplete (unless ``partial``), damaged or malicious.
    """
    space = BENCHMARK_SPACES[RELEASES[name]]
    columns = RecordColumns(space)
    read = _read_directory if source.is_dir() else _read_file
    listed = read(source, columns, partial, progress)
    check_names(space, listed, columns.names, str(source))
    if not columns.names or (len(columns.names) < space.size and not partial):
        absent = [index for index in range(space.size) if index not in columns.names]
        raise _incomplete(source, absent, space)
    return columns


def _read_directory(source: Path, columns: RecordColumns, partial: bool, progress: Progress) -> list[str]:
    listed = _listed_names(_load(source / "meta.pickle.pbz2"), source / "meta.pickle.pbz2")
    check_names(columns.space, listed, {}, str(source))  # before the records, which take minutes
    files = [source / f"{index:06d}.pickle.pbz2" for index in range(columns.space.size)]
    existing = {path.name for path in source.iterdir()}
    absent = [index for index, path in enumerate(files) if path.name not in existing]
    if len(absent) == len(files) or (absent and not partial):
        raise _incomplete(source, absent, columns.space)
    files = [path for path in files if path.name in existing]
    for done, path in enumerate(files, 1):
        record = _load(path)
        if not isinstance(record, dict):
            raise NasError(f"{path} is not a record of a benchmark, but a {type(record).__name__}")
        for results in record.values():
            columns.add(results, str(path))
        progress(done, len(files))
    return listed


def _read_file(source: Path, columns: RecordColumns, partial: bool, progress: Progress) -> list[str]:
    if not source.is_file():
        raise NasError(f"SRC: {source} is not a regular file. Set SRC to the downloaded file.")
    size = source.stat().st_size
    with source.open("rb") as raw:

        def add_record(value: dict[Any, Any]) -> None:
            if value.keys() >= RECORD_KEYS:
                columns.add(value, str(source))
                clear_record(value)
                progress(min(raw.tell(), size), size)

        with read_errors(source), _open_pickle(source, raw) as file:
            content = StreamingUnpickler(file, str(source), add_record).load()
            _check_end(source, file, raw)
    return _listed_names(content, source)


@contextmanager
def _open_pickle(source: Path, raw: IO[bytes]) -> Iterator[IO[bytes]]:
    """Open the pickle in a file: bz2, or torch.save's zip archive or older format with three leading pickles."""
    begin = raw.read(4)
    raw.seek(0)
    if begin[:3] == b"BZh":
        with bz2.open(raw) as file:
            yield _limited(file, source)
    elif begin == b"PK\x03\x04":
        with zipfile.ZipFile(raw) as archive:
            inside = [name for name in archive.namelist() if name.endswith("/data.pkl")]
            if len(inside) != 1:
                raise NasError(f"{source} is a zip archive, but not one of torch.save")
            with archive.open(inside[0]) as file:
                yield _limited(file, source)
    else:
        if StreamingUnpickler(raw, str(source)).load() != TORCH_SAVE_MAGIC:
            raise NasError(f"{source} is neither a .pickle.pbz2 nor a file of torch.save")
        for _ in range(2):
            StreamingUnpickler(raw, str(source)).load()
        yield raw


def load_pickle(source: Path) -> Any:
    """Return the content of a file of torch.save, or of a compressed pickle; see ``SafeUnpickler``."""
    if not source.is_file():
        raise NasError(f"SRC: {source} is not a regular file. Set SRC to the downloaded file.")
    with source.open("rb") as raw, _open_pickle(source, raw) as file:
        content = StreamingUnpickler(file, str(source)).load()
        _check_end(source, file, raw)
        return content


def _load(path: Path) -> Any:
    with read_errors(path), path.open("rb") as raw, bz2.open(raw) as content:
        file = io.BytesIO(_limited(content, path).read())  # to its end, which verifies the checksum
        value = SafeUnpickler(file, str(path)).load()
        _check_end(path, file, None)
        return value


def _check_end(path: Path, file: IO[bytes], raw: IO[bytes] | None) -> None:
    """Read to the end, which verifies the checksum of a stream. Torch's older format ends with a list of tensors."""
    if file is raw:
        StreamingUnpickler(file, str(path)).load()
    elif file.read(1):
        raise NasError(f"{path} has data after its pickle: it is not a file of a benchmark")


@contextmanager
def read_errors(path: Path) -> Iterator[None]:
    """Raise NasError for the errors of a damaged file."""
    try:
        yield
    except FileNotFoundError:
        raise NasError(f"SRC: there is no file {path}") from None
    except (*READ_ERRORS, zipfile.BadZipFile) as error:
        raise NasError(f"{path} is damaged or cut off ({one_line(error) or type(error).__name__})") from None


def _listed_names(meta: Any, path: Path) -> list[str]:
    names = meta.get("meta_archs") if isinstance(meta, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise NasError(f"{path} has no list 'meta_archs': not a file of a benchmark, or another version")
    return names


def _incomplete(source: Path, absent: list[int], space: BenchmarkSpace) -> NasError:
    first = ", ".join(f"{index:06d}" for index in absent[:3]) + (", ..." if len(absent) > 3 else "")
    fix = "" if len(absent) == space.size else ". --partial converts the others."
    return NasError(
        f"{source} lacks {len(absent):,} of the {space.size:,} architectures of {space.title} ({first}){fix}"
    )
