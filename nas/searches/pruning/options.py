"""Checks of the options of a pruning search."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nas.proxies.linear_regions import CROP_SIZE
from nas.proxies.proxy import Proxy, check_batch_size
from nas.spaces.base import Space
from nas.utils.errors import NasError, unknown

STALE = ("ntk",)
"""The default of ``stale_reference``, which is also accepted if the search has no such proxy."""


def check_options(proxies: Sequence[Proxy], repeats: int, init: str, stale_reference: Sequence[str]) -> None:
    """Raise NasError for options of a pruning search that are outside their range."""
    if not proxies:
        raise NasError(
            "method.proxies=[]: a pruning search needs a proxy. Use 'method.proxies=[${proxy}]' proxy=naswot."
        )
    if repeats < 1:
        raise NasError(f"method.repeats={repeats}: use a whole number of at least 1.")
    for proxy in proxies:
        if not isinstance(proxy, Proxy):
            raise NasError(
                f"method.proxies: {proxy} is not a proxy. Use 'method.proxies=[${{proxy}}]' proxy=NAME, or "
                "method.proxies=[{_target_:nas.proxies.naswot.Naswot}]."
            )
    if init not in ("paper", "reference_code"):
        raise unknown("method.init", init, ["paper", "reference_code"])
    names = [proxy.name for proxy in proxies]
    for name in stale_reference:
        if name not in {*STALE, *names}:
            raise unknown("method.stale_reference", str(name), names)


def check_proxy(proxy: Proxy, space: Space, images: int) -> None:
    """Raise NasError if a proxy is not defined on the space, its images or so small a batch."""
    check_batch_size(proxy, images)
    if proxy.probe == "regions" and min(space.shape[1:]) < CROP_SIZE:
        size = "x".join(map(str, space.shape[1:]))
        raise NasError(
            f"method.proxies: {proxy.name} needs crops of {CROP_SIZE}x{CROP_SIZE} pixels, but the images have {size}. "
            "Use larger images, or method.proxies without it."
        )
    if proxy.probe is not None:
        with torch.device("meta"):
            space.probe(proxy.probe)
