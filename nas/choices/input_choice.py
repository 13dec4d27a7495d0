"""Choice of some of several inputs, which are summed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from nas.architecture.cell import NONE, Cell, Link
from nas.choices.candidates import Candidates, named_candidates
from nas.choices.choice_module import ChoiceModule, ModuleCost, single_row
from nas.choices.mixture import Mixture
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, check_ranges

MAX_SUBSETS = 256


@check_ranges(inputs=COUNT, keep=COUNT)
class InputChoice(ChoiceModule):
    """The sum of ``keep`` of the inputs, tensors of one shape, called as ``choice([x0, x1, ...])``.

    Without ``candidates`` the options are the sets of ``keep`` inputs, and the weight of an input in a supernet is the
    sum of the weights of the active sets that contain it. With ``candidates`` each input passes through a choice of its
    own, and the strongest inputs are kept: a node of a DARTS cell, whose links have weights of their own.

    Args:
        inputs: number of inputs.
        keep: number of inputs that are kept; None keeps all, each with the candidate of its own.
        candidates: candidates of each input, modules by name or in a list (``Choice``). With ``keep`` a genotype has no
            candidate named ``none``; without it may have one.
        name: name of the decision (``ChoiceModule``).

    Raises:
        NasError: if ``keep`` exceeds the inputs, there are too many sets, or candidates of some inputs are missing.
    """

    def __init__(
        self,
        inputs: int,
        keep: int | None = 1,
        candidates: Sequence[Candidates] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        label = f"InputChoice '{name}'" if name else "InputChoice"
        if keep is not None and keep > inputs:
            raise NasError(f"{label} keeps {keep} of {inputs} inputs. Use keep={inputs} or less.")
        if candidates is not None and len(candidates) != inputs:
            raise NasError(f"{label} has candidates for {len(candidates)} of {inputs} inputs. Give a list for each.")
        sets = math.comb(inputs, inputs if keep is None else keep)
        if candidates is None and sets > MAX_SUBSETS:
            raise NasError(f"{label} has {sets} sets of {keep} of {inputs} inputs, at most {MAX_SUBSETS}. Use fewer.")
        self.inputs, self.keep = inputs, keep
        self.subsets = list(combinations(range(inputs), inputs if keep is None else keep))
        modules = [named_candidates(given, label) for given in candidates or ()]
        self.options = tuple(dict.fromkeys(option for given in modules for option in given))
        self.columns = [[self.options.index(option) for option in given] for given in modules]
        self.candidates = nn.ModuleList(nn.ModuleList(given.values()) for given in modules)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        if len(inputs) != self.inputs:
            raise self.error(f"got {len(inputs)} inputs, and has {self.inputs}. Call it with a list of all inputs.")
        mixture = self._mix_candidates(inputs) if self.candidates else self._mix_subsets(inputs)
        return torch.zeros_like(inputs[0]) if mixture.total is None else mixture.total

    def _mix_subsets(self, inputs: Sequence[Tensor]) -> Mixture:
        row, mixture = self.weights()[0], Mixture(self)
        for number, x in enumerate(inputs):
            columns = [i for i, subset in enumerate(self.subsets) if number in subset and row.active[i]]
            if columns:
                mixture.add(str(number), torch.stack([row.weight(i) for i in columns]).sum(dim=0), x)
        mixture.add_scalar(row.scaled(row.inactive_weight()) if self.add_inactive else None, inputs[0])
        return mixture

    def _mix_candidates(self, inputs: Sequence[Tensor]) -> Mixture:
        mixture = Mixture(self)
        for number, (x, row) in enumerate(zip(inputs, self.weights(), strict=True)):
            for column, module in zip(self.columns[number], self.candidates[number], strict=True):  # type: ignore[call-overload]
                if row.active[column]:
                    mixture.add(f"{self.options[column]} of input {number}", row.weight(column), module(x))
            if self.add_inactive:
                mixture.add_scalar(row.scaled(row.inactive_weight()), x)
        return mixture

    def cell(self) -> Cell:
        if not self.candidates:
            return single_row(["-".join(map(str, subset)) for subset in self.subsets])
        edges = tuple((source, self.inputs) for source in range(self.inputs))
        every = range(len(self.options))
        excluded = frozenset((e, self.options[i]) for e, own in enumerate(self.columns) for i in every if i not in own)
        keeps_none = self.keep is None and NONE in self.options
        return Cell(edges, self.options, (self.inputs,), self.keep, keeps_none, excluded=excluded)

    def chosen(self, links: Sequence[Link]) -> nn.Module:
        if not self.candidates:
            return SummedInputs([int(number) for number in links[0].op.split("-")])
        modules = [self._candidate(link) for link in links]
        return SummedInputs([link.source for link in links], modules)

    def _candidate(self, link: Link) -> nn.Module:
        candidates: nn.ModuleList = self.candidates[link.source]  # type: ignore[assignment]
        return candidates[self.columns[link.source].index(self.options.index(link.op))]

    def costs(self, cost: ModuleCost) -> Tensor:
        if not self.candidates:
            return torch.zeros(3, 1, len(self.subsets))
        table = torch.zeros(3, self.inputs, len(self.options))
        for e, own in enumerate(self.columns):
            for column, module in zip(own, self.candidates[e], strict=True):  # type: ignore[call-overload]
                table[:, e, column] = cost(module)
        return table


class SummedInputs(nn.Module):
    """The sum of some inputs, each after its module if there are modules."""

    def __init__(self, sources: Sequence[int], modules: Sequence[nn.Module] = ()) -> None:
        super().__init__()
        self.sources = tuple(sources)
        self.parts = nn.ModuleList(modules)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        terms = [inputs[source] for source in self.sources]
        if len(self.parts):
            terms = [part(x) for part, x in zip(self.parts, terms, strict=True)]
        return sum(terms[1:], terms[0])
