"""Columns of a mixed table: a DataFrame or an array of objects, read into number columns and category columns.

Times (dates, durations, times of day) become seconds, which are number columns; see `times`.
"""

import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import narwhals.stable.v1 as nw
import numpy as np

from ..nn.tape import Array
from . import times
from .times import Kind

__all__ = [
    "Column",
    "ColumnTable",
    "RawTable",
    "as_numbers",
    "categories_of",
    "column_values",
    "from_arrow",
    "is_frame",
    "missing",
    "read",
    "refuse_times",
    "unmasked",
    "wants_columns",
    "without_na",
]

Column = tuple[Array, Array | None]  # values (n,) of a number column, NaN where missing, and weights (n,), None for 1

_CATEGORIES = (nw.Categorical, nw.Enum, nw.String)
_MARKS = ("na", "n/a", "nan", "null", "none", "nil", "missing", "unknown")
_PLACEHOLDERS = 3  # as many distinct texts in a column of numbers probably mark missing values


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
            are_texts[j] |= _holds_text(column, name)
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
            values[j] = _category(column, name) if kind.is_category else _number(column, name)
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


def column_values(column: Any) -> Array:
    """Values of a column of a DataFrame, a narwhals Series, as NumPy holds them.

    A column of pyarrow is converted by pyarrow itself: neither pandas nor narwhals converts all of its types, and a
    missing value of a dictionary becomes the dictionary's last entry in `to_numpy`.
    """
    native = column.to_native()
    if not _is_arrow(column):
        return np.asarray(column.to_numpy())
    return _arrow_values(native.array.__arrow_array__() if column.implementation.is_pandas() else native)


def _arrow_values(array: Any) -> Array:
    """Values of a pyarrow Array or ChunkedArray."""
    chunks = array.chunks if hasattr(array, "chunks") else [array]
    if type(array.type).__name__ == "DictionaryType":
        return np.concatenate([np.empty(0, dtype=object), *[_decoded(chunk) for chunk in chunks]])
    return np.asarray(array.to_numpy() if hasattr(array, "chunks") else array.to_numpy(zero_copy_only=False))


def _decoded(chunk: Any) -> Array:
    """Values (n,) of an Arrow dictionary array, None where missing."""
    entries = [*chunk.dictionary.to_pylist(), None]
    values = np.empty(len(entries), dtype=object)
    values[:] = entries
    codes: Array = chunk.indices.cast("int64").fill_null(-1).to_numpy(zero_copy_only=False)
    return values[codes]


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
    is_text = np.array([isinstance(value, str) for value in present], dtype=bool)
    if is_text.any() and not is_text.all():
        text, other = present[is_text], present[~is_text][0]
        raise TypeError(
            f"Column {name!r} mixes strings with other types, such as {other!r} ({type(other).__name__}) beside "
            f"{text[0]!r}: make it all strings or all numbers.{_hint(text)}"
        )
    return bool(is_text.any())


def missing(column: Array) -> Array:
    """Which values are missing: None, NaN, NaT or pandas.NA."""
    import pandas as pd

    return np.asarray(pd.isna(column))


def _category(column: Array, name: str) -> Array:
    """Values as objects, None where missing; TypeError for values that cannot be told apart by `==`."""
    objects: Array = column.astype(object)
    objects[missing(objects)] = None
    try:
        set(objects.tolist())
    except TypeError as error:
        raise TypeError(
            f"Column {name!r} is a column of categories, but holds values of another kind: {error}."
        ) from error
    return objects


def _number(column: Array, name: str) -> Array:
    """Values as float64, NaN where missing; TypeError or ValueError for other values and for infinity."""
    if column.dtype == object:
        column = _numbers_of_objects(column, name)
    elif column.dtype.kind in "US":
        raise _text_error(name, column)
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
    for i, value in enumerate(column):
        if isinstance(value, numbers.Real | np.bool_ | Decimal):
            continue
        if isinstance(value, str | bytes):
            raise _text_error(name, column)
        try:
            if isinstance(value, np.ndarray):  # which some versions of NumPy convert if it has a single value
                raise TypeError("it is an array, not a number")
            column[i] = float(value)
        except TypeError as error:
            raise TypeError(f"Column {name!r} is a column of numbers, but holds {value!r}: {error}.") from error
    return column


