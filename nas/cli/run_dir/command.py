"""Parts of the commands that a run prints."""

from __future__ import annotations

import shlex

from hydra.core.hydra_config import HydraConfig


def config_dir_flag() -> str:
    """Return ``-cd DIRECTORY`` of this run followed by a space, empty if it was not given."""
    if not HydraConfig.initialized():
        return ""
    sources = HydraConfig.get().runtime.config_sources
    given = [source.path for source in sources if source.provider == "command-line" and source.schema == "file"]
    return f"-cd {shlex.quote(given[0])} " if given else ""
