"""Members that hold out folds: out-of-fold predictions and scores, the folds themselves, and the refit."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.metrics import d2_pinball_score, r2_score
from sklearn.model_selection import KFold, cross_val_score

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.estimators import plan
from tests.helpers.estimators import folds_of, make_with_folds, noisy
from tests.helpers.targets import (
    FOLDS,
    GOOD,
    KINDS,
    LABELS,
    NUMBERS,
    THREE,
    X,
    classifier,
    estimator_for,
    regressor,
)

STRIPES = np.arange(60) % 3


@pytest.fixture
def striped(monkeypatch):
    """Assign the rows to three folds in turn, whatever their targets."""
    monkeypatch.setattr(plan, "assign_folds", lambda values, n_folds, rng: STRIPES)


@pytest.mark.usefixtures("striped")
@pytest.mark.parametrize("y", KINDS.values(), ids=KINDS)
def test_the_out_of_fold_prediction_of_a_row_does_not_depend_on_its_target(y):
    changed = y.copy()
    changed[7] = 50.0 if y is NUMBERS else (y[7] + 1) % (3 if y is THREE else 2)
    # exclude what all members share: the scale of the target, the temperature and the choice of the epoch
    options = {**FOLDS, "restore_best_weights": False, "batch_size": 16, "max_iter": 10, "learning_rate_init": 0.05}
    options |= {"scale_target": False} if y is NUMBERS else {}
    one, other = (estimator_for(y, **options).fit(X, target) for target in (y, changed))
    held_out = STRIPES == STRIPES[7]
    np.testing.assert_array_equal(other.oof_predictions_[held_out], one.oof_predictions_[held_out])
    assert np.abs(other.oof_predictions_[~held_out] - one.oof_predictions_[~held_out]).max() > 1e-3
    for W, W_changed in zip(one.coefs_, other.coefs_, strict=True):
        np.testing.assert_array_equal(W[STRIPES[7]], W_changed[STRIPES[7]])


@pytest.mark.usefixtures("striped")
@pytest.mark.parametrize("weight", [None, np.linspace(0.5, 2, 60)], ids=["plain", "weighted"])
@pytest.mark.parametrize("y", KINDS.values(), ids=KINDS)
def test_out_of_fold_predictions_equal_those_of_a_fit_without_the_fold(y, weight):
    rng = np.random.RandomState(0)
    n_out = {"two": 1, "numbers": 1}.get(next(name for name in KINDS if KINDS[name] is y), 3)
    coefs, intercepts = [rng.normal(size=(3, 3, 6)), rng.normal(size=(3, 6, n_out))], [np.zeros(6), np.zeros(n_out)]
    # the whole table is one step, so that a row of weight 0 equals a row that is absent
    options = {"batch_size": 60, "restore_best_weights": False, "scale_features": False, "learning_rate_init": 0.05}
    options |= {"scale_target": False} if y is NUMBERS else {}
    together = estimator_for(y, **{**FOLDS, **options}, init=(coefs, intercepts)).fit(X, y, weight)
    for k in range(3):
        held_out = STRIPES == k
        alone = estimator_for(y, **options, init=([W[k] for W in coefs], intercepts))
        alone.fit(X[~held_out], y[~held_out], None if weight is None else weight[~held_out])
        predicted = alone.predict(X[held_out]) if y is NUMBERS else alone.predict_proba(X[held_out])
        # float64, sums in another order
        np.testing.assert_allclose(together.oof_predictions_[held_out], predicted, rtol=0, atol=1e-10)
        np.testing.assert_allclose(together.coefs_[0][k], alone.coefs_[0], rtol=0, atol=1e-10)


def test_the_out_of_fold_score_of_noise_is_that_of_a_guess():
    rng = np.random.RandomState(0)
    table, y = rng.normal(size=(150, 8)), rng.normal(size=150)
    options = {**GOOD, **FOLDS, "n_members": 6, "restore_best_weights": False}
    model = regressor(**options).fit(table, y)
    assert model.score(table, y) > 0.3 and model.oof_score_ < 0
    model = classifier(**options).fit(table, y > 0)
    assert model.score(table, y > 0) > 0.8 and model.oof_score_ < 0.6  # 0.1 is 2.4 standard deviations


@pytest.mark.slow
def test_the_out_of_fold_score_is_close_to_that_of_cross_validation():
    X, y = load_diabetes(return_X_y=True)
    model = ScratchMLPRegressor(random_state=0)
    # R² varies by 0.05 to 0.1 between the folds
    assert (
        abs(model.fit(X, y).oof_score_ - cross_val_score(model, X, y, cv=KFold(5, shuffle=True, random_state=0)).mean())
        < 0.05
    )
    X, y = load_breast_cancer(return_X_y=True)
    model = ScratchMLPClassifier(random_state=0, max_iter=20)
    assert abs(model.fit(X, y).oof_score_ - cross_val_score(model, X, y).mean()) < 0.02


@pytest.mark.parametrize("weight", [None, np.arange(60) % 3 + 0.5], ids=["plain", "weighted"])
@pytest.mark.parametrize("y", KINDS.values(), ids=KINDS)
def test_out_of_fold_score_is_the_score_of_the_predictions(y, weight):
    model = estimator_for(y, **FOLDS).fit(X, y, weight)
    oof = model.oof_predictions_
    assert type(model.oof_score_) is float
    if y is NUMBERS:
        assert oof.shape == (60,)
        assert model.oof_score_ == pytest.approx(r2_score(y, oof, sample_weight=weight), rel=1e-12)
        return
    assert oof.shape == (60, len(model.classes_))
    right = ((oof > 0.5) == y).all(axis=1) if y is LABELS else model.classes_[oof.argmax(axis=1)] == y
    assert model.oof_score_ == pytest.approx(np.average(right, weights=weight), rel=1e-12)
    if y is not LABELS:
        np.testing.assert_allclose(oof.sum(axis=1), 1, rtol=1e-12)


def test_out_of_fold_predictions_of_several_outputs_and_quantiles():
    y = np.c_[NUMBERS, 100 * X[:, 1] + 7]
    model = regressor(**{**GOOD, **FOLDS}).fit(X, y)
    assert model.oof_predictions_.shape == (60, 2)
    assert model.oof_score_ == pytest.approx(r2_score(y, model.oof_predictions_), rel=1e-12) and model.oof_score_ > 0.7
    levels = [0.1, 0.5, 0.9]
    model = regressor(**{**GOOD, **FOLDS}, loss="quantile", quantile=levels).fit(X, NUMBERS)
    assert model.oof_predictions_.shape == (60, 3) and (np.diff(model.oof_predictions_, axis=1) >= 0).all()
    columns = zip(levels, model.oof_predictions_.T, strict=True)
    expected = np.mean([d2_pinball_score(NUMBERS, p, alpha=q) for q, p in columns])
    assert model.oof_score_ == pytest.approx(expected, rel=1e-12) and model.oof_score_ > 0.3


def test_rows_of_weight_zero_have_no_out_of_fold_prediction():
    weight = (np.arange(60) % 4 > 0).astype(float)
    for y in (NUMBERS, THREE):
        model, absent = (
            estimator_for(y, **FOLDS).fit(X, y, weight),
            estimator_for(y, **FOLDS).fit(X[weight > 0], y[weight > 0]),
        )
        assert len(model.oof_predictions_) == 45 and model.oof_score_ == pytest.approx(absent.oof_score_, rel=1e-12)
        np.testing.assert_allclose(model.oof_predictions_, absent.oof_predictions_, rtol=0, atol=1e-12)


@pytest.mark.parametrize("y", KINDS.values(), ids=KINDS)
def test_a_sparse_table_has_the_folds_and_results_of_the_dense_one(y):
    table = X * (np.abs(X) > 0.7)
    options = {**FOLDS, "refit": 0.5}
    dense, sparse = (estimator_for(y, **options).fit(form(table), y) for form in (np.asarray, sp.csr_array))
    np.testing.assert_array_equal(folds_of(sparse), folds_of(dense))
    # float64, sums in another order
    np.testing.assert_allclose(sparse.oof_predictions_, dense.oof_predictions_, rtol=0, atol=1e-9)
    assert sparse.best_iteration_ == dense.best_iteration_
    np.testing.assert_allclose(sparse.predict(table), dense.predict(table), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("n_members", "n_folds", "expected"),
    [(2, 5, 2), (3, 5, 3), (5, 5, 5), (6, 5, 6), (7, 5, 7), (8, 5, 4), (8, 2, 2), (8, 3, 2), (10, 5, 5), (6, 3, 3)],
)
def test_the_number_of_folds_is_the_nearest_divisor_of_n_members(n_members, n_folds, expected):
    for model, y in ((classifier(), THREE), (regressor(), NUMBERS)):
        model.set_params(early_stopping="folds", n_members=n_members, n_folds=n_folds, max_iter=2).fit(X, y)
        sizes = np.bincount(folds_of(model))
        assert len(sizes) == expected and np.ptp(sizes) <= 1
        assert np.isfinite(model.oof_predictions_).all() and len(model.coefs_[0]) == n_members


def test_folds_are_stratified():
    table, _ = noisy("classifier", 90)
    y = np.repeat(["a", "b", "c"], [50, 30, 10])
    model = make_with_folds("classifier", n_members=5, n_folds=5).fit(table, y)
    for name in "abc":
        assert np.ptp(np.bincount(folds_of(model)[y == name], minlength=5)) <= 2
    # each five consecutive targets, in sorted order, are in five different folds
    model = make_with_folds("regressor", n_members=5, n_folds=5).fit(table, np.arange(90.0))
    assert (np.sort(folds_of(model).reshape(18, 5), axis=1) == np.arange(5)).all()


@pytest.mark.parametrize("n_members", [80, 160])
def test_more_folds_than_rows(n_members):
    for seed in range(8):  # the seed decides which folds are empty
        model = regressor(early_stopping="folds", n_members=n_members, n_folds=80, max_iter=1, random_state=seed)
        model.fit(X[:41], NUMBERS[:41])
        assert len(model.oof_predictions_) == 41 and np.isfinite(model.oof_predictions_).all()


@pytest.mark.parametrize("n", [1, 2, 4, 5, 40, 41])
@pytest.mark.parametrize("y", KINDS.values(), ids=KINDS)
def test_tables_of_any_size_at_the_defaults(y, n):
    rows = np.r_[
        np.argsort(-X[:, 0])[: n // 2], np.argsort(X[:, 0])[: n - n // 2]
    ]  # the smallest and the largest values, so that there are two classes
    table, y, is_class = X[rows], y[rows], y is not NUMBERS
    model = (ScratchMLPClassifier if is_class else ScratchMLPRegressor)(max_iter=5, random_state=0)
    predicted = model.fit(table, y).predict(X)
    assert np.isfinite(predicted).all() and len(predicted) == 60
    assert (model.oof_predictions_ is None) == (model.oof_score_ is None) == (n < 5)
    if n > 40:
        assert len(model.oof_predictions_) == n and np.isfinite(model.oof_predictions_).all()


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_class_of_one_or_two_rows_and_folds(count, n_classes):
    y = np.where(X[:, 0] > 0, "a", "c") if n_classes == 3 else np.full(60, "a")
    y[:count] = "b"
    model = ScratchMLPClassifier(max_iter=10, random_state=0).fit(X, y)
    assert model.classes_.tolist() == sorted(set(y.tolist())) and len(model.classes_) == n_classes
    assert np.isfinite(model.predict_log_proba(X)).all() and np.isfinite(model.oof_predictions_).all()
    np.testing.assert_allclose(model.oof_predictions_.sum(axis=1), 1, rtol=1e-6)
    rare = model.oof_predictions_[:, model.classes_.tolist().index("b")]
    assert rare[:count].max() < 0.5  # the members that predict such a row have seen at most one other
    assert 0 < model.oof_score_ < 1
    assert len(np.unique(folds_of(model)[:count])) == count  # in different folds


def test_columns_without_a_value_or_with_one_and_bins():
    table = np.c_[X, np.ones(60), np.full(60, np.nan), np.where(X[:, 0] > 1, np.nan, X[:, 1]), X[:, 2] > 0]
    for y in KINDS.values():
        model = (ScratchMLPRegressor if y is NUMBERS else ScratchMLPClassifier)(max_iter=5, n_bins=4, random_state=0)
        predicted = model.fit(table, y).predict(np.r_[table, np.full((1, 7), np.nan)])
        assert np.isfinite(predicted).all() and np.isfinite(model.oof_predictions_).all()
        names = model.fitted_.input_names
        assert 2 <= sum(name.startswith("x0 from") for name in names) <= 4
        assert 2 <= sum(name.startswith("x5 from") for name in names) <= 4 and "x5 missing" in names
        for constant in ("x3", "x4", "x6"):  # x3 and x4 have no two values; for the two values of x6 a line is enough
            assert not any(name.startswith(f"{constant} from") for name in names)


def test_a_table_of_constants_predicts_the_mean():
    for table in (np.ones((60, 2)), np.full((60, 2), np.nan)):
        model = ScratchMLPRegressor(random_state=0).fit(table, NUMBERS)
        np.testing.assert_allclose(model.predict(table), NUMBERS.mean(), atol=0.1 * NUMBERS.std())
        assert model.oof_score_ < 0.01
        p = ScratchMLPClassifier(random_state=0).fit(table, THREE).predict_proba(table)[0]
        np.testing.assert_allclose(p, np.bincount(THREE) / 60, atol=0.05)


def test_the_refit_changes_the_weights_but_no_score():
    for y in KINDS.values():
        without, brief, long = (
            estimator_for(y, **{**FOLDS, "refit": refit}, batch_size=16).fit(X, y) for refit in (0.0, 0.2, 2.0)
        )
        for model in (brief, long):
            np.testing.assert_array_equal(model.oof_predictions_, without.oof_predictions_)
            assert model.loss_curve_ == without.loss_curve_ and model.best_iteration_ == without.best_iteration_
            assert model.n_iter_ == without.n_iter_ and model.t_ == without.t_
        moved = [np.abs(model.coefs_[0] - without.coefs_[0]).max() for model in (brief, long)]
        assert 0 < moved[0] < moved[1]
