"""Time the measurements of TE-NAS on NAS-Bench-201 against the authors' program, alternately, on one thread.

    python tools/bench_tenas.py CHECKOUT [--turns N]     N candidates from all rounds of a search
    python tools/bench_tenas.py CHECKOUT --whole         all 54 candidates: the measurements of a whole search

CHECKOUT is a clone of github.com/VITA-Group/TENAS. Full protocol: 3 repeats, 72 images of 3x32x32 for the kernel,
3 x 1000 crops for the regions. The authors' program measures the unpruned supernet for each candidate. Here it
is measured once per round, and its cost is divided among the round's candidates. Both prune ``PRUNED`` from all
edges, whatever the proxies are. The output is one JSON line: processor seconds of each turn, and the median, lowest and
highest ratio of a turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import torch

from nas.data.proxy_batches import ProxyBatches
from nas.data.synthetic import Synthetic
from nas.proxies.linear_regions import LinearRegions
from nas.proxies.ntk import Ntk
from nas.searches.pruning.measure import MeasurementKey, ProxyMeasurement
from nas.searches.pruning.ranking import prune_ops, removable_ops
from nas.spaces.nas_bench_201.notation import OPS
from nas.spaces.nas_bench_201.space import NasBench201

REPEATS, IMAGES, CHUNK, EDGES = 3, 72, 1000, 6
PRUNED = ("none", "skip_connect", "avg_pool_3x3")
"""Ops pruned in turn: round n starts without the first n + 1 of them."""
RoundAndCandidate = tuple[int, int]
"""Number of a round, and number of a candidate in it."""
Measure = Callable[[int, int | None], None]
"""Measures a candidate of a round with its repeats or, for None, the shared reference of the round."""


def remaining_ops(number: int) -> list[list[bool]]:
    """Return the remaining ops [edges, ops] at the start of a round."""
    return [[op not in PRUNED[: number + 1] for op in OPS] for _ in range(EDGES)]


def count_candidates(number: int) -> int:
    """Return the number of candidates of a round."""
    return sum(map(sum, remaining_ops(number)))


def select_candidates(turns: int) -> list[RoundAndCandidate]:
    """Select ``turns`` candidates at equal distances from those of all rounds."""
    every = [(number, i) for number in range(len(PRUNED)) for i in range(count_candidates(number))]
    return [every[(2 * turn + 1) * len(every) // (2 * turns) % len(every)] for turn in range(turns)]


def our_measurement() -> Measure:
    """Return the measurement of this package."""
    data = Synthetic(shape=[3, 32, 32], size=8192, mean=0.5, std=0.25)
    space, batches = NasBench201((3, 32, 32), 10), ProxyBatches(data, 0)
    sizes = ((Ntk(), IMAGES), (LinearRegions(chunk=CHUNK), 3 * CHUNK))
    measurements: list[ProxyMeasurement] = []

    def measure(number: int, candidate: int | None) -> None:
        alive = {"cell": remaining_ops(number)}
        if candidate is None:  # sample new weights and inputs
            measurements[:] = [ProxyMeasurement(space, proxy, batches, 0, "paper", True, size) for proxy, size in sizes]
        remaining = alive if candidate is None else prune_ops(alive, [removable_ops(alive)[candidate]])
        for measurement in measurements:
            for repeat in range(REPEATS):
                measurement(remaining, MeasurementKey(number, 0, repeat))

    return measure


def install_stubs() -> None:
    """Replace modules and functions that the authors' program imports but does not need, or that need a GPU."""
    for name in ("torchvision", "torchvision.transforms", "torchvision.datasets"):
        sys.modules.setdefault(name, ModuleType(name))
    sys.modules["torchvision"].transforms = sys.modules["torchvision.transforms"]  # type: ignore[attr-defined]
    sys.modules["torchvision"].datasets = sys.modules["torchvision.datasets"]  # type: ignore[attr-defined]
    stub = ModuleType("datasets")
    for name in ("CUTOUT", "Dataset2Class", "ImageNet16"):
        setattr(stub, name, None)
    sys.modules["datasets"] = stub
    torch.Tensor.cuda = lambda self, *args, **kwargs: self  # type: ignore[method-assign]
    torch.Tensor.T = property(lambda self: self.transpose(0, 1).clone())  # type: ignore[assignment, misc]
    torch.symeig = lambda matrix: torch.linalg.eigh(matrix)  # type: ignore[attr-defined]


