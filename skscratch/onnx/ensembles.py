"""Converters of scikit-learn's estimators that combine others: voting, stacking, bagging, several outputs, one-vs-rest.

They replace those of skl2onnx 1.20. Most of these accept one input only, and so no DataFrame of strings and numbers.
Some fail for weights in a list, for `flatten_transform=True` (the default), and for members of some of the columns.
"""

from functools import reduce
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..estimators.base import ScratchMLP
from .estimators import emit_class, emit_result, float_type, set_classifier_types
from .nested import choose_columns, emit_classifier, emit_regressor, innermost, one_matrix
from .network import LINK_EMITTERS, Graph

__all__ = [
    "boosting_types",
    "convert_bagging_classifier",
    "convert_bagging_regressor",
    "convert_multi_output_classifier",
    "convert_multi_output_regressor",
    "convert_one_vs_rest",
    "convert_stacking_classifier",
    "convert_stacking_regressor",
    "convert_voting_classifier",
    "convert_voting_regressor",
    "ensemble_classifier_types",
    "ensemble_regressor_types",
    "multi_output_classifier_types",
]

# -------------------------------------------------------- types of outputs


def ensemble_classifier_types(operator: Any) -> None:
    """Set the types of the outputs of an ensemble of classifiers: labels and probabilities."""
    check_is_fitted(operator.raw_operator)
    set_classifier_types(operator, multilabel=getattr(operator.raw_operator, "multilabel_", False))


def ensemble_regressor_types(operator: Any) -> None:
    """Set the type of the output of an ensemble of regressors: predictions (n, n_outputs)."""
    check_is_fitted(operator.raw_operator)
    shape = [operator.inputs[0].get_first_dimension(), None]
    operator.outputs[0].set_type(float_type(operator, operator.outputs[0])(shape))


def multi_output_classifier_types(operator: Any) -> None:
    """Set the types of the outputs of a MultiOutputClassifier: labels (n, n_outputs), a list of probabilities."""
    from skl2onnx.common.data_types import SequenceType

    check_is_fitted(operator.raw_operator)
    labels, probabilities = operator.outputs
    n = operator.inputs[0].get_first_dimension()
    labels.set_type(type(labels.type)([n, len(operator.raw_operator.estimators_)]))
    probabilities.set_type(SequenceType(float_type(operator, probabilities)()))


def boosting_types(operator: Any) -> None:
    """Set the types of the outputs of an AdaBoostClassifier as skl2onnx does, whose nodes have single precision."""
    from skl2onnx.common.data_types import DoubleTensorType

    if any(isinstance(variable.type, DoubleTensorType) for variable in operator.inputs):
        raise NotImplementedError(
            "skl2onnx converts an AdaBoostClassifier in single precision only: convert with X.astype('float32')."
        )
    operator.infer_types()


# ------------------------------------------------------------------ voting


def convert_voting_classifier(scope: Any, operator: Any, container: Any) -> None:
    """Append the nodes of a VotingClassifier; the probabilities of hard voting are the shares of the votes."""
    model = operator.raw_operator
    g = Graph(scope, container, np.float64)
    votes = []
    for member in model.estimators_:
        labels, p = emit_classifier(g, member, operator.inputs)
        votes.append(_one_hot(g, labels, len(model.classes_)) if model.voting == "hard" else p)
    _emit_classes(g, operator, *_weighted(g, votes, _weights(model)))


def convert_voting_regressor(scope: Any, operator: Any, container: Any) -> None:
    """Append the nodes of a VotingRegressor."""
    model = operator.raw_operator
    g = Graph(scope, container, np.float64)
    predictions = [_column(g, emit_regressor(g, member, operator.inputs)) for member in model.estimators_]
    total, weight = _weighted(g, predictions, _weights(model))
    emit_result(g, g("Div", total, weight), operator.outputs[0])


def _weights(model: Any) -> list[float]:
    """Return the weights of the members that are not dropped."""
    if model.weights is None:
        return [1.0] * len(model.estimators_)
    members = zip(model.weights, model.estimators, strict=True)
    return [float(weight) for weight, (_, member) in members if not isinstance(member, str)]


