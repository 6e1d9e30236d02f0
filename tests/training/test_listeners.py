"""Listeners: early stopping keeps the history and the best epoch; progress lines; warnings point to the user's line."""

import logging
import math
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.training import fit as fit_module
from skscratch.training.listeners import (
    MIN_CYCLE_GAIN,
    EarlyStopping,
    Listener,
    Listeners,
    ProgressLines,
    Record,
    warn,
)
from skscratch.training.state import TrainingState

rng = np.random.RandomState(0)
X = rng.normal(size=(60, 3))
y = X @ [1.0, -2.0, 0.5]

# ------------------------------------------------------------------------ EarlyStopping


class Epochs:
    """Early stopping over invented epochs, whose parameters are the number of the epoch."""

    def __init__(self, scores=None, *, patience=3.0, tol=0.1, state=None, **options):
        self.state = state or TrainingState(np.zeros((1, 2)), None, np.random.RandomState(0))
        scores = None if scores is None else iter(scores)
        evaluate = None if scores is None else lambda parameters: (float(parameters[0, 0]) * 10, next(scores))
        self.listener = EarlyStopping(self.state, evaluate=evaluate, patience=patience, tol=tol, **options)
        self.records = []

    def feed(self, *losses):
        """What the listener returns for each of these epochs."""
        answers = []
        for loss in losses:
            self.state.progress.epoch += 1
            self.state.parameters[...] = self.state.progress.epoch
            self.records.append(Record(self.state.progress.epoch, loss, 0.01, 1.5))
            answers.append(self.listener.on_epoch_end(self.records[-1]))
        return answers


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_training_stops_after_patience_epochs_without_improvement(patience):
    epochs = Epochs(patience=patience)
    assert epochs.feed(5.0, 4.0, *[4.0] * patience) == [False] * (1 + patience) + [True]
    assert epochs.state.finished


def test_an_improvement_resets_the_count():
    epochs = Epochs(patience=2)
    assert epochs.feed(5, 5, 4, 4, 3, 3, 3) == [False] * 6 + [True]


def test_an_improvement_must_be_at_least_tol():
    """In binary fractions, so that nothing is rounded: 0.25 is enough, 0.125 is not."""
    assert Epochs(patience=1, tol=0.25).feed(5.0, 4.75) == [False, False]
    assert Epochs(patience=1, tol=0.25).feed(5.0, 4.875) == [False, True]


def test_progress_is_measured_from_the_best_loss():
    """Small steps down never add up: each is compared with the best so far, which they themselves lower."""
    assert Epochs(patience=3, tol=0.5).feed(5.0, 4.75, 4.5, 4.25) == [False, False, False, True]
    assert Epochs(patience=3, tol=0.5).feed(5.0, 9.0, 6.0, 4.75) == [False, False, False, True]


def test_infinite_patience_never_stops():
    epochs = Epochs(patience=np.inf)
    assert not any(epochs.feed(*range(200)))


def test_the_parameters_of_the_best_epoch_are_copied():
    epochs = Epochs(patience=10)
    epochs.feed(5.0, 3.0, 4.0, 3.0, 6.0)
    assert epochs.state.best.epoch == 2 and epochs.state.best.loss == 3.0
    np.testing.assert_array_equal(epochs.state.best.parameters, [[2, 2]])


def test_the_best_epoch_may_improve_by_less_than_tol():
    epochs = Epochs(patience=10, tol=1.0)
    epochs.feed(5.0, 4.9, 4.8, 4.85)
    assert epochs.state.best.epoch == 3 and epochs.state.best.n_no_change == 3


def test_without_keep_best_parameters_are_not_copied():
    epochs = Epochs(keep_best=False)
    epochs.feed(5.0, 4.0)
    assert epochs.state.best.parameters is None and epochs.state.best.epoch == 2


