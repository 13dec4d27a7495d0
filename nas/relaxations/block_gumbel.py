"""Draws for the blocks of a chain, where several blocks share a row of alpha and each draws for itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.architecture.cell import Architecture, Cell, EdgeWeights
from nas.architecture.masks import Masks
from nas.relaxations.base import Relaxation
from nas.relaxations.gumbel import Gumbel
from nas.relaxations.sampling import drawn
from nas.relaxations.warmup_widths import warm_widths
from nas.utils.errors import NasError

LEAST = 1e-7  # added to the probabilities that a pair is drawn by, as in AutoDL-Projects


class BlockGumbel(Gumbel):
    """A draw for each block at temperature ``tau`` (AutoDL-Projects, exps/NATS-algos/search-size.py).

    ``rows`` has the row of alpha of each block: in NATS-Bench's size space the stem and the first cell have the same
    width, and draw independently. The architecture has one row a block. Weights are a soft draw from the concrete
    distribution (FBNetV2's masks, Wan et al., CVPR 2020); with ``pair`` two different ops of a block are drawn from
    it without replacement and mixed by the softmax of their two perturbed logits (TAS, Dong and Yang, NeurIPS 2019).
    ``full`` is None, or in the warm-up the probability of the full width of a block, whatever alpha is.
    """

    full: float | None = None
    places: Tensor  # the rows on the device: a list as index would make the device wait for its transfer

    def __init__(
        self,
        cells: Mapping[str, Cell],
        rows: Sequence[int],
        pair: bool = False,
        tau: float = 10.0,
        init_std: float = 1e-3,
        init_mean: float = 0.0,
    ) -> None:
        super().__init__(cells, hard=False, tau=tau, init_std=init_std, init_mean=init_mean)
        _check_rows(cells, rows)
        for name, cell in self.cells.items():
            if pair and len(cell.ops) < 2:
                raise NasError(f"relaxation.pair: cell '{name}' has one op, {cell.ops[0]}, and no two to draw")
        self.rows = list(rows)
        self.register_buffer("places", torch.tensor(self.rows), persistent=False)
        self.pair = pair

    def forward(self, masks: Masks) -> Architecture:
        if self.full is not None:
            return _warm(self, self.rows, self.full, masks)
        mix = self._pairs if self.pair else self._soft
        return {name: mix(name, alpha[self.places], masks) for name, alpha in self.alpha.items()}

    def _soft(self, name: str, alpha: Tensor, masks: Masks) -> EdgeWeights:
        weights, _ = self.relax(name, alpha, masks.table(name)[self.places])
        return EdgeWeights(weights, _lists(name, self.rows, masks))

    def _pairs(self, name: str, alpha: Tensor, masks: Masks) -> EdgeWeights:
        mask, allowed = masks.table(name)[self.places], _lists(name, self.rows, masks)
        least = torch.finfo(alpha.dtype).min
        logits = (alpha.masked_fill(~mask, least).log_softmax(dim=-1) + self.draw(alpha.detach())) / self.tau
        logits = logits.masked_fill(~mask, least)
        # where one op is left, one that is masked has to be drawn beside it: it gets weight 0
        floor = torch.where(mask, LEAST, torch.finfo(alpha.dtype).tiny)
        pair = drawn(logits.detach().softmax(dim=-1) + floor, self.generator(alpha.device), 2)
        weights = torch.zeros_like(logits).scatter(-1, pair, logits.gather(-1, pair).softmax(dim=-1)) * mask
        chosen = zip(allowed, pair.tolist(), strict=True)
        return EdgeWeights(weights, [[on and c in columns for c, on in enumerate(row)] for row, columns in chosen])


class BlockCategorical(Relaxation):
    """One op for each block, drawn from the softmax of its row of alpha (TuNAS' masks, Bender et al., CVPR 2020).

    ``rows`` and ``full`` as of BlockGumbel. Weights are one-hot and have no gradient: alpha learns from ``log_p`` and
    the reward of a draw (nas/objectives/reinforce.py).
    """

    differentiable = False
    full: float | None = None
    places: Tensor  # the rows on the device: a list as index would make the device wait for its transfer

    def __init__(
        self, cells: Mapping[str, Cell], rows: Sequence[int], init_std: float = 1e-3, init_mean: float = 0.0
    ) -> None:
        super().__init__(cells, init_std, init_mean)
        _check_rows(cells, rows)
        self.rows = list(rows)
        self.register_buffer("places", torch.tensor(self.rows), persistent=False)

    def relax(self, name: str, alpha: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        probabilities = _log_p(alpha.detach(), mask).exp()
        chosen = drawn(probabilities, self.generator(alpha.device)).squeeze(-1)
        return F.one_hot(chosen, alpha.shape[-1]).to(alpha.dtype) * mask, chosen

    def forward(self, masks: Masks) -> Architecture:
        if self.full is not None:
            return _warm(self, self.rows, self.full, masks)
        found = {}
        for name, alpha in self.alpha.items():
            weights, _ = self.relax(name, alpha[self.places], masks.table(name)[self.places])
            found[name] = EdgeWeights(weights, weights.bool().tolist())
        return found

    def log_p(self, arch: Architecture, masks: Masks) -> Tensor:
        """The log-probability of drawing these one-hot weights, the sum over blocks."""
        terms = []
        for name, alpha in self.alpha.items():
            log_p = _log_p(alpha[self.places], masks.table(name)[self.places])
            terms.append(log_p.masked_fill(arch[name].op == 0, 0.0).sum())
        return torch.stack(terms).sum()


def _log_p(alpha: Tensor, mask: Tensor) -> Tensor:
    # the least number, not minus infinity: a row that is masked as a whole draws something, which gets weight 0
    return alpha.masked_fill(~mask, torch.finfo(alpha.dtype).min).log_softmax(dim=-1)


def _check_rows(cells: Mapping[str, Cell], rows: Sequence[int]) -> None:
    for name, cell in cells.items():
        if not rows or not all(0 <= row < len(cell.edges) for row in rows):
            raise NasError(f"relaxation.rows={list(rows)}: the table of cell '{name}' has {len(cell.edges)} rows")


def _lists(name: str, rows: Sequence[int], masks: Masks) -> list[list[bool]]:
    lists = masks.lists(name)
    return [lists[row] for row in rows]


def _warm(relaxation: Relaxation, rows: Sequence[int], full: float, masks: Masks) -> Architecture:
    generator = relaxation.generator(torch.device("cpu"))
    return {n: warm_widths(_lists(n, rows, masks), full, a, generator) for n, a in relaxation.alpha.items()}
