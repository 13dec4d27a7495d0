"""Construction of a user's model, given as a class or function or by its dotted name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from nas.spaces.base import Shape
from nas.utils.errors import NasError, one_line
from nas.utils.import_name import import_name
from nas.utils.own_parts import target_of

Model = str | Callable[..., nn.Module]
"""Class or function (shape, classes, **options) -> module, or its dotted name ``package.module:Name``."""
_EXAMPLE = "Set space.model=PACKAGE.MODULE:NAME of a class or function with the arguments shape and classes."


class ModelFactory:
    """Builds a user's model for images of a shape and a number of classes.

    Args:
        model: the class or function, or its dotted name, which is imported.
        options: further keyword arguments.

    Raises:
        NasError: if the model is missing or cannot be imported.
    """

    def __init__(self, model: Model | None, options: Mapping[str, Any] | None = None) -> None:
        build = import_name(f"space.model={model}", model) if isinstance(model, str) else model
        if build is None:
            raise NasError(f"space.model is missing. {_EXAMPLE}")
        if not callable(build):
            raise NasError(f"space.model={build}: not a class or function. {_EXAMPLE}")
        if isinstance(build, nn.Module):
            raise NasError(
                f"space.model: a {type(build).__name__} that is built already. Give its class, or a function that "
                "builds it, because the supernet and each network are built from scratch."
            )
        self.build: Callable[..., Any] = build
        self.options = dict(options or {})
        self.owner = f"space.model={model if isinstance(model, str) else target_of(model)}"
        """Description of the model, for messages."""

    def __call__(self, shape: Shape, classes: int) -> nn.Module:
        """Build the model for images of ``shape`` (C, H, W). Raises NasError, which names the model, if that fails."""
        meta = torch.get_default_device().type == "meta"
        try:
            model: Any = self.build(shape=shape, classes=classes, **self.options)
        except Exception as error:  # whatever the code of the user raises
            if meta:  # code that reads tensors, such as a schedule of drop-path rates, needs their values
                with torch.device("cpu"), torch.random.fork_rng(devices=[]):
                    return self(shape, classes).to("meta")
            if isinstance(error, NasError):
                raise NasError(f"{self.owner}: {error}") from error
            raise NasError(
                f"{self.owner}: cannot be built with shape={list(shape)}, classes={classes} "
                f"({type(error).__name__}: {one_line(error)[:300]})."
            ) from error
        if not isinstance(model, nn.Module):
            raise NasError(f"{self.owner}: returns {type(model).__name__}. Return a torch.nn.Module.")
        return model
