"""One BLAS thread inside, the caller's limit afterwards; and members divided among as many threads as BLAS may use."""

from contextlib import nullcontext
from threading import Event, Thread, current_thread, main_thread

import numpy as np
import pytest
from sklearn.datasets import load_iris
from threadpoolctl import threadpool_info, threadpool_limits

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.estimators import plan as solving
from skscratch.training.threads import allowed_threads, one_blas_thread


def limits():
    """Number of threads of each BLAS that is loaded."""
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


@pytest.fixture
def caller():
    """A caller that allows two threads, on any machine."""
    with threadpool_limits(2, user_api="blas"):
        before = limits()
        assert set(before) == {2}
        yield
        assert limits() == before


def test_one_thread_inside_and_two_again_outside(caller):
    with one_blas_thread():
        assert set(limits()) == {1}
    assert set(limits()) == {2}


def test_nested(caller):
    with one_blas_thread():
        with one_blas_thread():
            assert set(limits()) == {1}
        assert set(limits()) == {1}  # the inner one does not lift the outer one's
    assert set(limits()) == {2}


def test_after_an_exception(caller):
    with pytest.raises(KeyError), one_blas_thread():
        raise KeyError
    assert set(limits()) == {2}


def test_after_an_exception_inside_another(caller):
    with one_blas_thread():
        with pytest.raises(KeyError), one_blas_thread():
            raise KeyError
        assert set(limits()) == {1}
    assert set(limits()) == {2}


def test_the_callers_limit_of_the_moment_comes_back(caller):
    """Not the one that was in force when the libraries were first looked at."""
    with one_blas_thread():
        pass
    with threadpool_limits(1, user_api="blas"):
        with one_blas_thread():
            assert set(limits()) == {1}
        assert set(limits()) == {1}
    assert set(limits()) == {2}


class Visitor(Thread):
    """A thread that enters at once, notes the limits, leaves when told to, and lives on until the test is over."""

    def __init__(self):
        super().__init__(daemon=True)
        self.entered, self.leave, self.left, self.end = Event(), Event(), Event(), Event()
        self.seen = None
        self.start()
        assert self.entered.wait(30)

    def run(self):
        with one_blas_thread():
            self.entered.set()
            self.leave.wait(30)
            self.seen = limits()
        self.left.set()
        self.end.wait(30)

    def go(self):
        self.leave.set()
        assert self.left.wait(30)


@pytest.mark.parametrize("leaves_first", [0, 1], ids=["first in, first out", "first in, last out"])
@pytest.mark.parametrize("own_limit", [True, False], ids=["caller with a limit", "caller without a limit"])
def test_two_threads_that_overlap(own_limit, leaves_first):
    with threadpool_limits(2, user_api="blas") if own_limit else nullcontext():
        before = limits()
        visitors = [Visitor(), Visitor()]
        try:
            assert set(limits()) == {1}
            visitors[leaves_first].go()
            assert set(limits()) == {1}  # the other is still inside
            visitors[1 - leaves_first].go()
            assert limits() == before
            assert set(visitors[0].seen) == set(visitors[1].seen) == {1}
        finally:
            for visitor in visitors:
                visitor.leave.set()
                visitor.end.set()
                visitor.join(30)


def test_another_thread_may_set_its_limit_afterwards():
    """Where the threads are the process's, threadpoolctl obeys one Python thread at a time: it must be let go of."""
    with one_blas_thread():
        pass
    seen = []

    def work():
        with threadpool_limits(1, user_api="blas"):
            seen.append(set(limits()))

    thread = Thread(target=work)
    thread.start()
    thread.join(30)
    assert seen == [{1}]


