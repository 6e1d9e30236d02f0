"""The block of bins: each number column as components that fill up one after the other.

With the edges e_0 < e_1 < ... of a column, component j is (x - e_j) / (e_{j+1} - e_j), clipped to [0, 1]: the
piecewise-linear encoding of Gorishniy et al. 2022 ("On Embeddings for Numerical Features in Tabular Deep Learning",
eq. 1).  A linear layer on these components is a piecewise-linear function of the column, with its kinks at the edges.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import numpy as np

from ..nn.tape import Array
from .columns import Column, RawTable
from .quantiles import weighted_quantiles

__all__ = ["Bins", "Components"]

MAX_BINS = 2**16  # of a column; more are as good as these


class Components(NamedTuple):
    """All components of a block of bins, one entry each: five arrays of shape (width,).

    Edges are multiplied by a power of two that makes them of order one.  That is exact, and no difference overflows.
    """

    number: Array  # position of the column among the number columns
    exponent: Array  # values are multiplied by 2**exponent
    low: Array  # lower edge, multiplied
    size: Array  # distance to the upper edge, multiplied
    missing: Array  # the component of a missing value


@dataclass(frozen=True, eq=False)
class Bins:
    """Number columns as components between edges.

    Attributes
    ----------
    columns : ndarray of int, shape (n_numbers,)
        The column of the raw table that each number comes from.
    edges : list of ndarray
        Increasing edges of each number column; empty for a column without bins.
    imputed : ndarray of shape (n_numbers,)
        The number that takes the place of a missing one. NaN if the components of a missing number are all 0.
    """

    columns: Array
    edges: list[Array]
    imputed: Array

    @classmethod
    def learn(cls, data: Iterable[Column], columns: Array, count: int, imputed: Array) -> Self:
        """Learn up to `count` bins of each column, given as pairs of values (n,) and weights (n,).

        Half of the edges are quantiles of the rows, half are quantiles of the distinct values: these resolve columns
        in which most rows share one value.  A column of at most two values has no bins: a linear term represents it
        exactly.
        """
        levels = np.linspace(0, 1, min(count, MAX_BINS) // 2 + 1).tolist()
        return cls(columns, [_edges(x, weight, levels) for x, weight in data], imputed)

    @classmethod
    def none(cls) -> Self:
        """A block without columns."""
        return cls(np.empty(0, int), [], np.empty(0))

    def refitted(self, data: Iterable[Column], count: int, imputed: Array) -> Self:
        """The same components between edges that are learned from other rows."""
        new = self.learn(data, self.columns, count, imputed)
        edges = [_resampled(own, before) for own, before in zip(new.edges, self.edges, strict=True)]
        return type(self)(self.columns, edges, imputed)

    @cached_property
    def width(self) -> int:
        """Number of encoded columns."""
        return sum([max(len(edges) - 1, 0) for edges in self.edges])

    def names(
        self, feature_names: Sequence[str], formats: Mapping[int, Callable[[float], str]] = MappingProxyType({})
    ) -> list[str]:
        """Name of each component, with edges in the format of its column of the raw table, if this has one."""
        return [
            f"{feature_names[j]} from {text(low)} to {text(high)}"
            for j, edges in zip(self.columns.tolist(), self.edges, strict=True)
            for text in [formats.get(j, "{:.4g}".format)]
            for low, high in zip(edges[:-1], edges[1:], strict=True)
        ]

    def sources(self) -> Array:
        """Column of the raw table that each component comes from."""
        return self.columns[self.components.number]

    def write(self, table: RawTable, out: Array) -> None:
        """Write the components (n, width) of the rows of `table` into `out`."""
        number, exponent, low, size, missing = self.components
        part = table.numbers.take(number, 1).astype(np.float64, copy=False)
        np.ldexp(part, exponent, out=part)
        np.subtract(part, low, out=part)
        np.divide(part, size, out=part)  # (x - e_j) / (e_{j+1} - e_j)
        np.maximum(part, 0, out=part)
        np.minimum(part, 1, out=part)
        np.copyto(part, missing, where=np.isnan(part))
        out[...] = part

    @cached_property
    def components(self) -> Components:
        """The components of all columns, side by side."""
        counts = np.array([max(len(edges) - 1, 0) for edges in self.edges], dtype=int)
        number = np.repeat(np.arange(len(counts)), counts)
        exponents = [-np.frexp(np.abs(edges).max())[1] if len(edges) else 0 for edges in self.edges]
        scaled = [np.ldexp(edges, exponent) for edges, exponent in zip(self.edges, exponents, strict=True)]
        exponent = np.repeat(np.array(exponents, dtype=int), counts)
        low = np.concatenate([np.empty(0), *[edges[:-1] for edges in scaled]])
        size = np.concatenate([np.empty(0), *[np.diff(edges) for edges in scaled]])
        with np.errstate(over="ignore"):
            missing = np.clip((np.ldexp(self.imputed[number], exponent) - low) / size, 0, 1)
        return Components(number, exponent, low, size, np.nan_to_num(missing))

    def to_state(self) -> dict[str, Any]:
        """The block as a dictionary of arrays."""
        return {"columns": self.columns, "edges": list(self.edges), "imputed": self.imputed}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The block that `to_state` described."""
        return cls(**state)

    __getstate__ = to_state  # a pickle leaves out what is derived from the edges


def _edges(x: Array, weight: Array | None, levels: Sequence[float]) -> Array:
    """Edges of one column: quantiles of its rows and of its distinct values, without those equal up to rounding."""
    present = ~np.isnan(x) if weight is None else ~np.isnan(x) & (weight > 0)
    x, weight = x[present], None if weight is None else weight[present]
    distinct = np.unique(x)
    if len(distinct) <= 2:
        return np.empty(0)
    edges = np.union1d(weighted_quantiles(x, weight, levels), weighted_quantiles(distinct, None, levels))
    scaled = np.ldexp(edges, -np.frexp(np.abs(edges).max())[1])
    kept: Array = edges[np.append(True, np.diff(scaled) > 1e-12 * np.abs(scaled).max())]
    return kept


def _resampled(edges: Array, before: Array) -> Array:
    """As many edges as in `before`: those of `edges`, interpolated if their number differs; else those of `before`."""
    if len(before) == 0 or len(edges) < 2:
        return before
    positions = np.linspace(0, len(edges) - 1, len(before))
    return 2 * np.interp(positions, np.arange(len(edges)), edges / 2)  # halved: no difference overflows
