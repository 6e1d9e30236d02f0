"""Values: arrays and columns of pandas, polars, pyarrow and NumPy's masked arrays, as NumPy arrays."""

from typing import Any

import narwhals.stable.v1 as nw
import numpy as np

from ..nn.tape import Array
from . import times

__all__ = ["column_values", "from_arrow", "missing", "refuse_times", "unmasked", "without_na"]


def missing(column: Array) -> Array:
    """Which values are missing: None, NaN, NaT or pandas.NA."""
    import pandas as pd

    return np.asarray(pd.isna(column))


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
