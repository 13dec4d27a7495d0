"""Learning rates of a schedule."""

from __future__ import annotations

from torch.optim.lr_scheduler import LRScheduler


def rates_by_step(scheduler: LRScheduler, steps: int) -> list[float]:
    """Return the learning rate of the optimizer in each of the next steps of its schedule."""
    found = []
    for _ in range(steps):
        found.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return found
