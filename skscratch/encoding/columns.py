"""Columns of a mixed table: a DataFrame or an array of objects, read into number columns and category columns."""

import datetime
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import narwhals.stable.v1 as nw
import numpy as np

from ..nn.tape import Array

__all__ = [
    "Column",
    "ColumnTable",
    "RawTable",
    "is_frame",
    "missing",
    "read",
    "refuse_excess",
    "refuse_times",
    "wants_columns",
]

Column = tuple[Array, Array | None]  # values (n,) of a number column, NaN where missing, and weights (n,), None for 1

_CATEGORIES = (nw.Categorical, nw.Enum, nw.String)
_TIMES = (nw.Datetime, nw.Date, nw.Duration, nw.Time)
_TIME_VALUES = (datetime.date, datetime.time, datetime.timedelta)


@dataclass(frozen=True)
class ColumnTable:
    """A table as a list of columns.

    Attributes
    ----------
    values : list of ndarray of shape (n,)
        Numbers as float64 with NaN where missing; categories as objects with None where missing.
    categorical : list of bool
        Which columns are categories.
    names : list of str
        Names of the columns in messages.
    declared : list of int or None
        Number of categories that the dtype of a column declares.
    """

    values: list[Array]
    categorical: list[bool]
    names: list[str]
    declared: list[int | None]

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return len(self.values[0]), len(self.values)

    def __getitem__(self, rows: Array | slice) -> "ColumnTable":
        return ColumnTable([column[rows] for column in self.values], self.categorical, self.names, self.declared)


class RawTable(NamedTuple):
    """Rows as the blocks of an encoder read them.

    Attributes
    ----------
    numbers : ndarray of shape (n, n_numbers)
        The number columns, NaN where missing.
    codes : ndarray of int32, shape (n, n_categories), or None
        Codes of the category columns; 0 for a missing or unknown category.
    """

    numbers: Array
    codes: Array | None = None

    def chunk(self, rows: slice) -> "RawTable":
        """Some of the rows."""
        return RawTable(self.numbers[rows], None if self.codes is None else self.codes[rows])


def is_frame(X: Any) -> bool:
    """Whether `X` is a DataFrame (pandas, polars, ...), lazy or not."""
    if not hasattr(type(X), "columns"):
        return False
    return isinstance(nw.from_native(X, eager_only=False, pass_through=True), nw.DataFrame | nw.LazyFrame)


def wants_columns(X: Any, categorical_features: Any) -> bool:
    """Whether `X` must be read column by column, because it holds other values than numbers."""
    if categorical_features is not None and not isinstance(categorical_features, str):
        return True
    if is_frame(X):
        return _frame_wants_columns(X)
    if isinstance(X, list | tuple):
        return any([isinstance(v, str) for row in X if isinstance(row, list | tuple) for v in row])
    if not isinstance(X, np.ndarray):
        return False
    return X.dtype.kind in "US" or (X.dtype == object and any([isinstance(v, str) for v in X.flat]))


