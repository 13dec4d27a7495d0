"""Candidate ops by name and by code: built-in ops, and custom ops of the user."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import nn

from nas.architecture.cell import NONE
from nas.nn.edges.mixed import module_key
from nas.nn.ops import OPS, OpBuilder, OpOptions
from nas.utils.errors import NasError, one_line, unknown
from nas.utils.own_parts import Origin, OwnPart, OwnParts, missing_part, target_of

CUSTOM_OPS = OwnParts("nas.ops")
"""Custom ops in use, and those of installed packages."""
Ops = Sequence[str | OpBuilder | Mapping[str, OpBuilder]] | Mapping[str, OpBuilder | None]
"""Candidates: names of ops, builders of custom ops, or a mapping of names to builders; None: the op of that name."""
SIDE = 8


class OpTable(NamedTuple):
    """Names of the candidates, and the builders of the custom ops among them."""

    names: tuple[str, ...]
    own: Mapping[str, OpBuilder]


def op_table(ops: Ops, key: str, space: str) -> OpTable:
    """Return the names of the candidates and the builders of custom ops.

    A name is that of a built-in op, of a custom op in use, or of an installed package. A dotted name refers to a custom
    op in use and imports nothing. The name of a builder is that of its class or function.

    Args:
        ops: the candidates.
        key: option, for error messages.
        space: name of the space, for error messages.

    Raises:
        NasError: if an op is unknown, occurs twice, has the name of a built-in op, or shares its module name.
    """
    parts = [ops] if isinstance(ops, Mapping) else [op if isinstance(op, Mapping) else {_name(op): op} for op in ops]
    entries: list[tuple[str, str | OpBuilder | None]] = [entry for part in parts for entry in part.items()]
    names: list[str] = []
    custom: dict[str, OpBuilder] = {}
    for name, given in entries:
        if name in names:
            raise NasError(f"{key}: the op '{name}' occurs twice in space={space}. Name each op once.")
        same = next((other for other in names if module_key(other) == module_key(name)), None)
        if same is not None:
            raise NasError(
                f"{key}: the ops '{same}' and '{name}' of space={space} have the same module name "
                f"'{module_key(name)}'. Rename one of them."
            )
        names.append(name)
        if given is None or isinstance(given, str):
            if name not in (NONE, *OPS):
                custom[name] = _find(name, name if given is None else given, key, space)
        else:
            check_op_name(name, target_of(given))
            custom[name] = given
    return OpTable(tuple(names), custom)


def custom_op(name: str, build: OpBuilder) -> OwnPart:
    """Return a custom op. Raises NasError for a name that cannot be used."""
    check_op_name(name, target_of(build))
    return OwnPart(name, build, target_of(build))


def check_op_name(name: str, target: str) -> None:
    """Raise NasError for a name of a custom op that is no identifier, a built-in op, or an attribute of a module."""
    fix = "Give it another name, as in own_parts={my_op: " + target + "}."
    if not re.fullmatch(r"[A-Za-z]\w*", name):
        raise NasError(f"the op {target} has the name '{name}'. Use letters, digits and _. {fix}")
    if name in (NONE, *OPS):
        raise NasError(f"the op {target} has the name of the built-in op '{name}'. {fix}")
    if hasattr(nn.ModuleDict(), name):
        raise NasError(f"the op {target} has the name '{name}', an attribute of torch modules. {fix}")


def check_custom_ops(custom: Mapping[str, OpBuilder], channels: int, options: OpOptions) -> None:
    """Raise NasError, which names the class, if a custom op cannot be built or changes the shape of features.

    Each op runs once for either stride on features [2, C, 8, 8], in evaluation mode and with forked random state.
    """
    if not custom:
        return
    with torch.random.fork_rng([]), torch.device("cpu"), torch.no_grad():
        for name, build in custom.items():
            for stride in (1, 2):
                _check(name, build, channels, stride, options)


def check_known_ops(ops: Iterable[str], origins: Mapping[str, Origin], key: str) -> None:
    """Raise NasError for an op of a genotype that is neither built-in nor a custom op of this process.

    Args:
        ops: names of ops.
        origins: places of custom ops that the file of the genotype records.
        key: beginning of the message.
    """
    for name in ops:
        if name not in (NONE, *OPS) and CUSTOM_OPS.find(name) is None:
            raise missing_part(key, "op", name, origins[name]) if name in origins else unknown("op", name, _choices())


def _check(name: str, build: OpBuilder, channels: int, stride: int, options: OpOptions) -> None:
    op = options.build_custom(name, build, channels, stride).eval()
    size, target, x = -(-SIDE // stride), target_of(build), torch.randn(2, channels, SIDE, SIDE)
    given = x.clone()
    try:
        output = op(x)
    except Exception as error:  # whatever the code of the user raises
        raise NasError(
            f"space.ops: the op '{name}' ({target}) with channels={channels} and stride={stride} fails on features "
            f"[2, {channels}, {SIDE}, {SIDE}] ({type(error).__name__}: {one_line(error)[:300]})."
        ) from error
    shape = tuple(getattr(output, "shape", ()))
    if shape != (2, channels, size, size):
        raise NasError(
            f"space.ops: the op '{name}' ({target}) with stride={stride} maps features [2, {channels}, {SIDE}, {SIDE}] "
            f"to {list(shape)}. It must keep the channels and return ceil(side / stride) pixels: "
            f"[2, {channels}, {size}, {size}]."
        )
    if not torch.equal(x, given):
        raise NasError(
            f"space.ops: the op '{name}' ({target}) changes its input, which other ops read too. Use inplace=False in "
            "its first layer."
        )


def _find(name: str, given: str, key: str, space: str) -> OpBuilder:
    part = CUSTOM_OPS.find(name)
    if part is not None and given in (name, part.target):
        return part.build
    if "." in given:
        raise NasError(
            f"{key}: the op {given} of space={space} is not in use. Add own_parts=[{given}] to import it, or pass "
            "the class itself."
        )
    raise NasError(
        f"{key}: unknown op '{name}' in space={space}. Choose from none, {', '.join(_choices())}. A custom op is named "
        "as PACKAGE.MODULE.CLASS."
    )


def _choices() -> list[str]:
    return [*OPS, *CUSTOM_OPS.names()]


def _name(op: str | OpBuilder) -> str:
    return (op if isinstance(op, str) else target_of(op)).rpartition(".")[2]
