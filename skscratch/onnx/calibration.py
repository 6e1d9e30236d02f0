"""Converter of scikit-learn's CalibratedClassifierCV.

It replaces that of skl2onnx 1.20, which accepts one input only, lacks temperature scaling, rounds isotonic calibration
to its nearest step, and passes probabilities where a pipeline's raw scores were calibrated.
"""

from functools import reduce
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from .estimators import emit_class, emit_result, set_classifier_types
from .nested import emit_classifier, innermost
from .network import LINK_EMITTERS, Graph

__all__ = ["calibrated_types", "convert_calibrated", "emit_interpolation"]


def calibrated_types(operator: Any) -> None:
    """Set the types of the outputs of a CalibratedClassifierCV: labels and probabilities."""
    check_is_fitted(operator.raw_operator)
    set_classifier_types(operator)


def convert_calibrated(scope: Any, operator: Any, container: Any) -> None:
    """Append the nodes of a CalibratedClassifierCV."""
    model = operator.raw_operator
    labels, probabilities = operator.outputs
    g = Graph(scope, container, np.float64)
    members = [_calibrated(g, operator, member) for member in model.calibrated_classifiers_]
    p = g("Div", reduce(lambda a, b: g("Add", a, b), members), float(len(members)))
    options = container.get_options(model, {"nocl": False})
    emit_class(g, p, model.classes_, labels, options["nocl"])
    emit_result(g, p, probabilities)


def _calibrated(g: Graph, operator: Any, member: Any) -> str:
    """Append one classifier with its calibrators; return the name of its probabilities (n, n_classes)."""
    z = _uncalibrated(g, operator, member.estimator)
    if member.method == "temperature":
        if not hasattr(member.estimator, "decision_function"):  # scikit-learn takes logarithms of the probabilities
            z = g("Log", g("Add", z, 1e-12))
        return LINK_EMITTERS["softmax"](g, g("Mul", z, float(member.calibrators[0].beta_)))
    n_classes, own_classes = len(member.classes), member.estimator.classes_
    # one calibrator for each class of this classifier; with two classes, only for the second
    sources = [1] if len(own_classes) == 2 else list(range(len(own_classes)))
    classes = [1] if n_classes == 2 else np.searchsorted(member.classes, own_classes)[: len(sources)].tolist()
    emit = _sigmoid if member.method == "sigmoid" else _isotonic
    columns = {
        k: emit(g, g("Gather", z, [source], axis=1), calibrator)
        for k, source, calibrator in zip(classes, sources, member.calibrators, strict=True)
    }
    if n_classes == 2:
        return g("Concat", g("Sub", 1.0, columns[1]), columns[1], axis=1)
    zeros = g("Mul", columns[classes[0]], 0.0)  # probability of a class that this classifier lacks
    p = g("Concat", *(columns.get(k, zeros) for k in range(n_classes)), axis=1)
    total = g("ReduceSum", p, [1])
    return g("Where", g("Equal", total, 0.0), 1 / n_classes, g("Div", p, total))


def _sigmoid(g: Graph, z: str, calibrator: Any) -> str:
    """1 / (1 + exp(a z + b))."""
    return g("Sigmoid", g("Sub", g("Mul", z, -float(calibrator.a_)), float(calibrator.b_)))


def _isotonic(g: Graph, z: str, calibrator: Any) -> str:
    """Linear interpolation between the thresholds."""
    return emit_interpolation(g, z, calibrator.X_thresholds_, calibrator.y_thresholds_)


def emit_interpolation(g: Graph, z: str, x: Any, y: Any) -> str:
    """Append a piecewise linear function; return the name of its values (n, 1).

    y_0 + Σ_j (y_{j+1} - y_j) · clip((z - x_j) / (x_{j+1} - x_j), 0, 1): linear between the nodes x_j, constant beyond.

    Parameters
    ----------
    g : Graph
    z : str
        Name of the arguments (n, 1), in double precision.
    x, y : array-like of shape (m,)
        Nodes, ascending, and their values. The function jumps between two nodes that are the same number.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(x) == 1:
        return g("Add", g("Mul", z, 0.0), float(y[0]))
    width = np.maximum(np.diff(x), np.finfo(np.float64).tiny)
    part = g("Max", g("Min", g("Div", g("Sub", z, x[None, :-1]), width[None]), 1.0), 0.0)
    return g("Add", g("MatMul", part, np.diff(y)[:, None]), float(y[0]))


def _uncalibrated(g: Graph, operator: Any, estimator: Any) -> str:
    """Append the estimator; return the name of the scores that were calibrated, (n, n_classes) in double precision.

    They are raw scores, -z and z for two classes, or probabilities of an estimator without raw scores.
    """
    raw_scores = hasattr(innermost(estimator), "decision_function")
    return emit_classifier(g, estimator, operator.inputs, raw_scores)[1]
