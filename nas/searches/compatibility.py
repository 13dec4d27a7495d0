"""Parts of a gradient search that would do nothing together, or fail at its first step."""

from __future__ import annotations

from nas.gradients.base import ArchGradient
from nas.gradients.unrolled import Unrolled
from nas.objectives.reinforce import Reinforce, scored
from nas.objectives.resource_penalty import Resource
from nas.relaxations.base import Relaxation
from nas.utils.errors import NasError


def refuse_incoherent(
    relaxation: Relaxation,
    gradient: ArchGradient,
    resource: Resource | None,
    reward: Reinforce | None,
    learns: bool,
    on_batches: bool,
) -> None:
    """Raises NasError for such parts.

    ``learns``: whether there is an optimizer of alpha; ``on_batches``: whether it steps after batches, and not where a
    callback says so.
    """
    kind, rows = type(relaxation).__name__, getattr(relaxation, "rows", None)
    if resource is not None and not learns:
        raise NasError("method.resource: without method.arch_optimizer nothing learns what ops cost; use resource=null")
    if resource is not None and rows is not None:
        raise NasError(
            f"method.resource: {kind} draws for {len(rows)} blocks, and costs are those of ops of edges: use "
            "resource=null"
        )
    if reward is None:
        if learns and not relaxation.differentiable:
            raise NasError(
                f"method.reward=null: what {kind} draws has no gradient, and alphas would learn nothing: give "
                "reward={_target_: nas.objectives.reinforce.Reinforce}, or arch_optimizer=null to train the weights "
                "alone"
            )
        return
    scored(relaxation)
    if not learns or not on_batches:
        raise NasError(
            "method.reward: there are no architecture steps on batches that learn from it; use reward=null, or an "
            "arch_optimizer and batch_arch_steps=true"
        )
    if isinstance(getattr(gradient, "gradient", gradient), Unrolled):
        raise NasError(
            "method.gradient: a draw cannot be differentiated, and its reward has no second order: use "
            "gradient._target_=nas.gradients.first_order.FirstOrder"
        )
