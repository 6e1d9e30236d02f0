"""Scores of rows whose raw scores are known."""

from types import SimpleNamespace

import numpy as np
import pytest

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding.check_input import Rows
from skscratch.estimators.scoring import answering, score_of
from tests.helpers.plain import plain

X = np.random.RandomState(0).normal(size=(60, 3))
LABELS = np.where(X[:, 0] > 0, "yes", "no")


@pytest.fixture(scope="module")
def classifier():
    return plain(ScratchMLPClassifier, hidden_layer_sizes=(4,), max_iter=3, random_state=0).fit(X, LABELS)


def rows(y=LABELS, weight=None):
    return Rows(X, y, X, y, weight)


def test_an_answering_copy_says_what_it_is_told_and_the_estimator_stays_as_it_is(classifier):
    z = np.random.RandomState(1).normal(size=(60, 1))
    before = classifier.predict(X)
    seen = answering(classifier, rows(), z)
    np.testing.assert_array_equal(seen.predict(X), np.where(z[:, 0] > 0, "yes", "no"))
    np.testing.assert_allclose(seen.predict_proba(X)[:, 1], 1 / (1 + np.exp(-z[:, 0])), rtol=1e-12)
    np.testing.assert_array_equal(classifier.predict(X), before)


def test_an_answering_copy_refuses_other_rows(classifier):
    with pytest.raises(ValueError, match="only the validation rows"):
        answering(classifier, rows(), np.zeros((60, 1))).predict(X[:5])


@pytest.mark.parametrize(("scoring", "expected"), [(None, 0.75), ("accuracy", 0.75), ("balanced_accuracy", 0.75)])
def test_the_score_is_that_of_the_raw_scores(classifier, scoring, expected):
    z = np.where(LABELS == "yes", 1.0, -1.0)[:, None]
    for label in ("yes", "no"):  # a quarter of each class is told wrongly
        which = np.flatnonzero(LABELS == label)
        z[which[: len(which) // 4]] *= -1
    estimator = classifier.set_params(scoring=scoring)
    assert score_of(estimator, rows(), z) == pytest.approx(
        expected, abs=0.02
    )  # classes of 28 and 32: not quite quarters


def test_weights_of_the_rows_count(classifier):
    z = np.where(LABELS == "yes", 1.0, -1.0)[:, None]
    z[:30] *= -1
    weight = np.where(np.arange(60) < 30, 0.0, 1.0)
    for scoring in (None, "accuracy"):
        assert score_of(classifier.set_params(scoring=scoring), rows(weight=weight), z) == 1


@pytest.mark.parametrize("answer", [np.nan, None, "good", np.zeros(2)], ids=str)
def test_an_answer_that_is_no_score_is_refused(answer):
    estimator = SimpleNamespace(scoring=lambda seen, X, y: answer)
    with pytest.raises(ValueError, match="which is no score, on the 60 validation rows"):
        score_of(estimator, rows(), np.zeros((60, 1)))


def test_a_scorer_that_fails_is_named():
    model = plain(ScratchMLPRegressor, max_iter=2).fit(X, X[:, 0]).set_params(scoring="neg_mean_squared_log_error")
    with pytest.raises(ValueError, match="scoring='neg_mean_squared_log_error' failed on the validation rows"):
        score_of(model, rows(X[:, 0]), X[:, :1])
