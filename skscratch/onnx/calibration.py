"""scikit-learn's CalibratedClassifierCV as an ONNX graph.

skl2onnx has a converter of its own for it, which allows a single input, knows no temperature scaling, takes the nearest
step of an isotonic calibrator rather than a point between two, and passes probabilities where a pipeline's raw scores
were calibrated (as of its version 1.20).
"""

from functools import reduce
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline

from .estimators import emit_labels, emit_result, unwrapped
from .network import LINK_EMITTERS, Graph

__all__ = ["convert_calibrated"]


def convert_calibrated(scope: Any, operator: Any, container: Any) -> None:
    """Append the nodes of a CalibratedClassifierCV."""
    model = operator.raw_operator
    labels, probabilities = operator.outputs
    g = Graph(scope, container, np.float64)
    members = [_calibrated(g, operator, one) for one in model.calibrated_classifiers_]
    p = g("Div", reduce(lambda a, b: g("Add", a, b), members), float(len(members)))
    options = container.get_options(model, {"nocl": False})
    emit_labels(g, p, model.classes_, labels, options["nocl"])
    emit_result(g, p, probabilities)


def _calibrated(g: Graph, operator: Any, one: Any) -> str:
    """Probabilities (n, n_classes) by one classifier and its calibrators."""
    z = _raw_scores(g, operator, one.estimator)
    if one.method == "temperature":
        if not hasattr(one.estimator, "decision_function"):  # scikit-learn makes scores of probabilities
            z = g("Log", g("Add", z, 1e-12))
        return LINK_EMITTERS["softmax"](g, g("Mul", z, float(one.calibrators[0].beta_)))
    n_classes, own = len(one.classes), one.estimator.classes_
    # of two classes there is one raw score, that of the second
    chosen = [1] if len(own) == 2 else list(range(len(own)))
    places = [1] if n_classes == 2 else np.searchsorted(one.classes, own)[: len(chosen)]
    columns = {}
    for place, column, calibrator in zip(places, chosen, one.calibrators, strict=True):
        emit = _sigmoid if one.method == "sigmoid" else _isotonic
        columns[int(place)] = emit(g, g("Gather", z, [column], axis=1), calibrator)
    if n_classes == 2:
        return g("Concat", g("Sub", 1.0, columns[1]), columns[1], axis=1)
    nothing = g("Mul", columns[int(places[0])], 0.0)  # of a class that this classifier has not seen
    p = g("Concat", *(columns.get(k, nothing) for k in range(n_classes)), axis=1)
    total = g("ReduceSum", p, [1])
    return g("Where", g("Equal", total, 0.0), 1 / n_classes, g("Div", p, total))


def _sigmoid(g: Graph, z: str, calibrator: Any) -> str:
    """1 / (1 + exp(a z + b))."""
    return g("Sigmoid", g("Sub", g("Mul", z, -float(calibrator.a_)), float(calibrator.b_)))


def _isotonic(g: Graph, z: str, calibrator: Any) -> str:
    """Straight lines between the thresholds: each interval adds its rise, by how much of it lies below z."""
    x, y = (np.asarray(a, np.float64) for a in (calibrator.X_thresholds_, calibrator.y_thresholds_))
    if len(x) == 1:
        return g("Add", g("Mul", z, 0.0), float(y[0]))
    part = g("Max", g("Min", g("Div", g("Sub", z, x[None, :-1]), np.diff(x)[None]), 1.0), 0.0)
    return g("Add", g("MatMul", part, np.diff(y)[:, None]), float(y[0]))


def _raw_scores(g: Graph, operator: Any, estimator: Any) -> str:
    """What the calibrators were fitted to, (n, n_classes) in double precision: of two classes, -z and z."""
    from skl2onnx import get_model_alias
    from skl2onnx.common.data_types import DoubleTensorType, Int64TensorType

    base = unwrapped(estimator)
    last = base
    while isinstance(last, Pipeline):
        last = unwrapped(last.steps[-1][1])
    if hasattr(last, "decision_function"):  # otherwise probabilities were calibrated
        if not g.container.has_options(last, "raw_scores"):
            raise NotImplementedError(f"skl2onnx gives no raw scores of {type(last).__name__}, which were calibrated.")
        for place in (g.scope, g.container):
            place.add_options(id(last), {"raw_scores": True})
    child = g.scope.declare_local_operator(get_model_alias(type(base)), base)
    child.inputs = operator.inputs
    child.outputs.append(g.scope.declare_local_variable("label", Int64TensorType()))
    child.outputs.append(g.scope.declare_local_variable("raw_scores", DoubleTensorType()))
    return g.cast(child.outputs[1].full_name, np.float64)
