"""Columns of a mixed table: a DataFrame or an array of objects, read into number columns and category columns.

Times (dates, durations, times of day) become seconds, which are number columns; see `times`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import narwhals.stable.v1 as nw
import numpy as np

from ..nn.tape import Array
from . import times
from .conversion import as_category, as_number, holds_text
from .times import Kind
from .values import column_values, missing

__all__ = [
    "Column",
    "ColumnTable",
    "RawTable",
    "as_numbers",
    "categories_of",
    "is_frame",
    "read",
    "wants_columns",
]

Column = tuple[Array, Array | None]  # values (n,) of a number column, NaN where missing, and weights (n,), None for 1

_CATEGORIES = (nw.Categorical, nw.Enum, nw.String)


@dataclass(frozen=True)
class ColumnTable:
    """A table as a list of columns.

    Attributes
    ----------
    values : list of ndarray of shape (n,)
        Numbers, and times in seconds, as float64 with NaN where missing; categories as objects with None where missing.
    kinds : list of Kind
        What each column holds.
    names : list of str
        Names of the columns in messages.
    """

    values: list[Array]
    kinds: list[Kind]
    names: list[str]

    @property
    def categorical(self) -> list[bool]:
        """Which columns are categories."""
        return [kind.is_category for kind in self.kinds]

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return len(self.values[0]), len(self.values)

    def __getitem__(self, rows: Array | slice) -> "ColumnTable":
        return ColumnTable([column[rows] for column in self.values], self.kinds, self.names)


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
        if any([isinstance(row, np.ndarray) and row.dtype.kind in "mM" for row in X]):
            return True
        return _are_mixed({type(value) for row in X if isinstance(row, list | tuple) for value in row})
    if not isinstance(X, np.ndarray):
        return False
    return X.dtype.kind in "USmM" or (X.dtype == object and _are_mixed(set(map(type, X.flat))))


def _are_mixed(types: set[type]) -> bool:
    """Whether some values of these types are text or times."""
    return any([issubclass(kind, str) or times.is_time(kind) for kind in types])


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


def read(X: Any, categorical_features: Any, kinds: Sequence[Kind] | None = None) -> ColumnTable:
    """Read `X`, a DataFrame or 2-D array, column by column.

    Parameters
    ----------
    X : DataFrame or ndarray of shape (n, d)
    categorical_features : "from_dtype", None or array-like
        The estimator's parameter, which decides if `kinds` is None.
    kinds : sequence of Kind, or None
        What each column holds, as decided when fitting.

    Raises
    ------
    TypeError
        If a column mixes strings or times with other types, holds what is neither number nor category, or holds times
        where it held none when fitting, or the reverse.
    ValueError
        If a number column holds text or infinity.
    """
    names, values, are_texts, found = _raw_columns(X)
    for j, (column, name) in enumerate(zip(values, names, strict=True)):
        if column.dtype == object and not found[j].times:
            are_texts[j] |= holds_text(column, name)
    if kinds is None:
        chosen = _choose(categorical_features, are_texts, names)
        kinds = [kind._replace(is_category=is_category) for kind, is_category in zip(found, chosen, strict=True)]
    else:
        _forget_missing(values, found, kinds)
        times.check_kinds(found, kinds, are_texts, names)
    for j, (column, kind, name) in enumerate(zip(values, kinds, names, strict=True)):
        if kind.times:
            column = times.seconds(column, found[j], kind.zone, name)
            values[j] = times.category_values(column, kind) if kind.is_category else column
        else:
            values[j] = as_category(column, name) if kind.is_category else as_number(column, name)
    return ColumnTable(values, list(kinds), names)


def _forget_missing(values: list[Array], found: list[Kind], kinds: Sequence[Kind]) -> None:
    """Give a column without any value the kind that it had when fitting: its dtype says nothing."""
    for j, (now, then) in enumerate(zip(found, kinds, strict=True)):
        if (now.times, now.zone) != (then.times, then.zone) and missing(values[j]).all():
            values[j] = np.full(len(values[j]), *(("NaT", "M8[us]") if then.times else (None, object)))
            found[j] = then


def as_numbers(X: Any) -> Array:
    """Read `X`, a DataFrame or an array of objects, all columns of which must be numbers: float64, NaN where missing.

    Raises
    ------
    TypeError, ValueError
        As `read` does.
    """
    values = read(X, None, [Kind()] * X.shape[1]).values
    return np.column_stack(values) if values else np.empty(X.shape)


def _raw_columns(X: Any) -> tuple[list[str], list[Array], list[bool], list[Kind]]:
    """Of each column: name, values, whether its dtype is one of text, and what times it holds."""
    if not is_frame(X):
        X = np.asarray(X)
        names, values = [f"x{j}" for j in range(X.shape[1])], list(X.T)
        is_text = X.dtype.kind in "US"
        return names, values, [is_text] * len(names), [times.kind_of(*pair) for pair in zip(values, names, strict=True)]
    frame = nw.from_native(X, eager_only=True)
    names, values, are_texts, found = [str(name) for name in frame.columns], list[Array](), list[bool](), list[Kind]()
    for name, column in zip(names, frame.iter_columns(), strict=True):
        instants, zone = times.as_instants(column)
        values.append(column_values(instants))
        are_texts.append(isinstance(column.dtype, _CATEGORIES))
        found.append(Kind() if isinstance(column.dtype, nw.String) else times.kind_of(values[-1], name, zone))
    return names, values, are_texts, found


def categories_of(column: Any) -> list[Any]:
    """The distinct values of a narwhals Series as categories."""
    values = column_values(column)
    kind = times.kind_of(values, column.name)
    if not kind.times:
        return list(column.to_list())
    categories: list[Any] = times.category_values(times.seconds(values, kind, kind.zone, column.name), kind).tolist()
    return categories


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
