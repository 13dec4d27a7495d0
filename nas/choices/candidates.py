"""Candidate modules of a choice, by name."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from nas.utils.errors import NasError

Candidates = Mapping[str, nn.Module] | Sequence[nn.Module]
"""Modules by name, or modules whose names are those of their classes and their positions, as ``Conv2d_0``."""
_NAME = re.compile(r"[A-Za-z0-9_.\-]{1,100}")


def named_candidates(candidates: Candidates, label: str) -> dict[str, nn.Module]:
    """Return the modules by name.

    Args:
        candidates: the modules.
        label: the choice, for messages.

    Raises:
        NasError: if there are none, one is no module, or a name has other characters than letters, digits, ``_.-``.
    """
    if isinstance(candidates, Mapping):
        modules: dict[str, Any] = {str(name): module for name, module in candidates.items()}
    else:
        modules = {f"{type(module).__name__}_{i}": module for i, module in enumerate(candidates)}
    if not modules:
        raise NasError(f"{label} has no candidates. Give at least one module.")
    for name, module in modules.items():
        if not _NAME.fullmatch(name):
            raise NasError(f"{label} has the candidate {name!r}. Use letters, digits, '_', '.' and '-' in its name.")
        if not isinstance(module, nn.Module):
            kind = module.__name__ if isinstance(module, type) else type(module).__name__
            raise NasError(f"{label} has the candidate '{name}', which is not a module but {kind}. Give an nn.Module.")
    return modules
