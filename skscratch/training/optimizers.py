"""Optimizers: updates in place of all parameters (K, P), in one array, by their gradient.

An optimizer keeps its moments in arrays of the same shape; `state` lists them, so that a checkpoint is a copy.
``bind(p, g)`` records the update as a tape and returns ``step(learning_rate, count)``, which runs it.  No operation
mixes members, so that some members can be bound alone, as p = parameters[members].
"""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np

from ..nn.tape import Array, Tape

__all__ = ["SGD", "Adam", "Optimizer"]

Step = Callable[[float, int], None]
ALL = slice(None)
BLOCK = 2**17  # parameters: with those of one block in the cache, the update of 2.5 million takes 0.65 of the time


class Optimizer:
    """What both optimizers share.

    Attributes
    ----------
    name : str
        The hyper-parameter `solver` that selects it.
    count : int
        Number of steps taken; incremented by the caller.
    """

    name: ClassVar[str]
    count: int

    @property
    def state(self) -> list[Array]:
        """The arrays (K, P) that a continued training needs, beside `count`."""
        raise NotImplementedError

    def bind(self, p: Array, g: Array, rates: Array | None = None, members: slice = ALL) -> Step:
        """Record the update of `p` (K, P) by its gradient `g`; `rates` (P,) are factors on the learning rate."""
        raise NotImplementedError

    def load(self, count: int, arrays: Iterable[Array]) -> None:
        """Copy the number of steps and the arrays of another optimizer of the same kind."""
        self.count = count
        for array, given in zip(self.state, arrays, strict=True):
            np.copyto(array, given)


class SGD(Optimizer):
    """Gradient descent with momentum (Sutskever et al. 2013, eq. 1 and 2, and the Nesterov form of eq. 3 and 4).

    v ← μ v - η g,  p ← p + v.  Nesterov's form evaluates the gradient at p + μ v; with that point as the parameters,
    p ← p + μ v - η g.
    """

    name = "sgd"

    def __init__(self, parameters: Array, momentum: float = 0.9, nesterov: bool = True):
        self.momentum, self.nesterov = momentum, nesterov
        self.velocity = np.zeros_like(parameters)
        self.count = 0  # number of steps taken; incremented by the caller

    @property
    def state(self) -> list[Array]:
        """The arrays that a continued training needs, beside `count`."""
        return [self.velocity]

    def bind(self, p: Array, g: Array, rates: Array | None = None, members: slice = ALL) -> Step:
        """Record the update of `p` (K, P) by its gradient `g`; `rates` (P,) are factors on the learning rate."""
        tape, (blocks, buffer) = Tape(), _blocks(p)
        minus_rate = np.array(0, p.dtype)  # -η, set at each step

        def record(p: Array, g: Array, v: Array, factor: Array | None) -> None:
            move = buffer[:, : p.shape[1]]
            tape.multiply(g, minus_rate, out=move)  # -η g
            if factor is not None:
                tape.multiply(move, factor, out=move)
            tape.multiply(v, self.momentum, out=v)
            tape.add(v, move, out=v)  # v ← μ v - η g
            if self.nesterov:
                tape.add(p, move, out=p)
                tape.multiply(v, self.momentum, out=move)
                tape.add(p, move, out=p)  # p ← p - η g + μ v
            else:
                tape.add(p, v, out=p)  # p ← p + v

        for block in blocks:
            record(p[:, block], g[:, block], self.velocity[members, block], _part(rates, block, p.dtype))

        def step(learning_rate: float, count: int) -> None:
            minus_rate[()] = -learning_rate
            tape.run()

        return step


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1, in the efficient form at the end of section 2).

    m ← β₁ m + (1 - β₁) g,  v ← β₂ v + (1 - β₂) g²,  p ← p - η √(1 - β₂ᵗ) / (1 - β₁ᵗ) · m / (√v + ε)  at step t.

    The arrays hold m / (1 - β₁) and v / (1 - β₂) instead, which saves two passes over them; the factors, and the bias
    correction of both, go into the two numbers `size` and ε.
    """

    name = "adam"

    def __init__(self, parameters: Array, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8):
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.m, self.v = np.zeros_like(parameters), np.zeros_like(parameters)
        self.count = 0  # number of steps taken; incremented by the caller

    @property
    def state(self) -> list[Array]:
        """The arrays that a continued training needs, beside `count`."""
        return [self.m, self.v]

    @property
    def small(self) -> float:
        """ε / √(1 - β₂), which is added to the root of the array `v`."""
        return float(self.epsilon / (1 - self.beta_2) ** 0.5)

    def size(self, learning_rate: float, count: int) -> float:
        """Return the factor of m / (√v + `small`) at step t: η √(1 - β₂ᵗ) / (1 - β₁ᵗ) · (1 - β₁) / √(1 - β₂)."""
        correction = (1 - self.beta_2**count) ** 0.5 / (1 - self.beta_1**count)
        return float(learning_rate * correction * (1 - self.beta_1) / (1 - self.beta_2) ** 0.5)

    def bind(self, p: Array, g: Array, rates: Array | None = None, members: slice = ALL) -> Step:
        """Record the update of `p` (K, P) by its gradient `g`; `rates` (P,) are factors on the learning rate."""
        tape, (blocks, buffer) = Tape(), _blocks(p)
        size = np.array(0, p.dtype)  # set at each step

        def record(p: Array, g: Array, m: Array, v: Array, factor: Array | None) -> None:
            move = buffer[:, : p.shape[1]]
            tape.multiply(m, self.beta_1, out=m)
            tape.add(m, g, out=m)  # m ← β₁ m + g
            tape.multiply(v, self.beta_2, out=v)
            tape.multiply(g, g, out=move)
            tape.add(v, move, out=v)  # v ← β₂ v + g²
            tape.sqrt(v, out=move)
            tape.add(move, self.small, out=move)  # √v + ε / √(1 - β₂)
            tape.divide(m, move, out=move)
            tape.multiply(move, size, out=move)
            if factor is not None:
                tape.multiply(move, factor, out=move)
            tape.subtract(p, move, out=p)  # p ← p - size · m / (√v + ε / √(1 - β₂))

        for block in blocks:
            moments = self.m[members, block], self.v[members, block]
            record(p[:, block], g[:, block], *moments, _part(rates, block, p.dtype))

        def step(learning_rate: float, count: int) -> None:
            size[()] = self.size(learning_rate, count)
            tape.run()

        return step


def _blocks(p: Array) -> tuple[list[slice], Array]:
    """Divide the parameters of all members into blocks of at most `BLOCK`; return them and a buffer for one block."""
    n_members, n_parameters = p.shape
    width = max(min(BLOCK // n_members, n_parameters), 1)
    return [slice(start, start + width) for start in range(0, n_parameters, width)], np.empty_like(p[:, :width])


def _part(rates: Array | None, block: slice, dtype: np.dtype[Any]) -> Array | None:
    """Return the factors of a block."""
    return None if rates is None else rates[block].astype(dtype)
