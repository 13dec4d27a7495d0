"""Export as a torch.export program (.pt2), and execution of the exported file."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import torch
from torch import Tensor

from nas.deploy.export_metadata import export_metadata
from nas.deploy.load import TrainedNetwork

METADATA_FILE = "nas.json"
"""Name of the extra file with the metadata, inside the .pt2 file."""


def export_program(trained: TrainedNetwork, example: Tensor) -> bytes:
    """Export the network as a torch.export program with a dynamic batch dimension."""
    batch = torch.export.Dim("batch")
    program = torch.export.export(trained, (example,), dynamic_shapes=({0: batch},), strict=False)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of this machine
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={METADATA_FILE: json.dumps(export_metadata(trained))})
    return buffer.getvalue()


def load_program(content: bytes) -> Callable[[Tensor], Tensor]:
    """Return a function from images [B, C, H, W] to logits that runs a torch.export program."""
    module = torch.export.load(io.BytesIO(content)).module()

    def run(x: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = module(x)
        return logits

    return run
