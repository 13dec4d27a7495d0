"""Time a training step of DARTS_V2 against the authors' program, alternately, on the CPU.

    python tools/bench_training.py CHECKOUT [--turns N] [--variants eager channels_last compiled ...]
    python tools/bench_training.py CHECKOUT --processor-time --threads 1 --batch-size 48

CHECKOUT is a clone of github.com/quark0/darts. Network: 16 channels, 8 cells, auxiliary head, drop path 0.2; random
images. A step is forward pass, loss of both heads, backward pass, clipping of the gradient and SGD. The authors'
network and step run on the CPU. ``compiled`` includes the channels-last format; ``_bf16`` adds autocast.
Compilation comes before the first turn. The output is one JSON line: median seconds of each variant, and the median,
lowest and highest ratio (authors' seconds / seconds of the variant) over turns. On a machine with other load use
``--processor-time``, the CPU seconds of all threads, and one thread, because several spin while they wait.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from nas.nn.drop_path import DropPath
from nas.nn.network_compiler import NetworkCompiler
from nas.spaces.genotype_file import load_genotype
from nas.spaces.registry import space_of
from tools.authors_step import prepare  # noqa: E402

CHANNELS, CELLS, DROP_PATH, AUXILIARY, CLIP = 16, 8, 0.2, 0.4, 5.0
VARIANTS = ("eager", "channels_last", "compiled", "channels_last_bf16", "compiled_bf16")
WARM_UP = 3
Step = Callable[[], float]
Outputs = Callable[[], tuple[Tensor, Tensor]]


def make_step(network: nn.Module, outputs: Outputs, target: Tensor, bf16: bool = False) -> Step:
    """Return a training step that returns its loss."""
    optimizer = torch.optim.SGD(network.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4)
    criterion = nn.CrossEntropyLoss()

    def step() -> float:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits, auxiliary = outputs()
            loss = criterion(logits, target) + AUXILIARY * criterion(auxiliary, target)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()
        return float(loss.detach())

    return step


def our_step(variant: str, images: Tensor, target: Tensor) -> Step:
    """Return the step of the network of this package."""
    torch.manual_seed(0)
    genotype = load_genotype("DARTS_V2")
    space = space_of(genotype, (3, 32, 32), 10)
    network = space.network(genotype, channels=CHANNELS, layers=CELLS, auxiliary=True).train()  # type: ignore[call-arg]
    for module in network.modules():
        if isinstance(module, DropPath):
            module.probability = DROP_PATH
    if variant != "eager":
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        images = images.contiguous(memory_format=torch.channels_last)
    if variant.startswith("compiled"):
        NetworkCompiler(len(images)).install(network)

    def outputs() -> tuple[Tensor, Tensor]:
        outputs = network.outputs(images)
        logits, auxiliary = outputs.logits, outputs.auxiliary
        assert auxiliary is not None
        return logits, auxiliary

    return make_step(network, outputs, target, variant.endswith("bf16"))


def authors_step(checkout: Path, images: Tensor, target: Tensor) -> Step:
    """Return the step of the authors' network, on the CPU."""
    prepare([checkout / "cnn"])
    torch.cuda.FloatTensor = torch.FloatTensor  # type: ignore[attr-defined, misc]
    from genotypes import DARTS_V2  # type: ignore[import-not-found]
    from model import NetworkCIFAR  # type: ignore[import-not-found]

    torch.manual_seed(0)
    network: Any = NetworkCIFAR(CHANNELS, 10, CELLS, True, DARTS_V2).train()
    network.drop_path_prob = DROP_PATH
    return make_step(network, lambda: network(images), target)


def seconds(step: Step, clock: Callable[[], float]) -> float:
    began = clock()
    step()
    return clock() - began


def summarize(authors: Sequence[float], ours: dict[str, list[float]]) -> dict[str, Any]:
    """Return the seconds, and the ratios over turns."""
    found: dict[str, Any] = {"authors": round(statistics.median(authors), 3)}
    for variant, times in ours.items():
        ratios = [one / other for one, other in zip(authors, times, strict=True)]
        found[variant] = {
            "seconds": round(statistics.median(times), 3),
            "ratio": round(statistics.median(ratios), 2),
            "least": round(min(ratios), 2),
            "largest": round(max(ratios), 2),
        }
    return found


def main(options: argparse.Namespace) -> None:
    """Time all variants and print the result."""
    checkout, turns, variants = options.checkout.absolute(), options.turns, options.variants
    clock = time.process_time if options.processor_time else time.perf_counter
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    images, target = torch.randn(options.batch_size, 3, 32, 32), torch.randint(10, (options.batch_size,))
    steps = {variant: our_step(variant, images, target) for variant in variants}
    authors = authors_step(checkout, images, target)
    for variant, step in (*steps.items(), ("authors", authors)):
        began = time.perf_counter()
        losses = [step() for _ in range(WARM_UP)]
        spent = time.perf_counter() - began
        print(
            f"{variant}: {WARM_UP} steps before the measurement {spent:.1f} s, loss {losses[-1]:.3f}", file=sys.stderr
        )
    theirs: list[float] = []
    ours: dict[str, list[float]] = {variant: [] for variant in variants}
    for _ in range(turns):
        theirs.append(seconds(authors, clock))
        for variant, step in steps.items():
            ours[variant].append(seconds(step, clock))
    print(json.dumps({**summarize(theirs, ours), "turns": turns, "torch": torch.__version__}))


def parse_arguments(given: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=96)
    parser.add_argument("--processor-time", action="store_true")
    found = parser.parse_args(given)
    if found.turns < 1:
        parser.error(f"--turns {found.turns}: use at least 1")
    if not (found.checkout / "cnn" / "model.py").is_file():
        parser.error(f"{found.checkout} is not a checkout of github.com/quark0/darts: it has no cnn/model.py")
    return found


if __name__ == "__main__":
    main(parse_arguments(sys.argv[1:]))
