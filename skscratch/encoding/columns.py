"""Columns of a mixed table, as they come: DataFrames and object arrays read into numbers and categories."""

import datetime
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np

__all__ = ["Columns", "is_frame", "missing", "read", "refuse_excess", "refuse_times", "wants_columns"]

_CATEGORIES = (nw.Categorical, nw.Enum, nw.String)
_TIMES = (nw.Datetime, nw.Date, nw.Duration, nw.Time)
_TIME_VALUES = (datetime.date, datetime.time, datetime.timedelta)


@dataclass(frozen=True)
class Columns:
    """A table column by column.

    Attributes
    ----------
    values : list of ndarray of shape (n,)
        float64 with NaN for a number; objects with None for a category.
    categorical : list of bool
        Which columns are categories.
    names : list of str
        What to call each column in a message.
    declared : list of int or None
        Number of categories that a column's own dtype declares.
    """

    values: list[np.ndarray]
    categorical: list[bool]
    names: list[str]
    declared: list[int | None]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.values[0]), len(self.values)

    def __getitem__(self, rows: np.ndarray) -> "Columns":
        return Columns([column[rows] for column in self.values], self.categorical, self.names, self.declared)


def refuse_excess(table: Columns) -> None:
    """Raise ValueError where a column declares more categories than there are rows to learn them from."""
    for name, count in zip(table.names, table.declared, strict=True):
        if count is not None and count > table.shape[0]:
            raise ValueError(
                f"Column {name!r} has {count} categories, more than the {table.shape[0]} rows of X: nothing can be "
                "learned of most of them. Drop the column, merge rare categories, or remove unused ones."
            )


def is_frame(X: Any) -> bool:
    """Whether `X` is a DataFrame (pandas, polars, ...), lazy or not."""
    if not hasattr(type(X), "columns"):
        return False
    return isinstance(nw.from_native(X, eager_only=False, pass_through=True), nw.DataFrame | nw.LazyFrame)


