"""Folder of the configuration files: nas/conf of an installed package, or conf/ of a checkout."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2]
INSTALLED = PACKAGE / "conf"  # the wheel holds a copy of conf/ there; a checkout has no such folder
CONF = INSTALLED if INSTALLED.is_dir() else PACKAGE.parent / "conf"


def group_choices(group: str) -> list[str]:
    """Return the choices of a group, such as ``gdas/nas_bench_201``; fragments (``_NAME.yaml``) are left out."""
    files = [path.relative_to(CONF / group).with_suffix("") for path in (CONF / group).rglob("*.yaml")]
    return sorted(path.as_posix() for path in files if not path.name.startswith("_"))
