"""Public functions of the export to ONNX: `to_onnx` and `register`.

`to_onnx` converts an estimator of this package, or one of scikit-learn's that contains such estimators; `register` adds
the converters of the two estimators to those of skl2onnx.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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
from ..encoding.columns import is_frame
from ..estimators.base import ScratchMLP
from ..estimators.classifier import ScratchMLPClassifier
from ..estimators.regressor import ScratchMLPRegressor
from ..inspection import unwrap
from . import ensembles
from .calibration import calibrated_types, convert_calibrated
from .conformal import conformal_converters
from .estimators import classifier_types, convert_classifier, convert_regressor, regressor_types
from .inputs import ZONES, input_type, tensors_of
from .nested import refuse, unwrap_last
from .transformed_target import convert_transformed_target

__all__ = ["CONVERTERS", "register", "to_onnx"]

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


def to_onnx(estimator: Any, X: Any, *, coverage: float | None = None, target_opset: Any = None, **options: Any) -> Any:
    """Convert a fitted estimator to ONNX.

    Parameters
    ----------
    estimator : estimator
        A fitted ScratchMLPClassifier or ScratchMLPRegressor; or a fitted estimator of scikit-learn that contains them
        and that can be converted: Pipeline, ColumnTransformer, GridSearchCV, CalibratedClassifierCV,
        TransformedTargetRegressor, Voting..., Stacking..., Bagging..., MultiOutput..., OneVsRestClassifier, ...
    X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        Example rows, such as some of the training rows. They determine the names and types of the inputs; see the
        documentation of the module `skscratch.onnx.inputs`.
    coverage : float, default=None
        Share of new rows whose y lies in its interval or set. It adds an output to the graph: that of
        `ScratchMLPRegressor.predict_interval` or `ScratchMLPClassifier.predict_set`. `estimator` must be a network, or
        a Pipeline or search that ends with one.
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
        else float64. The estimators themselves always return float64. With `coverage`, the last output of a regressor
        is "interval" (n, 2), or (n, n_outputs, 2) for several targets, and that of a classifier is "set"
        (n, n_classes), booleans.

    Raises
    ------
    ImportError
        If skl2onnx is not installed.
    NotFittedError
        If the estimator is not fitted.
    NotImplementedError
        If a part of the estimator cannot be converted, or has no intervals or sets. The message says which, and what to
        do instead.
    ValueError, TypeError
        If X does not match the estimator; if `predict_interval` or `predict_set` raises ValueError for this `coverage`;
        or if ONNX cannot express a part of the estimator: an activation given as functions, a category that is neither
        a string nor a number, or the `transform` of a network that other steps follow.

    Notes
    -----
    This package converts its own estimators and those of scikit-learn that combine others: calibration, voting,
    stacking, bagging, several outputs, one-vs-rest and TransformedTargetRegressor. skl2onnx converts all others.

    The target of a TransformedTargetRegressor may be transformed by NumPy's functions, such as `numpy.log1p` with
    `numpy.expm1`, by a scaler, a PowerTransformer, a QuantileTransformer, or a Pipeline of these. Hard voting has no
    probabilities; the output of that name holds the shares of the votes.

    A ColumnTransformer that passes numbers through beside strings keeps only eight digits of them; scale the numbers in
    the ColumnTransformer to avoid the loss.

    With ``refit=0``, an interval or set compares the row with the scores of every fold (CV+). The memory that the graph
    needs then grows with the number of rows times that of scores; pass large tables in parts.

    Examples
    --------
    >>> import onnxruntime
    >>> from sklearn.datasets import load_iris
    >>> from skscratch import ScratchMLPClassifier
    >>> from skscratch.onnx import input_feed, to_onnx
    >>> X, y = load_iris(return_X_y=True)
    >>> model = ScratchMLPClassifier(max_iter=3, random_state=0).fit(X, y)
    >>> converted = to_onnx(model, X)
    >>> session = onnxruntime.InferenceSession(converted.SerializeToString(), providers=["CPUExecutionProvider"])
    >>> label, probabilities = session.run(None, input_feed(converted, X))
    >>> label.shape, probabilities.shape
    ((150,), (150, 3))
    """
    register()
    from skl2onnx import convert_sklearn

    check_is_fitted(estimator)
    refuse(estimator)
    _refuse_transformers(unwrap(estimator))
    converted, conformal = unwrap(estimator), {}
    if coverage is not None:
        converted, conformal = unwrap_last(estimator), conformal_converters(estimator, coverage)
    zones: dict[str, str] = {}
    tensors = tensors_of(X[:1] if sp.issparse(X) else X, zones)
    _check_columns(estimator, X, sum(values.shape[1] for values in tensors.values()))
    types = [(name, input_type(values)([None, values.shape[1]], doc_string=name)) for name, values in tensors.items()]
    if is_classifier(estimator):
        options = {"zipmap": False, **options}
    with _explained_errors(type(estimator).__name__):
        model = convert_sklearn(
            converted,
            type(estimator).__name__,
            types,
            target_opset=target_opset or OPSET,
            options=options or None,
            custom_shape_calculators={
                AdaBoostClassifier: ensembles.boosting_types,
                **{kind: types_of for kind, (types_of, _) in CONVERTERS.items()},
            },
            custom_conversion_functions={kind: convert for kind, (_, convert) in CONVERTERS.items()} | conformal,
        )
    if zones:
        model.metadata_props.add(key=ZONES, value=json.dumps(zones))
    return model


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

    Examples
    --------
    >>> import skl2onnx
    >>> from sklearn.datasets import load_iris
    >>> from skscratch import ScratchMLPClassifier
    >>> from skscratch.onnx import register
    >>> X, y = load_iris(return_X_y=True)
    >>> register()
    >>> model = ScratchMLPClassifier(max_iter=3, random_state=0).fit(X, y)
    >>> [output.name for output in skl2onnx.to_onnx(model, X[:1], options={"zipmap": False}).graph.output]
    ['label', 'probabilities']
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
