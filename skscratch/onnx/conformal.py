"""Converters of the two estimators with an additional output: prediction intervals, or sets of classes.

The interval or set of a row is a function of the predictions by the members that have not seen each group of scores. In
the usual case of a single group, it moves the prediction by a number that the conversion knows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..encoding.class_targets import BinaryTargets, ClassTargets
from ..encoding.numeric_targets import NumericTargets
from ..estimators.base import ScratchMLP
from ..estimators.classifier import ScratchMLPClassifier
from ..estimators.conformal import Conformity, LocalScale, Side, check_coverage
from ..estimators.fitted import FittedNetwork
from ..estimators.regressor import ScratchMLPRegressor
from ..nn.tape import Array
from .calibration import emit_interpolation
from .estimators import emit_classification, emit_members, emit_regression, emit_result
from .nested import innermost
from .network import LINK_EMITTERS, Graph

__all__ = ["conformal_converters"]


def conformal_converters(estimator: Any, coverage: float) -> dict[type, Callable[[Any, Any, Any], None]]:
    """Return converters of the two estimators, which append intervals or sets for the last one in `estimator`.

    Parameters
    ----------
    estimator : estimator
        A fitted network, or a Pipeline or search that ends with one.
    coverage : float
        As in `predict_interval` and `predict_set`.

    Raises
    ------
    NotImplementedError
        If `estimator` ends with something else.
    ValueError
        As `predict_interval` and `predict_set`.
    """
    coverage, network = check_coverage(coverage), innermost(estimator)
    if not isinstance(network, ScratchMLP):
        raise NotImplementedError(
            f"{type(network).__name__} has no prediction intervals or sets: `coverage` is for a ScratchMLPRegressor or "
            "ScratchMLPClassifier, or a Pipeline or search that ends with one. Convert without `coverage`, or convert "
            "a network alone."
        )
    wanted = _Wanted(network, network.fitted_.required_conformity, coverage)
    return {
        ScratchMLPClassifier: partial(_convert_classifier, wanted=wanted),
        ScratchMLPRegressor: partial(_convert_regressor, wanted=wanted),
    }


@dataclass(frozen=True)
class _Wanted:
    """The intervals or sets that a graph has: of which network, and with which coverage."""

    network: ScratchMLP
    conformity: Conformity
    coverage: float

    @property
    def sides(self) -> list[list[Side]]:
        """Scores of the lower and the upper bound; see `Conformity.sides`."""
        return self.conformity.sides(self.coverage)


def _convert_classifier(scope: Any, operator: Any, container: Any, wanted: _Wanted) -> None:
    """Append labels, probabilities and, for this network, sets."""
    from skl2onnx.common.data_types import BooleanTensorType

    model: FittedNetwork = operator.raw_operator.fitted_
    g = Graph(scope, container, model.dtype)
    members = emit_members(g, operator)
    emit_classification(g, operator, members)
    if operator.raw_operator is wanted.network:
        output = _declare(scope, "set", BooleanTensorType([None, len(wanted.network.classes_)]))
        _emit_set(Graph(scope, container, np.float64), model, members, wanted, output)


def _convert_regressor(scope: Any, operator: Any, container: Any, wanted: _Wanted) -> None:
    """Append predictions and, for this network, intervals."""
    model: FittedNetwork = operator.raw_operator.fitted_
    g = Graph(scope, container, model.dtype)
    members = emit_members(g, operator)
    emit_regression(g, operator, members)
    clip = operator.raw_operator.clip_target
    if operator.raw_operator is wanted.network:
        assert isinstance(model.targets, NumericTargets)
        n_targets = model.targets.n_targets
        shape = [None, 2] if n_targets == 1 else [None, n_targets, 2]
        output = _declare(scope, "interval", type(operator.outputs[0].type)(shape))
        _emit_interval(Graph(scope, container, np.float64), model, members, wanted, clip, output)


def _declare(scope: Any, name: str, kind: Any) -> Any:
    """Return a new output of the graph."""
    output = scope.declare_local_variable(name, kind)
    output.init_status(is_leaf=True)
    return output


def _scores_by_group(g: Graph, model: FittedNetwork, members: str, n_groups: int) -> list[str]:
    """Return raw scores (n, out) for each group of scores: the mean over the members that have not seen it."""
    z, means = g.cast(members, np.float64), []
    for k in range(n_groups):
        unseen = list(range(k, model.n_members, n_groups))
        part = z if n_groups == 1 else g("Gather", z, unseen, axis=0)
        means.append(g("Div", g("ReduceSum", part, [0], keepdims=0), float(len(unseen) * model.temperature)))
    return means


# --------------------------------------------------------------- intervals


def _emit_interval(g: Graph, model: FittedNetwork, members: str, wanted: _Wanted, clip: bool, output: Any) -> None:
    """Append the bounds of each row and target, (n, n_targets, 2) or (n, 2), as an output of the graph."""
    targets, loss, conformity = model.targets, model.loss, wanted.conformity
    assert isinstance(targets, NumericTargets)
    bands = [_band(g, model, z, clip) for z in _scores_by_group(g, model, members, conformity.n_groups)]
    lower, upper = wanted.sides
    low = g("Neg", _outer_bounds(g, [g("Neg", p) for p, _ in bands], [p for p, _ in bands], lower, conformity.scales))
    high = _outer_bounds(g, [p for _, p in bands], [p for _, p in bands], upper, conformity.scales)
    # negative scores of quantiles may cross the bounds
    pair = [g("Unsqueeze", g(operator, low, high), [2]) for operator in ("Min", "Max")]
    domain = max(loss.min_target, loss.link.low), loss.link.high
    bounds = g("Min", g("Max", g("Concat", *pair, axis=2), float(domain[0])), float(domain[1]))
    infinite = np.array([[allowed < 0 for _, allowed in side] for side in (lower, upper)]).T & np.isinf(domain)
    y = _in_units(g, bounds, targets, infinite)
    emit_result(g, g("Squeeze", y, [1]) if targets.n_targets == 1 else y, output)


def _band(g: Graph, model: FittedNetwork, z: str, clip: bool) -> tuple[str, str]:
    """Return the lowest and the highest prediction (n, n_targets), in the network's units; see `predict_interval`."""
    targets = model.targets
    assert isinstance(targets, NumericTargets)
    p = LINK_EMITTERS[model.loss.link.name](g, z)
    if clip and np.all(np.isfinite(np.append(targets.low, targets.high))):
        low, high = targets.encode(np.stack([targets.low, targets.high]), np.float64).values
        p = g("Min", g("Max", p, low[None]), high[None])
    n = model.loss.n_scores
    return (p, p) if n == 1 else (g("Gather", p, [0], axis=1), g("Gather", p, [n - 1], axis=1))


