"""Trained networks as files that run without this library: ONNX, and programs of torch.export."""

from __future__ import annotations

import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from nas.deploy.load import TrainedNetwork
from nas.spaces.genotype_file import encode_genotype
from nas.utils.errors import NasError

Format = Literal["onnx", "torch_export"]
SUFFIXES: Mapping[Format, str] = {"onnx": ".onnx", "torch_export": ".pt2"}
NEEDED: Mapping[Format, Sequence[str]] = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "torch_export": ()}
EXPORT_FORMAT = "nas-export"
EXPORT_VERSION = 1
METADATA = "nas.json"  # the extra file of a program of torch.export
TOLERANCE = 1e-3  # of the largest logit


def check_export_packages(form: Format) -> None:
    """Raises NasError, with what to install, where the packages of a format are missing."""
    missing = [name for name in NEEDED[form] if importlib.util.find_spec(name) is None]
    if missing:
        raise NasError(f"format={form} needs {', '.join(missing)}: pip install 'nas-compose[export]'")


def export_metadata(trained: TrainedNetwork) -> dict[str, Any]:
    """What a user of the exported file must know: plain values for JSON.

    ``input`` tells whether images come in normalized by ``mean`` and ``std``, or as pixels in 0..1.
    """
    return {
        "format": EXPORT_FORMAT,
        "version": EXPORT_VERSION,
        "input": "pixels" if trained.normalize else "normalized",
        "shape": list(trained.shape),
        "classes": trained.classes,
        "class_names": list(trained.class_names),
        "mean": None if trained.mean is None else list(trained.mean),
        "std": None if trained.std is None else list(trained.std),
        "dataset": trained.dataset,
        "genotype": encode_genotype(trained.genotype),
        "options": dict(trained.options),
    }


def export_network(trained: TrainedNetwork, form: Format) -> bytes:
    """The file: one graph from images [B, C, H, W] of any B to logits [B, classes], with ``metadata``.

    In ONNX the input is called ``images`` and the output ``logits``, and each entry of the metadata is a property (JSON
    but for strings); in a program of torch.export all of it is the extra file ``nas.json``. Raises NasError where a
    network is random.
    """
    if any(link.op == "noise" for cell in trained.genotype.cells.values() for link in cell.links):
        raise NasError("the genotype has the op 'noise': its outputs are random, so no exported file can equal them")
    example = torch.zeros(2, *trained.shape)
    with _quiet():
        return (_onnx if form == "onnx" else _program)(trained, example)


def verify_export(
    trained: TrainedNetwork, form: Format, data: bytes, batches: Mapping[str, Tensor]
) -> dict[str, float]:
    """The largest difference between the logits of the exported file and of ``trained``, for each batch of images.

    Raises NasError where one is larger than rounding explains.
    """
    run = (_onnx_runner if form == "onnx" else _program_runner)(data)
    found = {}
    for name, x in batches.items():
        with torch.inference_mode():
            expected = trained(x)
        got = run(x)
        worst = float((got - expected).abs().max())
        if got.shape != expected.shape or not worst <= TOLERANCE * max(1.0, float(expected.abs().max())):
            raise NasError(f"the exported file disagrees with the network by {worst:.3g} on {name} input: not written")
        found[name] = worst
    return found


def _program(trained: nn.Module, example: Tensor) -> bytes:
    assert isinstance(trained, TrainedNetwork)
    batch = torch.export.Dim("batch")
    program = torch.export.export(trained, (example,), dynamic_shapes=({0: batch},), strict=False)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # the paths of this machine
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={METADATA: json.dumps(export_metadata(trained))})
    return buffer.getvalue()


def _program_runner(data: bytes) -> Callable[[Tensor], Tensor]:
    module = torch.export.load(io.BytesIO(data)).module()

    def run(x: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = module(x)
        return logits

    return run


def _onnx(trained: TrainedNetwork, example: Tensor) -> bytes:
    from onnx.helper import set_model_props

    program = torch.onnx.export(
        trained,
        (example,),
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # the paths of this machine
    values = export_metadata(trained)
    set_model_props(model, {k: v if isinstance(v, str) else json.dumps(v) for k, v in values.items()})
    content: bytes = model.SerializeToString()
    return content


def _onnx_runner(data: bytes) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(["logits"], {"images": x.numpy()})[0])


@contextmanager
def _quiet() -> Any:
    """Without what exporters say of their own code."""
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
