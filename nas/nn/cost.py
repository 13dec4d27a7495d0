"""Parameters and operations of any network, by the counting rules of the field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from nas.nn.macs import RULES, count_operations, count_parameters
from nas.utils.errors import NasError


@dataclass(frozen=True)
class Cost:
    """Size of a network.

    Attributes:
        parameters: number of parameters without an auxiliary head.
        auxiliary_parameters: number of parameters of an auxiliary head, which is used in training only.
        operations: operations for one input, by the name of the rule (``nas.nn.macs.RULES``).
    """

    parameters: int
    auxiliary_parameters: int
    operations: Mapping[str, int]


def count(network: nn.Module, shape: Sequence[int] = (3, 32, 32), rules: Iterable[str] | None = None) -> Cost:
    """Count the parameters and the operations of a network for one input of ``shape``, such as (C, H, W).

    Layers are counted once per execution in evaluation mode. Operations of functions, such as ``F.conv2d``, are not
    counted. The network may be on the meta device, and it does not change.

    Args:
        network: any module that takes a batch of inputs.
        shape: shape of an input without the batch dimension.
        rules: names of the rules; by default all.

    Raises:
        NasError: if ``network`` is not a module, or a rule is unknown.
    """
    if not isinstance(network, nn.Module):
        raise NasError(f"network={str(network)[:80]}: not a torch.nn.Module. Build it by space.network(genotype).")
    parameters = count_parameters(network)
    return Cost(
        parameters=parameters,
        auxiliary_parameters=count_parameters(network, auxiliary=True) - parameters,
        operations={
            rule: count_operations(network, tuple(shape), rule) for rule in (RULES if rules is None else rules)
        },
    )
