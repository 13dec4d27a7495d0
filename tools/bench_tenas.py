"""Times one candidate of TE-NAS' first round on NAS-Bench-201 against the authors' program, in turn, on one thread.

    python tools/bench_tenas.py CHECKOUT [TURNS]      CHECKOUT: a clone of github.com/VITA-Group/TENAS

Full protocol: 3 repeats, 72 images of 3x32x32 for the kernel, 3 x 1000 crops for the regions. The authors' program
measures the unpruned supernet for each candidate; here it is measured once a round, so its cost is shared by 24.
One JSON line with the median seconds of both and their ratio.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import torch

from nas.data.draws import Draws
from nas.data.synthetic import Synthetic
from nas.scores.linear_regions import LinearRegions
from nas.scores.ntk import Ntk
from nas.searches.meter import Meter, Place
from nas.searches.ranking import removable, without
from nas.spaces.nas_bench_201 import NasBench201

REPEATS, IMAGES, CHUNK, CANDIDATES = 3, 72, 1000, 24


def ours() -> Callable[[int], None]:
    """Measures candidate i of a round, the shared reference with the first."""
    data = Synthetic(shape=[3, 32, 32], size=8192, mean=0.5, std=0.25)
    space, draws = NasBench201((3, 32, 32), 10), Draws(data, 0)
    alive = {"cell": [[op != "none" for op in space.cells["cell"].ops] for _ in range(6)]}
    sizes = ((Ntk(), IMAGES), (LinearRegions(chunk=CHUNK), 3 * CHUNK))
    meters = [Meter(space, score, draws, 0, "paper", True, size) for score, size in sizes]

    def measure(number: int) -> None:
        left = alive if number < 0 else without(alive, [removable(alive)[number]])
        for meter in meters:
            for repeat in range(REPEATS):
                (meter.reference if number < 0 else meter)(left, Place(0, 0, repeat))

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


def theirs(checkout: Path) -> Callable[[int], None]:
    """The authors' networks, kernel and region counter on the CPU, measuring one candidate as their round does."""
    stand_ins()
    sys.path.insert(0, str(checkout / "lib"))
    from models import get_cell_based_tiny_net, get_search_spaces  # type: ignore[import-not-found]
    from procedures.linear_region_counter import Linear_Region_Collector  # type: ignore[import-not-found]
    from procedures.ntk import get_ntk_n  # type: ignore[import-not-found]

    ops = get_search_spaces("cell", "nas-bench-201")
    common: dict[str, Any] = {"name": "DARTS-V1", "N": 1, "max_nodes": 4, "num_classes": 10, "space": ops}
    common |= {"affine": True, "track_running_stats": True}
    full, thin = ({**common, "C": 3, "depth": -1, "use_stem": True}, {**common, "C": 1, "depth": 1, "use_stem": False})
    alphas = [torch.zeros(6, len(ops))]
    alphas[0][:, 0] = -1000
    collector = Linear_Region_Collector(input_size=(CHUNK, 1, 3, 3), sample_batch=3)
    collector.train_loader = []

    def pair(config: dict[str, Any], number: int) -> list[Any]:
        networks = [get_cell_based_tiny_net(SimpleNamespace(**config)).train() for _ in range(2)]
        cut = [alphas[0].clone()]
        cut[0][number // 4, 1 + number % 4] = -1000
        for network, state in zip(networks, (alphas, cut), strict=True):
            network.set_alphas(state)
        for one, other in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
            other.data.copy_(one.data)
        networks[1].set_alphas(cut)
        return networks

    def measure(number: int) -> None:
        with mock.patch.object(torch.cuda, "current_device", lambda: 0), mock.patch.object(torch.cuda, "empty_cache"):
            networks = pair(full, number)
            for _ in range(REPEATS):
                batch = torch.randn(IMAGES, 3, 32, 32), torch.zeros(IMAGES)
                get_ntk_n([batch], networks, recalbn=0, train_mode=True, num_batch=1)
            networks = pair(thin, number)
            with torch.no_grad():
                for _ in range(REPEATS):
                    collector.reinit(models=networks)
                    crops = [(torch.randn(CHUNK, 1, 3, 3), None) for _ in range(3)]
                    collector.loader = SimpleNamespace(next=iter(crops).__next__)
                    collector.forward_batch_sample()
                    collector.clear()

    return measure


def seconds(work: Callable[[int], None], number: int) -> float:
    """Processor time of one call: other work on the machine counts less than on the wall clock."""
    began = time.process_time()
    work(number)
    return time.process_time() - began


def main(checkout: Path, turns: int) -> None:
    torch.set_num_threads(1)
    one, other = ours(), theirs(checkout)
    shared = seconds(one, -1)
    mine, their = [], []
    for turn in range(turns):
        number = turn * (CANDIDATES // turns) % CANDIDATES
        mine.append(seconds(one, number))
        their.append(seconds(other, number))
        print(f"candidate {number}: {mine[-1]:.2f} s, the authors' {their[-1]:.2f} s", file=sys.stderr, flush=True)
    candidate = statistics.median(mine) + shared / CANDIDATES
    found = {"ours": candidate, "reference_of_a_round": shared, "authors": statistics.median(their)}
    print(json.dumps({**found, "ratio": candidate / found["authors"], "torch": torch.__version__}))


if __name__ == "__main__":
    if len(sys.argv) < 2 or not (Path(sys.argv[1]) / "lib" / "procedures" / "ntk.py").is_file():
        sys.exit("error: give a checkout of github.com/VITA-Group/TENAS (it has lib/procedures/ntk.py)")
    main(Path(sys.argv[1]).absolute(), int(sys.argv[2]) if len(sys.argv) > 2 else 3)
