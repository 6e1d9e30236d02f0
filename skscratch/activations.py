"""Activation functions, each with its derivative, computed in place.

An activation is a function of a buffer ``x`` (any shape).  Called once per buffer, it returns two
closures: ``forward()`` replaces x by f(x); ``backward(dx)`` multiplies dx by f'(x).  Where f' follows
from the output (ReLU, tanh, ...) nothing is kept; otherwise forward leaves f' in a scratch array, and
only when `training`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import erf, expit

__all__ = ["ACTIVATIONS", "Activation", "Pair"]

Backward = Callable[[np.ndarray], None]
Activation = Callable[..., tuple[Callable[[], None], Backward]]

SELU_SCALE = 1.0507009873554805  # Klambauer et al. 2017, "Self-Normalizing Neural Networks", eq. 14
SELU_ALPHA = 1.6732632423543772
LEAK = 0.01


def identity(x: np.ndarray, training: bool = True):
    """f(x) = x."""

    def forward() -> None:
        pass

    def backward(dx: np.ndarray) -> None:
        pass

    return forward, backward


def relu(x: np.ndarray, training: bool = True):
    """f(x) = max(x, 0);  f' = 1 where the output is positive."""
    positive = np.empty(x.shape, dtype=bool)
    zeros = np.zeros_like(x)  # two arrays go through NumPy's loop twice as fast as an array and a number

    def forward() -> None:
        np.maximum(x, zeros, out=x)

    def backward(dx: np.ndarray) -> None:
        np.greater(x, zeros, out=positive)
        np.multiply(dx, positive, out=dx)

    return forward, backward


def logistic(x: np.ndarray, training: bool = True):
    """f(x) = 1 / (1 + exp(-x));  f' = f (1 - f)."""
    slope = np.empty_like(x)

    def forward() -> None:
        expit(x, out=x)

    def backward(dx: np.ndarray) -> None:
        np.multiply(dx, x, out=dx)
        np.subtract(1, x, out=slope)
        np.multiply(dx, slope, out=dx)

    return forward, backward


def tanh(x: np.ndarray, training: bool = True):
    """f(x) = tanh(x);  f' = 1 - f²."""
    slope = np.empty_like(x)

    def forward() -> None:
        np.tanh(x, out=x)

    def backward(dx: np.ndarray) -> None:
        np.multiply(x, x, out=slope)
        np.subtract(1, slope, out=slope)
        np.multiply(dx, slope, out=dx)

    return forward, backward


def leaky_relu(x: np.ndarray, training: bool = True):
    """f(x) = x where positive, else x / 100."""
    slope = np.empty_like(x)

    def forward() -> None:
        np.multiply(x, LEAK, out=slope)
        np.maximum(x, slope, out=x)

    def backward(dx: np.ndarray) -> None:
        np.greater(x, 0, out=slope)
        np.maximum(slope, LEAK, out=slope)
        np.multiply(dx, slope, out=dx)

    return forward, backward


def elu(x: np.ndarray, training: bool = True):
    """f(x) = x where positive, else exp(x) - 1;  f' = 1 + min(f, 0)."""
    slope = np.empty_like(x)

    def forward() -> None:
        np.minimum(x, 0, out=slope)
        np.expm1(slope, out=slope)
        np.maximum(x, 0, out=x)
        np.add(x, slope, out=x)

    def backward(dx: np.ndarray) -> None:
        np.minimum(x, 0, out=slope)
        np.add(slope, 1, out=slope)
        np.multiply(dx, slope, out=dx)

    return forward, backward


def selu(x: np.ndarray, training: bool = True):
    """f(x) = scale · (x where positive, else alpha (exp(x) - 1)) (Klambauer et al. 2017, eq. 2)."""
    slope = np.empty_like(x)
    positive = np.empty(x.shape, dtype=bool)

    def forward() -> None:
        np.minimum(x, 0, out=slope)
        np.expm1(slope, out=slope)
        np.multiply(slope, SELU_SCALE * SELU_ALPHA, out=slope)
        np.maximum(x, 0, out=x)
        np.multiply(x, SELU_SCALE, out=x)
        np.add(x, slope, out=x)

    def backward(dx: np.ndarray) -> None:
        np.greater(x, 0, out=positive)
        np.add(x, SELU_SCALE * SELU_ALPHA, out=slope)  # where the output f is negative, f' = f + scale alpha
        np.copyto(slope, SELU_SCALE, where=positive)
        np.multiply(dx, slope, out=dx)

    return forward, backward