def authors_measurement(checkout: Path) -> Measure:
    """Return the measurement of the authors' networks, kernel and region counter, on the CPU."""
    install_stubs()
    sys.path.insert(0, str(checkout / "lib"))
    from models import get_cell_based_tiny_net, get_search_spaces  # type: ignore[import-not-found]
    from procedures.linear_region_counter import Linear_Region_Collector  # type: ignore[import-not-found]
    from procedures.ntk import get_ntk_n  # type: ignore[import-not-found]

    ops = get_search_spaces("cell", "nas-bench-201")
    common: dict[str, Any] = {"name": "DARTS-V1", "N": 1, "max_nodes": 4, "num_classes": 10, "space": ops}
    common |= {"affine": True, "track_running_stats": True}
    full, thin = ({**common, "C": 3, "depth": -1, "use_stem": True}, {**common, "C": 1, "depth": 1, "use_stem": False})
    collector = Linear_Region_Collector(input_size=(CHUNK, 1, 3, 3), sample_batch=3)
    collector.train_loader = []

    def pair(config: dict[str, Any], number: int, candidate: int) -> list[Any]:
        networks = [get_cell_based_tiny_net(SimpleNamespace(**config)).train() for _ in range(2)]
        alphas = [torch.where(torch.tensor(remaining_ops(number)), 0.0, -1000.0)]
        cut = [alphas[0].clone()]
        cut[0][tuple(torch.tensor(remaining_ops(number)).nonzero()[candidate])] = -1000
        for network, state in zip(networks, (alphas, cut), strict=True):
            network.set_alphas(state)
        for one, other in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
            other.data.copy_(one.data)
        networks[1].set_alphas(cut)
        return networks

    def measure(number: int, candidate: int | None) -> None:
        if candidate is None:
            return
        with mock.patch.object(torch.cuda, "current_device", lambda: 0), mock.patch.object(torch.cuda, "empty_cache"):
            networks = pair(full, number, candidate)
            for _ in range(REPEATS):
                batch = torch.randn(IMAGES, 3, 32, 32), torch.zeros(IMAGES)
                get_ntk_n([batch], networks, recalbn=0, train_mode=True, num_batch=1)
            networks = pair(thin, number, candidate)
            with torch.no_grad():
                for _ in range(REPEATS):
                    collector.reinit(models=networks)
                    crops = [(torch.randn(CHUNK, 1, 3, 3), None) for _ in range(3)]
                    collector.loader = SimpleNamespace(next=iter(crops).__next__)
                    collector.forward_batch_sample()
                    collector.clear()

    return measure


def process_seconds(measure: Measure, work: Sequence[RoundAndCandidate], whole: bool) -> float:
    """Return the processor time of candidates, with their share of their round's reference.

    Processor time depends less on other work of the machine than wall-clock time.
    """
    spent = 0.0
    for number in sorted({number for number, _ in work}):
        selected = [candidate for other, candidate in work if other == number]
        began = time.process_time()
        measure(number, None)
        shared = time.process_time()
        for candidate in selected:
            measure(number, candidate)
        spent += (
            (shared - began) * (1 if whole else len(selected) / count_candidates(number)) + time.process_time() - shared
        )
    return spent


def summarize(ours: Sequence[float], authors: Sequence[float]) -> dict[str, Any]:
    """Return the seconds of both programs and the ratios over turns."""
    ratios = [one / other for one, other in zip(ours, authors, strict=True)]
    return {
        "ours": [round(value, 2) for value in ours],
        "authors": [round(value, 2) for value in authors],
        "ratio": round(statistics.median(ratios), 4),
        "least": round(min(ratios), 4),
        "largest": round(max(ratios), 4),
    }


def main(checkout: Path, turns: int, whole: bool) -> None:
    """Time both programs and print the result."""
    torch.set_num_threads(1)
    measure, authors_measure = our_measurement(), authors_measurement(checkout)
    every = [(number, i) for number in range(len(PRUNED)) for i in range(count_candidates(number))]
    turns_of_work = [every] * turns if whole else [[candidate] for candidate in select_candidates(turns)]
    ours: list[float] = []
    authors: list[float] = []
    for work in turns_of_work:
        ours.append(process_seconds(measure, work, whole))
        authors.append(process_seconds(authors_measure, work, whole))
        what = "whole search" if whole else f"round {work[0][0] + 1}, candidate {work[0][1] + 1}"
        print(f"{what}: ours {ours[-1]:.2f} s, authors {authors[-1]:.2f} s", file=sys.stderr, flush=True)
    print(json.dumps({**summarize(ours, authors), "whole": whole, "torch": torch.__version__}))


def parse_arguments(given: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--turns", type=int, default=None, help="default: 3 candidates, or 1 whole search")
    parser.add_argument("--whole", action="store_true")
    found = parser.parse_args(given)
    found.turns = (1 if found.whole else 3) if found.turns is None else found.turns
    if found.turns < 1:
        parser.error(f"--turns {found.turns}: use at least 1")
    if not (found.checkout / "lib" / "procedures" / "ntk.py").is_file():
        parser.error(
            f"{found.checkout} is not a checkout of github.com/VITA-Group/TENAS: it has no lib/procedures/ntk.py"
        )
    return found


if __name__ == "__main__":
    options = parse_arguments(sys.argv[1:])
    main(options.checkout.absolute(), options.turns, options.whole)
