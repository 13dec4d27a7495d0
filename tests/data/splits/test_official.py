"""nas.data.splits.official: the official list in the data directory, fetched, or replaced by equal halves."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nas.data.cifar import Cifar10, Cifar100
from nas.data.splits import official
from nas.data.splits.official import EQUAL_HALVES, OfficialSplit
from nas.utils.errors import NasError
from tests.support.cifar_tools import CifarSite
from tests.support.golden_tools import shared_folder
from tests.support.http_tools import Site, serve

SPLITS = shared_folder() / "data" / "splits"
# the 20 training images of the small CIFAR-10 of CifarSite
WEIGHTS, ARCHITECTURE = list(range(1, 20, 2)), list(range(0, 20, 2))
LIST = json.dumps({key: ["int", [str(i) for i in part]] for key, part in
                   (("train", WEIGHTS), ("valid", ARCHITECTURE))}).encode()  # fmt: skip


@pytest.fixture
def site() -> Iterator[Site]:
    official._fetch_once.cache_clear()
    with serve(**{"cifar-split.txt": LIST}) as found:
        yield found
    official._fetch_once.cache_clear()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Unpack a small CIFAR-10."""
    CifarSite(tmp_path / "site").data(tmp_path / "data").prepare_data()
    return tmp_path / "data"


def small(root: Path, site: Site, name: str = "cifar-split.txt", **options: Any) -> Cifar10:
    """Return the small CIFAR-10 with the list of the site as the official one."""
    archive_of = CifarSite(root.parent / "site").archive

    class Small(Cifar10):
        archive = archive_of
        split_list = site.file(name, LIST)

    return Small(root, batch_size=2, split="nas_bench_201", **options)


def parts_of(data: Cifar10) -> dict[str, list[int]]:
    return {part: indices.tolist() for part, indices in data.part_indices().items()}


OFFICIAL = {"train": WEIGHTS, "val": ARCHITECTURE}
HALVES = {"train": list(range(10)), "val": list(range(10, 20))}


def test_official_list_is_fetched_once_and_kept(root: Path, site: Site) -> None:
    data = small(root, site)
    data.prepare_data()
    assert (root / "cifar-split.txt").read_bytes() == LIST
    data.setup()
    assert parts_of(data) == OFFICIAL and data.sizes() == {"train": 10, "val": 10, "test": 4}
    assert data.describe_split() == "official list of NAS-Bench-201 (cifar-split.txt)"
    assert parts_of(small(root, site)) == OFFICIAL and len(site.requests) == 1


def test_official_list_in_the_data_directory_needs_no_network(root: Path, site: Site) -> None:
    (root / "cifar-split.txt").write_bytes(LIST)
    data = small(root, site, hold_out=True, bilevel=False)
    assert data.sizes() == {"train": 10, "test": 10} and site.requests == []
    assert data.splits.test_labels.tolist() == small(root, site).splits.train_labels[ARCHITECTURE].tolist()
    training = small(root, site, bilevel=False)
    assert training.sizes() == {"train": 20, "test": 4} and training.describe_split() is None


