"""A scan, from configuration to report."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from nas.cli.build import build_data, build_space, device_without_trainer
from nas.cli.checks.options import check_network
from nas.cli.run_dir.summary import environment
from nas.data.base import ImageData
from nas.data.proxy_batches import LazyProxyBatches, ProxyBatches
from nas.plotting.cell import save_cell
from nas.proxies.ranking.correlation import Values, to_higher_is_better
from nas.proxies.ranking.log import Entry
from nas.proxies.ranking.outputs import PICTURE_FILE, TABLE_FILE, save_picture, scatter, write_table
from nas.proxies.ranking.ranking import ProxyRanking, size
from nas.proxies.ranking.report import RankingReport, Truth, best_of, text
from nas.searches.pruning.rounds import format_duration
from nas.spaces.base import Space
from nas.spaces.genotype_file import save_genotype
from nas.utils.atomic_write import write_atomically, write_json
from nas.utils.errors import NasError

log = logging.getLogger(__name__)
PAUSE = 30.0  # seconds between two lines of progress
INCIDENTAL = ("root", "download", "on_device", "eval_batch_size", "batch_size", "name")
"""Options of a data set on which the images of a score do not depend."""


def run(cfg: DictConfig) -> float | None:
    """Scores the pool, writes the run directory, and returns the best architecture's accuracy where it is known."""
    device = _device(cfg)
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    data = build_data(cfg)
    space = build_space(cfg.space, data)
    report: RankingReport = instantiate(cfg.ranking.report, _convert_="all")
    lacking = report.check(space, HydraConfig.get().runtime.choices["dataset"])
    if lacking is not None:
        log.info("benchmark      %s", lacking)
    scan = build_ranking(cfg, space, data, device)
    identity = _identity(cfg, scan)
    with _Progress(len(scan.pool), scan.proxy.name) as progress:
        entries = scan.run(Path(cfg.paths.output), identity, progress)
    return _finish(cfg, scan, report, entries, identity, device)


def build_ranking(cfg: DictConfig, space: Space, data: ImageData, device: torch.device) -> ProxyRanking:
    """The scan of a configuration; images are drawn at its first score."""
    batches = LazyProxyBatches(lambda: ProxyBatches(data, cfg.ranking.seed), device)
    check_network("ranking.network", space, cfg.ranking.network or {})
    options = OmegaConf.masked_copy(cfg.ranking, [str(k) for k in cfg.ranking if k != "report"])
    options._set_parent(cfg)
    scan: ProxyRanking = instantiate(options, space=space, batches=batches, _convert_="all")
    return scan


def _device(cfg: DictConfig) -> torch.device:
    if cfg.trainer.devices not in (1, "1", "auto") or cfg.trainer.strategy not in ("auto", None):
        raise NasError(
            "a ranking runs in one process. Set trainer=cpu or trainer=gpu; split a space among several runs by "
            "ranking.indices."
        )
    return device_without_trainer(cfg)


def _identity(cfg: DictConfig, scan: ProxyRanking) -> dict[str, Any]:
    """What scores depend on, and so what an interrupted scan must have in common with what goes on."""
    plain: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=False)
    dataset = {key: value for key, value in plain["dataset"].items() if key not in INCIDENTAL}
    return {
        "proxy_name": scan.proxy.name,
        "dataset_name": HydraConfig.get().runtime.choices["dataset"],
        "ranking": {key: plain["ranking"][key] for key in ("seed", "network", "count", "sample_seed")},
        "proxy": plain["ranking"]["proxy"],
        "space": plain["space"],
        "dataset": dataset,
    }


class _Progress:
    """A bar where someone watches, else a line now and then."""

    def __init__(self, total: int, name: str) -> None:
        self.total = total
        self.name = name
        self._begun: tuple[float, int] | None = None
        self._told = 0.0
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)
        self._task = self._bar.add_task(name, total=total)

    def __enter__(self) -> _Progress:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def __call__(self, entries: Sequence[Entry]) -> None:
        now, done = time.perf_counter(), len(entries)
        self._bar.update(self._task, completed=done)
        if self._begun is None:
            self._begun, self._told = (now, done), now
            if done:
                log.info("goes on after %d of %d architectures", done, self.total)
        elif now - self._told >= PAUSE and done < self.total:
            self._told = now
            each = (now - self._begun[0]) / (done - self._begun[1])
            left = format_duration(each * (self.total - done))
            log.info("%d/%d  %s  %.3f s each  %s left", done, self.total, self.name, each, left)


def _finish(
    cfg: DictConfig,
    scan: ProxyRanking,
    report: RankingReport,
    entries: list[Entry],
    identity: dict[str, Any],
    device: torch.device,
) -> float | None:
    output, higher = Path(cfg.paths.output), scan.evaluator.higher_is_better
    truth = report.truth(scan.space, entries)
    found: dict[str, Any] = {"proxy": scan.proxy.name, "higher_is_better": higher, "space": scan.space.name}
    found |= {"dataset": identity["dataset_name"], "seed": cfg.seed, **report(entries, higher, truth)}
    good = to_higher_is_better([entry.score for entry in entries], higher)
    genotype = scan.space.parse(entries[best_of(good)].architecture)
    title = f"{scan.proxy.name} on {scan.space.name}, {identity['dataset_name']}"
    write_table(entries, {**identity, "seed": str(cfg.seed), "higher_is_better": higher}, output / TABLE_FILE)
    write_json(output / "report.json", found)
    said = text(found, title)
    write_atomically(output / "report.txt", said)
    save_picture(_picture(good, entries, truth, title), output / PICTURE_FILE)
    save_genotype(genotype, output / "genotype.json")
    save_cell(genotype, output)
    parameters, macs = size(scan.space, genotype)
    accuracy = found["best"]["accuracy"]
    summary: dict[str, Any] = {
        "mode": cfg.mode,
        **{key: found[key] for key in ("space", "dataset", "seed", "proxy")},
        "genotype": scan.space.native(genotype),
        "value": found["best"]["score"],
        "architectures": len(entries),
        "search_seconds": found["seconds"]["total"],
        "parameters": parameters,
        "macs": macs,
        "benchmark_accuracy": accuracy,
        **environment(device, "32-true"),
    }
    summary |= {key: found[key]["value"] for key in ("spearman", "kendall_tau_b") if key in found}
    write_json(output / "summary.json", summary)
    log.info("%sgenotype       %s", said, summary["genotype"])
    log.info("parameters     %.3f M   MACs %.2f M", parameters / 1e6, macs / 1e6)
    log.info("files          %s", output)
    return accuracy


def _picture(good: Values, entries: Sequence[Entry], truth: Truth, title: str) -> Figure:
    x = "rank by proxy (best at the right)"
    if truth.known.any():
        return scatter(good[truth.known], truth.accuracies[truth.known], x, "accuracy in percent", title)
    millions = np.array([entry.parameters / 1e6 for entry in entries])
    return scatter(good, millions, x, "parameters in millions", title)
