"""ShardedRows: rows of a table whose partitions are on workers; and `TableReader`, by which workers check them.

Rows have the indices that they have in the whole table, in the order of its partitions, whichever shards hold these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..encoding.check_input import check_table
from ..encoding.quantiles import QuantileSketch, merge
from ..encoding.times import Kind
from ..nn.batch import Table
from ..nn.tape import Array

__all__ = ["ShardedRows", "TableReader", "join_tables"]

SKETCH_POINTS = 2**22  # points of the sketches of all partitions and columns together
MIN_SKETCH_POINTS = 256  # points per partition and column, at least


@dataclass(frozen=True)
class TableReader:
    """Checks rows as an estimator does; small enough to send to the workers.

    Attributes
    ----------
    estimator : ScratchMLP
        Has the number and the names of the columns, and `categorical_features`.
    kinds : list of Kind, or None
        What each column holds, if the table is read column by column.
    """

    estimator: Any
    kinds: list[Kind] | None

    @classmethod
    def for_estimator(cls, estimator: Any, kinds: list[Kind] | None) -> "TableReader":
        """Make a reader for an estimator whose feature names are set, without what else it has learned."""
        bare = type(estimator)(categorical_features=estimator.categorical_features)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(estimator, name):
                setattr(bare, name, getattr(estimator, name))
        return cls(bare, kinds)

    def check(self, X: Any) -> Any:
        """Return X checked, as `check_table` does; raise TypeError or ValueError if it does not fit the columns."""
        return check_table(self.estimator, X, self.estimator.categorical_features, self.kinds, reset=False)


class ShardedRows:
    """Rows of a table that the shards of a worker pool hold: all of them, or some.

    Parameters
    ----------
    pool : WorkerPool
    reader : TableReader
    rows : ndarray of int, shape (n,), or None
        Indices of the rows, in rising order; None for all rows.
    """

    def __init__(self, pool: Any, reader: TableReader, rows: Array | None = None):
        self.pool, self.reader, self.rows = pool, reader, rows
        self.shape = (int(pool.starts[-1]) if rows is None else len(rows), int(reader.estimator.n_features_in_))
        self._generation = -1  # of the pool, for which the following are computed
        self._edges = self._shard = self._shift = np.empty(0, dtype=np.int64)  # each (n_partitions,) or one more

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Array) -> "ShardedRows":
        return ShardedRows(self.pool, self.reader, rows if self.rows is None else self.rows[rows])

    @property
    def kinds(self) -> list[Kind] | None:
        """What each column holds, if the table is read column by column."""
        return self.reader.kinds

    def edges(self) -> Array:
        """Return the position of each partition's first row among these rows, (n_partitions + 1,)."""
        edges: Array = self.pool.starts if self.rows is None else np.searchsorted(self.rows, self.pool.starts)
        return edges

    def by_partition(self) -> list[list[Array | None]]:
        """Return, for each shard and each of its partitions, the indices of these rows in it; None for all rows."""
        if self.rows is None:
            return [[None] * len(own) for own in self.pool.partitions]
        edges, starts = self.edges(), self.pool.starts
        return [[self.rows[edges[p] : edges[p + 1]] - starts[p] for p in own] for own in self.pool.partitions]

    def by_shard(self, values: Array | None) -> list[Any]:
        """Return, for each shard, the values (n, ...) of those rows that it has, in the order of its partitions."""
        if values is None:
            return [None] * len(self.pool.partitions)
        edges = self.edges()
        return [np.concatenate([values[edges[p] : edges[p + 1]] for p in own]) for own in self.pool.partitions]

    def locate(self, rows: Array) -> tuple[Array, Array]:
        """Return the shard of each of some rows, by their positions (m,) among these; and its position there."""
        if self._generation != self.pool.generation:
            self._locate_partitions()
        partition = np.searchsorted(self._edges, rows, side="right") - 1
        return self._shard[partition], (rows + self._shift[partition]).astype(np.int32)

    def split(self, rows: Array) -> list[Array]:
        """Return, for each shard, the positions there of those of some rows that it has, in the order of `rows`."""
        shard, position = self.locate(rows)
        return [position[shard == i] for i in range(len(self.pool.partitions))]

    def _locate_partitions(self) -> None:
        """Compute the shard of each partition, and the shift from positions among these rows to those in the shard."""
        self._edges, self._generation = self.edges(), self.pool.generation
        sizes = np.diff(self._edges)
        self._shard, self._shift = np.zeros_like(sizes), -self._edges[:-1]
        for i, own in enumerate(self.pool.partitions):
            self._shard[own] = i
            self._shift[own] += np.cumsum(sizes[own]) - sizes[own]

    def sketch(self, weight: Array | None) -> QuantileSketch:
        """Return a sketch of the columns of these rows, merged from one sketch of each partition."""
        pool, n_columns, edges = self.pool, self.shape[1], self.edges()
        size = max(SKETCH_POINTS // ((len(pool.starts) - 1) * n_columns), MIN_SKETCH_POINTS)

        def action() -> list[dict[int, QuantileSketch]]:
            weights = [
                [None if weight is None else weight[edges[p] : edges[p + 1]] for p in own] for own in pool.partitions
            ]
            each = list(zip(self.by_partition(), weights, strict=True))
            sketches: list[dict[int, QuantileSketch]] = pool.call("sketch", self.reader, size, each=each)
            return sketches

        by_partition = {number: part for result in pool.retry(action) for number, part in result.items()}
        parts = [by_partition[number] for number in sorted(by_partition)]  # in an order that no shard decides
        return merge(parts, max(SKETCH_POINTS // n_columns, size))


def join_tables(tables: Sequence[Table]) -> Table:
    """Return the rows of several dense encoded tables as one table."""
    first = tables[0]
    if len(tables) == 1:
        return first
    codes = None if first.codes is None else np.concatenate([np.asarray(table.codes) for table in tables])
    return Table(np.concatenate([table.X for table in tables]), codes, ones=first.ones)
