"""Choice of one module out of several candidates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from nas.architecture.cell import NONE, Cell, Link
from nas.choices.candidates import Candidates, named_candidates
from nas.choices.choice_module import ChoiceModule, ModuleCost, single_row
from nas.choices.mixture import Mixture


class Choice(ChoiceModule):
    """One of several candidates, which take the same inputs and return tensors of one shape.

    A supernet returns the sum of the outputs of the active candidates times their weights.

    Args:
        candidates: modules by name, or a list of modules. A candidate named ``none`` stands for no output in methods
            that treat it apart, such as FairDARTS (use ``Zero`` for it).
        name: name of the decision (``ChoiceModule``).

    Raises:
        NasError: if there is no candidate, or one is not a module.
    """

    def __init__(self, candidates: Candidates, name: str | None = None) -> None:
        super().__init__(name)
        modules = named_candidates(candidates, f"Choice '{name}'" if name else "Choice")
        self.options = tuple(modules)
        self.candidates = nn.ModuleList(modules.values())  # a list, because a ModuleDict reserves some names

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        row, mixture = self.weights()[0], Mixture(self)
        for i, module in enumerate(self.candidates):
            if row.active[i]:
                mixture.add(self.options[i], row.weight(i), module(*args, **kwargs))
        if mixture.total is None:
            raise self.error("has no active candidate.")
        mixture.add_scalar(row.scaled(row.inactive_weight()) if self.add_inactive else None, mixture.total)
        return mixture.total

    def cell(self) -> Cell:
        return single_row(self.options, keeps_none=NONE in self.options)

    def chosen(self, links: Sequence[Link]) -> nn.Module:
        return self.candidates[self.options.index(links[0].op)]

    def costs(self, cost: ModuleCost) -> Tensor:
        return torch.stack([cost(module) for module in self.candidates], dim=-1)[:, None]
