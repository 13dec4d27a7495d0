"""Ranking of the architectures of a space by a zero-cost proxy: python search.py mode=rank_proxies proxy=..."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from matplotlib.figure import Figure
from omegaconf import DictConfig, OmegaConf

from nas.cli.build import build_data, build_space, dataset_name, device_without_trainer, seed_and_threads
from nas.cli.checks.options import check_network
from nas.cli.run_dir.environment import environment
from nas.cli.run_dir.progress import LoopProgress
from nas.cli.run_dir.summary import Summary
from nas.data.base import ImageData
from nas.data.proxy_batches import LazyProxyBatches, ProxyBatches
from nas.plotting.cell import save_cell
from nas.proxies.ranking.correlation import Values, to_higher_is_better
from nas.proxies.ranking.log import Entry
from nas.proxies.ranking.outputs import PICTURE_FILE, TABLE_FILE, save_picture, scatter, write_table
from nas.proxies.ranking.ranking import ProxyRanking, size
from nas.proxies.ranking.report import RankingReport, Truth, best_of, text
from nas.spaces.base import Space
from nas.spaces.genotype_file import save_genotype
from nas.utils.atomic_write import write_atomically, write_json
from nas.utils.errors import NasError

log = logging.getLogger(__name__)
IRRELEVANT = ("root", "download", "on_device", "eval_batch_size", "batch_size", "name")
"""Options of a data set that do not change the images of a proxy."""


def run(cfg: DictConfig) -> float | None:
    """Measure all candidates and write the run directory.

    Returns:
        The benchmark accuracy of the best architecture by the proxy in percent, None if it is unknown.
    """
    device = _device(cfg)
    seed_and_threads(cfg)
    data = build_data(cfg)
    space = build_space(cfg.space, data)
    report: RankingReport = instantiate(cfg.ranking.report, _convert_="all")
    missing = report.check(space, dataset_name())
    if missing is not None:
        log.info("benchmark      %s", missing)
    ranking = build_ranking(cfg, space, data, device)
    identity = _identity(cfg, ranking)
    with LoopProgress(len(ranking.pool), ranking.proxy.name) as progress:
        entries = ranking.run(Path(cfg.paths.output), identity, progress)
    return _finish(cfg, ranking, report, entries, identity, device)


def build_ranking(cfg: DictConfig, space: Space, data: ImageData, device: torch.device) -> ProxyRanking:
    """Build the ranking of a configuration; its images are loaded at the first measurement."""
    batches = LazyProxyBatches(lambda: ProxyBatches(data, cfg.ranking.seed), device)
    check_network("ranking.network", space, cfg.ranking.network or {})
    options = OmegaConf.masked_copy(cfg.ranking, [str(key) for key in cfg.ranking if key != "report"])
    options._set_parent(cfg)
    ranking: ProxyRanking = instantiate(options, space=space, batches=batches, _convert_="all")
    return ranking


def _device(cfg: DictConfig) -> torch.device:
    if cfg.trainer.devices not in (1, "1", "auto") or cfg.trainer.strategy not in ("auto", None):
        raise NasError(
            "trainer.devices: mode=rank_proxies runs in one process. Use trainer=cpu or trainer=gpu; ranking.indices "
            "divides a space among several runs."
        )
    return device_without_trainer(cfg)


def _identity(cfg: DictConfig, ranking: ProxyRanking) -> dict[str, Any]:
    """Return all options that values depend on; a resumed ranking must have the same."""
    plain: Any = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=False)
    dataset = {key: value for key, value in plain["dataset"].items() if key not in IRRELEVANT}
    return {
        "proxy_name": ranking.proxy.name,
        "dataset_name": dataset_name(),
        "ranking": {key: plain["ranking"][key] for key in ("seed", "network", "count", "sample_seed")},
        "proxy": plain["ranking"]["proxy"],
        "space": plain["space"],
        "dataset": dataset,
    }


def _finish(
    cfg: DictConfig,
    ranking: ProxyRanking,
    report: RankingReport,
    entries: list[Entry],
    identity: dict[str, Any],
    device: torch.device,
) -> float | None:
    """Write table, report, picture, genotype and summary."""
    output, higher = Path(cfg.paths.output), ranking.evaluator.higher_is_better
    truth = report.truth(ranking.space, entries)
    found: dict[str, Any] = {"proxy": ranking.proxy.name, "higher_is_better": higher, "space": ranking.space.name}
    found |= {"dataset": identity["dataset_name"], "seed": cfg.seed, **report(entries, higher, truth)}
    good = to_higher_is_better([entry.score for entry in entries], higher)
    genotype = ranking.space.parse(entries[best_of(good)].architecture)
    title = f"{ranking.proxy.name} on {ranking.space.name}, {identity['dataset_name']}"
    write_table(entries, {**identity, "seed": str(cfg.seed), "higher_is_better": higher}, output / TABLE_FILE)
    write_json(output / "report.json", found)
    page = text(found, title)
    write_atomically(output / "report.txt", page)
    save_picture(_picture(good, entries, truth, title), output / PICTURE_FILE)
    save_genotype(genotype, output / "genotype.json")
    save_cell(genotype, output)
    parameters, macs = size(ranking.space, genotype)
    accuracy: float | None = found["best"]["accuracy"]
    values: dict[str, Any] = {
        "mode": "rank_proxies",
        **{key: found[key] for key in ("space", "dataset", "seed", "proxy")},
        "genotype": ranking.space.native(genotype),
        "value": found["best"]["score"],
        "architectures": len(entries),
        "search_seconds": found["seconds"]["total"],
        "parameters": parameters,
        "macs": macs,
        "benchmark_accuracy": accuracy,
        **environment(device, "32-true"),
    }
    values |= {key: found[key]["value"] for key in ("spearman", "kendall_tau_b") if key in found}
    Summary(values, [("files", str(output))], page).save(output)
    return accuracy


def _picture(good: Values, entries: Sequence[Entry], truth: Truth, title: str) -> Figure:
    x = "rank by proxy (best at the right)"
    if truth.known.any():
        return scatter(good[truth.known], truth.accuracies[truth.known], x, "accuracy in percent", title)
    millions = np.array([entry.parameters / 1e6 for entry in entries])
    return scatter(good, millions, x, "parameters in millions", title)
