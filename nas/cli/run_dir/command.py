"""Parts of the commands that a run prints."""

from __future__ import annotations

import re
import shlex

from hydra.core.hydra_config import HydraConfig

from nas.cli.run_dir.task_overrides import task_overrides


def config_dir_flag() -> str:
    """Return ``-cd DIRECTORY`` of this run followed by a space, empty if it was not given."""
    if not HydraConfig.initialized():
        return ""
    sources = HydraConfig.get().runtime.config_sources
    given = [source.path for source in sources if source.provider == "command-line" and source.schema == "file"]
    return f"-cd {shlex.quote(given[0])} " if given else ""


def own_parts_flags(resumed: bool = False) -> str:
    """Return the overrides with dotted names of own ops and spaces of this run, each followed by a space.

    The record of a run must not cause an import, so further commands need them again.

    Args:
        resumed: for the command that resumes the run, which also has its ``space.ops``. Other commands get the ops by
            ``own_parts``, and the space of a model of the user.
    """
    if not HydraConfig.initialized():
        return ""
    lines = [line.lstrip("+") for line in task_overrides()]
    flags = [line for line in lines if re.match(r"own_parts[.=]", line)]
    ops = [line for line in lines if re.match(r"space\.ops=.*[A-Za-z_]\w*\.[A-Za-z_]", line)]
    models = [line for line in lines if line.startswith("space.model=")]
    if models and not resumed:
        models = [line for line in lines if re.match(r"space(\.model|\.options(\.\w+)*)?=", line)]
    flags += models
    if resumed:
        flags += ops
    elif ops and not any(line.startswith("own_parts") for line in flags) and "{" not in ops[-1]:
        names = re.findall(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+", ops[-1].partition("=")[2])
        flags += [f"own_parts=[{','.join(dict.fromkeys(names))}]"]
    return "".join(f"{shlex.quote(line)} " for line in flags)
