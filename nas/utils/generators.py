"""Random generators of a module, stored in its state_dict and equal on all ranks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Generators(nn.Module):
    """One random generator per device with the same seed on all ranks. The state_dict contains their states."""

    def __init__(self) -> None:
        super().__init__()
        self._seed = int(torch.randint(2**31, ()).item())
        self._generators: dict[str, torch.Generator] = {}

    def on(self, device: torch.device) -> torch.Generator:
        """Return the generator for samples on ``device``."""
        key = str(device)
        if key not in self._generators:
            self._generators[key] = torch.Generator(device=device).manual_seed(self._seed)
        return self._generators[key]

    def get_extra_state(self) -> dict[str, object]:
        return {"seed": self._seed, "generators": {k: g.get_state() for k, g in self._generators.items()}}

    def set_extra_state(self, state: dict[str, object]) -> None:
        self._seed = int(state["seed"])  # type: ignore[call-overload]
        generators: dict[str, Tensor] = state["generators"]  # type: ignore[assignment]
        self._generators.clear()
        for key, value in generators.items():
            if torch.device(key).type == "cpu" or torch.cuda.is_available():
                self.on(torch.device(key)).set_state(value.cpu())


@contextmanager
def random_state_kept(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Restore the global generators of a device, and all generators of a module's parts, at the end of the context."""
    generators = [part for part in module.modules() if isinstance(part, Generators)]
    states = [generator.get_extra_state() for generator in generators]
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        try:
            yield
        finally:
            for generator, state in zip(generators, states, strict=True):
                generator.set_extra_state(state)
