"""Tests of the MobileNetV2 space."""

from __future__ import annotations

from nas.spaces.single_path.mobilenet_v2 import MobileNetV2Space, parse


def test_network_omits_skips() -> None:
    space, blocks = MobileNetV2Space((3, 32, 48), 10), ["k3e6"] * 21
    full = space.network(parse(f"mobile:{'-'.join(blocks)}"))
    blocks[1] = blocks[3] = "skip"
    less = space.network(parse(f"mobile:{'-'.join(blocks)}"))
    assert len(full.get_submodule("blocks")) == 22 and len(less.get_submodule("blocks")) == 20  # type: ignore[arg-type]
