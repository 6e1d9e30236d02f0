"""Public functions of the export to ONNX: `to_onnx`, `input_feed` and `register`.

`to_onnx` converts an estimator of this package, or one of scikit-learn's that contains such estimators; `input_feed`
turns rows into the inputs of the graph; `register` adds the converters of the two estimators to those of skl2onnx.

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import narwhals.stable.v1 as nw
import numpy as np
import scipy.sparse as sp
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils.validation import check_is_fitted

from ..encoding.check_input import check_names
from ..encoding.columns import column_values, is_frame, missing
from ..encoding.times import DATES, as_instants, kind_of, seconds
from ..estimators.base import ScratchMLP
from ..estimators.classifier import ScratchMLPClassifier
from ..estimators.regressor import ScratchMLPRegressor
from ..inspection import unwrap
from ..nn.tape import Array
from . import ensembles
from .calibration import calibrated_types, convert_calibrated
from .estimators import classifier_types, convert_classifier, convert_regressor, regressor_types
from .nested import refuse
from .transformed_target import convert_transformed_target

__all__ = ["CONVERTERS", "input_feed", "register", "to_onnx"]

ZONES = "skscratch.time_zones"  # key, in the metadata of a model, of the time zones of its date columns as JSON
OPSET = {"": 18, "ai.onnx.ml": 3}  # in onnxruntime since 1.14 (February 2023); skl2onnx supports no later "ai.onnx.ml"

# converters in place of those of skl2onnx: types of the outputs, nodes
CONVERTERS: dict[type, tuple[Callable[[Any], None], Callable[[Any, Any, Any], None]]] = {
    CalibratedClassifierCV: (calibrated_types, convert_calibrated),
    VotingClassifier: (ensembles.ensemble_classifier_types, ensembles.convert_voting_classifier),
    VotingRegressor: (ensembles.ensemble_regressor_types, ensembles.convert_voting_regressor),
    StackingClassifier: (ensembles.ensemble_classifier_types, ensembles.convert_stacking_classifier),
    StackingRegressor: (ensembles.ensemble_regressor_types, ensembles.convert_stacking_regressor),
    BaggingClassifier: (ensembles.ensemble_classifier_types, ensembles.convert_bagging_classifier),
    BaggingRegressor: (ensembles.ensemble_regressor_types, ensembles.convert_bagging_regressor),
    MultiOutputClassifier: (ensembles.multi_output_classifier_types, ensembles.convert_multi_output_classifier),
    MultiOutputRegressor: (ensembles.ensemble_regressor_types, ensembles.convert_multi_output_regressor),
    OneVsRestClassifier: (ensembles.ensemble_classifier_types, ensembles.convert_one_vs_rest),
    TransformedTargetRegressor: (ensembles.ensemble_regressor_types, convert_transformed_target),
}


def to_onnx(estimator: Any, X: Any, *, target_opset: Any = None, **options: Any) -> Any:
    """Convert a fitted estimator to ONNX.

    Parameters
    ----------
    estimator : estimator
        A fitted ScratchMLPClassifier or ScratchMLPRegressor; or a fitted estimator of scikit-learn that contains them
        and that can be converted: Pipeline, ColumnTransformer, GridSearchCV, CalibratedClassifierCV,
        TransformedTargetRegressor, Voting..., Stacking..., Bagging..., MultiOutput..., OneVsRestClassifier, ...
    X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        Example rows, such as some of the training rows. They determine the names and types of the inputs; see the
        documentation of this module.
    target_opset : int or dict, default=None
        Versions of the operator sets; None for {"": 18, "ai.onnx.ml": 3}.
    **options : Any
        skl2onnx's options of a classifier: `zipmap=True` for probabilities as one dictionary per row, or
        `zipmap="columns"` as one output per class (by default they are an array), `nocl=True` for the indices of
        classes as labels, `output_class_labels=True` for the classes as an additional output.

    Returns
    -------
    model : onnx.ModelProto
        The outputs of a classifier are "label" (n,), strings or int64, and "probabilities" (n, n_classes); the output
        of a regressor is "variable" (n, n_outputs). Numbers are float32 if the first float or double input is float32,
        else float64. The estimators themselves return float64 always.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.
    NotFittedError
        If the estimator is not fitted.
    NotImplementedError
        If a part of the estimator cannot be converted. The message says which, and what to do instead.
    ValueError, TypeError
        If X does not match the estimator, or if ONNX cannot express a part of it: an activation given as functions, a
        category that is neither a string nor a number, or the `transform` of a network that other steps follow.

    Notes
    -----
    This package converts its own estimators and those of scikit-learn that combine others: calibration, voting,
    stacking, bagging, several outputs, one-vs-rest and TransformedTargetRegressor. skl2onnx converts all others.

    The target of a TransformedTargetRegressor may be transformed by NumPy's functions, such as `numpy.log1p` with
    `numpy.expm1`, by a scaler, a PowerTransformer, a QuantileTransformer, or a Pipeline of these. Hard voting has no
    probabilities; the output of that name holds the shares of the votes.

    A ColumnTransformer that passes numbers through beside strings keeps only eight digits of them; scale the numbers in
    the ColumnTransformer to avoid the loss.
    """
    register()
    from skl2onnx import convert_sklearn

    check_is_fitted(estimator)
    refuse(estimator)
    _refuse_transformers(unwrap(estimator))
    zones: dict[str, str] = {}
    tensors = _tensors(X[:1] if sp.issparse(X) else X, zones)
    _check_columns(estimator, X, sum(values.shape[1] for values in tensors.values()))
    types = [(name, _type(values)([None, values.shape[1]], doc_string=name)) for name, values in tensors.items()]
    if is_classifier(estimator):
        options = {"zipmap": False, **options}
    with _explained_errors(type(estimator).__name__):
        model = convert_sklearn(
            unwrap(estimator),
            type(estimator).__name__,
            types,
            target_opset=target_opset or OPSET,
            options=options or None,
            custom_shape_calculators={
                AdaBoostClassifier: ensembles.boosting_types,
                **{kind: types_of for kind, (types_of, _) in CONVERTERS.items()},
            },
            custom_conversion_functions={kind: convert for kind, (_, convert) in CONVERTERS.items()},
        )
    if zones:
        model.metadata_props.add(key=ZONES, value=json.dumps(zones))
    return model


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
    """
    from onnx.helper import tensor_dtype_to_np_dtype

    known = {entry.key: entry.value for entry in model.metadata_props}
    tensors, feed = _tensors(X, json.loads(known.get(ZONES, "{}"))), {}
    for variable in model.graph.input:
        name = variable.doc_string or variable.name  # `to_onnx` stores the name of the column as the doc_string
        if name not in tensors:
            raise ValueError(f"X has no {name!r}, which is an input of the model; it has {list(tensors)}.")
        dtype = tensor_dtype_to_np_dtype(variable.type.tensor_type.elem_type)
        feed[variable.name] = _converted(tensors[name], dtype, name)
    return feed


