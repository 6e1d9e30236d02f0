"""Summaries of a table's columns that add up: parts of a table are summarised where they lie, and merged.

A number column is summarised by weighted points that stand for its values: all of its distinct values if they are few,
else as many order statistics at equal distances of weight, so that a quantile is off by no more than the distance.  A
category is summarised by the values that occur.  Of a stream, which comes chunk by chunk, a sample is kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np

from .columns import Columns
from .out_of_core import MemmapTable

__all__ = ["Stream", "Summary", "mapped_summary", "merged", "summarise"]

POINTS = 2**17  # of all columns of a memory-mapped array together; at least 256 each
SAMPLE = 1024  # rows of a stream that are kept: a quantile of theirs is off by one or two hundredths of the rows
GROWTH = 1.5  # of the rows that went by, until what was learned from the sample is learned anew


@dataclass(frozen=True)
class Summary:
    """What is known of the columns of a table.

    Attributes
    ----------
    points : list of ndarray
        Of a number column, points in rising order, NaN (if any value is missing) last; of a category, its values.
    weights : list of ndarray or None
        Total weight that each point stands for; None for categories.
    categorical : list of bool, or None
        Which columns are categories; None where all are numbers.
    n : int
        Number of rows.
    """

    points: list[np.ndarray]
    weights: list[Any]
    categorical: list[bool] | None
    n: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the table."""
        return self.n, len(self.points)


def summarise(data: Any, weight: np.ndarray | None, size: int) -> Summary:
    """Summary of checked rows (a float array with NaN, or Columns) with at most `size` points a column."""
    categorical = data.categorical if isinstance(data, Columns) else None
    n, n_columns = data.shape
    points: list[np.ndarray] = []
    weights: list[Any] = []
    for j in range(n_columns):
        column = data.values[j] if isinstance(data, Columns) else data[:, j]
        if categorical and categorical[j]:
            points.append(_distinct([column]))
            weights.append(None)
        else:
            x, w = _condensed(column.astype(np.float64), weight, size)
            points.append(x)
            weights.append(w)
    return Summary(points, weights, categorical, n)


def merged(parts: Sequence[Summary], size: int) -> Summary:
    """Summary of all rows of several parts of one table, with at most `size` points a column."""
    first = parts[0]
    points: list[np.ndarray] = []
    weights: list[Any] = []
    for j in range(len(first.points)):
        columns = [part.points[j] for part in parts]
        if first.categorical and first.categorical[j]:
            points.append(_distinct(columns))
            weights.append(None)
        else:
            x, w = _condensed(np.concatenate(columns), np.concatenate([part.weights[j] for part in parts]), size)
            points.append(x)
            weights.append(w)
    return Summary(points, weights, first.categorical, sum(part.n for part in parts))


def mapped_summary(data: MemmapTable, weight: np.ndarray | None) -> Summary:
    """Summary of the rows of a memory-mapped array, read once."""
    size = max(POINTS // data.shape[1], 256)
    parts: list[Summary] = []  # each of more than twice the rows of the next, so that few are kept and merged each time
    for rows, chunk in data.chunks():
        parts.append(summarise(chunk, None if weight is None else weight[rows], size))
        while len(parts) > 1 and parts[-2].n <= 2 * parts[-1].n:
            parts[-2:] = [merged(parts[-2:], size)]
    return merged(parts, size)


@dataclass(frozen=True)
class Stream:
    """A sample of the rows of a stream, in which each row seen so far is as likely to be as any other.

    Rows draw lots, and the lowest make the sample. The lots depend on nothing but the chunk in which the rows come, so
    that a chunk which comes again, in another pass over a table, changes nothing.

    Attributes
    ----------
    rows : ndarray of shape (m, d)
        Numbers, NaN where missing.
    weight : ndarray of shape (m,)
    lots : ndarray of shape (m,)
        What the rows drew, in rising order.
    n : int
        Rows that went by.
    learned : int
        How many of them had when last something was learned from the sample.
    changed : bool
        Whether other rows have come into it since.
    """

    rows: np.ndarray
    weight: np.ndarray
    lots: np.ndarray
    n: int = 0
    learned: int = 0
    changed: bool = False

    @classmethod
    def of(cls, n_columns: int) -> "Stream":
        """Stream of which nothing has been seen."""
        return cls(np.empty((0, n_columns)), np.empty(0), np.empty(0))

    def after(self, columns: Sequence[np.ndarray], weight: np.ndarray | None) -> "Stream":
        """The stream with one chunk more, given as columns (n,) and the weights of its rows."""
        n, mark = len(columns[0]), 0
        for array in (*columns, weight):
            mark = mark if array is None else crc32(np.ascontiguousarray(array), mark)
        lots = np.random.default_rng(mark).random(n)
        low = np.flatnonzero(lots < (self.lots[-1] if len(self.lots) == SAMPLE else 1))
        new = low[~np.isin(lots[low], self.lots)]
        if len(new) == 0:
            return replace(self, n=self.n + n)
        rows = np.concatenate([self.rows, np.column_stack([column[new] for column in columns])])
        weight = np.append(self.weight, np.ones(len(new)) if weight is None else weight[new])
        lots = np.append(self.lots, lots[new])
        lowest = np.argsort(lots)[:SAMPLE]
        return Stream(rows[lowest], weight[lowest], lots[lowest], self.n + n, self.learned, True)

    @property
    def due(self) -> bool:
        """Whether what was learned from the sample should be learned anew: half as many rows more have gone by."""
        return self.changed and self.n >= GROWTH * self.learned

    def learnt(self) -> "Stream":
        """The stream, learned from up to here."""
        return replace(self, learned=self.n, changed=False)


def _distinct(columns: Sequence[np.ndarray]) -> np.ndarray:
    return np.array(list({value: None for column in columns for value in column if value is not None}), dtype=object)


def _condensed(x: np.ndarray, weight: np.ndarray | None, size: int) -> tuple[np.ndarray, np.ndarray]:
    """At most `size` points (and NaN) and their weights for the values `x` (n,) of given weight, or of weight 1."""
    if weight is None:
        x = np.sort(x)  # all NaN last
    else:
        x, weight = x[weight > 0], weight[weight > 0]
        order = np.argsort(x)
        x, weight = x[order], weight[order]
    there = x[: len(x) - np.count_nonzero(np.isnan(x))]
    n = len(there)
    first = np.flatnonzero(np.append(True, there[1:] != there[:-1])[:n])
    points, mass = there[first], _sums(weight, first, n)
    if len(points) > size:
        # order statistics from the least value to the greatest, those at the ends for half a distance each
        upto = np.cumsum(mass)
        share = np.full(size, upto[-1] / (size - 1))
        share[[0, -1]] /= 2
        picked = np.searchsorted(upto, np.linspace(0, upto[-1], size) * (1 - 1e-12))
        picked[-1] = len(points) - 1
        first = np.flatnonzero(np.append(True, picked[1:] != picked[:-1]))
        points, mass = points[picked[first]], _sums(share, first, size)
    if n == len(x):
        return points, mass
    return np.append(points, np.nan), np.append(mass, len(x) - n if weight is None else weight[n:].sum())


def _sums(weight: np.ndarray | None, first: np.ndarray, n: int) -> np.ndarray:
    """Sum of each run of the first `n` weights, where the runs begin at `first`."""
    if weight is None:
        return np.diff(first, append=n).astype(np.float64)
    return np.add.reduceat(weight[:n], first) if n else np.empty(0)
