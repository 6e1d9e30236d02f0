"""Evaluation: the loss, the score and the temperature of a network on rows that it was not trained on.

These rows are either separate ones or, fold by fold, the training rows themselves: K networks train together, member k
does not see fold k mod F, and each row is scored by the members that have not seen it ("out of fold").
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from weakref import proxy

import numpy as np
import scipy.sparse as sp
from scipy.optimize import brentq

from ..nn.batch import Table
from ..nn.tape import Array
from .objective import Objective
from .scored_rows import ScoredRows

__all__ = ["FEW_ROWS", "Evaluation", "assign_folds", "equal_rows", "hold_out"]

MAX_LOG_TEMPERATURE = 2.5  # temperatures lie between 0.08 and 12
FIRST_STEP = MAX_LOG_TEMPERATURE / 4  # of the search for the best one, which doubles its steps
DOUBTED_ROWS = 6.0  # the share (6 / n)² of each class counts as unknown when the temperature is chosen
FEW_ROWS = 40  # a table of so many rows is trained full-batch; a row of weight 2 is two rows there


@dataclass(frozen=True)
class Evaluation:
    """Loss, score and temperature of parameters on validation rows.

    Parameters
    ----------
    objective : Objective
        The validation rows; its weights are those of validation, (1, n).
    folds : ndarray of shape (n,), or None
        Fold of each row, which the members k with k mod F equal to it do not see; None if no member sees any row.
    calibrate : bool
        Whether a temperature divides the raw scores; for losses that are functions of raw scores.
    scorer : callable or None
        Maps scaled raw scores (n, out) to a score; None stands for minus the loss.
    n_different : int or None
        Number of different rows, for the temperature; None for the number of rows.
    """

    objective: Objective
    folds: Array | None = None
    calibrate: bool = False
    scorer: Callable[[Array], float] | None = None
    n_different: int | None = None

    def __call__(self, parameters: Array) -> tuple[float, float]:
        """Return the validation loss and the validation score of parameters (K, P)."""
        scored = self.score(parameters)
        loss, temperature = self.loss_and_temperature(scored)
        if self.scorer is None:
            return loss, -loss
        z = scored.scaled_by(temperature)
        return loss, self.scorer(z) if np.isfinite(z).all() else float("nan")

    @property
    def n_folds(self) -> int:
        """Number of folds; 1 without folds."""
        return 1 if self.folds is None else int(self.folds.max()) + 1

    def score(self, parameters: Array) -> ScoredRows:
        """Return the rows with their raw scores."""
        return self.objective.score(parameters, self.folds)

    def loss_and_temperature(self, scored: ScoredRows) -> tuple[float, float]:
        """Return the weighted mean loss of z / T and a temperature T; T = 1 without calibration.

        The loss is convex in 1 / T (Guo et al. 2017, "On calibration of modern neural networks").  T minimises it for
        targets (1 - ε) t + ε u, with uniform u and ε = (6 / n)²: scores that are right on all of few rows must not make
        those of a new row certain (Platt 1999, "Probabilistic outputs for support vector machines", section 2.2, has an
        ε of about 1 / n, which costs more where classes are far apart).  On 32 to 44 tables cut to 10, 20, 40 and 100
        rows this lowers the mean log loss from .84, .81, .77 and .60 to .73, .76, .75 and .59.
        """
        n = len(scored) if self.n_different is None else self.n_different
        share = min((DOUBTED_ROWS / max(n, 1)) ** 2, 0.5)
        pull = share * scored.pull_of_uniform_targets() if self.calibrate else 0.0
        rows = proxy(scored)  # SciPy leaves a reference cycle around `slope`, which must not keep the scores alive

        @cache  # the search asks for some values twice
        def sums_at(log_inverse_temperature: float) -> tuple[float, float, float]:
            return rows.loss_at(log_inverse_temperature)  # type: ignore[no-any-return]

        def slope(log_inverse_temperature: float) -> float:  # of the mean loss with these targets
            _, slopes, weight = sums_at(log_inverse_temperature)
            return float(slopes - pull * np.exp(log_inverse_temperature)) / float(weight)

        log_inverse = _minimum(slope) if self.calibrate else 0.0
        loss, _, weight = sums_at(log_inverse)
        return loss / weight, float(np.exp(-log_inverse))


def _minimum(slope: Callable[[float], float]) -> float:
    """Return about where a function of one minimum has it, within `MAX_LOG_TEMPERATURE` of 0, from its slope.

    The search begins at 0, near which most minima are.  The result is 0 where the slope is not finite on the way.
    """
    inner, at_inner = 0.0, slope(0.0)
    outer = math.copysign(FIRST_STEP, -at_inner)
    while at_inner:  # it is 0 for a single class: any T has the same loss
        at_outer = slope(outer)
        if not (math.isfinite(at_inner) and math.isfinite(at_outer)):
            return 0.0
        if at_inner * at_outer <= 0:
            return float(brentq(slope, inner, outer, xtol=0.02))
        if abs(outer) == MAX_LOG_TEMPERATURE:
            return outer
        inner, at_inner, outer = outer, at_outer, math.copysign(min(2 * abs(outer), MAX_LOG_TEMPERATURE), outer)
    return inner


def assign_folds(values: Array, n_folds: int, rng: np.random.RandomState) -> Array:
    """Return the fold of each row (n,), such that every fold has about the same distribution of targets.

    Parameters
    ----------
    values : ndarray of shape (n,) or (n, out)
        Class codes or numbers; rows are sorted by the first column, then by the second, ...
    n_folds : int
    rng : RandomState
    """
    n = len(values)
    columns = values.reshape(n, -1).T
    order = np.lexsort((rng.uniform(size=n), *columns[::-1]))
    folds = np.empty(n, dtype=np.intp)
    for start in range(0, n, n_folds):
        rows = order[start : start + n_folds]
        folds[rows] = rng.permutation(n_folds)[: len(rows)]
    return folds


def equal_rows(table: Table, values: Array) -> Array:
    """Return the index (n,) that equal rows share: those with the same encoded values (n, d) and the same targets."""
    X = table.X.toarray() if sp.issparse(table.X) else table.X
    columns = [values.reshape(len(values), -1), X, *([] if table.codes is None else [table.codes])]
    _, index = np.unique(np.column_stack(columns), axis=0, return_inverse=True)
    return np.asarray(index).ravel()


def hold_out(n: int, fraction: float, weight: Array | None, strata: Array | None, rng: np.random.RandomState) -> Array:
    """Return the indices of the validation rows in rising order: about `fraction` of the total weight.

    With `strata` (class codes) each class gives its share, and a class with a single row stays in training.
    """
    order = rng.permutation(n)
    weight = np.ones(n) if weight is None else weight
    held_out = np.zeros(n, dtype=bool)
    groups = [order] if strata is None else [order[strata[order] == code] for code in np.unique(strata)]
    owed = 0.0  # weight that earlier classes gave too little or too much, so that rare classes add up to their share
    for rows in groups:
        if len(rows) < 2:
            continue
        target = fraction * weight[rows].sum() + owed
        mass = np.cumsum(weight[rows])
        take = int(np.argmin(np.abs(np.append(0.0, mass) - target)))
        take = min(take, len(rows) - 1)
        held_out[rows[:take]] = True
        owed = target - (mass[take - 1] if take else 0.0)
    if (
        not held_out.any() and n > 1 and weight.min() < weight.max()
    ):  # few rows outweigh all others: then count the rows
        return hold_out(n, fraction, None, strata, rng)
    if not held_out.any():
        by_class = "" if strata is None else ", stratified by class"
        raise ValueError(
            f"The validation set would be empty: {fraction} of n_samples={n}{by_class}. Increase validation_fraction, "
            "pass X_val and y_val, or fit more rows."
        )
    return np.flatnonzero(held_out)
