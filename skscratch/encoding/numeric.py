"""Blocks of number columns: the scaled numbers, and the flags of missing values.

A number x becomes u = (x - median) / (interquartile range) and then u / sqrt(1 + (u / 3)²), a smooth clipping into
(-3, 3) (Holzmüller et al. 2024, section 3).  A missing value becomes 0, the median, beside a flag of 1.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from ..nn.tape import Array
from .columns import Column, RawTable
from .quantiles import weighted_quantiles

__all__ = ["CLIP_LIMIT", "MissingFlags", "Numbers"]

CLIP_LIMIT = 3.0  # the bound of the smooth clipping
MAX_SCALED = 1e6  # scaled values beyond this are cut off first: their squares are finite, in float32 too
MIN_HALF_RANGE = 1e-300  # a column with a smaller half range counts as constant


@dataclass(frozen=True, eq=False)
class Numbers:
    """Number columns, scaled and clipped smoothly.

    Attributes
    ----------
    columns : ndarray of int, shape (width,)
        The column of the raw table that each number comes from.
    center, factor : ndarray of shape (width,)
        Median, and one over the interquartile range, of each column.
    scale : bool
        Whether to scale. If False, the numbers stay as they are, and a missing value becomes the median.
    constant_factor : float
        Factor of a constant column: 0, or 1 where later rows may vary.
    monotone : bool
        Whether no rounding may let a scaled number fall as x rises.
    """

    columns: Array
    center: Array
    factor: Array
    scale: bool
    constant_factor: float
    monotone: bool = False

    @classmethod
    def learn(cls, data: Iterable[Column], columns: Array, scale: bool, constant_factor: float) -> Self:
        """Learn median and interquartile range of columns, given as pairs of values (n,) and weights (n,).

        Where the quartiles are equal, the mean distance from the median of the values that differ from it takes the
        place of the interquartile range.
        """
        center, factor = np.zeros(len(columns)), np.ones(len(columns))
        for i, (x, weight) in enumerate(data):
            missing = np.isnan(x)
            if missing.any():
                x, weight = x[~missing], None if weight is None else weight[~missing]
            q25, median, q75 = weighted_quantiles(x, weight, (0.25, 0.5, 0.75))
            center[i] = 0.0 if np.isnan(median) else median
            if scale:  # all in halves: the range itself could overflow
                half_range = q75 / 2 - q25 / 2 if q75 > q25 else _half_mean_distance(x, weight, median)
                factor[i] = 0.5 / half_range if half_range > MIN_HALF_RANGE else constant_factor
        return cls(columns, center, factor, scale, constant_factor)

    def refitted(self, data: Iterable[Column]) -> Self:
        """The same block with statistics of other rows."""
        new = self.learn(data, self.columns, self.scale, self.constant_factor)
        return replace(new, monotone=self.monotone)

    @property
    def width(self) -> int:
        """Number of encoded columns."""
        return len(self.columns)

    def names(self, feature_names: Sequence[str]) -> list[str]:
        """Name of each encoded column."""
        return [feature_names[j] for j in self.columns]

    def sources(self) -> Array:
        """Column of the raw table that each encoded column comes from."""
        return self.columns

    def write(self, table: RawTable, out: Array) -> None:
        """Write the scaled numbers (n, width) into `out`."""
        self.scale_into(table.numbers, out)

    def scale_into(self, x: Array, out: Array, which: Any = slice(None)) -> None:
        """Scale the numbers `x` into `out`; `which` selects their columns, if they are not all of the block's."""
        center, factor = self.center[which], self.factor[which]
        if not self.scale:
            out[...] = x
            if np.isnan(out.sum()):
                np.copyto(out, center, where=np.isnan(x), casting="same_kind")
            return
        # u = (x - center) · factor, in double precision: a column of 1e9 ± 1 keeps its digits in a float32 network.
        # The passes are over contiguous arrays: in rows of a wider table they take up to twice as long.
        u = np.subtract(x, center, dtype=np.float64, order="C")
        np.multiply(u, factor, out=u)
        u = u.astype(out.dtype, copy=False)
        root = np.multiply(u, u)
        if not np.isfinite(root.max(initial=0)):  # values are missing, or too large to be squared
            np.copyto(u, 0, where=np.isnan(u))
            np.clip(u, -MAX_SCALED, MAX_SCALED, out=u)
            np.multiply(u, u, out=root)
        if self.monotone:
            _clip_monotonically(u, root, out)
            return
        np.multiply(root, CLIP_LIMIT**-2, out=root)
        np.add(root, 1, out=root)
        np.sqrt(root, out=root)
        np.divide(u, root, out=out)  # u / sqrt(1 + (u / CLIP_LIMIT)²)

    def to_state(self) -> dict[str, Any]:
        """The block as a dictionary of arrays and numbers."""
        return dict(vars(self))

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The block that `to_state` described."""
        return cls(**state)


@dataclass(frozen=True, eq=False)
class MissingFlags:
    """A column of 0 and 1 for each number column in which some values, but not all, are missing.

    Attributes
    ----------
    positions : ndarray of int, shape (width,)
        Position of each flagged column among the number columns.
    columns : ndarray of int, shape (width,)
        The same columns' numbers in the raw table.
    """

    positions: Array
    columns: Array

    @classmethod
    def learn(cls, data: Sequence[Column], columns: Array) -> Self:
        """Find the columns with missing values."""
        counts = [np.count_nonzero(np.isnan(x)) for x, _ in data]
        sizes = [len(x) for x, _ in data]
        positions = np.flatnonzero((np.array(counts) > 0) & (np.array(counts) < np.array(sizes)))
        return cls(positions, columns[positions])

    @property
    def width(self) -> int:
        """Number of encoded columns."""
        return len(self.columns)

    def names(self, feature_names: Sequence[str]) -> list[str]:
        """Name of each encoded column."""
        return [f"{feature_names[j]} missing" for j in self.columns]

    def sources(self) -> Array:
        """Column of the raw table that each encoded column comes from."""
        return self.columns

    def write(self, table: RawTable, out: Array) -> None:
        """Write 1 where a value is missing, else 0, into `out` (n, width)."""
        out[...] = np.isnan(table.numbers[:, self.positions])

    def to_state(self) -> dict[str, Any]:
        """The block as a dictionary of arrays."""
        return dict(vars(self))

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The block that `to_state` described."""
        return cls(**state)


