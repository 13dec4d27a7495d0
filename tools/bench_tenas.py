"""Times TE-NAS' measurements on NAS-Bench-201 beside the authors' program, in turn, on one thread.

    python tools/bench_tenas.py CHECKOUT [--turns N]     N candidates, spread over the rounds of a search
    python tools/bench_tenas.py CHECKOUT --whole         all 54 candidates, the measurements of a whole search

CHECKOUT is a clone of github.com/VITA-Group/TENAS. Full protocol: 3 repeats, 72 images of 3x32x32 for the kernel,
3 x 1000 crops for the regions. The authors' program measures the unpruned supernet for each candidate; here it is
measured once a round, and the round's candidates share its cost. Both prune ``PRUNED`` from all edges, whatever the
scores say. One JSON line: processor seconds of each turn, and the median, least and largest ratio of a turn.
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
"""What the rounds begin without: the first without the first of these, the second without two, then without three."""
Where = tuple[int, int]
"""A round, and a candidate's number in it."""
Measure = Callable[[int, int | None], None]
"""Measures a round's candidate with its repeats, or (None) what the candidates of the round share."""


def left_in(number: int) -> list[list[bool]]:
    """Which ops are left on the edges when a round begins."""
    return [[op not in PRUNED[: number + 1] for op in OPS] for _ in range(EDGES)]


def candidates(number: int) -> int:
    """How many candidates a round has."""
    return sum(map(sum, left_in(number)))


def spread(turns: int) -> list[Where]:
    """So many candidates at equal distances among those of all rounds."""
    every = [(number, i) for number in range(len(PRUNED)) for i in range(candidates(number))]
    return [every[(2 * turn + 1) * len(every) // (2 * turns) % len(every)] for turn in range(turns)]


def ours() -> Measure:
    data = Synthetic(shape=[3, 32, 32], size=8192, mean=0.5, std=0.25)
    space, draws = NasBench201((3, 32, 32), 10), ProxyBatches(data, 0)
    sizes = ((Ntk(), IMAGES), (LinearRegions(chunk=CHUNK), 3 * CHUNK))
    meters: list[ProxyMeasurement] = []

    def measure(number: int, candidate: int | None) -> None:
        alive = {"cell": left_in(number)}
        if candidate is None:  # weights and inputs are drawn anew
            meters[:] = [ProxyMeasurement(space, proxy, draws, 0, "paper", True, size) for proxy, size in sizes]
        left = alive if candidate is None else prune_ops(alive, [removable_ops(alive)[candidate]])
        for meter in meters:
            for repeat in range(REPEATS):
                meter(left, MeasurementKey(number, 0, repeat))

    return measure


def stand_ins() -> None:
    """What the authors' program imports and does not need here, or calls and does not find on a CPU."""
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


def theirs(checkout: Path) -> Measure:
    """The authors' networks, kernel and region counter on the CPU, measuring a candidate as their round does."""
    stand_ins()
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
        alphas = [torch.where(torch.tensor(left_in(number)), 0.0, -1000.0)]
        cut = [alphas[0].clone()]
        cut[0][tuple(torch.tensor(left_in(number)).nonzero()[candidate])] = -1000
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


def seconds(measure: Measure, places: Sequence[Where], whole: bool) -> float:
    """Processor time of some candidates with their shares of what a round's candidates have in common.

    Other work on the machine counts less than on the wall clock.
    """
    spent = 0.0
    for number in sorted({number for number, _ in places}):
        among = [candidate for other, candidate in places if other == number]
        began = time.process_time()
        measure(number, None)
        shared = time.process_time()
        for candidate in among:
            measure(number, candidate)
        spent += (shared - began) * (1 if whole else len(among) / candidates(number)) + time.process_time() - shared
    return spent


def summary(mine: Sequence[float], their: Sequence[float]) -> dict[str, Any]:
    """What the turns say together."""
    ratios = [one / other for one, other in zip(mine, their, strict=True)]
    return {
        "ours": [round(value, 2) for value in mine],
        "authors": [round(value, 2) for value in their],
        "ratio": round(statistics.median(ratios), 4),
        "least": round(min(ratios), 4),
        "largest": round(max(ratios), 4),
    }


def main(checkout: Path, turns: int, whole: bool) -> None:
    torch.set_num_threads(1)
    one, other = ours(), theirs(checkout)
    every = [(number, i) for number in range(len(PRUNED)) for i in range(candidates(number))]
    work = [every] * turns if whole else [[place] for place in spread(turns)]
    mine: list[float] = []
    their: list[float] = []
    for places in work:
        mine.append(seconds(one, places, whole))
        their.append(seconds(other, places, whole))
        what = "whole search" if whole else f"round {places[0][0] + 1}, candidate {places[0][1] + 1}"
        print(f"{what}: {mine[-1]:.2f} s, the authors' {their[-1]:.2f} s", file=sys.stderr, flush=True)
    print(json.dumps({**summary(mine, their), "whole": whole, "torch": torch.__version__}))


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--turns", type=int, default=None, help="3 candidates, or 1 whole search")
    parser.add_argument("--whole", action="store_true")
    found = parser.parse_args(given)
    found.turns = (1 if found.whole else 3) if found.turns is None else found.turns
    if found.turns < 1:
        parser.error(f"--turns {found.turns}: give at least 1")
    if not (found.checkout / "lib" / "procedures" / "ntk.py").is_file():
        parser.error(f"{found.checkout} is no checkout of github.com/VITA-Group/TENAS: no lib/procedures/ntk.py there")
    return found


if __name__ == "__main__":
    options = arguments(sys.argv[1:])
    main(options.checkout.absolute(), options.turns, options.whole)
