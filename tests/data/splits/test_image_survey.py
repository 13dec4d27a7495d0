"""Tests of the survey of image files."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from nas.data.splits import image_survey
from nas.data.splits.image_survey import ImageSurvey, survey_images
from nas.utils.errors import NasError


def write(root: Path, name: str, size: tuple[int, int], mode: str = "L") -> str:
    Image.new(mode, size).save(root / name)
    return name


def test_survey_takes_the_median_side_and_any_color(tmp_path: Path) -> None:
    files = [write(tmp_path, f"{k}.png", size) for k, size in enumerate([(9, 30), (50, 20), (20, 40), (100, 90)])]
    assert survey_images(tmp_path, files) == ImageSurvey(20, 1, (9, 30), (100, 90), 0, 4)
    assert survey_images(tmp_path, files).describe() == "files of 9x30 to 100x90 pixels (width x height), resized"
    files.append(write(tmp_path, "z.png", (9, 30), "RGB"))
    found = survey_images(tmp_path, files)
    assert (found.channels, found.color, found.gray) == (3, 1, 4)
    assert found.describe().endswith("resized, 4 grayscale and 1 color files")
    assert survey_images(tmp_path, files[:1]).describe() == ""


def test_survey_reads_a_bounded_number_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [write(tmp_path, f"{k}.png", (10 + k, 10 + k)) for k in range(10)]
    monkeypatch.setattr(image_survey, "MAX_FILES", 4)
    found = survey_images(tmp_path, files)
    assert (found.smallest, found.largest, found.gray) == ((10, 10), (17, 17), 4)


def test_survey_leaves_out_broken_files(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"broken")
    files = ["a.png", write(tmp_path, "b.png", (12, 14))]
    assert survey_images(tmp_path, files).side == 12
    with pytest.raises(NasError, match=r"a.png: cannot be read .* Set dataset.image_size and dataset.channels"):
        survey_images(tmp_path, files[:1])
