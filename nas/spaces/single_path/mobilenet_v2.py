"""The space of MobileNetV2 blocks of NoisyDARTS' ImageNet network, as in ProxylessNAS and FairDARTS.

After NoisyDARTS-A (Chu et al., BMVC 2021). The space itself is not published: its stages and candidates are inferred
from the published network.
"""

from __future__ import annotations

import itertools
import re

from nas.architecture.cell import Genotype
from nas.spaces.base import Network
from nas.spaces.single_path.chain import ChainSpace, chain_from_ops, chain_ops, split_blocks
from nas.spaces.single_path.mobilenet_v2_network import BlockSpec, MobileNetV2Network
from nas.utils.errors import NasError
from nas.utils.ranges import CHANNELS, DROP_PROBABILITY, PROBABILITY, check_ranges

NOTATION = "mobile"
SKIP = "skip_connect"
KERNELS, EXPANSIONS = (3, 5, 7), (3, 6)
OPS = (*(f"mbconv{e}_{k}x{k}" for k, e in itertools.product(KERNELS, EXPANSIONS)), SKIP)
STAGES = ((32, 2, 4), (40, 2, 4), (80, 2, 4), (96, 1, 4), (192, 2, 4), (320, 1, 1))
"""Width, stride of the first block and number of blocks of each stage."""
WIDTHS_AND_STRIDES = tuple((width, stride if i == 0 else 1) for width, stride, count in STAGES for i in range(count))
_OP = re.compile(r"mbconv(\d)_(\d)x\d")
_BLOCK = re.compile(r"k(\d)e(\d)")


class MobileNetV2Space(ChainSpace):
    """21 blocks in six stages: inverted residuals (kernel 3, 5, 7, expansion 3, 6), or a skip within a stage."""

    notation = NOTATION
    length = len(WIDTHS_AND_STRIDES)
    ops = OPS

    @check_ranges(squeeze=PROBABILITY, head=CHANNELS, dropout=DROP_PROBABILITY)
    def network(self, genotype: Genotype, squeeze: float = 0.25, head: int = 1280, dropout: float = 0.0) -> Network:
        """Build the network for training. ``squeeze`` is the squeeze-and-excitation ratio, 0 for none."""
        self.check(genotype)
        return MobileNetV2Network(block_specs(genotype), self.shape[0], self.classes, squeeze, head, dropout)

    def check(self, genotype: Genotype) -> None:
        super().check(genotype)
        width = 16
        for position, (op, (outputs, stride)) in enumerate(zip(chain_ops(genotype), WIDTHS_AND_STRIDES, strict=True)):
            if op == SKIP and (stride > 1 or outputs != width):
                raise NasError(
                    f"genotype: block {position} of space={self.name} changes the shape of the features, so it cannot "
                    "be a skip."
                )
            width = outputs

    def native(self, genotype: Genotype) -> str:
        return native(genotype)

    def parse(self, text: str) -> Genotype:
        return parse(text)


def block_specs(genotype: Genotype) -> list[BlockSpec | None]:
    """Return the sizes of the blocks of a network, None for a skip."""
    specs: list[BlockSpec | None] = []
    for op, (outputs, stride) in zip(chain_ops(genotype), WIDTHS_AND_STRIDES, strict=True):
        match = _OP.fullmatch(op)
        specs.append(None if match is None else BlockSpec(int(match[2]), int(match[1]), stride, outputs))
    return specs


def native(genotype: Genotype) -> str:
    """Return ``mobile:k3e6-k3e3-skip-...``: kernel and expansion of each block."""
    blocks = [_OP.sub(r"k\2e\1", op) if op != SKIP else "skip" for op in chain_ops(genotype)]
    return f"{NOTATION}:{'-'.join(blocks)}"


def parse(text: str) -> Genotype:
    """Parse ``mobile:k3e6-...``. Raises NasError if it is malformed."""
    blocks = split_blocks(text, NOTATION, len(WIDTHS_AND_STRIDES))
    ops = [SKIP if block == "skip" else _BLOCK.sub(r"mbconv\2_\1x\1", block) for block in blocks]
    for block, op in zip(blocks, ops, strict=True):
        if op not in OPS:
            raise NasError(
                f"genotype={text}: unknown block '{block}'. Write skip or k3e6 (kernel 3, 5, 7, expansion 3, 6)."
            )
    return chain_from_ops(NOTATION, ops)
