"""Inputs of a converted model: `input_feed` turns rows into them.

The inputs of a graph follow the type of X:

- An array of numbers, or a sparse matrix, is one input of shape (n, n_features), named "X".
- A DataFrame is one input of shape (n, 1) for each of its columns, in the same order and under the same name. The type
  is float for float32, double for other floats, int64 for integers, bool, or string for strings and categories.
  skl2onnx replaces characters other than letters and digits by _, and appends a number to a name that is taken; the
  `doc_string` of the input is the original name. `X.to_numpy()` in place of X makes one matrix, which some of
  scikit-learn's transformers need.
- Dates, durations and times of day are doubles, in seconds: of a date since 1970-01-01 00:00 on the clock of its time
  zone, of a time of day since midnight. `input_feed` converts them, and reads the clock of the time zone that the
  column had in `to_onnx`.
- A missing value is NaN in a column of numbers and "" in a column of strings. Integers and booleans with missing values
  in X become double. A category that did not occur in training counts as missing, as in prediction without ONNX.
"""

import json
import numbers
from decimal import Decimal
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np
import scipy.sparse as sp

from ..encoding.columns import is_frame
from ..encoding.times import DATES, as_instants, kind_of, seconds
from ..encoding.values import column_values, missing
from ..nn.tape import Array

__all__ = ["ZONES", "input_feed", "input_type", "tensors_of"]

ZONES = "skscratch.time_zones"  # key, in the metadata of a model, of the time zones of its date columns as JSON


def input_feed(model: Any, X: Any) -> dict[str, Array]:
    """Turn rows into the inputs of a converted model, for `InferenceSession.run(None, input_feed(model, X))`.

    Parameters
    ----------
    model : onnx.ModelProto
        A model that `to_onnx` returned.
    X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        Rows with the columns that the model was converted with; columns of a DataFrame may be in any order.

    Returns
    -------
    feed : dict of str to ndarray
        The values of each input, in its type, by the name of the input.

    Raises
    ------
    ValueError, TypeError
        If X lacks a column, or has values that an input cannot represent, such as missing integers.

    Examples
    --------
    >>> import pandas as pd
    >>> from skscratch import ScratchMLPRegressor
    >>> from skscratch.onnx import input_feed, to_onnx
    >>> X = pd.DataFrame({"area": [50.0, 80.0, 120.0] * 20, "district": ["north", None, "south"] * 20})
    >>> model = ScratchMLPRegressor(max_iter=3, random_state=0).fit(X, X["area"])
    >>> feed = input_feed(to_onnx(model, X), X[:2])
    >>> {name: values.ravel().tolist() for name, values in feed.items()}
    {'area': [50.0, 80.0], 'district': ['north', '']}
    """
    from onnx.helper import tensor_dtype_to_np_dtype

    known = {entry.key: entry.value for entry in model.metadata_props}
    tensors, feed = tensors_of(X, json.loads(known.get(ZONES, "{}"))), {}
    for variable in model.graph.input:
        name = variable.doc_string or variable.name  # `to_onnx` stores the name of the column as the doc_string
        if name not in tensors:
            raise ValueError(f"X has no {name!r}, which is an input of the model; it has {list(tensors)}.")
        dtype = tensor_dtype_to_np_dtype(variable.type.tensor_type.elem_type)
        feed[variable.name] = _converted(tensors[name], dtype, name)
    return feed


def tensors_of(X: Any, zones: dict[str, str]) -> dict[str, Array]:
    """Return the inputs (n, width) by name: float32, float64, int64, bool, or object for strings.

    `zones` has the time zones on whose clocks dates are read; those of columns that it lacks are added.
    """
    if is_frame(X):
        frame = nw.from_native(X, eager_only=True)
        columns = {str(series.name) or f"x{j}": as_instants(series) for j, series in enumerate(frame.iter_columns())}
        values = {name: (column_values(column), zone) for name, (column, zone) in columns.items()}
    else:
        X = X.toarray() if sp.issparse(X) else np.asarray(X)
        if X.ndim != 2:
            raise ValueError(f"X must have rows and columns. Got an array of shape {X.shape}.")
        if X.dtype.kind in "biuf":
            return {"X": _plain(X)}
        values = {f"x{j}": (column, "") for j, column in enumerate(X.T)}
    return {name: _tensor(column, name, zone, zones)[:, None] for name, (column, zone) in values.items()}


def _tensor(column: Array, name: str, zone: str, zones: dict[str, str]) -> Array:
    """Return a column in the type of an input, with "" or NaN for missing values."""
    kind = kind_of(column, name, zone)
    if kind.times:
        if kind.times == DATES and bool(zones.setdefault(name, kind.zone)) != bool(kind.zone):
            then = f"dates in the time zone {zones[name]}" if zones[name] else "dates without a time zone"
            raise TypeError(
                f"Column {name!r} holds {kind}, and held {then} in to_onnx: give both a time zone, or none."
            )
        return seconds(column, kind, zones.get(name, kind.zone), name)
    if column.dtype.kind in "biuf":
        return _plain(column)
    absent = missing(column)
    present = column[~absent]
    if len(present) and all(isinstance(value, str) for value in present):
        if absent.any() and "" in present:
            raise ValueError(
                f"Column {name!r} has missing values and empty strings, which an ONNX model cannot distinguish: "
                "replace one of them by another string."
            )
        texts = column.astype(object)
        texts[absent] = ""
        return texts
    other = next((value for value in present if not isinstance(value, numbers.Real | np.bool_ | Decimal)), None)
    if other is not None:
        raise TypeError(
            f"Column {name!r} holds {other!r} ({type(other).__name__}); the inputs of an ONNX model are numbers, "
            "booleans or strings."
        )
    return _plain(np.where(absent, np.nan, column).astype(float) if absent.any() else np.array(column.tolist()))


def _plain(values: Array) -> Array:
    """Return numbers or booleans in the type of an input."""
    if values.dtype in (np.bool_, np.float32):
        return values
    return values.astype(np.int64 if np.can_cast(values.dtype, np.int64) else np.float64)


def input_type(values: Array) -> Any:
    """Return skl2onnx's type of an input for these values."""
    from skl2onnx.common import data_types

    name = {"f4": "Float", "f8": "Double", "i8": "Int64", "b1": "Boolean"}.get(values.dtype.str[1:], "String")
    return getattr(data_types, f"{name}TensorType")


def _converted(values: Array, dtype: np.dtype[Any], name: str) -> Array:
    """Return values in the type of their input."""
    texts = dtype.kind == "O"
    if texts and values.dtype == np.float64 and np.isnan(values).all():
        return np.full(values.shape, "", dtype)
    if texts != (values.dtype.kind == "O"):
        now, then = ("numbers", "strings") if texts else ("strings", "numbers")
        raise TypeError(f"Column {name!r} holds {now}, and its input takes {then}.")
    if dtype.kind in "bi" and values.dtype.kind == "f":
        raise ValueError(
            f"Column {name!r} has fractions or missing values, and its input takes {dtype}: convert the estimator with "
            "an X whose column has them too."
        )
    return values.astype(dtype)
