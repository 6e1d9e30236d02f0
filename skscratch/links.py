"""Output activations ("links"): from raw scores z to predictions p, and back.

`bind` has the contract of an activation: calls that work in place on a buffer, and calls that multiply by dp/dz.
`pool` gives the one raw score whose prediction is the mean of the members' predictions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import log_expit, log_softmax, logsumexp

from . import activations
from .calls import Calls, call, run

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
        run(self.bind(p)[0])
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


def _exp(x: np.ndarray, dx: np.ndarray | None = None) -> tuple[Calls, Calls]:
    """p = exp(z);  dp/dz = p."""
    return [call(np.exp, x, x)], [] if dx is None else [call(np.multiply, dx, x, dx)]


def _softmax(x: np.ndarray, dx: np.ndarray | None = None) -> tuple[Calls, Calls]:
    """p = exp(z) / Σ exp(z) over the last axis;  dz = p (dp - Σ p dp)."""
    top = np.empty_like(x[..., :1])
    forward: Calls = [
        call(np.maximum.reduce, x, -1, None, top, True),
        call(np.subtract, x, top, x),
        call(np.exp, x, x),
        call(np.add.reduce, x, -1, None, top, True),
        call(np.divide, x, top, x),
    ]
    if dx is None:
        return forward, []
    scratch = np.empty_like(x)
    return forward, [
        call(np.multiply, dx, x, scratch),
        call(np.add.reduce, scratch, -1, None, top, True),
        call(np.subtract, dx, top, dx),
        call(np.multiply, dx, x, dx),
    ]


def _ordered(x: np.ndarray, dx: np.ndarray | None = None) -> tuple[Calls, Calls]:
    """p_0 = z_0, p_j = p_{j-1} + softplus(z_j) over the last axis: outputs that never cross."""
    widen, narrow = activations.softplus(x[..., 1:], None if dx is None else dx[..., 1:])
    forward: Calls = [*widen, call(np.cumsum, x, -1, None, x)]
    if dx is None:
        return forward, []
    backwards = dx[..., ::-1]
    return forward, [call(np.cumsum, backwards, -1, None, backwards), *narrow]


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
