"""Mount options of file systems."""

from __future__ import annotations

from pathlib import Path

from nas.utils.user_path import real_path

MOUNTS = Path("/proc/self/mounts")
LOCAL = {"nolock", "local_lock=all", "local_lock=flock", "localflock", "noflock"}
"""Mount options of NFS and Lustre with which flock(2) excludes processes of the same host only, or none."""


def has_local_locks_only(directory: Path) -> bool:
    """Return whether a directory is on a network file system whose locks other hosts do not see."""
    best, options = "", ""
    try:
        lines = MOUNTS.read_text(errors="replace").splitlines()
        path = str(real_path(directory))
    except OSError:  # not Linux
        return False
    for line in lines:
        fields = line.split()
        point = fields[1].encode().decode("unicode_escape") if len(fields) >= 4 else ""
        if point and len(point) >= len(best) and f"{path}/".startswith(f"{point.rstrip('/')}/"):
            best, options = point, fields[3]  # the last mount at a point hides the earlier ones
    return not LOCAL.isdisjoint(options.split(","))
