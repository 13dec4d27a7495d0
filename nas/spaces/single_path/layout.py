"""Layout of a chain of layers: width, stride and depth of its stages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from nas.spaces.base import Shape
from nas.utils.errors import NasError


class Layer(NamedTuple):
    """Input and output channels of a searched layer, and its stride."""

    inputs: int
    outputs: int
    stride: int

    @property
    def keeps_shape(self) -> bool:
        """True if input and output have the same shape."""
        return self.stride == 1 and self.inputs == self.outputs


class Layout(NamedTuple):
    """Stages of a chain: their widths, numbers of layers, and strides of their first layers."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    strides: tuple[int, ...]

    def replace(
        self, widths: Sequence[int] | None, depths: Sequence[int] | None, strides: Sequence[int] | None
    ) -> Layout:
        """Return the layout with other values where they are not None.

        Raises NasError if the lists have different lengths.
        """
        given = (self.widths if widths is None else widths, self.depths if depths is None else depths)
        layout = Layout(tuple(given[0]), tuple(given[1]), self.strides if strides is None else tuple(strides))
        if not layout.widths or len({len(part) for part in layout}) > 1:
            raise NasError(
                f"widths={list(layout.widths)}, depths={list(layout.depths)}, strides={list(layout.strides)}: each "
                "needs one value per stage. Set lists of one length."
            )
        return layout

    @property
    def length(self) -> int:
        """Number of layers."""
        return sum(self.depths)

    def layers(self, inputs: int) -> tuple[Layer, ...]:
        """Return the layers after features of ``inputs`` channels."""
        layers = []
        for width, depth, stride in zip(*self, strict=True):
            for position in range(depth):
                layers.append(Layer(inputs, width, stride if position == 0 else 1))
                inputs = width
        return tuple(layers)


class FixedSizes(NamedTuple):
    """Channels, stride and classes of the layers around a chain.

    Attributes:
        image: Channels of an image.
        stem: Width of the stem.
        stem_stride: Stride of the stem.
        body: Channels behind the chain.
        head: Channels before the classifier.
        classes: Number of classes.
    """

    image: int
    stem: int
    stem_stride: int
    body: int
    head: int
    classes: int


def feature_sizes(shape: Shape, stem_stride: int, layers: Sequence[Layer]) -> list[tuple[int, int]]:
    """Return height and width of the input of each layer, for images of ``shape`` (C, H, W)."""
    height, width = -(-shape[1] // stem_stride), -(-shape[2] // stem_stride)
    sizes = []
    for layer in layers:
        sizes.append((height, width))
        height, width = -(-height // layer.stride), -(-width // layer.stride)
    return sizes
