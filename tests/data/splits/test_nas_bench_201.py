"""nas.data.splits.nas_bench_201: the official split files."""

from __future__ import annotations

import pytest

from nas.data.splits.nas_bench_201 import split_test_images
from nas.data.splits.train_split import split_train_images
from tests.support.golden_tools import shared_folder

SPLITS = shared_folder() / "data" / "splits"


@pytest.mark.data
@pytest.mark.skipif(not SPLITS.exists(), reason="the official split files are not beside the repository")
def test_official_split_files_have_the_published_sums() -> None:
    """Compare the first indices and the sums with those of the published files."""
    train, valid = split_train_images(str(SPLITS / "cifar-split.txt"), 50_000)
    assert train[:4].tolist() == [0, 5, 7, 11] and (int(train.sum()), int(valid.sum())) == (623_618_849, 626_356_151)
    xvalid, xtest = split_test_images(SPLITS / "cifar100-test-split.txt", 10_000, "it")
    assert xvalid[:4].tolist() == [1, 3, 4, 5] and (int(xvalid.sum()), int(xtest.sum())) == (25_109_591, 24_885_409)
    assert len(train) == len(valid) == 25_000 and len(xvalid) == len(xtest) == 5_000
