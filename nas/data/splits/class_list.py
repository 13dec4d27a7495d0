"""Class lists of image folders: which classes to use, in which order, under which names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nas.utils.errors import NasError, one_line, unknown
from nas.utils.read_file import read_text


class ClassList(NamedTuple):
    """Folders of the classes in the order of their labels, and their display names."""

    folders: tuple[str, ...]
    names: tuple[str, ...]


def read_class_list(path: Path, present: Sequence[str]) -> ClassList:
    """Read a text file with a class per line: its folder and, after a space, an optional name (``n01440764 tench``).

    Empty lines and lines that start with # are ignored, as are folders that the file does not list.

    Args:
        path: the text file.
        present: names of the existing folders.

    Raises:
        NasError: if the file cannot be read, lists fewer than two classes, a class twice or a missing folder.
    """
    option = f"dataset.class_list={path}"
    try:
        text = read_text(path)
    except (OSError, ValueError) as error:
        raise NasError(f"{option}: cannot be read ({one_line(error)}).") from None
    lines = [line.strip() for line in text.splitlines()]
    existing, folders, names = set(present), [], []
    for line in (line for line in lines if line and not line.startswith("#")):
        folder, _, name = (line, "", "") if line in existing else line.replace("\t", " ").partition(" ")
        if folder not in existing:
            raise NasError(f"{option}: {unknown('folder', folder, present)}")
        if folder in folders:
            raise NasError(f"{option}: lists the class '{folder}' twice. Remove one of the lines.")
        folders.append(folder)
        names.append(name.strip() or folder)
    if len(folders) < 2:
        raise NasError(f"{option}: lists {len(folders)} class(es). Classification needs at least 2.")
    return ClassList(tuple(folders), tuple(names))
