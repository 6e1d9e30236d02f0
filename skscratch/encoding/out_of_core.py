"""Tables larger than memory: a memory-mapped array, encoded batch by batch; and a stream of chunks, which is sampled.

As a stream goes on, the scaling and the bins are refitted to its sample, and the weights of the first layer are
transferred, so that the network computes nearly the same function in the new encoding.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self
from zlib import crc32

import numpy as np

from ..nn.batch import Table
from ..nn.tape import Array
from .bins import Bins
from .columns import RawTable
from .features import FeatureEncoder
from .numeric import MissingFlags, Numbers
from .quantiles import QuantileSketch, merge, sketch
from .weights import Weights, in_common_unit

__all__ = [
    "ConvertedTable",
    "LazyTable",
    "MemmapTable",
    "StreamSample",
    "encode_lazily",
    "sketch_memmap",
    "transfer_weights",
]

CHUNK_VALUES = 2**20  # values of a memory-mapped array that are in memory at a time
CHUNK_ROWS = 1024  # rows of an array that are encoded at a time
SKETCH_POINTS = 2**17  # points of the sketch of a memory-mapped array, all columns together
MIN_SKETCH_POINTS = 256  # points per column, at least
SAMPLE_ROWS = 1024  # rows in the sample of a stream; the rank of a quantile is off by one or two hundredths of the rows
STALE_AFTER = 1.5  # growth of a stream after which statistics of its sample are stale

# ----------------------------------------------------- memory-mapped tables


@dataclass(frozen=True)
class MemmapTable:
    """Rows of a memory-mapped array (n, d), read from the file only when they are converted to an array.

    Attributes
    ----------
    array : ndarray of shape (m, d)
        The memory-mapped array.
    holds_nan : bool
        Whether any value is missing.
    checksum : int
        Checksum of the rows.
    rows : ndarray of int, shape (n,), or None
        Row indices into `array`; None for all rows.
    """

    array: Array
    holds_nan: bool = False
    checksum: int = 0
    rows: Array | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns, (n, d)."""
        return len(self.array if self.rows is None else self.rows), self.array.shape[1]

    def __getitem__(self, rows: slice | Array) -> "MemmapTable":
        if self.rows is not None:
            return replace(self, rows=self.rows[rows])
        if isinstance(rows, slice):
            return replace(self, array=self.array[rows])
        return replace(self, rows=rows, checksum=crc32(rows, self.checksum))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Read the rows, in single precision if the file holds single precision, else in double precision."""
        array = self.array if self.rows is None else self.array[self.rows]
        own = np.float32 if array.dtype.kind == "f" and array.itemsize == 4 else np.float64
        return (np.array if copy else np.asarray)(array, dtype or own)

    def chunks(self) -> Iterator[tuple[slice, Array]]:
        """Yield all rows in order, `CHUNK_VALUES` values at a time, as pairs of a slice and an array."""
        size = max(CHUNK_VALUES // self.shape[1], 1)
        for start in range(0, self.shape[0], size):
            rows = slice(start, start + size)
            yield rows, np.asarray(self[rows])


@dataclass(frozen=True)
class LazyTable:
    """A stand-in for `Table` that encodes rows when a batch needs them, to the same numbers.

    Attributes
    ----------
    source : ndarray of shape (n, d), or MemmapTable
    encode : callable
        Maps an array of raw rows to a Table.
    """

    source: Any
    encode: Callable[[Array], Table]

    def __len__(self) -> int:
        return int(self.source.shape[0])

    def buffer(self, n: int) -> Table:
        """An empty table of `n` rows, a buffer for `gather`."""
        return self._encoded(slice(1)).buffer(n)

    def as_batch(self) -> Table:
        """All rows as one batch."""
        return self._encoded(slice(None))

    def load(self, start: int, stop: int, batch: Table) -> None:
        """Encode rows `start` to `stop` into `batch`."""
        self._encoded(slice(start, stop)).load(0, stop - start, batch)

    def gather(self, rows: Array, batch: Table) -> None:
        """Encode the rows with these indices into `batch`."""
        self._encoded(rows).load(0, len(rows), batch)

    def take(self, rows: Array) -> Table:
        """The rows with the indices `rows`, encoded."""
        return self._encoded(rows)

    def counts_by_fold(self, folds: Array, n_folds: int, columns: Array) -> Array:
        """Number of rows of each fold in which each of these columns of X is not zero, (n_folds, len(columns))."""
        counts = np.zeros((n_folds, len(columns)), int)
        for rows in self._chunks():
            counts += self._encoded(rows).counts_by_fold(folds[rows], n_folds, columns)
        return counts

    def checksum(self) -> int:
        """Checksum of all encoded rows, that of a Table of them."""
        checksum = 0
        for rows in self._chunks():
            checksum = crc32(self._encoded(rows).X, checksum)
        return checksum

    def _encoded(self, rows: slice | Array) -> Table:
        if isinstance(rows, np.ndarray) and isinstance(self.source, np.ndarray) and self.source.flags.c_contiguous:
            return self.encode(self.source.take(rows, 0))  # in half of the time of an index
        return self.encode(np.asarray(self.source[rows]))

    def _chunks(self) -> Iterator[slice]:
        return (slice(start, start + CHUNK_ROWS) for start in range(0, len(self), CHUNK_ROWS))


class LazyMemmapTable(LazyTable):
    """Rows of a memory-mapped table, which are read as seldom as possible."""

    source: MemmapTable

    def counts_by_fold(self, folds: Array, n_folds: int, columns: Array) -> Array:
        """Counts as of a Table.  A table of this size has no categories, and each of its flags is set in every fold."""
        return np.ones((n_folds, len(columns)), int)

    def checksum(self) -> int:
        """Checksum of the raw rows and of how the first 256 are encoded."""
        return crc32(self._encoded(slice(256)).X, self.source.checksum)


class ConvertedTable(LazyTable):
    """Rows of an array that no encoding changes: a batch converts them to its precision, and appends its ones."""

    def buffer(self, n: int) -> Table:
        """A table of `n` rows, a buffer for `gather` and `load`."""
        batch = super().buffer(n)
        batch.X[:, self.source.shape[1] :] = 1
        return batch

    def load(self, start: int, stop: int, batch: Table) -> None:
        """Copy rows `start` to `stop` into `batch`."""
        batch.X[:, : self.source.shape[1]] = self.source[start:stop]

    def gather(self, rows: Array, batch: Table) -> None:
        """Copy the rows with these indices into `batch`."""
        batch.X[:, : self.source.shape[1]] = self.source.take(rows, 0)


def encode_lazily(encoder: FeatureEncoder, data: Array | MemmapTable, dtype: np.dtype, ones: bool) -> LazyTable:
    """A table that `encoder` encodes batch by batch."""
    if isinstance(data, MemmapTable):
        pass_through = encoder.passes_through(data.array, dtype) and not data.holds_nan
        return LazyMemmapTable(data, lambda rows: encoder.transform(rows, dtype, ones, pass_through))
    lazy = ConvertedTable if encoder.only_converts(data) else LazyTable
    table = lazy(data, lambda rows: encoder.transform(rows, dtype, ones, False))
    if not encoder.scale:
        table.checksum()  # raises ValueError for a number that is too large for `dtype`
    return table


def sketch_memmap(data: MemmapTable, weight: Array | None) -> QuantileSketch:
    """Sketch the columns of a memory-mapped array, which is read once."""
    size = max(SKETCH_POINTS // data.shape[1], MIN_SKETCH_POINTS)
    parts: list[QuantileSketch] = []  # each of more than twice the rows of the next: they are few
    for rows, chunk in data.chunks():
        parts.append(sketch(chunk, None if weight is None else weight[rows], size))
        while len(parts) > 1 and parts[-2].n <= 2 * parts[-1].n:
            parts[-2:] = [merge(parts[-2:], size)]
    return merge(parts, size)


# ------------------------------------------------------------------ streams


@dataclass(frozen=True)
class StreamSample:
    """A bottom-k sample of a stream: of the rows so far, each is equally likely to be in it.

    Each row gets a pseudo-random priority, and the rows of the lowest priorities form the sample.  The priorities
    depend on the rows of their chunk alone: a chunk that comes again, in another pass over a table, changes nothing.

    Attributes
    ----------
    rows : ndarray of shape (m, d)
        Numbers, NaN where missing.
    weight : ndarray of shape (m,)
        In units of 2**`weight_exponent`, the same for all chunks.
    priorities : ndarray of shape (m,)
        In increasing order.
    n_seen : int
        Rows of the stream so far.
    n_used : int
        Rows of the stream when statistics of the sample were last used.
    changed : bool
        Whether the sample has changed since.
    """

    rows: Array
    weight: Array
    priorities: Array
    n_seen: int = 0
    n_used: int = 0
    changed: bool = False
    weight_exponent: int = 0

    @classmethod
    def empty(cls, n_columns: int) -> Self:
        """The sample of a stream of which no row has come."""
        return cls(np.empty((0, n_columns)), np.empty(0), np.empty(0))

    def after(self, columns: Sequence[Array], weights: Weights | None) -> "StreamSample":
        """The sample after one more chunk, given as columns (n,) and the weights of their rows."""
        n, seed = len(columns[0]), 0
        for array in (*columns, None if weights is None else weights.values):
            seed = seed if array is None else crc32(np.ascontiguousarray(array), seed)
        priorities = np.random.default_rng(seed).random(n)
        bound = self.priorities[-1] if len(self.priorities) == SAMPLE_ROWS else 1
        low = np.flatnonzero(priorities < bound)
        new = low[~np.isin(priorities[low], self.priorities)]
        if len(new) == 0:
            return replace(self, n_seen=self.n_seen + n)
        rows = np.concatenate([self.rows, np.column_stack([column[new] for column in columns])])
        added = Weights(np.ones(len(new))) if weights is None else Weights(weights.values[new], weights.exponent)
        both = in_common_unit(Weights(self.weight, self.weight_exponent), added)
        priorities = np.append(self.priorities, priorities[new])
        lowest = np.argsort(priorities)[:SAMPLE_ROWS]
        return StreamSample(
            rows[lowest], both.values[lowest], priorities[lowest], self.n_seen + n, self.n_used, True, both.exponent
        )

    @property
    def is_stale(self) -> bool:
        """Whether the sample has changed, and the stream has grown by half, since its statistics were last used."""
        return self.changed and self.n_seen >= STALE_AFTER * self.n_used

    def mark_used(self) -> "StreamSample":
        """The sample, its statistics used now."""
        return replace(self, n_used=self.n_seen, changed=False)

    def to_state(self) -> dict[str, Any]:
        """The sample as a dictionary of arrays and numbers."""
        return dict(vars(self))

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The sample that `to_state` described."""
        return cls(**state)


