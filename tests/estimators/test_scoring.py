"""Scores of validation rows from their known raw scores, and the parameter `scoring`."""

from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import get_scorer

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding.check_input import Rows
from skscratch.estimators.scoring import score_of, with_known_scores
from tests.helpers.estimators import FRAME, Y, make, make_with_folds, noisy
from tests.helpers.plain import plain

X = np.random.RandomState(0).normal(size=(60, 3))
LABELS = np.where(X[:, 0] > 0, "yes", "no")


@pytest.fixture(scope="module")
def classifier():
    return plain(ScratchMLPClassifier, hidden_layer_sizes=(4,), max_iter=3, random_state=0).fit(X, LABELS)


def rows(y=LABELS, weight=None):
    return Rows(X, y, X, y, weight)


def test_a_copy_with_known_scores_predicts_from_them_and_leaves_the_estimator_as_it_is(classifier):
    z = np.random.RandomState(1).normal(size=(60, 1))
    before = classifier.predict(X)
    replaying = with_known_scores(classifier, X, z)
    np.testing.assert_array_equal(replaying.predict(X), np.where(z[:, 0] > 0, "yes", "no"))
    np.testing.assert_allclose(replaying.predict_proba(X)[:, 1], 1 / (1 + np.exp(-z[:, 0])), rtol=1e-12)
    np.testing.assert_array_equal(classifier.predict(X), before)


def test_a_copy_with_known_scores_refuses_other_rows(classifier):
    with pytest.raises(ValueError, match="only the validation rows"):
        with_known_scores(classifier, X, np.zeros((60, 1))).predict(X[:5])


@pytest.mark.parametrize(("scoring", "expected"), [(None, 0.75), ("accuracy", 0.75), ("balanced_accuracy", 0.75)])
def test_the_score_is_that_of_the_known_raw_scores(classifier, scoring, expected):
    z = np.where(LABELS == "yes", 1.0, -1.0)[:, None]
    for label in ("yes", "no"):  # a quarter of each class is wrong
        which = np.flatnonzero(LABELS == label)
        z[which[: len(which) // 4]] *= -1
    estimator = classifier.set_params(scoring=scoring)
    # the classes have 28 and 32 rows, so that the quarters are not exact
    assert score_of(estimator, rows(), z) == pytest.approx(expected, abs=0.02)


def test_the_score_is_weighted(classifier):
    z = np.where(LABELS == "yes", 1.0, -1.0)[:, None]
    z[:30] *= -1
    weight = np.where(np.arange(60) < 30, 0.0, 1.0)
    for scoring in (None, "accuracy"):
        assert score_of(classifier.set_params(scoring=scoring), rows(weight=weight), z) == 1


@pytest.mark.parametrize("value", [np.nan, None, "good", np.zeros(2)], ids=str)
def test_a_value_that_is_not_a_number_is_refused(value):
    estimator = SimpleNamespace(scoring=lambda replaying, X, y: value)
    with pytest.raises(ValueError, match="which is not a score, on the 60 validation rows"):
        score_of(estimator, rows(), np.zeros((60, 1)))


def test_the_error_names_a_scorer_that_fails():
    model = plain(ScratchMLPRegressor, max_iter=2).fit(X, X[:, 0]).set_params(scoring="neg_mean_squared_log_error")
    with pytest.raises(ValueError, match="scoring='neg_mean_squared_log_error' failed on the validation rows"):
        score_of(model, rows(X[:, 0]), X[:, :1])


def test_a_score_of_classes_is_refused_for_numbers():
    model = plain(ScratchMLPRegressor, max_iter=2, early_stopping=True, scoring="roc_auc")
    with pytest.raises(ValueError, match="scoring='roc_auc' failed on the validation rows: .*predict_proba"):
        model.fit(X, X[:, 0])


@pytest.mark.parametrize(
    ("kind_", "scoring"),
    [
        ("classifier", "accuracy"),
        ("classifier", "neg_log_loss"),
        ("classifier", "roc_auc"),
        ("regressor", "r2"),
        ("regressor", "neg_mean_absolute_error"),
    ],
)
def test_the_best_score_is_that_of_the_kept_weights(kind_, scoring):
    table, y = noisy(kind_)
    model = make(kind_, hidden_layer_sizes=(8,), max_iter=15, learning_rate_init=0.05, scoring=scoring)
    model.fit(table[25:], y[25:], X_val=table[:25], y_val=y[:25])
    assert model.best_validation_score_ == get_scorer(scoring)(model, table[:25], y[:25])
    assert model.validation_scores_ != [-loss for loss in model.validation_loss_curve_]


def test_scoring_may_be_none_or_a_callable(kind):
    table, y = noisy(kind)
    seen = []

    def scorer(estimator, X_val, y_val):
        seen.append((X_val, estimator.predict(X_val)))
        return -len(seen) if len(seen) > 2 else len(seen)  # the second epoch is the best

    model = make(kind, scoring=scorer).fit(table[25:], y[25:], X_val=table[:25], y_val=y[:25])
    assert model.validation_scores_ == [1, 2, -3] and model.best_iteration_ == 2
    assert all(X_val is seen[0][0] for X_val, _ in seen)
    np.testing.assert_array_equal(model.predict(table[:25]), seen[1][1])
    model = make(kind, scoring=None).fit(table[25:], y[25:], X_val=table[:25], y_val=y[:25])
    assert model.best_validation_score_ == model.score(table[:25], y[:25])


def test_a_scorer_receives_rows_of_the_given_frame(kind):
    names = []

    def scorer(estimator, X_val, y_val):
        names.append(list(X_val.columns))
        return estimator.score(X_val, y_val)

    make(kind, scoring=scorer, early_stopping=True).fit(FRAME, Y[kind])
    assert names == [["a", "b", "c"]] * 3


def test_scoring_with_folds(kind):
    table, y = noisy(kind)
    scoring = {"classifier": "accuracy", "regressor": "r2"}[kind]
    model = make_with_folds(kind, scoring=scoring, max_iter=10, learning_rate_init=0.05, refit=0.0).fit(table, y)
    assert model.best_validation_score_ == model.oof_score_
    own = make_with_folds(kind, scoring=None, max_iter=10, learning_rate_init=0.05, refit=0.0).fit(table, y)
    assert own.validation_scores_[1:] == model.validation_scores_[1:]


def test_a_scorer_never_sees_predictions_of_the_previous_fit(kind):
    """A scorer that predicts other rows gets predictions of this fit or an error."""
    table, y = noisy(kind)
    predictions = []

    def scorer(estimator, X_val, y_val):
        predictions.append(estimator.predict(table[:25]))
        return float(len(predictions))  # the last epoch is the best

    model = make(kind, learning_rate_init=0.05).fit(table, y[::-1])
    try:
        model.set_params(scoring=scorer).fit(table, y, X_val=table[25:], y_val=y[25:])
    except ValueError as error:
        assert "scor" in str(error)
    else:
        np.testing.assert_array_equal(predictions[-1], model.predict(table[:25]))


@pytest.mark.parametrize(("value", "shown"), [(float("nan"), "nan"), (None, "None"), ("a", "'a'")])
def test_a_result_that_is_not_a_number_is_refused(value, shown):
    X = np.random.RandomState(0).normal(size=(60, 3))
    model = ScratchMLPRegressor((4,), max_iter=3, early_stopping=True, scoring=lambda *_: value)
    with pytest.raises(ValueError, match=f"gave {shown}, which is not a score, on the 6 validation rows"):
        model.fit(X, X[:, 0])
