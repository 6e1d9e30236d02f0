"""Weighted mean, standard deviation and quantiles of columns, and quantile sketches, which can be merged.

A row of weight 2 counts as two rows.  A quantile sketch describes the columns of a table that is too large to sort:
each part of the table is sketched by itself, and the sketches are merged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..nn.tape import Array
from .columns import Column, ColumnTable
from .dates import phase_ranges
from .times import Kind

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
    kinds : list of Kind, or None
        What each column holds; None if all are numbers.
    n : int
        Number of rows.
    phases : list of ndarray of shape (3, 2), or None
        Of each column of times what `phase_ranges` returns; None for other columns.
    """

    points: list[Array]
    weights: list[Array | None]
    kinds: list[Kind] | None
    n: int
    phases: list[Array | None]

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns of the table."""
        return self.n, len(self.points)


def sketch(data: Array | ColumnTable, weight: Array | None, size: int) -> QuantileSketch:
    """Sketch a checked table (float array with NaN, or ColumnTable) with at most `size` points per column."""
    columns = data.values if isinstance(data, ColumnTable) else list(data.T)
    kinds = data.kinds if isinstance(data, ColumnTable) else None
    points: list[Array] = []
    weights: list[Array | None] = []
    phases: list[Array | None] = []
    for j, column in enumerate(columns):
        if kinds and kinds[j].is_category:
            x, w = _distinct_values([column]), None
        else:
            x, w = _compress(column.astype(np.float64), weight, size)
        points.append(x)
        weights.append(w)
        phases.append(phase_ranges(column) if kinds and kinds[j].is_time else None)
    return QuantileSketch(points, weights, kinds, data.shape[0], phases)


def merge(parts: Sequence[QuantileSketch], size: int) -> QuantileSketch:
    """Merge the sketches of parts of a table into one with at most `size` points per column."""
    kinds = parts[0].kinds
    points: list[Array] = []
    weights: list[Array | None] = []
    for j in range(len(parts[0].points)):
        columns = [part.points[j] for part in parts]
        if kinds and kinds[j].is_category:
            x, w = _distinct_values(columns), None
        else:
            masses = [mass for part in parts if (mass := part.weights[j]) is not None]
            x, w = _compress(np.concatenate(columns), np.concatenate(masses), size)
        points.append(x)
        weights.append(w)
    phases = [_merged_ranges([part.phases[j] for part in parts]) for j in range(len(points))]
    return QuantileSketch(points, weights, kinds, sum([part.n for part in parts]), phases)


def _merged_ranges(ranges: Sequence[Array | None]) -> Array | None:
    """Smallest and largest phases over all parts of a table; None for a column without phases."""
    known = [part for part in ranges if part is not None]
    return np.stack([np.min(known, axis=0)[:, 0], np.max(known, axis=0)[:, 1]], axis=1) if known else None


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
