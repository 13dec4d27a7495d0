"""EPE-NAS (Lopes et al., ICANN 2021): correlation of input gradients within and between classes."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from nas.proxies.input_gradients import input_gradients
from nas.proxies.proxy import Batch, Proxy
from nas.utils.ranges import COUNT, check_ranges

Classes = Literal["outputs", "labels", "few"]
MANY = 100
"""Number of classes above which the second variant is used."""


@check_ranges(batch_size=COUNT)
class EpeNas(Proxy):
    """Sums of logarithms of the correlations of input gradients of images with the same label.

    s_c is the sum of log(|r| + 1e-5) over all pairs of images of class c. The score is the sum of |s_c|. With more than
    100 classes s_c is divided by the images of its class. The score is then the sum of |s_a - s_b| over pairs of
    classes, divided by the number of classes; classes with a single image are left out. The score is NaN if the
    gradient of an image is constant, as in DARTS networks whose last cell ends with batch norms only.

    Args:
        batch_size: number of images.
        classes: number of classes that selects the variant: the width of the logits ("outputs", NASLib), the distinct
            labels of the batch ("labels"), or always the first variant ("few", the authors' script).
    """

    name = "epe_nas"
    min_images = 2

    def __init__(self, batch_size: int = 64, classes: Classes = "outputs") -> None:
        self.batch_size = batch_size
        self.classes = classes

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        logits, gradients = input_gradients(network, batch[0])
        if gradients is None:
            return float("nan")
        counts = {"outputs": logits.shape[1], "labels": len(batch[1].unique()), "few": 1}
        rows, labels = gradients.double(), batch[1]
        return between_classes(rows, labels) if counts[self.classes] > MANY else within_classes(rows, labels)


def class_score(rows: Tensor) -> Tensor:
    """Return the sum of the logarithms of the correlations of rows [images, pixels], the diagonal included."""
    correlation = torch.corrcoef(rows).reshape(len(rows), len(rows))
    return (correlation.abs() + 1e-5).log().sum()


def within_classes(rows: Tensor, labels: Tensor) -> float:
    """Return the score for few classes."""
    return float(torch.stack([class_score(rows[labels == label]).abs() for label in labels.unique()]).sum())


def between_classes(rows: Tensor, labels: Tensor) -> float:
    """Return the score for many classes, NaN if no class has two images."""
    groups = [rows[labels == label] for label in labels.unique()]
    scores = [class_score(group) / len(group) for group in groups if len(group) > 1]
    if not scores:
        return float("nan")
    stacked = torch.stack(scores)
    return float((stacked[:, None] - stacked[None]).abs().sum() / len(scores))
