"""Conversion: the values of one column as numbers or as categories, and the errors that say what does not fit."""

import numbers
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from ..nn.tape import Array
from .values import missing

__all__ = ["as_category", "as_number", "holds_text"]

_MARKS = ("na", "n/a", "nan", "null", "none", "nil", "missing", "unknown")
_PLACEHOLDERS = 3  # as many distinct texts in a column of numbers probably mark missing values


def holds_text(column: Array, name: str) -> bool:
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


def as_category(column: Array, name: str) -> Array:
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


def as_number(column: Array, name: str) -> Array:
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
