"""Time the bilevel step of a method's authors with the training function of their script.

    python tools/authors_step.py REFS METHOD SPACE [--steps 9] [--threads N] [--batch-size N]

REFS is a folder with clones of the authors' repositories, under the names on GitHub: AutoDL-Projects, DrNAS, darts,
PC-DARTS. The programs were written from 2018 to 2020. They run on current PyTorch after a few replacements in the
text of their modules (``REPLACED``). On a CPU, ``Tensor.cuda`` and ``Module.cuda`` are the identity. The output is one
JSON line: seconds of the median step and the peak memory in bytes.
"""

from __future__ import annotations

import argparse
import ast
import importlib.abc
import importlib.machinery
import importlib.util
import json
import logging
import os
import random
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

WARMUP = 2
"""First steps that are not counted."""
REPLACED = {
    "async=True": "non_blocking=True",
    "clip_grad_norm(": "clip_grad_norm_(",
    ".data[0]": ".data",
    "correct[:k].view(-1)": "correct[:k].reshape(-1)",
    "theta.sub(eta, moment+dtheta)": "theta.sub(moment+dtheta, alpha=eta)",
    "g.data.sub_(eta, ig.data)": "g.data.sub_(ig.data, alpha=eta)",
    "p.data.add_(R, v)": "p.data.add_(v * R)",
    "p.data.sub_(2*R, v)": "p.data.sub_(v * (2*R))",
    "_concat(network_optimizer.state[v]": "_concat([network_optimizer.state[v]",
    "for v in self.model.parameters()).mul_": "for v in self.model.parameters()]).mul_",
    "theta.sub(eta, dtheta)": "theta.sub(dtheta, alpha=eta)",
    "g.data.sub_(eta * clip_coef, ig.data)": "g.data.sub_(eta * clip_coef * ig.data)",
    "total_loss[0]": "total_loss",
    "type(h) == Variable": "isinstance(h, torch.Tensor)",
    ", volatile=evaluation": "",
    "embed._backend.Embedding.apply(": "torch.nn.functional.embedding(",
    "padding_idx = -1": "padding_idx = None",
}
"""Removed interfaces of PyTorch and Python, and equivalent replacements."""
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
STUBS = ("torchvision", "torchvision.transforms", "torchvision.datasets", "nas_201_api")
"""Modules that the programs import, but a step does not need."""


class Batches:
    """Loader of random images that records the seconds between its batches.

    Args:
        steps: number of batches.
        size: number of images in a batch.
        pairs: True: batches (x, y, x, y) for both steps. False: batches (x, y).
    """

    def __init__(self, steps: int, size: int, pairs: bool = False) -> None:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(size, 3, 32, 32, generator=generator)
        y = torch.randint(10, (size,), generator=generator)
        self.batch: tuple[Tensor, ...] = (x, y, x, y) if pairs else (x, y)
        self.steps = steps
        self.seconds: list[float] = []

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        for _ in range(self.steps):
            began = time.perf_counter()
            yield self.batch
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.seconds.append(time.perf_counter() - began)


class ReplacingLoader(importlib.machinery.SourceFileLoader):
    """Loader of a module of REFS, with the replacements in its text."""

    def source_to_code(self, data: Any, path: Any, *, _optimize: int = -1) -> Any:
        return compile(replace(bytes(data).decode()), path, "exec", dont_inherit=True)

    def get_code(self, fullname: str) -> Any:
        return self.source_to_code(self.get_data(self.path), self.path)


