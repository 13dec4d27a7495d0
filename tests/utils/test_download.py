"""nas.utils.download: resumed, verified downloads from a local server that fails in each way."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import random
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nas.utils import download as module
from nas.utils.download import download
from nas.utils.errors import NasError
from nas.utils.remote_file import RemoteFile, fetch
from tests.support.http_tools import Site, serve

CONTENT = random.Random(0).randbytes(300_000)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(module, "PAUSE", 0.0)
    with serve(data=CONTENT) as found:
        yield found


def message_of(caught: pytest.ExceptionInfo[NasError]) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_download_writes_and_reports(site: Site, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    root = tmp_path / "new" / "data"
    assert download(site.file("data"), root, lambda done, total: seen.append((done, total)))
    assert (root / "data").read_bytes() == CONTENT and names_in(root) == {"data"}
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert not download(site.file("data"), root) and len(site.requests) == 1, "a second call only verifies"


def test_download_resumes_after_cut_connections(site: Site, tmp_path: Path) -> None:
    site.cuts = [100_000, 50_000]
    download(site.file("data"), tmp_path)
    assert (tmp_path / "data").read_bytes() == CONTENT
    assert [wanted for _, wanted in site.requests] == [None, "bytes=100000-", "bytes=150000-"]


def test_download_resumes_in_another_call(site: Site, tmp_path: Path) -> None:
    site.cuts = [100_000, 10, 10, 10]
    with pytest.raises(NasError) as caught:
        download(site.file("data"), tmp_path)
    message = message_of(caught)
    assert "the connection broke after 100030 of 300000 bytes" in message
    assert "0.1 MB are kept in data.part. Run the same command again to resume." in message
    assert names_in(tmp_path) == {"data.part"}
    download(site.file("data"), tmp_path)
    assert (tmp_path / "data").read_bytes() == CONTENT and site.requests[-1][1] == "bytes=100030-"
    assert names_in(tmp_path) == {"data"}


def test_download_starts_over_without_ranges(site: Site, tmp_path: Path) -> None:
    site.ranges, site.cuts = False, [100_000]
    download(site.file("data"), tmp_path)
    assert (tmp_path / "data").read_bytes() == CONTENT and len(site.requests) == 2


@pytest.mark.parametrize(
    "part",
    [CONTENT, CONTENT + b"surplus", b"x" * 100, b"x" * len(CONTENT)],
    ids=["complete", "longer", "other", "full"],
)
def test_download_survives_any_part_file(part: bytes, site: Site, tmp_path: Path) -> None:
    (tmp_path / "data.part").write_bytes(part)
    download(site.file("data"), tmp_path)
    assert (tmp_path / "data").read_bytes() == CONTENT and names_in(tmp_path) == {"data"}


def test_download_deletes_wrong_content(site: Site, tmp_path: Path) -> None:
    file = site.file("data", b"other")
    with pytest.raises(NasError) as caught:
        download(file, tmp_path)
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert f"data: the download has sha256 {digest}, but the published file has {file.digest}" in message_of(caught)
    assert names_in(tmp_path) == set()


def test_download_stops_at_the_published_size(site: Site, tmp_path: Path) -> None:
    with pytest.raises(NasError, match=r"the file is larger than the published one \(1000 bytes\)") as caught:
        download(site.file("data", size=1000), tmp_path)
    assert message_of(caught) and names_in(tmp_path) == set()


def test_download_names_http_errors(site: Site, tmp_path: Path) -> None:
    with pytest.raises(NasError, match=r"gone: the download failed \(http://127.*/gone: HTTP 404 Not Found\)\.$"):
        download(site.file("gone", b"x"), tmp_path)
    assert names_in(tmp_path) == set() and len(site.requests) == 1
    site.errors = [503, 429]
    download(site.file("data"), tmp_path)
    assert (tmp_path / "data").read_bytes() == CONTENT


def test_download_tries_all_addresses(site: Site, tmp_path: Path) -> None:
    first = site.file("data")
    urls = (f"{site.address}/gone", "http://127.0.0.1:9/closed", *first.urls)
    download(RemoteFile("data", urls, first.digest, "sha256"), tmp_path)
    assert (tmp_path / "data").read_bytes() == CONTENT
    with pytest.raises(NasError, match=r"closed: Connection refused\)") as caught:
        download(RemoteFile("other", urls[:2], first.digest, "sha256"), tmp_path)
    assert "HTTP 404" in message_of(caught)


@pytest.mark.parametrize("url", ["http://no-such-host.invalid/x", "nonsense", "http://[/x"])
def test_download_names_unreachable_addresses(url: str, tmp_path: Path) -> None:
    with pytest.raises(NasError, match="x: the download failed") as caught:
        download(RemoteFile("x", (url,), "0"), tmp_path)
    assert url in message_of(caught) and names_in(tmp_path) == set()


@pytest.mark.parametrize("name", ["gone", "wrong", "closed"])
def test_download_leaves_no_new_directory_without_content(name: str, site: Site, tmp_path: Path) -> None:
    site.files["wrong"] = b"wrong"
    file = site.file(name, CONTENT)
    if name == "closed":
        file = RemoteFile(name, ("http://127.0.0.1:9/closed",), "0")
    with pytest.raises(NasError):
        download(file, tmp_path / "mistyped" / "data")
    assert names_in(tmp_path) == set()


def test_download_leaves_no_new_directory_after_an_interrupt(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Any, url: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module._Download, "_receive", interrupt)
    with pytest.raises(KeyboardInterrupt):
        download(site.file("data"), tmp_path / "mistyped" / "data")
    assert names_in(tmp_path) == set()


def test_download_creates_its_directory_again(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, opened = tmp_path / "new", Path.open

    def remove_first(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.name == "data.part" and not removed:
            removed.append(self.parent)
            self.parent.rmdir()
        return opened(self, *arguments, **options)

    removed: list[Path] = []
    monkeypatch.setattr(Path, "open", remove_first)
    assert download(site.file("data"), root) and removed == [root]
    assert names_in(root) == {"data"}


def test_download_keeps_other_files(site: Site, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"mine")
    with pytest.raises(NasError, match=r"data: exists, but is not the published file \(sha256 .*\). Move it away"):
        download(site.file("data"), tmp_path)
    assert (tmp_path / "data").read_bytes() == b"mine" and site.requests == []
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NasError, match=r"cannot be written \("):
        download(site.file("data"), tmp_path / "file")


def test_download_keeps_a_file_that_appears_meanwhile(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def appear(done: int, total: int) -> None:
        (tmp_path / "data").write_bytes(b"mine")

    with pytest.raises(NasError, match="appeared during the download"):
        download(site.file("data"), tmp_path, appear)
    assert (tmp_path / "data").read_bytes() == b"mine"


def test_download_reports_a_full_disk(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
        with pytest.raises(NasError, match="data: the disk of .* is full; 0.3 MB more are needed"):
            download(site.file("data"), tmp_path)

    def full(self: Any, chunk: bytes) -> None:
        self.stream.write(chunk[:70_000])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(module._Download, "_write", full)
        with pytest.raises(NasError, match="is full; 0.2 MB more are needed. 0.1 MB are kept in data.part") as caught:
            download(site.file("data"), tmp_path)
    assert message_of(caught) and names_in(tmp_path) == {"data.part"}
    download(site.file("data"), tmp_path)
    assert (tmp_path / "data").read_bytes() == CONTENT and site.requests[-1][1] == "bytes=70000-"


def test_download_waits_for_another_process(site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    other = (tmp_path / "data.part").open("ab")
    fcntl.flock(other, fcntl.LOCK_EX)
    caplog.set_level(logging.INFO)
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(download(site.file("data"), tmp_path)))
    thread.start()
    while "waiting for another process that downloads data" not in caplog.text and thread.is_alive():
        time.sleep(0.01)
    assert site.requests == []
    (tmp_path / "data").write_bytes(CONTENT)  # the other process completes it
    (tmp_path / "data.part").unlink()
    other.close()
    thread.join(20)
    assert found == [False] and site.requests == [] and names_in(tmp_path) == {"data"}


def test_fetch_returns_verified_content(site: Site) -> None:
    assert fetch(site.file("data"), 5.0) == CONTENT
    for file, reason in ((site.file("data", b"other"), "does not have sha256"), (site.file("gone", b""), "HTTP 404")):
        with pytest.raises(NasError, match=reason):
            fetch(file, 5.0)


def test_fetch_gives_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda *arguments, **options: time.sleep(3))
    start = time.monotonic()
    with pytest.raises(NasError, match=r"no answer within 0.2 s"):
        fetch(RemoteFile("x", ("http://hangs.invalid/x",), "0"), 0.2)
    assert time.monotonic() - start < 2
