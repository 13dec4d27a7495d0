"""A list of the classes of a folder of images: which there are, in what order, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from nas.utils.errors import NasError, one_line, unknown


class ClassList(NamedTuple):
    """The folders of the classes in the order of their labels, and the names that they are shown by."""

    folders: tuple[str, ...]
    names: tuple[str, ...]


def read_class_list(path: Path, present: Sequence[str]) -> ClassList:
    """The classes in a text file: one a line, its folder and, where it has another name, that behind a space.

    So are the lists of ImageNet's classes (``n01440764 tench``). ``present`` are the folders that there are; others of
    these than the listed ones are not used. Empty lines, and those that begin with #, do not count.

    Raises:
        NasError: if the file cannot be read, or names fewer than two classes, one twice, or one without a folder.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise NasError(f"class_list: cannot read {path} ({one_line(error)})") from None
    lines = [line.strip() for line in text.splitlines()]
    known, folders, names = set(present), [], []
    for line in (line for line in lines if line and not line.startswith("#")):
        folder, _, name = (line, "", "") if line in known else line.replace("\t", " ").partition(" ")
        if folder not in known:
            raise NasError(f"class_list: {path} names a class without a folder: {unknown('folder', folder, present)}")
        if folder in folders:
            raise NasError(f"class_list: {path} names the class '{folder}' twice")
        folders.append(folder)
        names.append(name.strip() or folder)
    if len(folders) < 2:
        raise NasError(f"class_list: {path} names {len(folders)} class(es): it takes two to tell apart")
    return ClassList(tuple(folders), tuple(names))
