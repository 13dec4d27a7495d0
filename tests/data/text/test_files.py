"""nas.data.text.files: accepted layouts, and the line for missing files."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.data.text.files import PennTreebank, TextFiles, WikiText2
from nas.utils.errors import NasError


def fill(directory: Path, pattern: str, parts: tuple[str, ...] = ("train", "valid", "test")) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for part in parts:
        (directory / pattern.format(part)).write_text(f"word {part}\n")


@pytest.mark.parametrize(
    ("kind", "folder", "pattern"),
    [
        (PennTreebank, "ptb", "ptb.{}.txt"),
        (PennTreebank, "penn", "{}.txt"),
        (PennTreebank, ".", "ptb.{}.txt"),
        (WikiText2, "wikitext-2", "wiki.{}.tokens"),
        (WikiText2, "wikitext-2", "{}.txt"),
        (WikiText2, ".", "{}.txt"),
    ],
)
def test_files_are_found_in_each_layout(kind: type[TextFiles], folder: str, pattern: str, tmp_path: Path) -> None:
    fill(tmp_path / folder, pattern)
    data = kind(tmp_path)
    assert data.class_names == ("word", "train", "<eos>", "valid", "test") and data.classes == 5
    assert data.sizes() == {"train": 3, "val": 3, "test": 3}


@pytest.mark.parametrize("kind", [PennTreebank, WikiText2])
def test_missing_files_are_named_with_their_command(kind: type[TextFiles], tmp_path: Path) -> None:
    data = kind(tmp_path)
    with pytest.raises(NasError) as error:
        _ = data.classes
    text = str(error.value)
    assert str(tmp_path / kind.published["train"].name) in text and f"data get {kind.name}" in text
    assert "\n" not in text
    fill(tmp_path / kind.folders[0], kind.patterns[0], ("train", "test"))
    with pytest.raises(NasError, match=kind.patterns[0].format("valid")):
        kind(tmp_path).files()
