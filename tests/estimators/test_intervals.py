"""`predict_interval` and `predict_set` of fitted estimators."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.datasets import load_diabetes, load_wine
from sklearn.exceptions import NotFittedError
from sklearn.neural_network import MLPClassifier, MLPRegressor

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from tests.helpers.estimators import folds_of
from tests.helpers.targets import FOLDS, LABELS, NUMBERS, THREE, TWO, X, classifier, estimator_for, regressor

QUICK = {"hidden_layer_sizes": (16,), "max_iter": 15, "random_state": 0}
DIABETES = load_diabetes(return_X_y=True, scaled=False)
NONE = "need scores of rows that members have not seen"


def covered(bounds, y):
    """Return the share of the rows within their bounds."""
    return np.mean((bounds[..., 0] <= y) & (y <= bounds[..., 1]), axis=0)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"refit": 0},
        {"refit": 0, "n_members": 6, "n_folds": 3},
        {"loss": "absolute_error"},
        {"loss": "poisson"},
        {"loss": "gamma", "refit": 0},
        {"loss": "quantile", "quantile": 0.7},
        {"loss": "quantile", "quantile": [0.05, 0.5, 0.95]},
        {"loss": "quantile", "quantile": [0.2, 0.8], "refit": 0},
        {"early_stopping": True, "validation_fraction": 0.3},
    ],
    ids=str,
)
def test_intervals_cover_new_rows(options):
    data, y = DIABETES
    model = ScratchMLPRegressor(**{**QUICK, **options}).fit(data[::2], y[::2])
    narrow, wide = (model.predict_interval(data[1::2], coverage) for coverage in (0.5, 0.9))
    assert wide.shape == (221, 2) and wide.dtype == np.float64 and np.all(narrow[:, 0] <= narrow[:, 1])
    # four standard errors of 221 new rows and 221 (or 66) scored rows; below the level that is asked for
    assert 0.5 - 0.2 < covered(narrow, y[1::2]) < 0.7 and covered(wide, y[1::2]) > 0.9 - 0.12
    assert np.all(wide[:, 0] <= narrow[:, 0]) and np.all(narrow[:, 1] <= wide[:, 1])
    if options.get("loss") in ("poisson", "gamma"):
        assert wide.min() >= 0  # the domain of y
    n_groups = model.fitted_.conformity.n_groups
    assert n_groups == (folds_of(model).max() + 1 if options.get("refit") == 0 else 1)


def test_a_single_fold_of_residuals_is_symmetric_around_the_prediction():
    model = regressor(**{**FOLDS, "refit": 0.2}, clip_target=False).fit(X, NUMBERS)
    middle = model.predict_interval(X).mean(axis=1)
    np.testing.assert_allclose(middle, model.predict(X), rtol=0, atol=1e-6)  # predictions are float32 or float64
    residuals = np.sort(np.abs(NUMBERS - model.oof_predictions_))
    half = np.ptp(model.predict_interval(X, 0.8), axis=1) / 2
    np.testing.assert_allclose(half, residuals[49 - 1], rtol=1e-5)  # ⌈0.8 · 61⌉ = 49


def test_cv_plus_pairs_each_residual_with_the_members_that_have_not_seen_the_row():
    model = regressor(**FOLDS, clip_target=False).fit(X, NUMBERS)
    folds, residuals = folds_of(model), np.abs(NUMBERS - model.oof_predictions_)
    members = np.stack([_prediction_of(model, k) for k in range(3)])[folds]  # (60 rows of training, 60 of X)
    low, high = model.predict_interval(X, 0.8).T
    rank = int(np.ceil(0.8 * 61))
    np.testing.assert_allclose(high, np.sort(members + residuals[:, None], axis=0)[rank - 1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(low, np.sort(members - residuals[:, None], axis=0)[60 - rank], rtol=1e-5, atol=1e-6)


def _prediction_of(model, k):
    fitted, z = model._raw_scores(X, pooled=False)
    return fitted.targets.decode(fitted.loss.link.apply(z[k]))[:, 0]


@pytest.mark.parametrize("unit", [1e300, 1e-300, -1.0, 2.0**-40])
@pytest.mark.parametrize("options", [{}, {"refit": 0.0}, {"loss": "quantile", "quantile": [0.1, 0.9]}], ids=str)
def test_intervals_follow_the_unit_of_y(unit, options):
    here, there = (regressor(**{**FOLDS, "refit": 0.2, **options}).fit(X, y) for y in (NUMBERS, NUMBERS * unit))
    mine, theirs = here.predict_interval(X), there.predict_interval(X) / unit
    if unit > 0:  # the network of -y is another one
        np.testing.assert_allclose(theirs, mine, rtol=1e-4, atol=1e-5)  # rounding in training
    assert np.isfinite(theirs).all() and np.isinf(there.predict_interval(X, 0.999)).all()


def test_several_outputs_have_an_interval_each():
    y = np.c_[NUMBERS, 1e6 * NUMBERS**2]
    for options in ({}, {"loss": "quantile", "quantile": 0.5}):
        model = regressor(**FOLDS, **options).fit(X, y)
        bounds = model.predict_interval(X, 0.8)
        assert bounds.shape == (60, 2, 2) and np.all(bounds[..., 0] < bounds[..., 1])
        assert np.all(covered(bounds, y) > 0.6) and model.predict_interval(X[:1]).shape == (1, 2, 2)


def test_a_constant_target_has_intervals_without_width():
    model = regressor(**FOLDS).fit(X, np.full(60, 7.0))
    np.testing.assert_array_equal(model.predict_interval(X), 7)


@pytest.mark.parametrize("refit", [0.0, 0.2])
@pytest.mark.parametrize("y", [TWO, THREE, THREE.astype(str)], ids=["two", "three", "text"])
def test_sets_hold_the_most_probable_class_and_cover(y, refit):
    model = classifier(**{**FOLDS, "refit": refit}, max_iter=20).fit(X, y)
    chosen = model.predict_set(X, 0.9)
    assert chosen.shape == (60, len(model.classes_)) and chosen.dtype == bool and chosen.any(axis=1).all()
    assert chosen[np.arange(60), np.searchsorted(model.classes_, model.predict(X))].all()
    assert chosen[np.arange(60), np.searchsorted(model.classes_, y)].mean() >= 0.8
    assert np.all(chosen <= model.predict_set(X, 0.95)) and model.predict_set(X, 0.999).all()


def test_sets_cover_new_rows():
    data, y = load_wine(return_X_y=True)
    noise = np.random.default_rng(0).normal(size=data.shape) * data.std(axis=0)
    model = ScratchMLPClassifier(**QUICK).fit((data + noise)[::2], y[::2])
    chosen = model.predict_set((data + noise)[1::2], 0.95)
    assert chosen[np.arange(89), y[1::2]].mean() > 0.95 - 0.12  # four standard errors of 89 rows on each side
    assert 1 <= chosen.sum(axis=1).mean() < 3


def test_a_single_class_is_in_every_set():
    model = classifier(**FOLDS).fit(X, np.full(60, "a"))
    np.testing.assert_array_equal(model.predict_set(X), np.ones((60, 1), dtype=bool))


@pytest.mark.parametrize("y", [NUMBERS, THREE], ids=["numbers", "three"])
def test_scores_are_those_of_the_last_call(y):
    method = "predict_interval" if y is NUMBERS else "predict_set"
    model = estimator_for(y, **FOLDS, warm_start=True).fit(X, y)
    first = model.fitted_.conformity
    assert model.fit(X, y).fitted_.conformity is not first
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(getattr(again, method)(X), getattr(model, method)(X))
    options = {"classes": [0, 1, 2]} if y is THREE else {}
    model.partial_fit(X, y, **options)
    with pytest.raises(ValueError, match=NONE):
        getattr(model, method)(X)
    model.partial_fit(X, y, **options, X_val=X, y_val=y)
    assert model.fitted_.conformity.n_groups == 1 and len(getattr(model, method)(X)) == 60


@pytest.mark.parametrize("y", [NUMBERS, THREE], ids=["numbers", "three"])
@pytest.mark.parametrize("options", [{"n_members": 1}, {"early_stopping": False}, {"solver": "lbfgs"}], ids=str)
@pytest.mark.filterwarnings("ignore:Maximum iterations")
def test_without_scores_the_error_says_what_to_set_and_validation_rows_help(y, options):
    method = "predict_interval" if y is NUMBERS else "predict_set"
    model = estimator_for(y, **{**FOLDS, "n_folds": 2, **options})
    with pytest.raises(NotFittedError):
        getattr(model, method)(X)
    with pytest.raises(ValueError, match=f"{NONE}.*early_stopping='folds', n_members.*X_val"):
        getattr(model.fit(X, y), method)(X)
    model.fit(X[:40], y[:40], X_val=X[40:], y_val=y[40:])
    assert len(getattr(model, method)(X)) == 60 and model.fitted_.conformity.n_groups == 1
    with pytest.raises(ValueError, match="coverage must be"):
        getattr(model, method)(X, 90)


def test_what_has_no_sets_is_refused_by_name():
    with pytest.raises(ValueError, match="predict_set is for one column of classes, and y was multilabel"):
        classifier(**FOLDS).fit(X, LABELS).predict_set(X)
    assert not hasattr(classifier(), "predict_interval") and not hasattr(regressor(), "predict_set")


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_a_converted_network_has_no_scores():
    for mlp, y in ((MLPRegressor(max_iter=2), NUMBERS), (MLPClassifier(max_iter=2), TWO)):
        model = (regressor() if y is NUMBERS else classifier()).from_sklearn(mlp.fit(X, y))
        with pytest.raises(ValueError, match=NONE):
            (model.predict_interval if y is NUMBERS else model.predict_set)(X)


def test_weights_weight_the_residuals():
    rng = np.random.default_rng(0)
    y = NUMBERS + np.where(X[:, 1] > 0, 3.0, 0.1) * rng.normal(size=60)
    noisy_rows, quiet_rows = (np.where((X[:, 1] > 0) == side, 1.0, 1e-6) for side in (True, False))
    widths = [
        np.ptp(regressor(**{**FOLDS, "refit": 0.2}).fit(X, y, weight).predict_interval(X, 0.8), axis=1).mean()
        for weight in (noisy_rows, None, quiet_rows)
    ]
    assert widths[0] > widths[1] > widths[2]
    doubled = regressor(**FOLDS).fit(X, y, np.full(60, 4.0))
    np.testing.assert_allclose(doubled.predict_interval(X), regressor(**FOLDS).fit(X, y).predict_interval(X), atol=1e-9)


def test_frames_and_sparse_tables_are_predicted_too():
    frame = pd.DataFrame(X, columns=list("abc")).assign(d=pd.Categorical(np.where(X[:, 0] > 0, "u", "v")))
    frame.loc[::7, "a"] = np.nan
    assert regressor(**FOLDS).fit(frame, NUMBERS).predict_interval(frame).shape == (60, 2)
    assert classifier(**FOLDS).fit(frame, THREE).predict_set(frame).shape == (60, 3)
    dense, sparse = (regressor(**FOLDS).fit(table, NUMBERS) for table in (X, sp.csr_matrix(X)))
    np.testing.assert_allclose(sparse.predict_interval(sp.csr_matrix(X)), dense.predict_interval(X), atol=0.05)


def test_a_long_table_keeps_few_numbers():
    rng = np.random.default_rng(0)
    data = rng.normal(size=(20_000, 2))
    model = regressor(**{**FOLDS, "max_iter": 1}).fit(data, data[:, 0])
    kept = [array for groups in model.fitted_.conformity.upper for group in groups for array in vars(group).values()]
    assert sum(array.size for array in kept) < 3000
