"""Conformal prediction: intervals and sets from the scores of rows that a network was not trained on.

A conformity score says how badly a prediction fits its target: a residual, or minus the logarithm of the probability of
the true class.  A new row of the same kind as the n scored rows has a score of rank n or lower among them, so that the
share of scores at or above the one of a candidate y decides whether y belongs to the interval or set.  Scores of rows
in several folds, each of which other members have not seen, are compared with the predictions of those members (CV+:
Barber, Candès, Ramdas & Tibshirani 2021, "Predictive inference with the jackknife+", section 3); scores of one group
with the prediction of all members (split conformal prediction).

Everything here is a function of arrays; y and the predictions are in the units of the network.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np

from ..encoding.quantiles import weighted_quantiles
from ..nn.tape import Array

__all__ = [
    "Conformity",
    "LocalScale",
    "SortedScores",
    "check_coverage",
    "interval",
    "interval_conformity",
    "prediction_set",
    "rows_to_score",
    "set_conformity",
]

RESOLUTION = 0.02  # of the share of rows above a score, relative to it: longer tables keep no more than this tells
SCORED_ROWS = 2**20  # of a longer table; at 0.9, the standard error of the coverage of so many rows is 0.0003
TOLERANCE = 1e-9  # of a number of rows: 1 - 0.9 is a little less than 0.1
ROWS_PER_BIN = 30  # of predictions, for the local scale
MAX_BINS = 20
PRIOR_ROWS = 10  # by which a bin's mean residual is shrunk towards that of all rows
NARROWER = 0.98  # the local scale is used where it narrows the intervals of the scored rows to this share or less
CHOSEN_AT = 0.9  # coverage at which this is decided


# ---------------------------------------------------------------- scores


def rows_to_score(n: int) -> Any:
    """Return an index of the rows that are scored: all, or a random one from each of `SCORED_ROWS` equal stretches."""
    if n <= SCORED_ROWS:
        return slice(None)
    places = np.arange(SCORED_ROWS) + np.random.default_rng(0).random(SCORED_ROWS)
    return (places * (n / SCORED_ROWS)).astype(np.intp)


@dataclass(frozen=True)
class SortedScores:
    """Conformity scores of some rows.

    Attributes
    ----------
    scores : ndarray of shape (m,)
        In increasing order.  Of many scores only some are here, each of which stands for itself and the next lower
        ones: the share of the rows above any score is at most 2 % too high, relative to it, and never too low.
    n_above : ndarray of shape (m + 1,)
        Number of rows whose score is at or above each of them, and 0; in rows of mean weight.
    """

    scores: Array
    n_above: Array

    @classmethod
    def of(cls, scores: Array, weight: Array) -> "SortedScores":
        """Sort the scores (n,) of rows with these weights (n,), in units of the mean weight of all rows."""
        order = np.argsort(scores)[::-1]
        scores, above = scores[order], np.cumsum(weight[order])
        run = np.floor(np.log(above) / np.log1p(RESOLUTION))
        first = np.flatnonzero(np.diff(run, prepend=-np.inf))  # the highest score of each run
        last = np.append(first[1:], len(scores)) - 1
        return cls(scores[first][::-1].copy(), np.append(above[last][::-1], 0.0))

    def at_or_above(self, scores: Array) -> Array:
        """Return the number of rows whose score is at or above each of `scores`."""
        return np.asarray(self.n_above[np.searchsorted(self.scores, scores, side="left")])

    def above(self, scores: Array) -> Array:
        """Return the number of rows whose score is above each of `scores`."""
        return np.asarray(self.n_above[np.searchsorted(self.scores, scores, side="right")])

    def bound(self, allowed: float) -> float:
        """Return the lowest score that no more than `allowed` rows are above; infinity if `allowed` is negative."""
        enough = np.flatnonzero(self.above(self.scores) <= allowed)
        return float(self.scores[enough[0]]) if allowed >= 0 else np.inf


Side = tuple[list[SortedScores], float]  # of one output: scores by group, number of rows that may be above the bound


@dataclass(frozen=True)
class LocalScale:
    """The usual size of residuals as a function of the prediction, linear between knots and constant beyond.

    Attributes
    ----------
    knots, values : ndarray of shape (n_bins,)
        Mean prediction of each bin of rows, and their mean residual; a single value of 1 where none is learned.
    """

    knots: Array = field(default_factory=lambda: np.zeros(1))
    values: Array = field(default_factory=lambda: np.ones(1))

    def __call__(self, predicted: Array) -> Array:
        """Return the size for predictions of any shape."""
        return np.asarray(np.interp(predicted, self.knots, self.values))


@dataclass(frozen=True)
class Conformity:
    """What a fitted model keeps for its intervals or sets.

    Attributes
    ----------
    upper : list of list of SortedScores
        For each output, the scores of each group of rows: of each fold, or of all rows together.
    lower : list of list of SortedScores
        The scores of the lower bounds, where they have others than the upper ones.
    scales : list of LocalScale
        For each output, the divisor of its residuals.
    """

    upper: list[list[SortedScores]]
    lower: list[list[SortedScores]] = field(default_factory=list)
    scales: list[LocalScale] = field(default_factory=list)

    @property
    def n_groups(self) -> int:
        """Number of groups of rows."""
        return len(self.upper[0])

    def sides(self, coverage: float) -> list[list[Side]]:
        """Return lower and upper side: for each output, scores by group and the number of rows that may be above."""
        miscoverage, lower = (1 - coverage) / (2 if self.lower else 1), self.lower or self.upper
        return [[(groups, _allowed(groups, miscoverage)) for groups in side] for side in (lower, self.upper)]

    def to_state(self) -> dict[str, Any]:
        """Return plain lists and arrays."""
        sides = {
            name: [[[group.scores, group.n_above] for group in groups] for groups in getattr(self, name)]
            for name in ("upper", "lower")
        }
        return {**sides, "scales": [[scale.knots, scale.values] for scale in self.scales]}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Conformity":
        """Make the object from what `to_state` returned."""
        upper, lower = (
            [[SortedScores(*group) for group in groups] for groups in state[name]] for name in ("upper", "lower")
        )
        return cls(upper, lower, [LocalScale(*scale) for scale in state["scales"]])


# ------------------------------------------------------------- intervals


def interval_conformity(
    y: Array, low: Array, high: Array, weight: Array | None, folds: Array | None, by_fold: bool, signed: bool
) -> Conformity:
    """Return the scores of intervals around a band of predictions, of which a single line is the common case.

    Parameters
    ----------
    y : ndarray of shape (n, n_outputs)
    low, high : ndarray of shape (n, n_outputs)
        The predictions of members that have not seen the row.  Where they differ, they are quantiles (Romano,
        Patterson & Candès 2019, "Conformalized quantile regression", equation 6).
    weight : ndarray of shape (n,), or None
    folds : ndarray of shape (n,), or None
        Fold of each row.
    by_fold : bool
        Whether each fold is a group of its own, for CV+.
    signed : bool
        Whether the two bounds have separate scores: for predictions that are not in the middle of y.

    Notes
    -----
    Residuals are divided by their usual size at the prediction (normalised residuals: Papadopoulos, Gammerman & Vovk
    2008) if this narrows the intervals of the scored rows.  The size that divides the residual of a row is learned from
    other folds.  Where the size is the same everywhere, the choice lowers a coverage of 0.9 by 0.002 at most.
    """
    folds = np.arange(len(y)) % 5 if folds is None else folds
    if weight is not None:
        y, low, high, folds, weight = (part[weight > 0] for part in (y, low, high, folds, weight))
    n, n_outputs = y.shape
    relative = _relative(weight, n)
    groups = folds if by_fold else np.zeros(n, dtype=int)
    upper, lower, scales = [], [], []
    for j in range(n_outputs):
        t, below, above = y[:, j], low[:, j], high[:, j]
        scale = LocalScale()
        if signed:
            lower.append(_grouped(below - t, relative, groups))
            upper.append(_grouped(t - above, relative, groups))
        else:
            scores = np.maximum(below - t, t - above)
            if np.array_equal(below, above):
                scale, scores = _normalised(above, scores, relative, folds)
            upper.append(_grouped(scores, relative, groups))
        scales.append(scale)
    return Conformity(upper, lower, scales)


def interval(conformity: Conformity, low: Array, high: Array, coverage: float) -> Array:
    """Return the lower and upper bound for each row and output, (n, n_outputs, 2); infinite where n is too small.

    `low` and `high` (n_groups, n, n_outputs) are the predictions of the members that have not seen each group, or those
    of all members.
    """
    bounds = np.empty((*low.shape[1:], 2))
    for j, (scale, lower, upper) in enumerate(zip(conformity.scales, *conformity.sides(coverage), strict=True)):
        below, above = low[..., j], high[..., j]
        bounds[:, j, 0] = -_upper_bound(lower, -below, scale(below))
        bounds[:, j, 1] = _upper_bound(upper, above, scale(above))
    return np.sort(bounds, axis=-1)  # negative scores of quantiles may cross the bounds


def _upper_bound(side: Side, start: Array, scale: Array) -> Array:
    """Return the ⌈(1 - miscoverage)(n + 1)⌉-th smallest of all start + scale · score, (rows,), or infinity.

    `start` and `scale` are of shape (n_groups, rows).  In each group a bisection finds the lowest such value that few
    enough of all of them exceed; the lowest of these is the bound.
    """
    groups, allowed = side
    bound = np.full(start.shape[1], np.inf)
    if allowed < 0:
        return bound
    for k, group in enumerate(groups):
        first, last = np.zeros(start.shape[1], dtype=int), np.full(start.shape[1], len(group.scores))
        while np.any(first < last):  # the position of the lowest value lies in [first, last]
            middle = (first + last) // 2
            score = group.scores[np.minimum(middle, len(group.scores) - 1)]
            n_above = group.above(score)
            if len(groups) > 1:
                value = start[k] + scale[k] * score
                for other, s, d in zip(_others(groups, k), _others(start, k), _others(scale, k), strict=True):
                    n_above = n_above + other.above((value - s) / d)
            enough = (n_above <= allowed) & (first < last)
            last = np.where(enough, middle, last)
            first = np.where(~enough & (first < last), middle + 1, first)
        found = first < len(group.scores)
        score = group.scores[np.minimum(first, len(group.scores) - 1)]
        bound = np.minimum(bound, np.where(found, start[k] + scale[k] * score, np.inf))
    return bound


def _others(items: Any, k: int) -> list[Any]:
    return [item for i, item in enumerate(items) if i != k]


def _normalised(predicted: Array, residuals: Array, weight: Array, folds: Array) -> tuple[LocalScale, Array]:
    """Return the local scale and the residuals divided by it; a scale of 1 where it does not narrow the intervals."""
    n_bins = min(len(residuals) // ROWS_PER_BIN, MAX_BINS)
    constant = LocalScale()
    if n_bins < 2 or folds.min() == folds.max():
        return constant, residuals
    edges = np.quantile(predicted, np.arange(1, n_bins) / n_bins)
    bins = np.searchsorted(edges, predicted)
    present, bins = np.unique(bins, return_inverse=True)
    if len(present) < 2:
        return constant, residuals
    n_bins = len(present)
    knots = np.bincount(bins, weight * predicted, n_bins) / np.bincount(bins, weight, n_bins)
    capped = np.minimum(residuals, np.quantile(residuals, 0.95))  # a few outliers do not decide
    n_folds = int(folds.max()) + 1
    cells = folds * n_bins + bins
    sums = [
        np.bincount(cells, values, n_folds * n_bins).reshape(n_folds, n_bins) for values in (weight * capped, weight)
    ]
    scale = LocalScale(knots, _bin_means(*[part.sum(axis=0) for part in sums]))
    size = np.empty_like(residuals)
    for fold in range(n_folds):
        rows = folds == fold
        size[rows] = LocalScale(knots, _bin_means(*[part.sum(axis=0) - part[fold] for part in sums]))(predicted[rows])
    if not size.min() > 0:
        return constant, residuals
    normalised = residuals / size
    plain, local = (weighted_quantiles(scores, weight, [CHOSEN_AT])[0] for scores in (residuals, normalised))
    narrows = local * np.average(size, weights=weight) <= NARROWER * plain
    return (scale, normalised) if narrows else (constant, residuals)


def _bin_means(sums: Array, weights: Array) -> Array:
    """Return the mean residual of each bin, shrunk towards that of all rows."""
    mean = sums.sum() / weights.sum()
    return np.asarray((sums + PRIOR_ROWS * mean) / (weights + PRIOR_ROWS))


# ------------------------------------------------------------------ sets


def set_conformity(log_p: Array, codes: Array, weight: Array | None, folds: Array | None, by_fold: bool) -> Conformity:
    """Return the scores of sets: minus the logarithm of the probability of the true class.

    The sets are those of LAC (Sadinle, Lei & Wasserman 2019, "Least ambiguous set-valued classifiers with bounded error
    levels").

    Parameters
    ----------
    log_p : ndarray of shape (n, n_classes)
        By members that have not seen the row.
    codes : ndarray of shape (n,)
        True classes.
    weight, folds, by_fold
        As in `interval_conformity`.
    """
    groups = folds if by_fold and folds is not None else np.zeros(len(codes), dtype=int)
    scores = -log_p[np.arange(len(codes)), codes]
    if weight is not None:
        scores, groups, weight = (part[weight > 0] for part in (scores, groups, weight))
    return Conformity([_grouped(scores, _relative(weight, len(scores)), groups)])


def prediction_set(conformity: Conformity, log_p: Array, coverage: float) -> Array:
    """Return whether each class belongs to the set of each row, (n, n_classes), for log_p (n_groups, n, n_classes).

    A class belongs to it if its score is not too rare: 1 + Σ 1[score_i ≥ score] > (1 - coverage)(n + 1).  The most
    probable class always does.
    """
    _, [(groups, allowed)] = conformity.sides(coverage)
    n_above = np.sum([group.at_or_above(-p) for group, p in zip(groups, log_p, strict=True)], axis=0)
    chosen = n_above > allowed
    np.put_along_axis(chosen, log_p.mean(axis=0).argmax(axis=1)[:, None], True, axis=1)
    return np.asarray(chosen)


# --------------------------------------------------------------- helpers


def check_coverage(coverage: Any) -> float:
    """Return the coverage; raise ValueError unless it is a number between 0 and 1."""
    valid = isinstance(coverage, Real) and not isinstance(coverage, bool)
    if not valid or not 0 < float(coverage) < 1:
        raise ValueError(f"coverage must be a number between 0 and 1, both excluded. Got {coverage!r} instead.")
    return float(coverage)


def _allowed(groups: Sequence[SortedScores], miscoverage: float) -> float:
    """Return the number of rows, miscoverage · (n + 1) - 1, that may be above a bound; negative if n is too small.

    The new row weighs as much as a row of mean weight.
    """
    return miscoverage * (sum(float(group.n_above[0]) for group in groups) + 1) - 1 + TOLERANCE


def _relative(weight: Array | None, n: int) -> Array:
    """Return weights with a mean of 1."""
    return np.ones(n) if weight is None else np.asarray(weight / weight.mean(), dtype=np.float64)


def _grouped(scores: Array, weight: Array, groups: Array) -> list[SortedScores]:
    return [SortedScores.of(scores[groups == k], weight[groups == k]) for k in range(int(groups.max()) + 1)]