def transfer_weights(old: FeatureEncoder, new: FeatureEncoder, rows: Array, weight: Array, layer: Any) -> None:
    """Change the weights of a first layer so that it computes nearly the same function in a refitted encoding.

    Parameters
    ----------
    old, new : FeatureEncoder
        `new` is `old` refitted to `rows`.
    rows : ndarray of shape (n, >= n_numbers)
    weight : ndarray of shape (n,)
    layer : Parameters
        W (K, d, units) and, if there is a bias, b (K, 1, units) of the layer; changed in place.

    Notes
    -----
    The weights of a column's bins are a piecewise-linear function of the column: its values at the new edges are kept.
    A scaled number is replaced by the linear function of the newly scaled number that is closest to it on `rows`.
    """
    numbers, flags = old.block(Numbers), old.block(MissingFlags)
    bins, new_bins = old.block(Bins), new.block(Bins)
    first_number, first_flag = old.place(Numbers).start, old.place(MissingFlags).start
    start = old.place(Bins).start
    for i in range(numbers.width):
        # scaled = slope · newly scaled + intercept: the weight takes the slope, the bias the intercept
        slope, intercept = _line(numbers, new.block(Numbers), i, rows[:, i], weight) if old.scale else (1.0, 0.0)
        gain = intercept * layer.W[:, first_number + i]
        layer.W[:, first_number + i] *= slope
        if bins.width and len(bins.edges[i]):
            place = slice(start, start + len(bins.edges[i]) - 1)
            at_edges = _components(bins.edges[i], new_bins.edges[i]) @ layer.W[:, place]
            layer.W[:, place] = np.diff(at_edges, axis=1)
            gain, start = gain + at_edges[:, 0], place.stop
        if hasattr(layer, "b"):
            layer.b[:, 0] += gain
            # a missing value has no number and no bins: its flag takes back what the bias gains
            layer.W[:, first_flag + np.flatnonzero(flags.positions == i)] -= gain[:, None]


def _line(old: Numbers, new: Numbers, i: int, x: Array, weight: Array) -> tuple[float, float]:
    """Slope and intercept of the least-squares line from number i as `new` scales it to number i as `old` does."""
    present = ~np.isnan(x)
    if not present.any():
        return 1.0, 0.0
    x, weight = x[present], weight[present]
    before, now = np.empty_like(x), np.empty_like(x)
    old.scale_into(x, before, i)
    new.scale_into(x, now, i)
    mean_before, mean_now = np.average(before, weights=weight), np.average(now, weights=weight)
    variance = np.average((now - mean_now) ** 2, weights=weight)
    slope = np.average((before - mean_before) * (now - mean_now), weights=weight) / variance if variance > 0 else 1.0
    return float(slope), float(mean_before - slope * mean_now)


def _components(edges: Array, x: Array) -> Array:
    """Components of the values `x` (n,) between `edges`, (n, bins)."""
    bins = Bins(np.zeros(1, int), [edges], np.full(1, np.nan))
    out = np.empty((len(x), bins.width))
    bins.write(RawTable(x[:, None]), out)
    return out
