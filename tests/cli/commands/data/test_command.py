"""Command ``data``: its listing, its downloads from a local server, and its errors."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nas.benchmarks import read_release
from nas.benchmarks.descriptions import BENCHMARKS
from nas.cli.commands.data import catalog, command, get
from nas.cli.commands.data.catalog import CATALOG, Entry
from nas.data.pipeline.archive import Archive
from nas.utils import download
from tests.support.error_tools import run
from tests.support.http_tools import Site, serve
from tests.support.nats_tools import RELEASE_FORMS, SMALL

CONTENT = bytes(range(256)) * 400
MEMBERS = {"one": b"1" * 1000, "two": b"2" * 500}


def archive_of(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(f"folder/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return stream.getvalue()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Serve the text and the archive of a small catalog."""
    monkeypatch.setattr(download, "PAUSE", 0.0)
    packed = archive_of(MEMBERS)
    with serve(**{"text/a.txt": CONTENT, "pack.tar.gz": packed}) as found:
        sums = {name: hashlib.md5(content).hexdigest() for name, content in MEMBERS.items()}
        archive = Archive(f"{found.address}/pack.tar.gz", hashlib.md5(packed).hexdigest(), "folder", sums)
        entries = {
            "text": Entry("MIT", len(CONTENT), (found.file("text/a.txt"),)),
            "pack": Entry("MIT", len(packed), archive=archive),
            "lost": Entry("MIT", 10, (found.file("lost.txt", b"gone"),)),
            "account": replace(CATALOG["imagenet16_120"], size=10),
            "digits": CATALOG["digits"],
            "nas_bench_201": CATALOG["nas_bench_201"],
        }
        for module in (catalog, command, get):
            monkeypatch.setattr(module, "CATALOG", entries)
        yield found


