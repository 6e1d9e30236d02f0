"""Conformal prediction: its functions of arrays against their definitions, and their coverage for exchangeable rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.estimators import conformal
from skscratch.estimators.conformal import (
    Conformity,
    LocalScale,
    SortedScores,
    check_coverage,
    interval,
    interval_conformity,
    prediction_set,
    rows_to_score,
    set_conformity,
)
from tests.helpers.encoding import arrays_equal, is_plain

COVERAGES = st.floats(0.05, 0.97)


def order_statistic(values, coverage):
    """Return the ⌈coverage (n + 1)⌉-th smallest of each row (rows, n), or infinity."""
    n = values.shape[1]
    rank = int(np.ceil(coverage * (n + 1) - 1e-9))
    return np.sort(values, axis=1)[:, rank - 1] if rank <= n else np.full(len(values), np.inf)


def drawn(seed, n_new=7):
    """Return targets, predictions, folds, and predictions of each fold's members for new rows."""
    rng = np.random.default_rng(seed)
    n_folds = rng.integers(1, 5)
    n = rng.integers(n_folds, 45)  # runs of scores begin at 50
    folds = np.append(np.arange(n_folds), rng.integers(0, n_folds, n - n_folds))
    return rng.normal(size=(n, 1)), rng.normal(size=(n, 1)), folds, rng.normal(size=(n_folds, n_new, 1))


@given(seed=st.integers(0, 10**6), coverage=COVERAGES)
@settings(max_examples=50, deadline=None)
def test_cv_plus_takes_order_statistics_of_predictions_plus_and_minus_residuals(seed, coverage):
    y, predicted, folds, new = drawn(seed)
    conformity = interval_conformity(y, predicted, predicted, None, folds, by_fold=True, signed=False)
    residuals, of_rows = np.abs(y - predicted)[:, 0], new[folds, :, 0].T  # (7, n)
    found = interval(conformity, new, new, coverage)
    expected = np.stack(
        [-order_statistic(residuals - of_rows, coverage), order_statistic(of_rows + residuals, coverage)], axis=-1
    )
    # the definition's two bounds may cross for a low coverage
    np.testing.assert_allclose(found[:, 0], np.sort(expected, axis=-1), rtol=0, atol=1e-12)


@given(seed=st.integers(0, 10**6), coverage=COVERAGES)
@settings(max_examples=50, deadline=None)
def test_quantiles_are_moved_by_one_number_where_all_rows_are_one_group(seed, coverage):
    y, low, folds, new = drawn(seed)
    high, new, wide = low + 0.5, new[:1], new[:1] + 0.5
    conformity = interval_conformity(y, low, high, None, folds, by_fold=False, signed=False)
    margin = order_statistic(np.maximum(low - y, y - high).T, coverage)
    expected = np.sort(np.concatenate([new[0] - margin, wide[0] + margin], axis=1), axis=-1)
    np.testing.assert_allclose(interval(conformity, new, wide, coverage)[:, 0], expected, rtol=0, atol=1e-12)


def test_bounds_with_separate_scores_leave_out_half_of_the_rest_each():
    y = np.arange(1.0, 40.0)[:, None]  # 39 rows, residuals 1, 2, ..., 39 above a prediction of 0
    zero = np.zeros_like(y)
    conformity = interval_conformity(y, zero, zero, None, None, by_fold=False, signed=True)
    new = np.zeros((1, 1, 1))
    np.testing.assert_array_equal(interval(conformity, new, new, 0.9), [[[2.0, 38.0]]])  # 5 % of 40 beyond each
    np.testing.assert_array_equal(interval(conformity, new, new, 0.99), [[[-np.inf, np.inf]]])


@pytest.mark.parametrize("coverage", [0.1, 0.5, 0.9, 0.99])
def test_the_bound_of_one_group_is_the_margin_of_its_intervals(coverage):
    y = np.random.default_rng(0).integers(-9, 10, (40, 1)).astype(float)  # with ties
    zero = np.zeros_like(y)
    conformity = interval_conformity(y, zero, zero, None, None, by_fold=False, signed=False)
    [(groups, allowed)], upper = conformity.sides(coverage)
    assert upper == [(groups, allowed)]
    new = np.zeros((1, 1, 1))
    assert interval(conformity, new, new, coverage)[0, 0, 1] == groups[0].bound(allowed)
    assert groups[0].bound(allowed) == order_statistic(np.abs(y).T, coverage)[0]


