"""NT-ASGD: the switch from SGD to averaged SGD (Merity et al., Regularizing and Optimizing LSTM Language Models)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor
from torch.optim import ASGD, Optimizer

from nas.utils.ranges import COUNT, check_ranges


@check_ranges(patience=COUNT)
class NonMonotonicTrigger:
    """Condition of the switch: the loss is above the smallest one of earlier validations.

    It needs more than ``patience`` earlier validations.

    Args:
        patience: see above.
        skip_recent: leave the last ``patience`` validations out of the comparison (quark0/darts). False: compare with
            all earlier ones (AutoDL-Projects).
    """

    def __init__(self, patience: int = 5, skip_recent: bool = True) -> None:
        self.patience, self.skip_recent = patience, skip_recent
        self.losses: list[float] = []
        """Validation losses so far."""

    def update(self, loss: float) -> bool:
        """Record the loss of a validation, and return whether it fulfills the condition."""
        enough = len(self.losses) > self.patience
        earlier = self.losses[: -self.patience] if self.skip_recent else list(self.losses)
        self.losses.append(loss)
        return enough and loss > min(earlier)


def averaged_sgd(optimizer: Optimizer) -> ASGD:
    """Return averaged SGD for the parameters of an SGD optimizer, with its learning rates and weight decays.

    The average covers the weights after each step but the first, and the learning rate does not decay (``t0`` = 0,
    ``lambd`` = 0). PyTorch applies a learning rate one step after it was set, except for the first step. A learning
    rate that is scaled per step is therefore applied one step late, in quark0/darts too.
    """
    groups = [{key: group[key] for key in ("params", "lr", "weight_decay")} for group in optimizer.param_groups]
    return ASGD(groups, t0=0, lambd=0.0)


@contextmanager
def averaged_weights(optimizers: Sequence[Optimizer]) -> Iterator[None]:
    """Replace parameters by their averages within the context, for those that ``ASGD`` has averaged."""
    saved: list[tuple[Tensor, Tensor]] = []
    try:
        for optimizer in optimizers if optimizers else ():
            for parameter, state in optimizer.state.items() if isinstance(optimizer, ASGD) else ():
                if "ax" in state:
                    saved.append((parameter, parameter.detach().clone()))
                    parameter.data.copy_(state["ax"])
        yield
    finally:
        for parameter, value in saved:
            parameter.data.copy_(value)
