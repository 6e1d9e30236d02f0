"""One BLAS thread during training and the caller's limit afterwards; members divided among the allowed threads."""

from contextlib import nullcontext
from threading import Event, Thread, current_thread, main_thread

import numpy as np
import pytest
from sklearn.datasets import load_iris
from threadpoolctl import threadpool_info, threadpool_limits

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.estimators.fitted import FittedNetwork
from skscratch.training import fit as fit_module
from skscratch.training.threads import allowed_threads, one_blas_thread, training_context


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


def test_the_training_context_limits_threads_buffers_and_warnings(caller):
    before, handling = np.getbufsize(), np.geterr()
    with training_context():
        assert set(limits()) == {1} and np.getbufsize() == 1024 < before
        assert np.exp(np.array([1000.0]))[0] == np.inf  # warnings are errors in these tests
    assert np.getbufsize() == before and np.geterr() == handling
    with pytest.raises(KeyError), training_context():
        raise KeyError
    assert np.getbufsize() == before and np.geterr() == handling


def test_nested(caller):
    with one_blas_thread():
        with one_blas_thread():
            assert set(limits()) == {1}
        assert set(limits()) == {1}  # leaving the inner context keeps the limit of the outer one
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


def test_the_present_limit_of_the_caller_is_restored(caller):
    """It is not the one of the time when the libraries were first found."""
    with one_blas_thread():
        pass
    with threadpool_limits(1, user_api="blas"):
        with one_blas_thread():
            assert set(limits()) == {1}
        assert set(limits()) == {1}
    assert set(limits()) == {2}


class Visitor(Thread):
    """A thread that enters at once, notes the limits, leaves after `go`, and lives until the test is over."""

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
            assert set(limits()) == {1}  # the other thread is still inside
            visitors[1 - leaves_first].go()
            assert limits() == before
            assert set(visitors[0].seen) == set(visitors[1].seen) == {1}
        finally:
            for visitor in visitors:
                visitor.leave.set()
                visitor.end.set()
                visitor.join(30)


def test_another_thread_may_set_its_limit_afterwards():
    """threadpoolctl obeys only the first Python thread that sets OpenBLAS's limit, which must be released."""
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
def test_the_callers_limit_on_blas_is_the_number_of_allowed_threads(limit):
    with threadpool_limits(limit, user_api="blas"):
        assert allowed_threads() == limit
        with one_blas_thread():
            assert allowed_threads() == 1
        assert allowed_threads() == limit


X, Y = load_iris(return_X_y=True)
QUICK = {"hidden_layer_sizes": (8, 4), "n_members": 4, "n_folds": 2, "max_iter": 15, "random_state": 0}


def bits(model):
    """All results of a fit except its duration."""
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
def thread_counts(monkeypatch):
    """The number of threads of each training."""
    counts, train = [], fit_module.train

    def train_and_note(objective, *args):
        counts.append(objective.threads.n)
        return train(objective, *args)

    monkeypatch.setattr(fit_module, "train", train_and_note)
    return counts


def test_n_jobs_is_the_number_of_threads_and_none_stands_for_those_of_blas(thread_counts, caller):
    for n_jobs, expected in ((1, 1), (3, 3), (None, 2)):
        thread_counts.clear()
        ScratchMLPRegressor(**QUICK, n_jobs=n_jobs).fit(X, Y)
        assert set(thread_counts) == {expected} and len(thread_counts) == 2  # with the refit
    with threadpool_limits(1, user_api="blas"):
        thread_counts.clear()
        ScratchMLPRegressor(**QUICK).fit(X, Y)
        assert set(thread_counts) == {1}


def squared(t, z):
    return 0.5 * ((z - t) ** 2).sum(axis=1), z - t


def falling(u):
    return 1 - u


USER_FUNCTIONS = {
    "loss": {"loss": squared},
    "activation": {"activation": (np.sin, np.cos)},
    "activation of one layer": {"activation": ["relu", (np.sin, np.cos)]},
    "schedule": {"learning_rate": falling},
}


