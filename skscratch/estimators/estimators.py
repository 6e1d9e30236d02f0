"""The two estimators: what is a classifier's or a regressor's own."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.special import log_expit, log_softmax
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_array, column_or_1d

from ..encoding.columns import missing, refuse_times
from ..encoding.targets import ClassTargets, NumberTargets, class_weights
from ..nn.batch import Targets
from ..nn.losses import CLASSIFICATION_LOSSES, REGRESSION_LOSSES, Loss, make_loss
from . import constraints as rules
from . import from_sklearn as conversion
from .base import ScratchMLP
from .docstrings import CLASSIFIER, REGRESSOR
from .parameters import class_weight_rule, hyper, levels_rule

__all__ = ["ScratchMLPClassifier", "ScratchMLPRegressor"]


def _takes_steps(estimator: Any) -> bool:
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is only available for stochastic solvers; 'lbfgs' is not one.")
    return True


@dataclass(kw_only=True, eq=False, repr=False)
class ScratchMLPClassifier(ClassifierMixin, ScratchMLP):  # noqa: D101
    __doc__ = CLASSIFIER

    loss: Any = hyper("log_loss", rules.either(rules.choice(CLASSIFICATION_LOSSES), rules.function))
    class_weight: Any = hyper(None, class_weight_rule)
    label_smoothing: float = hyper(0.0, rules.real(0, 1))

    @available_if(_takes_steps)
    def partial_fit(self, X, y, sample_weight=None, classes=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Go on training with one pass over the given rows.

        Each call is an epoch: on a schedule with an end the rate falls over `max_iter` calls and then begins anew. If
        their number is known, make it `max_iter`; else `learning_rate='constant'` suits a stream better.

        Parameters
        ----------
        X, y, sample_weight, X_val, y_val, sample_weight_val
            As in `fit`. With `X_val` the weights of the best call so far are those that predict.
        classes : array-like of shape (n_classes,), default=None
            All classes that will ever come; needed in the first call.

        Returns
        -------
        self : object
            The estimator, one epoch further.

        Notes
        -----
        The first call settles what the inputs are: the categories (those that occur, and those that a column's type
        declares), the columns that may be missing, the number of bins. What dense columns of numbers are scaled by, and
        where bins lie, follows the stream: it is learned anew, from a sample of all rows so far, each time that half as
        many more have gone by. The weights change with it, to predict much as before, and the search for the best call
        begins anew. A chunk that comes again, in another pass over a table, changes nothing.

        To stop a stream early, give `X_val` in some calls, such as the last of each pass over a table, until
        ``len(model.loss_curve_) - model.best_iteration_``, the calls since the best one, are too many.
        """
        if (
            classes is not None
            and hasattr(self, "_parameters")
            and not np.array_equal(np.unique(classes), self.classes_)
        ):
            raise ValueError(f"`classes` {classes} is not the same as on the last call: {self.classes_}.")
        if classes is None and not hasattr(self, "_parameters") and np.ndim(y) == 1:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        return self._partial_fit(X, y, sample_weight, (X_val, y_val, sample_weight_val), classes)

    def decision_function(self, X):
        """Raw scores: above 0 means the second class, or the label; the largest of several is the class.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples,) for two classes, else (n_samples, n_outputs_)
            Of several members, their mean over the temperature.
        """
        z = self._scores(X)
        return z[:, 0] if self._targets.kind == "binary" else z

    def predict(self, X):
        """Predict class labels.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,), or (n_samples, n_outputs_) for a multilabel target
        """
        z = self._scores(X)
        return self._targets.decode(z)

    def predict_proba(self, X):
        """Predict class probabilities.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`; of a multilabel target, the probability of each label.
        """
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X):
        """Predict logarithms of class probabilities, finite however sure the network is.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        log_p : ndarray of shape (n_samples, n_classes)
        """
        z = self._scores(X)
        if self._targets.kind == "multiclass":
            return log_softmax(z, axis=1)
        if self._targets.kind == "multilabel":
            return log_expit(z)
        return log_expit(np.concatenate([-z, z], axis=1))

    # what `fit` asks of a classifier

    def _check_y(self, y):
        y = check_array(y, accept_sparse="csr", ensure_2d=False, dtype=None, ensure_all_finite=False, input_name="y")
        if not sp.issparse(y) and (absent := missing(y)).any():
            raise ValueError(f"Input y contains NaN or None: {int(absent.sum())} labels are missing.")
        if y.dtype.kind == "f" and np.isinf(y.data).any():
            raise ValueError("Input y contains infinity.")
        return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _start_targets(self, y, classes) -> None:
        self._targets = ClassTargets(y, classes)
        self.classes_, self.n_outputs_ = self._targets.classes, self._targets.n_outputs
        self._loss = self._make_loss()

    def _make_loss(self) -> Loss:
        link = "softmax" if self._targets.kind == "multiclass" else "logistic"
        if self.out_activation not in ("auto", link):
            raise ValueError(
                f"The 'out_activation' parameter of {type(self).__name__} must be 'auto' or {link!r} for a "
                f"{self._targets.kind} target. Got {self.out_activation!r} instead."
            )
        return make_loss(self.loss, link)

    def _target_values(self, y) -> np.ndarray:
        return self._targets.codes(y)

    def _check_enough(self, values, continuing: bool) -> None:
        if self._targets.kind == "multilabel":
            return
        present = self.classes_[np.unique(values)]
        if len(present) < 2:
            raise ValueError(
                f"A classifier needs at least two classes, but y has only one class: {present.tolist()}, counting the "
                "rows of positive weight."
            )
        if continuing and len(present) < len(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                f"Previously got {self.classes_}, `y` has {present}"
            )

    def _row_weights(self, values, weight):
        return class_weights(self.class_weight, self._targets, values, weight)

    def _fit_target_scale(self, values, weight, more_to_come) -> None:
        """Class codes have no scale."""

    def _widen_target_range(self, values) -> None:
        """Classes have no range."""

    def _scaled_targets(self, values) -> list[np.ndarray]:
        return []

    def _follow_targets(self, rows, weight, layer) -> None:
        """Classes have no scale to follow."""

    def _encode_targets(self, values, dtype) -> Targets:
        return self._targets.encode(values, self.label_smoothing, dtype)

    def _strata(self, values):
        return None if self._targets.kind == "multilabel" else values

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    @classmethod
    def from_sklearn(cls, mlp):
        """Make the equivalent of a scikit-learn MLPClassifier.

        Parameters
        ----------
        mlp : sklearn.neural_network.MLPClassifier
            Fitted or not.

        Returns
        -------
        estimator : ScratchMLPClassifier
            With the same hyper-parameters and everything else switched off; of a fitted one, with the same
            weights, predictions and curves.
        """
        return conversion.from_sklearn(cls, mlp, "MLPClassifier")


