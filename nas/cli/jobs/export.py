"""Export of a trained network to a file for other runtimes: python train.py mode=export ..."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from omegaconf import DictConfig
from torch import Tensor

from nas.cli.build import build_data, set_threads
from nas.cli.jobs.load_trained import load_trained, model_figures
from nas.cli.run_dir.environment import environment
from nas.cli.run_dir.figures import network_cost
from nas.cli.run_dir.summary import Summary
from nas.data.base import ImageData
from nas.deploy.export import SUFFIXES, Format, check_export_packages, export_network, verify_export
from nas.deploy.load import TrainedNetwork
from nas.spaces.registry import space_of
from nas.utils.atomic_write import write_atomically
from nas.utils.created_directory import created_directory
from nas.utils.errors import NasError, unknown
from nas.utils.user_path import user_path

COMPARED_IMAGES = 16


def run(cfg: DictConfig) -> None:
    """Export the network, compare the file with it, and write both the file and a summary."""
    form = _format(str(cfg.export.format))
    check_export_packages(form)
    output = Path(cfg.paths.output)
    file = _file(cfg, form, output)
    set_threads(cfg)
    if cfg.export.normalize not in (True, False):
        raise NasError(f"export.normalize={cfg.export.normalize}: give true or false.")
    if "download" in cfg.dataset:
        cfg.dataset.download = False  # a comparison on a few images does not justify a download
    module = build_data(cfg, bilevel=False)
    if not isinstance(module, ImageData):
        raise NasError(
            f"mode=export: dataset={module.name}: a language model carries hidden states between calls, which {form} "
            "files do not. Load it in Python by nas.load."
        )
    data = module
    resolved = load_trained(cfg, data)
    network = TrainedNetwork(resolved.model, cfg.export.normalize, auxiliary=False)
    batches, missing = _batches(network, data, cfg.seed)
    content = export_network(network, form)
    differences = verify_export(network, form, content, batches)
    with created_directory(file.parent):
        write_atomically(file, content)
    model = resolved.model
    space = space_of(model.genotype, model.shape, model.classes)
    values: dict[str, Any] = {
        "mode": "export",
        "format": form,
        "file": str(file),
        "bytes": len(content),
        **model_figures(resolved, space),
        "input": "pixels" if network.normalize else "normalized",
        "max_difference": differences,
        **network_cost(space, model.genotype, **model.options),
        **environment(torch.device("cpu"), "32-true"),
    }
    Summary(values, _notes(network, missing)).save(output)


def _format(name: str) -> Format:
    for form in SUFFIXES:
        if form == name:
            return form
    raise unknown("export.format", name, get_args(Format))


def _file(cfg: DictConfig, form: Format, output: Path) -> Path:
    """Return the path of the file. Raises NasError if it exists, or its suffix is not that of the format."""
    given = cfg.export.file
    file = output / f"model{SUFFIXES[form]}" if given is None else user_path(str(given))
    if file.suffix != SUFFIXES[form]:
        raise NasError(f"export.file={file}: the file name for export.format={form} ends in {SUFFIXES[form]}.")
    if os.path.lexists(file):
        raise NasError(f"export.file={file}: the file exists already and is not overwritten. Choose another name.")
    return file


def _batches(network: TrainedNetwork, data: ImageData, seed: int) -> tuple[dict[str, Tensor], str]:
    """Return batches of different sizes to compare with, and the reason if there is none of real images.

    Random images are normally distributed, or uniformly if the network takes pixels.
    """
    generator = torch.Generator().manual_seed(seed)
    sample = torch.rand if network.normalize else torch.randn
    batches = {"random": sample(COMPARED_IMAGES, *network.shape, generator=generator)}
    if data.shape != network.shape:
        return batches, f"the images of the data set have shape {data.shape}"
    try:
        data.prepare_data()
        x, _ = next(iter(data.test_dataloader()))
    except NasError as error:
        return batches, str(error)
    x = x[: COMPARED_IMAGES - 3]  # another size than that of the random batch
    if network.normalize:
        mean, std = (torch.tensor(value).view(-1, 1, 1) for value in (network.mean, network.std))
        x = x * std + mean
    return {**batches, "real": x}, ""


def _listed(values: Sequence[float] | None) -> str:
    return "unknown" if values is None else str(list(values))


def _notes(network: TrainedNetwork, missing: str) -> list[tuple[str, str]]:
    shape = ", ".join(map(str, network.shape))
    kind = (
        "pixels in 0..1"
        if network.normalize
        else f"normalized by mean {_listed(network.mean)} std {_listed(network.std)}"
    )
    notes = [("input", f"images [B, {shape}], {kind}"), ("output", f"logits [B, {network.classes}]")]
    return [*notes, ("difference", f"not compared on real images: {missing}")] if missing else notes
