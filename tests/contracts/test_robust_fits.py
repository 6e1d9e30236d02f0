"""A fit ends with a model that predicts numbers, or leaves the estimator as it was; what interrupts it is made good."""

import pickle
import threading

import joblib
import numpy as np
import pytest

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.estimators.constraints import InvalidParameterError

RNG = np.random.RandomState(0)
X = RNG.normal(size=(150, 4))
Y = X[:, 0] + 0.1 * RNG.normal(size=150)
KINDS = [(ScratchMLPRegressor, Y), (ScratchMLPClassifier, (Y > 0).astype(int))]
QUICK = {"random_state": 0, "max_iter": 8, "n_jobs": 1}


def never_a_number(x):
    return np.full_like(x, np.nan)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("options", [{}, {"solver": "lbfgs"}, {"early_stopping": False}, {"early_stopping": True}])
@pytest.mark.parametrize("kind, y", KINDS)
def test_a_network_that_gives_nan_is_refused_by_fit(kind, y, options):
    model = kind(activation=(never_a_number, np.ones_like), init="auto", **{**QUICK, **options})
    with pytest.raises(ValueError, match="NaN|non-finite"):
        model.fit(X, y)
    assert not hasattr(model, "fitted_")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kind, y", KINDS)
def test_a_stream_that_gives_nan_is_refused(kind, y):
    model = kind(activation=(never_a_number, np.ones_like), init="auto", **QUICK)
    with pytest.raises(ValueError, match="NaN|non-finite"):
        model.partial_fit(X, y, **({"classes": [0, 1]} if kind is ScratchMLPClassifier else {}))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("kind, y", KINDS)
def test_rows_near_the_largest_float_without_scaling_end_in_numbers_or_in_an_error(kind, y, solver):
    huge = X * 1.0
    huge[3] = 1e308
    model = kind(scale_features=False, numeric_embedding=None, dtype="float64", solver=solver, **QUICK)
    try:
        model.fit(huge, y)
    except ValueError as error:
        assert "scale" in str(error)
    else:
        assert np.isfinite(model.predict(huge)).all()


class InterruptAt:
    """A learning-rate schedule that raises KeyboardInterrupt at its n-th call."""

    def __init__(self, n):
        self.n, self.calls = n, 0

    def __call__(self, progress):
        self.calls += 1
        if self.calls == self.n:
            raise KeyboardInterrupt
        return 1 - 0.9 * progress


@pytest.mark.parametrize("kind, y", KINDS)
def test_an_interrupt_during_the_refit_is_finished_by_a_warm_start(kind, y, monkeypatch):
    from skscratch.training import fit as fit_module

    whole = kind(**QUICK, refit=0.5).fit(X, y)
    model = kind(**QUICK, refit=0.5, warm_start=True)
    hann_window, calls = fit_module.hann_window, []

    def interrupted(*shape):
        window = hann_window(*shape)

        def factor(u):
            calls.append(u)
            if len(calls) == 5:
                raise KeyboardInterrupt
            return window(u)

        return factor

    monkeypatch.setattr(fit_module, "hann_window", interrupted)
    with pytest.warns(UserWarning, match="interrupted"):
        model.fit(X, y)
    assert not np.array_equal(model.fitted_.parameters, whole.fitted_.parameters)
    n_epochs = len(model.loss_curve_)
    model.fit(X, y)
    assert len(model.loss_curve_) == n_epochs == len(whole.loss_curve_)
    np.testing.assert_array_equal(model.fitted_.parameters, whole.fitted_.parameters)
    model.fit(X, y)  # that one ended, so that this one goes on with a new schedule
    assert len(model.loss_curve_) > n_epochs