def gelu(x: np.ndarray, training: bool = True):
    """f(x) = x Φ(x), Φ the normal distribution function;  f' = Φ(x) + x φ(x) (Hendrycks & Gimpel 2016)."""
    cdf, slope = np.empty_like(x), np.empty_like(x)

    def forward() -> None:
        np.multiply(x, 0.5**0.5, out=cdf)
        erf(cdf, out=cdf)
        np.add(cdf, 1, out=cdf)
        np.multiply(cdf, 0.5, out=cdf)
        if training:
            np.multiply(x, x, out=slope)
            np.multiply(slope, -0.5, out=slope)
            np.exp(slope, out=slope)
            np.multiply(slope, (2 * np.pi) ** -0.5, out=slope)
            np.multiply(slope, x, out=slope)
            np.add(slope, cdf, out=slope)
        np.multiply(x, cdf, out=x)

    def backward(dx: np.ndarray) -> None:
        np.multiply(dx, slope, out=dx)

    return forward, backward


def silu(x: np.ndarray, training: bool = True):
    """f(x) = x σ(x), σ the logistic function;  f' = σ (1 + x (1 - σ))."""
    sigma, slope = np.empty_like(x), np.empty_like(x)

    def forward() -> None:
        expit(x, out=sigma)
        if training:
            np.subtract(1, sigma, out=slope)
            np.multiply(slope, x, out=slope)
            np.add(slope, 1, out=slope)
            np.multiply(slope, sigma, out=slope)
        np.multiply(x, sigma, out=x)

    def backward(dx: np.ndarray) -> None:
        np.multiply(dx, slope, out=dx)

    return forward, backward


def mish(x: np.ndarray, training: bool = True):
    """f(x) = x tanh(log(1 + exp(x))) (Misra 2019).

    With e = exp(x) and n = e (e + 2) one exponential is enough: f = x n / (n + 2) and
    f' = n / (n + 2) + 4 x e (e + 1) / (n + 2)².
    """
    e, n, slope = np.empty_like(x), np.empty_like(x), np.empty_like(x)

    def forward() -> None:
        np.minimum(x, 20, out=e)  # beyond 20, n / (n + 2) is 1 in either precision
        np.exp(e, out=e)
        np.add(e, 2, out=n)
        np.multiply(n, e, out=n)
        if training:
            np.add(e, 1, out=slope)
            np.multiply(slope, e, out=slope)
            np.multiply(slope, x, out=slope)
            np.multiply(slope, 4, out=slope)
            np.add(n, 2, out=e)
            np.divide(slope, e, out=slope)
            np.divide(slope, e, out=slope)
            np.divide(n, e, out=n)
            np.add(slope, n, out=slope)
        else:
            np.add(n, 2, out=e)
            np.divide(n, e, out=n)
        np.multiply(x, n, out=x)

    def backward(dx: np.ndarray) -> None:
        np.multiply(dx, slope, out=dx)

    return forward, backward


def softplus(x: np.ndarray, training: bool = True):
    """f(x) = log(1 + exp(x));  f' = σ(x)."""
    slope = np.empty_like(x)

    def forward() -> None:
        if training:
            expit(x, out=slope)
        np.logaddexp(x, 0, out=x)

    def backward(dx: np.ndarray) -> None:
        np.multiply(dx, slope, out=dx)

    return forward, backward


@dataclass(frozen=True)
class Pair:
    """An activation of the user's: two elementwise functions of the pre-activation, f(x) and f'(x)."""

    function: Callable[[np.ndarray], np.ndarray]
    derivative: Callable[[np.ndarray], np.ndarray]

    def __call__(self, x: np.ndarray, training: bool = True):
        """Bind to a buffer, as every activation does."""
        slope = np.empty_like(x)

        def compute(f: Callable[[np.ndarray], np.ndarray], out: np.ndarray) -> None:
            value = f(x.copy())
            if np.shape(value) != x.shape:
                raise ValueError(
                    "An activation's function and derivative must each return an array of the shape they are given. "
                    f"{f!r} got shape {x.shape} and returned {type(value).__name__} of shape {np.shape(value)}."
                )
            np.copyto(out, value, casting="same_kind")

        def forward() -> None:
            if training:
                compute(self.derivative, slope)
            compute(self.function, x)

        def backward(dx: np.ndarray) -> None:
            np.multiply(dx, slope, out=dx)

        return forward, backward


ACTIVATIONS: dict[str, Activation] = {
    f.__name__: f for f in (identity, logistic, tanh, relu, leaky_relu, elu, selu, gelu, silu, mish, softplus)
}