def wants_columns(X: Any, categorical_features: Any) -> bool:
    """Whether `X` has to be read column by column: where it holds anything but numbers."""
    if categorical_features is not None and not isinstance(categorical_features, str):
        return True
    if is_frame(X):
        frame = nw.from_native(X)
        if isinstance(frame, nw.LazyFrame):
            raise TypeError("X is a lazy frame, which holds no values yet: pass X.collect().")
        kinds = list(frame.schema.values())
        if not kinds:
            raise ValueError(f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 is required.")
        if all(isinstance(kind, nw.Unknown) for kind in kinds) and _is_sparse_frame(X):
            return False  # scikit-learn makes a sparse matrix of it
        return not all(isinstance(kind, nw.Boolean) or (kind.is_numeric() and kind != nw.Decimal) for kind in kinds)
    if isinstance(X, list | tuple) and any(
        isinstance(v, str) for row in X if isinstance(row, list | tuple) for v in row
    ):
        return True
    if not isinstance(X, np.ndarray):
        return False
    return X.dtype.kind in "US" or (X.dtype == object and any(isinstance(v, str) for v in X.flat))


def read(X: Any, categorical_features: Any, kinds: Sequence[bool] | None = None) -> Columns:
    """Read `X`, a DataFrame or 2-D array, column by column.

    Parameters
    ----------
    X : DataFrame or ndarray of shape (n, d)
    categorical_features : "from_dtype", None or array-like
        The estimator's parameter; used where `kinds` is None.
    kinds : sequence of bool, or None
        Which columns are categories, as found when fitting.

    Raises
    ------
    TypeError
        For a column of times, or one that mixes strings with other things.
    ValueError
        For text in a column of numbers, or infinities.
    """
    if is_frame(X):
        frame = nw.from_native(X, eager_only=True)
        names, series = [str(name) for name in frame.columns], list(frame.iter_columns())
        for name, column in zip(names, series, strict=True):
            if isinstance(column.dtype, _TIMES):
                raise _times(f"Column {name!r}", column.dtype)
        values = [column.to_numpy() for column in series]
        texts = [isinstance(column.dtype, _CATEGORIES) for column in series]
        declared = [
            len(column.cat.get_categories()) if isinstance(column.dtype, nw.Categorical | nw.Enum) else None
            for column in series
        ]
    else:
        X = np.asarray(X)
        names = [f"x{j}" for j in range(X.shape[1])]
        values = [X[:, j] for j in range(X.shape[1])]
        texts = [column.dtype.kind in "US" for column in values]
        declared = [None] * len(values)
    texts = [text or _holds_text(v, name) for text, v, name in zip(texts, values, names, strict=True)]
    categorical = list(kinds) if kinds is not None else _which(categorical_features, texts, names)
    return Columns(
        values=[
            _category(column) if is_category else _number(column, name)
            for column, name, is_category in zip(values, names, categorical, strict=True)
        ],
        categorical=categorical,
        names=names,
        declared=declared,
    )


def _which(categorical_features: Any, texts: list[bool], names: list[str]) -> list[bool]:
    """Which columns are categories, by the estimator's parameter."""
    if categorical_features is None:
        return [False] * len(names)
    if isinstance(categorical_features, str):  # "from_dtype"
        return texts
    chosen = np.asarray(categorical_features)
    if chosen.dtype.kind == "b":
        if chosen.shape != (len(names),):
            raise ValueError(
                f"categorical_features is a mask of shape {chosen.shape}, but X has {len(names)} columns: "
                "the mask must have one value for each."
            )
        return chosen.tolist()
    picked = [False] * len(names)
    for one in chosen.tolist():
        if isinstance(one, str):
            if one not in names:
                raise ValueError(f"categorical_features names the column {one!r}, which X does not have: {names}.")
            picked[names.index(one)] = True
        elif isinstance(one, int) and -len(names) <= one < len(names):
            picked[one] = True
        else:
            raise ValueError(f"categorical_features holds {one!r}, but X has the columns 0 to {len(names) - 1}.")
    return picked


def _is_sparse_frame(X: Any) -> bool:
    """Whether `X` is a pandas frame of nothing but sparse columns, all of whose gaps are zeros."""
    import pandas as pd

    kinds = list(getattr(X, "dtypes", []))
    return bool(kinds) and all(isinstance(kind, pd.SparseDtype) and kind.fill_value == 0 for kind in kinds)


def refuse_times(array: Any, name: str) -> None:
    """Raise TypeError where an array is of dates or durations, which NumPy would turn into numbers."""
    kind = getattr(array, "dtype", None)
    if isinstance(kind, np.dtype) and kind.kind in "mM":
        raise _times(name, kind)


def _times(name: str, kind: Any) -> TypeError:
    return TypeError(
        f"{name} holds dates or times ({kind}), which have no meaning to a network as they are: turn them into numbers "
        "(a year, an hour, seconds since a date) or leave them out."
    )


def _holds_text(column: np.ndarray, name: str) -> bool:
    """Whether a column of objects is one of strings; TypeError if it mixes them with something else."""
    if column.dtype != object:
        return False
    present = column[~missing(column)]
    strings = sum(isinstance(value, str) for value in present)
    if 0 < strings < len(present):
        other = next(value for value in present if not isinstance(value, str))
        raise TypeError(
            f"Column {name!r} mixes strings with other types, such as {other!r} ({type(other).__name__}): "
            "make it all strings or all numbers."
        )
    return strings > 0


def missing(column: np.ndarray) -> np.ndarray:
    """Which values are missing: None, NaN, NaT or pandas.NA."""
    import pandas as pd

    return np.asarray(pd.isna(column))


def _category(column: np.ndarray) -> np.ndarray:
    """Values as objects, None where missing."""
    objects = column.astype(object)
    objects[missing(objects)] = None
    return objects


def _number(column: np.ndarray, name: str) -> np.ndarray:
    """Values as float64, NaN where missing; anything else, and infinities, are refused."""
    if column.dtype == object:
        column = column.copy()
        column[missing(column)] = np.nan
        for value in column:
            if isinstance(value, _TIME_VALUES) or type(value).__name__ == "Period":
                raise _times(f"Column {name!r}", type(value).__name__)
            if not isinstance(value, numbers.Real | np.bool_ | Decimal):
                raise ValueError(
                    f"Column {name!r} is a column of numbers, but holds {value!r}. Where it should be a category, "
                    "name it in categorical_features when fitting."
                )
    elif column.dtype.kind in "US":
        raise ValueError(f"Column {name!r} is a column of numbers, but holds text such as {str(column[0])!r}.")
    elif column.dtype.kind == "c":
        raise ValueError(f"Column {name!r} holds complex numbers, which a network cannot read.")
    try:
        floats = column.astype(np.float64)
    except OverflowError:
        floats = np.array([np.inf])
    if np.isinf(floats).any():
        raise ValueError(f"Column {name!r} of X contains infinity, or a number too large for float64.")
    return floats
