"""Choices in the tree of a model's modules: search, checks, and replacement by the chosen parts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from torch import nn

from nas.architecture.cell import CellGenotype
from nas.architecture.masks import Masks
from nas.choices.choice_module import ChoiceModule
from nas.utils.errors import NasError

RESERVED = frozenset(
    {
        *(*dir(nn.ParameterDict()), *dir(Masks({}))),
        *("kind", "estimator", "log", "strength", "average", "min_macs"),  # buffers and attributes of ResourcePenalty
    }
)
"""Names that modules of a search, which hold a tensor for each decision, use themselves."""
LISTS = ("blocks", "candidates")
"""Lists of the parts of a choice, which are left out of the positions within it."""


def find_choices(model: nn.Module, owner: str) -> list[ChoiceModule]:
    """Return the choices of a model in the order of its modules, and set their decisions and the owner for messages.

    Args:
        model: the user's model.
        owner: description of the model, for messages.

    Raises:
        NasError: if modules or nested choices form a cycle, a name is reserved, or choices of one name differ.
    """
    choices: dict[str, ChoiceModule] = {}
    nested: dict[str, set[str]] = {}
    finished: set[int] = set()

    def visit(module: nn.Module, path: str, above: tuple[int, ...], outer: str | None) -> None:
        if id(module) in above:
            raise NasError(f"{owner}: the module '{path}' contains itself. Remove it from its own parts.")
        if isinstance(module, ChoiceModule):
            if id(module) not in finished:
                module.owner = owner
                module.decision = module.name or path.replace(".", "_") or type(module).__name__.lower()
                choices[path] = module
            nested.setdefault(module.decision, set())
            if outer is not None:
                nested[outer].add(module.decision)
            outer = module.decision
        for name, child in module._modules.items():
            if child is not None:
                hidden = isinstance(module, ChoiceModule) and name in LISTS
                visit(child, path if hidden else f"{path}.{name}" if path else name, (*above, id(module)), outer)
        finished.add(id(module))

    visit(model, "", (), None)
    _refuse_cycles(nested, owner)
    first: dict[str, str] = {}
    for path, module in choices.items():
        _check_name(module)
        before = first.setdefault(module.decision, path)
        _check_equal(module, path, choices[before], before)
    return list(choices.values())


def _check_name(choice: ChoiceModule) -> None:
    """Raise NasError if the name of a decision is no word, or reserved."""
    if not re.fullmatch(r"\w{1,100}", choice.decision):
        raise choice.error("has other characters in its name than letters, digits and '_'. Choose another name.")
    if choice.decision in RESERVED:
        raise choice.error("has a reserved name. Choose another name.")


def _check_equal(choice: ChoiceModule, path: str, first: ChoiceModule, other: str) -> None:
    """Raise NasError if a choice cannot share the decision of the first choice of its name."""
    if choice is first:
        return
    if first.name is None or choice.name is None:
        raise choice.error(f"at '{path}' has the name of another choice, at '{other}'. Give both a name.")
    if first.cell() != choice.cell():
        raise choice.error(
            f"at '{path}' shares its name with '{other}', but has other options ({', '.join(choice.cell().ops)} and "
            f"{', '.join(first.cell().ops)}). Give them the same options, or different names."
        )


def _refuse_cycles(nested: Mapping[str, set[str]], owner: str) -> None:
    """Raise NasError if a choice is nested within one of its own name, directly or through others."""
    try:
        TopologicalSorter(nested).prepare()
    except CycleError as error:
        names = " in ".join(f"'{name}'" for name in error.args[1])
        raise NasError(f"{owner}: nested choices form a cycle of names: {names}. Give them different names.") from None


def derive(model: nn.Module, cells: Mapping[str, CellGenotype]) -> nn.Module:
    """Replace all choices of a model by the chosen parts, in place, and return the model.

    Args:
        model: the model, whose choices have their decisions.
        cells: the genotype of each decision.
    """
    derived: dict[int, tuple[nn.Module, nn.Module]] = {}  # with the key's module, so that its id remains its own

    def replace(module: nn.Module) -> nn.Module:
        if id(module) in derived:
            return derived[id(module)][1]
        result = module
        while isinstance(result, ChoiceModule):
            result = result.chosen(cells[result.decision].links)
        derived[id(module)] = (module, result)
        for name, child in result._modules.items():
            if child is not None:
                result._modules[name] = replace(child)
        return result

    return replace(model)
