"""Objective: what training minimises, the weighted mean loss of a network over some rows; and `Step`, a mini-batch.

A step returns sums over its rows, of losses and of gradients.  The sum of gradients is divided once, by the sum of the
weights, so that mini-batches, sample weights, whole tables and parts of a table on several machines are one addition.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Protocol, Self
from zlib import crc32

import numpy as np
from numpy.typing import DTypeLike

from ..nn.batch import Targets
from ..nn.losses import Loss
from ..nn.network import Network
from ..nn.tape import Array, Tape
from .parallel import ONE_THREAD, Threads
from .scored_rows import ScoredRows

__all__ = [
    "AccumulatedStep",
    "LocalStep",
    "Objective",
    "Step",
    "divide_by_weight",
    "fold_weights",
    "out_of_fold_scores",
    "rows_held_out",
]

MICRO_BATCH = 256  # rows per micro-batch, so that the hidden layers stay in the cache
LARGE_BATCH = 512  # rows; batches of more are cut into micro-batches, which takes 0.65 of the time at 8,192 rows
CHECKED_ROWS = 128  # rows of which a check of all raw scores holds the hidden layers
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


@dataclass(frozen=True)
class Objective:
    """The weighted mean loss of a network over some rows.

    `dask.objective.ClusterObjective` has the same methods for rows that the workers of a cluster hold.

    Attributes
    ----------
    network : Network
    loss : Loss
    table : Table or LazyTable
        Encoded rows (n, d).
    targets : Targets
    weight : ndarray of shape (1 or K, n), or None
        Weights of the rows, of each member where they differ; None where all are 1.
    threads : Threads
        They share the micro-batches of a large batch, and the folds of a validation.
    """

    network: Network
    loss: Loss
    table: Any
    targets: Targets
    weight: Array | None = None
    threads: Threads = ONE_THREAD

    is_remote: ClassVar[bool] = False  # whether each batch costs a network round trip

    def __len__(self) -> int:
        return len(self.table)

    def total_weight(self) -> Array:
        """Return the sum of the weights, (1 or K,)."""
        return np.array([float(len(self))]) if self.weight is None else self.weight.sum(axis=1)

    def checksum(self) -> int:
        """Return a checksum of the rows; losses on rows with different checksums are not comparable."""
        code: int = self.table.checksum()
        for array in (self.targets.values, self.weight):
            if array is not None:
                code = crc32(np.ascontiguousarray(array), code)
        return code

    def for_members(self, members: slice) -> Self:
        """Return the objective of some of the members."""
        if self.weight is None or len(self.weight) == 1:
            return self
        return replace(self, weight=self.weight[members])

    def with_threads(self, threads: Threads) -> Self:
        """Return the same objective, computed by these threads."""
        return replace(self, threads=threads)

    def holding_out(self, folds: Array, n_members: int, dtype: DTypeLike) -> "Objective":
        """Return the objective in which member k does not see the rows of fold k mod F."""
        return replace(self, weight=fold_weights(folds, n_members, self.weight, dtype))

    def counts_by_fold(self, folds: Array, n_folds: int, columns: Array) -> Array:
        """Count the rows of each fold in which each of these encoded columns is not zero, (n_folds, len(columns))."""
        return self.table.counts_by_fold(folds, n_folds, columns)  # type: ignore[no-any-return]

    def sample(self, rows: Array) -> Any:
        """Return the encoded rows with these indices, few, as a Table."""
        return self.table.take(rows)

    def step(
        self,
        parameters: Array,
        gradient: Array,
        n_rows: int,
        rng: np.random.Generator | None = None,
        total: Array | None = None,
    ) -> Step:
        """Return a step on batches of `n_rows` rows.

        Parameters
        ----------
        parameters, gradient : ndarray of shape (K, P)
            The parameters that the step reads, and the gradient that it writes.
        n_rows : int
        rng : Generator, optional
            Draws the masks of dropout.
        total : ndarray of shape (1 or K,), optional
            The weight that gradients are divided by; by default that of the batch.
        """
        if self.n_micro_batches(n_rows) > 1:
            return AccumulatedStep(self, parameters, gradient, rng, total)
        return LocalStep(self, parameters, gradient, n_rows, rng, total)

    def n_micro_batches(self, n_rows: int) -> int:
        """Return the number of parts that a batch is cut into."""
        return -(-n_rows // MICRO_BATCH) if n_rows > LARGE_BATCH else 1

    def score(self, parameters: Array, folds: Array | None = None, n_folds: int | None = None) -> ScoredRows:
        """Score the rows, each by the members that do not see it where there are folds.

        Fewer members than folds score only the rows of the folds that they hold out.
        """
        z = out_of_fold_scores(self, parameters, folds, n_folds)
        scored = ScoredRows(z, self.loss, self.targets, self.weight)
        held_out = None if folds is None else rows_held_out(folds, len(parameters), n_folds)
        return scored if held_out is None else scored.take(held_out)

    def is_finite(self, parameters: Array) -> bool:
        """Whether the mean raw scores of all rows are finite.  Small chunks of rows keep the hidden layers small."""
        z = _mean_of_members(self.network.scores(parameters, self.table, chunk=CHECKED_ROWS))
        return bool(np.isfinite(z).all())


def fold_weights(
    folds: Array, n_members: int, weight: Array | None, dtype: DTypeLike, n_folds: int | None = None
) -> Array:
    """Return training weights (K, n): the rows' own (1, n), and 0 where the row is in the member's held-out fold."""
    n_folds = n_folds or int(folds.max()) + 1
    weights = np.empty((n_members, len(folds)), dtype)
    weights[...] = 1 if weight is None else weight
    for k, own in enumerate(weights):
        own[folds == k % n_folds] = 0
    return weights


class LocalStep:
    """One mini-batch of `n_rows` rows: its buffers, and the network's and the loss's passes over them.

    With `padded`, the caller sets the weight of some of the rows to 0 after each `load`.
    """

    def __init__(
        self,
        objective: Objective,
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
        objective: Objective,
        parameters: Array,
        gradient: Array,
        rng: np.random.Generator | None = None,
        total: Array | None = None,
    ):
        self._gradient, self._total = gradient, total
        self._threads = objective.threads if rng is None else ONE_THREAD  # masks are drawn one after the other
        self._slots = [_MicroBatch(objective, parameters, rng) for _ in range(self._threads.n)]  # computed at once
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
        parts = [self._rows[start : start + MICRO_BATCH] for start in range(0, len(self._rows), MICRO_BATCH)]
        for first in range(0, len(parts), len(self._slots)):
            pairs = list(zip(self._slots, parts[first : first + len(self._slots)], strict=False))
            steps = self._threads.run([partial(slot.run, rows, act) for slot, rows in pairs])
            for (slot, _), step in zip(pairs, steps, strict=True):
                self.loss += step.loss
                self._weight += step.total_weight()
                if gradient is not None:
                    gradient += slot.gradient


class _MicroBatch:
    """The steps on micro-batches that one thread computes, and their gradient (K, P), which is not divided yet."""

    def __init__(self, objective: Objective, parameters: Array, rng: np.random.Generator | None):
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


def rows_held_out(folds: Array, n_members: int, n_folds: int | None = None) -> Array | None:
    """Return the indices of the rows of the folds that these first members hold out; None if that is every row."""
    n_folds = n_folds or int(folds.max()) + 1
    return None if n_members >= n_folds else np.flatnonzero(folds < n_members)


def out_of_fold_scores(
    objective: Objective, parameters: Array, folds: Array | None, n_folds: int | None = None
) -> Array:
    """Return raw scores (n, out): the mean over the members (K, P) that do not see the row, or over all members.

    Where each of these members sees a row, its raw scores are arbitrary.
    """
    network, table = objective.network, objective.table
    n_folds = n_folds or (0 if folds is None else int(folds.max()) + 1)
    if folds is None or not n_folds:
        return _mean_of_members(network.scores(parameters, table))
    n_held_out = min(n_folds, len(parameters))
    z = np.empty((len(parameters) // n_held_out, len(folds), network.n_out), parameters.dtype)

    def score_fold(fold: int) -> None:
        rows, held_out = np.flatnonzero(folds == fold), slice(fold, None, n_folds)
        z[:, rows] = network.scores(parameters[held_out], table, rows)

    objective.threads.run([partial(score_fold, fold) for fold in range(n_held_out)])
    return _mean_of_members(z)


def _mean_of_members(z: Array) -> Array:
    """Return the mean (n, out) of raw scores (K, n, out), without a copy of those of a single member."""
    return np.asarray(z[0] if len(z) == 1 else z.mean(axis=0))
