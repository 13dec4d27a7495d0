"""The chain of NoisyDARTS' ImageNet network: MobileNetV2 blocks as in ProxylessNAS and FairDARTS.

After NoisyDARTS-A (Chu et al., BMVC 2021). The space itself is not published: stages and candidates are those that
the published network lets conclude.
"""

from __future__ import annotations

import itertools
import re

from nas.architecture.cell import Genotype
from nas.spaces.base import Network
from nas.spaces.single_path.chain import Chain, of_ops, ops_of, tokens
from nas.spaces.single_path.mobile_network import Block, MobileNetwork
from nas.utils.errors import NasError

SKIP = "skip_connect"
KERNELS, EXPANSIONS = (3, 5, 7), (3, 6)
OPS = (*(f"mbconv{e}_{k}x{k}" for k, e in itertools.product(KERNELS, EXPANSIONS)), SKIP)
STAGES = ((32, 2, 4), (40, 2, 4), (80, 2, 4), (96, 1, 4), (192, 2, 4), (320, 1, 1))
"""Width, stride of the first block, number of blocks."""
SLOTS = tuple((width, stride if i == 0 else 1) for width, stride, count in STAGES for i in range(count))
_OP = re.compile(r"mbconv(\d)_(\d)x\d")
_TOKEN = re.compile(r"k(\d)e(\d)")


class Mobile(Chain):
    """21 blocks in six stages: inverted residuals (kernel 3, 5, 7, expansion 3, 6), or a skip within a stage."""

    notation = "mobile"
    length = len(SLOTS)
    ops = OPS

    def network(self, genotype: Genotype, squeeze: float = 0.25, head: int = 1280, dropout: float = 0.0) -> Network:
        """The network that is trained: ``squeeze`` is the ratio of squeeze-and-excitation, 0 for none."""
        self.check(genotype)
        return MobileNetwork(blocks(genotype), self.shape[0], self.classes, squeeze, head, dropout)

    def check(self, genotype: Genotype) -> None:
        super().check(genotype)
        width = 16
        for position, (op, (outputs, stride)) in enumerate(zip(ops_of(genotype), SLOTS, strict=True)):
            if op == SKIP and (stride > 1 or outputs != width):
                raise NasError(
                    f"block {position} of space '{self.name}' changes the maps' shape, so it cannot be a skip"
                )
            width = outputs

    def native(self, genotype: Genotype) -> str:
        return native(genotype)

    def parse(self, text: str) -> Genotype:
        return parse(text)


def blocks(genotype: Genotype) -> list[Block | None]:
    """The blocks of a network, None where one is skipped."""
    found: list[Block | None] = []
    for op, (outputs, stride) in zip(ops_of(genotype), SLOTS, strict=True):
        match = _OP.fullmatch(op)
        found.append(None if match is None else Block(int(match[2]), int(match[1]), stride, outputs))
    return found


def native(genotype: Genotype) -> str:
    """``mobile:k3e6-k3e3-skip-...``: kernel and expansion of each block."""
    words = [_OP.sub(r"k\2e\1", op) if op != SKIP else "skip" for op in ops_of(genotype)]
    return f"{Mobile.notation}:{'-'.join(words)}"


def parse(text: str) -> Genotype:
    """The architecture that ``mobile:k3e6-...`` names. Raises NasError where it is malformed."""
    ops = [
        SKIP if word == "skip" else _TOKEN.sub(r"mbconv\2_\1x\1", word) for word in tokens(text, "mobile", len(SLOTS))
    ]
    for op in ops:
        if op not in OPS:
            raise NasError(f"unknown block '{op}' in '{text}': write skip or k3e6 (kernel 3, 5, 7, expansion 3, 6)")
    return of_ops(Mobile.notation, ops)