def _text_error(name: str, column: Array) -> ValueError:
    """The error for text in a column of numbers."""
    texts = [value for value in column.tolist() if isinstance(value, str | bytes)]
    words = [text for text in texts if not _is_number(text)]
    if not words:
        return ValueError(
            f"Column {name!r} is a column of numbers, but holds {texts[0]!r}, which is text: convert it to numbers."
        )
    hint = _hint(words) or (
        "" if len(words) < len(texts) else " If it is a category, name it in categorical_features when fitting."
    )
    return ValueError(f"Column {name!r} is a column of numbers, but holds {words[0]!r}, which is text.{hint}")


def _hint(texts: Sequence[Any]) -> str:
    """What to do about a few texts in a column of numbers, if they look like marks of missing values."""
    distinct = list(dict.fromkeys(str(text) for text in texts))
    marks = [text for text in distinct if not any(c.isalpha() for c in text) or text.strip().lower() in _MARKS]
    if not marks or len(distinct) > _PLACEHOLDERS:
        return ""
    return f" If {' or '.join(map(repr, marks))} marks a missing value, read the table with na_values={marks!r}."


def _is_number(text: Any) -> bool:
    """Whether a text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def refuse_times(array: Any, name: str) -> None:
    """Raise TypeError if an array, a column or a frame holds dates, times or durations.

    NumPy would convert most of them to numbers, in units that depend on where they come from.
    """
    series = nw.from_native(array, eager_only=True, allow_series=True, pass_through=True)
    if isinstance(series, nw.DataFrame | nw.Series):
        each = list(series.iter_columns()) if isinstance(series, nw.DataFrame) else [series]
        values = [column_values(column) for column in each if not isinstance(column.dtype, nw.String)]
    elif isinstance(array, np.ndarray | list | tuple) or hasattr(array, "__array__"):
        values = [_flat(array)]
    else:
        values = []
    found = [kind for column in values for kind in times.times_in(column)]
    if found:
        raise TypeError(
            f"{name} holds dates or times ({found[0]}), which are neither classes nor numbers: convert them to numbers "
            "(a year, an hour, seconds since a date)."
        )


def unmasked(array: Any) -> Any:
    """A masked array as an ordinary one with NaN, or None among objects, where it is masked; anything else as it is."""
    if not isinstance(array, np.ma.MaskedArray):
        return array
    mask, values = np.ma.getmaskarray(array), np.asarray(array)
    if not mask.any():
        return values
    if values.dtype.kind in "mM":
        return np.where(mask, np.array("NaT", values.dtype), values)
    if values.dtype.kind in "fiub":
        return np.where(mask, np.nan, values)
    objects = values.astype(object)
    objects[mask] = None
    return objects


def from_arrow(array: Any) -> Any:
    """The values of a column or frame that pyarrow holds, or of a masked array, as an array; anything else as it is."""
    array = unmasked(array)
    if type(array).__module__.partition(".")[0] == "pyarrow" and hasattr(array, "type"):
        return _arrow_values(array)
    frame = nw.from_native(array, eager_only=True, allow_series=True, pass_through=True)
    if isinstance(frame, nw.Series):
        return column_values(frame) if _is_arrow(frame) else array
    if isinstance(frame, nw.DataFrame) and any([_is_arrow(column) for column in frame.iter_columns()]):
        return np.column_stack([column_values(column) for column in frame.iter_columns()])
    return array


def _is_arrow(column: Any) -> bool:
    if column.implementation.is_pandas():
        return type(column.to_native().dtype).__name__ == "ArrowDtype"
    return bool(column.implementation.is_pyarrow())


def without_na(array: Any) -> Any:
    """The array, with NaN where it is one of objects and a value is missing: NumPy cannot convert pandas.NA."""
    array = from_arrow(array)
    if hasattr(array, "dtype") and getattr(array.dtype, "kind", "") != "O":
        return array
    try:
        objects = np.asarray(array)
    except (TypeError, ValueError):  # its own check says what is wrong
        return array
    return np.where(missing(objects), np.nan, objects) if objects.dtype == object else array


def _flat(array: Any) -> Array:
    """The values of an array-like as one column; empty where it is ragged."""
    try:
        return np.asarray(array).ravel()
    except (TypeError, ValueError):  # its own check says what is wrong
        return np.empty(0)
