"""Custom parts: ops and spaces of the user's packages, by name, without a change of this package."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points, packages_distributions, version
from typing import Any, NamedTuple

from nas.utils.errors import NasError, one_line


class Origin(NamedTuple):
    """Place of a custom part, as a genotype file records it. It is text for messages and never imported."""

    target: str
    """Dotted name of the class or function."""
    package: str
    """Name and version of the installed package, or the name of the module."""


@dataclass(frozen=True)
class OwnPart:
    """A custom op or space.

    Attributes:
        name: name in genotypes.
        build: builds the part.
        target: dotted name of the class or function, for messages and files.
        package: name and version of the installed package; empty: found from ``target`` when it is needed.
    """

    name: str
    build: Callable[..., Any]
    target: str
    package: str = ""

    @property
    def origin(self) -> Origin:
        """Place of the part, for files."""
        return Origin(self.target, self.package or _package_of(self.target))


class OwnParts:
    """Custom parts of one kind: those in use, and those that installed packages provide.

    All threads of the process share the parts in use, because a joint search has several. Installed packages provide
    parts by entry points of a group. An entry point is imported when its name is looked up.

    Args:
        group: group of entry points, such as ``nas.ops``.
    """

    def __init__(self, group: str) -> None:
        self.group = group
        self._used: dict[str, OwnPart] = {}

    def find(self, name: str) -> OwnPart | None:
        """Return the part of a name, None if there is none.

        Raises:
            NasError: if the package that provides it cannot be imported.
        """
        if name in self._used:
            return self._used[name]
        point = installed(self.group).get(name)
        return None if point is None else _load(point)

    def has(self, name: str) -> bool:
        """Return whether there is a part of a name, without importing it."""
        return name in self._used or name in installed(self.group)

    def names(self) -> list[str]:
        """Return the names of all parts, without importing them."""
        return sorted({*self._used, *installed(self.group)})

    @contextmanager
    def use(self, parts: Iterable[OwnPart]) -> Iterator[None]:
        """Use parts within the context. They replace parts of the same name."""
        before = self._used
        self._used = {**before, **{part.name: part for part in parts}}
        try:
            yield
        finally:
            self._used = before


def installed(group: str) -> Mapping[str, EntryPoint]:
    """Return the entry points of a group by name, without importing them."""
    return {point.name: point for point in entry_points(group=group)}


def load_entry_point(point: EntryPoint) -> Any:
    """Import the object of an entry point. Raises NasError, which names the package, if that fails."""
    try:
        return point.load()
    except Exception as error:  # whatever the code of the package raises
        raise NasError(
            f"{point.group}: '{point.name}' of {_distribution(point)} cannot be imported from {point.value} "
            f"({type(error).__name__}: {one_line(error)}). Repair or uninstall the package."
        ) from error


def target_of(build: Any) -> str:
    """Return the dotted name of a class or function; of the function of a ``partial``."""
    while isinstance(build, partial):
        build = build.func
    kind = build if hasattr(build, "__qualname__") else type(build)
    return f"{kind.__module__}.{kind.__qualname__}"


def missing_part(key: str, kind: str, name: str, origin: Origin) -> NasError:
    """Return the error for a genotype with a part that this process does not provide.

    Args:
        key: beginning of the message.
        kind: "op" or "space".
        name: name in the genotype.
        origin: its place, recorded by the genotype file.
    """
    top = origin.target.partition(".")[0]
    where = f"{origin.target} of {origin.package}"
    # find_spec of a top-level name imports nothing
    known = top.isidentifier() and importlib.util.find_spec(top) is not None
    if not known:
        return NasError(
            f"{key}: its {kind} '{name}' is {where}, which is not installed. Install it, and name the part with "
            f"own_parts=[{origin.target}] unless the package has an entry point."
        )
    return NasError(
        f"{key}: its {kind} '{name}' is {where}. No file makes this program import code: if you trust it, add "
        f"own_parts=[{origin.target}], or -cd DIR of its configuration."
    )


def _load(point: EntryPoint) -> OwnPart:
    build = load_entry_point(point)
    if not callable(build):
        raise NasError(f"{point.group}: '{point.name}' of {_distribution(point)} is not a class or function.")
    return OwnPart(point.name, build, target_of(build), _distribution(point))


def _distribution(point: EntryPoint) -> str:
    return "an unknown package" if point.dist is None else f"{point.dist.name} {point.dist.version}"


def _package_of(target: str) -> str:
    """Return name and version of the package that holds a dotted name; its module if no package is installed."""
    top = target.partition(".")[0]
    names = packages_distributions().get(top)
    return f"{names[0]} {version(names[0])}" if names else f"the module {top}"
