"""How architecture parameters become the weights of ops: the relaxations of the published methods."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.cells import Architecture, Cell, EdgeWeights, encode, sample
from nas.dirichlet import dirichlet_kl, sample_dirichlet
from nas.generators import Generators
from nas.masks import Masks


class Relaxation(nn.Module, ABC):
    """Owns ``alpha``, one float32 matrix [edges, ops] a cell type, and turns it into edge weights.

    A subclass writes ``relax``. Whatever is random is drawn from a generator of the relaxation's own, whose
    state is part of its state_dict: a resumed search draws what the uninterrupted one would have drawn, and
    all ranks of a distributed search draw the same. ``init_mean`` and ``init_std`` are those alpha starts with.
    """

    def __init__(self, cells: Mapping[str, Cell], init_std: float = 1e-3, init_mean: float = 0.0) -> None:
        super().__init__()
        self.cells = dict(cells)
        self.alpha = nn.ParameterDict(
            {name: init_mean + init_std * torch.randn(len(c.edges), len(c.ops)) for name, c in self.cells.items()}
        )
        self.generators = Generators()

    @abstractmethod
    def relax(self, name: str, alpha: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        """The weights [edges, ops], and the column of the one op that each edge executes, or None for all.

        ``mask`` [edges, ops] is True where an op may have weight.
        """

    def penalty(self) -> Tensor | float:
        """What the relaxation adds to the loss of the architecture step."""
        return 0.0

    def forward(self, masks: Masks) -> Architecture:
        """The architecture of one forward pass; one draw serves all cells of a type."""
        found = {name: self.relax(name, alpha, masks.table(name)) for name, alpha in self.alpha.items()}
        return {
            name: EdgeWeights(op, self._active(masks.lists(name), column))
            for (name, (op, _)), column in zip(found.items(), _to_host([c for _, c in found.values()]), strict=True)
        }

    def for_weights(self, masks: Masks) -> Architecture:
        """The architecture that the weights are trained on, where it is not one like all others (SETN)."""
        return self(masks)

    def scores(self, masks: Masks) -> dict[str, Tensor]:
        """How much each op matters, [edges, ops] a cell type: the softmax of alpha, 0 where masked."""
        return {name: _softmax(alpha.detach(), masks.table(name)) for name, alpha in self.alpha.items()}

    def edge_scores(self, masks: Masks) -> dict[str, Tensor | None]:
        """How much each edge matters, [edges] a cell type, where the relaxation weighs edges too; else None."""
        return dict.fromkeys(self.alpha)

    def entropy(self, masks: Masks) -> Tensor:
        """The mean entropy of the edges' scores, in nats: high at the start, near 0 when decided."""
        tables = [scores.float() for scores in self.scores(masks).values()]
        return torch.cat([torch.special.entr(t).sum(dim=-1) for t in tables]).mean()

    def generator(self, device: torch.device) -> torch.Generator:
        """The generator for draws on ``device``."""
        return self.generators.on(device)

    @staticmethod
    def _active(mask: list[list[bool]], columns: list[int] | None) -> list[list[bool]]:
        if columns is None:
            return mask
        return [
            [on and column == chosen for column, on in enumerate(row)]
            for row, chosen in zip(mask, columns, strict=True)
        ]


