"""Sparse tables: statistics and encoding of a CSR matrix, at the cost of its stored values alone.

A sparse table has number columns only, and no bins.  Its zeros stay out of memory: the stored values x become
f(x) - f(0), and f(0), the same for all rows, becomes an offset that the first layer adds.
"""

import numpy as np
import scipy.sparse as sp

from ..nn.batch import Table
from ..nn.tape import Array
from .columns import Column
from .numeric import MIN_HALF_RANGE, MissingFlags, Numbers

__all__ = ["learn_sparse", "transform_sparse"]

CHUNK_VALUES = 2**14  # stored values whose statistics are computed at a time, which bounds the memory they take


def learn_sparse(
    X: sp.csr_matrix, weight: Array | None, scale: bool, constant_factor: float
) -> tuple[Numbers, MissingFlags]:
    """Learn the blocks of a sparse table (n, d) from its rows and their weights (n,).

    Most columns of most sparse tables are zero in more than three quarters of the rows.  All of these are learned at
    once; only the others are sorted.
    """
    matrix = sp.csc_matrix(X)
    center, factor = np.zeros(matrix.shape[1]), np.ones(matrix.shape[1])
    mostly_zero, half_range = _mostly_zero(matrix, weight)
    if scale:
        half_range = half_range[mostly_zero]
        constant = half_range <= MIN_HALF_RANGE
        factor[mostly_zero] = np.where(constant, constant_factor, 0.5 / np.where(constant, 1, half_range))
    others = np.flatnonzero(~mostly_zero)
    sorted_ = Numbers.learn((_column(matrix, int(j), weight) for j in others), others, scale, constant_factor)
    center[others], factor[others] = sorted_.center, sorted_.factor
    numbers = Numbers(np.arange(matrix.shape[1]), center, factor, scale, constant_factor)
    flagged = np.array([int(j) for j in others if _misses_some(matrix, int(j))], dtype=int)
    return numbers, MissingFlags(flagged, flagged)


def transform_sparse(X: sp.csr_matrix, dtype: np.dtype, numbers: Numbers, flags: MissingFlags) -> Table:
    """Encode the rows of a sparse table."""
    X = sp.csr_matrix(X)
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    missing = np.isnan(X.data)
    if not numbers.scale and not flags.width and not missing.any():
        return Table(X.astype(dtype, copy=False))
    of_zero = np.zeros((1, X.shape[1]))
    numbers.scale_into(np.zeros((1, X.shape[1])), of_zero)  # f(0)
    values = np.empty(X.nnz)
    numbers.scale_into(X.data, values, X.indices)
    values -= of_zero[0, X.indices]  # f(x) - f(0)
    encoded = sp.csr_matrix((values.astype(dtype), X.indices, X.indptr), shape=X.shape)
    if flags.width:
        is_missing = sp.csr_matrix((missing.astype(dtype), X.indices, X.indptr), shape=X.shape)
        encoded = sp.hstack([encoded, is_missing[:, flags.positions]], format="csr", dtype=dtype)
        encoded.eliminate_zeros()
    offset = np.zeros((1, encoded.shape[1]), dtype)
    offset[:, : X.shape[1]] = of_zero
    return Table(encoded, None, offset if offset.any() else None)


def _mostly_zero(matrix: sp.csc_matrix, weight: Array | None) -> tuple[Array, Array]:
    """Which columns have no missing value and both quartiles at zero, and the half range of each of these, both (d,).

    The half range is half of the mean size of the values that are not zero, and 0 if all are.
    """
    n, d = matrix.shape
    stored, nonzero, half_sizes = np.zeros(d), np.zeros(d), np.zeros(d)  # total weight; and sum of weight · |x| / 2
    mostly_zero = np.ones(d, dtype=bool)
    for start in range(0, matrix.nnz, CHUNK_VALUES):
        stop = min(start + CHUNK_VALUES, matrix.nnz)
        x = matrix.data[start:stop]
        column = np.searchsorted(matrix.indptr, np.arange(start, stop), side="right") - 1
        w = np.ones(len(x)) if weight is None else weight[matrix.indices[start:stop]]
        chunk = slice(column[0], column[-1] + 1)  # the columns of these values, which are adjacent
        stored[chunk] += np.bincount(column - column[0], w)
        nonzero[chunk] += np.bincount(column - column[0], w * (x != 0))
        half_sizes[chunk] += np.bincount(column - column[0], w * np.abs(x) / 2)
        mostly_zero[column[np.isnan(x)]] = False
    mostly_zero &= stored < 0.25 * (n if weight is None else weight.sum())
    return mostly_zero, np.divide(half_sizes, nonzero, out=np.zeros(d), where=nonzero > 0)


def _column(matrix: sp.csc_matrix, j: int, weight: Array | None) -> Column:
    """Values and weights of column j; one value represents all zeros that are not stored."""
    rows = slice(matrix.indptr[j], matrix.indptr[j + 1])
    n = matrix.shape[0]
    stored = np.ones(rows.stop - rows.start) if weight is None else weight[matrix.indices[rows]]
    if len(stored) == n:
        return matrix.data[rows], stored
    zeros = (n if weight is None else weight.sum()) - stored.sum()
    return np.append(matrix.data[rows], 0.0), np.append(stored, max(zeros, 0.0))


def _misses_some(matrix: sp.csc_matrix, j: int) -> bool:
    """Whether some values of column j are missing, but not all."""
    n_missing = np.count_nonzero(np.isnan(matrix.data[matrix.indptr[j] : matrix.indptr[j + 1]]))
    return bool(0 < n_missing < matrix.shape[0])
