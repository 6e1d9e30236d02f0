"""EarlyStopping, TimeLimit and Checkpoint: on these networks, and on any estimator that has callbacks."""

import copy
import pickle
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.callbacks import Checkpoint, EarlyStopping, TimeLimit

callback = pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")

rng = np.random.RandomState(0)
X = rng.normal(size=(120, 4))
Y = {
    ScratchMLPRegressor: X[:, 0] + X[:, 1] ** 2 + rng.normal(size=120),
    ScratchMLPClassifier: (X[:, 0] + rng.normal(size=120) > 0).astype(int),
}
KINDS = pytest.mark.parametrize("kind", Y)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def make(kind, **options):
    return kind(**{"random_state": 0, "hidden_layer_sizes": (8,), "max_iter": 12, **options})


def answer(model, rows=X):
    return model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows)


class Counting(callback.CallbackSupportMixin, RegressorMixin, BaseEstimator):
    """An estimator of another make, whose iterations predict what `scores` says they are worth."""

    def __init__(self, scores=(), loops=1):
        self.scores, self.loops = scores, loops

    @callback.with_callbacks
    def fit(self, X, y):
        root = self._init_callback_context(max_subtasks=self.loops)
        root.call_on_fit_task_begin(estimator=self, X=X, y=y)
        self.done_ = []
        for _ in range(self.loops):
            loop = root.subcontext(task_name="loop", max_subtasks=len(self.scores))
            loop.call_on_fit_task_begin(estimator=self)
            for index in range(len(self.scores)):
                task = loop.subcontext(task_name="step").call_on_fit_task_begin(estimator=self)
                stop = task.call_on_fit_task_end(
                    estimator=self, X=X, y=y, reconstruction_attributes=lambda i=index: {"value_": self.scores[i]}
                )
                if stop:
                    break
            self.done_.append(index + 1)
            loop.call_on_fit_task_end(estimator=self)
        self.value_ = self.scores[-1]
        root.call_on_fit_task_end(estimator=self, X=X, y=y, reconstruction_attributes={})
        return self

    def predict(self, X):
        return np.full(len(X), self.value_)

    def score(self, X, y, sample_weight=None):
        return self.value_ if sample_weight is None else -self.value_


