"""Links, the output activations: from raw scores z to predictions p.

A link's `bind` has the contract of an activation function: forward replaces z by p in place, and backward replaces
dL/dp by dL/dz.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from . import activations
from .activations import Passes
from .tape import Array, Tape

__all__ = ["LINKS", "Link", "ordered"]


@dataclass(frozen=True)
class Link:
    """An output activation.

    Attributes
    ----------
    name : str
    bind : callable
        Maps the buffers (z, dz) to the tapes (forward, backward).
    low, high : float
        Bounds of the predictions.
    target_scaling : {"affine", "unit", "none"}
        What the network may learn in place of y, so that it predicts numbers of order one: (y - centre) / spread,
        y / unit (a deviance depends on y / p alone), or y itself, where the link has a range of its own.
    """

    name: str
    bind: Callable[..., Passes]
    low: float = -np.inf
    high: float = np.inf
    target_scaling: Literal["affine", "unit", "none"] = "none"

    def apply(self, z: Array) -> Array:
        """Predictions p, a new array of the shape of `z`."""
        p = np.array(z)
        forward, _ = self.bind(p)
        forward.run()
        return p


def _exp(x: Array, dx: Array | None = None) -> Passes:
    """p = exp(z),  dp/dz = p."""
    forward, backward = Tape(), Tape()
    forward.exp(x, out=x)  # p = exp(z)
    if dx is not None:
        backward.multiply(dx, x, out=dx)  # dz = dp p
    return forward, backward


def _softmax(x: Array, dx: Array | None = None) -> Passes:
    """p_j = exp(z_j) / Σ exp(z_i) over the last axis,  dz_j = p_j (dp_j - Σ p_i dp_i)."""
    forward, backward = Tape(), Tape()
    total = np.empty_like(x[..., :1])
    forward.max(x, axis=-1, out=total)
    forward.subtract(x, total, out=x)  # z - max(z): exp never overflows
    forward.exp(x, out=x)
    forward.sum(x, axis=-1, out=total)
    forward.divide(x, total, out=x)  # p
    if dx is not None:
        scratch = np.empty_like(x)
        backward.multiply(dx, x, out=scratch)
        backward.sum(scratch, axis=-1, out=total)  # Σ p dp
        backward.subtract(dx, total, out=dx)
        backward.multiply(dx, x, out=dx)  # dz = p (dp - Σ p dp)
    return forward, backward


def _ordered(x: Array, dx: Array | None = None) -> Passes:
    """p_0 = z_0,  p_j = p_{j-1} + softplus(z_j) over the last axis: the outputs never cross."""
    steps_forward, steps_backward = activations.softplus(x[..., 1:], None if dx is None else dx[..., 1:])
    forward, backward = Tape(), Tape()
    forward += steps_forward  # softplus(z_j) for j > 0
    forward.cumsum(x, axis=-1, out=x)  # p
    if dx is not None:
        last_to_first = dx[..., ::-1]
        backward.cumsum(last_to_first, axis=-1, out=last_to_first)  # each z_j moves all p_i with i ≥ j
        backward += steps_backward
    return forward, backward


LINKS: dict[str, Link] = {
    link.name: link
    for link in (
        Link("identity", activations.identity, target_scaling="affine"),
        Link("logistic", activations.logistic, 0, 1),
        Link("tanh", activations.tanh, -1, 1),
        Link("softplus", activations.softplus, 0),
        Link("exp", _exp, 0, target_scaling="unit"),
        Link("softmax", _softmax, 0, 1),
    )
}
ordered = Link("ordered", _ordered, target_scaling="affine")  # for several quantiles of one target