def register() -> None:
    """Register the two estimators with skl2onnx, so that `skl2onnx.to_onnx` and `convert_sklearn` convert them too.

    They need this call, because an import of this package does not load skl2onnx. `to_onnx` of this package makes the
    call itself. Repeated calls change nothing.

    TransformedTargetRegressor is registered too. For other estimators that contain networks, `skl2onnx.to_onnx` uses
    the converters of skl2onnx, which convert fewer of them than `to_onnx` of this package does.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.
    """
    try:
        from skl2onnx import update_registered_converter
    except ImportError as error:
        raise ImportError('ONNX needs the packages skl2onnx and onnx: pip install "skscratch[onnx]".') from error
    options = {
        "zipmap": [True, False, "columns"],
        "nocl": [True, False],
        "output_class_labels": [False, True],
        "raw_scores": [True, False],  # set by the converter of CalibratedClassifierCV
    }
    update_registered_converter(
        ScratchMLPClassifier, "ScratchMLPClassifier", classifier_types, convert_classifier, options=options
    )
    update_registered_converter(ScratchMLPRegressor, "ScratchMLPRegressor", regressor_types, convert_regressor)
    update_registered_converter(
        TransformedTargetRegressor, "TransformedTargetRegressor", *CONVERTERS[TransformedTargetRegressor]
    )


@contextmanager
def _explained_errors(name: str) -> Iterator[None]:
    """Turn errors of skl2onnx that a user can do something about into a NotImplementedError that says what."""
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator

    try:
        yield
    except (MissingConverter, MissingShapeCalculator) as error:
        raise NotImplementedError(
            f"skl2onnx has no converter for a part of this {name}: {str(error).splitlines()[0]} Convert the networks "
            "inside it by themselves, and combine their predictions in your own code."
        ) from error
    except RuntimeError as error:
        if "input(s) is(are) supported" not in str(error):
            raise
        raise NotImplementedError(
            f"skl2onnx converts a part of this {name} for a matrix of numbers only, not for a DataFrame: {error} "
            "Convert with X.to_numpy() if all columns are numbers."
        ) from error


def _refuse_transformers(estimator: Any) -> None:
    """Raise ValueError for a network that a pipeline uses by `transform`, which skl2onnx takes for its predictions."""
    for part in [estimator, *estimator.get_params().values()]:
        steps = []
        if isinstance(part, Pipeline):
            steps = part.steps[:-1]
        elif isinstance(part, FeatureUnion):
            steps = part.transformer_list
        elif isinstance(part, ColumnTransformer):
            steps = [(name, step) for name, step, _ in part.transformers]
        for name, step in steps:
            if isinstance(step, ScratchMLP):
                raise ValueError(
                    f"ONNX has no converter for the `transform` of a network, which {type(part).__name__} uses in its "
                    f"step {name!r}: convert the network alone."
                )


def _check_columns(estimator: Any, X: Any, n_columns: int) -> None:
    """Raise ValueError if X has other columns than in `fit`; an array may replace a DataFrame."""
    if is_frame(X):
        check_names(estimator, X, reset=False)
    elif n_columns != getattr(estimator, "n_features_in_", n_columns):
        name = type(estimator).__name__
        raise ValueError(f"X has {n_columns} columns, but {name} was fitted to {estimator.n_features_in_}.")


def _tensors(X: Any, zones: dict[str, str]) -> dict[str, Array]:
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


def _type(values: Array) -> Any:
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