class TestEarlyStopping:
    @pytest.mark.parametrize(
        ("scores", "options", "expected"),
        [
            ([1, 2, 3, 4], {"n_iter_no_change": 1}, 4),
            ([1, 1, 1, 1], {"n_iter_no_change": 1}, 2),
            ([1, 2, 2, 2, 2, 2], {"n_iter_no_change": 3}, 5),
            ([3, 2, 1, 3.5, 3, 3, 3], {"n_iter_no_change": 3}, 7),
            ([-5, -6, -4.9, -4.8, -4.7], {"n_iter_no_change": 3, "tol": 0.15}, 5),  # -4.8 beats -5 by enough
            ([-5, -4.9, -4.95, -4.8], {"n_iter_no_change": 2, "tol": 0.15}, 3),
            ([1, 2, 3], {"n_iter_no_change": 1, "X_val": X, "y_val": X[:, 0], "sample_weight_val": X[:, 0] ** 2}, 2),
        ],
    )
    def test_it_stops_after_so_many_tasks_without_a_better_score(self, scores, options, expected):
        model = Counting(scores).set_callbacks(EarlyStopping(**options)).fit(X, X[:, 0])
        assert model.done_ == [expected]

    def test_each_loop_of_tasks_and_each_fit_has_its_own_patience(self):
        stop = EarlyStopping(n_iter_no_change=2)
        model = Counting([3, 4, 4, 4, 9], loops=3).set_callbacks(stop)
        assert model.fit(X, X[:, 0]).done_ == [4, 4, 4]
        assert model.fit(X, X[:, 0]).done_ == [4, 4, 4]

    @KINDS
    def test_a_network_stops_on_the_score_of_the_rows_given(self, kind):
        y = Y[kind]
        options = {"n_members": 1, "learning_rate": "constant", "max_iter": 60, "learning_rate_init": 0.05}
        options["restore_best_weights"] = False
        seen = []

        def scorer(model, X_seen, y_seen):
            assert X_seen is rows and y_seen is truth
            seen.append(-np.mean((answer(model)[80:] - y[80:].reshape(-1, *[1] * (answer(model).ndim - 1))) ** 2))
            return seen[-1]

        rows, truth = X[80:], y[80:]
        stop = EarlyStopping(scorer, n_iter_no_change=4, tol=0, X_val=rows, y_val=truth)
        model = make(kind, **options).set_callbacks(stop).fit(X[:80], y[:80])
        best = int(np.argmax(seen))
        assert len(seen) == model.n_iter_ == best + 1 + 4 < 60
        # without rows of its own it looks at those of training, which only ever look better
        on_training = make(kind, **options).set_callbacks(EarlyStopping(n_iter_no_change=4)).fit(X[:80], y[:80])
        assert on_training.n_iter_ > model.n_iter_

    @KINDS
    @pytest.mark.parametrize("way", ["folds", "split", "X_val"])
    def test_by_default_it_watches_the_rows_that_the_fit_holds_out(self, kind, way):
        y, weight, seen = Y[kind][:80], np.linspace(1, 2, 80), []

        def scorer(model, X_seen, y_seen, sample_weight):
            seen.append((answer(model, X_seen), X_seen, y_seen, sample_weight))
            return len(seen)

        options = {"max_iter": 4, "n_members": 2, "early_stopping": "folds" if way == "folds" else True, "refit": 0}
        rows = {"X_val": X[80:], "y_val": Y[kind][80:], "sample_weight_val": weight[:40]} if way == "X_val" else {}
        model = make(kind, **options).set_callbacks(EarlyStopping(scorer)).fit(X[:80], y, weight, **rows)
        predicted, table, truth, weights = seen[-1]
        assert len(seen) == model.n_iter_ == 4 and "_held_out" not in vars(model)
        if way == "folds":
            np.testing.assert_array_equal(predicted, model.oof_predictions_)
            assert table is not None and len(truth) == 80
            np.testing.assert_array_equal(weights, weight)
        else:
            assert (
                len(table)
                == (40 if way == "X_val" else model._state.split.validation_rows.size)
                == len(truth)
                == len(weights)
            )
            np.testing.assert_allclose(predicted, answer(model, table), atol=1e-9)

    def test_files_do_not_hold_the_rows_that_it_watches(self, tmp_path):
        keep = Checkpoint(tmp_path / "model.joblib")
        options = {"max_iter": 2, "n_members": 2, "early_stopping": "folds", "refit": 0}
        make(ScratchMLPRegressor, **options).set_callbacks(keep, EarlyStopping()).fit(
            X[:80], Y[ScratchMLPRegressor][:80]
        )
        assert "_held_out" not in vars(joblib.load(tmp_path / "model.joblib"))

    def test_a_named_score_and_weights_are_used(self):
        y, weight = Y[ScratchMLPRegressor], rng.uniform(size=40)
        monitor, told = (
            EarlyStopping("neg_mean_squared_error", X_val=X[80:], y_val=y[80:], sample_weight_val=weight),
            [],
        )
        score = monitor._score
        monitor._score = lambda *args: told.append(score(*args)) or told[-1]
        model = make(ScratchMLPRegressor, max_iter=3, refit=0).set_callbacks(monitor).fit(X[:80], y[:80])
        assert told[-1] == -mean_squared_error(y[80:], model.predict(X[80:]), sample_weight=weight)

    @pytest.mark.parametrize("n_jobs", [1, 2])
    @pytest.mark.slow
    def test_fits_at_the_same_time_do_not_disturb_each_other(self, n_jobs):
        y = Y[ScratchMLPRegressor]
        stop = EarlyStopping(n_iter_no_change=3, X_val=X, y_val=y)
        options = {"max_iter": 40, "n_members": 1, "learning_rate": "constant"}
        nets = [make(ScratchMLPRegressor, learning_rate_init=rate, **options) for rate in (0.3, 0.01, 0.1, 0.03)]
        alone = [net.set_callbacks(copy.deepcopy(stop)).fit(X, y).n_iter_ for net in nets]
        fits = [joblib.delayed(clone(net).set_callbacks(stop).fit)(X, y) for net in nets]
        together = joblib.Parallel(n_jobs=4, backend="threading")(fits)
        assert [model.n_iter_ for model in together] == alone
        assert len(set(alone)) > 1
        pipe = make_pipeline(StandardScaler(), make(ScratchMLPRegressor, **options).set_callbacks(stop))
        search = GridSearchCV(pipe, {"scratchmlpregressor__learning_rate_init": [0.3, 0.1]}, cv=2, n_jobs=n_jobs)
        assert search.fit(X, y).best_estimator_[-1].n_iter_ < 40

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            ({"n_iter_no_change": 0}, "n_iter_no_change"),
            ({"X_val": X}, "go together"),
            ({"y_val": X}, "go together"),
        ],
    )
    def test_wrong_arguments(self, arguments, says):
        with pytest.raises(ValueError, match=says):
            EarlyStopping(**arguments)

    def test_a_score_that_is_not_finite_is_an_error(self):
        with pytest.raises(ValueError, match="which is not finite"):
            Counting([1.0, np.nan]).set_callbacks(EarlyStopping()).fit(X, X[:, 0])

    def test_an_estimator_without_iterations_is_left_alone(self, tmp_path):
        keep = Checkpoint(tmp_path / "scaler-{task}.joblib")
        scaler = StandardScaler().set_callbacks(EarlyStopping(), keep, TimeLimit(1e-9)).fit(X)
        assert scaler.n_samples_seen_ == 120
        np.testing.assert_array_equal(joblib.load(tmp_path / "scaler-0.joblib").mean_, scaler.mean_)


