"""The split of NAS-Bench-201 of the test images: one half for the architecture, the other half for the test."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from nas.data.splits.read_list import read_list
from nas.utils.errors import NasError, one_line
from nas.utils.read_file import parse_json, read_text
from nas.utils.user_path import user_path

NAS_BENCH_201 = "nas_bench_201"
"""Value of ``split``: all training images train the weights, and the test images are halved.

For CIFAR-10 the benchmark halves the training images instead.
"""
HALVES = "halves"
"""Value of ``test_split``: equal halves, even if the official list is available."""


def split_test_images(path: str | Path | None, size: int, published: str) -> tuple[Tensor, Tensor]:
    """Return the indices (int64) of the test images for the architecture and of the final test.

    Args:
        path: a split file of NAS-Bench-201 (JSON with the keys ``xvalid`` and ``xtest``). None or ``"halves"``: the
            first half of the test images is for the architecture, and the second half is the final test.
        size: number of test images.
        published: name of the published file, for error messages.

    Raises:
        NasError: if the file is missing, unreadable or does not list each of ``size`` images once.
    """
    if path is None or path == HALVES:
        return torch.arange(size // 2), torch.arange(size // 2, size)
    path = user_path(path)
    option = f"dataset.test_split={path}"
    text = read_list(path, option, _fix(published), read_text)
    return parse_test_split(text, size, option, published)


def parse_test_split(text: str, size: int, option: str, published: str) -> tuple[Tensor, Tensor]:
    """Return the indices of ``split_test_images`` from the content of a file; ``option`` names it in errors."""
    fix = _fix(published)
    try:
        content = parse_json(text)
        # ["int", ["1", "2", ...]] in the published file
        parts = [content[key][1] if content[key][0] == "int" else content[key] for key in ("xvalid", "xtest")]
        xvalid, xtest = (torch.tensor([int(number) for number in part], dtype=torch.int64) for part in parts)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise NasError(f"{option}: not a split file ({one_line(repr(error))}). {fix}") from error
    if not torch.equal(torch.cat([xvalid, xtest]).sort().values, torch.arange(size)):
        raise NasError(f"{option}: does not list each of the {size} test images once. {fix}")
    return xvalid, xtest


def _fix(published: str) -> str:
    return f"Set the path of {published} of NAS-Bench-201 (JSON with 'xvalid' and 'xtest')."
