"""Text data sets that are read from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Unpack

from nas.data.published import PENN_TREEBANK, WIKITEXT2
from nas.data.text.base import TextData, TextOptions
from nas.data.text.corpus import PARTS, Corpus, read_corpus
from nas.utils.errors import NasError
from nas.utils.program import program
from nas.utils.remote_file import RemoteFile
from nas.utils.user_path import user_path


class TextFiles(TextData):
    """Training, validation and test text in three files. A subclass sets the class attributes.

    Args:
        root: directory of one of ``folders``, or of the files themselves.
        options: see ``TextData``.

    Raises:
        NasError: when the text is read, if a file is missing or not a text.
    """

    folders: ClassVar[Sequence[str]]
    """Directories of the files in ``root``; the first one that exists is read."""
    patterns: ClassVar[Sequence[str]]
    """Names of the files in a directory; ``{}`` is the part train, valid or test."""
    published: ClassVar[Mapping[str, RemoteFile]]
    """The published files by part."""
    catalog_name: ClassVar[str]
    """Name in the command ``data get``."""

    def __init__(self, root: str | Path, **options: Unpack[TextOptions]) -> None:
        super().__init__(**options)
        self.root = user_path(root)

    def files(self) -> dict[str, Path]:
        """Return the file of each part.

        Raises:
            NasError: if a file is missing.
        """
        for directory in (*(self.root / folder for folder in self.folders), self.root):
            for pattern in self.patterns:
                files = {part: directory / pattern.format(part) for part in PARTS}
                existing = [path for path in files.values() if path.is_file()]
                if len(existing) == len(PARTS):
                    return files
                if existing:
                    missing = next(path for path in files.values() if path not in existing)
                    raise NasError(f"{missing.absolute()}: missing. {self._advice()}")
        expected = self.root / self.published["train"].name
        raise NasError(f"dataset={self.name}: there is no file {expected.absolute()}. {self._advice()}")

    def load(self) -> Corpus:
        return read_corpus(self.files())

    def _advice(self) -> str:
        return (
            f"Run {program('search')} data get {self.catalog_name} paths.data={self.root}, or set paths.data to the "
            f"directory of {self.folders[0]}/{self.patterns[0].format('train')}."
        )


class PennTreebank(TextFiles):
    """Penn Treebank in the version of Mikolov et al. (2010): 929,589 training tokens and 10,000 words."""

    name = "ptb"
    folders = ("ptb", "penn")
    patterns = ("ptb.{}.txt", "{}.txt")
    published = dict(zip(PARTS, PENN_TREEBANK, strict=True))
    catalog_name = "ptb"


class WikiText2(TextFiles):
    """WikiText-2 (Merity et al., ICLR 2017): 2,088,628 training tokens and 33,278 words."""

    name = "wikitext2"
    folders = ("wikitext-2",)
    patterns = ("wiki.{}.tokens", "{}.txt")
    published = dict(zip(PARTS, WIKITEXT2, strict=True))
    catalog_name = "wikitext2"
