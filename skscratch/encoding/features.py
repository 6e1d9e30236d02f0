"""From a table as it comes to the numbers a network reads: scaling, missing values, categories.

Each number column becomes (x - median) / quartile range, squeezed smoothly into (-3, 3); missing becomes 0,
with a column beside it that says so.  Where the quartiles are equal, the unit is the mean distance from the median
of the values that differ from it.  A small category becomes one-hot columns, a large one a code for an
embedding.  Bins, where they are asked for, stand before all others.  All statistics are weighted, so that
weight 2 counts as the row twice.  Those of numbers can follow rows that come later.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..nn.batch import Table
from .bins import Bins
from .columns import Columns
from .quantiles import weighted_quantiles
from .sketches import Summary

__all__ = ["FeatureEncoder"]

MAX_ONE_HOT = 50  # more categories than this get a learned embedding
LIMIT = 3.0  # of the smooth clipping (Holzmüller et al. 2024, section 3)
ON = 2 / (1 + (2 / LIMIT) ** 2) ** 0.5  # one-hot, scaled as the same paper scales a rare 0/1 column
SPARSE_CHUNK = 2**14  # stored values at a time, which bounds what their statistics take of memory
CHUNK = 2**16  # numbers at a time: scaling takes several passes, which should find them in the cache


class FeatureEncoder:
    """Turn checked input (float array with NaN, CSR matrix or Columns) into a Table.

    Attributes, once fitted
    -----------------------
    categorical : list of bool, or None
        Which columns are categories, where the table was read column by column.
    names : list of str
        What each column of the numeric block holds.
    n_bins : int
        How many of these, the first, are bins.
    categories : tuple of int
        Number of categories of each column that has an embedding.
    """

    def __init__(self, scale: bool, more_to_come: bool = False, bins_per_column: int = 0):
        """Scale or not; where there are `more_to_come`, a column constant so far may vary later."""
        self.scale, self._of_constant = scale, 1.0 if more_to_come else 0.0
        self._bins_per_column = bins_per_column
        self._on = ON if scale else 1.0

    def fit(
        self, data: Any, weight: np.ndarray | None, names: list[str], declared: Sequence[Sequence[Any]] = ()
    ) -> "FeatureEncoder":
        """Learn medians, quartile ranges and categories from the rows of `data`, or from a Summary of them.

        Categories that are `declared` of a column count as if they occurred.
        """
        self.categorical = data.categorical if isinstance(data, Columns | Summary) else None
        numbers = [j for j in range(data.shape[1]) if not (self.categorical and self.categorical[j])]
        self._statistics(data, numbers, weight)
        self._values: list[np.ndarray] = []  # of each category column, sorted
        for j in range(data.shape[1]):
            if self.categorical and self.categorical[j]:
                self._values.append(_distinct(data, j, declared[j] if declared else ()))
        self._bins = None
        if self._bins_per_column and not sp.issparse(data):
            columns = (_column(data, j, weight) for j in numbers)
            self._bins = Bins(columns, self._bins_per_column)
        self.n_bins = 0 if self._bins is None else self._bins.width
        self.names = [] if self._bins is None else self._bins.names([names[j] for j in numbers])
        self.names += [names[j] for j in numbers] + [f"{names[numbers[i]]} missing" for i in self._flagged]
        large = []
        if self.categorical:
            for name, values in zip((names[j] for j in np.flatnonzero(self.categorical)), self._values, strict=True):
                if len(values) > MAX_ONE_HOT:
                    large.append(len(values))
                else:
                    self.names += [f"{name}={value}" for value in values]
        self.categories = tuple(large)
        return self

    def sources(self) -> np.ndarray:
        """Which column of the table each of `names` comes from, and then each of `categories`."""
        kinds = np.array([False] * len(self._center) if self.categorical is None else self.categorical)
        numbers, categories = np.flatnonzero(~kinds), np.flatnonzero(kinds)
        n_bins = [] if self._bins is None else [max(len(edges) - 1, 0) for edges in self._bins.edges]
        counts = np.array([len(values) for values in self._values], dtype=int)
        large = counts > MAX_ONE_HOT
        one_hot = np.repeat(categories[~large], counts[~large])
        binned = np.repeat(numbers[: len(n_bins)], n_bins)
        return np.concatenate([binned, numbers, numbers[self._flagged], one_hot, categories[large]])

    def numbers(self, data: Any) -> list[np.ndarray]:
        """The number columns (n,) of a dense table."""
        if not isinstance(data, Columns):
            return list(data.T)
        return [v for v, is_category in zip(data.values, data.categorical, strict=True) if not is_category]

    def following(self, rows: np.ndarray, weight: np.ndarray) -> "FeatureEncoder":
        """Encoder into the same columns, with scaling and edges of bins learned from other rows of the numbers."""
        new, n_numbers = copy.copy(self), len(self._center)
        new._statistics(rows, list(range(n_numbers)), weight)
        new._flagged = self._flagged
        if self._bins is not None:
            learned = Bins(((x, weight) for x in rows.T[:n_numbers]), self._bins_per_column).edges
            new._bins = Bins.between([_as_many(*both) for both in zip(learned, self._bins.edges, strict=True)])
            new.names = new._bins.names(self.names[self.n_bins :][:n_numbers]) + self.names[self.n_bins :]
        return new

    def carry(self, new: "FeatureEncoder", rows: np.ndarray, weight: np.ndarray, layer: Any) -> None:
        """Change a first layer's W (K, d, units) and b (K, 1, units) to say of `new`'s columns what they said of these.

        `new` follows this encoder, by the same rows. Weights of bins are a piecewise-linear function of the column,
        whose values are kept at the new edges. The number as it was scaled is replaced by the linear function of what
        it is now that is nearest to it on those rows.
        """
        n_numbers, start = len(self._center), 0
        for i in range(n_numbers):
            place = self.n_bins + i
            slope, gain = self._line(new, i, rows[:, i], weight) if self.scale else (1.0, 0.0)
            gained = gain * layer.W[:, place]
            layer.W[:, place] *= slope
            if self._bins is not None and new._bins is not None and len(self._bins.edges[i]):
                bins = slice(start, start + len(self._bins.edges[i]) - 1)
                at_edges = _components(self._bins.edges[i], new._bins.edges[i]) @ layer.W[:, bins]
                layer.W[:, bins] = np.diff(at_edges, axis=1)
                gained, start = gained + at_edges[:, 0], bins.stop
            if hasattr(layer, "b"):
                layer.b[:, 0] += gained
                layer.W[:, self.n_bins + n_numbers + np.flatnonzero(self._flagged == i)] -= gained[:, None]

    def _line(self, new: "FeatureEncoder", i: int, x: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
        """Slope and intercept of the least-squares line from number i as `new` scales it to what it is here."""
        there = ~np.isnan(x)
        if not there.any():
            return 1.0, 0.0
        x, weight = x[there], weight[there]
        before, now = np.empty_like(x), np.empty_like(x)
        self._scale(x, before, i)
        new._scale(x, now, i)
        middle, center = np.average(before, weights=weight), np.average(now, weights=weight)
        variance = np.average((now - center) ** 2, weights=weight)
        slope = np.average((before - middle) * (now - center), weights=weight) / variance if variance > 0 else 1.0
        return float(slope), float(middle - slope * center)

    def _statistics(self, data: Any, numbers: list[int], weight: np.ndarray | None) -> None:
        """Center and factor of each number column, and which of them have a "missing" column beside them."""
        self._center, self._factor = np.zeros(len(numbers)), np.ones(len(numbers))
        flagged = []
        columns, settled = data, np.zeros(data.shape[1], dtype=bool)
        if sp.issparse(data):
            columns = sp.csc_matrix(data)
            settled = self._mostly_zero(columns, weight)
        for i, j in enumerate(numbers):
            if settled[j]:
                continue
            x, w = _column(columns, j, weight)
            absent = np.isnan(x)
            if absent.any():
                if not absent.all():
                    flagged.append(i)
                x, w = x[~absent], None if w is None else w[~absent]
            q25, median, q75 = weighted_quantiles(x, w, (0.25, 0.5, 0.75))
            self._center[i] = 0.0 if np.isnan(median) else median
            if self.scale:
                if q75 > q25:
                    spread = q75 / 2 - q25 / 2  # halved, not to overflow
                else:
                    spread = _mean_size(x, w, median) / 2
                self._factor[i] = self._inverse(spread)
        self._flagged = np.array(flagged, dtype=int)

    def _inverse(self, half: float) -> float:
        """1 over a spread, given half of it; where the column is constant, or as good as, what is set for those."""
        return 0.5 / half if half > 1e-300 else self._of_constant

    def _mostly_zero(self, columns: sp.csc_matrix, weight: np.ndarray | None) -> np.ndarray:
        """Settle, at once, the sparse columns that miss nothing and whose quartiles are zero; which they are."""
        n, d = columns.shape
        mass, there, sizes = np.zeros(d), np.zeros(d), np.zeros(d)  # of stored values, of those not 0; their sizes
        settled = np.ones(d, dtype=bool)
        for start in range(0, columns.nnz, SPARSE_CHUNK):
            values = slice(start, min(start + SPARSE_CHUNK, columns.nnz))
            data = columns.data[values]
            column = np.searchsorted(columns.indptr, np.arange(values.start, values.stop), side="right") - 1
            w = np.ones(len(data)) if weight is None else weight[columns.indices[values]]
            near = slice(column[0], column[-1] + 1)  # the columns that these values are of, for they lie in order
            mass[near] += np.bincount(column - column[0], w)
            there[near] += np.bincount(column - column[0], w * (data != 0))
            sizes[near] += np.bincount(column - column[0], w * np.abs(data) / 2)
            settled[column[np.isnan(data)]] = False
        settled &= mass < 0.25 * (n if weight is None else weight.sum())
        if self.scale:
            for j in np.flatnonzero(settled):
                self._factor[j] = self._inverse(sizes[j] / there[j] if there[j] else 0.0)
        return settled

    def transform(self, data: Any, dtype: np.dtype, ones: bool = False, serves: bool | None = None) -> Table:
        """Encode the rows of `data`, which has the columns that were fitted, in numbers of type `dtype`.

        With `ones` a column of ones is put at the end, unless X is sparse or serves as it is: a part of a table does if
        all of it does, and then `serves` says so.
        """
        if serves is None:
            serves = self.serves(data, dtype) and not np.isnan(data).any()
        with np.errstate(over="ignore"):
            if sp.issparse(data):
                table = self._transform_sparse(data, dtype)
            else:
                table = Table(data) if serves else self._transform(data, dtype, ones)
        values = table.X.data if sp.issparse(table.X) else table.X
        if not self.scale and not np.isfinite(values).all():
            raise ValueError(
                f"X contains a value too large for {dtype}: leave scale_features on, or set dtype='float64'."
            )
        return table

    def serves(self, data: Any, dtype: np.dtype) -> bool:
        """Whether a table is an array that serves as it is, if no value is missing."""
        encodes = isinstance(data, Columns) or sp.issparse(data) or self.scale or len(self._flagged) or self.n_bins
        return bool(not encodes and data.dtype == dtype and data.flags.c_contiguous)

    def _transform(self, data: Any, dtype: np.dtype, ones: bool) -> Table:
        n, n_numbers = data.shape[0], len(self._center)
        X = np.zeros((n, len(self.names) + ones), dtype)
        X[:, len(self.names) :] = 1
        if isinstance(data, Columns):
            numbers = self.numbers(data)
            raw = np.column_stack(numbers) if numbers else np.empty((n, 0))
        else:
            raw = data
        first = self.n_bins
        flags = slice(first + n_numbers, first + n_numbers + len(self._flagged))
        step = max(CHUNK // max(n_numbers, self.n_bins, 1), 1)
        for start in range(0, n, step):
            rows = slice(start, start + step)
            if self._bins is not None:
                self._bins.write(self._told(raw[rows]), X[rows, :first])
            self._scale(raw[rows], X[rows, first : flags.start])
            if len(self._flagged):
                X[rows, flags] = np.isnan(raw[rows][:, self._flagged])
        codes = self._categories(data, X, flags.stop) if self.categorical else None
        return Table(X, codes, ones=ones)

    def _told(self, raw: np.ndarray) -> np.ndarray:
        """`raw` with the median where a value is missing that has no column to say so."""
        absent = np.isnan(raw)
        absent[:, self._flagged] = False
        return np.where(absent, self._center, raw) if absent.any() else raw

    def _scale(self, raw: np.ndarray, out: np.ndarray, columns: Any = slice(None)) -> None:
        """Scaled numbers of `raw` into `out`: 0 where missing (the median, where scaling is off)."""
        center, factor = self._center[columns], self._factor[columns]
        if not self.scale:
            out[...] = raw
            if np.isnan(out.sum()):
                np.copyto(out, center, where=np.isnan(raw), casting="same_kind")
            return
        # in double precision up to here: a column of 1e9 ± 1 keeps its digits in a float32 network
        np.multiply(np.subtract(raw, center, dtype=np.float64), factor, out=out, casting="same_kind")
        slope = np.multiply(out, out)
        if not np.isfinite(slope.sum()):  # some are missing, or too far out for a square
            np.copyto(out, 0, where=np.isnan(out))
            np.clip(out, -1e6, 1e6, out=out)
            np.multiply(out, out, out=slope)
        np.multiply(slope, LIMIT**-2, out=slope)
        np.add(slope, 1, out=slope)
        np.sqrt(slope, out=slope)
        np.divide(out, slope, out=out)

    def _categories(self, data: Columns, X: np.ndarray, position: int) -> np.ndarray | None:
        """Write one-hot columns into X from `position` on; codes (n, c) of the large categories."""
        import pandas as pd

        codes = []
        columns = [v for v, is_category in zip(data.values, data.categorical, strict=True) if is_category]
        for values, column in zip(self._values, columns, strict=True):
            _refuse_other_type(values, column)
            code = pd.Index(values, dtype=object).get_indexer(pd.Index(column, dtype=object))  # -1: unknown
            if len(values) > MAX_ONE_HOT:
                codes.append((code + 1).astype(np.int32))
            else:
                known = np.flatnonzero(code >= 0)
                X[known, position + code[known]] = self._on
                position += len(values)
        return np.column_stack(codes) if codes else None

    def _transform_sparse(self, data: sp.csr_matrix, dtype: np.dtype) -> Table:
        """Scale the stored values v to f(v) - f(0), and leave f(0), the same for all rows, to the offset."""
        data = sp.csr_matrix(data)
        if not data.has_canonical_format:
            data = data.copy()
            data.sum_duplicates()
        missing = np.isnan(data.data)
        if not self.scale and not len(self._flagged) and not missing.any():
            return Table(data.astype(dtype, copy=False))
        zero = np.zeros((1, data.shape[1]))
        self._scale(np.zeros((1, data.shape[1])), zero)
        values = np.empty(data.nnz)
        self._scale(data.data, values, data.indices)
        values -= zero[0, data.indices]
        X = sp.csr_matrix((values.astype(dtype), data.indices, data.indptr), shape=data.shape)
        if len(self._flagged):
            mark = sp.csr_matrix((missing.astype(dtype), data.indices, data.indptr), shape=data.shape)
            X = sp.hstack([X, mark[:, self._flagged]], format="csr", dtype=dtype)
            X.eliminate_zeros()
        offset = np.zeros((1, X.shape[1]), dtype)
        offset[:, : data.shape[1]] = zero
        return Table(X, None, offset if offset.any() else None)


def _mean_size(x: np.ndarray, weight: np.ndarray | None, median: float) -> float:
    """Mean distance from the median of the values that differ from it: the unit of a column that rarely does."""
    differs = x != median
    if not differs.any():
        return 0.0
    distance = np.abs(x[differs] / 2 - median / 2)
    return 2 * float(np.average(distance, weights=None if weight is None else weight[differs]))


def _as_many(edges: np.ndarray, old: np.ndarray) -> np.ndarray:
    """As many edges as there are old ones: the new ones, by interpolation where they are more or fewer."""
    if len(old) == 0 or len(edges) < 2:
        return old
    places = np.linspace(0, len(edges) - 1, len(old))
    return 2 * np.interp(places, np.arange(len(edges)), edges / 2)  # halved, so that no difference overflows


def _components(edges: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What the values x (n,) are in the bins between `edges`, (n, bins)."""
    out = np.empty((len(x), len(edges) - 1))
    Bins.between([edges]).write(x[:, None], out)
    return out


