"""Data sets of all kinds."""

from __future__ import annotations

from nas.data.base import ImageData
from nas.data.text.base import TextData
from nas.utils.errors import NasError

DataSet = ImageData | TextData


def require_images(data: DataSet, purpose: str) -> ImageData:
    """Return the data set itself. Raises NasError if it has no images, which ``purpose`` needs."""
    if isinstance(data, ImageData):
        return data
    raise NasError(f"dataset={data.name}: {purpose} needs images. Choose a data set of images.")
