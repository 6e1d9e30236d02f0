"""Summaries of a table's columns that add up: parts of a table are summarised where they lie, and merged.

A number column is summarised by weighted points that stand for its values: all of its distinct values if they are few,
else as many order statistics at equal distances of weight, so that a quantile is off by no more than the distance.  A
category is summarised by the values that occur.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .columns import Columns

__all__ = ["Summary", "merged", "summarise"]


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
    weight = np.ones(n) if weight is None else weight
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


def _distinct(columns: Sequence[np.ndarray]) -> np.ndarray:
    return np.array(list({value: None for column in columns for value in column if value is not None}), dtype=object)


def _condensed(x: np.ndarray, weight: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """At most `size` points (and NaN) and their weights for the values `x` (n,) of given weight."""
    x, weight = x[weight > 0], weight[weight > 0]
    points, place = np.unique(x, return_inverse=True)  # sorted, all NaN as one, last
    mass = np.bincount(place.ravel(), weight, minlength=len(points))
    missing = len(points) > 0 and np.isnan(points[-1])
    n = len(points) - missing
    if n <= size:
        return points, mass
    # order statistics from the least value to the greatest, those at the ends for half a distance each
    upto = np.cumsum(mass[:n])
    share = np.full(size, upto[-1] / (size - 1))
    share[[0, -1]] /= 2
    picked = np.searchsorted(upto, np.linspace(0, upto[-1], size) * (1 - 1e-12))
    picked[-1] = n - 1
    kept, place = np.unique(points[picked], return_inverse=True)
    mass_kept = np.bincount(place.ravel(), share)
    return np.append(kept, points[n:]), np.append(mass_kept, mass[n:])