@pytest.mark.parametrize("n", [8, 9])
def test_an_interval_is_infinite_where_rows_are_too_few(n):
    y = np.arange(n, dtype=float)[:, None]
    conformity = interval_conformity(y, 0 * y, 0 * y, None, None, by_fold=False, signed=False)
    new = np.zeros((1, 1, 1))
    assert np.isinf(interval(conformity, new, new, 0.9)).all() == (n < 9)


def test_equal_weights_are_none_and_a_row_without_scores_above_it_does_not_count():
    rng = np.random.default_rng(0)
    y, predicted = rng.normal(size=(2, 60, 1))
    new = predicted[None, :5]
    plain, equal, heavy = (
        interval(interval_conformity(y, predicted, predicted, weight, None, False, False), new, new, 0.9)
        for weight in (None, np.full(60, 3.0), np.where(np.abs(y - predicted)[:, 0] > 1, 10.0, 1.0))
    )
    np.testing.assert_array_equal(plain, equal)
    assert np.all(np.diff(heavy) > np.diff(plain))  # rows with large residuals weigh more


@given(st.integers(1, 20_000), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_few_numbers_describe_many_scores(n, seed):
    scores = np.random.default_rng(seed).standard_t(2, size=n)
    kept = SortedScores.of(scores, np.ones(n))
    assert len(kept.scores) <= 400 and kept.n_above[0] == pytest.approx(n) and kept.n_above[-1] == 0
    points = np.append(scores[:50], np.linspace(-5, 5, 50))
    for found, exact in (
        (kept.at_or_above(points), np.sum(scores >= points[:, None], axis=1)),
        (kept.above(points), np.sum(scores > points[:, None], axis=1)),
    ):
        assert np.all(found >= exact - 1e-9) and np.all(found <= exact * 1.02 + 1e-9)


def test_residuals_that_grow_with_the_prediction_get_a_local_scale():
    rng = np.random.default_rng(0)
    predicted = rng.uniform(1, 9, size=(900, 1))
    y = predicted + predicted * rng.normal(size=(900, 1))
    conformity = interval_conformity(y, predicted, predicted, None, np.arange(900) % 5, False, False)
    (scale,) = conformity.scales
    assert len(scale.knots) == 20 and scale(8.0) > 2 * scale(2.0)
    new = np.array([[[2.0], [8.0]]])
    width = np.diff(interval(conformity, new, new, 0.9))[:, 0, 0]
    assert 2 < width[1] / width[0] < 4.5  # 4 is right; forty-five rows of a bin are shrunk to the mean


@pytest.mark.parametrize("noise", ["constant", "none", "few rows", "one prediction"])
def test_residuals_of_one_size_get_none(noise):
    rng = np.random.default_rng(0)
    n = 40 if noise == "few rows" else 2000  # a scale is learned by chance from one table of 600 rows in thirty
    predicted = np.full((n, 1), 2.0) if noise == "one prediction" else rng.normal(size=(n, 1))
    y = predicted + (0 if noise == "none" else rng.normal(size=(n, 1)))
    (scale,) = interval_conformity(y, predicted, predicted, None, np.arange(n) % 5, False, False).scales
    np.testing.assert_array_equal(scale(rng.normal(size=(2, 3))), 1)


@pytest.mark.parametrize("by_fold", [False, True])
def test_new_rows_of_the_same_kind_are_covered(by_fold):
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(60):
        y = rng.standard_t(2, size=(90, 1)) * np.linspace(0.1, 3, 90)[rng.permutation(90)][:, None]
        train, new, zero = y[:40], y[40:], np.zeros((1, 40, 1))
        conformity = interval_conformity(train, zero[0], zero[0], None, np.arange(40) % 4, by_fold, False)
        start = np.zeros((conformity.n_groups, 50, 1))
        low, high = interval(conformity, start, start, 0.8)[:, 0].T
        covered.append(np.mean((low <= new[:, 0]) & (new[:, 0] <= high)))
    # 3000 new rows in 60 draws: a standard error of .01; between 0.8 and 0.8 + 1 / 41 is expected
    assert 0.77 < np.mean(covered) < 0.855


@given(seed=st.integers(0, 10**6), coverage=COVERAGES, by_fold=st.booleans())
@settings(max_examples=50, deadline=None)
def test_a_set_has_the_classes_whose_score_is_not_too_rare(seed, coverage, by_fold):
    rng = np.random.default_rng(seed)
    n, folds, codes = 40, rng.integers(0, 4, 40), rng.integers(0, 3, 40)
    folds[:4] = range(4)
    log_p = np.log(rng.dirichlet([1, 1, 1], size=n))
    new = np.log(rng.dirichlet([1, 1, 1], size=(4, 9)))[: 4 if by_fold else 1]
    found = prediction_set(set_conformity(log_p, codes, None, folds, by_fold), new, coverage)
    of_rows = -new[folds if by_fold else np.zeros(n, int)]  # (n, 9, 3)
    not_lower = np.sum(-log_p[np.arange(n), codes][:, None, None] >= of_rows, axis=0)
    expected = 1 + not_lower > (1 - coverage) * (n + 1) + 1e-9
    expected[np.arange(9), new.mean(axis=0).argmax(axis=1)] = True
    np.testing.assert_array_equal(found, expected)


def test_conformity_survives_as_plain_values():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(50, 2))
    for signed in (False, True):
        conformity = interval_conformity(y, 0 * y, 0 * y, None, np.arange(50) % 5, True, signed)
        state = conformity.to_state()
        assert is_plain(state) and arrays_equal(Conformity.from_state(state).to_state(), state)
    assert conformity.n_groups == 5 and len(conformity.lower) == 2
    assert LocalScale()(np.array([-1e300, 1e300])).tolist() == [1, 1]


