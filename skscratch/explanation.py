"""Additive explanations of predictions, one number for each column of X, by expected gradients.

A prediction is compared with those of background rows.  On the straight line from a background row b to the row x, the
gradient of the raw score times x - b, integrated, divides the difference of both scores among the inputs (integrated
gradients, Sundararajan et al. 2017); the mean over the background rows are expected gradients (Erion et al. 2021).  The
line runs in the encoded table, where categories and missing values are numbers: the parts of all encoded columns of a
raw column are added up.  In the output h of the first layer it is a straight line too, so that only the layers behind h
run at each point of it (`nn.split`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.frozen import FrozenEstimator

from .encoding.class_targets import ClassTargets, MultilabelTargets
from .encoding.numeric_targets import NumericTargets
from .estimators.base import ScratchMLP
from .estimators.check import table_to_predict
from .estimators.fitted import FittedNetwork
from .inspection import find_network, names_of_features
from .nn.split import SplitNetwork
from .nn.tape import Array, Tape
from .training.threads import training_context

__all__ = ["Explanation", "explain"]

N_POINTS = 6  # of the Gauss-Legendre rule on each line
PAIRS = 1024  # of a row and a background row that are computed at a time


@dataclass(frozen=True)
class Explanation:
    """Contributions of the columns of X to raw scores or predictions: ``base_values + values.sum(axis=1)`` are these.

    Attributes
    ----------
    values : ndarray of shape (n_samples, n_features) or (n_samples, n_features, n_outputs)
        Contribution of each column.
    base_values : float or ndarray of shape (n_outputs,)
        Mean over the background rows.
    data : DataFrame or ndarray of shape (n_samples, n_features)
        The rows, as they were passed.
    feature_names : list of str
    output_names : list of str
        Names of the classes, labels or targets.
    """

    values: Array
    base_values: Any
    data: Any
    feature_names: list[str]
    output_names: list[str]

    def to_shap(self) -> Any:
        """Return a `shap.Explanation`, which the plots of shap take; ImportError if shap is not installed."""
        try:
            import shap
        except ImportError as error:
            raise ImportError('to_shap needs shap: pip install "skscratch[shap]"') from error
        base = np.broadcast_to(self.base_values, (len(self.values), *self.values.shape[2:])).copy()
        data = self.data.to_numpy() if hasattr(self.data, "to_numpy") else np.asarray(self.data)
        several = self.values.ndim == 3
        names: dict[str, Any] = {"output_names": self.output_names} if several else {}
        return shap.Explanation(self.values, base, data, feature_names=self.feature_names, **names)


def explain(estimator: Any, X: Any, background: Any = None, *, max_background: int = 100) -> Explanation:
    """Explain predictions by the contribution of each column of X.

    For a classifier these add up to `decision_function`, the raw scores, which are logarithms of odds for two classes
    or for labels, and of probabilities up to a constant for more classes.  For a regressor they add up to `predict`
    with ``clip_target=False``, in the units of y; where an output activation follows the raw scores, as with the losses
    'poisson' and 'gamma', to the raw scores, which are logarithms of predictions there, up to a constant.

    Parameters
    ----------
    estimator : estimator
        A fitted ScratchMLPClassifier or ScratchMLPRegressor; or a fitted Pipeline or search with one as its last step,
        whose inputs are then explained: the columns that the steps before it give.
    X : DataFrame or array-like of shape (n_samples, n_features)
        Rows to explain.
    background : DataFrame or array-like of shape (n_background, n_features), default=None
        Rows to compare with, such as training rows; None for `X` itself.
    max_background : int, default=100
        Number of background rows in use, at most. Of more rows, a sample is drawn, the same each time.

    Returns
    -------
    explanation : Explanation

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it contains no network of this package, if it changes the network's predictions, or if a table is sparse or a
        Dask collection.
    ValueError
        If the columns are not those of `fit`.

    Notes
    -----
    The integral along each line is a sum over six points (Gauss-Legendre).  What is missing in the sum of a row's
    values, mostly less than a thousandth of it, is added to them in proportion to their absolute values, so that they
    are additive up to rounding.  Expected gradients are Aumann-Shapley values: for an additive model they equal Shapley
    values, and they share an interaction among its columns by a similar rule.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skscratch import ScratchMLPRegressor, explain
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    >>> model = ScratchMLPRegressor(clip_target=False, random_state=0).fit(X, y)
    >>> explanation = explain(model, X[:5], X)
    >>> explanation.values.shape
    (5, 10)
    >>> total = explanation.base_values + explanation.values.sum(axis=1)
    >>> bool(abs(total - model.predict(X[:5])).max() < 1e-3)
    True
    """
    if max_background < 1:
        raise ValueError(f"max_background must be at least 1. Got {max_background!r} instead.")
    chain = find_network(estimator)
    model: ScratchMLP = chain[-1]
    fitted = model.fitted_
    given = {"X": X} if background is None else {"X": X, "background": background}
    tables = {name: _transformed(chain, table, name) for name, table in given.items()}
    X = tables["X"]
    checked = {name: table_to_predict(model, table) for name, table in tables.items()}
    for name, table in checked.items():
        _refuse_sparse(table, name)
    rows: Any = checked["X"]
    others: Any = checked.get("background", rows)
    chosen = np.random.default_rng(0).permutation(others.shape[0])[:max_background]
    with training_context():
        values, base = _expected_gradients(fitted, rows, others[chosen])
    names, outputs = names_of_features(chain), _output_names(model)
    if values.shape[2] == 1:
        return Explanation(values[..., 0], float(base[0]), X, names, outputs)
    return Explanation(values, base, X, names, outputs)


def _refuse_sparse(table: Any, name: str) -> None:
    """Raise TypeError for a sparse table."""
    if sp.issparse(table):
        raise TypeError(f"{name} is sparse, and explanations are dense: pass some of its rows, {name}[:100].toarray().")


def _transformed(chain: list[Any], table: Any, name: str) -> Any:
    """Return the rows as the network gets them behind the steps of pipelines; raise TypeError for other estimators."""
    if hasattr(table, "__dask_graph__"):
        raise TypeError(f"{name} is a Dask collection: pass some of its rows in memory, by compute().")
    for outer, inner in zip(chain[:-1], chain[1:], strict=True):
        steps = [step for _, step in getattr(outer, "steps", [])]
        if steps and steps[-1] is inner:
            table = outer[:-1].transform(table) if len(steps) > 1 else table
        elif not isinstance(outer, FrozenEstimator) and inner is not getattr(outer, "best_estimator_", None):
            raise TypeError(f"A {type(outer).__name__} does more than the network in it: explain that network alone.")
    return table


# ------------------------------------------------------- expected gradients


def _expected_gradients(fitted: FittedNetwork, rows: Any, others: Any) -> tuple[Array, Array]:
    """Return contributions (n, d, out), and the mean score of the background rows (out,), both in double precision."""
    n, n_columns = rows.shape
    unit = _Unit(fitted)
    total, base = unit.of(fitted.raw_scores(rows)), unit.of(fitted.raw_scores(others)).mean(axis=0)
    gradients = _Gradients(fitted, unit, others, n_columns)
    values = np.empty((n, n_columns, total.shape[1]))
    size = max(PAIRS // others.shape[0], 1)
    for start in range(0, n, size):
        chunk = slice(start, min(start + size, n))
        values[chunk] = gradients.contributions(rows[chunk])
    return _made_additive(values, total - base), base


class _Unit:
    """What is explained: raw scores, or predictions in the units of y where these are the scores of a regressor."""

    def __init__(self, fitted: FittedNetwork):
        self._link, self._targets = fitted.loss.link, fitted.targets
        self._factor: Any = 1.0 / fitted.temperature
        self._predicts = isinstance(fitted.targets, NumericTargets) and self._link.target_scaling == "affine"
        if isinstance(fitted.targets, NumericTargets) and self._predicts:
            self._factor = np.broadcast_to(fitted.targets.spread, fitted.targets.n_targets)

    def of(self, z: Array) -> Array:
        """Return the scores or predictions for raw scores z / T, (n, out), in double precision."""
        if isinstance(self._targets, NumericTargets) and self._predicts:
            return np.asarray(self._targets.decode(self._link.apply(z.astype(np.float64))))
        return z.astype(np.float64)

    def slopes(self, z: Array, output: int, dz: Array) -> None:
        """Write the gradient of an output with respect to the members' raw scores z (K, B, out) into `dz`.

        The output is a function of their mean.
        """
        mean = z.mean(axis=0, keepdims=True)
        slope = np.zeros_like(mean)
        slope[..., output] = 1
        forward, backward = self._link.bind(mean, slope) if self._predicts else (Tape(), Tape())
        forward.run()
        backward.run()
        factor = np.resize(self._factor, z.shape[-1])[output] / len(z)
        dz[...] = slope * z.dtype.type(factor)


class _Gradients:
    """Expected gradients of a network, with its background rows."""

    def __init__(self, fitted: FittedNetwork, unit: _Unit, others: Any, n_columns: int):
        self._fitted, self._unit, self._n_columns = fitted, unit, n_columns
        self._network = SplitNetwork(fitted.network, fitted.parameters, fitted.encoder.sources)
        x, self._h = self._network.first_layer(fitted.encode(others))  # h (K, B, H)
        K, B, H = self._h.shape
        self._of_others = np.zeros((K, B * H, n_columns), self._h.dtype)  # contributions to h, divided by B
        for column, own in self._network.contributions(x):
            self._of_others[..., column] = np.broadcast_to(own, self._h.shape).reshape(K, -1) / B
        points, weights = np.polynomial.legendre.leggauss(N_POINTS)
        self._points = list(zip(((1 + points) / 2).tolist(), (weights / 2).tolist(), strict=True))

    def contributions(self, rows: Any) -> Array:
        """Return the contributions (n, d, out) of a few rows."""
        x, h = self._network.first_layer(self._fitted.encode(rows))
        slopes = self._mean_slopes(h)  # (out, K, n, B, H)
        out, K, n, B, H = slopes.shape
        # of each column: (mean over b of slope) · c(x) - mean over b of (slope · c(b))
        values = -(slopes.reshape(out, K, n, B * H) @ self._of_others).sum(axis=1).transpose(1, 2, 0)
        of_rows = slopes.mean(axis=3)  # (out, K, n, H)
        for column, own in self._network.contributions(x):
            values[:, column] += np.einsum("knh,oknh->no", np.broadcast_to(own, h.shape), of_rows)
        return np.asarray(values)

    def _mean_slopes(self, h: Array) -> Array:
        """Return the gradient with respect to h, a mean over the line from each background row, (out, K, n, B, H)."""
        K, n, H = h.shape
        B = self._h.shape[1]
        start, step = self._h[:, None], h[:, :, None] - self._h[:, None]  # (K, n, B, H)
        at = np.empty((K, n * B, H), h.dtype)
        slope = np.empty_like(at)
        bound = self._network.bind_rest(at, slope)
        slopes = np.zeros((self._fitted.network.n_out, K, n, B, H), h.dtype)
        for point, weight in self._points:
            at.reshape(step.shape)[...] = start + h.dtype.type(point) * step
            bound.forward.run()
            for output, total in enumerate(slopes):
                self._unit.slopes(bound.z, output, bound.dz)
                bound.backward.run()
                total += h.dtype.type(weight) * slope.reshape(step.shape)
        return slopes


def _made_additive(values: Array, difference: Array) -> Array:
    """Add what is missing in the sums of `values` (n, d, out) to `difference` (n, out), by the size of the values."""
    sizes = np.abs(values)
    largest = sizes.max(axis=1, keepdims=True, initial=0.0)
    sizes = np.divide(sizes, largest, out=np.ones_like(sizes), where=largest > 0)
    missing = difference - values.sum(axis=1)
    return np.asarray(values + missing[:, None] * (sizes / sizes.sum(axis=1, keepdims=True)))


def _output_names(model: Any) -> list[str]:
    """Return the names of what is explained: classes, labels, quantiles or targets."""
    targets, n_outputs = model.fitted_.targets, model.n_outputs_
    if isinstance(targets, ClassTargets) and not isinstance(targets, MultilabelTargets):
        return [str(name) for name in model.classes_[-n_outputs:]]
    if model.fitted_.loss.n_scores > 1:
        return [f"quantile {level:.4g}" for level in model.fitted_.loss.levels]
    name = "label" if isinstance(targets, MultilabelTargets) else "y"
    return [f"{name}{j}" for j in range(n_outputs)] if n_outputs > 1 else [name]
