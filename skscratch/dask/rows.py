"""Rows of a table that lies on shards: which they are, which shard has them, and what is asked of them as they came."""

from typing import Any

import numpy as np

from ..encoding.quantiles import QuantileSketch, merge
from ..nn.batch import Table
from .shard import joined

__all__ = ["Selection"]

POINTS = 2**22  # of the summaries of all partitions and columns together; at least 256 each


class Selection:
    """Rows of a sharded table: all, or those numbered.

    Parameters
    ----------
    crew : Crew
        Who is asked.
    n_columns : int
    rows : ndarray of int, or None
        Numbers of the rows among all of the table; None for all.
    """

    def __init__(self, crew: Any, n_columns: int, rows: np.ndarray | None = None):
        self.crew, self.rows = crew, rows
        self.shape = (int(crew.starts[-1]) if rows is None else len(rows), n_columns)
        self._placed = -1  # the generation of shards that these are of:
        self._edges = self._owner = self._shift = np.empty(0, dtype=np.int64)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: np.ndarray) -> "Selection":
        return Selection(self.crew, self.shape[1], rows if self.rows is None else self.rows[rows])

    # In all that follows the rows are in rising order, and so those of a partition lie side by side

    def edges(self) -> np.ndarray:
        """Where the rows of each partition begin among those selected, (n_partitions + 1,)."""
        return self.crew.starts if self.rows is None else np.searchsorted(self.rows, self.crew.starts)

    def chosen(self) -> list[list[np.ndarray | None]]:
        """Of each shard, and of each of its partitions, the numbers of the rows; None for all."""
        if self.rows is None:
            return [[None] * len(parts) for parts in self.crew.parts]
        edges, starts = self.edges(), self.crew.starts
        return [[self.rows[edges[p] : edges[p + 1]] - starts[p] for p in parts] for parts in self.crew.parts]

    def shares(self, values: np.ndarray | None) -> list[np.ndarray | None]:
        """Of each shard the values (n, ...) of its rows, one partition after the other."""
        if values is None:
            return [None] * len(self.crew.parts)
        edges = self.edges()
        return [np.concatenate([values[edges[p] : edges[p + 1]] for p in parts]) for parts in self.crew.parts]

    def divided(self, rows: np.ndarray) -> list[np.ndarray]:
        """Of each shard, which of its own selected rows are among those numbered `rows`, in their order."""
        if self._placed != self.crew.generation:
            self._place()
        part = np.searchsorted(self._edges, rows, side="right") - 1
        own, local = self._owner[part], (rows + self._shift[part]).astype(np.int32)
        return [local[own == shard] for shard in range(len(self.crew.parts))]

    def _place(self) -> None:
        """Note which shard has each partition, and how its rows are numbered there."""
        self._edges, self._placed = self.edges(), self.crew.generation
        sizes = np.diff(self._edges)
        self._owner, self._shift = np.zeros_like(sizes), -self._edges[:-1]
        for shard, parts in enumerate(self.crew.parts):
            self._owner[parts] = shard
            self._shift[parts] += np.cumsum(sizes[parts]) - sizes[parts]

    def summary(self, reader: Any, weight: np.ndarray | None) -> QuantileSketch:
        """Summary of the columns of these rows."""
        size = max(POINTS // ((len(self.crew.starts) - 1) * self.shape[1]), 256)
        edges = self.edges()

        def ask() -> list[dict[int, QuantileSketch]]:
            chosen = self.chosen()
            weights = [
                [None if weight is None else weight[edges[p] : edges[p + 1]] for p in s] for s in self.crew.parts
            ]
            return self.crew.ask("summary", reader, size, each=list(zip(chosen, weights, strict=True)))

        parts = {number: part for answer in self.crew.persist(ask) for number, part in answer.items()}
        return merge([parts[number] for number in sorted(parts)], max(POINTS // self.shape[1], size))

    def encoded(self, reader: Any, dtype: np.dtype) -> Table:
        """These rows, few and in any order, encoded."""
        assert self.rows is not None
        order = np.argsort(self.rows)
        ordered = Selection(self.crew, self.shape[1], self.rows[order])
        shards: list[Any] = []

        def ask() -> list[Table | None]:
            shards[:] = self.crew.parts
            return self.crew.ask("sample", reader, dtype, each=[(chosen,) for chosen in ordered.chosen()])

        tables = [table for table in self.crew.persist(ask) if table is not None]
        edges = ordered.edges()
        place = order[np.concatenate([np.arange(edges[p], edges[p + 1]) for parts in shards for p in parts])]
        return _taken(joined(tables), np.argsort(place))


def _taken(table: Table, rows: np.ndarray) -> Table:
    batch = table.buffer(len(rows))
    table.gather(rows, batch)
    return batch