@dataclass(kw_only=True, eq=False, repr=False)
class ScratchMLPRegressor(RegressorMixin, ScratchMLP):  # noqa: D101
    __doc__ = REGRESSOR

    loss: Any = hyper("squared_error", rules.either(rules.choice(REGRESSION_LOSSES), rules.function))
    quantile: Any = hyper(0.5, levels_rule)
    huber_delta: float = hyper(1.35, rules.real(0, closed="neither"))
    scale_target: bool = hyper(True, rules.boolean)
    clip_target: bool = hyper(True, rules.boolean)

    @available_if(_takes_steps)
    def partial_fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None, sample_weight_val=None):
        """Go on training with one pass over the given rows.

        Each call is an epoch: on a schedule with an end the rate falls over `max_iter` calls and then begins anew. If
        their number is known, make it `max_iter`; else `learning_rate='constant'` suits a stream better.

        Parameters
        ----------
        X, y, sample_weight, X_val, y_val, sample_weight_val
            As in `fit`. With `X_val` the weights of the best call so far are those that predict.

        Returns
        -------
        self : object
            The estimator, one epoch further.

        Notes
        -----
        The first call settles what the inputs are: the categories (those that occur, and those that a column's type
        declares), the columns that may be missing, the number of bins. What dense columns of numbers and the targets
        are scaled by, and where bins lie, follows the stream: it is learned anew, from a sample of all rows so far,
        each time that half as many more have gone by. The weights change with it, to predict much as before, and the
        search for the best call begins anew. A chunk that comes again, in another pass over a table, changes nothing.

        To stop a stream early, give `X_val` in some calls, such as the last of each pass over a table, until
        ``len(model.loss_curve_) - model.best_iteration_``, the calls since the best one, are too many.
        """
        return self._partial_fit(X, y, sample_weight, (X_val, y_val, sample_weight_val))

    def predict(self, X, return_std=False):
        """Predict numbers, in the units of the y that was fitted.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether to return the spread over the members as well.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            A column for each of several targets or quantiles.
        y_std : ndarray of the same shape
            With `return_std`, the standard deviation over what the members predict, each for itself and before it is
            held to the range of y: how much the networks disagree, in the units of y, and so where rows like these were
            rare in training. The noise of y is not in it (for that there is `loss='quantile'`). 0 with one member.
        """
        z = self._scores(X, pooled=not return_std)
        y = self._in_units(z.mean(axis=0) if return_std else z, self.clip_target)
        return (y, self._in_units(z, clip=False).std(axis=0)) if return_std else y

    def _in_units(self, z: np.ndarray, clip: bool) -> np.ndarray:
        """Predictions (..., n) or (..., n, out) for raw scores (..., n, out)."""
        y = self._numbers.decode(self._loss.link.apply(z), clip)
        return y[..., 0] if y.shape[-1] == 1 else y

    def score(self, X, y, sample_weight=None):
        """Coefficient of determination R²; with several quantiles, their mean D² pinball score.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
            1 is perfect, 0 is as good as a constant.
        """
        if self.loss != "quantile" or np.ndim(self.quantile) == 0 or np.size(self.quantile) == 1:
            return super().score(X, y, sample_weight)
        from sklearn.metrics import d2_pinball_score

        columns = zip(self.quantile, self.predict(X).T, strict=True)
        return float(np.mean([d2_pinball_score(y, p, sample_weight=sample_weight, alpha=q) for q, p in columns]))

    # what `fit` asks of a regressor

    def _check_y(self, y):
        refuse_times(y, "y")
        try:
            y = check_array(y, ensure_2d=False, dtype=np.float64, input_name="y")
        except ValueError as error:
            if "convert" not in str(error):
                raise
            raise ValueError(f"y must be numbers for a regressor, and holds text: {error}") from error
        return column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _start_targets(self, y, classes) -> None:
        self._n_targets = 1 if y.ndim == 1 else y.shape[1]
        self._loss = self._make_loss()
        self.n_outputs_ = self._n_targets * self._loss.n_scores

    def _make_loss(self) -> Loss:
        options: dict[str, Any] = {}
        if self.loss == "huber":
            options["huber_delta"] = self.huber_delta
        if self.loss == "quantile":
            options["quantile"] = np.atleast_1d(self.quantile)
            if len(options["quantile"]) > 1 and (
                self._n_targets > 1 or self.out_activation not in ("auto", "identity")
            ):
                raise ValueError(
                    "Several quantiles are of one target and have no out_activation. Got y of "
                    f"{self._n_targets} columns and out_activation={self.out_activation!r}; fit one regressor a "
                    "column (sklearn.multioutput) or ask for one quantile."
                )
        loss = make_loss(self.loss, None if self.out_activation == "auto" else self.out_activation, **options)
        if self.out_activation == "softmax" or (loss.canonical and loss.link.name != "exp"):
            raise ValueError(
                f"The 'out_activation' parameter of {type(self).__name__} cannot be {self.out_activation!r} with "
                f"loss={self.loss!r}: " + ("it ends in 'exp'." if loss.canonical else "it is for classes.")
            )
        return loss

    def _target_values(self, y) -> np.ndarray:
        y = y[:, None] if y.ndim == 1 else y
        if y.shape[1] != self._n_targets:
            raise ValueError(f"y must have {self._n_targets} columns, as in the first call. Got {y.shape[1]}.")
        lowest, allowed = self._loss.min_target, self._loss.min_target_allowed
        if y.min() < lowest or (y.min() == lowest and not allowed):
            raise ValueError(
                f"loss={self.loss!r} needs every y {'>=' if allowed else '>'} {lowest}; the smallest is {y.min()}."
            )
        link = self._loss.link
        if y.min() < link.low or y.max() > link.high:
            raise ValueError(
                f"out_activation={link.name!r} gives values from {link.low} to {link.high}, but y lies between "
                f"{y.min()} and {y.max()}: scale y, or choose another out_activation."
            )
        return y

    def _check_enough(self, values, continuing: bool) -> None:
        """One number is enough."""

    def _row_weights(self, values, weight):
        return weight

    def _fit_target_scale(self, values, weight, more_to_come) -> None:
        self._numbers = NumberTargets(values, weight, self._loss, self.scale_target, more_to_come)

    def _widen_target_range(self, values) -> None:
        self._numbers = self._numbers.widened(values)

    def _scaled_targets(self, values) -> list[np.ndarray]:
        return list(values.T) if self.scale_target else []

    def _follow_targets(self, rows, weight, layer) -> None:
        before, self._numbers = self._numbers, self._numbers.following(rows, weight, self._loss)
        before.carry(self._numbers, self._loss, layer)

    def _encode_targets(self, values, dtype) -> Targets:
        return self._numbers.encode(values, dtype)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = self.loss in ("poisson", "gamma")
        return tags

    @classmethod
    def from_sklearn(cls, mlp):
        """Make the equivalent of a scikit-learn MLPRegressor.

        Parameters
        ----------
        mlp : sklearn.neural_network.MLPRegressor
            Fitted or not.

        Returns
        -------
        estimator : ScratchMLPRegressor
            With the same hyper-parameters and everything else switched off; of a fitted one, with the same
            weights, predictions and curves.
        """
        return conversion.from_sklearn(cls, mlp, "MLPRegressor")
