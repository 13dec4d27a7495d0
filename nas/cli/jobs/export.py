"""Export of a trained network to a file that others run: python train.py mode=export ..."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any, get_args

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from torch import Tensor

from nas.cli.build import build_data
from nas.cli.jobs.load_trained import trained
from nas.cli.run_dir.summary import cost, environment
from nas.data.base import ImageData
from nas.deploy.export import SUFFIXES, Format, check_export_packages, export_network, verify_export
from nas.deploy.load import TrainedNetwork
from nas.spaces.registry import space_of
from nas.utils.atomic_write import write_atomically, write_json
from nas.utils.errors import NasError, unknown

log = logging.getLogger(__name__)
IMAGES = 16  # compared


def run(cfg: DictConfig) -> None:
    """Exports, compares the file with the network, and writes it together with a summary."""
    form = _format(str(cfg.export.format))
    check_export_packages(form)
    output = Path(cfg.paths.output)
    file = _file(cfg, form, output)
    if cfg.threads is not None:
        torch.set_num_threads(cfg.threads)
    if cfg.export.normalize not in (True, False):
        raise NasError(f"export.normalize={cfg.export.normalize}: give true or false")
    if "download" in cfg.dataset:
        cfg.dataset.download = False  # a few images are no reason to fetch them all
    data = build_data(cfg, bilevel=False)
    found = trained(cfg, data)
    network = TrainedNetwork(found.model, cfg.export.normalize, auxiliary=False)
    batches, missing = _batches(network, data, cfg.seed)
    content = export_network(network, form)
    found_differences = verify_export(network, form, content, batches)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, content)
    model = found.model
    space = space_of(model.genotype, model.shape, model.classes)
    summary: dict[str, Any] = {
        "mode": "export",
        "format": form,
        "file": str(file),
        "bytes": len(content),
        "genotype": space.native(model.genotype),
        "space": space.name,
        "weights": str(found.path),
        "dataset": HydraConfig.get().runtime.choices["dataset"],
        "input": "pixels" if network.normalize else "normalized",
        "max_difference": found_differences,
        **cost(space, model.genotype, **model.options),
        **environment(torch.device("cpu"), "32-true"),
    }
    write_json(output / "summary.json", summary)
    _report(summary, found.kind, network, missing)


def _format(name: str) -> Format:
    for form in SUFFIXES:
        if form == name:
            return form
    raise unknown("export.format", name, get_args(Format))


def _file(cfg: DictConfig, form: Format, output: Path) -> Path:
    """Where to write. Raises NasError where something is there already, or it cannot be."""
    given = cfg.export.file
    file = output / f"model{SUFFIXES[form]}" if given is None else Path(str(given)).expanduser()
    if file.suffix != SUFFIXES[form]:
        raise NasError(f"export.file={file}: a file of export.format={form} ends in {SUFFIXES[form]}")
    if os.path.lexists(file):
        raise NasError(f"export.file: {file} exists already and is not written over: choose another name")
    return file


def _batches(network: TrainedNetwork, data: ImageData, seed: int) -> tuple[dict[str, Tensor], str]:
    """Batches of several sizes to compare with, and why real images are missing where they are.

    Random ones are normal, or uniform where pixels go in.
    """
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand if network.normalize else torch.randn
    found = {"random": draw(IMAGES, *network.shape, generator=generator)}
    if data.shape != network.shape:
        return found, f"those of the data set are of {data.shape}"
    try:
        data.prepare_data()
        x, _ = next(iter(data.test_dataloader()))
    except NasError as error:
        return found, str(error)
    x = x[: IMAGES - 3]  # another size than that of the random batch
    if network.normalize:
        mean, std = (torch.tensor(value).view(-1, 1, 1) for value in (network.mean, network.std))
        x = x * std + mean
    return {**found, "real": x}, ""


def _report(summary: dict[str, Any], kind: str, network: TrainedNetwork, missing: str) -> None:
    log.info("genotype       %s", summary["genotype"])
    log.info("weights        %s (%s)", summary["weights"], kind)
    log.info("parameters     %.3f M   MACs %.2f M", summary["parameters"] / 1e6, summary["macs"] / 1e6)
    sides = "x".join(map(str, network.shape))
    taken = "pixels in 0..1" if network.normalize else f"normalized by mean {network.mean} std {network.std}"
    log.info("input          images [B, %s], %s", sides.replace("x", ", "), taken)
    log.info("output         logits [B, %d]", network.classes)
    for name, worst in summary["max_difference"].items():
        log.info("difference     %.3g at most from the network, on %s images", worst, name)
    if missing:
        log.info("difference     not compared on real images: %s", missing)
    log.info("file           %s (%.2f MB)", summary["file"], summary["bytes"] / 1e6)
