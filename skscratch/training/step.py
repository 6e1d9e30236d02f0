"""Step: the sums over one mini-batch, of losses and of gradients; large batches are cut into micro-batches.

The sum of gradients is divided once, by the sum of the weights, so that mini-batches, sample weights, whole tables and
parts of a table on several machines are one addition.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import numpy as np

from ..nn.tape import Array, Tape
from .parallel import ONE_THREAD, pays_to_divide

__all__ = ["AccumulatedStep", "LocalStep", "Step", "divide_by_weight", "n_micro_batches"]

MICRO_BATCH = 256  # rows per micro-batch, so that the hidden layers stay in the cache
LARGE_BATCH = 512  # rows; batches of more are cut into micro-batches, which takes 0.65 of the time at 8,192 rows
SHAPE_STEP = 32  # micro-batches are padded to a multiple of this many rows, so that there are few shapes


class Step(Protocol):
    """Sums over one mini-batch of an objective."""

    @property
    def loss(self) -> Array:
        """The weighted sum of losses of each member in the last pass, (K,)."""

    def load(self, rows: Array) -> None:
        """Gather the rows with these indices (B,) into the buffers."""

    def loss_only(self) -> Array:
        """Forward pass: return the weighted sum of losses of each member, (K,)."""

    def loss_and_gradient(self) -> Array:
        """Forward and backward pass: return the losses (K,); write the gradient (K, P), divided by the total weight."""

    def total_weight(self) -> Array:
        """Return the sum of the weights of the batch, (1 or K,)."""


class LocalStep:
    """One mini-batch of `n_rows` rows: its buffers, and the network's and the loss's passes over them.

    `objective` is the Objective of these rows.  With `padded`, the caller sets the weight of some rows to 0 after each
    `load`.
    """

    def __init__(
        self,
        objective: Any,
        parameters: Array,
        gradient: Array,
        n_rows: int,
        rng: np.random.Generator | None = None,
        total: Array | None = None,
        padded: bool = False,
    ):
        weight, self._weighted = objective.weight, padded or objective.weight is not None
        self.objective, self._total, self._n_rows = objective, total, np.full(1, float(n_rows))
        self.batch = objective.table.buffer(n_rows)
        self.targets = objective.targets.buffer(n_rows)  # (B, out)
        self.weight = np.ones((1 if weight is None else len(weight), n_rows), parameters.dtype)  # (1 or K, B)
        bound = objective.network.bind(parameters, gradient, self.batch, rng)
        loss_of_rows, evaluate = objective.loss.bind(bound.z, self.targets[None], bound.dz)  # (K, B, 1)
        loss = np.empty((len(parameters), 1, 1), parameters.dtype)
        self.loss = loss[:, 0, 0]  # (K,)
        # share of each row in the mean: a single number where all weights are 1
        whole = n_rows if total is None else total[0]
        self._share = np.empty_like(self.weight[..., None]) if self._weighted else np.array(1 / whole, parameters.dtype)
        self.forward = Tape() + bound.forward + evaluate
        self.forward.matmul(self.weight[:, None, :], loss_of_rows, out=loss)  # Σ w l
        self.backward = Tape()
        self.backward.multiply(bound.dz, self._share, out=bound.dz)  # dz = w l'(z) / Σ w
        self.backward += bound.backward

    def load(self, rows: Array) -> None:
        """Gather the rows with these indices (B,) into the buffers."""
        self.objective.table.gather(rows, self.batch)
        self.objective.targets.gather(rows, self.targets)
        if self.objective.weight is not None:
            self.objective.weight.take(rows, 1, self.weight, "clip")
        elif self._weighted:
            self.weight[...] = 1

    def total_weight(self) -> Array:
        """Return the sum of the weights of the batch, (1 or K,)."""
        return self.weight.sum(axis=1, dtype=np.float64) if self._weighted else self._n_rows

    def loss_only(self) -> Array:
        """Forward pass: return the weighted sum of losses of each member, (K,)."""
        self.forward.run()
        return self.loss

    def loss_and_gradient(self) -> Array:
        """Forward and backward pass: return the losses (K,); write the gradient (K, P), divided by the total weight."""
        self.forward.run()
        if self._weighted:
            total = self.total_weight() if self._total is None else self._total
            np.divide(self.weight[..., None], np.maximum(total, 1e-30)[:, None, None], self._share, casting="same_kind")
        self.backward.run()
        return self.loss


class AccumulatedStep:
    """A mini-batch of any number of rows, by gradient accumulation over micro-batches of few shapes.

    The last micro-batch is padded with rows of weight 0.  The threads of the objective compute micro-batches at the
    same time, and their sums are added in the order of the rows.
    """

    def __init__(
        self,
        objective: Any,
        parameters: Array,
        gradient: Array,
        rng: np.random.Generator | None = None,
        total: Array | None = None,
    ):
        self._gradient, self._total = gradient, total
        # masks of dropout are drawn one after the other
        divided = rng is None and pays_to_divide(MICRO_BATCH * parameters.size)
        self._threads = objective.threads if divided else ONE_THREAD
        self._new_slot = partial(_MicroBatch, objective, parameters, rng)
        self._slots: list[_MicroBatch] = []  # of the threads, which compute them at once
        self._rows = np.empty(0, dtype=int)
        self.loss = np.zeros(len(parameters))  # (K,)
        self._weight = np.zeros(1 if objective.weight is None else len(objective.weight))  # (1 or K,)

    def load(self, rows: Array) -> None:
        """Set the rows of the batch by their indices (B,)."""
        self._rows = rows

    def total_weight(self) -> Array:
        """Return the sum of the weights of the batch that ran last, (1 or K,)."""
        return self._weight

    def loss_only(self) -> Array:
        """Forward pass: return the weighted sum of losses of each member, (K,)."""
        self._accumulate(LocalStep.loss_only)
        return self.loss

    def loss_and_gradient(self) -> Array:
        """Forward and backward pass: return the losses (K,); write the gradient (K, P), divided by the total weight."""
        self._gradient[...] = 0
        self._accumulate(LocalStep.loss_and_gradient, self._gradient)
        divide_by_weight(self._gradient, self._weight if self._total is None else self._total)
        return self.loss

    def _accumulate(self, act: Callable[[LocalStep], Array], gradient: Array | None = None) -> None:
        self.loss[...], self._weight[...] = 0, 0
        parts = _cut(self._rows)
        n_at_once = min(self._threads.n, len(parts))
        while len(self._slots) < n_at_once:
            self._slots.append(self._new_slot())
        for first in range(0, len(parts), max(n_at_once, 1)):
            pairs = list(zip(self._slots, parts[first : first + n_at_once], strict=False))
            steps = self._threads.run([partial(slot.run, rows, act) for slot, rows in pairs])
            for (slot, _), step in zip(pairs, steps, strict=True):
                self.loss += step.loss
                self._weight += step.total_weight()
                if gradient is not None:
                    gradient += slot.gradient


def n_micro_batches(n_rows: int) -> int:
    """Return the number of parts that a batch is cut into."""
    return -(-n_rows // MICRO_BATCH) if n_rows > LARGE_BATCH else 1


def _cut(rows: Array) -> list[Array]:
    """Cut a batch into micro-batches of about equal size, a multiple of `SHAPE_STEP` rows but for the last one."""
    n_parts = max(-(-len(rows) // MICRO_BATCH), 1)
    size = max(-(-len(rows) // (n_parts * SHAPE_STEP)), 1) * SHAPE_STEP
    return [rows[start : start + size] for start in range(0, len(rows), size)]


class _MicroBatch:
    """The steps on micro-batches that one thread computes, and their gradient (K, P), which is not divided yet."""

    def __init__(self, objective: Any, parameters: Array, rng: np.random.Generator | None):
        self._objective, self._parameters, self._rng = objective, parameters, rng
        self.gradient = np.empty_like(parameters)
        self._steps: dict[int, LocalStep] = {}  # by number of rows

    def run(self, rows: Array, act: Callable[[LocalStep], Array]) -> LocalStep:
        """Load the rows with these indices (B,), and let the step act on them; return it."""
        n = len(rows)
        step = self._step(-(-n // SHAPE_STEP) * SHAPE_STEP)
        step.load(np.append(rows, np.repeat(rows[:1], len(step.targets) - n)))
        step.weight[:, n:] = 0
        act(step)
        return step

    def _step(self, n_rows: int) -> LocalStep:
        if n_rows not in self._steps:
            args = (self._objective, self._parameters, self.gradient, n_rows, self._rng)
            self._steps[n_rows] = LocalStep(*args, total=np.ones(1), padded=True)
        return self._steps[n_rows]


def divide_by_weight(gradient: Array, total: Array) -> None:
    """Divide gradients (K, P) by the weights (1 or K,) that they sum over, in place."""
    np.divide(gradient, np.maximum(total, 1e-30)[:, None], gradient, casting="same_kind")
