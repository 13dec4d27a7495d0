"""Ranking of the architectures of a space by a zero-cost proxy: python search.py mode=rank_proxies proxy=..."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf

from nas.cli.build import build_data, build_space, dataset_name, device_without_trainer, seed_and_threads
from nas.cli.checks.options import check_network
from nas.cli.run_dir.elapsed import Elapsed, read_timing
from nas.cli.run_dir.environment import environment
from nas.cli.run_dir.figures import network_cost, split_figures
from nas.cli.run_dir.layout import holds_ranking, remove_failure
from nas.cli.run_dir.progress import LoopProgress
from nas.cli.run_dir.start import log_start_without_trainer
from nas.cli.run_dir.summary import Summary
from nas.cli.worker_context import use_context
from nas.data.base import ImageData
from nas.data.kinds import require_images
from nas.data.proxy_batches import LazyProxyBatches, ProxyBatches
from nas.data.unloaded import unloaded
from nas.executors.base import Executor, Workers
from nas.executors.serial import Serial
from nas.plotting.cell import save_cell
from nas.proxies.ranking.correlation import Values, to_higher_is_better
from nas.proxies.ranking.outputs import PLOT_FILE, SCORES_FILE, plot_ranks, save_plot, write_scores
from nas.proxies.ranking.ranking import ProxyRanking
from nas.proxies.ranking.report import BenchmarkAccuracies, RankingReport, best_index, format_report
from nas.proxies.ranking.score_log import ScoreRecord
from nas.spaces.base import Space
from nas.spaces.genotype_file import save_genotype
from nas.utils.atomic_write import remove_temporary_files, write_atomically, write_json
from nas.utils.errors import NasError

log = logging.getLogger(__name__)
IRRELEVANT = (
    *("root", "download", "on_device", "eval_batch_size", "batch_size", "name", "split_record"),
    *("global_batch_size", "test_list", "test_list_file"),
)
"""Options of a data set that do not change the images of a proxy."""


def run(cfg: DictConfig) -> float | None:
    """Measure all candidates and write the run directory.

    Returns:
        The benchmark accuracy of the best architecture by the proxy in percent, None if it is unknown.
    """
    device = _device(cfg)
    seed_and_threads(cfg)
    data = require_images(build_data(cfg), "mode=rank_proxies")
    space = build_space(cfg.space, data)
    report: RankingReport = instantiate(cfg.ranking.report, _convert_="all")
    log_start_without_trainer(cfg, device)
    missing = report.check(space, dataset_name())
    announced = "" if missing is None else f"benchmark      {missing}"
    if announced:
        log.info("%s", announced)
    executor: Executor = use_context(instantiate(cfg.executor, _convert_="all"))
    ranking = build_ranking(cfg, space, data, device if isinstance(executor, Serial) else torch.device("cpu"))
    identity = _identity(cfg, ranking)
    output = Path(cfg.paths.output)
    remove_temporary_files(output)
    remove_failure(output)
    elapsed = Elapsed(output, read_timing(output) if holds_ranking(output) else None)
    records = _measure(ranking, output, identity, _workers(executor, ranking, data, device), elapsed)
    figures = {**elapsed.figures(), **split_figures(data)}
    return _finish(cfg, ranking, report, records, identity, device, figures, announced)


def _measure(
    ranking: ProxyRanking,
    output: Path,
    identity: dict[str, Any],
    workers: Callable[[], Workers] | None,
    elapsed: Elapsed,
) -> list[ScoreRecord]:
    """Measure the remaining candidates, and keep the duration in the run directory."""
    with LoopProgress(len(ranking.candidates), ranking.proxy.name) as progress:

        def on_progress(records: list[ScoreRecord]) -> None:
            progress(len(records))
            elapsed.save_sometimes()

        try:
            return ranking.run(output, identity, on_progress, workers)
        finally:
            elapsed.finish()


def build_ranking(cfg: DictConfig, space: Space, data: ImageData, device: torch.device) -> ProxyRanking:
    """Build the ranking of a configuration; its images are loaded at the first measurement."""
    batches = proxy_batches(data, cfg.ranking.seed, device.type)
    check_network("ranking.network", space, cfg.ranking.network or {})
    options = OmegaConf.masked_copy(cfg.ranking, [str(key) for key in cfg.ranking if key != "report"])
    options._set_parent(cfg)
    ranking: ProxyRanking = instantiate(options, space=space, batches=batches, _convert_="all")
    return ranking


def proxy_batches(data: ImageData, seed: int, device: str) -> LazyProxyBatches:
    """Return the mini-batches of a ranking on a device; they are loaded at the first measurement."""
    return LazyProxyBatches(lambda: ProxyBatches(data, seed), torch.device(device))


def _workers(
    executor: Executor, ranking: ProxyRanking, data: ImageData, device: torch.device
) -> Callable[[], Workers] | None:
    """Return a function that starts the workers of the executor, None for this process."""
    if isinstance(executor, Serial):
        return None
    batches = partial(proxy_batches, unloaded(data), ranking.seed)
    return lambda: ranking.start_workers(executor, batches, device.type)


def _device(cfg: DictConfig) -> torch.device:
    if cfg.trainer.devices not in (1, "1", "auto") or cfg.trainer.strategy not in ("auto", None):
        raise NasError(
            "trainer.devices: mode=rank_proxies runs in one process. Use trainer=cpu or trainer=gpu with "
            "executor=processes; ranking.shard=1/4 divides a space among several runs."
        )
    return device_without_trainer(cfg)


def _identity(cfg: DictConfig, ranking: ProxyRanking) -> dict[str, Any]:
    """Return all options that values depend on; a resumed ranking must have the same."""
    plain: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=False)
    dataset = {key: value for key, value in plain["dataset"].items() if key not in IRRELEVANT}
    return {
        "proxy_name": ranking.proxy.name,
        "dataset_name": dataset_name(),
        "ranking": {
            **{key: plain["ranking"][key] for key in ("seed", "network", "count", "sample_seed")},
            **({"shard": plain["ranking"]["shard"]} if plain["ranking"]["shard"] is not None else {}),
        },
        "proxy": plain["ranking"]["proxy"],
        "space": plain["space"],
        "dataset": dataset,
    }


def _finish(
    cfg: DictConfig,
    ranking: ProxyRanking,
    report: RankingReport,
    records: list[ScoreRecord],
    identity: dict[str, Any],
    device: torch.device,
    figures: dict[str, Any],
    announced: str,
) -> float | None:
    """Write table, report, picture, genotype and summary.

    ``figures`` are further values of the summary. The line ``announced`` was logged at the start and is not repeated.
    """
    output, higher = Path(cfg.paths.output), ranking.evaluator.higher_is_better
    accuracies = report.find_accuracies(ranking.space, records)
    found: dict[str, Any] = {"proxy": ranking.proxy.name, "higher_is_better": higher, "space": ranking.space.name}
    found |= {"dataset": identity["dataset_name"], "seed": cfg.seed, **report(records, higher, accuracies)}
    scores = to_higher_is_better([record.score for record in records], higher)
    genotype = ranking.space.parse(records[best_index(scores)].architecture)
    title = f"{ranking.proxy.name} on {ranking.space.name}, {identity['dataset_name']}"
    write_scores(records, {**identity, "seed": str(cfg.seed), "higher_is_better": higher}, output / SCORES_FILE)
    write_json(output / "report.json", found)
    page = format_report(found, title)
    write_atomically(output / "report.txt", page)
    save_plot(_plot(scores, records, accuracies, title), output / PLOT_FILE)
    save_genotype(genotype, output / "genotype.json")
    save_cell(genotype, output)
    accuracy: float | None = found["best"]["accuracy"]
    values: dict[str, Any] = {
        "mode": "rank_proxies",
        **{key: found[key] for key in ("space", "dataset", "seed", "proxy")},
        **figures,
        "genotype": ranking.space.native(genotype),
        "value": found["best"]["score"],
        "architectures": len(records),
        "measurement_seconds": found["seconds"]["total"],
        **network_cost(ranking.space, genotype),
        "benchmark_accuracy": accuracy,
        **environment(device, "32-true"),
    }
    values |= {key: found[key]["value"] for key in ("spearman", "kendall_tau_b") if key in found}
    printed = "\n".join(line for line in page.splitlines() if line != announced)
    Summary(values, [("files", str(output))], printed).save(output)
    return accuracy


def _plot(scores: Values, records: Sequence[ScoreRecord], accuracies: BenchmarkAccuracies, title: str) -> Figure:
    available = accuracies.available
    x = "rank by proxy (best at the right)"
    if available.any():
        return plot_ranks(scores[available], accuracies.values[available], x, accuracies.axis, title)
    millions = np.array([record.parameters / 1e6 for record in records])
    return plot_ranks(scores, millions, x, "parameters in millions", title)
