"""The checks of what a user passes as X and sample_weight, and the checked rows with their targets."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from mmap import mmap
from numbers import Real
from typing import Any, TypeAlias
from zlib import crc32

import narwhals.stable.v1 as nw
import numpy as np
import scipy.sparse as sp
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_array, validate_data

from ..nn.tape import Array
from . import columns, values
from .columns import ColumnTable
from .out_of_core import MemmapTable
from .sparse import summed_duplicates
from .times import Kind
from .weights import Weights

__all__ = ["Rows", "check_names", "check_table", "check_weight", "declared_categories"]

MAX_NAMED = 5  # columns that a message names
MIN_MEMMAP_BYTES = 2**26  # smaller files are read into memory

CheckedTable: TypeAlias = Array | sp.csr_matrix | ColumnTable | MemmapTable


@dataclass(frozen=True)
class Rows:
    """Checked rows with their targets, for training or for validation.

    Attributes
    ----------
    X, y : as passed by the user
        Passed on to a scorer.
    data : ndarray, csr_matrix, ColumnTable or MemmapTable
        X after the checks.
    values : ndarray of shape (n,) or (n, n_targets)
        y as class codes or numbers.
    weight : ndarray of shape (n,), or None
        Weights of the rows, in units of 2**`weight_exponent`.
    weight_exponent : int
    """

    X: Any
    y: Any
    data: CheckedTable
    values: Array
    weight: Array | None
    weight_exponent: int = 0

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: Array) -> "Rows":
        data = self.data[rows]
        # a frame's own rows: its columns may have dtypes that `data` does not keep
        X = _safe_indexing(self.X, rows) if isinstance(data, ColumnTable) else data
        weight = None if self.weight is None else self.weight[rows]
        return Rows(X, self.y[rows], data, self.values[rows], weight, self.weight_exponent)

    def weighted(self, weights: Weights | None) -> "Rows":
        """The same rows with these weights."""
        return self if weights is None else replace(self, weight=weights.values, weight_exponent=weights.exponent)

    def given_weight(self) -> Array | None:
        """The weights (n,) in the user's units, for a function of the user's."""
        return None if self.weight is None else Weights(self.weight, self.weight_exponent).in_units_of_one()

    def without_weightless(self) -> "Rows":
        """The rows of positive weight: a row of weight 0 counts as absent."""
        if self.weight is None or np.all(self.weight > 0):
            return self
        if not np.any(self.weight > 0):
            raise ValueError("Sample weights must contain at least one non-zero number: all weights are zero.")
        return self[np.flatnonzero(self.weight > 0)]


def check_table(
    estimator: Any, X: Any, categorical_features: Any, kinds: list[Kind] | None, reset: bool
) -> CheckedTable:
    """Convert X to a float array with NaN, a CSR matrix, a ColumnTable or a MemmapTable.

    Parameters
    ----------
    estimator : estimator
        Its feature names and their number are set if `reset`, and compared with those of `X` otherwise.
    X : DataFrame, array-like or sparse matrix
    categorical_features : "from_dtype", None or array-like
        The estimator's parameter.
    kinds : list of Kind, or None
        What each column holds, if the table that was fitted was read column by column.
    reset : bool
        Whether X is the table to fit.
    """
    if not reset and kinds is None and _needs_no_check(estimator, X):
        return X
    X = values.unmasked(X)
    by_column = columns.wants_columns(X, categorical_features) if reset else kinds is not None
    if by_column:
        return _check_columns(estimator, X, categorical_features, kinds, reset)
    if sp.issparse(X):
        X = summed_duplicates(X)
    if _is_large_memmap(X):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        return _check_memmap(MemmapTable(X))
    options = {"accept_sparse": "csr", "dtype": (np.float64, np.float32), "ensure_all_finite": "allow-nan"}
    is_frame = columns.is_frame(X)
    if is_frame:
        check_names(estimator, X, reset)
    X = _numbers_of(X)
    try:
        with np.errstate(invalid="ignore"):  # of infinity minus infinity
            if is_frame:
                return check_array(X, estimator=estimator, input_name="X", **options)
            return validate_data(estimator, X, reset=reset, **options)
    except ValueError as error:
        if columns.is_frame(X):
            columns.read(X, None)  # raises an error that names the column
        if "infinity" in str(error):
            raise ValueError(f"{error}{_where_infinite(X)}") from error
        raise


def _numbers_of(X: Any) -> Any:
    """X itself, or as numbers what scikit-learn's checks do not convert: objects, text, and other dtypes of frames."""
    if columns.is_frame(X):
        return columns.as_numbers(X) if columns.wants_columns(X, None) else X
    if isinstance(X, list | tuple):
        with suppress(TypeError, ValueError):  # the checks say what is wrong with a ragged list
            X = np.asarray(X)
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "OUSmM":
        return columns.as_numbers(X)
    return X


def _where_infinite(X: Any) -> str:
    """How many values of an array or a sparse matrix are infinite, and in which columns."""
    if sp.issparse(X):
        X = X.tocoo()
        column = X.col[np.isinf(X.data)]
    else:
        column = np.nonzero(np.isinf(np.asarray(X, dtype=np.float64)))[1]
    names = [f"x{j}" for j in np.unique(column)[:MAX_NAMED]]
    more = ", ..." if len(np.unique(column)) > MAX_NAMED else ""
    return f" {len(column)} values are infinite, in the columns {', '.join(names)}{more}."


