"""Sparse tables: statistics and encoding of a CSR matrix, at the cost of its stored values alone.

A sparse table has number columns only, and no bins.  Its zeros stay out of memory: the stored values x become
f(x) - f(0), and f(0), the same for all rows, becomes an offset that the first layer adds.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..nn.batch import Table
from ..nn.tape import Array
from .numeric import MIN_HALF_RANGE, MissingFlags, Numbers
from .quantiles import QUANTILE_TOLERANCE

__all__ = ["learn_sparse", "summed_duplicates", "transform_sparse"]

CHUNK_VALUES = 2**14  # stored values whose statistics are computed at a time, which bounds the memory they take


def summed_duplicates(X: Any) -> sp.csr_matrix:
    """A sparse table as a CSR matrix that stores each cell once: the value of a cell stored several times is their sum.

    The sum is formed in the type of X, as `toarray` does.
    """
    if X.ndim != 2 or X.dtype.kind not in "biuf" or X.dtype.itemsize == 2:
        return X  # the checks of an array refuse or convert it first
    given = X.tocsr()
    X = sp.csr_matrix((given.data, given.indices, given.indptr), shape=given.shape)  # looks at the format anew
    if not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def learn_sparse(
    X: sp.csr_matrix, weight: Array | None, scale: bool, constant_factor: float
) -> tuple[Numbers, MissingFlags]:
    """Learn the blocks of a sparse table (n, d) from its rows and their weights (n,).

    Most columns of most sparse tables are zero in more than three quarters of the rows.  All of these are learned at
    once.  The others become dense, one at a time; where weights are equal, each has at most four times as many values.
    """
    matrix = sp.csc_matrix(summed_duplicates(X))
    d = matrix.shape[1]
    center, factor = np.zeros(d), np.ones(d)
    mostly_zero, half_range = _mostly_zero(matrix, weight)
    if scale:
        half_range = half_range[mostly_zero]
        constant = half_range <= MIN_HALF_RANGE
        factor[mostly_zero] = np.where(constant, constant_factor, 0.5 / np.where(constant, 1, half_range))
    others = np.flatnonzero(~mostly_zero)
    dense = Numbers.learn(((_dense(matrix, j), weight) for j in others.tolist()), others, scale, constant_factor)
    center[others], factor[others] = dense.center, dense.factor
    numbers = Numbers(np.arange(d), center, factor, scale, constant_factor)
    flagged = np.array([j for j in others.tolist() if _misses_some(matrix, j)], dtype=int)
    return numbers, MissingFlags(flagged, flagged)


def transform_sparse(X: sp.csr_matrix, dtype: np.dtype, numbers: Numbers, flags: MissingFlags) -> Table:
    """Encode the rows of a sparse table."""
    X = summed_duplicates(X)
    missing = np.isnan(X.data)
    if not numbers.scale and not flags.width and not missing.any():
        if X.dtype == dtype:
            return Table(X)
        return Table(sp.csr_matrix((X.data.astype(dtype), X.indices, X.indptr), shape=X.shape))
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

    The half range is half of the weighted mean of |x| over the values that are not zero, and 0 if all are.
    """
    n, d = matrix.shape
    nonzero, sums = np.zeros(d), np.zeros(d)  # Σ w and Σ w |x| over the values that are not zero
    mostly_zero = np.ones(d, dtype=bool)
    exponents = np.frexp(_largest(matrix))[1]  # in units of a power of two, no product over- or underflows
    for column, x, rows in _chunks(matrix):
        w = np.ones(len(x)) if weight is None else weight[rows]
        chunk = slice(column[0], column[-1] + 1)  # the columns of these values, which are adjacent
        nonzero[chunk] += np.bincount(column - column[0], w * (x != 0))
        sums[chunk] += np.bincount(column - column[0], w * np.abs(np.ldexp(x.astype(np.float64), -exponents[column])))
        mostly_zero[column[np.isnan(x)]] = False
    total = n if weight is None else weight.sum()
    mostly_zero &= nonzero < 0.25 * (1 - QUANTILE_TOLERANCE) * total  # at a quarter, a quantile is a mean of two values
    mean = np.divide(sums, nonzero, out=np.zeros(d), where=nonzero > 0)
    return mostly_zero, np.ldexp(mean, exponents - 1)


def _chunks(matrix: sp.csc_matrix) -> Iterator[tuple[Array, Array, Array]]:
    """Yield the stored values, some at a time: their columns, the values, and their rows."""
    for start in range(0, matrix.nnz, CHUNK_VALUES):
        stop = min(start + CHUNK_VALUES, matrix.nnz)
        column = np.searchsorted(matrix.indptr, np.arange(start, stop), side="right") - 1
        yield column, matrix.data[start:stop], matrix.indices[start:stop]


def _largest(matrix: sp.csc_matrix) -> Array:
    """Largest |x| of the stored values of each column, (d,), without NaN."""
    largest = np.zeros(matrix.shape[1])
    for column, x, _ in _chunks(matrix):
        np.fmax.at(largest, column, np.abs(x))
    return largest


def _dense(matrix: sp.csc_matrix, j: int) -> Array:
    """Column j with its zeros, (n,)."""
    stored, x = slice(matrix.indptr[j], matrix.indptr[j + 1]), np.zeros(matrix.shape[0], matrix.dtype)
    x[matrix.indices[stored]] = matrix.data[stored]
    return x


def _misses_some(matrix: sp.csc_matrix, j: int) -> bool:
    """Whether some values of column j are missing, but not all."""
    n_missing = np.count_nonzero(np.isnan(matrix.data[matrix.indptr[j] : matrix.indptr[j + 1]]))
    return bool(0 < n_missing < matrix.shape[0])
