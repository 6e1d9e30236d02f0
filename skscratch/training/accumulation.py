"""A step on a batch of any number of rows, run in chunks of few shapes and added up."""

from collections.abc import Callable

import numpy as np

from ..nn.losses import Loss
from ..nn.network import Network
from .loop import Data, Step

__all__ = ["ChunkedStep"]

CHUNK = 512  # rows at a time, so that the hidden layers stay in the cache
GRAIN = 32  # a chunk is filled up to a multiple of this with rows of weight 0, so that there are few shapes


class ChunkedStep:
    """A batch of any number of rows with the interface of `training.Step`, run in chunks of few shapes."""

    def __init__(
        self,
        network: Network,
        loss: Loss,
        parameters: np.ndarray,
        gradient: np.ndarray,
        data: Data,
        rng: np.random.Generator | None = None,
        total: np.ndarray | None = None,
    ):
        self._bound = (network, loss, parameters, np.empty_like(gradient), data)
        self._gradient, self._rng, self._total = gradient, rng, total
        self._steps: dict[int, Step] = {}  # by number of rows
        self._rows = np.empty(0, dtype=int)
        self.loss = np.zeros(len(parameters))  # (K,)
        self._weight = np.zeros(1 if data.weight is None else len(data.weight))  # (1 or K,)

    def load(self, rows: np.ndarray) -> None:
        """Take the rows numbered `rows` for the batch."""
        self._rows = rows

    def total(self) -> np.ndarray:
        """Sum of the batch's weights, (1 or K,), once it has run."""
        return self._weight

    def forward(self) -> np.ndarray:
        """The weighted sum of losses (K,)."""
        return self._over_chunks(Step.forward)

    def run(self) -> np.ndarray:
        """The weighted sum of losses (K,); gradients of that sum, divided by the total of the weights."""
        self._gradient[...] = 0
        self._over_chunks(Step.run, self._gradient)
        whole = self._weight if self._total is None else self._total
        np.divide(self._gradient, np.maximum(whole, 1e-30)[:, None], self._gradient, casting="same_kind")
        return self.loss

    def _over_chunks(self, act: Callable[[Step], np.ndarray], sums: np.ndarray | None = None) -> np.ndarray:
        self.loss[...], self._weight[...] = 0, 0
        for start in range(0, len(self._rows), CHUNK):
            rows = self._rows[start : start + CHUNK]
            n = len(rows)
            step = self._step(-(-n // GRAIN) * GRAIN)
            step.load(np.append(rows, np.repeat(rows[:1], len(step.targets) - n)))
            step.weight[:, n:] = 0
            self.loss += act(step)
            self._weight += step.total()
            if sums is not None:
                sums += self._bound[3]
        return self.loss

    def _step(self, n_rows: int) -> Step:
        if n_rows not in self._steps:
            network, loss, parameters, gradient, data = self._bound
            undivided = np.ones(1)
            self._steps[n_rows] = Step(network, loss, parameters, gradient, data, n_rows, self._rng, undivided)
        return self._steps[n_rows]
