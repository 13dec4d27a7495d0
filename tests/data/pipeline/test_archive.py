"""nas.data.pipeline.archive: download, unpacking and md5 checks, with a small CIFAR-10."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.utils.errors import NasError
from tests.support.cifar_tools import FOLDER, CifarSite, file_contents, list_files, md5_of, tar_of, unpack_files


@pytest.fixture
def site(tmp_path: Path) -> CifarSite:
    return CifarSite(tmp_path / "site")


def message_of(caught: pytest.ExceptionInfo[NasError]) -> str:
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_archive_unpacks_a_local_archive_without_download(site: CifarSite, tmp_path: Path) -> None:
    root = tmp_path / "data"
    root.mkdir()
    site.path.rename(root / site.path.name)
    data = site.data(root, download=False)
    data.prepare_data()
    assert data.sizes()["test"] == 4


def test_archive_leaves_unpacked_files_unchanged(site: CifarSite, tmp_path: Path) -> None:
    root = unpack_files(tmp_path / "data", site.files)
    before = list_files(root)
    data = site.data(root, download=False)
    data.prepare_data()
    assert list_files(root) == before and data.sizes()["test"] == 4


def test_archive_unpacks_only_missing_files(site: CifarSite, tmp_path: Path) -> None:
    root = unpack_files(tmp_path / "data", {"data_batch_1": b"changed"})
    site.data(root).prepare_data()
    assert (root / FOLDER / "data_batch_1").read_bytes() == b"changed"


def test_archive_names_missing_files_and_their_source(site: CifarSite, tmp_path: Path) -> None:
    root = tmp_path / "data"
    with pytest.raises(NasError) as caught:
        site.data(root, download=False).prepare_data()
    message = message_of(caught)
    for part in (str(root / FOLDER), "data_batch_1 and 6 other files", "download is off", site.archive.md5,
                 site.archive.url):  # fmt: skip
        assert part in message
    assert not root.exists()


def test_archive_reports_a_failed_download(site: CifarSite, tmp_path: Path) -> None:
    site.path.unlink()
    with pytest.raises(NasError, match="the download failed .*No such file") as caught:
        site.data(tmp_path / "data").prepare_data()
    assert site.archive.md5 in message_of(caught) and list_files(tmp_path / "data") == set()


def test_archive_removes_a_damaged_download(site: CifarSite, tmp_path: Path) -> None:
    site.path.write_bytes(site.packed[:-10])
    with pytest.raises(NasError, match=f"the download has md5 {md5_of(site.packed[:-10])}"):
        site.data(tmp_path / "data").prepare_data()
    assert list_files(tmp_path / "data") == set()


def test_archive_rejects_a_root_that_is_a_file(site: CifarSite, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NasError, match="cannot be written"):
        site.data(tmp_path / "file" / "data").prepare_data()


def test_setup_does_not_download(site: CifarSite, tmp_path: Path) -> None:
    with pytest.raises(NasError, match=r"prepare_data\(\) was not called"):
        site.data(tmp_path / "data").setup()


def test_archive_rejects_a_damaged_local_archive(site: CifarSite, tmp_path: Path) -> None:
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(site.packed[:100])
    with pytest.raises(NasError) as caught:
        site.data(tmp_path).prepare_data()
    message = message_of(caught)
    for part in ("cifar-10-python.tar.gz: damaged", md5_of(site.packed[:100]), site.archive.md5, "Delete it"):
        assert part in message
    assert not (tmp_path / FOLDER).exists()


@pytest.mark.parametrize("cut", [0, 50, 5000])
def test_archive_rejects_a_truncated_archive_with_the_right_sum(tmp_path: Path, cut: int) -> None:
    broken = CifarSite(tmp_path / "whole").packed[:cut]
    site = CifarSite(tmp_path / "site", packed=broken)
    with pytest.raises(NasError, match="cifar-10-python.tar.gz: cannot be unpacked"):
        site.data(tmp_path / "data").prepare_data()


def test_archive_rejects_an_archive_without_a_file(tmp_path: Path) -> None:
    site = CifarSite(tmp_path / "site", packed=tar_of({f"{FOLDER}/data_batch_1": b"x"}))
    with pytest.raises(NasError, match="does not contain .*test_batch"):
        site.data(tmp_path / "data").prepare_data()


def test_archive_rejects_a_damaged_file(site: CifarSite, tmp_path: Path) -> None:
    root = unpack_files(tmp_path / "data", site.files | {"test_batch": b"short"})
    data = site.data(root)
    data.prepare_data()
    with pytest.raises(NasError, match=rf"test_batch: damaged \(md5 {md5_of(b'short')}, expected .*Delete it"):
        data.setup()


def test_archive_with_a_matching_checksum_must_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    files = file_contents()
    whole = {f"{FOLDER}/{name}": content for name, content in files.items()}
    site = CifarSite(tmp_path / "site", files, tar_of(whole | {"../escaped": b"x"}))
    with pytest.raises(NasError, match="'../escaped' leads out of the destination"):
        site.data(tmp_path / "data").prepare_data()
    assert list_files(tmp_path / "data") == {"cifar-10-python.tar.gz"}