def _in_units(g: Graph, bounds: str, targets: NumericTargets, infinite: Array) -> str:
    """center + spread · bounds, at most the largest float; bounds that are `infinite` (n_targets, 2) stay so."""
    if not targets.scale:
        return bounds
    spread, center = (
        np.where(infinite, neutral, np.reshape(values, (-1, 1)))[None]
        for values, neutral in ((targets.spread, 1.0), (targets.center, 0.0))
    )
    largest = np.where(infinite, np.inf, np.finfo(np.float64).max)[None]
    return g("Min", g("Max", g("Add", g("Mul", bounds, spread), center), -largest), largest)


def _outer_bounds(
    g: Graph, starts: list[str], predicted: list[str], sides: list[Side], scales: list[LocalScale]
) -> str:
    """Return a quantile of start + scale(predicted) · score for each target, (n, n_targets)."""
    if len(starts) == 1:
        margin = np.array([[groups[0].bound(allowed) for groups, allowed in sides]])
        return g("Add", starts[0], _times_scale(g, predicted[0], scales, margin))
    columns = []
    for j, ((groups, allowed), scale) in enumerate(zip(sides, scales, strict=True)):
        parts = []
        for group, start, p in zip(groups, starts, predicted, strict=True):
            start, p = (g("Gather", x, [j], axis=1) for x in (start, p))
            parts.append(g("Add", start, _times_scale(g, p, [scale], group.scores[None])))
        weights = np.concatenate([-np.diff(group.n_above) for group in groups])
        columns.append(_bound_of_groups(g, parts, weights, allowed))
    return g("Concat", *columns, axis=1)


def _times_scale(g: Graph, predicted: str, scales: list[LocalScale], scores: Array) -> str | Array:
    """Return scale(predicted) · scores, for the scale of each column of `predicted` (n, n_scales)."""
    if all(len(scale.knots) == 1 for scale in scales):
        return np.asarray(scores * np.array([scale.values[0] for scale in scales]))
    columns = [
        emit_interpolation(g, g("Gather", predicted, [j], axis=1), scale.knots, scale.values)
        for j, scale in enumerate(scales)
    ]
    return g("Mul", g("Concat", *columns, axis=1), scores)


def _bound_of_groups(g: Graph, parts: list[str], weights: Array, allowed: float) -> str:
    """Return the lowest of all values, in parts (n, m_k), that a weight of no more than `allowed` is above, (n, 1)."""
    if allowed < 0:
        return g("Add", g("Mul", g("Gather", parts[0], [0], axis=1), 0.0), np.inf)
    values, positions = g.decreasing(g("Concat", *parts, axis=1), len(weights))
    above = g("CumSum", g("Gather", weights, positions), np.array(1), exclusive=1)
    n_enough = g("ReduceSum", g.cast(g("LessOrEqual", above, allowed), np.int64), [1])
    return g("GatherElements", values, g("Sub", n_enough, np.array([1])), axis=1)


# -------------------------------------------------------------------- sets


def _emit_set(g: Graph, model: FittedNetwork, members: str, wanted: _Wanted, output: Any) -> None:
    """Append whether each class belongs to the set of each row, (n, n_classes), as an output of the graph."""
    assert isinstance(model.targets, ClassTargets)
    _, [(groups, allowed)] = wanted.sides
    log_p = [_log_proba(g, model, z) for z in _scores_by_group(g, model, members, len(groups))]
    if len(groups) == 1:
        total = log_p[0]
        chosen = g("LessOrEqual", g("Neg", total), groups[0].bound(allowed))
    else:
        total = g("Sum", *log_p)
        n_above = [
            g("MatMul", _indicators(g, group.scores, p), -np.diff(group.n_above))
            for group, p in zip(groups, log_p, strict=True)
        ]
        chosen = g("Greater", g("Sum", *n_above), allowed)
    classes = np.arange(len(model.targets.classes))[None]
    best = g("Equal", g("ArgMax", total, axis=1, keepdims=1), classes)
    emit_result(g, g("Or", chosen, best), output)


def _log_proba(g: Graph, model: FittedNetwork, z: str) -> str:
    """Return the logarithms of the class probabilities; those of two classes are log softmax([-z / 2, z / 2])."""
    if isinstance(model.targets, BinaryTargets):
        half = g("Mul", z, 0.5)
        z = g("Concat", g("Neg", half), half, axis=1)
    return g("LogSoftmax", z, axis=-1)


def _indicators(g: Graph, scores: Array, log_p: str) -> str:
    """Return 1 where a score is at or above that of a class, otherwise 0: (n, n_classes, m)."""
    of_classes = g("Unsqueeze", g("Neg", log_p), [2])
    return g.cast(g("LessOrEqual", of_classes, scores[None, None]), np.float64)
