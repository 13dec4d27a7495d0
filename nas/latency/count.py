"""Number of parts of each kind in the network of a genotype."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch

from nas.architecture.cell import NONE, CellGenotype, Genotype, Link
from nas.latency.parts import PartKey, addition, find_parts
from nas.spaces.base import Network, Space


class PartCounter:
    """Counter of the parts of the networks of a space.

    Where a link determines its parts, as in cells and chains, they are found once per link. A further genotype of known
    links is counted without building its network. Equal pools that leave one node are counted once.

    Args:
        space: search space.
        options: options of ``space.network``.
        prune: leave out ops that no path connects with the input and the output, which graph runtimes remove.
    """

    def __init__(self, space: Space, options: Mapping[str, Any], prune: bool = False) -> None:
        self.space = space
        self.options = dict(options)
        self.prune = prune
        self._of_link: dict[tuple[str, Link], Counter[PartKey]] = {}
        self._shareable: set[tuple[str, Link]] = set()
        self._of_genotype: dict[Genotype, Counter[PartKey]] = {}

    def __call__(self, genotype: Genotype) -> Counter[PartKey]:
        """Return the number of parts by key."""
        cached = self._of_genotype.get(genotype)
        if cached is not None:
            return cached
        links = [(name, link) for name, cell in genotype.cells.items() for link in cell.links]
        if not all(link in self._of_link for link in links):
            with torch.device("meta"):
                network = self.space.network(genotype, **self.options)
            self.add(genotype, network)
        if genotype in self._of_genotype:
            return self._of_genotype[genotype]
        counts: Counter[PartKey] = Counter()
        computed: set[tuple[str, str, int]] = set()
        for name, cell in genotype.cells.items():
            for link in live(cell) if self.prune else cell.links:
                parts = self._of_link[name, link]
                if (name, link) in self._shareable and (name, link.op, link.source) in computed:
                    parts = Counter({addition(key): count for key, count in parts.items()})
                computed.add((name, link.op, link.source))
                counts.update(parts)
        return counts

    def add(self, genotype: Genotype, network: Network) -> None:
        """Find the parts of a network."""
        parts = find_parts(network, genotype, self.space.shape)
        if any(part.link is None for part in parts):
            self._of_genotype[genotype] = Counter(part.key for part in parts)
            return
        links = Counter((name, link) for name, cell in genotype.cells.items() for link in cell.links)
        counts: dict[tuple[str, Link], Counter[PartKey]] = {link: Counter() for link in links}
        for part in parts:
            assert part.link is not None
            counts[part.link][part.key] += 1
            if part.shareable:
                self._shareable.add(part.link)
        for link, parts_of_link in counts.items():  # a cell with repeats may have a link twice
            self._of_link[link] = Counter({key: count // links[link] for key, count in parts_of_link.items()})


def live(cell: CellGenotype) -> list[Link]:
    """Return the links on a path of ops other than ``none`` from an input of the cell to its output."""
    links = [link for link in cell.links if link.op != NONE]
    targets = {link.target for link in cell.links}
    forward = {link.source for link in cell.links} - targets
    backward = set(cell.output)
    for _ in cell.links:
        forward |= {link.target for link in links if link.source in forward}
        backward |= {link.source for link in links if link.target in backward}
    return [link for link in links if link.source in forward and link.target in backward]