def _needs_no_check(estimator: Any, X: Any) -> bool:
    """Whether scikit-learn's checks would return X itself. They take half of the time of predicting one row."""
    if type(X) is not np.ndarray or X.ndim != 2 or X.dtype.char not in "fd" or not len(X):
        return False
    if X.shape[1] != estimator.n_features_in_ or hasattr(estimator, "feature_names_in_"):
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(X.sum()))  # a sum that is not finite may be an overflow: the checks decide


def _check_columns(
    estimator: Any, X: Any, categorical_features: Any, kinds: list[Kind] | None, reset: bool
) -> ColumnTable:
    """Read a mixed table column by column."""
    if sp.issparse(X):
        if kinds is None or any([kind.is_category for kind in kinds]):
            raise ValueError("A sparse X has no categories: leave categorical_features at its default.")
        X = X.toarray()  # the table that was fitted had other dtypes than numbers, but no categories
    if not columns.is_frame(X):
        X = _array_of(X) if isinstance(X, list | tuple) else X
        X = check_array(X, dtype=None, ensure_all_finite=False, input_name="X")
    check_names(estimator, X, reset)
    table = columns.read(X, categorical_features, kinds)
    if not len(table.values[0]):
        raise ValueError(f"Found array with 0 sample(s) (shape={table.shape}) while a minimum of 1 is required.")
    return table


def _array_of(rows: Sequence[Any]) -> Array:
    """Rows as an array: of objects, unless they are arrays of times, which NumPy would convert to integers."""
    are_times = any([isinstance(row, np.ndarray) and row.dtype.kind in "mM" for row in rows])
    return np.asarray(rows) if are_times else np.asarray(rows, dtype=object)


def check_names(estimator: Any, X: Any, reset: bool) -> None:
    """Set or compare the number of columns and, for a DataFrame, their names.

    scikit-learn before 1.9 finds the names of pandas alone, and those of other frames by a protocol that polars dropped
    in version 2.  Other frames are therefore replaced by an empty pandas DataFrame with the same columns.
    """
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame) and not frame.implementation.is_pandas():
        import pandas as pd

        X = pd.DataFrame(columns=frame.columns)
    validate_data(estimator, X, reset=reset, skip_check_array=True)


def declared_categories(X: Any) -> list[list[Any]]:
    """The categories that the dtype of each column declares, whether they occur or not; empty unless X is a frame."""
    if not columns.is_frame(X):
        return []
    declared = []
    for column in nw.from_native(X, eager_only=True).iter_columns():
        # the categories of a polars Categorical are those that occurred in this session
        declares = isinstance(column.dtype, nw.Enum) or (
            isinstance(column.dtype, nw.Categorical)
            and column.implementation.is_pandas_like()
            and hasattr(column.to_native().dtype, "categories")
        )
        declared.append(columns.categories_of(column.cat.get_categories()) if declares else [])
    return declared


def _is_large_memmap(X: Any) -> bool:
    """Whether X is a large array of numbers in a memory-mapped file."""
    if not isinstance(X, np.ndarray) or X.ndim != 2 or X.dtype.kind not in "fiub" or X.nbytes < MIN_MEMMAP_BYTES:
        return False
    base: Any = X
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, mmap)


def _check_memmap(data: MemmapTable) -> MemmapTable:
    """Read all rows once: note whether any value is missing, and the checksum; ValueError for an infinity."""
    checksum, holds_nan = 0, False
    for _, rows in data.chunks():
        check_array(rows, ensure_all_finite="allow-nan", input_name="X")
        holds_nan |= bool(np.isnan(rows).any())
        checksum = crc32(np.ascontiguousarray(rows), checksum)
    return replace(data, holds_nan=holds_nan, checksum=checksum)


def check_weight(sample_weight: Any, n: int) -> Array | None:
    """Weights (n,) as finite float64, non-negative and not all zero; None if none are given."""
    if sample_weight is None:
        return None
    values.refuse_times(sample_weight, "sample_weight")
    if isinstance(sample_weight, Real):
        sample_weight = np.full(n, sample_weight)
    try:
        sample_weight = values.without_na(sample_weight)
        weight: Array = check_array(
            sample_weight, ensure_2d=False, dtype=np.float64, ensure_all_finite=False, input_name="sample_weight"
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"sample_weight must be numbers, one for each row of X: {error}") from error
    if weight.ndim != 1 or len(weight) != n:
        raise ValueError(f"sample_weight must be of shape ({n},), one for each row of X. Got shape {weight.shape}.")
    if not np.isfinite(weight).all():
        wrong = np.flatnonzero(~np.isfinite(weight))
        raise ValueError(
            f"sample_weight contains NaN or infinity: {len(wrong)} of {n} weights, of which the first is "
            f"{weight[wrong[0]]} at row {wrong[0]}."
        )
    if (weight < 0).any():
        raise ValueError(f"Negative values in sample_weight: {weight.min()} at row {int(weight.argmin())}.")
    if not weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number: all weights are zero.")
    return weight