def test_equal_halves_without_the_list_are_logged(root: Path, site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(2):  # the jobs of a sweep
        data = small(root, site, "gone.txt")
        data.prepare_data()
        assert parts_of(data) == HALVES and data.describe_split() == EQUAL_HALVES
    line = f"split          equal halves: {root}/gone.txt is not available (HTTP 404 Not Found). "
    assert caplog.text.count(line + "To get it: python -m nas data get splits") == 2
    assert len(site.requests) == 1, "the failure is remembered"
    data = small(root, site, download=False)
    assert parts_of(data) == HALVES and len(site.requests) == 1 and "(dataset.download=false)" in caplog.text


def test_official_list_of_other_content_is_refused(root: Path, site: Site) -> None:
    (root / "cifar-split.txt").write_bytes(LIST.replace(b"19", b"18"))
    with pytest.raises(NasError, match=r"cifar-split.txt: is not the published list \(sha256 .*\). Move it away") as c:
        small(root, site).setup()
    assert "\n" not in str(c.value) and (root / "cifar-split.txt").exists()


def test_official_list_is_used_with_a_read_only_directory(
    root: Path, site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*arguments: Any) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(official, "publish", refuse)
    assert parts_of(small(root, site)) == OFFICIAL
    assert "cifar-split.txt: cannot be written (Permission denied)" in caplog.text
    assert not list(root.glob("*.txt")) and not list(root.glob(".*"))


def test_record_fixes_the_split_of_a_run(root: Path, site: Site, tmp_path: Path) -> None:
    record = tmp_path / "run" / "split.json"
    first = small(root, site, download=False, split_record=record)
    assert parts_of(first) == HALVES
    assert json.loads(record.read_text()) == {"list": "cifar-split.txt", "split": EQUAL_HALVES}
    (root / "cifar-split.txt").write_bytes(LIST)  # it appears before the run is resumed
    resumed = small(root, site, split_record=record)
    assert parts_of(resumed) == HALVES and resumed.describe_split() == EQUAL_HALVES
    follower = small(root, site)
    assert follower.official is not None
    follower.official.follow(record)
    assert parts_of(follower) == HALVES


def test_record_of_the_official_list_requires_it(root: Path, site: Site, tmp_path: Path) -> None:
    record = tmp_path / "split.json"
    small(root, site, split_record=record).setup()
    (root / "cifar-split.txt").unlink()
    with pytest.raises(NasError, match=r"split.json: the run used cifar-split.txt, which is missing from .*download=f"):
        small(root, site, download=False, split_record=record).setup()
    record.write_text("{")
    with pytest.raises(NasError, match=r"split.json: is damaged .* Delete it"):
        small(root, site, split_record=record).setup()


def test_record_of_another_list_is_ignored(root: Path, site: Site, tmp_path: Path) -> None:
    (tmp_path / "split.json").write_text(json.dumps({"list": "cifar100-test-split.txt", "split": EQUAL_HALVES}))
    data = small(root, site)
    assert data.official is not None
    data.official.follow(tmp_path / "split.json")
    assert parts_of(data) == OFFICIAL


class FakeStrategy:
    """Stand-in for a strategy of two ranks."""

    def __init__(self, sent: list[Any]) -> None:
        self.sent = sent

    def broadcast(self, value: Any) -> Any:
        self.sent.append(value)
        return self.sent[0]


class FakeTrainer:
    def __init__(self, rank: int, sent: list[Any]) -> None:
        self.is_global_zero, self.strategy = rank == 0, FakeStrategy(sent)


def test_choose_uses_the_choice_of_the_first_rank(site: Site, tmp_path: Path) -> None:
    file, sent = site.file("cifar-split.txt"), []
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "cifar-split.txt").write_bytes(LIST)
    trainers: list[Any] = [FakeTrainer(rank, sent) for rank in (0, 1)]
    found = [
        OfficialSplit(file, tmp_path / name, True).choose(t) for name, t in zip(("one", "two"), trainers, strict=True)
    ]
    assert found == [LIST.decode()] * 2 and sent[1] is None and site.requests == [], "no rank fetches in choose"
    (tmp_path / "one" / "cifar-split.txt").write_bytes(b"other")
    sent.clear()
    for name, trainer in zip(("one", "two"), trainers, strict=True):
        with pytest.raises(NasError, match="is not the published list"):
            OfficialSplit(file, tmp_path / name, True).choose(trainer)


@pytest.mark.data
@pytest.mark.skipif(not SPLITS.exists(), reason="the official split files are not beside the repository")
def test_published_checksums_fit_the_official_lists() -> None:
    for file in (Cifar10.split_list, Cifar100.split_list, official_list_of_imagenet16()):
        content = (SPLITS / file.name).read_bytes()
        assert file.fits(content) and len(content) == file.size


def official_list_of_imagenet16() -> Any:
    from nas.data.imagenet16 import ImageNet16

    found = ImageNet16("there").official
    assert found is not None
    return found.file