class TestTimeLimit:
    @KINDS
    def test_a_fit_ends_after_its_first_epoch_when_there_is_no_time(self, kind):
        assert make(kind).set_callbacks(TimeLimit(1e-9)).fit(X, Y[kind]).n_iter_ == 1

    @KINDS
    def test_a_fit_with_time_enough_is_not_touched(self, kind):
        free = make(kind).fit(X, Y[kind])
        np.testing.assert_array_equal(answer(make(kind).set_callbacks(TimeLimit(1e6)).fit(X, Y[kind])), answer(free))

    @pytest.mark.parametrize(("seconds", "expected"), [(10, True), (11.5, True), (12.5, False), (1000, False)])
    @pytest.mark.parametrize("within", [False, True])
    def test_it_ends_where_another_such_task_would_not_fit_in(self, seconds, expected, within):
        now = datetime.now(UTC)
        # a fit that began 10 seconds ago, in a search that began an hour ago; its last task took 2
        search = SimpleNamespace(parent=None, init_time=now - timedelta(hours=1), source_estimator_name=None)
        root = SimpleNamespace(
            parent=search if within else None,
            init_time=now - timedelta(seconds=10),
            source_estimator_name="GridSearchCV" if within else None,
        )
        task = SimpleNamespace(parent=root, init_time=now - timedelta(seconds=2), source_estimator_name=None)
        assert TimeLimit(seconds).on_fit_task_end(None, task) is expected
        assert TimeLimit(seconds).on_fit_task_end(None, root) is False

    def test_it_serves_other_estimators(self):
        assert Counting([1, 2, 3]).set_callbacks(TimeLimit(1e-9)).fit(X, X[:, 0]).done_ == [1]

    @pytest.mark.parametrize("seconds", [0, -1, float("nan")])
    def test_wrong_arguments(self, seconds):
        with pytest.raises(ValueError, match="seconds must be positive"):
            TimeLimit(seconds)


class Crash(RuntimeError):
    pass


class CrashAfter:
    """The end of the world after so many epochs."""

    def __init__(self, epochs):
        self.left = epochs

    def setup(self, estimator, context): ...
    def teardown(self, estimator, context): ...
    def on_fit_task_begin(self, estimator, context): ...

    def on_fit_task_end(self, estimator, context):
        self.left -= 1
        if self.left == 0:
            raise Crash


# ways to train, each with epochs after which to crash: in all parts of a training, and in the refit
RESUMED = {
    "defaults": ({"max_iter": 15}, range(1, 15)),
    "stopped at a cycle's end": ({"max_iter": 60, "learning_rate_init": 0.2}, (4, 12, 13)),
    "early stopping": ({"early_stopping": True, "n_iter_no_change": 3, "learning_rate": "constant"}, (1, 5)),
    "one member, dropout": ({"n_members": 1, "dropout": 0.3}, (1, 7, 12)),
    "sgd, training loss": ({"solver": "sgd", "early_stopping": False, "learning_rate": "adaptive"}, (1, 7)),
}


