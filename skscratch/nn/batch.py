"""What training reads row by row: the encoded table (numbers and category codes) and the targets."""

from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import scipy.sparse as sp

__all__ = ["SparseRows", "Table", "Targets"]


@dataclass
class SparseRows:
    """Place for the `n` rows of a sparse batch, whose values are new arrays each time, for they have no fixed size."""

    n: int
    offset: np.ndarray | None  # (1, d): the true rows are matrix + offset
    matrix: Any = None
    transposed: Any = None  # (d, n), over the same values

    def hold(self, matrix: sp.csr_matrix) -> None:
        """Take in all of `matrix`, (n, d)."""
        self.matrix, self.transposed = matrix, matrix.T

    def gather(self, X: sp.csr_matrix, rows: np.ndarray) -> None:
        """Take in the rows of X numbered `rows`, as X[rows] would, in a third of its time."""
        starts = X.indptr[rows]
        lengths = X.indptr[rows + 1] - starts
        indptr = np.zeros(len(rows) + 1, X.indptr.dtype)
        np.cumsum(lengths, out=indptr[1:])
        places = np.arange(indptr[-1])
        places += np.repeat(starts - indptr[:-1], lengths)
        if self.matrix is None:
            self.hold(sp.csr_matrix((len(rows), X.shape[1]), dtype=X.dtype))
        data, indices = X.data[places], X.indices[places]
        for both in (self.matrix, self.transposed):  # new matrices would be checked at length
            both.data, both.indices, both.indptr = data, indices, indptr


@dataclass(frozen=True)
class Table:
    """Encoded rows.

    Attributes
    ----------
    X : ndarray of shape (n, d), or csr_matrix of that shape
        The numeric block; in a batch buffer, SparseRows in place of the matrix.
    codes : ndarray of int32, shape (n, c), or None
        Category codes of the columns with a learned embedding; 0 is "unknown or missing".
    offset : ndarray of shape (1, d), or None
        What a sparse block leaves out: the true row is X[i] + offset, the same for every row.
    ones : bool
        Whether a dense block ends in a column of ones, the input that the first layer's bias weighs.
    """

    X: Any
    codes: np.ndarray | None = None
    offset: np.ndarray | None = None
    ones: bool = False

    def __len__(self) -> int:
        return self.X.shape[0]

    def buffer(self, n: int) -> "Table":
        """An empty table for a batch of `n` rows, to be filled by `gather`."""
        codes = None if self.codes is None else np.empty((n, self.codes.shape[1]), self.codes.dtype)
        X = SparseRows(n, self.offset) if sp.issparse(self.X) else np.empty((n, self.X.shape[1]), self.X.dtype)
        return Table(X, codes, ones=self.ones)

    def as_batch(self) -> "Table":
        """These rows as a batch, without a copy."""
        if not sp.issparse(self.X):
            return self
        return Table(SparseRows(len(self), self.offset, self.X), self.codes)

    def load(self, start: int, stop: int, batch: "Table") -> None:
        """Copy the rows from `start` to `stop` into `batch`."""
        if isinstance(batch.X, SparseRows):
            batch.X.hold(self.X[start:stop])
        else:
            batch.X[...] = self.X[start:stop]
        if self.codes is not None and batch.codes is not None:
            batch.codes[...] = self.codes[start:stop]

    def gather(self, rows: np.ndarray, batch: "Table") -> None:
        """Copy the rows numbered `rows` into `batch`."""
        if isinstance(batch.X, SparseRows):
            batch.X.gather(self.X, rows)
        else:
            # "clip" because the default mode makes a copy of the output first
            self.X.take(rows, 0, batch.X, "clip")
        if self.codes is not None:
            self.codes.take(rows, 0, batch.codes, "clip")

    def checksum(self) -> int:
        """CRC-32 of all values: other rows have, almost surely, another checksum."""
        arrays = [self.X.data, self.X.indices, self.X.indptr] if sp.issparse(self.X) else [self.X]
        checksum = 0
        for array in (*arrays, self.codes):
            if array is not None:
                checksum = crc32(np.ascontiguousarray(array), checksum)
        return checksum


@dataclass(frozen=True)
class Targets:
    """What the network should say of each row.

    Attributes
    ----------
    values : ndarray of shape (n, out), or of int32, shape (n,)
        Targets in the units of the loss, or class codes to be looked up in `lookup`.
    lookup : ndarray of shape (classes, out), or None
        Target row of each class, label smoothing included.
    """

    values: np.ndarray
    lookup: np.ndarray | None = None

    def buffer(self, n: int) -> np.ndarray:
        """Place for the targets of `n` rows, (n, out)."""
        like = self.values if self.lookup is None else self.lookup
        return np.empty((n, like.shape[1]), like.dtype)

    def gather(self, rows: np.ndarray, out: np.ndarray) -> None:
        """Write the targets of the given rows into `out`."""
        if self.lookup is None:
            self.values.take(rows, 0, out, "clip")
        else:
            self.lookup.take(self.values[rows], 0, out, "clip")
