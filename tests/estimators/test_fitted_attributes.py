"""The attributes of a fitted estimator."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest

from tests.helpers.estimators import FRAME, X, Y, folds_of, make, make_with_folds, noisy


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("validated", [False, True])
def test_fitted_attributes(kind, solver, validated):
    y = Y[kind]
    model = make(kind, hidden_layer_sizes=(4, 2), max_iter=5, solver=solver)
    model.fit(X, y, **({"X_val": X[:10], "y_val": y[:10]} if validated else {}))
    n = model.n_iter_
    assert 1 <= n <= 5 and type(n) is int
    assert len(model.loss_curve_) == n and all(type(loss) is float for loss in model.loss_curve_)
    assert model.loss_ == model.loss_curve_[-1]
    assert model.t_ == 40 * n
    assert model.n_layers_ == 4 and model.n_outputs_ == 1 and model.n_features_in_ == 3
    assert not hasattr(model, "feature_names_in_")
    assert [w.shape for w in model.coefs_] == [(3, 4), (4, 2), (2, 1)]
    assert [b.shape for b in model.intercepts_] == [(4,), (2,), (1,)]
    assert model.out_activation_ == {"classifier": "logistic", "regressor": "identity"}[kind]
    history = pd.DataFrame(model.history_)
    assert history["loss"].tolist() == model.loss_curve_ and len(history) == n
    assert {"learning_rate", "seconds"} <= set(history) and history["seconds"].is_monotonic_increasing
    if validated:
        assert len(model.validation_scores_) == len(model.validation_loss_curve_) == n
        assert model.best_validation_score_ == max(model.validation_scores_)
        assert model.validation_scores_ == [-loss for loss in model.validation_loss_curve_]  # scoring="loss"
        assert model.best_iteration_ == 1 + int(np.argmax(model.validation_scores_))
        assert model.best_loss_ is None
        assert history["validation_score"].tolist() == model.validation_scores_
    else:
        assert model.validation_scores_ is None and model.validation_loss_curve_ is None
        assert model.best_validation_score_ is None
        assert model.best_loss_ == min(model.loss_curve_)
        assert model.best_iteration_ == 1 + int(np.argmin(model.loss_curve_))
        assert set(history) == {"loss", "learning_rate", "seconds"}


def test_attributes_of_members_and_without_biases(kind):
    model = make(kind, n_members=3).fit(X, Y[kind])
    assert [w.shape for w in model.coefs_] == [(3, 3, 4), (3, 4, 1)]
    assert [b.shape for b in model.intercepts_] == [(3, 4), (3, 1)]
    model = make(kind, fit_intercept=False).fit(X, Y[kind])
    assert [b.tolist() for b in model.intercepts_] == [[0, 0, 0, 0], [0]]
    model = make(kind, hidden_layer_sizes=()).fit(X, Y[kind])
    assert model.n_layers_ == 2 and [w.shape for w in model.coefs_] == [(3, 1)]


def test_feature_names_and_encoded_columns(kind):
    model = make(kind).fit(FRAME, Y[kind])
    assert model.feature_names_in_.tolist() == ["a", "b", "c"] and model.feature_names_in_.dtype == object
    assert model.n_features_in_ == 3
    assert model.coefs_[0].shape == (4, 4)  # a, b, c=u, c=v
    assert not hasattr(model.fit(X, Y[kind]), "feature_names_in_")  # another fit removes them


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("n", "options", "expected"),
    [
        (200, {}, "float64"),
        (201, {}, "float32"),
        (201, {"dtype": "float64"}, "float64"),
        (50, {"dtype": "float32"}, "float32"),
        (50, {"dtype": np.float32}, "float32"),
        (201, {"solver": "lbfgs"}, "float32"),
        (50, {"solver": "lbfgs", "dtype": "float32"}, "float32"),
        (50, {"solver": "lbfgs"}, "float64"),
    ],
)
@pytest.mark.parametrize("given", [np.float32, np.float64])
def test_dtype(kind, n, options, expected, given):
    rng = np.random.RandomState(0)
    table = rng.normal(size=(n, 2)).astype(given)
    y = (table[:, 0] > 0).astype(int) if kind == "classifier" else table[:, 0]
    model = make(kind, **options).fit(table, y)
    assert {array.dtype for array in [*model.coefs_, *model.intercepts_]} == {np.dtype(expected)}
    if options.get("solver") != "lbfgs":
        model.partial_fit(table, y)
        assert model.coefs_[0].dtype == expected


@pytest.mark.parametrize("n_members", [1, 4])
@pytest.mark.parametrize("n", [50, 201])
def test_predictions_are_double_precision(kind, n, n_members):
    rng = np.random.RandomState(0)
    table = rng.normal(size=(n, 2)).astype(np.float32)
    y = (table[:, 0] > 0).astype(int) if kind == "classifier" else table[:, 0]  # float32 too
    model = make_with_folds(kind, n_members=n_members, dtype="float32").fit(table, y)
    if kind == "classifier":
        predictions = [model.predict_proba(table), model.predict_log_proba(table), model.decision_function(table)]
        sums = model.predict_proba(table).sum(axis=1)
        np.testing.assert_allclose(sums, 1, rtol=1e-15)  # to the rounding of double precision
    else:
        mean, std = model.predict(table, return_std=True)
        predictions = [model.predict(table), mean, std]
        np.testing.assert_array_equal(mean, predictions[0])
    if n_members > 1:
        predictions.append(model.oof_predictions_)
    for values in predictions:
        assert values.dtype == np.float64
        assert json.loads(json.dumps(list(values.ravel()))) == values.ravel().tolist()


def test_several_outputs_are_double_precision(kind):
    rng = np.random.RandomState(0)
    table = rng.normal(size=(201, 2))
    y = (table > 0).astype(int) if kind == "classifier" else table
    model = make(kind).fit(table, y)
    assert model.coefs_[0].dtype == np.float32
    assert (model.predict_proba if kind == "classifier" else model.predict)(table).dtype == np.float64
    unscaled = make(kind, **({} if kind == "classifier" else {"scale_target": False, "clip_target": False}))
    unscaled.partial_fit(table, y, **({"classes": [0, 1]} if kind == "classifier" else {}))
    assert (unscaled.predict_proba if kind == "classifier" else unscaled.predict)(table).dtype == np.float64


def test_attributes_of_folds(kind):
    table, y = noisy(kind)
    model = make_with_folds(kind, max_iter=6).fit(table, y)
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == model.n_iter_ == 6
    assert model.best_validation_score_ == max(model.validation_scores_[1:])
    assert model.best_iteration_ == 1 + int(np.nanargmax(model.validation_scores_))
    assert model.best_loss_ is None and model.temperature_ == 1
    assert model.t_ == 6 * 80  # no row is held out from all members
    assert len(model.oof_predictions_) == 80 and type(model.oof_score_) is float
    assert not np.isnan(model.validation_scores_[-1])


@pytest.mark.parametrize(
    "options",
    [
        {"early_stopping": False},
        {"early_stopping": True},
        {"n_members": 1},
        {"solver": "lbfgs", "n_iter_no_change": np.inf},
    ],
    ids=["off", "split", "lone", "lbfgs"],
)
def test_a_fit_without_folds_has_no_out_of_fold_results(kind, options):
    table, y = noisy(kind)
    model = make_with_folds(kind).fit(table, y)
    assert model.oof_predictions_ is not None and model.oof_score_ is not None
    model.set_params(**options).fit(table, y)  # another fit removes them
    assert model.oof_predictions_ is None and model.oof_score_ is None


def test_partial_fit_removes_the_out_of_fold_results(kind):
    table, y = noisy(kind)
    model = make_with_folds(kind).fit(table, y).partial_fit(table, y)
    assert model.oof_predictions_ is None and model.oof_score_ is None


def test_x_val_replaces_folds(kind):
    table, y = noisy(kind)
    given = {"X_val": table[:25], "y_val": y[:25]}
    model = make_with_folds(kind).fit(table[25:], y[25:], **given)
    assert model.oof_predictions_ is None and model.oof_score_ is None and folds_of(model) is None
    without = make_with_folds(kind, early_stopping=False).fit(table[25:], y[25:], **given)
    np.testing.assert_array_equal(model.predict(table), without.predict(table))
    assert model.validation_scores_ == without.validation_scores_


def test_a_pickle_has_the_out_of_fold_score_but_not_the_predictions(kind):
    table, y = noisy(kind, 2000)
    for options in ({}, {"warm_start": True}):
        model = make_with_folds(kind, **options).fit(table, y)
        again = pickle.loads(pickle.dumps(model))
        assert not hasattr(again, "oof_predictions_") and again.oof_score_ == model.oof_score_
        assert len(model.oof_predictions_) == 2000  # the model itself keeps them
        np.testing.assert_array_equal(again.predict(table), model.predict(table))
    size = sum(array.nbytes for array in [*model.coefs_, *model.intercepts_])
    assert len(pickle.dumps(make_with_folds(kind).fit(table, y))) < size + 9000  # no array has an element per row


def test_predict_does_not_change_the_model(kind):
    model = make(kind).fit(FRAME, Y[kind])
    before = {name: id(value) for name, value in vars(model).items()}
    model.predict(FRAME)
    model.score(FRAME, Y[kind])
    assert {name: id(value) for name, value in vars(model).items()} == before
