"""The auxiliary classifier of DARTS networks."""

from __future__ import annotations

from torch import Tensor, nn


class AuxiliaryHead(nn.Module):
    """Classifier on the features after the second reduction, used in training only: [B, C, H, W] -> [B, classes].

    Args:
        channels: of the features.
        classes: number of classes.
        stride: of the average pooling in windows of 5x5, 3 for CIFAR and 2 for ImageNet. Features that these windows do
            not reduce to 2x2 are pooled adaptively.
        size: side of the features, 0 if they are not square.
        norm: whether a second batch norm follows the last convolution; the ImageNet head of the DARTS family has none.
    """

    def __init__(self, channels: int, classes: int, stride: int, size: int, norm: bool) -> None:
        super().__init__()
        published = size >= 5 and (size - 5) // stride == 1  # such windows leave 2x2
        pool = nn.AvgPool2d(5, stride, count_include_pad=False) if published else nn.AdaptiveAvgPool2d(2)
        self.features = nn.Sequential(
            nn.ReLU(),
            pool,
            nn.Conv2d(channels, 128, 1, bias=False),
            nn.BatchNorm2d(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            *([nn.BatchNorm2d(768)] if norm else []),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(768, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))
