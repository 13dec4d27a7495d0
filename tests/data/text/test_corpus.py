"""nas.data.text.corpus: word numbers, ends of lines and columns."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest
import torch

from nas.data.text.corpus import batchify, read_corpus
from nas.utils.errors import NasError
from tests.support.golden_tools import shared_folder

TEXTS = {"train": " the cat \n\nthe dog\n", "valid": "a cat\n", "test": "dog a bird"}
PUBLISHED = shared_folder() / "data" / "text"


def write(directory: Path, **texts: str) -> dict[str, Path]:
    files = {part: directory / f"{part}.txt" for part in TEXTS}
    for part, text in {**TEXTS, **texts}.items():
        files[part].write_text(text)
    return files


def test_words_are_numbered_by_first_occurrence_and_every_line_ends_with_eos(tmp_path: Path) -> None:
    corpus = read_corpus(write(tmp_path))
    assert corpus.vocabulary == ("the", "cat", "<eos>", "dog", "a", "bird")
    assert corpus.train.tolist() == [0, 1, 2, 2, 0, 3, 2] and corpus.train.dtype == torch.int64
    assert corpus.valid.tolist() == [4, 1, 2] and corpus.test.tolist() == [3, 4, 5, 2]


def test_other_separators_of_unicode_do_not_end_a_line(tmp_path: Path) -> None:
    corpus = read_corpus(write(tmp_path, train="one\u2028two\u00a0three\n"))
    assert corpus.train.tolist() == [0, 1, 2, 3] and corpus.vocabulary[3] == "<eos>"


@pytest.mark.parametrize(
    ("content", "problem"), [(None, "cannot be read"), (b"\xff\xfe", "not UTF-8 text"), (b"\n", "1 token")]
)
def test_unreadable_text_is_refused_in_one_line(content: bytes | None, problem: str, tmp_path: Path) -> None:
    files = write(tmp_path)
    files["valid"].unlink() if content is None else files["valid"].write_bytes(content)
    with pytest.raises(NasError, match=problem) as error:
        read_corpus(files)
    assert str(files["valid"]) in str(error.value) and "\n" not in str(error.value)


def test_columns_are_consecutive_parts_of_the_text() -> None:
    assert batchify(torch.arange(11), 3).tolist() == [[0, 3, 6], [1, 4, 7], [2, 5, 8]]


@pytest.mark.data
@pytest.mark.parametrize(
    ("names", "sizes", "first"),
    [
        ("ptb.{}.txt", (929_589, 73_760, 82_430, 10_000), ("aer", "banknote")),
        ("wiki.{}.tokens", (2_088_628, 217_646, 245_569, 33_278), ("<eos>", "=")),
    ],
    ids=["ptb", "wikitext2"],
)
def test_published_texts_have_their_known_sizes(names: str, sizes: tuple[int, ...], first, tmp_path: Path) -> None:
    if not PUBLISHED.is_dir():
        pytest.skip(f"{PUBLISHED} is missing")
    files = {}
    for part in TEXTS:
        files[part] = tmp_path / part
        files[part].write_bytes(lzma.decompress((PUBLISHED / f"{names.format(part)}.xz").read_bytes()))
    corpus = read_corpus(files)
    assert (len(corpus.train), len(corpus.valid), len(corpus.test), len(corpus.vocabulary)) == sizes
    assert corpus.vocabulary[:2] == first