def call(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    """Run the command and return exit code, output and errors."""
    code = command.main([str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def refused(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    code, _, err = call(capsys, *words)
    assert code == 1 and err.startswith("error: ") and err.count("\n") == 1, err
    return err


def state_of(listing: str, name: str) -> list[str]:
    """Return name, state, checksum and size in a listing."""
    (line,) = [line for line in listing.splitlines() if line.startswith(f"{name} ")]
    return [line[:15].strip(), line[16:30].strip(), line[31:39].strip(), line[40:47].strip()]


@pytest.mark.usefixtures("site")
def test_data_lists_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys)
    assert (code, err) == (0, "") and max(map(len, out.splitlines())) <= 80
    assert state_of(out, "text") == ["text", "missing", "-", "102 kB"]
    assert "    data/text/a.txt\n    get it: python search.py data get text\n" in out
    assert "    data/ImageNet16\n    get it: https://image-net.org/download-images" in out
    assert "digits          yes            -              -  BSD-3-Clause" in out
    (tmp_path / "data" / "folder").mkdir(parents=True)
    (tmp_path / "data" / "folder" / "one").write_bytes(MEMBERS["one"])
    (tmp_path / "data" / "text").mkdir()
    (tmp_path / "data" / "text" / "a.txt.part").write_bytes(b"x" * 2_000_000)
    _, out, _ = call(capsys)
    assert state_of(out, "pack")[1:3] == ["1 of 2 files", "matches"] and state_of(out, "text")[1] == "2 MB partial"
    (tmp_path / "data" / "folder" / "two").write_bytes(b"other")
    code, out, _ = call(capsys)
    assert code == 1 and state_of(out, "pack")[1:3] == ["yes", "DIFFERS"]
    assert "    data/folder/two is not the published file. Move it away and get it again.\n" in out


def test_data_lists_every_data_set_and_table_of_the_project() -> None:
    from tests.support.compose_tools import choices

    own = {"folder", "hf"}  # named below the table
    assert set(choices("dataset")) - own <= set(CATALOG)
    subspaces = {"nas_bench_1shot1"}  # read from the table of nas_bench_101
    assert {entry.notation for entry in CATALOG.values()} - {""} == set(BENCHMARKS) - subspaces
    for name, entry in CATALOG.items():
        assert len(name) <= 15 and 0 < len(entry.license) <= 32, name
        assert entry.downloadable or entry.note or entry.source, name


def test_data_get_downloads_unpacks_and_verifies(
    site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = f"paths.data={tmp_path}/new"
    code, out, err = call(capsys, "get", "text", "pack", place)
    assert (code, err) == (0, ""), err
    assert (tmp_path / "new" / "text" / "a.txt").read_bytes() == CONTENT
    assert {path.name: path.read_bytes() for path in (tmp_path / "new" / "folder").iterdir()} == MEMBERS
    _, out, _ = call(capsys, place)
    assert state_of(out, "text")[1:] == ["yes", "matches", "102 kB"]
    assert state_of(out, "pack")[1:3] == ["yes", "matches"]
    served = len(site.requests)
    code, out, _ = call(capsys, "get", "text", "pack", place)
    assert code == 0 and out.count("is available and verified") == 2 and len(site.requests) == served


def test_data_get_resumes(site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site.cuts = [50_000, 1, 1, 1]
    erred = refused(capsys, "get", "text", f"paths.data={tmp_path}")
    assert "the connection broke after 50003 of 102400 bytes" in erred and "Run the same command again" in erred
    assert call(capsys, "get", "text", f"paths.data={tmp_path}")[0] == 0
    assert (tmp_path / "text" / "a.txt").read_bytes() == CONTENT and site.requests[-1][1] == "bytes=50003-"


@pytest.mark.usefixtures("site")
def test_data_get_refuses_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = f"paths.data={tmp_path}"
    for words, phrases in (
        (("get", "tex", place), ("unknown data 'tex'", "did you mean 'text'?")),
        (("get", "text", "nothing", place), ("unknown data 'nothing'", "Choose from account, digits")),
        (("get", place), ("data get: needs a name",)),
        (("git", "text"), ("unknown command of data 'git'", "did you mean 'get'?")),
        (("text",), ("data text: is not a command. Use data get text.",)),
        (("get", "lost", place), ("lost.txt: the download failed", "HTTP 404 Not Found")),
        (("get", "account", place), ("has no public address. Download it from https://image-net.org", "ImageNet16")),
        (("get", "digits", place), ("nothing to download; it is installed with scikit-learn",)),
        (("--force",), ("data: unknown option --force",)),
        (("-m",), ("data: unknown option --multirun",)),
        (("seed=1",), ("data: seed=1: has no effect here",)),
        (("paths.data=",), ("data: paths.data=: is not a directory",)),
        (("paths.data=${nothing}",), ("data: paths.data='${nothing}': cannot be resolved",)),
    ):
        erred = refused(capsys, *words)
        for phrase in phrases:
            assert phrase in erred
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("site")
def test_data_get_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text").mkdir()
    for name, other in (("text", "text/a.txt"), ("pack", "pack.tar.gz")):
        (tmp_path / other).write_bytes(b"mine")
        assert f"{other} is not the published file. Move it away" in refused(
            capsys, "get", name, f"paths.data={tmp_path}"
        )
        assert (tmp_path / other).read_bytes() == b"mine"


def fake_gdown(content: Path | None) -> ModuleType:
    """Return a module in place of gdown, which "downloads" a file."""
    module: Any = ModuleType("gdown")

    def download(id: str, output: str, resume: bool, quiet: bool) -> str | None:
        assert resume and id == "1vzyK0UVH2D3fTpa1_dSWnp1gvGpAxRul"
        if content is not None:
            Path(output).write_bytes(content.read_bytes())
        return output

    module.download = download
    return module


@pytest.mark.usefixtures("site")
def test_data_get_converts_a_benchmark(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"paths.benchmark={tmp_path}/tables"
    monkeypatch.setitem(sys.modules, "gdown", None)
    erred = refused(capsys, "get", "nas_bench_201", place)
    assert "needs gdown. Run pip install 'nas-compose[download]'; or download https://drive.google.com/file/d/" in erred
    monkeypatch.setitem(sys.modules, "gdown", fake_gdown(None))
    assert "failed (Google Drive sent no file). Run the same command" in refused(capsys, "get", "nas_bench_201", place)
    monkeypatch.setattr(read_release, "BENCHMARK_SPACES", SMALL)
    release = RELEASE_FORMS["single"][1](tmp_path)
    monkeypatch.setitem(sys.modules, "gdown", fake_gdown(release))
    code, out, err = call(capsys, "get", "nas_bench_201", place)
    assert code == 0 and "wrote " in out, err
    code, out, _ = call(capsys, place)
    assert state_of(out, "nas_bench_201")[1:3] == ["yes", "matches"]
    code, out, _ = call(capsys, "get", "nas_bench_201", place)
    assert code == 0 and "is available: " in out
    table = tmp_path / "tables" / "nas_bench_201.parquet"
    content = bytearray(table.read_bytes())
    content[2000] ^= 1
    table.write_bytes(content)
    assert "is damaged (its checksum does not match)" in refused(capsys, "get", "nas_bench_201", place)
    assert table.read_bytes() == content


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("name", ["with space, comma", "a=b", "[a]", "{x}", "$HOME", "~no-such-user"])
def test_data_get_takes_a_directory_literally(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, "get", "text", f"paths.data={name}")
    assert (code, err) == (0, ""), err
    assert (tmp_path / name / "text" / "a.txt").read_bytes() == CONTENT


def test_data_help_names_all_downloads(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "--help")
    assert code == 0 and "usage: python search.py data [get NAME ...] [paths.data=DIR]" in out
    assert "NAME: cifar10, cifar100, splits, svhn, svhn_extra, ptb, wikitext2, nas_bench_201, nats_size\n" in out


def test_search_runs_the_command(tmp_path: Path) -> None:
    found = run("search", "data", f"paths.data={tmp_path}", f"paths.benchmark={tmp_path}")
    found.succeeded()
    assert "cifar100        missing        -         169 MB  none stated" in found.said
    assert f"get it: python search.py data get cifar100 paths.data={tmp_path}" in found.said
    run("search", "data", "get", "cifar", f"paths.data={tmp_path}").refused("unknown data 'cifar'", "did you mean")