@pytest.mark.parametrize("coverage", [0, 1, -0.1, 1.5, np.nan, np.inf, "0.9", None, True, [0.9]])
def test_a_coverage_is_between_0_and_1(coverage):
    with pytest.raises(ValueError, match="coverage must be a number between 0 and 1, both excluded. Got"):
        check_coverage(coverage)
    assert check_coverage(np.float32(0.5)) == 0.5


@pytest.mark.parametrize("by_fold", [False, True])
def test_rows_without_weight_are_absent(by_fold):
    rng = np.random.default_rng(0)
    y, predicted = rng.normal(size=(2, 90, 1))
    weight, folds = np.where(np.arange(90) < 10, 0.0, 2.0), np.arange(90) % 3
    with_, without = (
        interval_conformity(y[rows], predicted[rows], predicted[rows], weight[rows], folds[rows], by_fold, False)
        for rows in (slice(None), slice(10, None))
    )
    assert arrays_equal(with_.to_state(), without.to_state())
    log_p, codes = np.log(rng.dirichlet([1, 1], size=90)), rng.integers(0, 2, 90)
    with_, without = (
        set_conformity(log_p[rows], codes[rows], weight[rows], folds[rows], by_fold)
        for rows in (slice(None), slice(10, None))
    )
    assert arrays_equal(with_.to_state(), without.to_state())


# ---------------------------------------------------------------- long tables


def test_a_row_of_each_stretch_of_a_long_table_is_scored(monkeypatch):
    assert rows_to_score(2**20) == slice(None)
    monkeypatch.setattr(conformal, "SCORED_ROWS", 100)
    rows = rows_to_score(1050)
    assert len(rows) == 100 and rows.min() >= 0 and rows.max() < 1050
    starts = np.arange(100) * 10.5
    assert np.all((rows >= np.floor(starts)) & (rows < starts + 10.5))
    np.testing.assert_array_equal(rows, rows_to_score(1050))


@pytest.mark.parametrize("refit", [0.2, 0.0], ids=["one group", "CV+"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", [ScratchMLPRegressor, ScratchMLPClassifier])
def test_some_rows_of_a_long_table_give_nearly_the_intervals_of_all(monkeypatch, kind, weighted, refit):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 2))
    y = X[:, 0] + 0.5 * rng.normal(size=2000)
    y = y > 0 if kind is ScratchMLPClassifier else y
    weight = rng.integers(0, 3, 2000).astype(float) if weighted else None
    model = kind((4,), max_iter=4, refit=refit, random_state=0)

    def predicted():
        fitted = model.fit(X, y, sample_weight=weight)
        return fitted.predict_interval(X, 0.8) if kind is ScratchMLPRegressor else fitted.predict_set(X, 0.8)

    whole = predicted()
    monkeypatch.setattr(conformal, "SCORED_ROWS", 1000)
    part = predicted()
    n_rows = sum(group.n_above[0] for group in model.fitted_.conformity.upper[0])
    assert n_rows == pytest.approx(1000)  # in rows of mean weight; those of weight 0 are no rows
    # the standard error of the quantile at 0.8 of 1000 residuals is .03; bounds and sets move by less than twice that
    assert np.abs(part.astype(float) - whole.astype(float)).mean() < 0.07
