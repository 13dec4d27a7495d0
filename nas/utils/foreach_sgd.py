"""SGD that updates the parameters on a CPU together."""

from __future__ import annotations

from torch.optim import SGD, Optimizer


def use_foreach(optimizer: Optimizer) -> Optimizer:
    """Let an SGD optimizer of parameters on a CPU update all of them in few calls, and return it.

    By default PyTorch does so only on a GPU. On a CPU it updates parameters one by one, which takes longer than the
    arithmetic if there are many small ones. The results are equal bit for bit. An optimizer is not changed if it is of
    another class, or if an option chooses the implementation.
    """
    if type(optimizer) is not SGD:  # other classes may lack these options
        return optimizer
    groups = optimizer.param_groups
    if not any(group["foreach"] is not None or group["fused"] or group["differentiable"] for group in groups):
        for group in groups:
            group["foreach"] = all(p.device.type == "cpu" for p in group["params"]) or None
    return optimizer
