"""Objective: what training minimises, the weighted mean loss of a network over some rows."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Self
from zlib import crc32

import numpy as np
from numpy.typing import DTypeLike

from ..nn.batch import Targets
from ..nn.losses import Loss
from ..nn.network import Network
from ..nn.tape import Array
from .parallel import ONE_THREAD, Threads
from .scored_rows import ScoredRows
from .step import AccumulatedStep, LocalStep, Step, n_micro_batches

__all__ = ["Objective", "fold_weights", "out_of_fold_scores", "rows_held_out"]

CHECKED_ROWS = 128  # rows of which a check of all raw scores holds the hidden layers


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
        if n_micro_batches(n_rows) > 1:
            return AccumulatedStep(self, parameters, gradient, rng, total)
        return LocalStep(self, parameters, gradient, n_rows, rng, total)

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


def rows_held_out(folds: Array, n_members: int, n_folds: int | None = None) -> Array | None:
    """Return the indices of the rows that the first `n_members` members hold out; None if these are all rows."""
    n_folds = n_folds or int(folds.max()) + 1
    return None if n_members >= n_folds else np.flatnonzero(folds < n_members)


def out_of_fold_scores(
    objective: Objective, parameters: Array, folds: Array | None, n_folds: int | None = None
) -> Array:
    """Return raw scores (n, out): the mean over the members (K, P) that do not see the row, or over all members.

    With fewer members than folds, the raw scores of the rows that no member holds out are arbitrary.
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
