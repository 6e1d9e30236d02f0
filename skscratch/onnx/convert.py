"""ONNX: fitted estimators as graphs that run without Python, by way of skl2onnx.

`to_onnx` converts an estimator of this package, or one of scikit-learn's that holds some; `input_feed` turns rows into
what onnxruntime takes; `register` makes the two estimators known to skl2onnx, whose own functions convert them then.

The inputs of a graph are what X is:

- An array of numbers, or a sparse matrix, is one input of shape (n, n_features), named "X".
- A DataFrame is one input of shape (n, 1) for each of its columns, in their order and named after them: float for
  float32, double for any other float, int64 for integers, bool, and string for strings and categories. (skl2onnx writes
  _ for what is no letter or digit, and adds a number to a name that is taken; `doc_string` of the input is the name as
  it was.) `X.to_numpy()` in place of X asks for one matrix, which some of scikit-learn's transformers need.
- Missing is NaN in a column of numbers and "" in one of strings. Integers and booleans of which some are missing in X
  are double. A category that was never seen counts as missing, as everywhere in this package.
"""

import numbers
from decimal import Decimal
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np
import scipy.sparse as sp
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.utils.validation import check_is_fitted

from ..encoding.check_input import check_names
from ..encoding.columns import column_values, is_frame, missing, refuse_times
from ..estimators.estimators import ScratchMLPClassifier, ScratchMLPRegressor
from .calibration import convert_calibrated
from .estimators import classifier_types, convert_classifier, convert_regressor, regressor_types, unwrapped

__all__ = ["input_feed", "register", "to_onnx"]

OPSET = {"": 18, "ai.onnx.ml": 3}  # onnxruntime has these since 1.14, of February 2023; skl2onnx knows no later "ml"


def to_onnx(estimator: Any, X: Any, *, target_opset: Any = None, **options: Any) -> Any:
    """Convert a fitted estimator to ONNX.

    Parameters
    ----------
    estimator : estimator
        A fitted ScratchMLPClassifier or ScratchMLPRegressor; or one of scikit-learn's that skl2onnx can convert and
        that holds some: Pipeline, ColumnTransformer, GridSearchCV, CalibratedClassifierCV, ...
    X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        Rows such as will be predicted, to take the names and types of the inputs from (see the module's
        documentation); some of the rows of training will do.
    target_opset : int or dict, default=None
        Versions of ONNX's operators; None for {"": 18, "ai.onnx.ml": 3}.
    **options : Any
        What skl2onnx can be asked of a classifier: `zipmap=True` for probabilities as a dictionary a row, or
        `zipmap="columns"` as an output a class (by default they are an array), `nocl=True` for the numbers of classes
        as labels, `output_class_labels=True` for the classes as one more output.

    Returns
    -------
    model : onnx.ModelProto
        Its outputs are, of a classifier, "label" (n,), of strings or int64, and "probabilities" (n, n_classes); of a
        regressor "variable" (n, n_outputs). Numbers are float32 where the first input of fractions is, else float64.

    Raises
    ------
    ImportError
        Without skl2onnx.
    NotFittedError
        For an estimator that is not fitted.
    ValueError, TypeError
        For an X that does not match the estimator, and for what ONNX cannot express: an activation given as
        functions, a category that is neither a string nor a number.

    Notes
    -----
    CalibratedClassifierCV is converted by this package. Everything else around our estimators is by skl2onnx, with its
    limits: where a ColumnTransformer passes numbers on beside text, they keep eight digits, so scale them in it.
    """
    register()
    from skl2onnx import convert_sklearn

    check_is_fitted(estimator)
    tensors = _tensors(X[:1] if sp.issparse(X) else X)
    _check_columns(estimator, X, sum(values.shape[1] for values in tensors.values()))
    types = [(name, _type(values)([None, values.shape[1]], doc_string=name)) for name, values in tensors.items()]
    if is_classifier(estimator):
        options = {"zipmap": False, **options}
    return convert_sklearn(
        unwrapped(estimator),
        type(estimator).__name__,
        types,
        target_opset=target_opset or OPSET,
        options=options or None,
        custom_shape_calculators={CalibratedClassifierCV: classifier_types},
        custom_conversion_functions={CalibratedClassifierCV: convert_calibrated},
    )


def input_feed(model: Any, X: Any) -> dict[str, np.ndarray]:
    """Turn rows into the inputs of a converted model: what `InferenceSession.run(None, input_feed(model, X))` takes.

    Parameters
    ----------
    model : onnx.ModelProto
        Of `to_onnx`.
    X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        With the columns that the model was converted with, in any order.

    Returns
    -------
    feed : dict of ndarray
        Under the name of each input, its values in the input's type.

    Raises
    ------
    ValueError, TypeError
        For an X that lacks a column, or holds values that an input cannot take, such as missing integers.
    """
    from onnx.helper import tensor_dtype_to_np_dtype

    tensors, feed = _tensors(X), {}
    for place in model.graph.input:
        name = place.doc_string or place.name  # the name of the column, where `to_onnx` wrote it down
        if name not in tensors:
            raise ValueError(f"X has no {name!r}, which is an input of the model; it has {list(tensors)}.")
        dtype = tensor_dtype_to_np_dtype(place.type.tensor_type.elem_type)
        feed[place.name] = _converted(tensors[name], dtype, name)
    return feed


