"""ScratchMLPRegressor: what is specific to a regressor."""

from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias, get_args, overload

import numpy as np

from ..encoding.numeric_targets import NumericTargets
from ..encoding.values import from_arrow
from ..encoding.weights import in_own_unit
from ..nn.losses import Loss, Quantile, make_loss
from ..nn.tape import Array
from ..training.fit import FitResult
from . import constraints as c
from .base import ScratchMLP, takes_steps
from .check import Inputs
from .conformal import Conformity, check_coverage, interval, interval_conformity
from .constraints import boolean, choice, either, function, parameter, real
from .docstrings import documented
from .fitted import FittedNetwork
from .from_sklearn import from_sklearn
from .hints import hinted, with_hints
from .sklearn_types import RegressorMixin, available_if

__all__ = ["RegressionLoss", "ScratchMLPRegressor"]

RegressionLoss: TypeAlias = Literal["squared_error", "absolute_error", "huber", "poisson", "gamma", "quantile"]


@documented(
    example="""
        >>> from sklearn.datasets import load_diabetes
        >>> from sklearn.model_selection import cross_val_score
        >>> from skscratch import ScratchMLPRegressor
        >>> X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
        >>> float(cross_val_score(ScratchMLPRegressor(random_state=0), X, y).mean()) > 0.4
        True
    """,
)
@with_hints
@dataclass(kw_only=True, eq=False, repr=False)
class ScratchMLPRegressor(RegressorMixin, ScratchMLP):
    """Neural network regressor for tables: numbers in any units, categories, missing values."""

    loss: RegressionLoss | c.CustomLoss = parameter(
        "squared_error",
        either(choice(get_args(RegressionLoss)), function),
        "loss",
        """Loss function: {choices}; or a callable. 'squared_error' is ½ (p - y)², averaged over the rows. 'poisson' and
        'gamma' are for counts and positive targets, and their predictions pass through exp. A callable receives scaled
        targets and raw scores, both (n, n_outputs), and returns the loss of each row (n,) and its gradient with respect
        to the raw scores.""",
        frozen="loss",
        sklearn="Six losses or your own; scikit-learn has squared error and Poisson.",
    )
    quantile: c.QuantileLevels = parameter(
        0.5,
        c.quantile_levels,
        "loss",
        """Quantile that the loss 'quantile' predicts. Several give one column each, and the columns never cross.""",
        frozen="loss",
        sklearn="New: one quantile, or several that never cross.",
    )
    huber_delta: float = parameter(
        1.35,
        real(0, closed="neither"),
        "loss",
        "Residual, in units of the target's scale, beyond which the loss 'huber' is linear.",
        frozen="loss",
        sklearn="New: belongs to the Huber loss.",
    )
    scale_target: bool = parameter(
        True,
        boolean,
        "table",
        """Whether y is centered and scaled for training, as the loss requires: by mean and standard deviation for
        squared error, by median and interquartile range for losses that are robust to outliers. Predictions are in the
        units of y.""",
        frozen="network",
        sklearn="New: the target is scaled; scikit-learn uses it as given.",
    )
    clip_target: bool = parameter(
        True,
        boolean,
        "table",
        """Whether predictions are clipped to the range of the y seen in training, over all calls of a continued
        training. A training that begins with `partial_fit` has no range. False alone does not make the model
        extrapolate: see `scale_features`.""",
        sklearn="New: predictions stay within the range of the training targets.",
    )

    _target_type = NumericTargets

    @available_if(takes_steps)
    @hinted
    def partial_fit(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
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

        Returns
        -------
        self : object
            The estimator.

        Notes
        -----
        The first call determines the inputs: the categories (those that occur, and those that a column's type
        declares), the columns that may have missing values, and the number of bins. The scaling of dense number
        columns and of the targets and the edges of the bins follow the stream. They are learned again from a sample of
        all rows so far, each time that the number of rows has grown by half. The weights are adapted such that
        predictions hardly change, and the search for the best call restarts. A chunk that comes again, in another pass
        over a table, changes nothing.

        To stop a stream early, pass `X_val` in some calls, such as the last of each pass over a table, until
        ``len(model.loss_curve_) - model.best_iteration_``, the number of calls since the best one, is too large.
        """
        return self._partial_fit(Inputs(X, y, sample_weight, X_val, y_val, sample_weight_val))

    @overload
    def predict(self, X: Any, return_std: Literal[False] = ...) -> Array: ...

    @overload
    def predict(self, X: Any, return_std: Literal[True]) -> tuple[Array, Array]: ...

    def predict(self, X: Any, return_std: bool = False) -> Array | tuple[Array, Array]:
        """Predict numbers, in the units of the y that was fitted.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        return_std : bool, default=False
            Whether to return the standard deviation over the members as well.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            One column for each of several targets or quantiles.
        y_std : ndarray of the same shape
            With `return_std`, the standard deviation over the predictions of the single members, before they are
            clipped to the range of y. It measures how much the networks disagree, in the units of y, and is large where
            similar rows were rare in training. It does not include the noise of y (use `predict_interval` for that).
            It is 0 for a single member.
        """
        model, z = self._raw_scores(X, pooled=not return_std)
        y = _in_units(model, z.mean(axis=0) if return_std else z, self.clip_target)
        if not return_std:
            return y
        of_members = _in_units(model, z, clip=False)
        exponent = _exponents(of_members)
        return y, np.ldexp(np.ldexp(of_members, -exponent).std(axis=0), exponent)

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """Predict intervals that hold y with a given probability, from the out-of-fold residuals of the fit.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        coverage : float, default=0.9
            Share of new rows whose y lies in its interval, of each output by itself. It holds on average over rows like
            those of training, not for every kind of row.

        Returns
        -------
        interval : ndarray of shape (n_samples, 2) or (n_samples, n_outputs, 2)
            Lower and upper bound, in the units of y. They are infinite where the rows are too few: fewer than
            ``coverage / (1 - coverage)``, 9 for a coverage of 0.9 and 99 for 0.99 (twice as many plus one for a single
            quantile).

        Raises
        ------
        ValueError
            If `coverage` is not between 0 and 1, or if the last fit has no scores of rows that members have not seen:
            with a single member, without early stopping, with 'lbfgs', after `partial_fit` and `from_sklearn`. `X_val`
            provides them as well.

        Notes
        -----
        The half-width is a quantile of the absolute out-of-fold residuals. If it narrows the intervals of the training
        rows by 2 %, each residual is divided by the usual one at its prediction: intervals of large predictions are
        then wider, or narrower. The spread over the members is no such divisor: those that have seen a row agree better
        on it than on new rows. For noise that depends on X in another way, fit quantiles: the lowest and the highest of
        several are moved outwards or inwards (conformalised quantile regression [2]_). For a single quantile, each
        bound is a quantile of the signed residuals. With sample weights the quantiles are weighted, and a new row
        counts as one of mean weight. Of long tables a summary of the residuals is kept, which makes `coverage` at most
        ``0.02 * (1 - coverage)`` higher; of more than 2**20 rows, 2**20 are scored.

        How far the coverage is guaranteed, whatever the distribution of the rows:

        - with separate validation rows (`X_val`, or `early_stopping=True`), at least `coverage` on average (split
          conformal prediction), and with ``refit=0`` at least ``1 - 2 * (1 - coverage)``, less a term of order
          ``n ** -0.5`` (CV+, [1]_, theorem 4), and about `coverage` in practice. Both hold up to the choice of the
          epoch and of the divisor, which uses the same rows;
        - with the default ``refit``, none for finite samples: all members have seen all rows. The interval is around
          `predict`, with the residuals of networks that were trained on fewer rows and not averaged. In simulations
          at 0.9, its mean coverage is 0.89 to 0.94 (with quantiles 0.88 to 0.94), lowest for 50 rows. With ``refit=0``
          it is 0.89 to 0.96.

        References
        ----------
        .. [1] Barber, Candès, Ramdas & Tibshirani (2021), "Predictive inference with the jackknife+".
        .. [2] Romano, Patterson & Candès (2019), "Conformalized quantile regression".
        """
        coverage = check_coverage(coverage)
        model, conformity, z = self._scores_by_group(X)
        targets, loss = model.targets, model.loss
        assert isinstance(targets, NumericTargets)
        bounds = interval(conformity, *_band(model, z, self.clip_target), coverage)
        bounds = np.clip(bounds, max(loss.min_target, loss.link.low), loss.link.high)
        y = np.moveaxis(targets.decode(np.moveaxis(bounds, -1, 0)), 0, -1)
        y = np.where(np.isinf(bounds), bounds, y)
        return y[:, 0] if y.shape[1] == 1 else y

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the coefficient of determination R²; for several quantiles, their mean D² pinball score.

        Parameters
        ----------
        X : DataFrame, array-like or sparse matrix of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        score : float
            1 is perfect; 0 is as good as a constant.
        """
        from sklearn.metrics import d2_pinball_score, r2_score

        quantiles: Any = self.quantile
        p, y, sample_weight = self.predict(X), from_arrow(y), in_own_unit(sample_weight)
        if self.loss != "quantile" or np.ndim(quantiles) == 0 or np.size(quantiles) == 1:
            y, p = _in_common_unit(y, p)
            return float(r2_score(y, p, sample_weight=sample_weight))
        scores = []
        for level, column in zip(quantiles, p.T, strict=True):
            y_in_unit, column = _in_common_unit(y, column)
            scores.append(d2_pinball_score(y_in_unit, column, sample_weight=sample_weight, alpha=level))
        return float(np.mean(scores))

    def _make_targets(self, y: Array, classes: Any, before: Any) -> NumericTargets:
        return NumericTargets(1 if y.ndim == 1 else y.shape[1], self.scale_target) if before is None else before

    def _make_loss(self, targets: NumericTargets) -> Loss:
        options: dict[str, Any] = {}
        if self.loss == "huber":
            options["huber_delta"] = self.huber_delta
        if self.loss == "quantile":
            options["quantile"] = np.atleast_1d(self.quantile)
            several = len(options["quantile"]) > 1
            if several and (targets.n_targets > 1 or self.out_activation not in ("auto", "identity")):
                raise ValueError(
                    "Several quantiles are supported for one target only, and without out_activation. Got y of "
                    f"{targets.n_targets} columns and out_activation={self.out_activation!r}; fit one regressor per "
                    "column (sklearn.multioutput) or predict one quantile."
                )
        loss = make_loss(self.loss, None if self.out_activation == "auto" else self.out_activation, **options)
        if self.out_activation == "softmax" or (loss.canonical and loss.link.name != "exp"):
            raise ValueError(
                f"The 'out_activation' parameter of {type(self).__name__} cannot be {self.out_activation!r} with "
                f"loss={self.loss!r}: " + ("its output is 'exp'." if loss.canonical else "it is for classes.")
            )
        return loss

    def _conformity(self, result: FitResult, values: Array, weight: Array | None, folds: Array | None) -> Conformity:
        assert result.scores is not None
        by_fold, loss = folds is not None and not result.refitted, self.fitted_.loss
        y = self.fitted_.targets.encode(values, np.float64).values
        signed = isinstance(loss, Quantile) and loss.n_scores == 1
        return interval_conformity(
            y, *_band(self.fitted_, result.scores, self.clip_target), weight, folds, by_fold, signed
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.positive_only = self.loss in ("poisson", "gamma")
        return tags

    @classmethod
    def from_sklearn(cls, mlp: Any) -> Self:
        """Make the equivalent of a scikit-learn MLPRegressor.

        Parameters
        ----------
        mlp : sklearn.neural_network.MLPRegressor
            Fitted or not.

        Returns
        -------
        estimator : ScratchMLPRegressor
            With the same hyper-parameters and everything else switched off; for a fitted `mlp`, with the same weights,
            predictions and curves.
        """
        return from_sklearn(cls, mlp, "MLPRegressor")


def _in_units(model: FittedNetwork, z: Array, clip: bool) -> Array:
    """Return predictions (..., n) or (..., n, out) for raw scores (..., n, out)."""
    assert isinstance(model.targets, NumericTargets)
    with np.errstate(all="ignore"):
        y = model.targets.decode(model.loss.link.apply(z), clip)
    return y[..., 0] if y.shape[-1] == 1 else y


def _band(model: FittedNetwork, z: Array, clip: bool) -> tuple[Array, Array]:
    """Return the lowest and the highest prediction (..., n_targets) for raw scores (..., out), in the network's units.

    They are the same unless the network predicts several quantiles.
    """
    assert isinstance(model.targets, NumericTargets)
    with np.errstate(all="ignore"):
        p = model.loss.link.apply(z).astype(np.float64)
        if clip:
            p = model.targets.encode(model.targets.decode(p, clip), np.float64).values
    return (p, p) if model.loss.n_scores == 1 else (p[..., :1], p[..., -1:])


def _exponents(values: Array) -> Array:
    """Return the exponents of two of the largest magnitudes of each column of `values` (..., out), and of all of (n,).

    In units of these powers, squares neither overflow nor vanish, and the change of units is exact.
    """
    axes = tuple(range(values.ndim - 1)) if values.ndim > 1 else None
    return np.asarray(np.frexp(np.max(np.abs(values), axis=axes, initial=0.0))[1])


def _in_common_unit(y: Any, p: Array) -> tuple[Any, Array]:
    """Return targets and predictions in a unit in which their squares are finite, for scores that have no unit."""
    try:
        numbers = np.asarray(y, dtype=np.float64)
    except OverflowError as error:
        raise ValueError(f"Input y contains a number too large for float64: {error}.") from error
    except (TypeError, ValueError):  # the score says what is wrong
        return y, p
    if numbers.shape != p.shape or not np.isfinite(numbers).all():
        return y, p
    exponent = np.maximum(_exponents(numbers), _exponents(p))
    return np.ldexp(numbers, -exponent), np.ldexp(p, -exponent)
