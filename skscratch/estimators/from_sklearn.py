"""The equivalent of a scikit-learn MLP, fitted or not."""

from typing import Any

import numpy as np

from ..encoding.check_input import Rows
from ..training.loop import State
from .plan import Outcome

__all__ = ["from_sklearn"]


def from_sklearn(cls: type, mlp: Any, kind: str) -> Any:
    """An estimator of class `cls` with the parameters of `mlp`, and, if that is fitted, its weights and results.

    Raises TypeError if `mlp` is not of the scikit-learn class named `kind`.
    """
    import sklearn.neural_network

    if not isinstance(mlp, getattr(sklearn.neural_network, kind)):
        raise TypeError(f"{cls.__name__}.from_sklearn takes a fitted or unfitted {kind}. Got {mlp!r} instead.")
    given = mlp.get_params(deep=False)
    if given["batch_size"] == "auto":
        given["batch_size"] = 200
    if mlp.solver != "sgd":
        given["learning_rate"] = "constant"  # scikit-learn's schedules are those of SGD alone
    new = cls(
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
        new.scale_target = new.clip_target = False
    if hasattr(mlp, "coefs_"):
        _take_over(new, mlp)
    return new


def _take_over(new: Any, mlp: Any) -> None:
    """Give `new` the weights and the results of the fitted `mlp`."""
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(mlp, name):
            setattr(new, name, getattr(mlp, name))
    y = _example_target(mlp)
    new._categorical = None
    new._start_targets(y, None)
    new._start(Rows(None, y, np.zeros((2, mlp.n_features_in_)), new._target_values(y), None))
    parameters = np.zeros((1, new._network.layout.size), new._dtype)
    new._network.assign(parameters, mlp.coefs_, mlp.intercepts_)
    curve = list(getattr(mlp, "loss_curve_", [mlp.loss_]))
    state = State(parameters.copy(), None, new._generator(), epoch=len(curve), end=len(curve))
    state.n_seen = getattr(mlp, "t_", 0)
    state.history = {"loss": curve}
    state.best_loss, state.best_epoch = min(curve), int(np.argmin(curve)) + 1
    scores = getattr(mlp, "validation_scores_", None)
    if scores is not None:
        state.history["validation_score"] = list(scores)
        state.best_score, state.best_epoch = mlp.best_validation_score_, int(np.argmax(scores)) + 1
    found = Outcome(parameters, state.best_epoch)
    new.__dict__.update(new._results(found, state, len(curve) - mlp.n_iter_, None, scores is not None))
    new.loss_, new.best_iteration_ = mlp.loss_, state.best_epoch if mlp.early_stopping else len(curve)


def _example_target(mlp: Any) -> np.ndarray:
    """A target of the kind that `mlp` was fitted to, from which classes and number of outputs follow."""
    if not hasattr(mlp, "classes_"):
        return np.ones((2, mlp.n_outputs_)) if mlp.n_outputs_ > 1 else np.ones(2)
    if mlp.out_activation_ == "logistic" and mlp.n_outputs_ > 1:
        return np.eye(2, mlp.n_outputs_, dtype=int)
    return mlp.classes_
