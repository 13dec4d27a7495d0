"""Spaces of the user's packages, by the notation of their genotypes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from nas.architecture.cell import Genotype
from nas.nn.custom_ops import CUSTOM_OPS, custom_op
from nas.spaces.base import Shape, Space
from nas.utils.errors import NasError
from nas.utils.own_parts import OwnPart, OwnParts, target_of

CUSTOM_SPACES = OwnParts("nas.spaces")
"""Custom spaces in use, and those of installed packages, by notation."""


def custom_space(build: Any) -> OwnPart:
    """Return a custom space, given by its class or a ``partial`` of it.

    Raises:
        NasError: if its class has no usable notation.
    """
    kind = _class_of(build)
    notation = getattr(kind, "notation", None)
    if not isinstance(notation, str) or not re.fullmatch(r"[A-Za-z]\w*", notation):
        raise NasError(
            f"space {target_of(kind)}: notation={notation!r} is not a name. Set the class attribute notation, as in "
            f"notation = '{kind.__name__.lower()}'."
        )
    if kind is build:
        return OwnPart(notation, kind.of_genotype, target_of(kind))
    return OwnPart(notation, lambda genotype, shape, classes: build(shape=shape, classes=classes), target_of(kind))


def _class_of(build: Any) -> Any:
    """Return the class or function that a ``partial`` calls in the end."""
    while isinstance(build, partial):
        build = build.func
    return build


def build_custom_space(part: OwnPart, genotype: Genotype, shape: Shape, classes: int) -> Space:
    """Build the custom space of a genotype for images of ``shape`` (C, H, W).

    Raises:
        NasError: if its class builds no space of this notation, or the genotype is not a member of it.
    """
    build: Any = part.build
    if isinstance(build, type) and issubclass(build, Space):
        build = build.of_genotype
    space = build(genotype, shape, classes)
    if not isinstance(space, Space):
        raise NasError(f"space {part.target}: returns a {type(space).__name__}. Derive it from nas.spaces.base.Space.")
    if space.notation != genotype.space:
        raise NasError(
            f"space {part.target}: notation='{space.notation}', but its name is '{genotype.space}'. Give the entry "
            "point the name of the notation."
        )
    space.check(genotype)
    return space


@contextmanager
def own_parts(*parts: Any, **named: Any) -> Iterator[None]:
    """Use custom ops and spaces within the context, for example to build or load networks with them.

    Args:
        parts: classes or functions. The name of an op is that of its class or function.
        named: ops by name.

    Raises:
        NasError: if a part is neither an op nor a space.
    """
    ops, spaces = split_parts([*((target_of(part).rpartition(".")[2], part) for part in parts), *named.items()])
    with CUSTOM_OPS.use(ops), CUSTOM_SPACES.use(spaces):
        yield


def split_parts(parts: Iterable[tuple[str, Any]]) -> tuple[list[OwnPart], list[OwnPart]]:
    """Return the ops and the spaces among parts by name. Raises NasError for a part that is neither."""
    ops, spaces = [], []
    for name, build in parts:
        kind = _class_of(build)
        if isinstance(kind, type) and issubclass(kind, Space):
            spaces.append(custom_space(build))
        elif callable(build):
            ops.append(custom_op(name, build))
        else:
            raise NasError(f"own_parts: {name} is a {type(build).__name__}. Name a class or function.")
    return ops, spaces
