"""Parts of the commands that a run prints."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any

from hydra.core.hydra_config import HydraConfig

from nas.cli.run_dir.task_overrides import task_overrides
from nas.utils.program import config_dir_flag, program


def next_command(job: str) -> str:
    """Return the command of a job that uses the results of this run, without its overrides."""
    return " ".join([program(job), *flags_of_run()])


def flags_of_run(resumed: bool = False) -> list[str]:
    """Return the quoted options of this run that further commands on it need as well; resumed: to resume it."""
    if not HydraConfig.initialized():
        return config_dir_flag()
    sources: Any = HydraConfig.get().runtime.config_sources
    return [*config_flags(sources), *own_parts_flags(task_overrides(), resumed)]


def config_flags(sources: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the quoted options of a command line that name directories of the user's configuration.

    Args:
        sources: ``hydra.runtime.config_sources`` of the run.
    """
    given = [source for source in sources if source["schema"] in ("file", "pkg")]
    flags = [f"-cd {shlex.quote(str(source['path']))}" for source in given if source["provider"] == "command-line"][:1]
    searched = [source for source in given if source["provider"] == "hydra.searchpath in command-line"]
    if searched:
        directories = ",".join(f"'{source['schema']}://{source['path']}'" for source in searched)
        flags.append(shlex.quote(f"hydra.searchpath=[{directories}]"))
    return flags


def own_parts_flags(overrides: Iterable[str], resumed: bool = False) -> list[str]:
    """Return the quoted overrides with dotted names of custom ops and spaces.

    The record of a run must not cause an import, so further commands need them again.

    Args:
        overrides: the overrides of the run.
        resumed: for the command that resumes the run, which also has its ``space.ops``. Other commands get the ops by
            ``own_parts``, and the space of a model of the user.
    """
    lines = [line.lstrip("+") for line in overrides]
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
    return list(map(shlex.quote, flags))
