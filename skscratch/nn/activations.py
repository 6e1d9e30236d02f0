"""Activation functions, each with its derivative, computed in place.

An activation is a function of a buffer ``x`` (any shape) and, in training, of the buffer ``dx`` of the loss's
gradient.  Called once per buffer, it returns two lists of calls: ``forward`` replaces x by f(x); ``backward``
multiplies dx by f'(x), and is empty without dx.  Where f' follows from the output (ReLU, tanh, ...) nothing is kept;
otherwise forward leaves f' in a scratch array, and only in training.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import erf, expit

from .tape import Calls, call, scalar

__all__ = ["ACTIVATIONS", "Activation", "Pair"]

Activation = Callable[..., tuple[Calls, Calls]]
Bound = tuple[Calls, Calls]

SELU_SCALE = 1.0507009873554805  # Klambauer et al. 2017, "Self-Normalizing Neural Networks", eq. 14
SELU_ALPHA = 1.6732632423543772
LEAK = 0.01


def identity(x: np.ndarray, dx: np.ndarray | None = None) -> Bound:
    """f(x) = x."""
    return [], []


def relu(x: np.ndarray, dx: np.ndarray | None = None) -> Bound:
    """f(x) = max(x, 0);  f' = 1 where the output is positive."""
    if dx is None:
        zeros = np.zeros(x.shape, x.dtype)  # NumPy's loop is five times as fast with two arrays as with a number
        return [call(np.maximum, x, zeros, out=x)], []
    # In training by a mask of all bits or none: the sign of 0 - x, spread over the whole word, is set where x > 0. It
    # serves both ways, in two thirds of the time of a mask of bools, which NumPy converts to floats at each use.
    integer = np.dtype(f"i{x.itemsize}")
    mask, y, dy = np.empty_like(x), x.view(integer), dx.view(integer)
    bits = mask.view(integer)
    forward: Calls = [
        call(np.subtract, scalar(0, x), x, mask),
        call(np.right_shift, bits, np.array(8 * x.itemsize - 1, integer), bits),
        call(np.bitwise_and, y, bits, y),
    ]
    return forward, [call(np.bitwise_and, dy, bits, dy)]


def logistic(x: np.ndarray, dx: np.ndarray | None = None) -> Bound:
    """f(x) = 1 / (1 + exp(-x));  f' = f (1 - f)."""
    forward: Calls = [call(expit, x, x)]
    if dx is None:
        return forward, []
    slope = np.empty_like(x)
    return forward, [
        call(np.multiply, dx, x, dx),
        call(np.subtract, scalar(1, x), x, slope),
        call(np.multiply, dx, slope, dx),
    ]


def tanh(x: np.ndarray, dx: np.ndarray | None = None) -> Bound:
    """f(x) = tanh(x);  f' = 1 - f²."""
    forward: Calls = [call(np.tanh, x, x)]
    if dx is None:
        return forward, []
    slope = np.empty_like(x)
    return forward, [
        call(np.multiply, x, x, slope),
        call(np.subtract, scalar(1, x), slope, slope),
        call(np.multiply, dx, slope, dx),
    ]


def leaky_relu(x: np.ndarray, dx: np.ndarray | None = None) -> Bound:
    """f(x) = x where positive, else x / 100."""
    slope, leak = np.empty_like(x), scalar(LEAK, x)
    forward: Calls = [call(np.multiply, x, leak, slope), call(np.maximum, x, slope, out=x)]
    if dx is None:
        return forward, []
    return forward, [
        call(np.greater, x, scalar(0, x), slope),
        call(np.maximum, slope, leak, out=slope),
        call(np.multiply, dx, slope, dx),
    ]


def elu(x: np.ndarray, dx: np.ndarray | None = None) -> Bound:
    """f(x) = x where positive, else exp(x) - 1;  f' = 1 + min(f, 0)."""
    slope, zero = np.empty_like(x), scalar(0, x)
    forward: Calls = [
        call(np.minimum, x, zero, out=slope),
        call(np.expm1, slope, slope),
        call(np.maximum, x, zero, out=x),
        call(np.add, x, slope, x),
    ]
    if dx is None:
        return forward, []
    return forward, [
        call(np.minimum, x, zero, out=slope),
        call(np.add, slope, scalar(1, x), slope),
        call(np.multiply, dx, slope, dx),
    ]


def selu(x: np.ndarray, dx: np.ndarray | None = None) -> Bound:
    """f(x) = scale · (x where positive, else alpha (exp(x) - 1)) (Klambauer et al. 2017, eq. 2)."""
    slope, zero, scale, depth = (
        np.empty_like(x),
        scalar(0, x),
        scalar(SELU_SCALE, x),
        scalar(SELU_SCALE * SELU_ALPHA, x),
    )
    forward: Calls = [
        call(np.minimum, x, zero, out=slope),
        call(np.expm1, slope, slope),
        call(np.multiply, slope, depth, slope),
        call(np.maximum, x, zero, out=x),
        call(np.multiply, x, scale, x),
        call(np.add, x, slope, x),
    ]
    if dx is None:
        return forward, []
    positive = np.empty(x.shape, dtype=bool)
    return forward, [
        call(np.greater, x, zero, positive),
        call(np.add, x, depth, slope),  # where the output f is negative, f' = f + scale alpha
        call(np.copyto, slope, scale, where=positive),
        call(np.multiply, dx, slope, dx),
    ]


