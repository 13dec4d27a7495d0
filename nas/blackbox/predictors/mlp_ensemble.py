"""Ensemble of multilayer perceptrons: the meta neural network of BANANAS (White et al., AAAI 2021)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.blackbox.predictors.base import Prediction, Predictor, Values, standardize
from nas.utils.ranges import COUNT, FRACTION, LAYERS, Range, check_ranges

Floats = NDArray[np.float32]
MEMBERS, WIDTH = Range(1, 100, whole=True), Range(1, 4096, whole=True)
BETAS, EPSILON = (0.9, 0.99), 1e-7
"""Constants of Adam in the authors' program."""


@check_ranges(members=MEMBERS, layers=LAYERS, width=WIDTH, epochs=COUNT, batch_size=COUNT, lr=FRACTION)
class MLPEnsemble(Predictor):
    """Networks of equal form that differ in their initial weights and batches; the uncertainty is their deviation.

    The loss is the mean absolute error of standardized values, and the optimizer is Adam.

    Args:
        members: number of networks.
        layers: number of hidden layers, with ReLU.
        width: units of a hidden layer.
        epochs: passes over the samples.
        batch_size: samples of a batch.
        lr: learning rate; Adam changes each parameter by about this number per step.

    Raises:
        NasError: if an option is out of range.
    """

    def __init__(
        self,
        members: int = 5,
        layers: int = 10,
        width: int = 20,
        epochs: int = 150,
        batch_size: int = 32,
        lr: float = 0.01,
    ) -> None:
        self.members = members
        self.layers = layers
        self.width = width
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self._networks: Networks | None = None
        self._mean, self._std = 0.0, 1.0

    def fit(self, features: Values, values: Values, seed: int) -> None:
        rng, count = np.random.default_rng(seed), len(features)
        x = features.astype(np.float32)
        scaled, self._mean, self._std = standardize(values)
        y = scaled.astype(np.float32)
        networks = Networks(self.members, (x.shape[1], *[self.width] * self.layers, 1), rng)
        optimizer = Adam(networks.flat, self.lr)
        for _ in range(self.epochs):
            order = rng.permuted(np.tile(np.arange(count), (self.members, 1)), axis=1)
            for start in range(0, count, self.batch_size):
                batch = order[:, start : start + self.batch_size]
                optimizer.step(networks.gradient(x[batch], y[batch]))
        self._networks = networks

    def predict(self, features: Values) -> Prediction:
        assert self._networks is not None
        x = np.broadcast_to(features.astype(np.float32), (self.members, *features.shape))
        outputs = self._networks.forward(x)[-1][..., 0].astype(np.float64)
        return Prediction(self._mean + self._std * outputs.mean(axis=0), self._std * outputs.std(axis=0))


class Networks:
    """Several perceptrons with ReLU, evaluated and differentiated together.

    The networks are so small that the overhead of autograd would dominate: NumPy is four times as fast.

    Args:
        members: number of networks.
        sizes: number of inputs, of the units of each hidden layer, and of outputs.
        rng: generator of the initial weights (Glorot and Bengio, 2010, uniform).

    Attributes:
        flat: all parameters [p].
        weights: views of ``flat`` as weights [members, in, out] and biases [members, 1, out] of each layer.
    """

    def __init__(self, members: int, sizes: Sequence[int], rng: np.random.Generator) -> None:
        self._shapes = [shape for a, b in pairwise(sizes) for shape in ((members, a, b), (members, 1, b))]
        self.flat: Floats = np.zeros(sum(map(math.prod, self._shapes)), dtype=np.float32)
        self._gradient = np.zeros_like(self.flat)
        self.weights, self._gradients = self._views(self.flat), self._views(self._gradient)
        for weight in self.weights[::2]:
            bound = math.sqrt(6 / sum(weight.shape[1:]))
            weight[:] = rng.uniform(-bound, bound, weight.shape)

    def _views(self, flat: Floats) -> list[Floats]:
        ends = np.cumsum([math.prod(shape) for shape in self._shapes])[:-1]
        return [part.reshape(shape) for part, shape in zip(np.split(flat, ends), self._shapes, strict=True)]

    def forward(self, x: Floats) -> list[Any]:
        """Return the inputs [members, n, in], the activations of each hidden layer, and the outputs [members, n, 1]."""
        activations = [x]
        for number in range(0, len(self.weights), 2):
            z = activations[-1] @ self.weights[number]
            z += self.weights[number + 1]
            activations.append(z if number == len(self.weights) - 2 else np.maximum(z, 0, out=z))
        return activations

    def gradient(self, x: Floats, y: Floats) -> Floats:
        """Return the gradient [p] of the mean absolute error of each network, at inputs and values [members, n]."""
        *inputs, output = self.forward(x)
        delta = np.sign(output - y[..., None]) / y.shape[1]
        for layer in reversed(range(len(inputs))):
            np.matmul(inputs[layer].transpose(0, 2, 1), delta, out=self._gradients[2 * layer])
            np.sum(delta, axis=1, keepdims=True, out=self._gradients[2 * layer + 1])
            if layer:
                delta = delta @ self.weights[2 * layer].transpose(0, 2, 1)
                delta *= inputs[layer] > 0
        return self._gradient


class Adam:
    """Adam (Kingma and Ba, 2015) on a vector, in place."""

    def __init__(self, parameters: Floats, lr: float) -> None:
        self.parameters, self.lr, self.steps = parameters, lr, 0
        self._mean, self._square, self._buffer = (np.zeros_like(parameters) for _ in range(3))

    def step(self, gradient: Floats) -> None:
        """Update the parameters."""
        (first, second), buffer = BETAS, self._buffer
        self.steps += 1
        self._mean *= first
        self._mean += np.multiply(gradient, 1 - first, out=buffer)
        np.multiply(gradient, gradient, out=buffer)
        self._square *= second
        self._square += np.multiply(buffer, 1 - second, out=buffer)
        np.sqrt(self._square, out=buffer)
        buffer /= math.sqrt(1 - second**self.steps)
        buffer += EPSILON
        np.divide(self._mean, buffer, out=buffer)
        buffer *= self.lr / (1 - first**self.steps)
        self.parameters -= buffer
