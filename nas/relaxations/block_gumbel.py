"""Relaxations over the layer widths of a chain, where blocks may share a row of alpha (mask_gumbel, TAS, mask_rl)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.architecture.cell import Architecture, Cell, EdgeWeights
from nas.architecture.masks import Masks
from nas.relaxations.base import Relaxation
from nas.relaxations.gumbel import gumbel_noise, perturbed_logits
from nas.relaxations.sample_categorical import sample_categorical
from nas.relaxations.warmup_widths import sample_warmup_widths
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT_OR_ZERO, POSITIVE, check_ranges

PAIR_PROB_OFFSET = 1e-7
"""Added to the probabilities from which a pair is sampled, as in AutoDL-Projects."""


@check_ranges(rows=COUNT_OR_ZERO)
class BlockRelaxation(Relaxation):
    """Independent samples for the blocks of a chain. A subclass implements ``relax_blocks``.

    The sampled architecture has one row per block. In the size space of NATS-Bench the stem and the first cell have
    the same width: they share a row of alpha and are sampled independently.

    Args:
        cells: the search space.
        rows: the row of alpha of each block.
        init_std: standard deviation of the initial alpha.
        init_mean: mean of the initial alpha.

    Raises:
        NasError: if ``rows`` is empty or names a row that a cell does not have.
    """

    full_prob: float | None = None
    """During the warm-up, the probability of a block's largest width, whatever alpha is; None after the warm-up."""
    row_index: Tensor  # the rows as a tensor on the device: indexing with a list would synchronize the device

    def __init__(
        self, cells: Mapping[str, Cell], rows: Sequence[int], init_std: float = 1e-3, init_mean: float = 0.0
    ) -> None:
        super().__init__(cells, init_std, init_mean)
        for name, cell in cells.items():
            if not rows or not all(0 <= row < len(cell.edges) for row in rows):
                raise NasError(
                    f"method.relaxation.rows={list(rows)}: cell '{name}' has {len(cell.edges)} rows. Give one row "
                    f"per block, each from 0 to {len(cell.edges) - 1}."
                )
        self.rows = list(rows)
        self.register_buffer("row_index", torch.tensor(self.rows), persistent=False)

    @abstractmethod
    def relax_blocks(self, alpha: Tensor, mask: Tensor, allowed: list[list[bool]]) -> EdgeWeights:
        """Sample the op weights of all blocks.

        Args:
            alpha: architecture parameters [blocks, ops].
            mask: True where an op may have weight [blocks, ops].
            allowed: the mask as lists, which cost no device synchronization.
        """

    def sample(self, masks: Masks) -> Architecture:
        arch = {}
        for name, alpha in self.alpha.items():
            lists = masks.lists(name)
            allowed = [lists[row] for row in self.rows]
            if self.full_prob is not None:
                generator = self.generator(torch.device("cpu"))
                arch[name] = sample_warmup_widths(allowed, self.full_prob, alpha, generator)
            else:
                arch[name] = self.relax_blocks(alpha[self.row_index], masks.table(name)[self.row_index], allowed)
        return arch


@check_ranges(tau=POSITIVE)
class BlockGumbel(BlockRelaxation):
    """Samples of the concrete distribution, one per block (AutoDL-Projects, exps/NATS-algos/search-size.py).

    The weights are soft, as in FBNetV2's channel masks (Wan et al., CVPR 2020). With ``pair`` two different ops per
    block are sampled without replacement and mixed by the softmax of their perturbed logits, as in TAS (Dong and
    Yang, NeurIPS 2019).

    Args:
        cells: the search space.
        rows: the row of alpha of each block.
        pair: mix two sampled ops per block instead of all ops.
        tau: temperature.
        init_std: standard deviation of the initial alpha.
        init_mean: mean of the initial alpha.

    Raises:
        NasError: if ``pair`` is set and a cell has one op only.
    """

    def __init__(
        self,
        cells: Mapping[str, Cell],
        rows: Sequence[int],
        pair: bool = False,
        tau: float = 10.0,
        init_std: float = 1e-3,
        init_mean: float = 0.0,
    ) -> None:
        super().__init__(cells, rows, init_std, init_mean)
        for name, cell in self.cells.items():
            if pair and len(cell.ops) < 2:
                raise NasError(
                    f"method.relaxation.pair=true: cell '{name}' has one op only, {cell.ops[0]}. Use pair=false."
                )
        self.pair = pair
        self.tau = tau

    def noise(self, like: Tensor) -> Tensor:
        """Sample standard Gumbel variables with the shape, dtype and device of ``like``."""
        return gumbel_noise(like, self.generator(like.device))

    def relax_blocks(self, alpha: Tensor, mask: Tensor, allowed: list[list[bool]]) -> EdgeWeights:
        logits = perturbed_logits(alpha, mask, self.noise(alpha.detach()), self.tau)
        if not self.pair:
            return EdgeWeights(logits.softmax(dim=-1) * mask, allowed)
        # if one op is left, a masked op completes the pair and gets weight 0
        offset = torch.where(mask, PAIR_PROB_OFFSET, torch.finfo(alpha.dtype).tiny)
        pair = sample_categorical(logits.detach().softmax(dim=-1) + offset, self.generator(alpha.device), 2)
        weights = torch.zeros_like(logits).scatter(-1, pair, logits.gather(-1, pair).softmax(dim=-1)) * mask
        chosen = zip(allowed, pair.tolist(), strict=True)
        return EdgeWeights(weights, [[on and c in columns for c, on in enumerate(row)] for row, columns in chosen])


class BlockCategorical(BlockRelaxation):
    """One op per block, sampled from the softmax of its row of alpha, as in TuNAS (Bender et al., CVPR 2020).

    The weights are one-hot and have no gradient. Alpha is trained by ``log_prob`` and the reward of a sample
    (``nas.objectives.reinforce``).
    """

    differentiable = False

    def relax_blocks(self, alpha: Tensor, mask: Tensor, allowed: list[list[bool]]) -> EdgeWeights:
        probabilities = _masked_log_softmax(alpha.detach(), mask).exp()
        chosen = sample_categorical(probabilities, self.generator(alpha.device)).squeeze(-1)
        weights = F.one_hot(chosen, alpha.shape[-1]).to(alpha.dtype) * mask
        return EdgeWeights(weights, weights.bool().tolist())

    def log_prob(self, arch: Architecture, masks: Masks) -> Tensor:
        """Return the log-probability of sampling these one-hot weights: a scalar, summed over blocks."""
        terms = []
        for name, alpha in self.alpha.items():
            log_prob = _masked_log_softmax(alpha[self.row_index], masks.table(name)[self.row_index])
            terms.append(log_prob.masked_fill(arch[name].op == 0, 0.0).sum())
        return torch.stack(terms).sum()


def _masked_log_softmax(alpha: Tensor, mask: Tensor) -> Tensor:
    # the most negative finite number instead of minus infinity: a fully masked row samples an op, which gets weight 0
    return alpha.masked_fill(~mask, torch.finfo(alpha.dtype).min).log_softmax(dim=-1)