def test_the_validation_score_decides_if_there_is_one():
    epochs = Epochs([0.5, 0.75, 0.5, 0.625], patience=2, tol=0.0)
    assert epochs.feed(5.0, 4.0, 3.0, 2.0) == [False, False, False, True]  # although the training loss falls
    state = epochs.state
    assert (state.best.epoch, state.best.score, state.best.loss) == (2, 0.75, 2.0)
    np.testing.assert_array_equal(state.best.parameters, [[2, 2]])
    assert state.history["validation_score"] == [0.5, 0.75, 0.5, 0.625]
    assert state.history["validation_loss"] == [10, 20, 30, 40]


def test_a_score_must_rise_by_tol():
    assert Epochs([0.5, 0.75], patience=1, tol=0.25).feed(1, 1) == [False, False]
    assert Epochs([0.5, 0.625], patience=1, tol=0.25).feed(1, 1) == [False, True]


def test_a_score_of_nan_is_no_improvement_and_is_ignored():
    nan = float("nan")
    epochs = Epochs([0.5, nan, 0.75, nan, nan], patience=2, tol=0.0)
    assert epochs.feed(1, 1, 1, 1, 1) == [False] * 4 + [True]
    assert (epochs.state.best.score, epochs.state.best.epoch) == (0.75, 3)


def test_a_first_score_of_nan_is_ignored():
    epochs = Epochs([float("nan"), 0.5], patience=3)
    epochs.feed(1, 1)
    assert (epochs.state.best.score, epochs.state.best.epoch) == (0.5, 2)


def test_history_without_validation():
    epochs = Epochs()
    epochs.feed(5.0, 4.0)
    assert epochs.state.history == {"loss": [5.0, 4.0], "learning_rate": [0.01, 0.01], "seconds": [1.5, 1.5]}


def test_the_adaptive_schedule_divides_the_learning_rate_by_five_before_it_stops():
    epochs = Epochs(patience=2, adaptive_rate=2e-5)
    assert epochs.feed(5, 5, 5) == [False] * 3
    assert epochs.state.rate_factor == pytest.approx(0.2) and epochs.state.best.n_no_change == 0  # 4e-6
    assert epochs.feed(5, 5) == [False] * 2
    assert epochs.state.rate_factor == pytest.approx(0.04)  # 8e-7: as low as it goes
    assert epochs.feed(5, 5) == [False, True]
    assert epochs.state.rate_factor == pytest.approx(0.04)


def test_the_adaptive_schedule_keeps_its_learning_rate_while_the_loss_falls():
    epochs = Epochs(patience=2, adaptive_rate=0.1)
    epochs.feed(5, 4, 3, 2, 1)
    assert epochs.state.rate_factor == 1.0


def test_the_record_receives_the_validation_of_its_epoch():
    epochs = Epochs([0.5, 0.75])
    epochs.feed(5.0, 4.0)
    found = [(record.epoch, record.validation_loss, record.validation_score) for record in epochs.records]
    assert found == [(1, 10.0, 0.5), (2, 20.0, 0.75)]


def test_the_record_of_an_epoch_that_is_not_evaluated_has_nan():
    epochs = Epochs([0.5], evaluate_at=lambda epoch: epoch == 2)
    epochs.feed(5.0, 4.0)
    assert math.isnan(epochs.records[0].validation_loss) and math.isnan(epochs.records[0].validation_score)


def test_history_has_nan_where_another_call_had_no_validation():
    first = Epochs()
    first.feed(5.0, 4.0)
    second = Epochs([0.5], state=first.state)
    second.feed(3.0)
    third = Epochs(state=first.state)
    third.feed(2.0)
    history = first.state.history
    assert history["loss"] == [5.0, 4.0, 3.0, 2.0]
    np.testing.assert_array_equal(history["validation_loss"], [np.nan, np.nan, 30, np.nan])
    np.testing.assert_array_equal(history["validation_score"], [np.nan, np.nan, 0.5, np.nan])


