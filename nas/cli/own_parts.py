"""Custom ops and spaces that the command line or the user's configuration names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, ListConfig

from nas.architecture.cell import Genotype
from nas.nn.custom_ops import CUSTOM_OPS, custom_op
from nas.spaces.base import Shape, Space
from nas.spaces.choices_notation import NOTATION as CHOICES
from nas.spaces.custom_spaces import CUSTOM_SPACES, custom_space, split_parts
from nas.spaces.registry import SPACES
from nas.utils.errors import NasError
from nas.utils.import_name import import_name
from nas.utils.own_parts import OwnPart, target_of

KEY = "own_parts"


@contextmanager
def own_parts_in_use(cfg: DictConfig) -> Iterator[None]:
    """Use the custom ops and spaces of a configuration within the context.

    These are the entries of ``own_parts``, the dotted names and entries with a ``_target_`` in ``space.ops``, and
    the class of the space. No other name is imported.

    Raises:
        NasError: if one of them cannot be imported, or is neither an op nor a space.
    """
    ops, spaces = split_parts(named_parts(cfg.get(KEY)))
    space = cfg.get("space")
    if isinstance(space, DictConfig):
        custom = [OwnPart(name, build, target_of(build)) for name, build in _entries("space.ops", space.get("ops"))]
        ops += [custom_op(part.name, part.build) for part in custom]
        spaces += _space_of(space)
        if "training" in cfg and not (custom or spaces):
            raise NasError(
                f"space={space.get('name')}: the genotype determines the space. Leave it out; it is for custom "
                "spaces and ops."
            )
    with CUSTOM_OPS.use(ops), CUSTOM_SPACES.use(spaces):
        yield


def named_parts(given: Any, key: str = KEY) -> list[tuple[str, Any]]:
    """Return name and class, function or ``partial`` of each custom part.

    Args:
        given: a list of dotted names, or a mapping of names to dotted names or to nodes with a ``_target_``.
        key: option that names them, for messages.

    Raises:
        NasError: if a part cannot be imported.
    """
    if given is None:
        return []
    if not isinstance(given, ListConfig | DictConfig | dict):
        raise NasError(f"{key}={given}: is not a list. Write dotted names, as in {key}=[my_package.ops.MyOp].")
    entries: dict[str, Any] = {str(part): part for part in given} if isinstance(given, ListConfig) else dict(given)
    return [(name.rpartition(".")[2], _build(f"{key}.{name}", part)) for name, part in entries.items()]


def _entries(key: str, ops: Any) -> list[tuple[str, Any]]:
    """Return name and builder of each custom op in a list or mapping of candidates."""
    entries: dict[str, Any] = {}
    for op in ops if isinstance(ops, ListConfig) else [ops]:
        if isinstance(op, DictConfig):
            entries |= {str(op["_target_"]): op} if "_target_" in op else dict(op)
        elif "." in str(op) and not str(op).rpartition(".")[2].isdigit():  # a number is a width, shuffle_3x3_1.4
            entries[str(op)] = op
    names = {name: part for name, part in entries.items() if part is not None}
    return [(name.rpartition(".")[2], _build(f"{key}.{name}", part)) for name, part in names.items()]


def _build(key: str, part: Any) -> Any:
    """Import a dotted name, or instantiate a node with a ``_target_`` and ``_partial_: true``."""
    if isinstance(part, DictConfig):
        if not isinstance(part.get("_target_"), str) or part.get("_partial_") is not True:
            raise NasError(f"{key}: needs a _target_ and _partial_: true, since the op is built on each edge.")
        return instantiate(part, _convert_="all")
    if not isinstance(part, str) or "." not in part:
        raise NasError(f"{key}: {part} is not a dotted name. Write PACKAGE.MODULE.CLASS.")
    return import_name(key, part)


def _space_of(options: DictConfig) -> list[OwnPart]:
    """Return the space of a configuration if its class is user-defined and has its own notation."""
    target = options.get("_target_")
    kind = None if target is None else import_name(f"space._target_={target}", str(target))
    if not (isinstance(kind, type) and issubclass(kind, Space)) or getattr(kind, "notation", None) in SPACES:
        return []

    def build(genotype: Genotype, shape: Shape, classes: int) -> Space:
        space: Space = instantiate(options, shape=shape, classes=classes, _convert_="all")
        return space

    part, model = custom_space(kind), options.get("model")
    of_model = part.name == CHOICES and model is not None
    return [OwnPart(part.name, build, str(model).replace(":", ".") if of_model else part.target)]
