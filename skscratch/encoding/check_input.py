"""Input as a user gives it, checked: the table, the weights, and the rows of both with their targets."""

from dataclasses import dataclass, replace
from mmap import mmap
from numbers import Real
from typing import Any
from zlib import crc32

import narwhals.stable.v1 as nw
import numpy as np
import scipy.sparse as sp
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_array, validate_data

from . import columns
from .out_of_core import MemmapTable

__all__ = ["Rows", "check_names", "check_table", "check_weight", "declared_categories"]

MAPPED = 2**26  # bytes: smaller files are as well read into memory


@dataclass(frozen=True)
class Rows:
    """Checked rows, of training or of validation.

    Attributes
    ----------
    X, y : as given
        What a scorer is handed.
    data : ndarray, csr_matrix, Columns or MemmapTable
        X as checked.
    values : ndarray of shape (n,) or (n, n_targets)
        y as class codes or numbers.
    weight : ndarray of shape (n,), or None
        Weights of the rows.
    """

    X: Any
    y: Any
    data: Any
    values: np.ndarray
    weight: np.ndarray | None

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, rows: np.ndarray) -> "Rows":
        data = self.data[rows]
        # rows of the frame itself where its columns have types that `data` alone does not keep
        X = _safe_indexing(self.X, rows) if isinstance(data, columns.Columns) else data
        return Rows(X, self.y[rows], data, self.values[rows], None if self.weight is None else self.weight[rows])

    def without_weightless(self) -> "Rows":
        """The rows of positive weight: weight 0 is as if the row were absent."""
        if self.weight is None or np.all(self.weight > 0):
            return self
        if not np.any(self.weight > 0):
            raise ValueError("Sample weights must contain at least one non-zero number: all weights are zero.")
        return self[np.flatnonzero(self.weight > 0)]


def check_table(estimator: Any, X: Any, categorical_features: Any, kinds: list[bool] | None, reset: bool) -> Any:
    """A float array with NaN, a CSR matrix, Columns, or MemmapTable; sets or compares the estimator's feature names.

    Parameters
    ----------
    estimator : estimator
    X : DataFrame, array-like or sparse matrix
    categorical_features : as the estimator's parameter
    kinds : list of bool, or None
        Which columns are categories, once that is settled and there are any columns of types.
    reset : bool
        Whether this table settles the names and kinds.
    """
    if not reset and kinds is None and _is_plain(estimator, X):
        return X
    columns.refuse_times(X, "X")
    if columns.wants_columns(X, categorical_features) if reset else kinds is not None:
        if sp.issparse(X):
            raise ValueError("A sparse X has no categories: leave categorical_features at its default.")
        if not columns.is_frame(X):
            X = np.asarray(X, dtype=object) if isinstance(X, list | tuple) else X
            X = check_array(X, dtype=None, ensure_all_finite=False, input_name="X")
        check_names(estimator, X, reset)
        table = columns.read(X, categorical_features, kinds)
        if table.shape[0] < 1:
            raise ValueError(f"Found array with 0 sample(s) (shape={table.shape}) while a minimum of 1 is required.")
        return table
    if _is_mapped(X):
        validate_data(estimator, X, reset=reset, skip_check_array=True)
        return _checked(MemmapTable(X))
    how = {"accept_sparse": "csr", "dtype": (np.float64, np.float32), "ensure_all_finite": "allow-nan"}
    try:
        if columns.is_frame(X):
            check_names(estimator, X, reset)
            return check_array(X, estimator=estimator, input_name="X", **how)
        return validate_data(estimator, X, reset=reset, **how)
    except ValueError:
        if columns.is_frame(X):
            columns.read(X, None)  # names the column that is at fault
        raise


def check_names(estimator: Any, X: Any, reset: bool) -> None:
    """Set or compare the number of the columns and, of a DataFrame, their names.

    scikit-learn before 1.9 finds names in pandas, and elsewhere by a protocol that polars has left in version 2: it is
    handed an empty frame of pandas with the same columns.
    """
    frame = nw.from_native(X, eager_only=True, pass_through=True)
    if isinstance(frame, nw.DataFrame) and not frame.implementation.is_pandas():
        import pandas as pd

        X = pd.DataFrame(columns=frame.columns)
    validate_data(estimator, X, reset=reset, skip_check_array=True)


def declared_categories(X: Any) -> list[list[Any]]:
    """The categories of each column of a DataFrame whose type declares them, whether they occur or not; else none."""
    if not columns.is_frame(X):
        return []
    declared = []
    for column in nw.from_native(X, eager_only=True).iter_columns():
        lasting = isinstance(column.dtype, nw.Enum) or (
            isinstance(column.dtype, nw.Categorical) and column.implementation.is_pandas_like()
        )
        declared.append(column.cat.get_categories().to_list() if lasting else [])
    return declared


def _is_mapped(X: Any) -> bool:
    """Whether X is a large table of numbers in a memory-mapped file."""
    if not isinstance(X, np.ndarray) or X.ndim != 2 or X.dtype.kind not in "fiub" or X.nbytes < MAPPED:
        return False
    base: Any = X
    while isinstance(base, np.ndarray):
        base = base.base
    return isinstance(base, mmap)


def _checked(data: MemmapTable) -> MemmapTable:
    """The same rows, once all were read: whether there is any NaN, and their checksum; ValueError for an infinity."""
    checksum, holds_nan = 0, False
    for _, rows in data.chunks():
        check_array(rows, ensure_all_finite="allow-nan", input_name="X")
        holds_nan |= bool(np.isnan(rows).any())
        checksum = crc32(np.ascontiguousarray(rows), checksum)
    return replace(data, holds_nan=holds_nan, checksum=checksum)


def _is_plain(estimator: Any, X: Any) -> bool:
    """Whether X is an array that scikit-learn's check would hand back as it is: half the time of predicting a row."""
    if type(X) is not np.ndarray or X.ndim != 2 or X.dtype.char not in "fd" or not len(X):
        return False
    if X.shape[1] != estimator.n_features_in_ or hasattr(estimator, "feature_names_in_"):
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(X.sum()))  # NaN and infinities go the long way, which tells them apart


def check_weight(sample_weight: Any, n: int) -> np.ndarray | None:
    """Weights (n,) of float64, non-negative and not all zero; None where they are not given."""
    if sample_weight is None:
        return None
    if isinstance(sample_weight, Real):
        sample_weight = np.full(n, sample_weight)
    try:
        weight = check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
    except (TypeError, ValueError) as error:
        raise ValueError(f"sample_weight must be numbers, one for each row of X: {error}") from error
    if weight.ndim != 1 or len(weight) != n:
        raise ValueError(f"sample_weight must be of shape ({n},), one for each row of X. Got shape {weight.shape}.")
    if (weight < 0).any():
        raise ValueError(f"Negative values in sample_weight: {weight.min()} at row {int(weight.argmin())}.")
    if not weight.any():
        raise ValueError("Sample weights must contain at least one non-zero number: all weights are zero.")
    return weight
