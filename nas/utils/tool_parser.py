"""Parser of the commands beside search and training: any order of arguments, mistakes in one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from nas.utils.errors import NasError


class ToolParser(argparse.ArgumentParser):
    """Parser whose options with several values may come before the other arguments.

    Args:
        program: words that start the command, the last of which is its name.
        options: keyword arguments of ``ArgumentParser``.
    """

    def __init__(self, program: str, **options: Any) -> None:
        super().__init__(program, allow_abbrev=False, **options)
        self._accepts: dict[str, Callable[[str], bool]] = {}

    def add_values(self, flag: str, accepts: Callable[[str], bool], metavar: str, **options: Any) -> None:
        """Add an option with one or more values, whose result is a list.

        Args:
            flag: the option.
            accepts: returns whether a word after the first value is a further value. Other words are arguments of the
                command.
            metavar: name of a value in the help.
            options: keyword arguments of ``add_argument``.
        """
        self.add_argument(flag, action="append", metavar=f"{metavar} [{metavar} ...]", **options)
        self._accepts[flag] = accepts

    def parse(self, arguments: Sequence[str] | None = None) -> argparse.Namespace:
        """Parse the arguments, by default those of the process, in any order. Raises NasError for a mistake in them."""
        given = sys.argv[1:] if arguments is None else arguments
        return self.parse_intermixed_args(list(self._one_value_per_flag(given)))

    def error(self, message: str) -> NoReturn:
        """Raise NasError with a message of argparse."""
        name = self.prog.split()[-1]
        raise NasError(f"{name}: {message.removeprefix('argument ')}. {self.prog} --help lists the options.")

    def _one_value_per_flag(self, arguments: Sequence[str]) -> Iterator[str]:
        """Yield the arguments with ``--flag=a --flag=b`` in place of ``--flag a b``."""
        words = list(arguments)
        while words:
            word = words.pop(0)
            if word == "--":
                yield from (word, *words)
                return
            flag, separator, _ = word.partition("=")
            if flag not in self._accepts:
                yield word
                continue
            if not separator and words and not words[0].startswith("--"):
                word = f"{flag}={words.pop(0)}"
            yield word
            while words and not words[0].startswith("--") and self._accepts[flag](words[0]):
                yield f"{flag}={words.pop(0)}"


@contextmanager
def named_by_user(option: str, argument: str) -> Iterator[None]:
    """Let messages about ``option=VALUE`` begin with the argument that the user wrote in its place.

    Args:
        option: option of a search or training, such as ``genotype``.
        argument: beginning of the messages of the command, such as ``plot``.
    """
    try:
        yield
    except NasError as error:
        text = str(error)
        if not text.startswith(f"{option}="):
            raise
        raise NasError(f"{argument} {text.removeprefix(f'{option}=')}") from error