def test_epochs_that_choose_nothing_leave_the_best_epoch():
    """A call of `partial_fit` without validation must not replace the validated best epoch of another one."""
    first = Epochs([0.5, 0.75])
    first.feed(5.0, 4.0)
    second = Epochs(state=first.state, chooses=False, patience=1)
    assert second.feed(3.0, 2.0) == [False, False]
    best = first.state.best
    assert (best.epoch, best.score, best.loss, best.n_no_change) == (2, 0.75, 2.0, 0)
    np.testing.assert_array_equal(best.parameters, [[2, 2]])


def test_an_interrupted_evaluation_changes_nothing():
    def interrupted(parameters):
        raise KeyboardInterrupt

    epochs = Epochs([0.5])
    epochs.feed(5.0)
    kept = {name: list(values) for name, values in epochs.state.history.items()}
    epochs.listener.evaluate = interrupted
    with pytest.raises(KeyboardInterrupt):
        epochs.feed(4.0)
    assert epochs.state.history == kept and epochs.state.best.epoch == 1


def test_a_later_call_continues_the_count():
    first = Epochs(patience=3)
    first.feed(5, 5, 5)
    second = Epochs(patience=3, state=first.state)
    assert second.feed(5) == [True]


# ------------------------------------------------------------------------ EarlyStopping: evaluated epochs and cycles


def test_only_some_epochs_are_evaluated():
    epochs = Epochs([0.5, 0.75], patience=10, evaluate_at=lambda epoch: epoch % 2 == 0)
    assert epochs.feed(5.0, 4.0, 3.0, 2.0, 1.0) == [False] * 5
    state = epochs.state
    np.testing.assert_array_equal(state.history["validation_score"], [np.nan, 0.5, np.nan, 0.75, np.nan])
    np.testing.assert_array_equal(state.history["validation_loss"], [np.nan, 20, np.nan, 40, np.nan])
    assert (state.best.epoch, state.best.score, state.best.loss) == (4, 0.75, 1.0)
    np.testing.assert_array_equal(state.best.parameters, [[4, 4]])


def test_patience_counts_the_epochs_that_are_evaluated():
    epochs = Epochs([0.5, 0.5, 0.5], patience=2, evaluate_at=lambda epoch: epoch % 3 == 0)
    assert epochs.feed(*range(9)) == [False] * 8 + [True]


def test_without_validation_every_epoch_counts():
    epochs = Epochs(patience=2, evaluate_at=lambda epoch: False)
    assert epochs.feed(5, 5, 5) == [False, False, True]


def test_training_stops_after_a_cycle_that_improves_the_score_too_little():
    enough, too_little = 0.5 * (1 + 1.01 * MIN_CYCLE_GAIN), 0.5 * (1 + 0.99 * MIN_CYCLE_GAIN)
    assert Epochs([0.5, 0.25, enough], patience=9, cycle_ends=(1, 3)).feed(1, 1, 1) == [False] * 3
    epochs = Epochs([0.5, 0.25, too_little], patience=9, cycle_ends=(1, 3))
    assert epochs.feed(1, 1, 1) == [False, False, True]
    assert epochs.state.finished and epochs.state.best.epoch == 3  # the small gain is kept


def test_the_gain_is_relative_to_the_score():
    """Also where scores are negative losses."""
    assert Epochs([-200.0, -198.0], patience=9, cycle_ends=(1, 2)).feed(1, 1) == [False, False]
    assert Epochs([-200.0, -199.5], patience=9, cycle_ends=(1, 2)).feed(1, 1) == [False, True]
    assert Epochs([-0.002, -0.00198], patience=9, cycle_ends=(1, 2)).feed(1, 1) == [False, False]


def test_training_does_not_stop_after_the_first_cycle():
    epochs = Epochs([0.5, 0.25, 0.125], patience=9, cycle_ends=(3,))
    assert epochs.feed(1, 1, 1) == [False] * 3
    assert epochs.state.best.cycle_score == 0.5


def test_within_a_cycle_the_score_need_not_improve():
    assert Epochs([0.5, 0.4, 0.4, 0.4, 0.6], patience=9, cycle_ends=(1, 5)).feed(1, 1, 1, 1, 1) == [False] * 5


