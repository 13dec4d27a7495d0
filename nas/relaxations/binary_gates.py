"""Binary gates: one executed op per edge, with gradients for all gates or for two (ProxylessNAS)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from nas.architecture.cell import Architecture, Cell, EdgeWeights
from nas.architecture.masks import Masks
from nas.relaxations.base import Relaxation, masked_softmax
from nas.relaxations.sample_categorical import sample_categorical
from nas.utils.ranges import check_ranges

Paths = Literal["all", "two"]


class GateSample(NamedTuple):
    """Gates of one cell type.

    Attributes:
        gates: [edges, ops], 1 for the active op. Their gradient is that of the softmax over the measured ops.
        chosen: column of the active op, int64 [edges].
        pair: columns of the two measured ops, int64 [edges, 2]; None if all ops are measured.
    """

    gates: Tensor
    chosen: Tensor
    pair: Tensor | None


@check_ranges()
class GateRelaxation(Relaxation):
    """Binary gates with straight-through gradients: ProxylessNAS (Cai et al., ICLR 2019, equations 3 and 4).

    A weight step executes one op per edge, sampled from softmax(alpha). In an architecture step, the gradient of alpha
    is sum_j dL/dg_j p_j (delta_ij - p_i) over the measured ops j. The edges must be ``BinaryGates``, which measure ops
    that are not executed.

    Args:
        cells: the search space.
        paths: "all" measures every op of an edge (the default of the authors' code). "two" samples two ops without
            replacement, executes one of them by the softmax over both, and shifts both alphas after the step so that
            the sum of their exponentials is unchanged (the paper).
        zero_ops: ops without a gradient: if one is active, alpha of its edge is not changed in that step. In the
            authors' code this holds for the op Zero, which skips a layer.
        init_std: standard deviation of the initial alpha.
        init_mean: mean of the initial alpha.

    Raises:
        NasError: if ``paths`` is unknown.
    """

    def __init__(
        self,
        cells: Mapping[str, Cell],
        paths: Paths = "all",
        zero_ops: Sequence[str] = (),
        init_std: float = 1e-3,
        init_mean: float = 0.0,
    ) -> None:
        super().__init__(cells, init_std, init_mean)
        self.paths: Paths = paths
        self.zero_ops = tuple(zero_ops)
        self._before: dict[str, tuple[Tensor, Tensor]] = {}  # pair and its alphas before a step, by cell type

    def sample(self, masks: Masks) -> Architecture:
        gates = {name: self.sample_gates(name, alpha, masks.table(name)) for name, alpha in self.alpha.items()}
        self._before = {
            name: (sample.pair, self.alpha[name].detach().gather(1, sample.pair))
            for name, sample in gates.items()
            if sample.pair is not None
        }
        return {name: self._edge_weights(name, sample, masks.lists(name)) for name, sample in gates.items()}

    def sample_for_weights(self, masks: Masks) -> Architecture:
        """Sample one op per edge from softmax(alpha); no other op is measured."""
        arch = {}
        for name, alpha in self.alpha.items():
            probabilities = masked_softmax(alpha.detach(), masks.table(name))
            chosen = sample_categorical(probabilities, self.generator(alpha.device)).squeeze(-1)
            one_hot = F.one_hot(chosen, alpha.shape[1]).to(alpha.dtype) * masks.table(name)
            arch[name] = self._edge_weights(name, GateSample(one_hot, chosen, None), masks.lists(name))
            arch[name] = arch[name]._replace(measured=None)
        return arch

    def log_prob(self, arch: Architecture, masks: Masks) -> Tensor:
        """Return the log-probability of the active ops with ``paths="all"``, a scalar that is differentiable in alpha.

        It trains alpha in the variant with REINFORCE (section 3.3.2 of the paper).
        """
        terms = []
        for name, alpha in self.alpha.items():
            logits = alpha.masked_fill(~masks.table(name), torch.finfo(alpha.dtype).min).log_softmax(dim=-1)
            terms.append((logits * arch[name].op.detach()).sum())
        return torch.stack(terms).sum()

    def finish_step(self, masks: Masks) -> None:
        """Shift the alphas of the two measured ops so that the sum of their exponentials is unchanged."""
        for name, (pair, before) in self._before.items():
            alpha, allowed = self.alpha[name].data, masks.table(name).gather(1, pair)
            after = alpha.gather(1, pair)
            rescaled = rescale_pair(before, after, allowed)
            alpha.scatter_(1, pair, rescaled)
        self._before = {}

    def sample_gates(self, name: str, alpha: Tensor, mask: Tensor) -> GateSample:
        """Sample the gates of one cell type from its alpha [edges, ops] over the allowed ops."""
        generator = self.generator(alpha.device)
        probabilities = masked_softmax(alpha, mask)
        if self.paths == "all":
            chosen = sample_categorical(probabilities.detach(), generator).squeeze(-1)
            return self.gates(name, alpha, mask, chosen)
        pair = sample_categorical(probabilities.detach(), generator, count=2)
        both = torch.zeros_like(mask).scatter_(1, pair, mask.gather(1, pair))
        chosen = sample_categorical(masked_softmax(alpha.detach(), both), generator).squeeze(-1)
        return self.gates(name, alpha, mask, chosen, pair)

    def gates(self, name: str, alpha: Tensor, mask: Tensor, chosen: Tensor, pair: Tensor | None = None) -> GateSample:
        """Return the gates for given active ops.

        Args:
            name: cell type.
            alpha: architecture parameters [edges, ops].
            mask: the allowed ops, bool [edges, ops].
            chosen: column of the active op, int64 [edges].
            pair: columns of the two measured ops, int64 [edges, 2]; None measures all ops.
        """
        measured = mask if pair is None else torch.zeros_like(mask).scatter_(1, pair, mask.gather(1, pair))
        p = masked_softmax(alpha, measured)
        one_hot = F.one_hot(chosen, alpha.shape[1]).to(alpha.dtype) * mask
        zero = torch.zeros_like(chosen, dtype=torch.bool)
        for column in (column for column, is_zero in enumerate(self._is_zero(name)) if is_zero):
            zero = zero | (chosen == column)
        return GateSample(torch.where(zero[:, None], one_hot, one_hot + (p - p.detach())), chosen, pair)

    def _edge_weights(self, name: str, sample: GateSample, mask: list[list[bool]]) -> EdgeWeights:
        """Return the gates with the executed and the measured ops; an edge with an active zero op measures none."""
        columns = sample.chosen[:, None] if sample.pair is None else torch.cat([sample.chosen[:, None], sample.pair], 1)
        zero, active, measured = self._is_zero(name), [], []
        for row, (chosen, *pair) in zip(mask, columns.tolist(), strict=True):
            active.append([on and column == chosen for column, on in enumerate(row)])
            counts = [on and not zero[chosen] for on in row]
            measured.append([on and (column in pair or not pair) for column, on in enumerate(counts)])
        return EdgeWeights(sample.gates, active, measured=measured)

    def _is_zero(self, name: str) -> list[bool]:
        return [op in self.zero_ops for op in self.cells[name].ops]


def rescale_pair(before: Tensor, after: Tensor, allowed: Tensor) -> Tensor:
    """Return ``after`` [edges, 2] plus an offset per row, so that its sum of exponentials is that of ``before``.

    Entries where ``allowed`` is False are returned unchanged.
    """
    least = torch.finfo(before.dtype).min
    masked = (table.masked_fill(~allowed, least).logsumexp(dim=1, keepdim=True) for table in (before, after))
    target, total = masked
    return torch.where(allowed, after + target - total, after)
