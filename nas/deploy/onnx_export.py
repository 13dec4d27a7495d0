"""ONNX export, and execution of the exported file with ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Callable

import torch
from torch import Tensor

from nas.deploy.export_metadata import export_metadata
from nas.deploy.load import TrainedNetwork


def export_onnx(trained: TrainedNetwork, example: Tensor) -> bytes:
    """Export the network as an ONNX model with input ``images``, output ``logits`` and a dynamic batch dimension.

    Each entry of the metadata is a property of the model, encoded as JSON unless it is a string.
    """
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
        del node.metadata_props[:]  # paths of this machine
    metadata = export_metadata(trained)
    set_model_props(model, {k: v if isinstance(v, str) else json.dumps(v) for k, v in metadata.items()})
    content: bytes = model.SerializeToString()
    return content


def load_onnx(content: bytes) -> Callable[[Tensor], Tensor]:
    """Return a function from images [B, C, H, W] to logits that runs an ONNX model on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda x: torch.from_numpy(session.run(["logits"], {"images": x.numpy()})[0])