def _clip_monotonically(u: Array, square: Array, out: Array) -> None:
    """Write sign(u) / sqrt(1 / u² + (1 / CLIP_LIMIT)²) into `out`; `square` is u², and is overwritten.

    This is the same smooth clipping, but each of its steps is monotone in |u|, after rounding too.  In
    u / sqrt(1 + (u / CLIP_LIMIT)²) numerator and denominator both grow, and their rounded quotient may fall.
    """
    with np.errstate(divide="ignore", over="ignore"):  # 1 / 0 is infinite, and becomes 0 again
        np.divide(1, square, out=square)
        np.add(square, CLIP_LIMIT**-2, out=square)
        np.sqrt(square, out=square)
        np.divide(1, square, out=square)
    np.copysign(square, u, out=out)


def _half_mean_distance(x: Array, weight: Array | None, median: float) -> float:
    """Half the mean distance from the median of the values that differ from it; 0 if none does."""
    differs = x != median
    if not differs.any():
        return 0.0
    half_distance = np.abs(x[differs] / 2 - median / 2)
    exponent = np.frexp(half_distance.max())[1]  # in units of a power of two, neither sum nor product overflows
    mean = np.average(np.ldexp(half_distance, -exponent), weights=None if weight is None else weight[differs])
    return float(np.ldexp(mean, exponent))