class TestCheckpoint:
    @KINDS
    @pytest.mark.parametrize("case", RESUMED)
    @pytest.mark.slow
    def test_a_fit_that_goes_on_from_the_file_gives_the_same_bits(self, kind, case, tmp_path):
        options, crashes = RESUMED[case]
        y, path = Y[kind], tmp_path / "net.joblib"
        whole = make(kind, **options).fit(X, y)
        tried = 0
        for epochs in crashes:
            model = make(kind, **options).set_callbacks(Checkpoint(path), CrashAfter(epochs))
            try:
                model.fit(X, y)
            except Crash:
                tried += 1
                assert not model.__sklearn_is_fitted__()
            loaded = joblib.load(path)
            assert len(answer(loaded)) == len(X)
            loaded.set_callbacks().set_params(warm_start=True)
            if epochs <= whole.n_iter_:
                loaded.fit(X, y)
                np.testing.assert_array_equal(answer(loaded), answer(whole))
                timeless = [{k: v for k, v in m.history_.items() if k != "seconds"} for m in (loaded, whole)]
                np.testing.assert_equal(*timeless)
                assert loaded.best_iteration_ == whole.best_iteration_
                assert loaded.oof_score_ == whole.oof_score_
            path.unlink()
        assert tried >= 2

    @KINDS
    def test_it_goes_on_from_within_the_refit_too(self, kind, tmp_path):
        y, path = Y[kind], tmp_path / "net.joblib"
        options = {"refit": 2.0, "max_iter": 4}
        whole = make(kind, **options).fit(X, y)
        for epoch in (whole.n_iter_ + 1, whole.n_iter_ + 3):
            model = make(kind, **options).set_callbacks(Checkpoint(path), CrashAfter(epoch))
            with pytest.raises(Crash):
                model.fit(X, y)
            again = joblib.load(path).set_callbacks().set_params(warm_start=True).fit(X, y)
            np.testing.assert_array_equal(answer(again), answer(whole))
            assert again.n_iter_ == 0

    @KINDS
    def test_the_file_of_a_finished_fit_is_the_model_without_its_training(self, kind, tmp_path):
        path = tmp_path / "deep" / "er" / "net.joblib"
        model = make(kind).set_callbacks(Checkpoint(path, every=100)).fit(X, Y[kind])
        loaded = joblib.load(path)
        np.testing.assert_array_equal(answer(loaded), answer(model))
        assert loaded._state is None
        assert len(pickle.dumps(loaded)) < len(pickle.dumps(model)) + 3000
        assert [p.name for p in path.parent.iterdir()] == ["net.joblib"]

    def test_it_saves_every_so_many_epochs(self, tmp_path, monkeypatch):
        from skscratch import callbacks

        saved = []
        monkeypatch.setattr(callbacks, "_replace", lambda path, model: saved.append(len(model.loss_curve_)))
        kind = ScratchMLPRegressor
        make(kind, n_members=1).set_callbacks(Checkpoint(tmp_path / "net", every=5)).fit(X, Y[kind])
        assert saved == [5, 10, 12]

    def test_a_write_that_fails_leaves_the_file_that_was_there(self, tmp_path, monkeypatch):
        kind, path = ScratchMLPRegressor, tmp_path / "net.joblib"
        make(kind, max_iter=2).set_callbacks(Checkpoint(path)).fit(X, Y[kind])
        before = path.read_bytes()

        def half(model, file):
            file.write(b"half")
            raise OSError("disk full")

        monkeypatch.setattr(joblib, "dump", half)
        with pytest.raises(OSError, match="disk full"):
            make(kind).set_callbacks(Checkpoint(path)).fit(X, Y[kind])
        assert path.read_bytes() == before
        assert [p.name for p in tmp_path.iterdir()] == ["net.joblib"]

    @pytest.mark.parametrize("n_jobs", [1, 2])
    def test_each_fit_of_a_search_has_its_file(self, n_jobs, tmp_path):
        kind = ScratchMLPClassifier
        pipe = make_pipeline(
            StandardScaler(), make(kind, max_iter=2).set_callbacks(Checkpoint(tmp_path / "net-{task}.joblib"))
        )
        search = GridSearchCV(pipe, {"scratchmlpclassifier__alpha": [0.0, 1.0, 2.0]}, cv=2, n_jobs=n_jobs)
        search.fit(X, Y[kind])
        models = [joblib.load(path) for path in sorted(tmp_path.iterdir())]
        assert len(models) == 3 * 2 + 1
        assert {model.alpha for model in models} == {0.0, 1.0, 2.0}
        scaled = search.best_estimator_[0].transform(X)
        assert any(np.array_equal(m.predict_proba(scaled), search.predict_proba(X)) for m in models)

    def test_it_serves_other_estimators(self, tmp_path):
        path = tmp_path / "logistic.joblib"
        y = Y[ScratchMLPClassifier]
        model = LogisticRegression().set_callbacks(Checkpoint(path)).fit(X, y)
        loaded = joblib.load(path)
        np.testing.assert_array_equal(loaded.coef_, model.coef_)
        assert loaded.set_params(warm_start=True).fit(X, y).n_iter_[0] <= model.n_iter_[0]

    def test_wrong_arguments(self):
        with pytest.raises(ValueError, match="every must be at least 1"):
            Checkpoint("net", every=0)


def test_all_three_at_once_with_scikit_learn_s_own_in_a_pipeline(tmp_path):
    kind = ScratchMLPClassifier
    monitor = callback.ScoringMonitor(scoring="accuracy")
    stop = EarlyStopping("roc_auc", n_iter_no_change=3, X_val=X[80:], y_val=Y[kind][80:])
    net = make(kind, max_iter=50).set_callbacks(monitor, stop, TimeLimit(600), Checkpoint(tmp_path / "net.joblib"))
    model = make_pipeline(StandardScaler(), net).fit(X, Y[kind])
    log = monitor.get_logs().data_as_pandas
    assert (log.task_name == "epoch").sum() == model[-1].n_iter_ < 50
    loaded = joblib.load(tmp_path / "net.joblib")
    np.testing.assert_array_equal(loaded.predict_proba(model[0].transform(X)), model.predict_proba(X))
