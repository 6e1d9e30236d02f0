"""The first phase of a fit: the arguments of `fit` become checked rows, a target encoder and a loss.

`table_to_predict` checks the X of a prediction in the same way.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.utils.validation import check_consistent_length

from ..encoding.check_input import Rows, check_table, check_weight
from ..encoding.out_of_core import MemmapTable
from ..encoding.targets import TargetEncoder
from ..encoding.times import Kind
from ..encoding.weights import Weights
from ..nn.losses import Loss
from .build import LocalBackend
from .fitted import FittedNetwork

__all__ = ["Inputs", "check_input", "table_to_predict"]


@dataclass
class Inputs:
    """The arguments of `fit` and `partial_fit`, as they were given."""

    X: Any
    y: Any
    sample_weight: Any = None
    X_val: Any = None
    y_val: Any = None
    sample_weight_val: Any = None


def check_input(
    estimator: Any,
    backend: LocalBackend,
    inputs: Inputs,
    before: FittedNetwork | None,
    incremental: bool,
    classes: Any,
) -> tuple[Rows, Rows | None, TargetEncoder, Loss]:
    """Return the training rows and the given validation rows, checked, with the target encoder and the loss."""
    if inputs.y is None:
        raise ValueError(f"{type(estimator).__name__} requires y to be passed, but the target y is None.")
    kinds = None if before is None else before.encoder.kinds
    data = backend.check_table(estimator, inputs.X, kinds, before is None)
    if incremental and isinstance(data, MemmapTable):
        data = np.asarray(data)  # a chunk of a stream has to fit in memory
    y = estimator._target_type.check(inputs.y)
    check_consistent_length(data, y)
    weights = _weights(inputs.sample_weight, data.shape[0])
    known = None if before is None else before.targets
    continues_one_class = known is not None and known.has_one_class()
    targets = estimator._make_targets(y, classes, None if continues_one_class else known)
    loss = estimator._make_loss(targets)
    values = targets.values(y, loss)
    rows = Rows(inputs.X, y, data, values, None).weighted(targets.row_weights(values, weights)).without_weightless()
    if continues_one_class or (not incremental and before is None and targets.leaves_one_class(rows.values)):
        # the classes of rows that have no weight do not count
        targets = estimator._make_targets(rows.y, None, known)
        loss = estimator._make_loss(targets)
        rows = replace(rows, values=targets.values(rows.y, loss))
    if before is not None:
        _check_same_output(loss, before.loss)
    if not incremental:
        targets.check_enough(rows.values, before is not None)
    kinds = getattr(data, "kinds", None) if before is None else kinds
    return rows, _check_validation(estimator, backend, inputs, targets, loss, kinds), targets, loss


def _check_validation(
    estimator: Any, backend: LocalBackend, inputs: Inputs, targets: TargetEncoder, loss: Loss, kinds: list[Kind] | None
) -> Rows | None:
    """Return the given validation rows, checked as the training rows are."""
    X, y, weight = inputs.X_val, inputs.y_val, inputs.sample_weight_val
    if X is None:
        for name, value in (("y_val", y), ("sample_weight_val", weight)):
            if value is not None:
                raise ValueError(f"{name} was given without X_val.")
        return None
    if y is None:
        raise ValueError("X_val was given without y_val.")
    try:
        data = backend.check_table(estimator, X, kinds, False)
        y = estimator._target_type.check(y)
        check_consistent_length(data, y)
        return Rows(X, y, data, targets.values(y, loss), None).weighted(_weights(weight, data.shape[0]))
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"X_val and y_val do not match X and y: {error}") from error


def _weights(sample_weight: Any, n: int) -> Weights | None:
    """Return the checked weights of n rows in their unit."""
    weight = check_weight(sample_weight, n)
    return None if weight is None else Weights.of(weight)


def _check_same_output(loss: Loss, before: Loss) -> None:
    """Raise ValueError if the network's output does not suit a loss that was changed since the last call."""
    if (loss.link.name, loss.n_scores) != (before.link.name, before.n_scores):
        raise ValueError(
            f"Training cannot continue with another network: its output was for loss {before.name!r} with "
            f"{before.link.name!r} and is now for {loss.name!r} with {loss.link.name!r}. For a new network call fit, "
            "with warm_start=False."
        )


def table_to_predict(estimator: Any, X: Any) -> Any:
    """Return X checked against the columns that a fitted estimator has learned; see `check_table`."""
    kinds = estimator.fitted_.encoder.kinds
    return check_table(estimator, X, estimator.categorical_features, kinds, reset=False)
