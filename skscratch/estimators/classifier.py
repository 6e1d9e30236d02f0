"""ScratchMLPClassifier: what is specific to a classifier."""

from dataclasses import dataclass, replace
from typing import Any, Literal, Self, TypeAlias, get_args

import numpy as np

from ..encoding.class_targets import ClassTargets, class_targets
from ..encoding.values import from_arrow
from ..encoding.weights import in_own_unit
from ..nn.losses import Loss, make_loss
from ..nn.tape import Array
from ..training.fit import FitResult
from . import constraints as c
from .base import ScratchMLP, takes_steps
from .check import Inputs
from .conformal import Conformity, check_coverage, prediction_set, set_conformity
from .constraints import choice, either, function, parameter, real
from .docstrings import Attribute, documented
from .fitted import FittedNetwork
from .from_sklearn import from_sklearn
from .hints import hinted, with_hints
from .sklearn_types import ClassifierMixin, available_if

__all__ = ["CLASSES", "ClassificationLoss", "ScratchMLPClassifier"]

ClassificationLoss: TypeAlias = Literal["log_loss", "squared_error"]
CLASSES = Attribute("classes_", "ndarray of shape (n_classes,)", "Class labels.")


@documented(
    attributes=[CLASSES],
    example="""
        >>> from sklearn.datasets import load_breast_cancer
        >>> from sklearn.model_selection import train_test_split
        >>> from skscratch import ScratchMLPClassifier
        >>> X, y = load_breast_cancer(return_X_y=True, as_frame=True)
        >>> X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
        >>> model = ScratchMLPClassifier(random_state=0).fit(X_train, y_train)
        >>> model.score(X_test, y_test) > 0.93
        True
    """,
)
@with_hints
@dataclass(kw_only=True, eq=False, repr=False)
class ScratchMLPClassifier(ClassifierMixin, ScratchMLP):
    """Neural network classifier for tables: numbers in any units, categories, missing values."""

    loss: ClassificationLoss | c.CustomLoss = parameter(
        "log_loss",
        either(choice(get_args(ClassificationLoss)), function),
        "loss",
        """Cross-entropy, or ½ (p - y)² of the probabilities. A callable receives targets and raw scores, both
        (n, n_outputs), and returns the loss of each row (n,) and its gradient with respect to the raw scores.""",
        frozen="loss",
        sklearn="New: also the squared error of the probabilities, or your own.",
    )
    class_weight: c.ClassWeights = parameter(
        None,
        c.class_weights,
        "loss",
        """Weight of each class, which multiplies `sample_weight`. 'balanced' gives all classes the same total weight. A
        list contains a dictionary for each label of a multilabel target.""",
        sklearn="New: as in other classifiers of scikit-learn.",
    )
    label_smoothing: float = parameter(
        0.0,
        real(0, 1),
        "loss",
        "Fraction of each target that is spread evenly over all classes.",
        sklearn="New: smooths the targets.",
    )

    _target_type = ClassTargets

    @available_if(takes_steps)
    @hinted
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        classes: Any = None,
        *,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ) -> Self:
        """Continue training with one pass over the given rows.

        Each call is one epoch. On a schedule with an end the learning rate falls over `max_iter` calls and then starts
        again. If the number of calls is known, set `max_iter` to it; otherwise `learning_rate='constant'` suits a
        stream better.

        Parameters
        ----------
        X, y, sample_weight, X_val, y_val, sample_weight_val
            As in `fit`. With `X_val`, the weights of the best call so far are used for prediction.
        classes : array-like of shape (n_classes,), default=None
            All classes that will ever occur; required in the first call.

        Returns
        -------
        self : object
            The estimator.

        Notes
        -----
        The first call determines the inputs: the categories (those that occur, and those that a column's type
        declares), the columns that may have missing values, and the number of bins. The scaling of dense number
        columns and the edges of the bins follow the stream. They are learned again from a sample of all rows so far,
        each time that the number of rows has grown by half. The weights are adapted such that predictions hardly
        change, and the search for the best call restarts. A chunk that comes again, in another pass over a table,
        changes nothing.

        To stop a stream early, pass `X_val` in some calls, such as the last of each pass over a table, until
        ``len(model.loss_curve_) - model.best_iteration_``, the number of calls since the best one, is too large.
        """
        if self.__sklearn_is_fitted__():
            if classes is not None and not np.array_equal(np.unique(classes), self.classes_):
                raise ValueError(f"`classes` {classes} is not the same as on the last call: {self.classes_}.")
        elif classes is None and np.ndim(y) == 1:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        return self._partial_fit(Inputs(X, y, sample_weight, X_val, y_val, sample_weight_val), classes)

    def decision_function(self, X: Any) -> Array:
        """Return raw scores: a positive one means the second class, or the label; of several, the largest wins.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        scores : ndarray of shape (n_samples,) for one or two classes, otherwise `(n_samples, n_outputs_)`
            The mean over the members, divided by the temperature. The scores of a single class say nothing.
        """
        model, z = self._raw_scores(X)
        return z[:, 0] if z.shape[1] == 1 and _targets(model).kind != "multilabel" else z

    def predict(self, X: Any) -> Array:
        """Predict class labels.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        y : ndarray of shape (n_samples,), or `(n_samples, n_outputs_)` for a multilabel target
        """
        model, z = self._raw_scores(X)
        return _targets(model).decode(z)

    def predict_proba(self, X: Any) -> Array:
        """Predict class probabilities.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        p : ndarray of shape (n_samples, n_classes)
            In the order of `classes_`; for a multilabel target, the probability of each label.
        """
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: Any) -> Array:
        """Predict the logarithms of class probabilities, which are finite however confident the network is.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)

        Returns
        -------
        log_p : ndarray of shape (n_samples, n_classes)
        """
        model, z = self._raw_scores(X)
        return _targets(model).log_proba(z)

    def predict_set(self, X: Any, coverage: float = 0.9) -> Array:
        """Predict the set of classes that holds the true one with a given probability, from out-of-fold probabilities.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        coverage : float, default=0.9
            Share of new rows whose class is in its set. It holds on average over rows like those of training, not for
            every class.

        Returns
        -------
        chosen : ndarray of bool, shape (n_samples, n_classes)
            Whether each class of `classes_` is in the set. The most probable one always is, so that the coverage of an
            accurate classifier is higher than asked for. All classes are where the rows are too few: fewer than
            ``coverage / (1 - coverage)``.

        Raises
        ------
        ValueError
            If `coverage` is not between 0 and 1, for a multilabel target, or if the last fit has no scores of rows that
            members have not seen: see `ScratchMLPRegressor.predict_interval`.

        Notes
        -----
        A class is in the set if its probability is not lower than that of the true class in all but a share of
        ``1 - coverage`` of the rows (LAC, [1]_, which has the smallest sets on average). With sample weights, and
        class weights, this share is weighted, and a new row counts as one of mean weight. The guarantees are those of
        `ScratchMLPRegressor.predict_interval`, up to the choice of the epoch and the temperature. In simulations at
        0.9 the mean coverage is 0.89 to 0.91.

        References
        ----------
        .. [1] Sadinle, Lei & Wasserman (2019), "Least ambiguous set-valued classifiers with bounded error levels".
        """
        coverage = check_coverage(coverage)
        model, conformity, z = self._scores_by_group(X)
        log_p = np.stack([_targets(model).log_proba(of_group) for of_group in z.astype(np.float64)])
        return prediction_set(conformity, log_p, coverage)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy: the share of the rows whose label, or whose whole set of labels, is right.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
        """
        return float(super().score(X, from_arrow(y), in_own_unit(sample_weight)))

    def _make_targets(self, y: Any, classes: Any, before: Any) -> ClassTargets:
        options: dict[str, Any] = {"class_weight": self.class_weight, "label_smoothing": self.label_smoothing}
        return class_targets(y, classes, **options) if before is None else replace(before, **options)

    def _make_loss(self, targets: ClassTargets) -> Loss:
        if self.monotonic_cst is not None and (targets.kind == "multilabel" or len(targets.classes) > 2):
            raise ValueError(
                f"monotonic_cst: monotonic constraints are not supported for {targets.kind} classification."
            )
        fits_any = len(targets.classes) == 1 and self.out_activation == "logistic"  # of two classes, in another fold
        if self.out_activation not in ("auto", targets.link) and not fits_any:
            raise ValueError(
                f"The 'out_activation' parameter of {type(self).__name__} must be 'auto' or {targets.link!r} for a "
                f"{targets.kind} target. Got {self.out_activation!r} instead."
            )
        return make_loss(self.loss, targets.link)

    def _conformity(
        self, result: FitResult, values: Array, weight: Array | None, folds: Array | None
    ) -> Conformity | None:
        assert result.scores is not None
        targets = _targets(self.fitted_)
        if targets.kind == "multilabel":
            return None
        by_fold = folds is not None and not result.refitted
        assert result.validated is not None
        # new rows are compared with these scores, so that both have the temperature of predictions
        z = result.scores.astype(np.float64) * (result.validated.temperature / result.temperature)
        return set_conformity(targets.log_proba(z), values, weight, folds, by_fold)

    def _keep_structure(self, model: FittedNetwork) -> None:
        super()._keep_structure(model)
        self.classes_: Array = _targets(model).classes

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    @classmethod
    def from_sklearn(cls, mlp: Any) -> Self:
        """Make the equivalent of a scikit-learn MLPClassifier.

        Parameters
        ----------
        mlp : sklearn.neural_network.MLPClassifier
            Fitted or not.

        Returns
        -------
        estimator : ScratchMLPClassifier
            With the same hyper-parameters and everything else switched off; for a fitted `mlp`, with the same weights,
            predictions and curves.
        """
        return from_sklearn(cls, mlp, "MLPClassifier")


def _targets(model: FittedNetwork) -> ClassTargets:
    assert isinstance(model.targets, ClassTargets)
    return model.targets
