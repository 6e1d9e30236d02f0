"""Optimizers: in place on one flat array of parameters and one of gradients.

Each keeps its state in arrays of the same layout; `state` lists them, so that a checkpoint is a copy.  ``bind(p, g)``
prepares a step and returns a function of the learning rate, and of which step it is, that does it.  Members do not
meet in an optimizer: some of them can be bound alone, as p = parameters[members].
"""

from collections.abc import Callable

import numpy as np

from ..nn.tape import Calls, call, run, scalar

__all__ = ["SGD", "Adam"]

Step = Callable[[float, int], None]
ALL = slice(None)


class SGD:
    """Gradient descent with momentum, v ← μv - ηg, p ← p + v; Nesterov's form adds μv - ηg instead of v."""

    def __init__(self, parameters: np.ndarray, momentum: float = 0.9, nesterov: bool = True):
        self.momentum, self.nesterov = momentum, nesterov
        self.velocity = np.zeros_like(parameters)
        self.count = 0  # steps done: its user's to keep

    @property
    def state(self) -> list[np.ndarray]:
        """The arrays that a continued training needs, beside `count`."""
        return [self.velocity]

    def bind(self, p: np.ndarray, g: np.ndarray, rates: np.ndarray | None = None, members: slice = ALL) -> Step:
        """Prepare to move `p` against `g`; `rates` are per-value factors on the rate."""
        v, move, momentum, size = self.velocity[members], np.empty_like(p), scalar(self.momentum, p), scalar(0, p)
        calls: Calls = [call(np.multiply, g, size, move)]
        if rates is not None:
            calls.append(call(np.multiply, move, rates.astype(p.dtype), move))
        calls += [call(np.multiply, v, momentum, v), call(np.add, v, move, v)]
        if self.nesterov:
            calls += [call(np.add, p, move, p), call(np.multiply, v, momentum, move), call(np.add, p, move, p)]
        else:
            calls.append(call(np.add, p, v, p))

        def step(rate: float, count: int) -> None:
            size[()] = -rate
            run(calls)

        return step


class Adam:
    """Adam (Kingma & Ba 2015, the efficient form at the end of section 2).

    The moments are kept as m / (1 - β₁) and v / (1 - β₂), which saves two passes over the arrays a step;
    both bias corrections and the constants are folded into the two scalars `size` and `epsilon`.
    """

    def __init__(self, parameters: np.ndarray, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8):
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.m, self.v = np.zeros_like(parameters), np.zeros_like(parameters)
        self.count = 0  # steps done: its user's to keep

    @property
    def state(self) -> list[np.ndarray]:
        """The arrays that a continued training needs, beside `count`."""
        return [self.m, self.v]

    def bind(self, p: np.ndarray, g: np.ndarray, rates: np.ndarray | None = None, members: slice = ALL) -> Step:
        """Prepare to move `p` by Adam's step of `g`; `rates` are per-value factors on the rate."""
        m, v, move, size = self.m[members], self.v[members], np.empty_like(p), scalar(0, p)
        root = (1 - self.beta_2) ** 0.5
        calls: Calls = [
            call(np.multiply, m, scalar(self.beta_1, p), m),
            call(np.add, m, g, m),
            call(np.multiply, v, scalar(self.beta_2, p), v),
            call(np.multiply, g, g, move),
            call(np.add, v, move, v),
            call(np.sqrt, v, move),
            call(np.add, move, scalar(self.epsilon / root, p), move),
            call(np.divide, m, move, move),
            call(np.multiply, move, size, move),
        ]
        if rates is not None:
            calls.append(call(np.multiply, move, rates.astype(p.dtype), move))
        calls.append(call(np.subtract, p, move, p))

        def step(rate: float, count: int) -> None:
            correction = (1 - self.beta_2**count) ** 0.5 / (1 - self.beta_1**count)
            size[()] = rate * correction * (1 - self.beta_1) / root
            run(calls)

        return step
