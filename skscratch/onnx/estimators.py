"""Shape calculators and converters of the two estimators, in the form that skl2onnx calls.

A shape calculator sets the types of an operator's outputs; a converter appends its nodes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from ..encoding.class_targets import BinaryTargets, MulticlassTargets, MultilabelTargets
from ..encoding.numeric_targets import NumericTargets
from ..estimators.fitted import FittedNetwork
from ..nn.tape import Array
from .encoding import Source, emit_table
from .network import LINK_EMITTERS, Graph, emit_network

__all__ = [
    "TARGET_EMITTERS",
    "classifier_types",
    "convert_classifier",
    "convert_regressor",
    "emit_class",
    "emit_classification",
    "emit_members",
    "emit_regression",
    "emit_result",
    "float_type",
    "regressor_types",
    "set_classifier_types",
]

# -------------------------------------------------------- types of outputs


def classifier_types(operator: Any) -> None:
    """Set the types of the outputs of a ScratchMLPClassifier: labels and probabilities."""
    model = operator.raw_operator
    check_is_fitted(model)
    set_classifier_types(operator, multilabel=isinstance(model.fitted_.targets, MultilabelTargets))


def set_classifier_types(operator: Any, multilabel: bool = False) -> None:
    """Set the types of labels (n,), or (n, n_labels) if `multilabel`, and of probabilities (n, n_classes)."""
    from skl2onnx.common.data_types import Int64TensorType, StringTensorType

    model = operator.raw_operator
    n, n_classes = operator.inputs[0].get_first_dimension(), len(model.classes_)
    labels, probabilities = operator.outputs
    as_numbers = operator.scope_inst.get_options(model, {"nocl": False})["nocl"]
    label_type = StringTensorType if _are_strings(model.classes_) and not as_numbers else Int64TensorType
    labels.set_type(label_type([n, n_classes] if multilabel else [n]))
    probabilities.set_type(float_type(operator, probabilities)([n, n_classes]))


def regressor_types(operator: Any) -> None:
    """Set the type of the output of a ScratchMLPRegressor: predictions (n, n_outputs)."""
    check_is_fitted(operator.raw_operator)
    shape = [operator.inputs[0].get_first_dimension(), operator.raw_operator.n_outputs_]
    operator.outputs[0].set_type(float_type(operator, operator.outputs[0])(shape))


def float_type(operator: Any, output: Any) -> Any:
    """Return the type of predictions, float or double.

    An output that another estimator reads has the type that skl2onnx expects. An output of the graph has the type of
    the first float or double input; without such an input it is double, as predictions are in NumPy.
    """
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    if any(reader.type == "SklearnZipMap" for reader in output.operators_inputs_):
        return FloatTensorType  # ONNX has no dictionaries of doubles
    candidates = operator.inputs if output.is_leaf else [output]
    types = [type(v.type) for v in candidates if isinstance(v.type, FloatTensorType | DoubleTensorType)]
    return types[0] if types else DoubleTensorType if output.is_leaf else FloatTensorType


def _are_strings(classes: Array) -> bool:
    return isinstance(classes[0], str)


# -------------------------------------------------------------- converters


def convert_classifier(scope: Any, operator: Any, container: Any) -> None:
    """Append the nodes of a ScratchMLPClassifier."""
    g = Graph(scope, container, operator.raw_operator.fitted_.dtype)
    emit_classification(g, operator, emit_members(g, operator))


def convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    """Append the nodes of a ScratchMLPRegressor."""
    g = Graph(scope, container, operator.raw_operator.fitted_.dtype)
    emit_regression(g, operator, emit_members(g, operator))


def emit_classification(g: Graph, operator: Any, members: str) -> None:
    """Append labels and probabilities, for the raw scores of the members (K, n, out)."""
    model: FittedNetwork = operator.raw_operator.fitted_
    labels, probabilities = operator.outputs
    options = g.container.get_options(operator.raw_operator, {"nocl": False, "raw_scores": False})
    emit = TARGET_EMITTERS[type(model.targets)]
    z = emit.scores(g, _mean(g, members, model))
    emit.labels(g, z, operator.raw_operator.classes_, labels, options["nocl"])
    emit_result(g, z if options["raw_scores"] else LINK_EMITTERS[model.loss.link.name](g, z), probabilities)


def emit_regression(g: Graph, operator: Any, members: str) -> None:
    """Append predictions, for the raw scores of the members (K, n, out)."""
    model: FittedNetwork = operator.raw_operator.fitted_
    targets = model.targets
    assert isinstance(targets, NumericTargets)
    p = LINK_EMITTERS[model.loss.link.name](g, _mean(g, members, model))
    y = g.cast(p, np.float64)  # predictions are double: a target of 1e9 ± 1 keeps its digits
    if targets.scale:
        y = g(
            "Add", g("Mul", y, np.atleast_2d(targets.spread)), np.atleast_2d(targets.center)
        )  # y = center + spread · p
    if operator.raw_operator.clip_target:
        y = g("Min", g("Max", y, np.atleast_1d(targets.low)), np.atleast_1d(targets.high))
    emit_result(g, y, operator.outputs[0])


def emit_members(g: Graph, operator: Any) -> str:
    """Append table encoding and network; return the name of the raw scores of the members (K, n, out)."""
    estimator = operator.raw_operator
    model: FittedNetwork = estimator.fitted_
    numbers, codes = emit_table(g, model.encoder, _sources(estimator, operator.inputs))
    return emit_network(g, model.network, model.parameters, numbers, codes)


def _mean(g: Graph, members: str, model: FittedNetwork) -> str:
    """mean_k z_k / temperature, (n, out)."""
    return g("Div", g("ReduceSum", members, [0], keepdims=0), float(model.n_members * model.temperature))


def _sources(estimator: Any, inputs: list[Any]) -> list[Source]:
    """Return the input and the column of each feature; raise ValueError for another number of columns."""
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, StringTensorType

    kinds = {StringTensorType: "string", FloatTensorType: "float", DoubleTensorType: "double"}
    columns = []
    for variable in inputs:
        width = variable.type.shape[1]
        if width is None and len(inputs) == 1:  # skl2onnx leaves out the width of some transformers' outputs
            width = estimator.n_features_in_
        kind = kinds.get(type(variable.type), "integer")
        columns += [(variable.full_name, kind, width, column) for column in range(width or 0)]
    if len(columns) != estimator.n_features_in_:
        raise ValueError(
            f"{type(estimator).__name__} was fitted to {estimator.n_features_in_} columns, but its ONNX inputs have "
            f"{len(columns)}: {[f'{v.full_name} {v.type.shape}' for v in inputs]}."
        )
    names = estimator.fitted_.encoder.feature_names
    return [Source(name, *column) for name, column in zip(names, columns, strict=True)]


# ----------------------------------------------------------------- classes


def emit_class(g: Graph, scores: str, classes: Array, output: Any, as_numbers: bool = False) -> None:
    """Append the class of the largest score, or its index if `as_numbers`, as an output of the graph."""
    if as_numbers:
        g("ArgMax", scores, axis=1, keepdims=0, output=output.full_name)
        return
    labels = classes if _are_strings(classes) else classes.astype(np.int64)
    g("Gather", labels, g("ArgMax", scores, axis=1, keepdims=0), output=output.full_name)


def _emit_labels(g: Graph, scores: str, classes: Array, output: Any, as_numbers: bool = False) -> None:
    """Append the indicator matrix of the positive scores as an output of the graph."""
    g.cast(g("Greater", scores, 0.0), np.int64, output.full_name)


def _both_signs(g: Graph, z: str) -> str:
    """[-z, z], (n, 2): σ(-z) = 1 - σ(z) is the probability of the first class."""
    return g("Concat", g("Neg", z), z, axis=1)


def _unchanged(g: Graph, z: str) -> str:
    return z


class TargetEmitter(NamedTuple):
    """How the graph of a classifier depends on its kind of target."""

    scores: Callable[[Graph, str], str]  # raw scores (n, out) → one score per class or label (n, n_classes)
    labels: Callable[[Graph, str, Array, Any, bool], None]  # these scores → labels, an output of the graph


TARGET_EMITTERS: dict[type, TargetEmitter] = {
    BinaryTargets: TargetEmitter(_both_signs, emit_class),
    MulticlassTargets: TargetEmitter(_unchanged, emit_class),
    MultilabelTargets: TargetEmitter(_unchanged, _emit_labels),
}


def emit_result(g: Graph, x: str, output: Any) -> None:
    """Append x, converted to the type of `output`, as this output of the graph."""
    from skl2onnx.common.data_types import guess_numpy_type

    g.cast(x, guess_numpy_type(output.type), output.full_name)