def test_each_cycle_is_compared_with_the_previous_one():
    epochs = Epochs([0.5, 0.75, 0.75], patience=9, cycle_ends=(1, 2, 3))
    assert epochs.feed(1, 1, 1) == [False, False, True]


def test_a_later_call_compares_with_the_cycle_of_an_earlier_one():
    first = Epochs([0.5], patience=9, cycle_ends=(1, 2))
    first.feed(1)
    second = Epochs([0.5], patience=9, cycle_ends=(1, 2), state=first.state)
    assert second.feed(1) == [True]


def test_training_does_not_stop_after_a_cycle_without_a_score():
    epochs = Epochs([0.5], patience=9, cycle_ends=(1, 2), evaluate_at=lambda epoch: epoch == 2)
    assert epochs.feed(1, 1) == [False, False]


# ------------------------------------------------------------------------ Listeners


class Noting(Listener):
    """Note every call; return the given answers."""

    def __init__(self, name, events, stops=False):
        self.name, self.events, self.stops = name, events, stops

    def on_train_begin(self, result_so_far):
        self.events.append((self.name, "train", result_so_far()))

    def on_epoch_begin(self):
        self.events.append((self.name, "begin"))

    def on_epoch_end(self, record):
        self.events.append((self.name, "end", record))
        return self.stops

    def on_epoch_counted(self):
        self.events.append((self.name, "counted"))
        return self.stops


def test_all_listeners_are_called_in_their_order():
    events = []
    both = Listeners([Noting("a", events, stops=True), Noting("b", events)])
    both.on_train_begin(lambda: 7)
    both.on_epoch_begin()
    assert both.on_epoch_end("record") is True and both.on_epoch_counted() is True  # although the second does not stop
    expected = [("train", 7), ("begin",), ("end", "record"), ("counted",)]
    assert events == [(name, *event) for event in expected for name in "ab"]


@pytest.mark.parametrize("stops", [(False, False), (False, True), (True, False)])
def test_any_listener_may_stop_training(stops):
    listeners = Listeners([Noting("x", [], stop) for stop in stops])
    assert listeners.on_epoch_end(None) is listeners.on_epoch_counted() is any(stops)


def test_no_listeners_never_stop_training():
    assert Listeners([]).on_epoch_end(None) is Listeners([]).on_epoch_counted() is False


# ------------------------------------------------------------------------ warnings


