"""Shard: the partitions of a table that one worker holds, and the sums over their rows.

A shard first holds partitions as they came.  For training it encodes sets of their rows: the training rows, and perhaps
validation rows.  Its results are sums that nothing divides: the sums of all shards add up to those of the table.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.utils import _safe_indexing

from ..encoding.features import FeatureEncoder
from ..encoding.quantiles import QuantileSketch, sketch
from ..nn.batch import Table, Targets
from ..nn.losses import Loss
from ..nn.network import Network
from ..nn.tape import Array
from ..training.epoch import StepSettings
from ..training.optimizers import SGD, Adam
from ..training.scored_rows import ScoredRows
from ..training.state import TrainingState
from ..training.threads import training_context
from .answers import Answering
from .averages import LocalSteps
from .row_set import RowSet, ShardObjective
from .rows import TableReader, join_tables

__all__ = ["Shard"]


class Shard(Answering):
    """The partitions of one worker, as a Dask actor.

    Parameters
    ----------
    numbers : sequence of int
        Indices of the partitions in the table.
    parts : sequence of DataFrame or ndarray
        These partitions, in the same order.
    """

    def __init__(self, numbers: Sequence[int], parts: Sequence[Any]):
        self._numbers, self._parts = list(numbers), list(parts)
        self._sets: dict[int, RowSet] = {}  # by the key of an objective

    # -------------------------------------------- partitions as they came

    def lengths(self) -> list[int]:
        """Return the number of rows of each partition."""
        return [part.shape[0] for part in self._parts]

    def head(self, n_rows: int) -> Any:
        """Return the first rows of the first partition that has any."""
        return next(part for part in self._parts if part.shape[0])[:n_rows]

    @training_context()
    def check(self, reader: TableReader) -> None:
        """Check all partitions; an error names the partition."""
        for i in range(len(self._parts)):
            self._checked(reader, i)

    @training_context()
    def sketch(
        self, reader: TableReader, size: int, rows: Sequence[Array | None], weights: Sequence[Array | None]
    ) -> dict[int, QuantileSketch]:
        """Return a sketch of the given rows of each partition that has any, by the partition's index.

        Parameters
        ----------
        reader : TableReader
        size : int
            Points per column.
        rows, weights : sequence of ndarray or None
            For each partition the indices of the rows, or None for all; and their weights.
        """
        sketches = {}
        for i, (number, chosen, weight) in enumerate(zip(self._numbers, rows, weights, strict=True)):
            data = self._checked(reader, i, chosen)
            if data is not None:
                sketches[number] = sketch(data, weight, size)
        return sketches

    def _checked(self, reader: TableReader, i: int, rows: Array | None = None) -> Any:
        """Return checked rows of a partition, all or those with these indices; None if there are none."""
        part = self._parts[i]
        if not part.shape[0] or (rows is not None and not len(rows)):
            return None
        if isinstance(part, np.ndarray):
            part = np.asarray(part)  # also of a memory-mapped array, whose rows are all needed
        if rows is not None:
            part = _safe_indexing(part, rows)
        try:
            data = reader.check(part)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"In partition {self._numbers[i]} of X: {error}") from error
        if sp.issparse(data):
            raise ValueError(
                f"Partition {self._numbers[i]} of X is sparse, which is not supported in a Dask collection: make it "
                "dense, for example by X.map_blocks(lambda block: block.toarray())."
            )
        return data

    # ------------------------------------------------ sets of encoded rows

    @training_context()
    def load(
        self,
        key: int,
        reader: TableReader,
        encoder: FeatureEncoder,
        ones: bool,
        dtype: Any,
        network: Network,
        loss: Loss,
        rows: Sequence[Array | None],
        targets: Targets,
        weight: Array | None,
    ) -> None:
        """Encode rows of each partition, and keep them with their targets and weights (n,) as a set."""
        counts = [n if chosen is None else len(chosen) for n, chosen in zip(self.lengths(), rows, strict=True)]
        edges = np.cumsum([0, *counts]).tolist()
        slices = [slice(start, stop) for start, stop in zip(edges[:-1], edges[1:], strict=True)]
        checked = (self._checked(reader, i, chosen) for i, chosen in enumerate(rows))
        # rows never pass through unchanged: this would depend on whether a value of their partition is missing
        tables = [encoder.transform(data, dtype, ones, pass_through=False) for data in checked if data is not None]
        if not tables:  # this shard has none of the rows
            first = self._checked(reader, 0, np.arange(1))
            tables = [encoder.transform(first, dtype, ones, pass_through=False).buffer(0)]
        weight = np.ones((1, edges[-1]), dtype) if weight is None else weight[None]
        objective = ShardObjective(network, loss, join_tables(tables), targets, weight)
        self._sets[key] = RowSet(objective, dict(zip(self._numbers, slices, strict=True)))

    def assign_folds(self, key: int, n_folds: int, n_members: int, folds: Array) -> None:
        """Set the fold of each row of a set, (n,)."""
        self._sets[key].assign_folds(folds, n_folds, n_members)

    def checksums(self, key: int) -> dict[int, int]:
        """Return the checksum of the encoded rows of each partition, by the partition's index."""
        row_set = self._sets[key]
        table: Table = row_set.objective.table
        parts = {
            number: Table(table.X[rows], None if table.codes is None else table.codes[rows])
            for number, rows in row_set.slices.items()
        }
        return {number: part.checksum() for number, part in parts.items()}

    def take(self, key: int, rows: Array) -> Table:
        """Return encoded rows of a set, by their indices in it."""
        return self._sets[key].objective.sample(rows)  # type: ignore[no-any-return]

    def counts_by_fold(self, key: int, n_folds: int, columns: Array, folds: Array) -> Array:
        """Count the rows of each fold of a set with a value, as `Objective.counts_by_fold`."""
        return self._sets[key].objective.counts_by_fold(folds, n_folds, columns)

    # ------------------------------------------------------------ training

    @training_context()
    def step(
        self, key: int, by_folds: bool, parameters: Array, seed: int | None, backward: bool, rows: Array | None
    ) -> tuple[Array, Array, Array | None]:
        """Return sums over rows of a set, or over all of it if `rows` is None.

        Returns
        -------
        loss : ndarray of shape (K,)
        weight : ndarray of shape (1 or K,)
        gradient : ndarray of shape (K, P), or None
            Only if `backward`.
        """
        row_set = self._begin_training(key, seed)
        step, gradient = row_set.step(by_folds, parameters, seed is not None)
        step.load(np.arange(len(row_set.objective)) if rows is None else rows)
        loss = step.loss_and_gradient() if backward else step.loss_only()
        return loss.copy(), step.total_weight().copy(), gradient.copy() if backward else None

    def begin_local_steps(
        self,
        key: int,
        by_folds: bool,
        settings: StepSettings,
        optimizer: SGD | Adam,
        parameters: Array,
        whole: Array,
        groups: Sequence[Sequence[int]],
    ) -> None:
        """Prepare for local steps of each group of partitions, with these settings and a copy of this optimizer."""
        # a copy, because shards in the same process receive the same optimizer
        state = TrainingState(parameters.copy(), copy.deepcopy(optimizer), np.random.RandomState(0))
        self._begin_training(key).begin_epochs(by_folds, settings, state, whole, groups)

    @training_context()
    def local_steps(
        self,
        key: int,
        parameters: Array,
        moments: Sequence[Array],
        count: int,
        seed: int | None,
        rates: Sequence[float],
        batches: Sequence[Array],
    ) -> LocalSteps:
        """Let each group of partitions take one step on its rows of each batch; return the mean of the outcomes."""
        return self._begin_training(key).local_steps([parameters, *moments], count, seed, rates, batches)

    def _begin_training(self, key: int, seed: int | None = None) -> RowSet:
        """Return a set of rows, and seed its dropout; the partitions as they came are no longer needed."""
        self._parts = []
        row_set = self._sets[key]
        if seed is not None:
            row_set.rng.bit_generator.state = np.random.SFC64((seed, *self._numbers[:1])).state
        return row_set

    # ---------------------------------------------------------- evaluation

    @training_context()
    def score(self, key: int, parameters: Array, by_folds: bool) -> None:
        """Compute the raw scores of a set, and keep them."""
        self._begin_training(key).score(parameters, by_folds)

    @training_context()
    def loss_at(self, key: int, log_inverse_temperature: float) -> tuple[float, float, float]:
        """Return the sums of `ScoredRows.loss_at` over a set."""
        return self._scored(key).loss_at(log_inverse_temperature)

    def pull_of_uniform_targets(self, key: int) -> float:
        """Return the sum of `ScoredRows.pull_of_uniform_targets` over a set."""
        return self._scored(key).pull_of_uniform_targets()

    def is_finite(self, key: int) -> bool:
        """Whether the raw scores of a set are finite."""
        return self._scored(key).is_finite()

    def scaled_by(self, key: int, temperature: float) -> dict[int, Array]:
        """Return the raw scores over the temperature of a set, by the partition's index."""
        z = self._scored(key).scaled_by(temperature)
        return {number: z[rows] for number, rows in self._sets[key].slices.items()}

    def _scored(self, key: int) -> ScoredRows:
        scored = self._sets[key].scored
        assert scored is not None
        return scored