@pytest.mark.parametrize("kind, y", KINDS)
def test_an_interrupted_refit_is_finished_from_a_pickle_too(kind, y, monkeypatch):
    from skscratch.training import fit as fit_module

    whole = kind(**QUICK, refit=0.5).fit(X, y)
    model = kind(**QUICK, refit=0.5, warm_start=True)
    with monkeypatch.context() as patch:
        patch.setattr(fit_module, "hann_window", lambda *shape: lambda u: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.warns(UserWarning, match="interrupted"):
            model.fit(X, y)
    again = pickle.loads(pickle.dumps(model)).fit(X, y)
    np.testing.assert_array_equal(again.fitted_.parameters, whole.fitted_.parameters)


class Raises:
    """A callback that raises at the end of the fit, or when it is torn down."""

    def __init__(self, at):
        self.at = at

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        if self.at == "end" and context.parent is None:
            raise RuntimeError("at the end")

    def teardown(self, estimator, context):
        if self.at == "teardown":
            raise RuntimeError("at the teardown")


@pytest.mark.parametrize("at", ["end", "teardown"])
@pytest.mark.parametrize("kind, y", KINDS)
def test_an_error_of_the_last_callback_leaves_the_estimator_as_it_was(kind, y, at):
    pytest.importorskip("sklearn.callback")
    model = kind(**QUICK).fit(X, y)
    before = vars(model).copy()
    model.set_callbacks(Raises(at))
    with pytest.raises(RuntimeError, match=at):
        model.set_params(random_state=1).fit(X, y)
    after = {name: value for name, value in vars(model).items() if name not in ("_skl_callbacks", "random_state")}
    assert after.keys() == before.keys() - {"random_state"}
    assert all(after[name] is before[name] for name in after)


@pytest.mark.parametrize("kind, y", KINDS)
def test_a_prediction_while_another_thread_refits_is_of_one_state(kind, y):
    narrow, wide = X[:, :2], X
    answers = {2: kind(**QUICK).fit(narrow, y), 4: kind(**QUICK).fit(wide, y)}
    known = {d: answers[d].predict({2: narrow, 4: wide}[d]) for d in answers}
    model, stop, wrong = kind(**QUICK).fit(wide, y), threading.Event(), []

    def refit():
        while not stop.is_set():
            model.fit(narrow, y)
            model.fit(wide, y)

    thread = threading.Thread(target=refit)
    thread.start()
    try:
        for _ in range(400):
            for d, table in ((2, narrow), (4, wide)):
                try:
                    answer = model.predict(table)
                except ValueError as error:  # the state that is fitted to the other table says so
                    assert "features" in str(error)
                else:
                    wrong += [] if np.array_equal(answer, known[d]) else [d]
    finally:
        stop.set()
        thread.join()
    assert not wrong


@pytest.mark.parametrize("kind, y", KINDS)
def test_identical_fits_give_identical_files(kind, y):
    first, second = (kind(**QUICK).fit(X, y) for _ in range(2))
    assert joblib.hash(first) == joblib.hash(second)
    assert pickle.dumps(first) == pickle.dumps(second)
    streams = []
    for _ in range(2):
        model = kind(**QUICK)
        for part in (slice(0, 70), slice(70, 150)):
            model.partial_fit(X[part], y[part], **({"classes": [0, 1]} if kind is ScratchMLPClassifier else {}))
        streams.append(joblib.hash(model))
    assert streams[0] == streams[1]


@pytest.mark.parametrize("n_jobs", [-1, -2, -100, 1, 3])
def test_negative_n_jobs_count_back_from_the_number_of_cores(n_jobs):
    options = {**QUICK, "n_jobs": n_jobs}
    expected = ScratchMLPRegressor(**QUICK).fit(X, Y).fitted_.parameters
    np.testing.assert_array_equal(ScratchMLPRegressor(**options).fit(X, Y).fitted_.parameters, expected)


@pytest.mark.parametrize(
    "options",
    [{"n_jobs": 0}, {"batch_size": 10**400}, {"refit": 1e300}, {"alpha": 10**400}, {"max_iter": 10**400}]
    + [{"beta_1": 10**400}, {"n_bins": 10**400}, {"hidden_layer_sizes": 10**400}, {"n_members": 2**63}],
)
def test_numbers_beyond_all_use_are_refused_by_name(options):
    (name,) = options
    with pytest.raises(InvalidParameterError, match=name):
        ScratchMLPRegressor(**options).fit(X, Y)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "options",
    [{"batch_size": 2**62}, {"power_t": 300, "learning_rate": "invscaling", "solver": "sgd"}, {"clip_norm": 1e300}]
    + [{"weight_decay": 1e-300}, {"epsilon": 1e-300}, {"tol": 1e300}, {"alpha": 1e-300}, {"warmup": 1.0}],
)
@pytest.mark.parametrize("kind, y", KINDS)
def test_extreme_but_legal_numbers_train(kind, y, options):
    model = kind(**{**QUICK, **options}).fit(X, y)
    assert np.isfinite(model.predict(X).astype(float)).all()