class Softmax(Relaxation):
    """DARTS' mixture: the softmax of alpha over the ops of an edge (Liu et al., 2019)."""

    def relax(self, name: str, alpha: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        return _softmax(alpha, mask), None


class Gumbel(Relaxation):
    """A draw from the concrete distribution at temperature ``tau``.

    Soft: SNAS (Xie et al., 2019). Hard: GDAS (Dong and Yang, 2019), one op an edge with a straight-through
    gradient: the weights are one-hot, their gradient is that of softmax((log softmax(alpha) + g) / tau).
    The authors draw again where a Gumbel variable overflows; here the exponential it comes from is kept
    above the smallest normal number, which needs no look at the device.
    """

    def __init__(
        self,
        cells: Mapping[str, Cell],
        hard: bool = True,
        tau: float = 10.0,
        init_std: float = 1e-3,
        init_mean: float = 0.0,
    ) -> None:
        super().__init__(cells, init_std, init_mean)
        self.hard = hard
        self.tau = tau

    def draw(self, alpha: Tensor) -> Tensor:
        """Standard Gumbel variables in the shape of alpha."""
        exponential = torch.empty_like(alpha).exponential_(generator=self.generator(alpha.device))
        return -exponential.clamp_min(torch.finfo(alpha.dtype).tiny).log()

    def relax(self, name: str, alpha: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        least = torch.finfo(alpha.dtype).min
        logits = (alpha.masked_fill(~mask, least).log_softmax(dim=-1) + self.draw(alpha.detach())) / self.tau
        probabilities = logits.masked_fill(~mask, least).softmax(dim=-1) * mask
        if not self.hard:
            return probabilities, None
        chosen = probabilities.detach().argmax(dim=-1)
        one_hot = F.one_hot(chosen, alpha.shape[-1]).to(alpha.dtype) * mask
        return one_hot - probabilities.detach() + probabilities, chosen


class Dirichlet(Relaxation):
    """DrNAS: weights drawn from Dir(ELU(alpha) + 1) with pathwise derivatives (Chen et al., ICLR 2021).

    ``anchor`` pulls the distribution towards Dir(1, ..., 1) in the architecture step: "kl" adds ``strength``
    times the KL divergence from it, summed over edges; "l2" adds strength/2 * |alpha|^2, whose gradient is that
    of Adam's weight decay, the authors' default. Pruned entries are drawn too, zeroed, and the rest is
    scaled to sum to 1, which has the law of a draw over the entries that are left.
    """

    def __init__(
        self,
        cells: Mapping[str, Cell],
        anchor: Literal["l2", "kl"] = "l2",
        strength: float = 1e-3,
        init_std: float = 1e-3,
    ) -> None:
        super().__init__(cells, init_std)
        self.anchor = anchor
        self.strength = strength

    def draw(self, concentration: Tensor) -> Tensor:
        """A point of the simplex for each row of ``concentration`` [edges, ops]."""
        return sample_dirichlet(concentration, self.generator(concentration.device))

    def relax(self, name: str, alpha: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        weights = self.draw(F.elu(alpha) + 1) * mask
        total = weights.sum(dim=-1, keepdim=True)
        return weights / total.clamp_min(torch.finfo(total.dtype).tiny), None

    def penalty(self) -> Tensor:
        if self.anchor == "kl":
            return self.strength * torch.stack([dirichlet_kl(F.elu(a) + 1).sum() for a in self.alpha.values()]).sum()
        return self.strength / 2 * torch.stack([a.square().sum() for a in self.alpha.values()]).sum()


class Uniform(Relaxation):
    """A uniform single path, drawn anew for each forward pass: one-shot training without architecture parameters.

    Li and Talwalkar (UAI 2019), Guo et al. (ECCV 2020). Where a node keeps only some of its edges in a
    genotype, those are drawn too.
    """

    def __init__(self, cells: Mapping[str, Cell]) -> None:
        super().__init__(cells, init_std=0.0)
        self.requires_grad_(False)

    def relax(self, name: str, alpha: Tensor, mask: Tensor) -> tuple[Tensor, Tensor | None]:
        raise TypeError("a uniform path is drawn as a whole")

    def forward(self, masks: Masks) -> Architecture:
        return uniform_path(self, masks)


def uniform_path(relaxation: Relaxation, masks: Masks) -> Architecture:
    """A genotype drawn uniformly from what is left, by the relaxation's own generator, as one-hot weights."""
    draw = torch.randint(2**62, (), generator=relaxation.generator(torch.device("cpu")))
    rng = random.Random(int(draw.item()))
    arch = {}
    for name, cell in relaxation.cells.items():
        table = cell.masked(masks.lists(name))
        arch[name] = encode(table, sample(table, rng), like=relaxation.alpha[name])
    return arch


def _softmax(alpha: Tensor, mask: Tensor) -> Tensor:
    # the least number, not minus infinity: an edge that is masked as a whole has weights 0, and no NaN
    return alpha.masked_fill(~mask, torch.finfo(alpha.dtype).min).softmax(dim=-1) * mask


def _to_host(columns: list[Tensor | None]) -> list[list[int] | None]:
    """All chosen columns as lists, in one transfer."""
    present = [c for c in columns if c is not None]
    flat = torch.cat(present).tolist() if present else []
    result: list[list[int] | None] = []
    for column in columns:
        size = 0 if column is None else column.numel()
        result.append(None if column is None else flat[:size])
        flat = flat[size:]
    return result
