"""Warnings point to the user's line; lines of progress are aligned, and go where logging goes."""

import logging
import re
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.training.listeners import EpochLines, warn

rng = np.random.RandomState(0)
X = rng.normal(size=(60, 3))
y = X @ [1.0, -2.0, 0.5]


def record(epoch, loss=0.5, rate=0.01, seconds=1.0):
    return SimpleNamespace(epoch=epoch, loss=loss, rate=rate, seconds=seconds)


def line_of(fit):
    """Numbers of the line that `fit` is called on, and of that which its warning points to, both in this file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frame = sys._getframe()
        fit()
        here = frame.f_lineno - 1
    assert [w.filename for w in caught] == [__file__] * len(caught)
    assert caught
    return here, caught


def test_a_warning_from_outside_points_to_the_line_that_called():
    with pytest.warns(UserWarning, match="^hello$") as caught:
        warn("hello", UserWarning)
    assert caught[0].filename == __file__


CONSTANT = {"learning_rate": "constant", "max_iter": 3, "n_members": 1, "early_stopping": False}
CASES = {
    "not converged": CONSTANT,
    "lbfgs not converged": {"solver": "lbfgs", "max_iter": 2, "tol": 0.0},
    "blown up": {"learning_rate_init": 1e30, "max_iter": 2, "n_members": 1},
    # folds, where the refit blows up as well as the training
    "blown up in the refit": {"learning_rate_init": 1e30, "max_iter": 8, "early_stopping": "folds"},
}


@pytest.mark.parametrize("case", CASES)
def test_warnings_of_a_fit_point_to_the_line_of_fit(case):
    model = ScratchMLPRegressor(random_state=0, **CASES[case])
    _, caught = line_of(lambda: model.fit(X, y))
    assert {w.category for w in caught} == {ConvergenceWarning}


def test_an_interruption_in_the_refit_points_to_the_line_of_fit(monkeypatch):
    from skscratch.estimators import plan as solving

    def interrupted(progress):
        raise KeyboardInterrupt

    monkeypatch.setattr(solving, "hann", interrupted)
    model = ScratchMLPClassifier(random_state=0, max_iter=4)
    _, caught = line_of(lambda: model.fit(X, y > 0))
    assert [str(w.message) for w in caught] == ["Training interrupted by user."]
    assert model.score(X, y > 0) > 0.5  # what was found before is kept


def test_within_a_pipeline_a_warning_points_to_the_pipeline():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        make_pipeline(ScratchMLPRegressor(random_state=0, **CONSTANT)).fit(X, y)
    assert [w.filename.endswith("sklearn/pipeline.py") for w in caught] == [True]


def test_lines_are_aligned_and_say_what_is_left(caplog):
    caplog.set_level("INFO", "skscratch")
    tell = EpochLines(1, 120, True)
    tell(record(1, 1234.5678, 0.08, 0.5), float("nan"), float("nan"))
    tell(record(60, 0.000123456, 1e-7, 30.0), 0.25, 0.87654321)
    tell(record(120, 1e-12, float("nan"), 60.0), 1e9, -1e-9)
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


def test_a_warm_start_counts_the_epochs_of_its_own_call(caplog):
    caplog.set_level("INFO", "skscratch")
    model = ScratchMLPRegressor(max_iter=3, n_members=1, early_stopping=False, warm_start=True, random_state=0)
    model.fit(X, y).set_params(verbose=True).fit(X, y)
    assert [line.split("  ")[0] for line in caplog.messages] == ["epoch 4/6", "epoch 5/6", "epoch 6/6"]


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


def printed(setup="", later=""):
    code = SCRIPT.format(setup=setup, later=later)
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines(), done.stderr.splitlines()


def test_without_logging_lines_are_printed_once_each():
    out, err = printed()
    assert ([line[:9] for line in out], err) == (["epoch 1/2", "epoch 2/2"] * 2, [])


@pytest.mark.slow
def test_with_logging_set_up_they_go_there_and_nowhere_else():
    out, err = printed(setup="logging.basicConfig(format='%(name)s|%(message)s')")
    assert (out, [line[:19] for line in err]) == ([], ["skscratch|epoch 1/2", "skscratch|epoch 2/2"] * 2)


@pytest.mark.slow
def test_logging_that_is_set_up_later_takes_over():
    later = "logging.basicConfig(); ScratchMLPRegressor(max_iter=1, n_members=1, verbose=True).fit(X, X[:, 0])"
    out, err = printed(later=later)
    assert (len(out), len(err)) == (4, 1)


@pytest.mark.slow
def test_a_level_that_the_user_set_holds():
    out, err = printed(setup="logging.getLogger('skscratch').setLevel(logging.WARNING)")
    assert (out, err) == ([], [])


def test_the_logger_is_left_as_a_library_should_leave_it():
    assert logging.getLogger().handlers is not logging.getLogger("skscratch").handlers
    assert logging.getLogger("skscratch").propagate
