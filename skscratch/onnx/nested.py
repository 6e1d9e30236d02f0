"""Emitters of an estimator inside another one: its labels, probabilities, raw scores or predictions.

A converter of an estimator that contains others calls them. skl2onnx then converts the inner estimator, by the
converters of this package or by its own.
"""

from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_selection import RFE
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor, RegressorChain
from sklearn.pipeline import Pipeline
from sklearn.semi_supervised import SelfTrainingClassifier

from ..estimators.base import ScratchMLP
from ..inspection import unwrap
from .network import Graph

__all__ = [
    "REFUSED",
    "TAKE_COLUMNS",
    "choose_columns",
    "emit_classifier",
    "emit_regressor",
    "innermost",
    "one_matrix",
    "refuse",
    "unwrap_last",
]

# estimators whose converters take one input for each column; those of skl2onnx's own take a matrix
TAKE_COLUMNS: tuple[type, ...] = (
    ScratchMLP,
    Pipeline,
    BaggingClassifier,
    BaggingRegressor,
    CalibratedClassifierCV,
    MultiOutputClassifier,
    MultiOutputRegressor,
    OneVsRestClassifier,
    StackingClassifier,
    StackingRegressor,
    TransformedTargetRegressor,
    VotingClassifier,
    VotingRegressor,
)

REFUSED: dict[type, str] = {  # what cannot be converted, and what to do instead
    FixedThresholdClassifier: "convert `estimator_`, and compare its probabilities with `threshold`",
    TunedThresholdClassifierCV: "convert `estimator_`, and compare its probabilities with `best_threshold_`",
    ClassifierChain: "fit a MultiOutputClassifier, or convert each of `estimators_`",
    RegressorChain: "fit a MultiOutputRegressor, or convert each of `estimators_`",
    SelfTrainingClassifier: "convert `estimator_`, which makes its predictions",
    RFE: "as the last step it would return the selected columns; convert Pipeline([('select', rfe), ('model', "
    "rfe.estimator_)]) with your fitted `rfe`",
    OneVsOneClassifier: "fit it with integers as labels; with others the graph of skl2onnx does not load",
}


def emit_classifier(g: Graph, estimator: Any, inputs: list[Any], raw_scores: bool = False) -> tuple[str, str]:
    """Append a classifier.

    Parameters
    ----------
    g : Graph
    estimator : estimator
        A fitted classifier, a search or a FrozenEstimator.
    inputs : list of Variable
        The inputs of its features, in the order of the features.
    raw_scores : bool, default=False
        Whether the scores are those of `decision_function`, -z and z for two classes, in place of probabilities.

    Returns
    -------
    labels : str
        Name of the labels (n,), int64 or strings.
    scores : str
        Name of the scores (n, n_classes), in double precision.

    Raises
    ------
    NotImplementedError
        If skl2onnx has no converter for the estimator, or none that gives raw scores.
    """
    from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType

    if raw_scores:
        last = innermost(estimator)
        if not g.container.has_options(last, "raw_scores"):
            raise NotImplementedError(f"skl2onnx gives no raw scores of {type(last).__name__}, which this model needs.")
        for options in (g.scope, g.container):
            options.add_options(id(last), {"raw_scores": True})
    labels, scores = _emit(g, estimator, inputs, label=Int64TensorType(), scores=DoubleTensorType())
    return labels, g.cast(scores, np.float64)


def emit_regressor(g: Graph, estimator: Any, inputs: list[Any]) -> str:
    """Append a regressor; return the name of its predictions (n, n_outputs), in double precision.

    Parameters
    ----------
    g : Graph
    estimator : estimator
        A fitted regressor, a search or a FrozenEstimator.
    inputs : list of Variable
        The inputs of its features, in the order of the features.

    Raises
    ------
    NotImplementedError
        If skl2onnx has no converter for the estimator.
    """
    from skl2onnx.common.data_types import DoubleTensorType

    (predictions,) = _emit(g, estimator, inputs, predictions=DoubleTensorType())
    return g.cast(predictions, np.float64)


def _emit(g: Graph, estimator: Any, inputs: list[Any], **outputs: Any) -> list[str]:
    """Append an estimator with these types of outputs; return the names of the outputs."""
    from skl2onnx import get_model_alias

    refuse(estimator)
    outer = unwrap(estimator)
    try:
        alias = get_model_alias(type(outer))
    except RuntimeError as error:
        raise NotImplementedError(
            f"skl2onnx has no converter for {type(outer).__name__}, which is inside the estimator to be converted: "
            "convert the other estimators inside by themselves, and combine the predictions in your own code."
        ) from error
    child = g.scope.declare_local_operator(alias, outer)
    child.inputs = inputs if isinstance(outer, TAKE_COLUMNS) else one_matrix(g, inputs, outer.n_features_in_)
    for name, kind in outputs.items():
        child.outputs.append(g.scope.declare_local_variable(name, kind))
    return [output.full_name for output in child.outputs]


def refuse(estimator: Any) -> None:
    """Raise NotImplementedError for an estimator that skl2onnx lacks, or whose graph would predict something else."""
    last = innermost(estimator)
    if isinstance(last, OneVsOneClassifier) and last.classes_.dtype.kind in "iu":
        return
    for kind, advice in REFUSED.items():
        if isinstance(last, kind):
            raise NotImplementedError(f"{type(last).__name__} cannot be converted to ONNX: {advice}.")


def innermost(estimator: Any) -> Any:
    """Return the last step of a Pipeline, at any depth of Pipelines, searches and FrozenEstimators."""
    estimator = unwrap(estimator)
    while isinstance(estimator, Pipeline):
        estimator = unwrap(estimator.steps[-1][1])
    return estimator


def unwrap_last(estimator: Any) -> Any:
    """Return the estimator without searches and FrozenEstimators around it, or around the last step of a Pipeline."""
    estimator = unwrap(estimator)
    if not isinstance(estimator, Pipeline):
        return estimator
    *steps, (name, last) = estimator.steps
    return Pipeline([*steps, (name, unwrap_last(last))])


def choose_columns(g: Graph, inputs: list[Any], columns: list[int], width: int) -> list[Any]:
    """Return the inputs that hold these columns of X, in this order.

    Parameters
    ----------
    g : Graph
    inputs : list of Variable
        One matrix, or one input for each column.
    columns : list of int
        Indices of the columns; an index may occur twice.
    width : int
        Number of columns of all inputs together.
    """
    if len(inputs) > 1:
        return [inputs[j] for j in columns]
    (matrix,) = inputs
    if columns == list(range(width)):
        return inputs
    chosen = g.scope.declare_local_variable("columns", type(matrix.type)([None, len(columns)]))
    g("Gather", matrix.full_name, columns, axis=1, output=chosen.full_name)
    return [chosen]


def one_matrix(g: Graph, inputs: list[Any], width: int) -> list[Any]:
    """Return inputs of numbers as a single one, in double precision; leave them as they are if one has strings.

    Parameters
    ----------
    g : Graph
    inputs : list of Variable
    width : int
        Number of columns of all inputs together.
    """
    from skl2onnx.common.data_types import DoubleTensorType, StringTensorType

    if len(inputs) == 1 or any(isinstance(variable.type, StringTensorType) for variable in inputs):
        return inputs
    matrix = g.scope.declare_local_variable("matrix", DoubleTensorType([None, width]))
    parts = [g.cast(variable.full_name, np.float64) for variable in inputs]
    g("Concat", *parts, axis=1, output=matrix.full_name)
    return [matrix]
