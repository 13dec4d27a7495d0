"""Measurement of a latency table: each part of the networks of a space, and random networks."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from datetime import date
from importlib import metadata
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from nas.architecture.cell import Genotype
from nas.latency.backends import OnnxRunner, Runner, TorchRunner
from nas.latency.covering import covering_genotypes
from nas.latency.machine import describe_machine
from nas.latency.parts import Part, PartKey, SummedEdge, addition, detach_memos, find_parts
from nas.latency.table import LatencySetup, LatencyTable
from nas.latency.timing import Timing, measure_interleaved
from nas.spaces.base import Space
from nas.utils.errors import NasError

log = logging.getLogger(__name__)
T = TypeVar("T")
Track = Callable[[int, str], AbstractContextManager[Callable[[int], None]]]
"""Begins the display of a loop, by the number of its items and its name; the result is called with finished items."""
ATTEMPTS = 100
"""Samples per network after which a space has no further genotype."""


def untracked(total: int, name: str) -> AbstractContextManager[Callable[[int], None]]:
    """Show no progress."""
    return nullcontext(lambda done: None)


def measure_table(
    space: Space,
    setup: LatencySetup,
    options: Mapping[str, Any] | None = None,
    networks: int = 50,
    seed: int = 0,
    track: Track = untracked,
) -> LatencyTable:
    """Measure all parts of the networks of a space, and random networks, with random weights and images.

    Args:
        space: search space of images.
        setup: conditions of the measurement.
        options: options of ``space.network``; None is the published size.
        networks: number of random networks.
        seed: seed of the random networks.
        track: shows the progress of a loop.

    Raises:
        NasError: if the space takes text, or the device or a package is missing.
    """
    if space.inputs != "images":
        raise NasError(
            f"space={space.name}: its networks read text of any length, so a pass over it has no fixed latency. Use a "
            "space of images."
        )
    options = dict(options or {})
    runner = build_runner(setup)
    threads = torch.get_num_threads()
    torch.set_num_threads(threads if setup.threads is None else setup.threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            genotypes = sample_genotypes(space, networks, seed)
            modules = part_modules(space, options, genotypes, track)
            parts = {key: (module, _inputs(key, module, setup.batch)) for key, module in modules.items()}
            ops = _measure(runner, setup, parts, "ops", track)
            images = torch.randn(setup.batch, *space.shape)
            whole = {genotype: (space.network(genotype, **options), [images]) for genotype in genotypes}
            timings = _measure(runner, setup, whole, "networks", track)
    finally:
        torch.set_num_threads(threads)
    return LatencyTable(
        *(space.notation, space.shape, space.classes, options, setup, ops, timings),
        machine=describe_machine(setup.device),
        versions=installed_versions(setup),
        date=date.today().isoformat(),
    )


def build_runner(setup: LatencySetup) -> Runner:
    """Build the runner of a setup. Raises NasError if the backend does not support it."""
    if setup.backend == "torch":
        return TorchRunner(setup.device, setup.precision)
    if setup.precision != "32":
        raise NasError(f"precision={setup.precision}: backend=onnxruntime runs in precision=32.")
    return OnnxRunner(setup.device, setup.threads)


def sample_genotypes(space: Space, count: int, seed: int) -> list[Genotype]:
    """Return different random genotypes, fewer than ``count`` if the space has fewer."""
    rng = random.Random(seed)
    genotypes: dict[Genotype, None] = {}
    for _ in range(ATTEMPTS * count):
        if len(genotypes) < count:
            genotypes[space.sample(rng)] = None
    return list(genotypes)


def part_modules(
    space: Space, options: Mapping[str, Any], genotypes: Iterable[Genotype], track: Track = untracked
) -> dict[PartKey, nn.Module]:
    """Return a module for each part of the networks of a space, and of some genotypes."""
    first, *others = genotypes
    modules: dict[PartKey, nn.Module] = {}

    def add(genotype: Genotype) -> list[Part]:
        parts = find_parts(space.network(genotype, **options), genotype, space.shape)
        for part in parts:
            modules.setdefault(part.key, part.module)
            if part.shareable:
                modules.setdefault(addition(part.key), SummedEdge(nn.Identity()))
        return parts

    covering = covering_genotypes(space, pairs=any(part.link is None for part in add(first)))
    log.info("collect        ops of %d networks", len(covering) + len(others) + 1)
    for genotype in _tracked((*covering, *others), "networks with ops", track):
        add(genotype)
    return {key: detach_memos(module) for key, module in modules.items()}


def _inputs(key: PartKey, module: nn.Module, batch: int) -> list[Tensor]:
    x = torch.randn(batch, *key.inputs)
    return [x, torch.randn(batch, *key.outputs)] if isinstance(module, SummedEdge) else [x]


def _measure(
    runner: Runner, setup: LatencySetup, modules: Mapping[Any, tuple[nn.Module, list[Tensor]]], name: str, track: Track
) -> dict[Any, Timing]:
    functions: list[Callable[[], object]] = []
    for module, inputs in _tracked(tuple(modules.values()), f"{name} prepared", track):
        functions.append(runner.prepare(module, inputs))
    log.info("measure        %d %s, %d passes each", len(functions), name, setup.runs)
    with track(setup.warmup + setup.runs, f"passes of all {name}") as progress:
        progress(0)
        timings = measure_interleaved(functions, setup.runs, setup.warmup, runner.synchronize, progress)
    return dict(zip(modules, timings, strict=True))


def _tracked(items: Sequence[T], name: str, track: Track) -> Iterator[T]:
    """Yield the items of a loop and show its progress."""
    with track(len(items), name) as progress:
        for number, item in enumerate(items):
            progress(number)
            yield item


def installed_versions(setup: LatencySetup) -> dict[str, str]:
    """Return the versions of the packages that a latency depends on."""
    versions = {"torch": str(torch.__version__)}
    for name in ("nas-compose", *(("onnx", "onnxruntime") if setup.backend == "onnxruntime" else ())):
        with suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return versions
