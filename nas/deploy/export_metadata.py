"""Metadata of an exported network: all that a user needs to run it without this library."""

from __future__ import annotations

from typing import Any

from nas.deploy.load import TrainedNetwork
from nas.spaces.genotype_file import encode_genotype

EXPORT_FORMAT = "nas-export"
EXPORT_VERSION = 2  # version 1 spelled the value "normalised" of ``input``


def export_metadata(trained: TrainedNetwork) -> dict[str, Any]:
    """Return the metadata of an exported network as plain values for JSON.

    ``input`` is "pixels" if the network normalizes pixels in 0..1 itself, else "normalized".
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
