"""The halves of a test set: for the architecture, and to test."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from nas.errors import NasError, one_line


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