# ---------------------------------------------------------------- stacking


def convert_stacking_classifier(scope: Any, operator: Any, container: Any) -> None:
    """Append the nodes of a StackingClassifier."""
    model = operator.raw_operator
    if isinstance(model.classes_, list):
        raise NotImplementedError("A StackingClassifier of several labels cannot be converted to ONNX.")
    g = Graph(scope, container, np.float64)
    binary, features = len(model.classes_) == 2, []
    for member, method in zip(model.estimators_, model.stack_method_, strict=True):
        labels, scores = emit_classifier(g, member, operator.inputs, raw_scores=method == "decision_function")
        if method == "predict":
            features.append(_column(g, g.cast(labels, np.float64)))
        else:
            features.append(g("Gather", scores, [1], axis=1) if binary else scores)
    options = container.get_options(model, {"nocl": False, "raw_scores": False})
    stacked = _stacked(g, operator, features)
    labels, scores = emit_classifier(g, model.final_estimator_, stacked, options["raw_scores"])
    _emit_classes(g, operator, _one_hot(g, labels, len(model.classes_)), 1.0, scores)


def convert_stacking_regressor(scope: Any, operator: Any, container: Any) -> None:
    """Append the nodes of a StackingRegressor."""
    model = operator.raw_operator
    g = Graph(scope, container, np.float64)
    features = [_column(g, emit_regressor(g, member, operator.inputs)) for member in model.estimators_]
    emit_result(g, emit_regressor(g, model.final_estimator_, _stacked(g, operator, features)), operator.outputs[0])


def _stacked(g: Graph, operator: Any, features: list[str]) -> list[Any]:
    """Return the inputs of the final estimator: the predictions of the members and, with `passthrough`, X."""
    from skl2onnx.common.data_types import DoubleTensorType

    model = operator.raw_operator
    width = model.final_estimator_.n_features_in_
    n_features = width - (model.n_features_in_ if model.passthrough else 0)
    stacked = g.scope.declare_local_variable("stacked", DoubleTensorType([None, n_features]))
    g("Concat", *features, axis=1, output=stacked.full_name)
    return one_matrix(g, [stacked, *operator.inputs], width) if model.passthrough else [stacked]


# ----------------------------------------------------------------- bagging


def convert_bagging_classifier(scope: Any, operator: Any, container: Any) -> None:
    """Append the nodes of a BaggingClassifier: the mean of the probabilities, of the raw scores, or of the votes."""
    model = operator.raw_operator
    g = Graph(scope, container, np.float64)
    raw_scores = container.get_options(model, {"nocl": False, "raw_scores": False})["raw_scores"]
    n_classes, parts = len(model.classes_), []
    for member, inputs in _bagged(g, operator):
        labels, scores = emit_classifier(g, member, inputs, raw_scores)
        if not (raw_scores or hasattr(member, "predict_proba")):
            scores = _one_hot(g, labels, n_classes)
        elif len(member.classes_) < n_classes:  # the member's sample lacks classes; `classes_` are indices here
            scores = g("MatMul", scores, np.eye(n_classes)[np.asarray(member.classes_, int)])
        parts.append(scores)
    _emit_classes(g, operator, *_weighted(g, parts))


def convert_bagging_regressor(scope: Any, operator: Any, container: Any) -> None:
    """Append the nodes of a BaggingRegressor."""
    g = Graph(scope, container, np.float64)
    total, weight = _weighted(g, [emit_regressor(g, *member) for member in _bagged(g, operator)])
    emit_result(g, g("Div", total, weight), operator.outputs[0])


def _bagged(g: Graph, operator: Any) -> list[tuple[Any, list[Any]]]:
    """Return each member with the inputs of its columns."""
    model = operator.raw_operator
    members = zip(model.estimators_, model.estimators_features_, strict=True)
    return [
        (member, choose_columns(g, operator.inputs, list(map(int, columns)), model.n_features_in_))
        for member, columns in members
    ]


# ------------------------------------------- several outputs, one versus rest