def _column(columns: Any, j: int, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    """Values of column j and their weights; of a sparse column, all its zeros as one value."""
    if isinstance(columns, Summary):
        return columns.points[j], columns.weights[j]
    if isinstance(columns, Columns):
        return columns.values[j], weight
    if not sp.issparse(columns):
        return columns[:, j], weight
    rows = slice(columns.indptr[j], columns.indptr[j + 1])
    n = columns.shape[0]
    stored = np.ones(rows.stop - rows.start) if weight is None else weight[columns.indices[rows]]
    zeros = (n if weight is None else weight.sum()) - stored.sum()
    if len(stored) == n:
        return columns.data[rows], stored
    return np.append(columns.data[rows], 0.0), np.append(stored, max(zeros, 0.0))


def _distinct(data: Columns | Summary, j: int, declared: Sequence[Any]) -> np.ndarray:
    """The categories of column j that occur or are declared, sorted."""
    values = data.points[j] if isinstance(data, Summary) else data.values[j]
    present = {value for value in values if value is not None}.union(declared)
    return np.array(sorted(present, key=lambda value: (type(value).__name__, value)), dtype=object)


def _refuse_other_type(values: np.ndarray, column: np.ndarray) -> None:
    """Raise TypeError where categories were strings and are not, or the reverse: all would count as unknown."""
    now = next((value for value in column if value is not None), None)
    if len(values) and now is not None and isinstance(values[0], str) != isinstance(now, str):
        raise TypeError(
            f"A column of categories held {values[0]!r} ({type(values[0]).__name__}) when fitting and now holds "
            f"{now!r} ({type(now).__name__}): give it the type it had."
        )