class ReplacingFinder(importlib.abc.MetaPathFinder):
    """Finder of the modules in folders of REFS."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = [str(folder) for folder in folders]

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        spec = importlib.machinery.PathFinder.find_spec(fullname, self.folders if path is None else path)
        if spec is None or spec.origin is None or not spec.origin.startswith(tuple(self.folders)):
            return None
        return importlib.util.spec_from_file_location(
            fullname, spec.origin, loader=ReplacingLoader(fullname, spec.origin),
            submodule_search_locations=spec.submodule_search_locations,
        )  # fmt: skip


def replace(text: str) -> str:
    """Return the text of a module with all replacements."""
    for old, new in REPLACED.items():
        text = text.replace(old, new)
    return text


def prepare(folders: Sequence[Path]) -> None:
    """Make the modules of ``folders`` importable without their other requirements and without a GPU."""
    for name in STUBS:
        sys.modules.setdefault(name, ModuleType(name))
    sys.modules["torchvision"].transforms = sys.modules["torchvision.transforms"]  # type: ignore[attr-defined]
    sys.modules["torchvision"].datasets = sys.modules["torchvision.datasets"]  # type: ignore[attr-defined]
    if not torch.cuda.is_available():
        torch.Tensor.cuda = lambda self, *args, **kwargs: self  # type: ignore[method-assign]
        torch.nn.Module.cuda = lambda self, *args, **kwargs: self  # type: ignore[method-assign, assignment]
    sys.meta_path.insert(0, ReplacingFinder(folders))


def function_of(script: Path, name: str, **names: Any) -> Callable[..., Any]:
    """Return one function of a script, without an import, which would run the whole program."""
    tree = ast.parse(replace(script.read_text()))
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    namespace: dict[str, Any] = {
        "torch": torch, "nn": nn, "np": np, "time": time, "random": random, "logging": logging,
        "Variable": torch.autograd.Variable, **names,
    }  # fmt: skip
    exec(compile(tree, str(script), "exec"), namespace)
    found: Callable[..., Any] = namespace[name]
    return found


def run_autodl(refs: Path, method: str, batches: Batches) -> None:
    """Run steps of NAS-Bench-201-algos by Dong and Yang."""
    root = refs / "AutoDL-Projects"
    prepare([root])
    from xautodl import log_utils, models, utils  # type: ignore[import-not-found]

    script, name = {"gdas": ("GDAS", "GDAS"), "darts": ("DARTS-V1", "DARTS-V1"), "setn": ("SETN", "SETN")}[method]
    names = {key: getattr(log_utils, key) for key in ("AverageMeter", "time_string", "convert_secs2time")}
    search = function_of(
        root / "exps" / "NAS-Bench-201-algos" / f"{script}.py", "search_func",
        obtain_accuracy=utils.obtain_accuracy, **names,
    )  # fmt: skip
    config = {"name": name, "C": 16, "N": 5, "max_nodes": 4, "num_classes": 10, "affine": False}
    config |= {"space": models.get_search_spaces("cell", "nas-bench-201"), "track_running_stats": False}
    network = models.get_cell_based_tiny_net(config).to(DEVICE)
    if method == "gdas":
        network.set_tau(10)
    weights = torch.optim.SGD(network.get_weights(), 0.025, momentum=0.9, weight_decay=5e-4, nesterov=True)
    alphas = torch.optim.Adam(network.get_alphas(), lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)
    schedule, logger = SimpleNamespace(update=lambda *_: None), SimpleNamespace(log=lambda *_: None)
    clip = [5] if method == "darts" else []
    model = nn.DataParallel(network) if method == "setn" else network  # SETN.py expects its attribute ``module``
    search(batches, model, nn.CrossEntropyLoss(), schedule, weights, alphas, "", 10**9, logger, *clip)


def run_drnas(refs: Path, method: str, batches: Batches) -> None:
    """Run steps of DrNAS by Chen et al. on NAS-Bench-201."""
    root = refs / "DrNAS"
    prepare([root / "201-space", root])
    import architect  # type: ignore[import-not-found]
    import cell_operations  # type: ignore[import-not-found]
    import search_model  # type: ignore[import-not-found]
    import utils  # type: ignore[import-not-found]

    arguments = options(reg_type="l2", reg_scale=1e-3)
    criterion = nn.CrossEntropyLoss()
    network = search_model.TinyNetwork(
        16, 5, 4, 10, criterion, cell_operations.NAS_BENCH_201, k=1, species="dirichlet"
    ).to(DEVICE)  # fmt: skip
    optimizer = torch.optim.SGD(network.get_weights(), 0.025, momentum=0.9, weight_decay=3e-4)
    train = function_of(root / "201-space" / "train_search.py", "train", utils=utils, args=arguments)
    second = Batches(batches.steps, len(batches.batch[0]))
    train(batches, second, network, architect.Architect(network, arguments), criterion, optimizer, 0.025, 0)


def run_darts(refs: Path, method: str, batches: Batches) -> None:
    """Run steps of DARTS by Liu et al., or of PC-DARTS by Xu et al., on the DARTS space."""
    root = refs / "PC-DARTS" if method == "pc_darts" else refs / "darts" / "cnn"
    prepare([root])
    import architect
    import model_search  # type: ignore[import-not-found]
    import utils

    arguments = options(unrolled=method == "darts_2nd")
    criterion = nn.CrossEntropyLoss()
    network = model_search.Network(16, 10, 8, criterion).to(DEVICE)
    optimizer = torch.optim.SGD(network.parameters(), 0.025, momentum=0.9, weight_decay=3e-4)
    train = function_of(root / "train_search.py", "train", utils=utils, args=arguments)
    second = Batches(batches.steps, len(batches.batch[0]))
    epoch = [20] if method == "pc_darts" else []  # the architecture is trained from epoch 15
    given = batches, second, network, architect.Architect(network, arguments), criterion, optimizer, 0.025, *epoch
    train(*given)


def options(**given: Any) -> SimpleNamespace:
    """Return the arguments of a script, at their defaults unless given."""
    defaults = {"momentum": 0.9, "weight_decay": 3e-4, "arch_learning_rate": 3e-4, "arch_weight_decay": 1e-3}
    defaults |= {"grad_clip": 5, "report_freq": 10**9, "unrolled": False, "save": "", "epochs": 50}
    return SimpleNamespace(**(defaults | given))


PROGRAMS: dict[tuple[str, str], Callable[[Path, str, Batches], None]] = {
    ("gdas", "nas_bench_201"): run_autodl,
    ("darts", "nas_bench_201"): run_autodl,
    ("setn", "nas_bench_201"): run_autodl,
    ("drnas", "nas_bench_201"): run_drnas,
    ("darts", "darts"): run_darts,
    ("darts_2nd", "darts"): run_darts,
    ("pc_darts", "darts"): run_darts,
}
"""Programs by method and space."""


def main(given: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("refs", type=Path)
    parser.add_argument("method")
    parser.add_argument("space")
    parser.add_argument("--steps", type=int, default=9)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--batch-size", type=int, default=64)
    found = parser.parse_args(given)
    if (found.method, found.space) not in PROGRAMS:
        parser.error(f"method={found.method} space={found.space}: no authors' program. Use one of {sorted(PROGRAMS)}.")
    if found.steps <= WARMUP:
        parser.error(f"--steps={found.steps}: the first {WARMUP} steps are not counted. Use more.")
    if found.threads is not None:
        torch.set_num_threads(found.threads)
    os.chdir("/")  # so that scripts with relative paths read and write no files of this directory
    torch.manual_seed(0)
    program = PROGRAMS[found.method, found.space]
    batches = Batches(found.steps, found.batch_size, program is run_autodl)
    program(found.refs.absolute(), found.method, batches)
    memory = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if torch.cuda.is_available():
        memory = torch.cuda.max_memory_allocated()
    print(json.dumps({"step_seconds": statistics.median(batches.seconds[WARMUP:]), "peak_memory_bytes": memory}))


if __name__ == "__main__":
    main(sys.argv[1:])
