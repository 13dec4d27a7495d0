"""Lists of images of class folders: JSON files with the names CLASS/FILE of several parts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from nas.data.splits.folder_index import FolderIndex
from nas.data.splits.read_list import read_list
from nas.utils.errors import NasError
from nas.utils.read_file import read_json


class FileList(NamedTuple):
    """A kind of list.

    Attributes:
        format: Name of the format in the file.
        title: Noun for the list in messages.
        option: Key of the configuration that takes its path.
        fix: Advice in messages.
    """

    format: str
    title: str
    option: str
    fix: str

    def to_json(self, parts: Mapping[str, Sequence[str]]) -> str:
        """Return the content of a file with the names of the images of each part."""
        content = {"format": self.format, "version": 1, **parts}
        return json.dumps(content, indent=0, ensure_ascii=False) + "\n"

    def read(self, path: Path, keys: Sequence[str], index: FolderIndex) -> list[list[int]]:
        """Return the indices of the images of each part, in the order of the file.

        Raises:
            NasError: If the file cannot be read, or a part is empty or names an image that does not exist.
        """
        option = f"{self.option}={path}"
        content = read_list(path, option, self.fix, read_json)
        if not isinstance(content, dict) or content.get("format") != self.format:
            raise NasError(f"{option}: not a {self.title} (its format is not '{self.format}'). {self.fix}")
        numbers = {file: number for number, file in enumerate(index.files)}
        parts = []
        for key in keys:
            files = content.get(key)
            if not isinstance(files, list) or not files:
                raise NasError(f"{option}: lists no files under '{key}'. {self.fix}")
            unknown = next((file for file in files if not isinstance(file, str) or file not in numbers), None)
            if unknown is not None:
                raise NasError(f"{option}: lists {unknown}, which is not in {index.root}. {self.fix}")
            parts.append([numbers[file] for file in files])
        return parts
