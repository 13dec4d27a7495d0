"""Names of the weights of FairNAS and ProxylessNAS, translated to those of this library."""

from __future__ import annotations

import re
from collections.abc import Iterable

_FIRST_BLOCK = (
    (re.compile(r"^(?:separable_conv\.0|blocks\.0\.mobile_inverted_conv\.depth_conv\.conv)\."), "blocks.0.conv_dw."),
    (re.compile(r"^(?:separable_conv\.1|blocks\.0\.mobile_inverted_conv\.depth_conv\.bn)\."), "blocks.0.bn1."),
    (re.compile(r"^(?:separable_conv\.3|blocks\.0\.mobile_inverted_conv\.point_linear\.conv)\."), "blocks.0.conv_pw."),
    (re.compile(r"^(?:separable_conv\.4|blocks\.0\.mobile_inverted_conv\.point_linear\.bn)\."), "blocks.0.bn2."),
)
_ENDS = (
    (re.compile(r"^(?:stem\.0|first_conv\.conv)\."), "conv_stem."),
    (re.compile(r"^(?:stem\.1|first_conv\.bn)\."), "bn1."),
    (re.compile(r"^(?:conv_before_pooling\.0|feature_mix_layer\.conv)\."), "conv_head."),
    (re.compile(r"^(?:conv_before_pooling\.1|feature_mix_layer\.bn)\."), "bn2."),
    (re.compile(r"^classifier\.linear\."), "classifier."),
)
_LAYERS = (
    (re.compile(r"\b(?:inverted_bottleneck\.conv|conv1)\."), "conv_pw."),
    (re.compile(r"\b(?:inverted_bottleneck\.bn)\."), "bn1."),
    (re.compile(r"\b(?:depth_conv\.conv|conv2)\."), "conv_dw."),
    (re.compile(r"\b(?:depth_conv\.bn)\."), "bn2."),
    (re.compile(r"\b(?:point_linear\.conv|conv3)\."), "conv_pwl."),
    (re.compile(r"\b(?:point_linear\.bn)\."), "bn3."),
)
_BLOCK = re.compile(r"(mb_module|blocks)\.(\d+)\.(?:mobile_inverted_conv\.)?")


def mobile_names(names: Iterable[str]) -> dict[str, str]:
    """Map the names of a network of MobileNetV2 blocks to our names; other names are kept.

    Blocks are numbered without the skipped layers, as in our networks.
    """
    given = list(names)
    numbers = sorted({int(match[2]) for name in given if (match := _theirs(name)) is not None})
    return {name: _rename(name, numbers) for name in given}


def _theirs(name: str) -> re.Match[str] | None:
    """Return the match of a searched block in their notation, None for any other name."""
    match = _BLOCK.match(name)
    if match is None or (match[1] == "blocks" and (match[2] == "0" or "mobile_inverted_conv" not in name)):
        return None
    return match


def _rename(name: str, numbers: list[int]) -> str:
    match = _theirs(name)
    if match is not None:
        rest = name[match.end() :]
        for pattern, ours in _LAYERS:
            rest = pattern.sub(ours, rest)
        return f"blocks.{numbers.index(int(match[2])) + 1}.{rest}"
    for pattern, ours in (*_FIRST_BLOCK, *_ENDS):
        name = pattern.sub(ours, name)
    if name.startswith("chain."):  # the candidates of a supernet, whose prefix has been translated
        for pattern, ours in _LAYERS:
            name = pattern.sub(ours, name)
    return name
