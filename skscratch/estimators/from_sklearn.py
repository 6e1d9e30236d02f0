"""The equivalent of a scikit-learn MLP, fitted or not."""

from typing import Any, TypeVar

import numpy as np

from ..encoding.check_input import Rows
from ..nn.tape import Array
from ..training.fit import FitResult
from ..training.state import Best, Progress, TrainingState
from .build import LocalBackend, build_model
from .sklearn_types import BaseEstimator

__all__ = ["from_sklearn"]

Estimator = TypeVar("Estimator", bound=BaseEstimator)


def from_sklearn(cls: type[Estimator], mlp: Any, kind: str) -> Estimator:
    """Return an estimator of class `cls` with the parameters of `mlp` and, if it is fitted, its weights and results.

    Raises TypeError if `mlp` is not an instance of the scikit-learn class named `kind`.
    """
    import sklearn.neural_network

    if not isinstance(mlp, getattr(sklearn.neural_network, kind)):
        raise TypeError(f"{cls.__name__}.from_sklearn takes a fitted or unfitted {kind}. Got {mlp!r} instead.")
    given = mlp.get_params(deep=False)
    if given["batch_size"] == "auto":
        given["batch_size"] = 200
    if mlp.solver != "sgd":
        given["learning_rate"] = "constant"  # scikit-learn has schedules for SGD only
    make: Any = cls
    new: Estimator = make(
        **given,
        init="glorot_uniform",
        parametrization="standard",
        n_members=1,
        calibrate=False,
        numeric_embedding=None,
        weight_decay=0.0,
        scale_features=False,
        categorical_features=None,
        scoring=None,
        restore_best_weights=mlp.early_stopping,
        dtype="float64" if not hasattr(mlp, "coefs_") else mlp.coefs_[0].dtype.name,
    )
    if hasattr(new, "scale_target"):
        new.set_params(scale_target=False, clip_target=False)
    if hasattr(mlp, "coefs_"):
        _take_over(new, mlp)
    return new


def _take_over(new: Any, mlp: Any) -> None:
    """Give `new` the weights and the results of the fitted `mlp`."""
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(mlp, name):
            setattr(new, name, getattr(mlp, name))
    y = _example_target(mlp)
    targets = new._make_targets(y, None, None)
    loss = new._make_loss(targets)
    rows = Rows(None, y, np.zeros((2, mlp.n_features_in_)), targets.values(y, loss), None)
    model = build_model(new, LocalBackend(), rows, targets, loss, incremental=False)
    model.network.assign(model.parameters, mlp.coefs_, mlp.intercepts_)
    curve = list(getattr(mlp, "loss_curve_", [mlp.loss_]))
    scores = getattr(mlp, "validation_scores_", None)
    state = TrainingState(model.parameters.copy(), None, new._generator(), Progress(epoch=len(curve), end=len(curve)))
    state.progress.n_seen = getattr(mlp, "t_", 0)
    state.history = {"loss": curve}
    state.best = Best(loss=min(curve), epoch=int(np.argmin(curve)) + 1)
    if scores is not None:
        state.history["validation_score"] = list(scores)
        state.best.score, state.best.epoch = mlp.best_validation_score_, int(np.argmax(scores)) + 1
    new._keep_structure(model)
    result = FitResult(model.parameters, state.best.epoch if mlp.early_stopping else len(curve))
    new._keep(result, state, begun=len(curve) - mlp.n_iter_, validated=scores is not None)
    new.loss_ = mlp.loss_


def _example_target(mlp: Any) -> Array:
    """Return a target of the kind that `mlp` was fitted to, with all of its classes or outputs."""
    if not hasattr(mlp, "classes_"):
        return np.ones((2, mlp.n_outputs_)) if mlp.n_outputs_ > 1 else np.ones(2)
    if mlp.out_activation_ == "logistic" and mlp.n_outputs_ > 1:
        return np.eye(2, mlp.n_outputs_, dtype=int)
    return np.asarray(mlp.classes_)
