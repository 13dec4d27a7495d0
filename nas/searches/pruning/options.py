"""Checks of the options of a pruning search."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from nas.architecture.cell import NONE
from nas.nn.ops import OPS
from nas.proxies.combined import Combined
from nas.proxies.linear_regions import CROP_SIZE
from nas.proxies.proxy import Proxy, check_batch_size
from nas.spaces.base import Space
from nas.utils.errors import NasError, unknown

STALE = ("ntk",)
"""The default of ``stale_reference``, which is also accepted if the search has no such proxy."""


def check_options(
    proxies: Sequence[Proxy],
    repeats: int,
    stale_reference: Sequence[str],
    tie_order: Sequence[str] = (),
) -> None:
    """Raise NasError for options of a pruning search that are outside their range."""
    if not proxies:
        raise NasError(
            "method.proxies=[]: a pruning search needs a proxy. Use 'method.proxies=[${proxy}]' proxy=naswot."
        )
    for proxy in proxies:
        if not isinstance(proxy, Proxy):
            raise NasError(
                f"method.proxies: {proxy} is not a proxy. Use 'method.proxies=[${{proxy}}]' proxy=NAME, or "
                "method.proxies=[{_target_:nas.proxies.naswot.Naswot}]."
            )
        if isinstance(proxy, Combined):
            raise NasError(
                "method.proxies: a pruning search combines the ranks of its proxies itself. List them in "
                "method.proxies in place of combined."
            )
    for op in tie_order:
        if op not in (NONE, *OPS):
            raise unknown("method.tie_order", str(op), [NONE, *OPS])
    if len(set(tie_order)) < len(tie_order):
        raise NasError(f"method.tie_order={list(tie_order)}: an op occurs twice. Name each op once.")
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
            f"method.proxies=[{proxy.name}]: the crops have {CROP_SIZE}x{CROP_SIZE} pixels, but the images {size}. Use "
            "larger images, or method.proxies without it."
        )
    if proxy.probe is not None:
        with torch.device("meta"):
            space.probe(proxy.probe)
