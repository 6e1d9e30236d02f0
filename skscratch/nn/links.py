"""Output activations ("links"): from raw scores z to predictions p.

`bind` has the contract of an activation: calls that work in place on a buffer, and calls that multiply by dp/dz.
"""

from dataclasses import dataclass

import numpy as np

from . import activations
from .tape import Calls, call, run

__all__ = ["LINKS", "Link", "ordered"]


@dataclass(frozen=True)
class Link:
    """An output activation: its function and range."""

    name: str
    bind: activations.Activation
    low: float = -np.inf
    high: float = np.inf

    def apply(self, z: np.ndarray) -> np.ndarray:
        """Predictions p, in a new array of the shape of `z`."""
        p = np.array(z)
        run(self.bind(p)[0])
        return p


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


LINKS: dict[str, Link] = {
    link.name: link
    for link in (
        Link("identity", activations.identity),
        Link("logistic", activations.logistic, 0, 1),
        Link("tanh", activations.tanh, -1, 1),
        Link("softplus", activations.softplus, 0),
        Link("exp", _exp, 0),
        Link("softmax", _softmax, 0, 1),
    )
}
ordered = Link("ordered", _ordered)