@pytest.mark.parametrize("options", USER_FUNCTIONS.values(), ids=USER_FUNCTIONS)
def test_user_functions_are_called_from_one_thread(thread_counts, options):
    """They may have state, or may not allow two calls at a time."""
    ScratchMLPRegressor(**QUICK, n_jobs=4, **options).fit(X, Y)
    assert set(thread_counts) == {1}


@pytest.fixture
def predicting(monkeypatch):
    """Small chunks of rows, and the threads that have predicted them."""
    seen, original = set(), FittedNetwork.encode

    def note(self, data, *args):
        seen.add(current_thread())
        return original(self, data, *args)

    monkeypatch.setattr(FittedNetwork, "encode", note)
    monkeypatch.setattr("skscratch.estimators.fitted.PREDICT_CHUNK_VALUES", 300)
    return seen


@pytest.mark.parametrize("n_jobs", [1, 2, 3, None])
def test_threads_share_the_rows_of_a_prediction_and_change_no_bit(predicting, caller, n_jobs):
    """Each thread has chunks of its own, here of a few rows."""
    classifier, regressor = (kind(**QUICK).fit(X, Y) for kind in (ScratchMLPClassifier, ScratchMLPRegressor))
    calls = {
        "predict_proba": classifier.predict_proba,
        "decision_function": classifier.decision_function,
        "predict_set": classifier.predict_set,
        "transform": classifier.transform,
        "predict": regressor.predict,
        "spread": lambda table: regressor.predict(table, return_std=True)[1],
        "predict_interval": regressor.predict_interval,
    }
    alone = {}
    for jobs, found in ((1, alone), (n_jobs, {})):
        classifier.set_params(n_jobs=jobs), regressor.set_params(n_jobs=jobs)
        for name, call in calls.items():
            predicting.clear()
            found[name] = call(X)
            at_most = 2 if jobs is None else jobs  # a thread that is done takes the next chunk before another starts
            assert min(at_most, 2) <= len(predicting) <= at_most and current_thread() in predicting, name
            np.testing.assert_array_equal(found[name], alone[name])


@pytest.mark.parametrize("options", [{"n_jobs": 3, "activation": (np.sin, np.cos)}, {"n_jobs": 1}], ids=str)
def test_user_functions_predict_in_one_thread(predicting, options):
    ScratchMLPRegressor(**QUICK, **options).fit(X, Y).predict(X)
    assert predicting == {current_thread()}


def test_an_error_in_a_thread_of_a_prediction_is_raised(predicting):
    model = ScratchMLPRegressor(**QUICK, n_jobs=2, scale_features=False, dtype="float32").fit(X, Y)
    table = X.copy()
    table[-1] = 1e300  # in the last chunk
    with pytest.raises(ValueError, match="too large"):
        model.predict(table)


def test_named_activations_are_not_user_functions(thread_counts):
    ScratchMLPRegressor(**QUICK, n_jobs=4, activation=["relu", "tanh"]).fit(X, Y)
    assert set(thread_counts) == {4}


def test_a_users_schedule_is_called_once_a_step():
    calls = []

    def schedule(u):
        assert current_thread() is main_thread()
        calls.append(u)
        return 0.5

    counts = []
    for n_jobs in (1, 4):
        calls.clear()
        options = {**QUICK, "max_iter": 2, "early_stopping": False, "batch_size": 50}
        ScratchMLPRegressor(**options, learning_rate=schedule, n_jobs=n_jobs).fit(X, Y)
        counts.append(len(calls))
    assert counts == [6, 6]


def test_after_an_interruption_the_limit_is_lifted_and_no_refit_follows(thread_counts, caller):
    """It comes in the scorer, which the main thread calls at the first epoch that is validated."""

    def score(estimator, X, y):
        raise KeyboardInterrupt

    validated = np.isfinite(ScratchMLPRegressor(**QUICK).fit(X, Y).validation_scores_)
    thread_counts.clear()
    model = ScratchMLPRegressor(**QUICK, n_jobs=3, scoring=score)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(X, Y)
    assert thread_counts == [3] and model.n_iter_ == np.argmax(validated) > 0
    assert set(limits()) == {2}
