"""Weighted mean, standard deviation and quantiles of columns, and quantile sketches, which can be merged.

A row of weight 2 counts as two rows.  A quantile sketch describes the columns of a table that is too large to sort:
each part of the table is sketched by itself, and the sketches are merged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..nn.tape import Array
from .columns import Column, ColumnTable

QUANTILE_TOLERANCE = 1e-12  # a level falls between two rows if it does so up to this share of the total weight

__all__ = ["QuantileSketch", "merge", "sketch", "weighted_mean_std", "weighted_quantiles"]


def weighted_mean_std(y: Array, weight: Array | None) -> tuple[Array, Array]:
    """Mean and population standard deviation of each column of `y` (n, d), both (d,)."""
    unit = np.max(np.abs(y), axis=0)  # in units of the largest value, neither sums nor squares overflow
    y = y / np.where(unit > 0, unit, 1)
    mean = np.average(y, axis=0, weights=weight)
    return mean * unit, np.sqrt(np.average((y - mean) ** 2, axis=0, weights=weight)) * unit


def weighted_quantiles(x: Array, weight: Array | None, levels: Sequence[float]) -> Array:
    """Quantiles of a column `x` (n,) without NaN; where a level falls between two rows, their mean.

    This is the "averaged inverted distribution function" (Hyndman & Fan 1996, definition 2).  It is the only common
    definition that gives the same result for a repeated row and for a row of double weight.
    """
    if weight is not None:
        x, weight = x[weight > 0], weight[weight > 0]
    if len(x) == 0:
        return np.full(len(levels), np.nan)
    x, last = x.astype(np.float64), len(x) - 1
    tolerance, shares = QUANTILE_TOLERANCE, np.asarray(levels, dtype=float)
    if weight is None:
        x.sort()
        targets = shares * len(x)  # the first i rows weigh i
        low = np.ceil(targets * (1 - tolerance)).astype(int) - 1
        high = np.floor(targets * (1 + tolerance)).astype(int)
    else:
        order = np.argsort(x, kind="stable")
        x, cumulative = x[order], np.cumsum(weight[order])
        targets = shares * cumulative[-1]
        low = np.searchsorted(cumulative, targets * (1 - tolerance), side="left")
        high = np.searchsorted(cumulative, targets * (1 + tolerance), side="right")
    low, high = np.clip(low, 0, last), np.minimum(high, last)
    quantiles: Array = np.where(low == high, x[low], x[low] / 2 + x[high] / 2)  # halved first: the sum could overflow
    return quantiles


# ------------------------------------------------------------- sketches


@dataclass(frozen=True, eq=False)
class QuantileSketch:
    """The distribution of each column of a table, in few values.

    A number column is represented by weighted points: by all of its distinct values if they are few, otherwise by order
    statistics at equal distances of cumulative weight, so that the rank of a quantile is wrong by at most one distance.
    A category column is represented by the values that occur.

    Attributes
    ----------
    points : list of ndarray
        Of a number column the points in increasing order, NaN last if any value is missing; of a category its values.
    weights : list of ndarray or None
        Total weight of the rows that each point represents; None for a category.
    categorical : list of bool, or None
        Which columns are categories; None if all are numbers.
    n : int
        Number of rows.
    """

    points: list[Array]
    weights: list[Array | None]
    categorical: list[bool] | None
    n: int

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns of the table."""
        return self.n, len(self.points)


def sketch(data: Array | ColumnTable, weight: Array | None, size: int) -> QuantileSketch:
    """Sketch a checked table (float array with NaN, or ColumnTable) with at most `size` points per column."""
    columns = data.values if isinstance(data, ColumnTable) else list(data.T)
    categorical = data.categorical if isinstance(data, ColumnTable) else None
    points: list[Array] = []
    weights: list[Array | None] = []
    for j, column in enumerate(columns):
        if categorical and categorical[j]:
            x, w = _distinct_values([column]), None
        else:
            x, w = _compress(column.astype(np.float64), weight, size)
        points.append(x)
        weights.append(w)
    return QuantileSketch(points, weights, categorical, data.shape[0])


def merge(parts: Sequence[QuantileSketch], size: int) -> QuantileSketch:
    """Merge the sketches of parts of a table into one with at most `size` points per column."""
    categorical = parts[0].categorical
    points: list[Array] = []
    weights: list[Array | None] = []
    for j in range(len(parts[0].points)):
        columns = [part.points[j] for part in parts]
        if categorical and categorical[j]:
            x, w = _distinct_values(columns), None
        else:
            masses = [mass for part in parts if (mass := part.weights[j]) is not None]
            x, w = _compress(np.concatenate(columns), np.concatenate(masses), size)
        points.append(x)
        weights.append(w)
    return QuantileSketch(points, weights, categorical, sum([part.n for part in parts]))


def _distinct_values(columns: Sequence[Array]) -> Array:
    """Distinct categories in these columns, in order of appearance."""
    return np.array(list({value: None for column in columns for value in column if value is not None}), dtype=object)


def _compress(x: Array, weight: Array | None, size: int) -> Column:
    """Represent the values `x` (n,) by at most `size` points, and NaN, and the weight of each point."""
    if weight is None:
        x = np.sort(x)  # NaN last
    else:
        x, weight = x[weight > 0], weight[weight > 0]
        order = np.argsort(x)
        x, weight = x[order], weight[order]
    n = len(x) - int(np.count_nonzero(np.isnan(x)))
    present = x[:n]
    first = np.flatnonzero(np.append(True, present[1:] != present[:-1])[:n])  # where each distinct value begins
    points, mass = present[first], _run_sums(weight, first, n)
    if len(points) > size:
        # order statistics from the minimum to the maximum; the two at the ends represent half a distance each
        cumulative = np.cumsum(mass)
        distance = np.full(size, cumulative[-1] / (size - 1))
        distance[[0, -1]] /= 2
        chosen = np.searchsorted(cumulative, np.linspace(0, cumulative[-1], size) * (1 - 1e-12))
        chosen[-1] = len(points) - 1
        first = np.flatnonzero(np.append(True, chosen[1:] != chosen[:-1]))
        points, mass = points[chosen[first]], _run_sums(distance, first, size)
    if n == len(x):
        return points, mass
    return np.append(points, np.nan), np.append(mass, len(x) - n if weight is None else weight[n:].sum())


def _run_sums(weight: Array | None, first: Array, n: int) -> Array:
    """Sum of each run of the first `n` weights, where the runs begin at the indices `first`."""
    if weight is None:
        return np.diff(first, append=n).astype(np.float64)
    return np.add.reduceat(weight[:n], first) if n else np.empty(0)