def _frame_wants_columns(X: Any) -> bool:
    frame = nw.from_native(X)
    if isinstance(frame, nw.LazyFrame):
        raise TypeError("X is a lazy frame, which has no values yet: pass X.collect().")
    dtypes = list(frame.schema.values())
    if not dtypes:
        raise ValueError(f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 is required.")
    if _is_sparse_frame(X, dtypes):
        return False  # scikit-learn converts it to a sparse matrix
    return not all([isinstance(dtype, nw.Boolean) or (dtype.is_numeric() and dtype != nw.Decimal) for dtype in dtypes])


def _is_sparse_frame(X: Any, dtypes: list[Any]) -> bool:
    """Whether `X` is a pandas frame in which all columns are sparse with zero as the value that is not stored."""
    import pandas as pd

    if not all([isinstance(dtype, nw.Unknown) for dtype in dtypes]):
        return False
    own = list(getattr(X, "dtypes", []))
    return bool(own) and all([isinstance(dtype, pd.SparseDtype) and dtype.fill_value == 0 for dtype in own])


def read(X: Any, categorical_features: Any, categorical: Sequence[bool] | None = None) -> ColumnTable:
    """Read `X`, a DataFrame or 2-D array, column by column.

    Parameters
    ----------
    X : DataFrame or ndarray of shape (n, d)
    categorical_features : "from_dtype", None or array-like
        The estimator's parameter, which decides if `categorical` is None.
    categorical : sequence of bool, or None
        Which columns are categories, as decided when fitting.

    Raises
    ------
    TypeError
        If a column holds dates or times, or mixes strings with other types.
    ValueError
        If a number column holds text or infinity.
    """
    if is_frame(X):
        names, values, are_texts, declared = _frame_columns(X)
    else:
        X = np.asarray(X)
        names = [f"x{j}" for j in range(X.shape[1])]
        values = list(X.T)
        are_texts = [X.dtype.kind in "US"] * len(names)
        declared = [None] * len(names)
    for j, (column, name) in enumerate(zip(values, names, strict=True)):
        if not are_texts[j] and column.dtype == object:
            are_texts[j] = _holds_text(column, name)
    if categorical is None:
        categorical = _choose(categorical_features, are_texts, names)
    for j, (column, name) in enumerate(zip(values, names, strict=True)):
        values[j] = _category(column) if categorical[j] else _number(column, name)
    return ColumnTable(values, list(categorical), names, declared)


def _frame_columns(X: Any) -> tuple[list[str], list[Array], list[bool], list[int | None]]:
    """Of each column of a DataFrame: name, values, whether its dtype is one of text, and the size of its categories."""
    frame = nw.from_native(X, eager_only=True)
    names, values, are_texts, declared = [], [], [], []
    for name, column in zip(frame.columns, frame.iter_columns(), strict=True):
        dtype = column.dtype
        if isinstance(dtype, _TIMES):
            raise _times_error(f"Column {str(name)!r}", dtype)
        names.append(str(name))
        values.append(column.to_numpy())
        are_texts.append(isinstance(dtype, _CATEGORIES))
        declares = isinstance(dtype, nw.Categorical | nw.Enum)
        declared.append(len(column.cat.get_categories()) if declares else None)
    return names, values, are_texts, declared


def _choose(categorical_features: Any, are_texts: list[bool], names: list[str]) -> list[bool]:
    """Which columns are categories, by the estimator's parameter."""
    if categorical_features is None:
        return [False] * len(names)
    if isinstance(categorical_features, str):  # "from_dtype"
        return are_texts
    given = np.asarray(categorical_features)
    if given.dtype.kind == "b":
        if given.shape != (len(names),):
            raise ValueError(
                f"categorical_features is a mask of shape {given.shape}, but X has {len(names)} columns: "
                "the mask must have one value per column."
            )
        mask: list[bool] = given.tolist()
        return mask
    chosen = [False] * len(names)
    for feature in given.tolist():
        if isinstance(feature, str):
            if feature not in names:
                raise ValueError(f"categorical_features names the column {feature!r}, which X does not have: {names}.")
            chosen[names.index(feature)] = True
        elif isinstance(feature, int) and -len(names) <= feature < len(names):
            chosen[feature] = True
        else:
            raise ValueError(f"categorical_features holds {feature!r}, but X has the columns 0 to {len(names) - 1}.")
    return chosen


def _holds_text(column: Array, name: str) -> bool:
    """Whether a column of objects holds strings; TypeError if it holds other types beside them."""
    present = column[~missing(column)]
    n_strings = sum([isinstance(value, str) for value in present])
    if 0 < n_strings < len(present):
        other = next(value for value in present if not isinstance(value, str))
        raise TypeError(
            f"Column {name!r} mixes strings with other types, such as {other!r} ({type(other).__name__}): "
            "make it all strings or all numbers."
        )
    return n_strings > 0


def missing(column: Array) -> Array:
    """Which values are missing: None, NaN, NaT or pandas.NA."""
    import pandas as pd

    return np.asarray(pd.isna(column))


def _category(column: Array) -> Array:
    """Values as objects, None where missing."""
    objects: Array = column.astype(object)
    objects[missing(objects)] = None
    return objects


def _number(column: Array, name: str) -> Array:
    """Values as float64, NaN where missing; TypeError or ValueError for other values and for infinity."""
    if column.dtype == object:
        column = _numbers_of_objects(column, name)
    elif column.dtype.kind in "US":
        raise ValueError(f"Column {name!r} is a column of numbers, but holds text such as {str(column[0])!r}.")
    elif column.dtype.kind == "c":
        raise ValueError(f"Column {name!r} holds complex numbers, which are not supported.")
    try:
        floats: Array = column.astype(np.float64)
    except OverflowError:
        floats = np.array([np.inf])
    if np.isinf(floats).any():
        raise ValueError(f"Column {name!r} of X contains infinity, or a number too large for float64.")
    return floats


def _numbers_of_objects(column: Array, name: str) -> Array:
    """Objects with NaN where missing; TypeError or ValueError unless all others are numbers."""
    column = column.copy()
    column[missing(column)] = np.nan
    for value in column:
        if isinstance(value, _TIME_VALUES) or type(value).__name__ == "Period":
            raise _times_error(f"Column {name!r}", type(value).__name__)
        if not isinstance(value, numbers.Real | np.bool_ | Decimal):
            raise ValueError(
                f"Column {name!r} is a column of numbers, but holds {value!r}. If it is a category, name it in "
                "categorical_features when fitting."
            )
    return column


def refuse_excess(table: ColumnTable) -> None:
    """Raise ValueError if a column declares more categories than there are rows to learn them from."""
    n = len(table.values[0])
    for name, count in zip(table.names, table.declared, strict=True):
        if count is not None and count > n:
            raise ValueError(
                f"Column {name!r} has {count} categories, more than the {n} rows of X: most of them cannot be learned. "
                "Drop the column, merge rare categories, or remove unused ones."
            )


def refuse_times(array: Any, name: str) -> None:
    """Raise TypeError for an array of dates or durations, which NumPy would convert to numbers."""
    dtype = getattr(array, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in "mM":
        raise _times_error(name, dtype)


def _times_error(name: str, dtype: Any) -> TypeError:
    return TypeError(
        f"{name} holds dates or times ({dtype}), which a network cannot read: convert them to numbers (a year, an "
        "hour, seconds since a date) or drop the column."
    )
