"""ClusterObjective: an `Objective` over rows that workers hold; the workers add up, and this process divides once.

The optimizer runs in the process that calls `fit`, so that the loss of a worker loses nothing but time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, ClassVar, TypeVar
from zlib import crc32

import numpy as np

from ..encoding.features import FeatureEncoder
from ..nn.batch import Table
from ..nn.tape import Array
from ..training.objective import Objective, rows_held_out
from ..training.step import Step, divide_by_weight
from .rows import ShardedRows, join_tables

__all__ = ["ClusterObjective", "ClusterScoredRows", "ClusterStep", "dropout_seed"]

T = TypeVar("T")

_keys = count()


@dataclass(eq=False)
class _RemoteRows:
    """What the workers keep for an objective, and for those that are made from it."""

    key: int = field(default_factory=lambda: next(_keys))
    folds: Array | None = None  # that the workers have received
    scored: "ClusterScoredRows | None" = None  # whose raw scores the workers hold
    generation: int = 0  # of the workers that hold them


@dataclass(frozen=True)
class ClusterObjective(Objective):
    """The weighted mean loss of a network over rows that the workers of a cluster hold.

    Attributes
    ----------
    table : ShardedRows
    targets, weight
        Of all rows, as in Objective; the workers have copies of their shares.
    folds : ndarray of shape (n,), or None
        The fold of each row, where members hold out folds.
    n_members : int
        Number of members that hold out folds.
    sync_every : int
        Number of local steps between two averages, for `LocalStepsEpoch`.
    """

    folds: Array | None = None
    n_members: int = 1
    sync_every: int = 1
    remote: _RemoteRows = field(default_factory=_RemoteRows, repr=False)

    is_remote: ClassVar[bool] = True

    def load(self, encoder: FeatureEncoder, ones: bool, dtype: Any) -> None:
        """Let the workers encode and keep their shares of the rows, now and after a rebuild."""
        rows: ShardedRows = self.table
        weight = None if self.weight is None else self.weight[0]

        def load() -> None:
            shares = zip(rows.by_partition(), rows.by_shard(self.targets.values), rows.by_shard(weight), strict=True)
            each = [(chosen, replace(self.targets, values=values), own) for chosen, values, own in shares]
            self.call("load", rows.reader, encoder, ones, dtype, self.network, self.loss, each=each)

        rows.pool.on_rebuild(load)

    def call(self, method: str, *args: Any, each: Sequence[tuple[Any, ...] | None] | None = None) -> list[Any]:
        """Call a method of the shards on the rows of this objective."""
        results: list[Any] = self.table.pool.call(method, self.remote.key, *args, each=each)
        return results

    def retry(self, action: Callable[[], T]) -> T:
        """Run an action that calls shards until it completes."""
        result: T = self.table.pool.retry(action)
        return result

    def total_weight(self) -> Array:
        """Return the sum of the weights, (1 or K,)."""
        weight = np.ones(len(self)) if self.weight is None else self.weight[0].astype(np.float64)
        if self.folds is None:
            return np.array([weight.sum()])
        by_fold = np.bincount(self.folds, weight)
        total: Array = weight.sum() - by_fold[np.arange(self.n_members) % len(by_fold)]
        return total

    def checksum(self) -> int:
        """Return a checksum of the rows, which does not depend on how the shards divide them."""
        results = self.retry(lambda: self.call("checksums"))
        by_partition = {number: checksum for result in results for number, checksum in result.items()}
        checksum = crc32(np.array([by_partition[number] for number in sorted(by_partition)], dtype=np.uint32))
        for array in (self.targets.values, self.weight):
            checksum = checksum if array is None else crc32(np.ascontiguousarray(array), checksum)
        return checksum

    def for_members(self, members: slice) -> "ClusterObjective":
        """Return the objective of the first members; the workers see how many there are by their parameters."""
        return replace(self, n_members=len(range(self.n_members)[members]))

    def holding_out(self, folds: Array, n_members: int, dtype: Any) -> "ClusterObjective":
        """Return the objective in which member k does not see the rows of fold k mod F."""
        self._send_folds(folds, n_members)
        return replace(self, folds=folds, n_members=n_members)

    def _send_folds(self, folds: Array, n_members: int) -> None:
        """Send the fold of each row to the workers, unless they have it."""
        if self.remote.folds is folds:
            return
        n_folds, small = int(folds.max()) + 1, folds.astype(np.int16)

        def assign() -> None:
            self.call("assign_folds", n_folds, n_members, each=[(own,) for own in self.table.by_shard(small)])

        self.table.pool.on_rebuild(assign)
        self.remote.folds = folds

    def counts_by_fold(self, folds: Array, n_folds: int, columns: Array) -> Array:
        """Count the rows of each fold with a value, as `Objective.counts_by_fold`."""
        small = folds.astype(np.int16)

        def count_values() -> list[Any]:
            each = [(own,) for own in self.table.by_shard(small)]  # which differs after a rebuild
            return self.call("counts_by_fold", n_folds, columns, each=each)

        return np.asarray(np.sum(self.retry(count_values), axis=0))

    def sample(self, rows: Array) -> Table:
        """Return the encoded rows with these indices, few, as a Table."""

        def take() -> tuple[list[Table], Array]:
            each = [(own,) if len(own) else None for own in self.table.split(rows)]
            return self.call("take", each=each), self.table.locate(rows)[0]

        tables, shard = self.retry(take)
        # the shards' rows one after the other; a stable sort shows where each of them belongs
        return join_tables(tables).take(np.argsort(np.argsort(shard, kind="stable")))

    def step(
        self,
        parameters: Array,
        gradient: Array,
        n_rows: int,
        rng: np.random.Generator | None = None,
        total: Array | None = None,
    ) -> Step:
        """Return a step on batches of any number of rows; see `Objective.step`."""
        return ClusterStep(self, parameters, gradient, rng, total)

    def score(self, parameters: Array, folds: Array | None = None, n_folds: int | None = None) -> Any:
        """Score the rows, as `Objective.score`; the raw scores of the result stay on the workers."""
        held_out = None
        if folds is not None:
            self._send_folds(folds, len(parameters))
            held_out = rows_held_out(folds, len(parameters), n_folds)
        n_rows = len(self) if held_out is None else len(held_out)
        return ClusterScoredRows(self, parameters, folds is not None, n_rows)

    def is_finite(self, parameters: Array) -> bool:
        """Whether the mean raw scores of all rows are finite."""
        return bool(self.score(parameters).is_finite())


class ClusterStep:
    """One mini-batch: each worker adds up over its share of the rows, and this process adds up the sums."""

    def __init__(
        self,
        objective: ClusterObjective,
        parameters: Array,
        gradient: Array,
        rng: np.random.Generator | None = None,
        total: Array | None = None,
    ):
        self._objective, self._parameters, self._gradient = objective, parameters, gradient
        self._rng, self._total = rng, total
        self._rows = np.empty(0, dtype=int)
        self.loss = np.zeros(len(parameters))  # (K,)
        self._weight = np.zeros(1)

    def load(self, rows: Array) -> None:
        """Set the rows of the batch by their indices (B,)."""
        self._rows = rows

    def total_weight(self) -> Array:
        """Return the sum of the weights of the batch that ran last, (1 or K,)."""
        return self._weight

    def loss_only(self) -> Array:
        """Forward pass: return the weighted sum of losses of each member, (K,)."""
        self._add_up(backward=False)
        return self.loss

    def loss_and_gradient(self) -> Array:
        """Forward and backward pass: return the losses (K,); write the gradient (K, P), divided by the total weight."""
        first, *others = self._add_up(backward=True)
        np.copyto(self._gradient, first)
        for gradient in others:
            np.add(self._gradient, gradient, out=self._gradient)
        divide_by_weight(self._gradient, self._weight if self._total is None else self._total)
        return self.loss

    def _add_up(self, backward: bool) -> list[Any]:
        """Set the sums of losses and weights; return the undivided gradient of each worker with rows of the batch."""
        objective, rows = self._objective, self._rows
        seed = dropout_seed(self._rng)  # drawn once, so that a retry has the same masks
        args = ("step", objective.folds is not None, self._parameters, seed, backward)

        def call() -> list[Any]:
            if len(rows) == len(objective):
                return objective.call(*args, each=[(None,)] * len(objective.table.pool.partitions))
            return objective.call(*args, each=[(own,) if len(own) else None for own in objective.table.split(rows)])

        losses, weights, gradients = zip(*objective.retry(call), strict=True)
        self.loss[...], self._weight = np.sum(losses, axis=0), np.sum(weights, axis=0)
        return list(gradients)


def dropout_seed(rng: np.random.Generator | None) -> int | None:
    """Draw the seed that the workers draw the masks of dropout from; None without dropout."""
    return None if rng is None else int(rng.bit_generator.random_raw())


class ClusterScoredRows:
    """Rows with their raw scores, like `ScoredRows`; the scores are on the workers.

    The workers keep the scores of one object at a time.  Those of another one, or those that were lost with a worker,
    are computed again when they are needed.
    """

    def __init__(self, objective: ClusterObjective, parameters: Array, by_folds: bool, n_rows: int):
        self._objective, self._parameters, self._by_folds = objective, parameters.copy(), by_folds
        self._n_rows = n_rows

    def __len__(self) -> int:
        return self._n_rows

    def loss_at(self, log_inverse_temperature: float) -> tuple[float, float, float]:
        """Return sums over the rows: the loss of z / T, its derivative by log(1 / T), and the weight."""
        loss, slope, weight = np.sum(self._call("loss_at", log_inverse_temperature), axis=0).tolist()
        return loss, slope, weight

    def pull_of_uniform_targets(self) -> float:
        """Return Σ w (u - t) z over the rows; see `ScoredRows.pull_of_uniform_targets`."""
        return float(sum(self._call("pull_of_uniform_targets")))

    def is_finite(self) -> bool:
        """Whether no raw score is NaN or infinite."""
        return all(self._call("is_finite"))

    def scaled_by(self, temperature: float) -> Array:
        """Return z / T, (n, out), fetched from the workers."""
        parts = {number: z for result in self._call("scaled_by", temperature) for number, z in result.items()}
        return np.concatenate([parts[number] for number in sorted(parts)])

    def _call(self, method: str, *args: Any) -> list[Any]:
        objective, remote = self._objective, self._objective.remote

        def call() -> list[Any]:
            generation = objective.table.pool.generation
            if remote.scored is not self or remote.generation != generation:
                objective.call("score", self._parameters, self._by_folds)
                remote.scored, remote.generation = self, generation
            return objective.call(method, *args)

        return objective.retry(call)