def convert_multi_output_classifier(scope: Any, operator: Any, container: Any) -> None:
    """Append the nodes of a MultiOutputClassifier."""
    from skl2onnx.common.data_types import guess_numpy_type

    labels_of, probabilities_of = operator.outputs
    g = Graph(scope, container, np.float64)
    labels, probabilities = zip(
        *(emit_classifier(g, member, operator.inputs) for member in operator.raw_operator.estimators_), strict=True
    )
    g("Concat", *(_column(g, one) for one in labels), axis=1, output=labels_of.full_name)
    dtype = guess_numpy_type(probabilities_of.type.element_type)
    g("SequenceConstruct", *(g.cast(p, dtype) for p in probabilities), output=probabilities_of.full_name)


def convert_multi_output_regressor(scope: Any, operator: Any, container: Any) -> None:
    """Append the nodes of a MultiOutputRegressor."""
    g = Graph(scope, container, np.float64)
    members = operator.raw_operator.estimators_
    columns = [_column(g, emit_regressor(g, member, operator.inputs)) for member in members]
    emit_result(g, g("Concat", *columns, axis=1), operator.outputs[0])


def convert_one_vs_rest(scope: Any, operator: Any, container: Any) -> None:
    """Append the nodes of a OneVsRestClassifier; other estimators than networks are left to skl2onnx."""
    from skl2onnx.operator_converters.one_vs_rest_classifier import convert_one_vs_rest_classifier

    model = operator.raw_operator
    if not all(isinstance(innermost(member), ScratchMLP) for member in model.estimators_):
        convert_one_vs_rest_classifier(scope, operator, container)
        return
    g = Graph(scope, container, np.float64)
    raw, probabilities = [], []
    for member in model.estimators_:
        _, z = emit_classifier(g, member, operator.inputs, raw_scores=True)
        z = g("Gather", z, [1], axis=1)
        raw.append(z)
        probabilities.append(LINK_EMITTERS[innermost(member).fitted_.loss.link.name](g, z))
    z, p = g("Concat", *raw, axis=1), g("Concat", *probabilities, axis=1)
    if model.multilabel_:
        g.cast(g("Greater", z, 0.0), np.int64, operator.outputs[0].full_name)
    elif len(raw) == 1:
        z, p = g("Concat", g("Neg", z), z, axis=1), g("Concat", g("Sub", 1.0, p), p, axis=1)
    else:
        p = g("Div", p, g("ReduceSum", p, [1]))
    options = container.get_options(model, {"nocl": False, "raw_scores": False})
    if not model.multilabel_:  # scikit-learn compares the raw scores
        emit_class(g, z, model.classes_, operator.outputs[0], options["nocl"])
    emit_result(g, z if options["raw_scores"] else p, operator.outputs[1])


# ----------------------------------------------------------------- helpers


def _column(g: Graph, x: str) -> str:
    """(n,) or (n, 1) → (n, 1)."""
    return g("Reshape", x, [-1, 1])


def _one_hot(g: Graph, labels: str, n_classes: int) -> str:
    """Labels, which are indices of classes here → (n, n_classes)."""
    return g("Gather", np.eye(n_classes), g("Reshape", g.cast(labels, np.int64), [-1]))


def _weighted(g: Graph, parts: list[str], weights: list[float] | None = None) -> tuple[str, float]:
    """Return Σ weight · part, in the order in which scikit-learn adds, and Σ weight."""
    weights = weights or [1.0] * len(parts)
    products = [part if w == 1 else g("Mul", part, w) for part, w in zip(parts, weights, strict=True)]
    return reduce(lambda a, b: g("Add", a, b), products), sum(weights)


def _emit_classes(g: Graph, operator: Any, total: str, weight: float, scores: str = "") -> None:
    """Append the class of the largest total, and total / weight, or `scores`, as outputs of the graph."""
    labels, probabilities = operator.outputs
    model = operator.raw_operator
    options = g.container.get_options(model, {"nocl": False})
    emit_class(g, total, model.classes_, labels, options["nocl"])
    emit_result(g, scores or g("Div", total, weight), probabilities)