def gelu(x: np.ndarray, dx: np.ndarray | None = None) -> Bound:
    """f(x) = x Φ(x), Φ the normal distribution function;  f' = Φ(x) + x φ(x) (Hendrycks & Gimpel 2016)."""
    cdf, half = np.empty_like(x), scalar(0.5, x)
    forward: Calls = [
        call(np.multiply, x, scalar(0.5**0.5, x), cdf),
        call(erf, cdf, cdf),
        call(np.add, cdf, scalar(1, x), cdf),
        call(np.multiply, cdf, half, cdf),
    ]
    times_cdf = call(np.multiply, x, cdf, x)
    if dx is None:
        return [*forward, times_cdf], []
    slope = np.empty_like(x)
    forward += [
        call(np.multiply, x, x, slope),
        call(np.multiply, slope, scalar(-0.5, x), slope),
        call(np.exp, slope, slope),
        call(np.multiply, slope, scalar((2 * np.pi) ** -0.5, x), slope),
        call(np.multiply, slope, x, slope),
        call(np.add, slope, cdf, slope),
        times_cdf,
    ]
    return forward, [call(np.multiply, dx, slope, dx)]


def silu(x: np.ndarray, dx: np.ndarray | None = None) -> Bound:
    """f(x) = x σ(x), σ the logistic function;  f' = σ + f (1 - σ).

    σ(x) = ½ + ½ tanh(x / 2), for NumPy's tanh takes a tenth of the time of SciPy's logistic function.
    """
    sigma, half = np.empty_like(x), scalar(0.5, x)
    forward: Calls = [
        call(np.multiply, x, half, sigma),
        call(np.tanh, sigma, sigma),
        call(np.multiply, sigma, half, sigma),
        call(np.add, sigma, half, sigma),
        call(np.multiply, x, sigma, x),
    ]
    if dx is None:
        return forward, []
    slope = np.empty_like(x)
    return forward, [
        call(np.multiply, x, sigma, slope),
        call(np.subtract, x, slope, slope),
        call(np.add, slope, sigma, slope),
        call(np.multiply, dx, slope, dx),
    ]


def mish(x: np.ndarray, dx: np.ndarray | None = None) -> Bound:
    """f(x) = x tanh(log(1 + exp(x))) (Misra 2019).

    With e = exp(x) and n = e (e + 2) one exponential is enough: f = x n / (n + 2) and
    f' = n / (n + 2) + 4 x e (e + 1) / (n + 2)².
    """
    e, n, two = np.empty_like(x), np.empty_like(x), scalar(2, x)
    forward: Calls = [
        call(np.minimum, x, scalar(20, x), out=e),  # beyond 20, n / (n + 2) is 1 in either precision
        call(np.exp, e, e),
        call(np.add, e, two, n),
        call(np.multiply, n, e, n),
    ]
    if dx is None:
        return [*forward, call(np.add, n, two, e), call(np.divide, n, e, n), call(np.multiply, x, n, x)], []
    slope = np.empty_like(x)
    forward += [
        call(np.add, e, scalar(1, x), slope),
        call(np.multiply, slope, e, slope),
        call(np.multiply, slope, x, slope),
        call(np.multiply, slope, scalar(4, x), slope),
        call(np.add, n, two, e),
        call(np.divide, slope, e, slope),
        call(np.divide, slope, e, slope),
        call(np.divide, n, e, n),
        call(np.add, slope, n, slope),
        call(np.multiply, x, n, x),
    ]
    return forward, [call(np.multiply, dx, slope, dx)]


def softplus(x: np.ndarray, dx: np.ndarray | None = None) -> Bound:
    """f(x) = log(1 + exp(x));  f' = σ(x)."""
    forward: Calls = [call(np.logaddexp, x, scalar(0, x), x)]
    if dx is None:
        return forward, []
    slope = np.empty_like(x)
    return [call(expit, x, slope), *forward], [call(np.multiply, dx, slope, dx)]


@dataclass(frozen=True)
class Pair:
    """An activation of the user's: two elementwise functions of the pre-activation, f(x) and f'(x)."""

    function: Callable[[np.ndarray], np.ndarray]
    derivative: Callable[[np.ndarray], np.ndarray]

    def __call__(self, x: np.ndarray, dx: np.ndarray | None = None) -> Bound:
        """Bind to a buffer, as every activation does."""

        def compute(f: Callable[[np.ndarray], np.ndarray], out: np.ndarray) -> None:
            value = f(x.copy())
            if np.shape(value) != x.shape:
                raise ValueError(
                    "An activation's function and derivative must each return an array of the shape they are given. "
                    f"{f!r} got shape {x.shape} and returned {type(value).__name__} of shape {np.shape(value)}."
                )
            np.copyto(out, value, casting="same_kind")

        forward: Calls = [call(compute, self.function, x)]
        if dx is None:
            return forward, []
        slope = np.empty_like(x)
        return [call(compute, self.derivative, slope), *forward], [call(np.multiply, dx, slope, dx)]


ACTIVATIONS: dict[str, Activation] = {
    f.__name__: f for f in (identity, logistic, tanh, relu, leaky_relu, elu, selu, gelu, silu, mish, softplus)
}
