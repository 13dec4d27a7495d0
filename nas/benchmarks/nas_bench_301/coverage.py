"""Check that NAS-Bench-301 covers all genotypes of a space, without its file."""

from __future__ import annotations

from nas.architecture.cell import NONE
from nas.benchmarks.nas_bench_301.encoding import CELLS, OPS
from nas.spaces.base import Space
from nas.spaces.darts.notation import EDGES
from nas.utils.errors import NasError


def check_coverage(space: Space) -> None:
    """Raise NasError if the benchmark does not cover all genotypes of a space."""
    for name, cell in space.cells.items():
        choices = {op for edge in range(len(cell.edges)) for op in cell.choices(edge)}
        if name not in CELLS or set(cell.edges) != set(EDGES) or not choices <= set(OPS):
            problem = ", ".join(sorted(choices - set(OPS))) or "other nodes"
            raise NasError(
                f"NAS-Bench-301 does not cover space={space.name}, whose {name} cell has {problem}. Use space=darts"
                + (" with space.keeps_none=false." if NONE in choices else ".")
            )
    if set(space.cells) != set(CELLS):
        raise NasError("NAS-Bench-301 covers genotypes with two searched cells. Use space.fixed_reduction=false.")
