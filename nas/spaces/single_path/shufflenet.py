"""The single-path space of ShuffleNetV2 units (Guo et al., ECCV 2020; DSNAS: Hu et al., CVPR 2020)."""

from __future__ import annotations

import itertools

from nas.architecture.cell import Genotype
from nas.spaces.base import Network
from nas.spaces.single_path.chain import Chain, of_ops, ops_of, tokens
from nas.spaces.single_path.shufflenet_network import ShuffleNetwork, Unit
from nas.utils.errors import NasError

UNITS = {"shuffle_3x3": 3, "shuffle_5x5": 5, "shuffle_7x7": 7, "xception_3x3": 0}
"""Kernel of each unit, 0 for the Xception-like one; their order is the field's: blocks are written 0, 1, 2, 3."""
SCALES = ("0.2", "0.4", "0.6", "0.8", "1.0", "1.2", "1.4", "1.6", "1.8", "2.0")
"""The inner width of a unit, relative to half of its output: searched too in Single Path One-Shot."""
PLAIN = "1.0"
OPS = (*UNITS, *(f"{unit}_{scale}" for unit, scale in itertools.product(UNITS, SCALES) if scale != PLAIN))
STAGES = ((64, 4), (160, 4), (320, 8), (640, 4))
SLOTS = tuple((width, 2 if i == 0 else 1) for width, count in STAGES for i in range(count))


class ShuffleNet(Chain):
    """20 units in four stages of 64, 160, 320 and 640 channels; the first unit of each has stride 2."""

    notation = "shufflenet"
    length = len(SLOTS)
    ops = OPS

    def network(self, genotype: Genotype, norm_eps: float = 1e-5, dropout: float = 0.1) -> Network:
        """The network that is trained. ``norm_eps`` is batch norm's, 1e-2 in the search of DSNAS."""
        self.check(genotype)
        return ShuffleNetwork(units(genotype), self.shape[0], self.classes, norm_eps, dropout)

    def native(self, genotype: Genotype) -> str:
        return native(genotype)

    def parse(self, text: str) -> Genotype:
        return parse(text)


def units(genotype: Genotype) -> list[Unit]:
    """The units of a network."""
    found = []
    for op, (outputs, stride) in zip(ops_of(genotype), SLOTS, strict=True):
        unit, scale = _split(op)
        found.append(Unit(UNITS[unit], int(outputs // 2 * float(scale)), stride, outputs))
    return found


def native(genotype: Genotype) -> str:
    """``shufflenet:0-0-3-...``: the number of each unit; 0x1.4 has 1.4 times the inner width."""
    words = []
    for op in ops_of(genotype):
        unit, scale = _split(op)
        words.append(f"{list(UNITS).index(unit)}" + (f"x{scale}" if scale != PLAIN else ""))
    return f"{ShuffleNet.notation}:{'-'.join(words)}"


def parse(text: str) -> Genotype:
    """The architecture that ``shufflenet:0-0-3-...`` names. Raises NasError where it is malformed."""
    ops = []
    for word in tokens(text, ShuffleNet.notation, len(SLOTS)):
        number, _, scale = word.partition("x")
        if number not in ("0", "1", "2", "3") or (scale or PLAIN) not in SCALES:
            raise NasError(f"unknown block '{word}' in '{text}': write 0 to 3, and x with {', '.join(SCALES)} behind")
        unit = list(UNITS)[int(number)]
        ops.append(unit if scale in ("", PLAIN) else f"{unit}_{scale}")
    return of_ops(ShuffleNet.notation, ops)


def _split(op: str) -> tuple[str, str]:
    unit = op if op in UNITS else op.rpartition("_")[0]
    return unit, op[len(unit) + 1 :] or PLAIN
