"""Network and cost of the command ``nas-search count``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import torch
import yaml
from torch import nn

from nas.cli.checks.options import check_network
from nas.cli.overrides.inherit_from_search import searched_run
from nas.cli.overrides.inherit_layout import searched_network
from nas.cli.own_parts import named_parts
from nas.cli.run_dir.layout import SUMMARY_FILE
from nas.nn.cost import Cost, count
from nas.nn.custom_ops import CUSTOM_OPS
from nas.nn.macs import RULES
from nas.spaces.custom_spaces import CUSTOM_SPACES, split_parts
from nas.spaces.genotype_budget import read_budget
from nas.spaces.genotype_file import Budget, find_published, load_genotype
from nas.spaces.recurrent.space import Recurrent
from nas.spaces.registry import space_of
from nas.utils.errors import NasError, one_line
from nas.utils.import_name import import_name
from nas.utils.read_file import read_json
from nas.utils.tool_parser import named_by_user

IMAGE, CLASSES, WORDS = (3, 32, 32), 10, 10_000
"""Shape of an image and number of classes; number of words of a language model, as in Penn Treebank."""
MAX_SIZE = 2**16
"""Largest size of an image and number of classes that are taken from the record of a run."""
TOKEN_RULES = ("macs", "macs_bias", "flops")
"""Rules that are printed for a token; the other ones were made for images."""
INPUTS = {Recurrent.notation: Recurrent.inputs}
"""Inputs of the networks of a notation, if they are not images."""


def count_of(options: argparse.Namespace) -> tuple[Cost, Budget]:
    """Return the cost of the network of the parsed options, and the limited costs of its search.

    Raises:
        NasError: if there is no such network, or it does not accept the shape.
    """
    parts = {name: target or name for name, _, target in (part.partition("=") for part in options.own_parts)}
    ops, spaces = split_parts(named_parts(parts, "--own-parts"))
    with CUSTOM_OPS.use(ops), CUSTOM_SPACES.use(spaces):
        cost = _count(options)
    return cost, {} if _is_import(options.network) else read_budget(options.network)


def _count(options: argparse.Namespace) -> Cost:
    """Build the network and count. Raises NasError if there is none, or it does not accept the shape."""
    for name, values in (("shape", options.shape), ("classes", [options.classes])):
        if any(value is not None and value < 1 for value in values or ()):
            raise NasError(f"--{name} {' '.join(map(str, values))}: numbers start at 1.")
    if _is_import(options.network):
        network, shape = _import(options.network), tuple(options.shape or IMAGE)
    else:
        network, shape = _network_of_genotype(options)
    rules = options.rule or (RULES if shape else TOKEN_RULES)
    try:
        return count(network, shape, rules)
    except NasError:
        raise
    except Exception as error:  # whatever the code of the user raises
        text, reason = " ".join(map(str, shape)), f"{type(error).__name__}: {one_line(error)[:300]}"
        raise NasError(f"--shape {text}: {options.network} fails on it ({reason}). Set --shape.") from error


def _is_import(text: str) -> bool:
    module, separator, name = text.partition(":")
    return bool(separator) and name.isidentifier() and all(part.isidentifier() for part in module.split("."))


def _import(text: str) -> nn.Module:
    """Return the module that ``PACKAGE.MODULE:FUNCTION`` builds."""
    build = import_name(f"count {text}", text)
    try:
        network = build if isinstance(build, nn.Module) else build()
    except (Exception, SystemExit) as error:  # whatever the code of the user raises
        reason = f"{type(error).__name__}: {one_line(error)[:300]}"
        raise NasError(f"count {text}: {reason}. Name a function that needs no arguments.") from error
    if not isinstance(network, nn.Module):
        raise NasError(
            f"count {text}: returns {type(network).__name__}. Name a function that returns a torch.nn.Module."
        )
    return network


def _network_of_genotype(options: argparse.Namespace) -> tuple[nn.Module, tuple[int, ...]]:
    """Return the final network of a genotype on the meta device, and the shape of its input.

    The network has published options unless others are given, or the layout of the search that ``options.network``
    names. Shape and classes of a run are those of its data set. The input of a language model is a token, of shape ().
    """
    with named_by_user("genotype", "count"):
        genotype = load_genotype(options.network)
    recorded, classes = _recorded_images(options.network)
    shape: Any = tuple(options.shape or recorded)
    is_text = INPUTS.get(genotype.space) == "text"
    if is_text and options.shape is not None:
        raise NasError(f"--shape {' '.join(map(str, shape))}: the input of a language model is a token. Leave it out.")
    if len(shape) != 3:
        raise NasError(f"--shape {' '.join(map(str, shape))}: networks of genotypes take images. Set C H W.")
    shape = () if is_text else shape
    space = space_of(genotype, shape, options.classes or (WORDS if is_text else classes))
    entry = find_published(options.network)
    published = {} if entry is None else entry.network_options(shape[1:])
    chosen = {**published, **_layout(options.network), **_given(options.options)}
    check_network("--network", space, chosen)
    with torch.device("meta"):
        return space.network(genotype, **chosen), shape


def _layout(source: str) -> dict[str, Any]:
    """Return the layout of the search whose run directory ``source`` names, if it differs from the published one."""
    directory = searched_run(source)
    return {} if directory is None else searched_network(directory)


def _recorded_images(source: str) -> tuple[tuple[int, ...], int]:
    """Return the shape of the images and the number of classes of a finished run, or ``IMAGE`` and ``CLASSES``."""
    directory = searched_run(source)
    try:
        summary = {} if directory is None else read_json(directory / SUMMARY_FILE)
    except (OSError, ValueError):
        summary = {}
    record: dict[str, Any] = summary if isinstance(summary, dict) else {}
    shape, classes = record.get("input_shape"), record.get("classes", 0)
    if not isinstance(shape, list) or len(shape) != 3 or not all(map(_is_size, [*shape, classes])):
        return IMAGE, CLASSES
    return tuple(shape), classes


def _is_size(value: Any) -> bool:
    return type(value) is int and 1 <= value <= MAX_SIZE


def _given(pairs: Sequence[str]) -> dict[str, Any]:
    options = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name.isidentifier():
            raise NasError(f"--network {pair}: options are KEY=VALUE, such as layers=8.")
        try:
            options[name] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise NasError(f"--network {pair}: the value is no number, word or list. Correct it.") from None
    return options
