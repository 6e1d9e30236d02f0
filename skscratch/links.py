"""Output activations ("links"): from raw scores z to predictions p, and back.

`bind` has the contract of an activation: in place on a buffer, backward multiplies by dp/dz.
`pool` gives the one raw score whose prediction is the mean of the members' predictions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import log_expit, log_softmax, logsumexp

from . import activations

__all__ = ["LINKS", "Link", "ordered"]


@dataclass(frozen=True)
class Link:
    """An output activation: its function, inverse and range."""

    name: str
    bind: activations.Activation
    inverse: Callable[[np.ndarray], np.ndarray]
    low: float = -np.inf
    high: float = np.inf

    def apply(self, z: np.ndarray) -> np.ndarray:
        """Predictions p, in a new array of the shape of `z`."""
        p = np.array(z)
        self.bind(p, False)[0]()
        return p

    def pool(self, z: np.ndarray) -> np.ndarray:
        """(K, n, out) → (n, out): raw scores whose predictions are the members' mean prediction."""
        if len(z) == 1:
            return z[0]
        if self.name == "logistic":  # log p and log (1 - p) separately: finite however sure the members are
            return logsumexp(log_expit(z), axis=0) - logsumexp(log_expit(-z), axis=0)
        if self.name == "softmax":
            return logsumexp(log_softmax(z, axis=-1), axis=0) - np.log(len(z)).astype(z.dtype)
        return self.inverse(self.apply(z).mean(axis=0))

    def mean(self, z: np.ndarray) -> np.ndarray:
        """(K, n, out) → (n, out): the members' mean prediction."""
        return self.apply(z).mean(axis=0) if len(z) > 1 else self.apply(z[0])


def _exp(x: np.ndarray, training: bool = True):
    """p = exp(z);  dp/dz = p."""

    def forward() -> None:
        np.exp(x, out=x)

    def backward(dx: np.ndarray) -> None:
        np.multiply(dx, x, out=dx)

    return forward, backward


def _softmax(x: np.ndarray, training: bool = True):
    """p = exp(z) / Σ exp(z) over the last axis;  dz = p (dp - Σ p dp)."""
    top, scratch = np.empty_like(x[..., :1]), np.empty_like(x)

    def forward() -> None:
        np.maximum.reduce(x, axis=-1, keepdims=True, out=top)
        np.subtract(x, top, out=x)
        np.exp(x, out=x)
        np.add.reduce(x, axis=-1, keepdims=True, out=top)
        np.divide(x, top, out=x)

    def backward(dx: np.ndarray) -> None:
        np.multiply(dx, x, out=scratch)
        np.add.reduce(scratch, axis=-1, keepdims=True, out=top)
        np.subtract(dx, top, out=dx)
        np.multiply(dx, x, out=dx)

    return forward, backward


def _ordered(x: np.ndarray, training: bool = True):
    """p_0 = z_0, p_j = p_{j-1} + softplus(z_j) over the last axis: outputs that never cross."""
    steps = x[..., 1:]
    widen, narrow = activations.softplus(steps, training)

    def forward() -> None:
        widen()
        np.cumsum(x, axis=-1, out=x)

    def backward(dx: np.ndarray) -> None:
        dx[...] = np.flip(np.cumsum(np.flip(dx, -1), axis=-1), -1)
        narrow(dx[..., 1:])

    return forward, backward


def _unordered(p: np.ndarray) -> np.ndarray:
    steps = np.maximum(np.diff(p, axis=-1), 1e-6)
    return np.concatenate([p[..., :1], steps + np.log(-np.expm1(-steps))], axis=-1)


def _identity_inverse(p: np.ndarray) -> np.ndarray:
    return p


def _tanh_inverse(p: np.ndarray) -> np.ndarray:
    edge = 1 - np.finfo(p.dtype).eps
    return np.arctanh(np.clip(p, -edge, edge))


def _logistic_inverse(p: np.ndarray) -> np.ndarray:
    return np.log(p) - np.log1p(-p)


def _softplus_inverse(p: np.ndarray) -> np.ndarray:
    p = np.maximum(p, np.finfo(p.dtype).tiny)
    return p + np.log(-np.expm1(-p))  # log(exp(p) - 1), which overflows


LINKS: dict[str, Link] = {
    link.name: link
    for link in (
        Link("identity", activations.identity, _identity_inverse),
        Link("logistic", activations.logistic, _logistic_inverse, 0, 1),
        Link("tanh", activations.tanh, _tanh_inverse, -1, 1),
        Link("softplus", activations.softplus, _softplus_inverse, 0),
        Link("exp", _exp, np.log, 0),
        Link("softmax", _softmax, np.log, 0, 1),
    )
}
ordered = Link("ordered", _ordered, _unordered)
