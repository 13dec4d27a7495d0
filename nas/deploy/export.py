"""Export of trained networks to files that run without this library: ONNX and torch.export."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

from nas.deploy.load import TrainedNetwork
from nas.deploy.onnx_export import export_onnx, load_onnx
from nas.deploy.torch_export import export_program, load_program
from nas.utils.errors import NasError
from nas.utils.ranges import check_ranges

Format = Literal["onnx", "torch_export"]
SUFFIXES: Mapping[Format, str] = {"onnx": ".onnx", "torch_export": ".pt2"}
REQUIRED_PACKAGES: Mapping[Format, Sequence[str]] = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "torch_export": ()}
TOLERANCE = 1e-3  # relative to the largest logit


def check_export_packages(format: Format) -> None:
    """Raise NasError with the install command if packages for a format are missing."""
    missing = [name for name in REQUIRED_PACKAGES[format] if importlib.util.find_spec(name) is None]
    if missing:
        raise NasError(f"export.format={format}: needs {', '.join(missing)}. Run pip install 'nas-compose[export]'.")


@check_ranges()
def export_network(trained: TrainedNetwork, format: Format) -> bytes:
    """Export the network as a single graph from images [B, C, H, W] of any B to logits [B, classes].

    The file includes the metadata of ``nas.deploy.export_metadata``.

    Raises:
        NasError: if the network is random.
    """
    if any(link.op == "noise" for cell in trained.genotype.cells.values() for link in cell.links):
        raise NasError("genotype: the op 'noise' has random outputs, so an exported file cannot match the network.")
    example = torch.zeros(2, *trained.shape)
    with without_exporter_logs():
        return (export_onnx if format == "onnx" else export_program)(trained, example)


def verify_export(
    trained: TrainedNetwork, format: Format, content: bytes, batches: Mapping[str, Tensor]
) -> dict[str, float]:
    """Return the largest absolute difference between the logits of the file and the network, per batch of images.

    Raises:
        NasError: if a difference exceeds rounding errors.
    """
    run = (load_onnx if format == "onnx" else load_program)(content)
    differences = {}
    for name, x in batches.items():
        with torch.inference_mode():
            expected = trained(x)
        logits = run(x)
        worst = float((logits - expected).abs().max())
        if logits.shape != expected.shape or not worst <= TOLERANCE * max(1.0, float(expected.abs().max())):
            raise NasError(
                f"export.format={format}: the exported file differs from the network by {worst:.3g} on {name} input. "
                "Nothing was written."
            )
        differences[name] = worst
    return differences


@contextmanager
def without_exporter_logs() -> Iterator[None]:
    """Suppress the log lines and warnings of the exporters about their own code."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
