"""The two estimators as skl2onnx sees them: types of the outputs (shape calculators) and nodes (converters)."""

from typing import Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from .encoding import Source, emit_table
from .network import LINK_EMITTERS, Graph, emit_network

__all__ = [
    "classifier_types",
    "convert_classifier",
    "convert_regressor",
    "emit_labels",
    "emit_result",
    "regressor_types",
    "unwrapped",
]


def unwrapped(model: Any) -> Any:
    """The estimator that a search has found, or that was frozen: it predicts as they do."""
    while isinstance(model, FrozenEstimator) or hasattr(model, "best_estimator_"):
        model = model.estimator if isinstance(model, FrozenEstimator) else model.best_estimator_
    return model


def classifier_types(operator: Any) -> None:
    """Set the types of labels (n,) or (n, n_labels), and of probabilities (n, n_classes)."""
    from skl2onnx.common.data_types import Int64TensorType, StringTensorType

    model = operator.raw_operator
    check_is_fitted(model)
    rows, n_classes = operator.inputs[0].get_first_dimension(), len(model.classes_)
    labels, probabilities = operator.outputs
    numbered = operator.scope_inst.get_options(model, {"nocl": False})["nocl"]
    kind = StringTensorType if _are_texts(model.classes_) and not numbered else Int64TensorType
    labels.set_type(kind([rows, n_classes] if _is_multilabel(model) else [rows]))
    probabilities.set_type(_real_type(operator, probabilities)([rows, n_classes]))


def regressor_types(operator: Any) -> None:
    """Set the type of the predictions (n, n_outputs)."""
    check_is_fitted(operator.raw_operator)
    shape = [operator.inputs[0].get_first_dimension(), operator.raw_operator.n_outputs_]
    operator.outputs[0].set_type(_real_type(operator, operator.outputs[0])(shape))


def _are_texts(classes: np.ndarray) -> bool:
    return isinstance(classes[0], str)


def _is_multilabel(model: Any) -> bool:
    return hasattr(model, "_targets") and model._targets.kind == "multilabel"


def _real_type(operator: Any, output: Any) -> type:
    """Float or double for predictions.

    What goes on to another estimator has the type that skl2onnx expects.  An output of the graph is of the type of the
    first input of fractions; without one it is double, as it is in NumPy.
    """
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    if any(reader.type == "SklearnZipMap" for reader in output.operators_inputs_):
        return FloatTensorType  # ONNX has no dictionaries of others
    candidates = [output] if not output.is_leaf else operator.inputs
    fractions = [type(v.type) for v in candidates if isinstance(v.type, FloatTensorType | DoubleTensorType)]
    default = DoubleTensorType if output.is_leaf else FloatTensorType
    return fractions[0] if fractions else default


def convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    """Append the nodes of a ScratchMLPClassifier."""
    model = operator.raw_operator
    labels, probabilities = operator.outputs
    options = container.get_options(model, {"nocl": False, "raw_scores": False})
    g = Graph(scope, container, model._dtype)
    z = _scores(g, model, operator.inputs)
    if model._targets.kind == "binary":
        z = g("Concat", g("Neg", z), z, axis=1)
    if _is_multilabel(model):
        g.cast(g("Greater", z, 0.0), np.int64, labels.full_name)
    else:
        emit_labels(g, z, model.classes_, labels, options["nocl"])
    p = z if options["raw_scores"] else LINK_EMITTERS[model._loss.link.name](g, z)
    emit_result(g, p, probabilities)


def convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    """Append the nodes of a ScratchMLPRegressor."""
    model = operator.raw_operator
    targets = model._numbers
    g = Graph(scope, container, model._dtype)
    y = LINK_EMITTERS[model._loss.link.name](g, _scores(g, model, operator.inputs))
    y = g.cast(y, np.float64)  # as predictions are: targets of 1e9 ± 1 keep their digits
    if targets.scale:
        y = g("Add", g("Mul", y, targets.spread[None]), targets.center[None])
    if model.clip_target:
        y = g("Min", g("Max", y, np.atleast_1d(targets.low)), np.atleast_1d(targets.high))
    emit_result(g, y, operator.outputs[0])


def _scores(g: Graph, model: Any, inputs: list[Any]) -> str:
    """Raw scores (n, out): the members' mean, over the temperature."""
    z = emit_network(g, model._network, model._parameters, *emit_table(g, model._encoder, _sources(model, inputs)))
    return g("Div", g("ReduceSum", z, [0], keepdims=0), float(len(model._parameters) * model.temperature_))


def _sources(model: Any, inputs: list[Any]) -> list[Source]:
    """Where each feature is found; ValueError where the inputs have more columns, or fewer."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

    kinds = {StringTensorType: "string", FloatTensorType: "float", DoubleTensorType: "double"}
    names = getattr(model, "feature_names_in_", [f"x{j}" for j in range(model.n_features_in_)])
    columns = []
    for variable in inputs:
        width = variable.type.shape[1]
        if width is None and len(inputs) == 1:  # of some transformers skl2onnx does not know it
            width = model.n_features_in_
        kind = kinds.get(type(variable.type), "integer")
        columns += [(variable.full_name, kind, width, column) for column in range(width or 0)]
    if len(columns) != model.n_features_in_:
        raise ValueError(
            f"{type(model).__name__} was fitted to {model.n_features_in_} columns, but its ONNX inputs have "
            f"{len(columns)}: {[f'{v.full_name} {v.type.shape}' for v in inputs]}."
        )
    return [Source(str(name), *column) for name, column in zip(names, columns, strict=True)]


def emit_labels(g: Graph, scores: str, classes: np.ndarray, output: Any, numbered: bool = False) -> None:
    """Append the class of the largest score, or its number, as an output of the graph."""
    if numbered:
        g("ArgMax", scores, axis=1, keepdims=0, output=output.full_name)
        return
    labels = classes if _are_texts(classes) else classes.astype(np.int64)
    g("Gather", labels, g("ArgMax", scores, axis=1, keepdims=0), output=output.full_name)


def emit_result(g: Graph, x: str, output: Any) -> None:
    """Append x as an output of the graph, in its type."""
    from skl2onnx.common.data_types import guess_numpy_type

    g.cast(x, guess_numpy_type(output.type), output.full_name)
