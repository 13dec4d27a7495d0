"""Combinations of parts of a gradient search that have no effect, or fail at the first step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl

from nas.architecture.masks import Masks
from nas.gradients.base import nested_gradients
from nas.gradients.first_order import FirstOrder
from nas.gradients.implicit import Implicit
from nas.gradients.mixed_level import MixedLevel
from nas.gradients.unrolled import Unrolled
from nas.nn.edges.binary_gates import BinaryGates
from nas.objectives.reinforce import require_log_prob
from nas.objectives.task import Task
from nas.relaxations.base import Relaxation
from nas.relaxations.binary_gates import GateRelaxation
from nas.relaxations.block_gumbel import BlockRelaxation
from nas.searches.arch_step import ArchStep
from nas.searches.weight_step import WeightStep
from nas.spaces.base import Space
from nas.utils.errors import NasError, one_line


def check_kinds(space: object, weight_step: object, arch_step: object, callbacks: object) -> None:
    """Raise NasError for an argument of another class, such as an optimizer in place of a step."""
    if not isinstance(space, Space):
        raise NasError(f"GradientSearch: space={_short(space)}: use a Space, such as NasBench201(shape, classes).")
    if not isinstance(weight_step, WeightStep):
        raise NasError(f"GradientSearch: weight_step={_short(weight_step)}: use WeightStep(partial(SGD, lr=0.05)).")
    if not isinstance(arch_step, ArchStep | None):
        raise NasError(f"GradientSearch: arch_step={_short(arch_step)}: use ArchStep(partial(Adam, lr=3e-4)), or None.")
    valid = isinstance(callbacks, Sequence) and all(isinstance(callback, pl.Callback) for callback in callbacks)
    if not valid:
        raise NasError(f"GradientSearch: callbacks={_short(callbacks)}: use a list of Lightning callbacks.")


def _short(value: object) -> str:
    return one_line(value)[:80]


def check_arch_step(relaxation: Relaxation, step: ArchStep, task: Task) -> None:
    """Raise NasError if the options of the architecture step contradict each other, the relaxation or the task."""
    kind, trains_alpha = type(relaxation).__name__, step.optimizer is not None
    _check_regularizer(relaxation, step)
    if step.resource is not None and not trains_alpha:
        raise NasError(
            "method.arch_step.resource: with method.arch_step.optimizer=null no architecture parameters are trained. "
            "Use method.arch_step.resource=null."
        )
    if step.resource is not None and not step.per_batch:
        raise NasError(
            "method.arch_step.resource: with method.arch_step.per_batch=false no loss trains alpha. Use "
            "method.arch_step.resource=null, or budget for limits on costs."
        )
    if step.resource is not None and isinstance(relaxation, BlockRelaxation):
        raise NasError(
            f"method.arch_step.resource: costs are defined per edge, but {kind} samples {len(relaxation.rows)} blocks. "
            "Use method.arch_step.resource=null."
        )
    if step.active_cost_target is not None:
        _check_cost_target(relaxation, step, step.active_cost_target.form)
    if step.reward is None:
        if trains_alpha and not relaxation.differentiable:
            raise NasError(
                f"method.arch_step.reward=null: samples of {kind} have no gradient, so that alpha would not be "
                "trained. Use reward={_target_: nas.objectives.reinforce.ReinforceObjective}, or "
                "method.arch_step.optimizer=null to train the weights alone."
            )
        return
    check_reward(task, "method.arch_step.reward", "method.arch_step.reward=null and a differentiable relaxation")
    require_log_prob(relaxation)
    if isinstance(relaxation, GateRelaxation) and relaxation.paths != "all":
        raise NasError(
            f"method.relaxation.paths={relaxation.paths}: a reward needs samples from the softmax of alpha. Use "
            "method.relaxation.paths=all."
        )
    if not trains_alpha or not step.per_batch:
        raise NasError(
            "method.arch_step.reward: there are no architecture steps on batches. Use reward=null, or set "
            "method.arch_step.optimizer and method.arch_step.per_batch=true."
        )
    if _has_second_order(step):
        raise NasError(
            "method.arch_step.gradient: a reward has no second-order gradient. Use "
            "method.arch_step.gradient._target_=nas.gradients.first_order.FirstOrder."
        )


def _check_cost_target(relaxation: Relaxation, step: ArchStep, form: str) -> None:
    """Raise NasError if a cost target has no effect or an unsupported form."""
    option = "method.arch_step.cost_target"
    if not step.per_batch:
        raise NasError(
            f"{option}: with method.arch_step.per_batch=false no loss trains alpha. Use {option}.target=null, or "
            "budget for limits on costs."
        )
    if not can_penalize(relaxation, step) or relaxation.distribution(Masks(relaxation.cells)) is None:
        raise NasError(
            f"{option}: the expected cost needs a trained distribution of ops on each edge, which this method does not "
            f"have. Use {option}.target=null."
        )
    if (form == "reward") != (step.reward is not None):
        needed = "reward" if step.reward is not None else "multiply or add"
        given = "with" if step.reward is not None else "without"
        raise NasError(f"{option}.form={form}: not supported {given} method.arch_step.reward. Use form={needed}.")
    if _has_second_order(step):
        raise NasError(f"{option}: the cost has no second-order gradient. Use {option}.target=null.")


def _has_second_order(step: ArchStep) -> bool:
    return isinstance(nested_gradients(step.gradient)[-1], Unrolled | Implicit)


def check_reward(task: Task, option: str, fix: str) -> None:
    """Raise NasError if the score of the task is no reward. ``fix``: the values to use in place of ``option``."""
    if not task.has_reward:
        raise NasError(f"{option}: a reward is a score in percent, which the {task.metric.name} is not. Use {fix}.")


def can_penalize(relaxation: Relaxation, step: ArchStep) -> bool:
    """Return whether a penalty on the costs of ops can train alpha."""
    return step.optimizer is not None and not isinstance(relaxation, BlockRelaxation)


def check_discretization(rule: object) -> None:
    """Raise NasError for a discretization that is neither a rule nor a rule per cell type."""
    if not (rule is None or callable(rule) or isinstance(rule, Mapping)):
        raise NasError(f"method.discretization={rule}: use null, or a rule with its _target_.")


def check_one_staged(callbacks: Sequence[object]) -> None:
    """Raise NasError if several callbacks would replace the supernet."""
    if len(callbacks) > 1:
        names = " and ".join(type(callback).__name__ for callback in callbacks)
        raise NasError(f"method.callbacks: {names} both replace the supernet in stages. Remove one of them.")


def _check_regularizer(relaxation: Relaxation, step: ArchStep) -> None:
    if step.regularizer is None:
        return
    if step.optimizer is None or not step.per_batch:
        raise NasError(
            "method.arch_step.regularizer: there are no architecture steps on batches. Use regularizer=null, or set "
            "method.arch_step.optimizer and method.arch_step.per_batch=true."
        )
    if relaxation.distribution(Masks(relaxation.cells)) is None:
        raise NasError(
            f"method.arch_step.regularizer: the ops of an edge do not compete in {type(relaxation).__name__}. Use "
            "method.arch_step.regularizer=null, or a relaxation such as Softmax, Dirichlet or Gumbel."
        )


def check_bilevel(data: object, arch: ArchStep) -> None:
    """Raise NasError if a data set has no batches of the validation part, and architecture steps take them."""
    if not getattr(data, "bilevel", True) and not arch.single_level:
        raise NasError(
            "dataset.bilevel=false: the search takes a batch of each part of the training images per step. Set "
            "dataset.bilevel=true, or method.arch_step.single_level=true for one part."
        )


def check_precision(precision: str) -> None:
    """Raise NasError if gradients of architecture parameters do not support a precision of the trainer."""
    if precision not in ("32-true", "64-true", "bf16-mixed"):
        raise NasError(
            f"trainer.precision={precision}: gradients of architecture parameters bypass the loss scaling of "
            "float16. Use 32-true, bf16-mixed or 64-true."
        )


def check_passes(
    weights: WeightStep, arch: ArchStep, relaxation: Relaxation | None = None, step_order: str = "arch_first"
) -> None:
    """Raise NasError if a step needs all images of its batch in a single pass."""
    trained = arch.optimizer is not None and arch.per_batch
    gradient = nested_gradients(arch.gradient)[-1]
    whole = {
        f"method.step_order={step_order}": step_order == "simultaneous",
        f"method.relaxation={type(relaxation).__name__}": isinstance(relaxation, GateRelaxation),
        f"method.weight_step.clip_params={weights.clip_params}": weights.clip_params in ("all", "all_accumulated"),
        f"method.weight_step.perturbation={type(weights.perturbation).__name__}": weights.perturbation is not None,
        f"method.weight_step.alignment={type(weights.alignment).__name__}": weights.alignment is not None,
        f"method.arch_step.gradient={type(gradient).__name__}": trained and not isinstance(gradient, FirstOrder),
        f"method.arch_step.reward={type(arch.reward).__name__}": trained and arch.reward is not None,
    }
    for option, needed in whole.items():
        if needed:
            raise single_pass_needed(option)


def single_pass_needed(option: str) -> NasError:
    """Return the error of an option whose steps cannot be divided into passes."""
    return NasError(
        f"{option}: a step takes all images of a device in one pass. Set dataset.batch_size=null, or more devices for "
        "the same dataset.global_batch_size."
    )


def shares_pass(arch_step: ArchStep, weight_step: WeightStep) -> bool:
    """Return whether the steps on weights and architecture can share one forward and one backward pass."""
    plain = isinstance(arch_step.gradient, FirstOrder) and arch_step.reward is None and arch_step.per_batch
    plain = plain and arch_step.active_cost_target is None
    return plain and weight_step.perturbation is None and weight_step.alignment is None


def check_parts(
    relaxation: Relaxation, arch_step: ArchStep, weight_step: WeightStep, edge: Any, step_order: str
) -> None:
    """Raise NasError if binary gates are incomplete, or steps cannot share a pass.

    Args:
        relaxation: relaxation of the search.
        arch_step: options of the architecture step.
        weight_step: options of the weight step.
        edge: factory of the edges.
        step_order: order of the steps.
    """
    gated = isinstance(relaxation, GateRelaxation)
    factory = getattr(edge, "func", edge)
    if gated != (isinstance(factory, type) and issubclass(factory, BinaryGates)):
        raise NasError(
            f"method.relaxation={type(relaxation).__name__}, method.edge={getattr(factory, '__name__', factory)}: "
            "GateRelaxation and BinaryGates need each other. Use method=proxyless."
        )
    if gated and _has_second_order(arch_step):
        raise NasError(
            "method.arch_step.gradient: binary gates have no second-order gradient. Use "
            "method.arch_step.gradient._target_=nas.gradients.first_order.FirstOrder."
        )
    mixed = any(isinstance(gradient, MixedLevel) for gradient in nested_gradients(arch_step.gradient))
    if mixed and isinstance(relaxation, GateRelaxation) and relaxation.paths == "two":
        raise NasError(
            "method.relaxation.paths=two: MixedLevel differentiates two samples, but a step rescales the pair of one. "
            "Use method.relaxation.paths=all."
        )
    if step_order != "simultaneous":
        return
    if weight_step.clip_params != "weights":
        raise NasError(
            f"method.weight_step.clip_params={weight_step.clip_params}: the shared pass of "
            "method.step_order=simultaneous clips the gradient of the weights alone. Use "
            "method.weight_step.clip_params=weights, and method.arch_step.clip_norm for that of alpha."
        )
    if not (shares_pass(arch_step, weight_step) and arch_step.single_level and not gated):
        raise NasError(
            "method.step_order=simultaneous: both steps share one pass, which needs arch_step.single_level=true, the "
            "first-order gradient, and neither reward, cost target, perturbation nor alignment. Use "
            "method.step_order=weights_first."
        )
