"""Published weights of recurrent language models (quark0/darts), in the layout of this library."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_CELL = re.compile(r"(?:module\.)?rnns\.0\.(.+)")
_NODE = re.compile(r"_Ws\.(\d+)")


def convert_recurrent(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a published state_dict of a language model with the names and layouts of ``LanguageModel``.

    The authors store the matrices of the cell as [inputs, outputs], and those of input and hidden state in one. Any
    other state_dict is returned as it is.
    """
    if not any(_CELL.fullmatch(name) for name in state):
        return state
    converted: dict[str, Any] = {}
    for name, tensor in state.items():
        match = _CELL.fullmatch(name)
        part = "" if match is None else match[1]
        if part == "_W0":
            converted["cell.input.weight"], converted["cell.hidden.weight"] = tensor.T.chunk(2, dim=1)
        elif node := _NODE.fullmatch(part):
            converted[f"cell.nodes.{node[1]}.weight"] = tensor.T
        elif part.startswith("bn."):
            converted[f"cell.norm.{part.removeprefix('bn.')}"] = tensor
        else:
            converted[re.sub(r"^(?:module\.)?encoder\.", "embedding.", name)] = tensor
    return converted
