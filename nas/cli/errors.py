"""Errors as the one line that a user reads."""

from __future__ import annotations

import errno
import os
import re
import traceback
from collections.abc import Iterator

from hydra.errors import InstantiationException
from omegaconf.errors import OmegaConfBaseException

from nas.utils.errors import NasError, one_line

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def explain(error: BaseException) -> str | None:
    """The one line for an error that the user can mend, or None."""
    for cause in _chain(error):
        line = _told(cause)
        if line is not None:
            return line
    if isinstance(error, InstantiationException):
        return _instantiation(error)
    if isinstance(error, OmegaConfBaseException):
        key = getattr(error, "full_key", None)
        return f"{key}: {_short(error)}" if key else _short(error)
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _told(error: BaseException) -> str | None:
    kind = type(error).__name__
    if isinstance(error, NasError):
        return str(error)
    if isinstance(error, OSError):
        return _operating_system(error)
    if kind == "MisconfigurationException":
        return f"trainer: {one_line(error)}"
    if kind == "OutOfMemoryError":
        text = one_line(error).partition(". ")[0]
        return f"the device has too little memory ({text}): use a smaller dataset.batch_size, or a smaller space"
    if "PytorchStreamReader" in str(error):
        return f"ckpt_path: the checkpoint is damaged ({one_line(error)}); give an older one"
    if isinstance(error, ValueError) and str(error).startswith("Expected more than 1 value per channel"):
        return (
            "a batch of one image came to a batch norm on maps of 1x1, which has no spread to divide by: choose a "
            "dataset.batch_size above 1 that does not leave a single image for the last batch, or, where it is the "
            "auxiliary head's, network.auxiliary=false"
        )
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, ValueError) and frames and re.search(r"torch.optim\W", frames[-1].filename):
        return f"an optimizer or its scheduler refuses its options: {one_line(error)}"
    return None


def _operating_system(error: OSError) -> str | None:
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in FULL:
        why = os.strerror(error.errno or 0).lower()
        return f"{why}{where}: the files of the last whole epoch are kept; make room and go on with ckpt_path=DIRECTORY"
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return f"{os.strerror(error.errno or errno.EACCES).lower()}{where}: choose a place that can be written"
    return None


def _instantiation(error: InstantiationException) -> str:
    """Hydra's text on several lines, with the key in front and the cause's own words."""
    key = re.search(r"full_key: (\S+)", str(error))
    target = re.search(r"Error (?:in call to|locating|getting \w+) (?:target )?'([^']+)'", str(error))
    cause = error.__cause__
    said = _short(cause) if cause is not None else _short(error)
    where = key or target
    return f"{where[1]}: {said}" if where is not None else said


def _short(error: BaseException) -> str:
    return re.sub(r"\s*(full_key|object_type|reference_type)[:=].*", "", one_line(error))
