"""The time limit of a fit, with a clock that the tests turn: nothing here depends on the speed of the machine."""

import warnings

import numpy as np
import pandas as pd
import pytest

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding import features
from skscratch.training import fit as fit_module
from skscratch.training import loop, time_limit
from skscratch.training.evaluation import Evaluation
from skscratch.training.race import CATEGORY_PENALTIES, DEFAULT_CATEGORY_PENALTY
from skscratch.training.time_limit import CycleEnds, Pace, StopInTime, TimeLimit

N = 200
RNG = np.random.RandomState(0)
X = RNG.normal(size=(N, 3))
Y = {"classifier": (X[:, 0] + X[:, 1] > 0).astype(int), "regressor": X[:, 0] + X[:, 1] ** 2}
CLASSES = {"classifier": ScratchMLPClassifier, "regressor": ScratchMLPRegressor}
SMALL = {"hidden_layer_sizes": (6,), "random_state": 0, "n_jobs": 1, "batch_size": 20}  # ten steps an epoch


class Clock:
    """A clock that shows the seconds that steps, evaluations and encodings have taken, as the test says they do."""

    def __init__(self, monkeypatch, step=1.0, evaluation=0.0, encoding=0.0):
        self.now = 0.0
        monkeypatch.setattr(time_limit, "clock", lambda: self.now)
        self._slow(monkeypatch, loop.Epoch, "advance", step)
        self._slow(monkeypatch, Evaluation, "score", evaluation)
        self._slow(monkeypatch, features.FeatureEncoder, "fit", encoding)

    def _slow(self, monkeypatch, owner, name, seconds):
        original = getattr(owner, name)

        def slow(*args, **kwargs):
            self.now += seconds
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, slow)


@pytest.fixture(params=CLASSES)
def kind(request):
    return request.param


def fit(kind, table=X, **options):
    return CLASSES[kind](**{**SMALL, **options}).fit(table, Y[kind])


# 60 epochs of ten steps of a second, and their refit, take 720 seconds at most
@pytest.mark.parametrize("seconds", [10, 100])
@pytest.mark.parametrize("evaluation", [0.0, 2.0])
def test_a_fit_ends_in_time_with_a_learning_rate_of_about_zero(kind, seconds, evaluation, monkeypatch):
    clock = Clock(monkeypatch, evaluation=evaluation)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = fit(kind, max_time=seconds, n_iter_no_change=np.inf, early_stopping="folds")
    # each epoch that is evaluated in the last cycle may be the last, and one step ends what the time cuts
    assert clock.now <= seconds + 2 * evaluation + 2
    assert clock.now >= 0.4 * seconds  # unless a cycle gains too little
    rates = np.array(model.history_["learning_rate"])
    assert rates[-1] < 0.1 * 0.04
    assert model.n_iter_ == len(model.loss_curve_) < 60
    assert model.t_ <= N * model.n_iter_ and np.isfinite(model.loss_curve_).all()
    assert np.isfinite(model.validation_loss_curve_[-1])  # the last epoch is evaluated


def test_enough_time_changes_nothing(kind, monkeypatch):
    unlimited = fit(kind)
    Clock(monkeypatch)
    limited = fit(kind, max_time=1000)
    np.testing.assert_array_equal(limited.fitted_.parameters, unlimited.fitted_.parameters)
    assert limited.loss_curve_ == unlimited.loss_curve_ and limited.oof_score_ == unlimited.oof_score_


def test_a_single_epoch_may_be_cut(kind, monkeypatch):
    clock = Clock(monkeypatch)
    model = fit(kind, max_time=6)
    assert model.n_iter_ == 1 and model.t_ < N and clock.now == model.t_ / 20 <= 7
    assert model.loss_ < 2 * fit(kind, max_iter=1).loss_  # it is the mean over the rows that were seen
    assert np.isfinite(model.predict(X)).all()


def test_even_no_time_gives_a_network(kind, monkeypatch):
    Clock(monkeypatch)
    assert np.isfinite(fit(kind, max_time=1e-9).predict(X)).all()


def test_training_has_half_of_the_time_however_long_the_encoding_takes(monkeypatch):
    clock = Clock(monkeypatch, encoding=500.0)
    model = fit("regressor", max_time=100)
    assert 500 + 40 <= clock.now <= 500 + 52
    assert model.n_iter_ >= 4
    clock = Clock(monkeypatch, encoding=30.0)
    fit("regressor", max_time=100)
    assert clock.now <= 102


def test_the_refit_has_its_share_and_none_after_few_epochs(monkeypatch):
    trained = []
    original = fit_module.train
    monkeypatch.setattr(fit_module, "train", lambda *args: trained.append(1) or original(*args))
    clock = Clock(monkeypatch)
    fit("regressor", max_time=120, refit=1.0)
    assert len(trained) == 2 and 100 < clock.now <= 122  # sixty seconds each
    trained.clear()
    model = fit("regressor", max_time=30, refit=1.0)
    assert len(trained) == 1 and model.n_iter_ == 3


def test_validation_rows_and_no_validation(kind, monkeypatch):
    for options, validation in (
        ({"early_stopping": True}, {}),
        ({}, {"X_val": X[:50], "y_val": Y[kind][:50]}),
        ({"early_stopping": False}, {}),
        ({"n_members": 1}, {}),
    ):
        clock = Clock(monkeypatch)
        model = CLASSES[kind](**SMALL, **options, max_time=50).fit(X, Y[kind], **validation)
        assert 10 <= clock.now <= 52 and model.n_iter_ <= 7
        assert model.history_["learning_rate"][-1] < 0.1 * 0.04 or model.n_iter_ < 5


