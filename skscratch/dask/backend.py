"""ClusterBackend: how a fit reads rows that are on the workers of a Dask cluster.

It takes the place of `LocalBackend`.  Tables in memory are read as `LocalBackend` reads them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
from dask.base import is_dask_collection
from distributed import Client

from ..encoding.check_input import Rows
from ..encoding.times import Kind
from ..estimators.build import SAMPLE_ROWS, LocalBackend
from ..estimators.check import Inputs
from ..estimators.fitted import FittedNetwork
from ..estimators.plan import automatic_batch_size
from ..nn.tape import Array
from ..training.objective import Objective
from .local_steps import MAX_GROUPS, LocalStepsEpoch, automatic_groups, automatic_sync_every
from .objective import ClusterObjective
from .partitions import PartitionedTable, compute_together
from .rows import ShardedRows, TableReader
from .workers import CommunicationStats, WorkerPool

__all__ = ["ClusterBackend", "open_cluster"]

MAX_BATCH = 8192  # rows of a step that batch_size="auto" chooses at most: each step costs a message to every worker


@contextmanager
def open_cluster(client: Client, inputs: Inputs, estimator: Any) -> Iterator[tuple["ClusterBackend", Inputs]]:
    """Yield the backend for inputs of an estimator, some of them Dask collections, and the inputs as it reads them.

    In these, a Dask X is a PartitionedTable, and y and the weights are in memory.  At the end the cluster is free of
    all that the backend has put there.
    """
    names = [name for name in ("X", "X_val") if is_dask_collection(getattr(inputs, name))]
    others = ["y", "sample_weight", "y_val", "sample_weight_val"]
    tables, values = compute_together(
        client, [getattr(inputs, name) for name in names], [getattr(inputs, name) for name in others]
    )
    backend = ClusterBackend(client, estimator if "X" in names else None)
    try:
        yield (
            backend,
            replace(inputs, **dict(zip(names, tables, strict=True)), **dict(zip(others, values, strict=True))),
        )
    finally:
        backend.close()
        for table in tables:
            table.release()


class ClusterBackend(LocalBackend):
    """How a fit reads its rows, which the workers of a cluster hold.

    Parameters
    ----------
    client : Client
    estimator : estimator or None
        Has the parameters `sync_every` and `batch_size`; None if the training rows are in memory.
    """

    def __init__(self, client: Client, estimator: Any):
        self._client, self._pools, self._stats = client, list[WorkerPool](), CommunicationStats()
        self._sync_every: int | str = 1
        if estimator is not None:
            self.max_batch, self._batch_size = MAX_BATCH, estimator.batch_size
            self._sync_every = 1 if estimator.solver == "lbfgs" else estimator.sync_every

    def close(self) -> None:
        """Stop all shards."""
        for pool in self._pools:
            pool.close()

    def check_table(self, estimator: Any, X: Any, kinds: list[Kind] | None, reset: bool) -> Any:
        """Return X as ShardedRows, checked by the workers; set or compare the feature names of the estimator."""
        if not isinstance(X, PartitionedTable):
            return super().check_table(estimator, X, kinds, reset)
        pool = WorkerPool(self._client, X.futures, self._stats, self._n_groups)
        self._pools.append(pool)
        head = super().check_table(estimator, _head(pool), kinds, reset)
        kinds = getattr(head, "kinds", None) if reset else kinds
        reader = TableReader.for_estimator(estimator, kinds)
        pool.retry(lambda: pool.call("check", reader))
        return ShardedRows(pool, reader)

    def statistics(self, rows: Rows) -> Any:
        """Return what the encoder learns from: for a sharded table, a sketch of its columns."""
        return rows.data.sketch(rows.weight) if isinstance(rows.data, ShardedRows) else super().statistics(rows)

    def objective(self, model: FittedNetwork, rows: Rows, dtype: Any) -> Objective:
        """Return the objective over these rows, which the workers encode."""
        if not isinstance(rows.data, ShardedRows):
            return super().objective(model, rows, dtype)
        weight = None if rows.weight is None else rows.weight[None].astype(dtype)
        targets = model.targets.encode(rows.values, dtype)
        if isinstance(self._sync_every, str):  # the training rows come first
            self._sync_every = self._automatic_sync_every(model, rows.data, np.dtype(dtype))
        if self._sync_every > 1:
            self.epoch_type = LocalStepsEpoch
        objective = ClusterObjective(model.network, model.loss, rows.data, targets, weight, sync_every=self._sync_every)
        objective.load(model.encoder, model.built_with["fit_intercept"], dtype)
        return objective

    def _rows_of_step(self, n: int) -> int:
        given = self._batch_size
        return automatic_batch_size(n, MAX_BATCH) if isinstance(given, str) else min(given, n)

    def _n_groups(self, n: int) -> int | None:
        """Return the largest number of groups of the partitions of n rows; None where there are no local steps."""
        if self._sync_every == "auto":
            n_groups = automatic_groups(self._rows_of_step(n))
            return n_groups if n_groups > 1 else None
        return None if self._sync_every == 1 else MAX_GROUPS

    def _automatic_sync_every(self, model: FittedNetwork, rows: ShardedRows, dtype: np.dtype[Any]) -> int:
        if self._n_groups(rows.pool.starts[-1]) is None:
            return 1
        n, n_groups = len(rows), sum(len(own) for own in rows.pool.groups)
        return automatic_sync_every(
            model.network, len(model.parameters), dtype.itemsize, n, self._rows_of_step(n), n_groups
        )

    def sample(self, model: FittedNetwork, objective: Objective, rows: Rows, chosen: Array, dtype: Any) -> Any:
        """Return the chosen rows, encoded in the precision of the network."""
        if not isinstance(objective, ClusterObjective):
            return super().sample(model, objective, rows, chosen, dtype)
        sample = objective.sample(chosen)
        return replace(sample, X=sample.X.astype(model.dtype, copy=False))

    def attributes(self) -> dict[str, Any]:
        """Return the fitted attributes `traffic_` and `sync_every_`."""
        return {"traffic_": self._stats, "sync_every_": self._sync_every}


def _head(pool: WorkerPool) -> Any:
    """Return the first rows of the table: the shard that has the first partition with rows is asked."""

    def call() -> Any:
        first = min(p for own in pool.partitions for p in own)
        return pool.call("head", SAMPLE_ROWS, each=[() if first in own else None for own in pool.partitions])[0]

    return pool.retry(call)