def warnings_here(fit):
    """The warnings of `fit`, which all point to this file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit()
    assert [w.filename for w in caught] == [__file__] * len(caught)
    assert caught
    return caught


def test_a_warning_points_to_the_line_outside_the_package():
    with pytest.warns(UserWarning, match="^hello$") as caught:
        warn("hello", UserWarning)
    assert caught[0].filename == __file__


CONSTANT = {"learning_rate": "constant", "max_iter": 3, "n_members": 1, "early_stopping": False}
CASES = {
    "not converged": CONSTANT,
    "lbfgs not converged": {"solver": "lbfgs", "max_iter": 2, "tol": 0.0},
    "diverged": {"learning_rate_init": 1e30, "max_iter": 2, "n_members": 1},
    # with folds, the refit diverges as well as the training
    "diverged in the refit": {"learning_rate_init": 1e30, "max_iter": 8, "early_stopping": "folds"},
}


@pytest.mark.parametrize("case", CASES)
def test_warnings_of_a_fit_point_to_the_line_of_fit(case):
    model = ScratchMLPRegressor(random_state=0, **CASES[case])
    caught = warnings_here(lambda: model.fit(X, y))
    assert {w.category for w in caught} == {ConvergenceWarning}


def test_an_interruption_in_the_refit_points_to_the_line_of_fit(monkeypatch):
    def interrupted(progress):
        raise KeyboardInterrupt

    monkeypatch.setattr(fit_module, "hann_window", lambda *args: interrupted)
    model = ScratchMLPClassifier(random_state=0, max_iter=4)
    caught = warnings_here(lambda: model.fit(X, y > 0))
    assert [str(w.message) for w in caught] == ["Training interrupted by user."]
    assert model.score(X, y > 0) > 0.5  # the result before the refit is kept


def test_within_a_pipeline_a_warning_points_to_the_pipeline():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make_pipeline(ScratchMLPRegressor(random_state=0, **CONSTANT)).fit(X, y)
    assert [w.filename.endswith("sklearn/pipeline.py") for w in caught] == [True]


# ------------------------------------------------------------------------ progress lines


def test_lines_are_aligned_and_end_with_the_time_left(caplog):
    caplog.set_level("INFO", "skscratch")
    progress = ProgressLines(1, 120, True)
    for record in (
        Record(1, 1234.5678, 0.08, 0.5),
        Record(60, 0.000123456, 1e-7, 30.0, 0.25, 0.87654321),
        Record(120, 1e-12, math.nan, 60.0, 1e9, -1e-9),
    ):
        assert progress.on_epoch_end(record) is False
    lines = caplog.messages
    assert len({len(line) for line in lines}) == 1
    for word in ("loss", "validation", "score", "rate", "s left"):
        assert len({line.index(word) for line in lines}) == 1
    left = [float(re.search(r"([\d.]+) s left", line).group(1)) for line in lines]
    assert left == [59.5, 30.0, 0.0]  # 119 epochs of half a second, 60 of half a second, none
    assert "validation           -  score           -" in lines[0]
    assert "score     0.87654" in lines[1]
    assert {r.levelname for r in caplog.records} == {"INFO"}
    assert {r.name for r in caplog.records} == {"skscratch"}


def test_without_a_score_there_is_no_column_for_it(caplog):
    caplog.set_level("INFO", "skscratch")
    ProgressLines(1, 3, False).on_epoch_end(Record(1, 0.5, 0.01, 1.0, 0.25, -0.25))
    assert "score" not in caplog.text and "validation        0.25" in caplog.text


def test_a_warm_start_counts_the_epochs_of_its_own_call(caplog):
    caplog.set_level("INFO", "skscratch")
    model = ScratchMLPRegressor(max_iter=3, n_members=1, early_stopping=False, warm_start=True, random_state=0)
    model.fit(X, y).set_params(verbose=True).fit(X, y)
    lines = [line.split("  ")[0] for line in caplog.messages if line.startswith("epoch")]
    assert lines == ["epoch 4/6", "epoch 5/6", "epoch 6/6"]
    assert caplog.messages[-1] == "Training ends: all 3 epochs are done. The weights of epoch 6 are kept."


SCRIPT = """
import logging, sys
{setup}
import numpy as np
from skscratch import ScratchMLPRegressor
X = np.arange(60.0)[:, None]
for _ in range(2):
    ScratchMLPRegressor(max_iter=2, n_members=1, early_stopping=False, verbose=True).fit(X, X[:, 0])
{later}
"""


LINES = ["(-: no ro", "epoch 1/2", "epoch 2/2", "Training "]  # their first letters


def printed(setup="", later=""):
    code = SCRIPT.format(setup=setup, later=later)
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines(), done.stderr.splitlines()


def test_without_logging_each_line_is_printed_once():
    out, err = printed()
    assert ([line[:9] for line in out], err) == (LINES * 2, [])


@pytest.mark.slow
def test_with_logging_set_up_lines_go_there_only():
    out, err = printed(setup="logging.basicConfig(format='%(name)s|%(message)s')")
    assert (out, [line[:19] for line in err]) == ([], [f"skscratch|{line}" for line in LINES] * 2)


@pytest.mark.slow
def test_logging_that_is_set_up_later_takes_over():
    later = "logging.basicConfig(); ScratchMLPRegressor(max_iter=1, n_members=1, verbose=True).fit(X, X[:, 0])"
    out, err = printed(later=later)
    assert (len(out), len(err)) == (2 * len(LINES), 3)  # a dash explained, one epoch, and the end


@pytest.mark.slow
def test_the_level_that_the_user_set_applies():
    out, err = printed(setup="logging.getLogger('skscratch').setLevel(logging.WARNING)")
    assert (out, err) == ([], [])


def test_the_root_logger_stays_unchanged():
    assert logging.getLogger().handlers is not logging.getLogger("skscratch").handlers
    assert logging.getLogger("skscratch").propagate


# ------------------------------------------------------------------------ every n-th line, and the last one


def messages(caplog, **options):
    caplog.set_level("INFO", "skscratch")
    caplog.clear()
    model = ScratchMLPRegressor(**{"hidden_layer_sizes": (8,), "random_state": 0, "verbose": 4, **options}).fit(X, y)
    return model, caplog.messages


@pytest.mark.parametrize("verbose", [True, 1, 4, 7])
def test_every_nth_epoch_has_a_line(verbose, caplog):
    model, lines = messages(caplog, verbose=verbose, max_iter=9, early_stopping=False)
    epochs = [int(line.split("/")[0].split()[1]) for line in lines if line.startswith("epoch")]
    assert epochs == list(range(int(verbose), 10, int(verbose)))


def test_a_dash_is_explained_once(caplog):
    _, lines = messages(caplog, verbose=1)
    assert [line.startswith("(-: not validated") for line in lines].count(True) == 1
    assert "  validation           -" in lines[lines.index(next(line for line in lines if "(-:" in line)) + 1]
    _, lines = messages(caplog, max_iter=4, early_stopping=False)
    assert lines[0] == "(-: no rows are held out, so that no epoch is validated)"
    _, lines = messages(caplog, max_iter=8, early_stopping=True)
    assert not any("(-" in line for line in lines)


def test_the_last_line_names_the_epoch_and_the_refit(caplog):
    model, lines = messages(caplog, max_iter=8)
    n_refit = max(round(0.2 * model.best_iteration_), 1)
    end = f"The weights of epoch {model.best_iteration_} are kept. A refit on all rows follows, of {n_refit} epoch"
    assert end in lines[-1]
    _, lines = messages(caplog, max_iter=8, refit=0.0)
    assert lines[-1].endswith("are kept.")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"early_stopping": False, "max_iter": 4}, "all 4 epochs are done"),
        ({"solver": "lbfgs", "max_iter": 3}, "all 3 iterations are done"),
        ({"solver": "lbfgs", "max_iter": 2000, "tol": 1.0}, "it converged"),
        (
            {"early_stopping": True, "learning_rate": "constant", "n_iter_no_change": 2, "tol": 9.0},
            "no improvement of 9 in 2 epochs",
        ),
        ({"max_time": 1e-6}, "the time limit of 1e-06 s is reached"),
        ({"learning_rate_init": 1e300, "dtype": "float64", "max_iter": 2}, "it diverged with any learning rate"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_last_line_says_why_training_ended(options, reason, caplog):
    _, lines = messages(caplog, **options)
    assert lines[-1].startswith(f"Training ends: {reason}. The weights of epoch ")


def test_a_cycle_that_gains_too_little_is_named(caplog, monkeypatch):
    monkeypatch.setattr("skscratch.training.listeners.MIN_CYCLE_GAIN", 0.9)
    _, lines = messages(caplog)
    assert lines[-1].startswith("Training ends: the last cycle of the learning rate gained less than 90.0%. ")


def test_an_interruption_is_named(caplog, monkeypatch):
    def interrupted(self, record):
        raise KeyboardInterrupt

    monkeypatch.setattr(EarlyStopping, "_append_to_history", interrupted)
    with pytest.warns(UserWarning, match="interrupted"):
        _, lines = messages(caplog)
    assert lines[-1].startswith("Training ends: it was interrupted. ")


def test_partial_fit_has_lines_of_epochs_alone(caplog):
    caplog.set_level("INFO", "skscratch")
    model = ScratchMLPRegressor(hidden_layer_sizes=(3,), verbose=2)
    for _ in range(4):
        model.partial_fit(X, y)
    assert [line[:8] for line in caplog.messages if line.startswith("epoch")] == ["epoch  2", "epoch  4"]
    assert not any("Training ends" in line for line in caplog.messages)