@pytest.mark.parametrize("learning_rate", ["cosine", "one_cycle", lambda u: 1 - u])
def test_other_schedules_run_over_the_time(learning_rate, monkeypatch):
    Clock(monkeypatch)
    rates = fit("regressor", max_time=100, learning_rate=learning_rate).history_["learning_rate"]
    assert rates[-1] < 0.05 * max(rates)


@pytest.mark.parametrize("learning_rate", ["constant", "invscaling", "adaptive"])
def test_schedules_without_an_end_stop_without_a_warning(kind, learning_rate, monkeypatch):
    clock = Clock(monkeypatch)
    model = fit(kind, max_time=100, learning_rate=learning_rate, early_stopping=False)
    assert model.n_iter_ < 60 and clock.now <= 101


def test_lbfgs_stops_before_the_limit(kind, monkeypatch):
    times = iter(range(10_000))
    monkeypatch.setattr(time_limit, "clock", lambda: next(times))
    model = fit(kind, solver="lbfgs", max_time=30, tol=0.0)
    assert 1 <= model.n_iter_ < 30  # the clock is asked twice for each iteration


def test_partial_fit_has_no_limit(kind, monkeypatch):
    Clock(monkeypatch)
    limited, free = (CLASSES[kind](**SMALL, max_time=t) for t in (1e-3, None))
    options = {"classes": [0, 1]} if kind == "classifier" else {}
    for model in (limited, free):
        model.partial_fit(X, Y[kind], **options)
    np.testing.assert_array_equal(limited.coefs_[0], free.coefs_[0])


def test_the_race_of_the_penalties_is_limited_too(monkeypatch):
    table = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "name": [f"name {i}" for i in range(N)]})
    clock = Clock(monkeypatch)
    short = fit("regressor", table, max_time=200)
    assert short.category_penalty_ == DEFAULT_CATEGORY_PENALTY and clock.now <= 202
    clock = Clock(monkeypatch)
    long = fit("regressor", table, max_time=2000)
    assert long.category_penalty_ in CATEGORY_PENALTIES and long.category_penalty_ != DEFAULT_CATEGORY_PENALTY
    assert long.category_penalty_ == fit("regressor", table).category_penalty_


def test_a_warm_start_after_a_limit_begins_a_new_schedule(monkeypatch):
    clock = Clock(monkeypatch)
    model = fit("regressor", max_time=80, warm_start=True)
    n, before = model.n_iter_, clock.now
    model.fit(X, Y["regressor"])
    assert clock.now - before <= 82 and 2 <= len(model.loss_curve_) - n <= 8


def test_dropout_and_threads(monkeypatch):
    for options in ({"dropout": 0.1}, {"n_jobs": 2}, {"solver": "sgd"}):
        clock = Clock(monkeypatch)
        model = fit("regressor", max_time=100, **options)
        assert clock.now <= 210 and np.isfinite(model.predict(X)).all()  # two threads turn the clock twice as fast


# -------------------------------------------------------------- the parts


def test_progress_is_that_of_the_steps_or_of_the_time(monkeypatch):
    clock = Clock(monkeypatch)
    pace = Pace(100)
    assert pace(0.3) == 0.3
    clock.now = 1
    assert pace(0.0) == 0.0  # the first steps are slow
    clock.now = 50
    assert pace(0.3) == 0.5 and pace(0.7) == 0.7 and pace.left() == 50
    assert not pace.is_over()
    clock.now = 101
    assert pace(0.7) == 1 and pace.is_over() and pace.left() == -1


def test_evaluations_and_the_refit_are_kept_back(monkeypatch):
    clock = Clock(monkeypatch)
    pace = Pace(120, n_epochs=60, refit=0.2)
    clock.now = 12
    assert pace(0.1) == pytest.approx(0.12)  # of a hundred seconds
    assert pace.refits

    def evaluate(parameters):
        clock.now += 6
        return 1.0, -1.0

    assert pace.timed(evaluate)(None) == (1.0, -1.0)
    assert pace(0.1) == pytest.approx(18 / 90)  # two more evaluations of six seconds
    clock.now = 85
    assert pace.is_over()  # an epoch would leave no time to evaluate it
    slow = Pace(120, n_epochs=60, refit=0.2)
    clock.now += 60
    assert slow(2 / 60) == 0.5 and not slow.refits


def test_before_an_evaluation_is_measured_it_is_guessed(monkeypatch):
    clock = Clock(monkeypatch)
    pace = Pace(100, evaluation_steps=5)
    for _ in range(10):
        pace(0.0)
        clock.now += 1
    assert pace(0.0) == pytest.approx(10 / (100 - 2 * 5 * 10 / 11))


def test_a_cycle_ends_in_a_short_epoch_alone(monkeypatch):
    clock = Clock(monkeypatch)
    pace = Pace(100)
    ends = CycleEnds(pace, (0.2,))
    for now, expected in ((18, False), (21, True), (24, False)):
        clock.now = now
        pace.end_epoch(0.0)
        assert (1 in ends) is expected
    pace = Pace(100)
    clock.now += 30
    pace.end_epoch(0.0)
    assert 1 not in CycleEnds(pace, (0.2,))


def test_an_iteration_that_would_exceed_the_limit_does_not_begin(monkeypatch):
    clock = Clock(monkeypatch)
    stop = StopInTime(TimeLimit(10))
    answers = []
    for _ in range(3):
        clock.now += 3
        answers.append(stop.on_epoch_end(None))
    assert answers == [False, False, True] and "10 s" in stop.reason


def test_the_end_moves_only_if_too_little_is_left(monkeypatch):
    clock = Clock(monkeypatch)
    limit = TimeLimit(10)
    clock.now = 4
    limit.grant(0.5)
    assert limit.left() == 6
    clock.now = 8
    limit.grant(0.5)
    assert limit.left() == 5