def test_many_threads_come_and_go():
    found = []

    def work():
        for _ in range(5):
            with one_blas_thread():
                found.append(set(limits()))

    before = limits()
    threads = [Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert found == [{1}] * 30
    assert limits() == before


# ------------------------------------------------------------------------ members in threads


@pytest.mark.parametrize("limit", [1, 2])
def test_as_many_threads_are_allowed_as_the_caller_lets_blas_have(limit):
    with threadpool_limits(limit, user_api="blas"):
        assert allowed_threads() == limit
        with one_blas_thread():
            assert allowed_threads() == 1
        assert allowed_threads() == limit


X, Y = load_iris(return_X_y=True)
QUICK = {"hidden_layer_sizes": (8, 4), "n_members": 4, "n_folds": 2, "max_iter": 15, "random_state": 0}


def bits(model):
    """All that a fit finds, but for the seconds that it took."""
    history = {name: values for name, values in model.history_.items() if name != "seconds"}
    return [*model.coefs_, *model.intercepts_, model.oof_predictions_, model.predict(X), *history.values()]


@pytest.mark.parametrize("kind", [ScratchMLPClassifier, ScratchMLPRegressor])
@pytest.mark.parametrize("options", [{}, {"dropout": 0.2}, {"solver": "sgd"}, {"dtype": "float32"}], ids=str)
@pytest.mark.slow
def test_n_jobs_changes_no_bit(kind, options):
    alone = bits(kind(**QUICK, n_jobs=1, **options).fit(X, Y))
    for n_jobs in (2, 3, 9):
        for one, other in zip(alone, bits(kind(**QUICK, n_jobs=n_jobs, **options).fit(X, Y)), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.fixture
def asked(monkeypatch):
    """Numbers of threads that trainings are asked to use."""
    numbers, train = [], solving.train

    def noting(*args):
        numbers.append(args[7])
        return train(*args)

    monkeypatch.setattr(solving, "train", noting)
    return numbers


def test_n_jobs_is_the_number_of_threads_and_none_stands_for_what_blas_may_use(asked, caller):
    for n_jobs, expected in ((1, 1), (3, 3), (None, 2)):
        asked.clear()
        ScratchMLPRegressor(**QUICK, n_jobs=n_jobs).fit(X, Y)
        assert set(asked) == {expected} and len(asked) == 2  # with the refit
    with threadpool_limits(1, user_api="blas"):
        asked.clear()
        ScratchMLPRegressor(**QUICK).fit(X, Y)
        assert set(asked) == {1}


def squared(t, z):
    return 0.5 * ((z - t) ** 2).sum(axis=1), z - t


def falling(u):
    return 1 - u


OWN = {
    "loss": {"loss": squared},
    "activation": {"activation": (np.sin, np.cos)},
    "activation of one layer": {"activation": ["relu", (np.sin, np.cos)]},
    "schedule": {"learning_rate": falling},
}


@pytest.mark.parametrize("options", OWN.values(), ids=OWN)
def test_functions_of_the_users_are_called_from_one_thread(asked, options):
    """They may keep something, or not hold up under two calls at a time."""
    ScratchMLPRegressor(**QUICK, n_jobs=4, **options).fit(X, Y)
    assert set(asked) == {1}


def test_activations_by_name_are_not_the_users(asked):
    ScratchMLPRegressor(**QUICK, n_jobs=4, activation=["relu", "tanh"]).fit(X, Y)
    assert set(asked) == {4}


def test_a_users_schedule_is_asked_once_a_step():
    asked_at = []

    def schedule(u):
        assert current_thread() is main_thread()
        asked_at.append(u)
        return 0.5

    counts = []
    for n_jobs in (1, 4):
        asked_at.clear()
        options = {**QUICK, "max_iter": 2, "early_stopping": False, "batch_size": 50}
        ScratchMLPRegressor(**options, learning_rate=schedule, n_jobs=n_jobs).fit(X, Y)
        counts.append(len(asked_at))
    assert counts == [6, 6]


def test_an_interruption_leaves_no_limit_behind_and_is_not_followed_by_a_refit(asked, caller):
    """It comes in a scorer, which the main thread calls at the first epoch that is judged."""

    def score(estimator, X, y):
        raise KeyboardInterrupt

    judged = np.isfinite(ScratchMLPRegressor(**QUICK).fit(X, Y).validation_scores_)
    asked.clear()
    model = ScratchMLPRegressor(**QUICK, n_jobs=3, scoring=score)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(X, Y)
    assert asked == [3] and model.n_iter_ == np.argmax(judged) > 0
    assert set(limits()) == {2}
