"""The single-path space of ShuffleNetV2 units (Guo et al., ECCV 2020; DSNAS: Hu et al., CVPR 2020)."""

from __future__ import annotations

import itertools

from nas.architecture.cell import Genotype
from nas.spaces.base import Network
from nas.spaces.single_path.chain import ChainSpace, chain_from_ops, chain_ops, split_blocks
from nas.spaces.single_path.shufflenet_v2_network import ShuffleNetV2Network, UnitSpec
from nas.utils.errors import NasError
from nas.utils.ranges import DROP_PROBABILITY, POSITIVE, check_ranges

NOTATION = "shufflenet"
UNITS = {"shuffle_3x3": 3, "shuffle_5x5": 5, "shuffle_7x7": 7, "xception_3x3": 0}
"""Kernel of each unit, 0 for the Xception-like one. Published architectures number the units 0 to 3 in this order."""
SCALES = ("0.2", "0.4", "0.6", "0.8", "1.0", "1.2", "1.4", "1.6", "1.8", "2.0")
"""Candidates for the inner width of a unit relative to half of its output (Single Path One-Shot)."""
DEFAULT_SCALE = "1.0"
OPS = (*UNITS, *(f"{unit}_{scale}" for unit, scale in itertools.product(UNITS, SCALES) if scale != DEFAULT_SCALE))
STAGES = ((64, 4), (160, 4), (320, 8), (640, 4))
"""Width and number of units of each stage."""
WIDTHS_AND_STRIDES = tuple((width, 2 if i == 0 else 1) for width, count in STAGES for i in range(count))


class ShuffleNetV2Space(ChainSpace):
    """20 units in four stages of 64, 160, 320 and 640 channels; the first unit of each has stride 2."""

    notation = NOTATION
    length = len(WIDTHS_AND_STRIDES)
    ops = OPS

    @check_ranges(norm_eps=POSITIVE, dropout=DROP_PROBABILITY)
    def network(self, genotype: Genotype, norm_eps: float = 1e-5, dropout: float = 0.1) -> Network:
        """Build the network for training. ``norm_eps`` is the epsilon of batch norm, 1e-2 in the search of DSNAS."""
        self.check(genotype)
        return ShuffleNetV2Network(unit_specs(genotype), self.shape[0], self.classes, norm_eps, dropout)

    def native(self, genotype: Genotype) -> str:
        return native(genotype)

    def parse(self, text: str) -> Genotype:
        return parse(text)


def unit_specs(genotype: Genotype) -> list[UnitSpec]:
    """Return the sizes of the units of a network."""
    specs = []
    for op, (outputs, stride) in zip(chain_ops(genotype), WIDTHS_AND_STRIDES, strict=True):
        unit, scale = _split_op(op)
        specs.append(UnitSpec(UNITS[unit], int(outputs // 2 * float(scale)), stride, outputs))
    return specs


def native(genotype: Genotype) -> str:
    """Return ``shufflenet:0-0-3-...``: the number of each unit; 0x1.4 has 1.4 times the inner width."""
    blocks = []
    for op in chain_ops(genotype):
        unit, scale = _split_op(op)
        blocks.append(f"{list(UNITS).index(unit)}" + (f"x{scale}" if scale != DEFAULT_SCALE else ""))
    return f"{NOTATION}:{'-'.join(blocks)}"


def parse(text: str) -> Genotype:
    """Parse ``shufflenet:0-0-3-...``. Raises NasError if it is malformed."""
    ops = []
    for block in split_blocks(text, NOTATION, len(WIDTHS_AND_STRIDES)):
        number, _, scale = block.partition("x")
        if number not in ("0", "1", "2", "3") or (scale or DEFAULT_SCALE) not in SCALES:
            raise NasError(
                f"genotype={text}: unknown block '{block}'. Write 0 to 3, optionally followed by x and one of "
                f"{', '.join(SCALES)}."
            )
        unit = list(UNITS)[int(number)]
        ops.append(unit if scale in ("", DEFAULT_SCALE) else f"{unit}_{scale}")
    return chain_from_ops(NOTATION, ops)


def _split_op(op: str) -> tuple[str, str]:
    """Split an op such as ``shuffle_3x3_1.4`` into the unit and the scale of its inner width."""
    unit = op if op in UNITS else op.rpartition("_")[0]
    return unit, op[len(unit) + 1 :] or DEFAULT_SCALE