def register() -> None:
    """Make the two estimators known to skl2onnx, so that `skl2onnx.to_onnx` and `convert_sklearn` convert them too.

    Once is enough, and more does no harm. `to_onnx` does it by itself.

    Raises
    ------
    ImportError
        Without skl2onnx.
    """
    try:
        from skl2onnx import update_registered_converter
    except ImportError as error:
        raise ImportError('ONNX needs the packages skl2onnx and onnx: pip install "skscratch[onnx]".') from error
    options = {
        "zipmap": [True, False, "columns"],
        "nocl": [True, False],
        "output_class_labels": [False, True],
        "raw_scores": [True, False],  # what CalibratedClassifierCV asks for
    }
    update_registered_converter(
        ScratchMLPClassifier, "ScratchMLPClassifier", classifier_types, convert_classifier, options=options
    )
    update_registered_converter(ScratchMLPRegressor, "ScratchMLPRegressor", regressor_types, convert_regressor)


def _check_columns(estimator: Any, X: Any, n_columns: int) -> None:
    """Raise ValueError where X has other columns than were fitted; an array may stand for a DataFrame."""
    if is_frame(X):
        check_names(estimator, X, reset=False)
    elif n_columns != getattr(estimator, "n_features_in_", n_columns):
        name = type(estimator).__name__
        raise ValueError(f"X has {n_columns} columns, but {name} was fitted to {estimator.n_features_in_}.")


def _tensors(X: Any) -> dict[str, np.ndarray]:
    """Inputs (n, width) by name, each of float32, float64, int64, bool or, for strings, objects."""
    if is_frame(X):
        frame = nw.from_native(X, eager_only=True)
        columns = {str(series.name) or f"x{j}": column_values(series) for j, series in enumerate(frame.iter_columns())}
    else:
        X = X.toarray() if sp.issparse(X) else np.asarray(X)
        if X.ndim != 2:
            raise ValueError(f"X must have rows and columns. Got an array of shape {X.shape}.")
        if X.dtype.kind in "biuf":
            return {"X": _plain(X)}
        columns = {f"x{j}": column for j, column in enumerate(X.T)}
    return {name: _tensor(values, name)[:, None] for name, values in columns.items()}


def _tensor(column: np.ndarray, name: str) -> np.ndarray:
    """A column in one of ONNX's types, with "" or NaN where a value is missing."""
    refuse_times(column, f"Column {name!r}")
    if column.dtype.kind in "biuf":
        return _plain(column)
    absent = missing(column)
    present = column[~absent]
    if len(present) and all(isinstance(value, str) for value in present):
        if absent.any() and "" in present:
            raise ValueError(
                f"Column {name!r} misses values and holds the empty string, which mean the same to an ONNX model: "
                "write another text for one of them."
            )
        texts = column.astype(object)
        texts[absent] = ""
        return texts
    other = next((value for value in present if not isinstance(value, numbers.Real | np.bool_ | Decimal)), None)
    if other is not None:
        raise TypeError(
            f"Column {name!r} holds {other!r} ({type(other).__name__}); an ONNX model takes columns of numbers, of "
            "booleans, or of strings."
        )
    return _plain(np.where(absent, np.nan, column).astype(float) if absent.any() else np.array(column.tolist()))


def _plain(values: np.ndarray) -> np.ndarray:
    """Numbers or booleans in one of the types that an input can have."""
    if values.dtype in (np.bool_, np.float32):
        return values
    return values.astype(np.int64 if np.can_cast(values.dtype, np.int64) else np.float64)


def _type(values: np.ndarray) -> type:
    """The type of input that takes such values."""
    from skl2onnx.common import data_types

    name = {"f4": "Float", "f8": "Double", "i8": "Int64", "b1": "Boolean"}.get(values.dtype.str[1:], "String")
    return getattr(data_types, f"{name}TensorType")


def _converted(values: np.ndarray, dtype: np.dtype, name: str) -> np.ndarray:
    """Values in the type of their input."""
    texts = dtype.kind == "O"
    if texts and values.dtype == np.float64 and np.isnan(values).all():
        return np.full(values.shape, "", dtype)
    if texts != (values.dtype.kind == "O"):
        now, then = ("numbers", "strings") if texts else ("strings", "numbers")
        raise TypeError(f"Column {name!r} holds {now}, and its input takes {then}.")
    if dtype.kind in "bi" and values.dtype.kind == "f":
        raise ValueError(
            f"Column {name!r} holds fractions or misses values, and its input takes {dtype}: convert with an X in "
            "which it does too."
        )
    return values.astype(dtype)
