"""The halves of a test set, for the architecture and to test; and what else a test may be on."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from nas.utils.errors import NasError, one_line

XVALID = "xvalid"
"""The split of NAS-Bench-201 for CIFAR-100 and ImageNet16-120."""


def halves(path: str | Path | None, size: int, published: str) -> tuple[Tensor, Tensor]:
    """The indices (int64) of the test images for the architecture and of those to test on.

    Args:
        path: a split file as of NAS-Bench-201, with ``xvalid`` and ``xtest``; None: the first half in their order is
            the architecture's, the second is tested on.
        size: number of test images.
        published: the name of the published file, for what is said where it is something else.

    Raises:
        NasError: if the file is missing, or was not made for ``size`` images.
    """
    if path is None:
        return torch.arange(size // 2), torch.arange(size // 2, size)
    path = Path(path).expanduser()
    wanted = f"give {published} of NAS-Bench-201 (JSON with 'xvalid' and 'xtest')"
    try:
        content = json.loads(path.read_text())
        # ["int", ["1", "2", ...]] in the published file
        parts = [content[key][1] if content[key][0] == "int" else content[key] for key in ("xvalid", "xtest")]
        xvalid, xtest = (torch.tensor([int(number) for number in part], dtype=torch.int64) for part in parts)
    except FileNotFoundError:
        raise NasError(f"no split file at {path.absolute()}: {wanted}") from None
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise NasError(f"cannot read the split file {path} ({one_line(repr(error))}): {wanted}") from error
    if not torch.equal(torch.cat([xvalid, xtest]).sort().values, torch.arange(size)):
        raise NasError(f"the split file {path} does not fit the {size} test images: {wanted}")
    return xvalid, xtest


def tested_on(split: str | float, test_split: str | Path | None, hold_out: bool) -> str:
    """In words, what the options of a data set make its test images."""
    if hold_out:
        return f"training images that split={split} holds out"
    if split != XVALID:
        return "test images"
    which = "the second half, in their order" if test_split is None else f"xtest of {test_split}"
    return f"half of the test images ({which})"


def check_parts(split: str | float, test_split: str | Path | None, hold_out: bool, bilevel: bool) -> None:
    """Raises NasError where options ask for different parts of the images."""
    if test_split is not None and split != XVALID:
        raise NasError(f"test_split says what split=xvalid means, but split is {split}: leave one of them out")
    if hold_out and (bilevel or split == XVALID):
        raise NasError(
            f"hold_out=true with split={split}: it lets a training be tested on what the weights' part of the training "
            "images leaves; a search, and split=xvalid, use these images otherwise"
        )
