"""Tables larger than memory: a memory-mapped array, read in chunks and encoded batch by batch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any
from zlib import crc32

import numpy as np

from ..nn.batch import Table

__all__ = ["LazyTable", "MemmapTable"]

CHUNK_VALUES = 2**20  # values of a memory-mapped array that are in memory at a time


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

    array: np.ndarray
    holds_nan: bool = False
    checksum: int = 0
    rows: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns, (n, d)."""
        return len(self.array if self.rows is None else self.rows), self.array.shape[1]

    def __getitem__(self, rows: slice | np.ndarray) -> "MemmapTable":
        if self.rows is not None:
            return replace(self, rows=self.rows[rows])
        if isinstance(rows, slice):
            return replace(self, array=self.array[rows])
        return replace(self, rows=rows, checksum=crc32(rows, self.checksum))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read the rows, in single precision if the file holds single precision, else in double precision."""
        array = self.array if self.rows is None else self.array[self.rows]
        own = np.float32 if array.dtype.kind == "f" and array.itemsize == 4 else np.float64
        return (np.array if copy else np.asarray)(array, dtype or own)

    def chunks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield all rows in order, `CHUNK_VALUES` values at a time, as pairs of a slice and an array."""
        size = max(CHUNK_VALUES // self.shape[1], 1)
        for start in range(0, self.shape[0], size):
            rows = slice(start, start + size)
            yield rows, np.asarray(self[rows])


@dataclass(frozen=True)
class LazyTable:
    """A stand-in for `Table` that reads and encodes rows when a batch needs them.

    Attributes
    ----------
    source : MemmapTable
    encode : callable
        Maps an array of raw rows to a Table.
    """

    source: MemmapTable
    encode: Callable[[np.ndarray], Table]

    def __len__(self) -> int:
        return self.source.shape[0]

    def buffer(self, n: int) -> Table:
        """An empty table of `n` rows, a buffer for `gather`."""
        return self._encoded(slice(1)).buffer(n)

    def as_batch(self) -> Table:
        """All rows as one batch."""
        return self._encoded(slice(None))

    def load(self, start: int, stop: int, batch: Table) -> None:
        """Encode rows `start` to `stop` into `batch`."""
        self._encoded(slice(start, stop)).load(0, stop - start, batch)

    def gather(self, rows: np.ndarray, batch: Table) -> None:
        """Encode the rows with these indices into `batch`."""
        self._encoded(rows).load(0, len(rows), batch)

    def checksum(self) -> int:
        """Checksum of the raw rows and of how the first 256 are encoded."""
        return crc32(self._encoded(slice(256)).X, self.source.checksum)

    def _encoded(self, rows: slice | np.ndarray) -> Table:
        return self.encode(np.asarray(self.source[rows]))
