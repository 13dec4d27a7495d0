"""Check that no other process writes to a directory."""

from __future__ import annotations

from pathlib import Path

from nas.utils.directory_lock import DirectoryInUseError, describe_holder, is_locked, is_locked_here, read_holder


def check_not_in_use(directory: Path, option: str) -> None:
    """Raise DirectoryInUseError if another process writes to a directory, or runs a sweep in one that contains it."""
    if is_locked_here(directory):
        return
    if is_locked(directory):
        holder = describe_holder(directory)
        raise DirectoryInUseError(
            f"{option}: {directory} is in use by {holder}. Wait for it, stop it, or choose another directory."
        )
    for parent in directory.absolute().parents:
        if read_holder(parent).get("kind") == "sweep" and is_locked(parent) and not is_locked_here(parent):
            holder = describe_holder(parent)
            raise DirectoryInUseError(
                f"{option}: {directory} belongs to the sweep in {parent}, which {holder} is running. Wait for it, stop "
                "it, or choose another directory."
            )
