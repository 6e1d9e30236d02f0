"""Optimizers: in place on one flat array of parameters and one of gradients.

Each keeps its state in arrays of the same layout; `state` lists them, so that a checkpoint is a copy.
"""

import numpy as np

__all__ = ["SGD", "Adam"]


class _Optimizer:
    """What both share: scratch space and constants that a pickle leaves out."""

    count = 0  # steps done

    def _bind(self) -> None:
        """Make what `step` needs beside the state."""
        raise NotImplementedError

    def __getstate__(self) -> dict:
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        self._bind()


class SGD(_Optimizer):
    """Gradient descent with momentum, v ← μv - ηg, p ← p + v; Nesterov's form adds μv - ηg instead of v."""

    def __init__(self, parameters: np.ndarray, momentum: float = 0.9, nesterov: bool = True):
        self.momentum, self.nesterov = momentum, nesterov
        self.velocity = np.zeros_like(parameters)
        self._bind()

    def _bind(self) -> None:
        self._step = np.empty_like(self.velocity)

    @property
    def state(self) -> list[np.ndarray]:
        """The arrays that a continued training needs, beside `count`."""
        return [self.velocity]

    def step(self, p: np.ndarray, g: np.ndarray, rate: float, rates: np.ndarray | None = None) -> None:
        """Move `p` against `g` by `rate`, times the per-value factors `rates`."""
        v, step = self.velocity, self._step
        self.count += 1
        np.multiply(g, -rate, out=step)
        if rates is not None:
            np.multiply(step, rates, out=step, casting="same_kind")
        np.multiply(v, self.momentum, out=v)
        np.add(v, step, out=v)
        if self.nesterov:
            np.add(p, step, out=p)
            np.multiply(v, self.momentum, out=step)
            np.add(p, step, out=p)
        else:
            np.add(p, v, out=p)


class Adam(_Optimizer):
    """Adam (Kingma & Ba 2015, the efficient form at the end of section 2).

    The moments are kept as m / (1 - β₁) and v / (1 - β₂), which saves two passes over the arrays a step;
    both bias corrections and the constants are folded into the two scalars `step` and `epsilon`.
    """

    def __init__(self, parameters: np.ndarray, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8):
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.m, self.v = np.zeros_like(parameters), np.zeros_like(parameters)
        self._bind()

    def _bind(self) -> None:
        # scalars as arrays: NumPy converts a Python number anew at each call
        def constant(value: float) -> np.ndarray:
            return np.array(value, dtype=self.m.dtype)

        self._root = (1 - self.beta_2) ** 0.5
        self._constants = constant(self.beta_1), constant(self.beta_2), constant(self.epsilon / self._root)
        self._step, self._scratch = constant(0.0), np.empty_like(self.m)

    @property
    def state(self) -> list[np.ndarray]:
        """The arrays that a continued training needs, beside `count`."""
        return [self.m, self.v]

    def step(self, p: np.ndarray, g: np.ndarray, rate: float, rates: np.ndarray | None = None) -> None:
        """Move `p` by one Adam step of the gradient `g`; `rates` are per-value factors on the rate."""
        m, v, step, scratch = self.m, self.v, self._step, self._scratch
        beta_1, beta_2, epsilon = self._constants
        self.count += 1
        correction = (1 - self.beta_2**self.count) ** 0.5 / (1 - self.beta_1**self.count)
        step[...] = rate * correction * (1 - self.beta_1) / self._root
        np.multiply(m, beta_1, out=m)
        np.add(m, g, out=m)
        np.multiply(v, beta_2, out=v)
        np.multiply(g, g, out=scratch)
        np.add(v, scratch, out=v)
        np.sqrt(v, out=scratch)
        np.add(scratch, epsilon, out=scratch)
        np.divide(m, scratch, out=scratch)
        np.multiply(scratch, step, out=scratch)
        if rates is not None:
            np.multiply(scratch, rates, out=scratch, casting="same_kind")
        np.subtract(p, scratch, out=p)
