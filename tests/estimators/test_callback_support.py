"""scikit-learn's callbacks: they observe the fit and each of its epochs, may end it, and change nothing otherwise."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor

callback = pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")

rng = np.random.RandomState(0)
X = pd.DataFrame(rng.normal(size=(120, 3)), columns=list("abc")).assign(c=lambda X: np.where(X.c > 0, "yes", "no"))
SCORE = {ScratchMLPRegressor: "r2", ScratchMLPClassifier: "accuracy"}
Y = {ScratchMLPRegressor: (X.a + X.b**2).to_numpy(), ScratchMLPClassifier: np.where(X.a + X.b > 0, "up", "down")}
KINDS = pytest.mark.parametrize("kind", Y)

# each way to validate and to end a training
OPTIONS = {
    "defaults": {"max_iter": 12},
    "all cycles": {"max_iter": 12, "n_members": 2, "n_folds": 2, "refit": 0},
    "one member": {"max_iter": 8, "n_members": 1},
    "validation rows": {"max_iter": 8, "early_stopping": True, "learning_rate": "constant", "n_iter_no_change": 100},
    "last weights": {"max_iter": 5, "n_members": 1, "restore_best_weights": False, "dropout": 0.2},
    "sgd": {"max_iter": 6, "solver": "sgd", "n_members": 2, "early_stopping": False, "learning_rate": "invscaling"},
    "lbfgs": {"max_iter": 6, "solver": "lbfgs", "n_members": 2},
    "lbfgs, validation": {"max_iter": 6, "solver": "lbfgs", "n_members": 1, "early_stopping": True},
}
CASES = pytest.mark.parametrize("options", OPTIONS)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


class Recorder:
    """Record each call of a hook; return True at the end of epoch `stop`, counted from 1; raise in hook `fail`."""

    def __init__(self, stop=None, fail=None):
        self.stop, self.fail, self.records, self.epochs = stop, fail, [], 0

    def _record(self, what, context, **more):
        if self.fail == what:
            raise RuntimeError(f"failed at {what}")
        self.records.append({"what": what, "context": context, **more})

    def setup(self, estimator, context):
        self._record("setup", context)

    def teardown(self, estimator, context):
        self._record("teardown", context)

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self._record("begin", context, X=X, y=y, metadata=metadata, fitted=fitted_estimator)

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, metadata=None, fitted_estimator=None):
        self._record("end", context, X=X, y=y, metadata=metadata, fitted=fitted_estimator)
        self.epochs += context.task_name == "epoch"
        return context.task_name == "epoch" and self.epochs == self.stop

    def tasks(self, what, name):
        return [r for r in self.records if r["what"] == what and r["context"].task_name == name]

    def names(self):
        return [r["what"] for r in self.records]


def make(kind, options="defaults", **more):
    return kind(**{"random_state": 0, "hidden_layer_sizes": (8,), **OPTIONS[options], **more})


def predictions(model, rows):
    return model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows)


@KINDS
@CASES
def test_each_epoch_is_a_task_and_no_bit_changes(kind, options):
    recorder = Recorder()
    alone = make(kind, options).fit(X, Y[kind])
    model = make(kind, options).set_callbacks(recorder).fit(X, Y[kind])
    np.testing.assert_array_equal(predictions(model, X), predictions(alone, X))
    assert model.loss_curve_ == alone.loss_curve_

    assert recorder.names()[:2] == ["setup", "begin"]
    assert recorder.names()[-2:] == ["end", "teardown"]
    epochs = recorder.tasks("begin", "epoch")
    assert recorder.names()[2:-2] == ["begin", "end"] * len(epochs)
    refit = len(epochs) - model.n_iter_
    folds = options in ("defaults",)
    assert refit == (max(round(0.2 * model.best_iteration_), 1) if folds else 0)
    root = recorder.records[0]["context"]
    assert (root.task_name, root.parent, root.estimator_name) == ("fit", None, kind.__name__)
    assert len(epochs) <= root.max_subtasks
    assert [record["context"].task_id for record in epochs] == list(range(len(epochs)))
    assert all(record["context"].parent is root and record["context"].max_subtasks == 0 for record in epochs)


@KINDS
def test_hooks_receive_the_data_as_it_was_given(kind):
    recorder, weight = Recorder(), np.ones(len(X))
    make(kind).set_callbacks(recorder).fit(X, Y[kind], weight)
    for record in recorder.records[1:-1]:
        assert record["X"] is X and record["y"] is Y[kind]
        assert list(record["metadata"]) == ["sample_weight"]
        assert record["metadata"]["sample_weight"] is weight
    recorder = Recorder()
    make(kind).set_callbacks(recorder).fit(X, Y[kind])
    assert {record["metadata"] for record in recorder.records[1:-1]} == {None}


@KINDS
@CASES
@pytest.mark.parametrize("stop", [1, 3])
@pytest.mark.slow
def test_a_hook_that_returns_true_ends_the_fit(kind, options, stop):
    recorder = Recorder(stop)
    model = make(kind, options).set_callbacks(recorder).fit(X, Y[kind])
    assert model.n_iter_ == len(model.loss_curve_) == stop
    assert len(recorder.tasks("end", "epoch")) == stop  # and no refit
    assert recorder.names()[-2:] == ["end", "teardown"]
    # hooks receive the estimator that results if the fit ends at their epoch
    shown = recorder.tasks("end", "epoch")[-1]["fitted"]
    assert type(shown) is kind and shown is not model
    np.testing.assert_array_equal(predictions(shown, X), predictions(model, X))
    assert shown.oof_score_ == model.oof_score_ and shown.best_iteration_ == model.best_iteration_
    longer = Recorder()
    make(kind, options).set_callbacks(longer).fit(X, Y[kind])
    np.testing.assert_array_equal(
        predictions(longer.tasks("end", "epoch")[stop - 1]["fitted"], X), predictions(model, X)
    )
    np.testing.assert_array_equal(
        predictions(
            longer.tasks("begin", "epoch")[stop]["fitted"], X
        ),  # the next epoch begins with the result of this one
        predictions(model, X),
    )


@KINDS
def test_the_best_epoch_is_kept_if_a_hook_ends_the_fit(kind):
    held = {"X_val": X[80:], "y_val": Y[kind][80:]}
    # the learning rate is so high that later epochs are worse
    unstable = make(kind, "validation rows", learning_rate_init=0.5, max_iter=12, n_members=1)
    whole = clone(unstable).fit(X[:80], Y[kind][:80], **held)
    scores = whole.validation_scores_
    stop = next(epoch for epoch in range(2, 13) if scores[epoch - 1] < max(scores[: epoch - 1]))
    best = int(np.argmax(scores[:stop])) + 1
    model = unstable.set_callbacks(Recorder(stop)).fit(X[:80], Y[kind][:80], **held)
    assert (model.n_iter_, model.best_iteration_) == (stop, best)
    at_best = Recorder(best)
    np.testing.assert_array_equal(
        predictions(model, X), predictions(clone(unstable).set_callbacks(at_best).fit(X[:80], Y[kind][:80], **held), X)
    )


@KINDS
def test_a_refit_that_is_cut_short_is_discarded(kind):
    free = make(kind).fit(X, Y[kind])
    without = make(kind, refit=0).fit(X, Y[kind])
    cut = make(kind, refit=2.0).set_callbacks(Recorder(free.n_iter_ + 1)).fit(X, Y[kind])
    assert cut.n_iter_ == free.n_iter_
    np.testing.assert_array_equal(predictions(cut, X), predictions(without, X))


@KINDS
def test_the_estimators_that_hooks_receive_do_not_change_later(kind):
    recorder = Recorder()
    model = make(kind, "one member").set_callbacks(recorder).fit(X, Y[kind])
    shown = [record["fitted"] for record in recorder.tasks("end", "epoch")]
    assert [len(fitted.loss_curve_) for fitted in shown] == list(range(1, 9))
    assert len({fitted.coefs_[0].tobytes() for fitted in shown}) == 8
    np.testing.assert_array_equal(predictions(shown[-1], X), predictions(model, X))
    assert recorder.records[1]["fitted"] is None  # nothing is fitted yet when the fit begins
    assert predictions(recorder.tasks("begin", "epoch")[0]["fitted"], X).shape == predictions(model, X).shape


@KINDS
@pytest.mark.parametrize("place", ["setup", "begin", "end"])
@pytest.mark.parametrize("fitted_before", [False, True])
def test_a_hook_that_fails_leaves_the_estimator_as_it_was(kind, place, fitted_before):
    model = make(kind)
    before = predictions(model.fit(X, Y[kind]), X) if fitted_before else None
    good, bad = Recorder(), Recorder(fail=place)
    with pytest.raises(RuntimeError, match=f"failed at {place}"):
        model.set_callbacks(good, bad).fit(X, Y[kind])
    assert good.names()[-1] == "teardown" and bad.names()[-1] == "teardown"
    assert model.__sklearn_is_fitted__() == fitted_before
    assert not [name for name in vars(model) if "callback" in name and name != "_skl_callbacks"]
    if fitted_before:
        np.testing.assert_array_equal(predictions(model, X), before)


@KINDS
@pytest.mark.parametrize("wrong", [{"X": X[:5]}, {"y": None}])
def test_callbacks_are_torn_down_after_input_that_is_refused(kind, wrong):
    recorder = Recorder()
    with pytest.raises(ValueError):
        make(kind).set_callbacks(recorder).fit(**{"X": X, "y": Y[kind], **wrong})
    assert recorder.names() == ["setup", "begin", "teardown"]
    with pytest.raises(ValueError, match="max_iter"):  # before any callback is set up
        make(kind, max_iter=0).set_callbacks(recorder).fit(X, Y[kind])
    assert recorder.names() == ["setup", "begin", "teardown"]


@KINDS
@pytest.mark.parametrize("place", ["begin", "end"])
def test_an_interruption_in_a_hook_keeps_the_epochs_so_far(kind, place):
    class Interrupt(Recorder):
        def _record(self, what, context, **more):
            super()._record(what, context, **more)
            if what == place and context.task_name == "epoch" and context.task_id == 3:
                raise KeyboardInterrupt

    recorder = Interrupt()
    with pytest.warns(UserWarning, match="interrupted by user"):
        model = make(kind, "one member").set_callbacks(recorder).fit(X, Y[kind])
    assert model.n_iter_ == (3 if place == "begin" else 4)
    assert recorder.names()[-1] == "teardown"
    same = make(kind, "one member").set_callbacks(Recorder(model.n_iter_)).fit(X, Y[kind])
    np.testing.assert_array_equal(predictions(model, X), predictions(same, X))


def test_an_epoch_that_diverges_and_begins_again_is_one_task():
    recorder = Recorder()
    with pytest.warns(match="huge"):
        model = ScratchMLPRegressor(
            learning_rate_init=1e3, solver="sgd", max_iter=4, n_members=1, random_state=0, numeric_embedding=None
        ).set_callbacks(recorder)
        model.fit(X, Y[ScratchMLPRegressor])
    assert recorder.names()[2:-2] == ["begin", "end"] * model.n_iter_


@KINDS
def test_a_warm_start_has_the_tasks_of_its_own_call(kind):
    recorder = Recorder()
    model = make(kind, "one member", warm_start=True).fit(X, Y[kind])
    model.set_callbacks(recorder).fit(X, Y[kind])
    assert len(recorder.tasks("end", "epoch")) == model.n_iter_ == 8
    assert len(model.loss_curve_) == 16


def test_clones_keep_callbacks_and_a_call_without_any_removes_them():
    model, recorder = make(ScratchMLPRegressor), Recorder()
    assert model.set_callbacks(recorder) is model
    clone(model).fit(X, Y[ScratchMLPRegressor])
    assert recorder.names()[-1] == "teardown"
    n_records = len(recorder.records)
    model.set_callbacks().fit(X, Y[ScratchMLPRegressor])
    assert len(recorder.records) == n_records
    for wrong in (object(), Recorder, "progress"):
        with pytest.raises(TypeError, match="FitCallback"):
            model.set_callbacks(wrong)


@KINDS
def test_the_progress_bar_is_shown_and_changes_nothing(kind, capsys):
    pytest.importorskip("rich")
    alone = make(kind).fit(X, Y[kind])
    model = make(kind).set_callbacks(callback.ProgressBar()).fit(X, Y[kind])
    np.testing.assert_array_equal(predictions(model, X), predictions(alone, X))
    assert f"{kind.__name__} - fit" in capsys.readouterr().out


@KINDS
def test_the_scoring_monitor_has_a_score_for_each_epoch(kind):
    monitor = callback.ScoringMonitor(scoring=SCORE[kind])
    model = make(kind, "one member").set_callbacks(monitor).fit(X, Y[kind], np.arange(1.0, 121))
    log = monitor.get_logs().data_as_pandas
    scores = log.loc[log.task_name == "epoch", SCORE[kind]]
    assert len(scores) == model.n_iter_
    assert scores.iloc[-1] == model.score(X, Y[kind], np.arange(1.0, 121))


@KINDS
@pytest.mark.parametrize("n_jobs", [1, 2])  # 2 starts processes
@pytest.mark.slow
def test_in_a_search_over_a_pipeline_every_epoch_is_monitored(kind, n_jobs):
    numbers = X[["a", "b"]]
    monitor = callback.ScoringMonitor(scoring=SCORE[kind])
    net = make(kind, "one member").set_callbacks(monitor)
    grid = {f"{kind.__name__.lower()}__max_iter": [2, 3]}
    search = GridSearchCV(make_pipeline(StandardScaler(), net), grid, cv=2, n_jobs=n_jobs)
    search.fit(numbers, Y[kind])
    log = monitor.get_logs().data_as_pandas
    epochs = log[log.task_name == "epoch"]
    best = search.best_params_[next(iter(grid))]
    assert len(epochs) == 2 * (2 + 3) + best  # two folds of each candidate, and the refit
    assert epochs[SCORE[kind]].notna().all()


@KINDS
@pytest.mark.slow
def test_progress_bars_reach_the_networks_of_a_halving_search(kind, capsys):
    pytest.importorskip("rich")
    numbers = X[["a", "b"]]
    net = make_pipeline(StandardScaler(), make(kind, "one member"))
    search = HalvingGridSearchCV(
        net, {f"{kind.__name__.lower()}__alpha": [0.0, 0.1, 1.0]}, cv=2, n_jobs=2, min_resources=40, random_state=0
    )
    with warnings.catch_warnings():
        # the outermost three levels are shown: search, candidate, pipeline
        warnings.filterwarnings("ignore", message=".*does not support callbacks")
        search.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(numbers, Y[kind])
    shown = capsys.readouterr().out
    assert "HalvingGridSearchCV" in shown and kind.__name__ in shown
    plain = clone(search).set_callbacks().fit(numbers, Y[kind])
    np.testing.assert_array_equal(predictions(search, numbers), predictions(plain, numbers))
