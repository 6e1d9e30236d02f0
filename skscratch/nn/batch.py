"""Batches: the encoded table and the targets, and how rows of them are copied into the buffers of a batch."""

from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
import scipy.sparse as sp

from .tape import Array

__all__ = ["SideBySide", "SparseRows", "Table", "Targets"]


@dataclass(frozen=True)
class Table:
    """Encoded rows.

    Attributes
    ----------
    X : ndarray of shape (n, d), or csr_matrix of that shape
        The numeric block.  A buffer for batches of a sparse table has SparseRows here.
    codes : ndarray of int32, shape (n, c), or None
        Category codes of the columns with a learned embedding; 0 is "unknown or missing".
    offset : ndarray of shape (1, d), or None
        Added to every row of a sparse block: row i is X[i] + offset.
    ones : bool
        Whether a dense block ends in a column of ones, the input whose weights are the first layer's bias.
    """

    X: Any
    codes: Array | None = None
    offset: Array | None = None
    ones: bool = False

    def __len__(self) -> int:
        return int(self.X.shape[0])

    def buffer(self, n: int) -> "Table":
        """An uninitialised table of `n` rows, for `gather` and `load`."""
        codes = None if self.codes is None else np.empty((n, self.codes.shape[1]), self.codes.dtype)
        X = SparseRows(n, self.offset) if sp.issparse(self.X) else np.empty((n, self.X.shape[1]), self.X.dtype)
        return Table(X, codes, ones=self.ones)

    def as_batch(self) -> "Table":
        """All rows as one batch, without a copy."""
        if not sp.issparse(self.X):
            return self
        return Table(SparseRows(len(self), self.offset, self.X), self.codes)

    def load(self, start: int, stop: int, batch: "Table") -> None:
        """Copy rows `start` to `stop` into `batch`."""
        if isinstance(batch.X, SparseRows):
            batch.X.hold(self.X[start:stop])
        else:
            batch.X[...] = self.X[start:stop]
        if self.codes is not None and batch.codes is not None:
            batch.codes[...] = self.codes[start:stop]

    def gather(self, rows: Array, batch: "Table") -> None:
        """Copy the rows with the indices `rows` into `batch`."""
        if isinstance(batch.X, SparseRows):
            batch.X.gather(self.X, rows)
        else:
            # mode "clip", because the default mode buffers its output
            self.X.take(rows, 0, batch.X, "clip")
        if self.codes is not None:
            self.codes.take(rows, 0, batch.codes, "clip")

    def take(self, rows: Array) -> "Table":
        """The rows with the indices `rows`, as a new table."""
        codes = None if self.codes is None else self.codes[rows]
        return Table(self.X[rows], codes, self.offset, self.ones)

    def counts_by_fold(self, folds: Array, n_folds: int, columns: Array) -> Array:
        """Number of rows of each fold in which each of these columns of X is not zero, (n_folds, len(columns))."""
        nonzero = np.zeros((n_folds, len(columns)), int)
        for fold in range(n_folds):
            part = self.X[folds == fold][:, columns]
            nonzero[fold] = part.getnnz(axis=0) if sp.issparse(part) else np.count_nonzero(part, axis=0)
        return nonzero

    def checksum(self) -> int:
        """CRC-32 of all values: other rows have, almost surely, another checksum."""
        arrays = [self.X.data, self.X.indices, self.X.indptr] if sp.issparse(self.X) else [self.X]
        checksum = 0
        for array in (*arrays, self.codes):
            if array is not None:
                checksum = crc32(np.ascontiguousarray(array), checksum)
        return checksum


@dataclass
class SparseRows:
    """The `n` rows of a sparse batch; unlike a dense buffer, their arrays are new at each step, of varying size.

    Attributes
    ----------
    n : int
    offset : ndarray of shape (1, d), or None
        Added to every row: the rows are matrix + offset.
    matrix : csr_matrix of shape (n, d)
    transposed : csc_matrix of shape (d, n), over the same values
    """

    n: int
    offset: Array | None
    matrix: Any = None
    transposed: Any = None

    def hold(self, matrix: sp.csr_matrix) -> None:
        """Take all rows of `matrix` (n, d)."""
        self.matrix, self.transposed = matrix, matrix.T

    def gather(self, X: sp.csr_matrix, rows: Array) -> None:
        """Take the rows of `X` with the indices `rows`: X[rows], in a third of its time."""
        starts = X.indptr[rows]
        lengths = X.indptr[rows + 1] - starts
        indptr = np.zeros(len(rows) + 1, X.indptr.dtype)
        np.cumsum(lengths, out=indptr[1:])
        places = np.arange(indptr[-1])
        places += np.repeat(starts - indptr[:-1], lengths)
        if self.matrix is None:
            self.hold(sp.csr_matrix((len(rows), X.shape[1]), dtype=X.dtype))
        data, indices = X.data[places], X.indices[places]
        for both in (self.matrix, self.transposed):  # SciPy would check new matrices at length
            both.data, both.indices, both.indptr = data, indices, indptr


@dataclass(frozen=True)
class SideBySide:
    """Inputs [shared, own] of a layer, of which all members have the first columns in common.

    Attributes
    ----------
    shared : ndarray of shape (1, B, d)
    own : ndarray of shape (K, B, e)
    """

    shared: Array
    own: Array

    def joined(self) -> Array:
        """Return a copy of all inputs of each member, (K, B, d + e)."""
        shared = np.broadcast_to(self.shared, (len(self.own), *self.shared.shape[1:]))
        return np.concatenate([shared, self.own], axis=2)


@dataclass(frozen=True)
class Targets:
    """The targets of all rows.

    Attributes
    ----------
    values : ndarray of shape (n, out), or of int32, shape (n,)
        Targets in the units of the loss, or class codes, which are row indices of `lookup`.
    lookup : ndarray of shape (classes, out), or None
        Target row of each class, label smoothing included.
    """

    values: Array
    lookup: Array | None = None

    def buffer(self, n: int) -> Array:
        """An uninitialised array for the targets of `n` rows, (n, out)."""
        like = self.values if self.lookup is None else self.lookup
        return np.empty((n, like.shape[1]), like.dtype)

    def gather(self, rows: Array, out: Array) -> None:
        """Write the targets of the rows with the indices `rows` into `out`."""
        if self.lookup is None:
            self.values.take(rows, 0, out, "clip")
        else:
            self.lookup.take(self.values[rows], 0, out, "clip")
