"""Callbacks that scikit-learn does not have: stop early on any score, stop in time, and save to a file.

They follow scikit-learn's protocol (``sklearn.callback.FitCallback``, 1.9 and newer) and serve every estimator that has
`set_callbacks`, in pipelines and searches too, where one instance serves many fits at once, in threads and processes.
"""

import copy
import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

__all__ = ["Checkpoint", "EarlyStopping", "TimeLimit"]


class _Callback:
    """A callback that does nothing; a fit's tasks are told apart by their context, never by the estimator."""

    def setup(self, estimator: Any, context: Any) -> None:
        """The fit begins."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """A task begins."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """The fit is over, whether it ended well or not."""


def _is_root(context: Any) -> bool:
    """Whether a task is the whole fit of an estimator."""
    return context.parent is None or context.source_estimator_name is not None


def _root(context: Any) -> Any:
    while not _is_root(context):
        context = context.parent
    return context


class EarlyStopping(_Callback):
    """Stop when a score has not risen for some tasks (epochs, iterations) in a row.

    Parameters
    ----------
    scoring : str, callable or None, default=None
        The name of a scikit-learn scorer, a function ``scorer(estimator, X, y)``, or None for the method `score`.
    n_iter_no_change : int, default=10
        So many tasks in a row may fail to be better.
    tol : float, default=1e-4
        By how much a score must exceed the best before, to be better.
    X_val, y_val, sample_weight_val : as the arguments of `fit`, default=None
        What to score on. Without, the rows of training, which tells little about others.

    Notes
    -----
    What is scored is the estimator as if the fit had ended with the task; so it needs one that offers this to its
    callbacks, and does nothing with others. For the networks of this package it is the network with the best weights so
    far. Their default schedule, four cycles, rests only at the end of each: with it, either leave stopping to
    `early_stopping`, or give more patience than the 32 epochs of the last cycle.

    Examples
    --------
    >>> from skscratch import ScratchMLPClassifier
    >>> from skscratch.callbacks import EarlyStopping
    >>> from sklearn.datasets import load_breast_cancer
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> stop = EarlyStopping("roc_auc", n_iter_no_change=5, X_val=X[400:], y_val=y[400:])
    >>> model = ScratchMLPClassifier(n_members=1, learning_rate="constant", max_iter=200, random_state=0)
    >>> model.set_callbacks(stop).fit(X[:400], y[:400]).n_iter_ < 200  # doctest: +SKIP
    True
    """

    def __init__(
        self,
        scoring: Any = None,
        *,
        n_iter_no_change: int = 10,
        tol: float = 1e-4,
        X_val: Any = None,
        y_val: Any = None,
        sample_weight_val: Any = None,
    ):
        if not n_iter_no_change >= 1:
            raise ValueError(f"n_iter_no_change must be at least 1. Got {n_iter_no_change!r} instead.")
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val go together: one was given without the other.")
        self.scoring, self.n_iter_no_change, self.tol = scoring, n_iter_no_change, tol
        self.X_val, self.y_val, self.sample_weight_val = X_val, y_val, sample_weight_val
        self._runs: WeakKeyDictionary = WeakKeyDictionary()  # loop of tasks → (best score, tasks since)

    def on_fit_task_end(
        self,
        estimator: Any,
        context: Any,
        *,
        X: Any = None,
        y: Any = None,
        metadata: dict | None = None,
        fitted_estimator: Any = None,
    ) -> bool:
        """Score what the task ended with; whether that was once too often no better."""
        if fitted_estimator is None or _is_root(context):
            return False
        if self.X_val is not None:
            X, y = self.X_val, self.y_val
            metadata = None if self.sample_weight_val is None else {"sample_weight": self.sample_weight_val}
        if X is None:
            return False
        score = self._score(fitted_estimator, X, y, metadata or {})
        best, stale = self._runs.get(context.parent, (-np.inf, 0))
        better = score > best + self.tol or best == -np.inf
        stale = 0 if better else stale + 1
        self._runs[context.parent] = (score if better else best, stale)
        return stale >= self.n_iter_no_change

    def _score(self, fitted_estimator: Any, X: Any, y: Any, metadata: dict) -> float:
        from sklearn.metrics import check_scoring

        score = check_scoring(fitted_estimator, self.scoring)(fitted_estimator, X, y, **metadata)
        if not np.isfinite(score):
            raise ValueError(f"EarlyStopping(scoring={self.scoring!r}) got {score!r}, which is no score to go by.")
        return float(score)

    def __getstate__(self) -> dict:
        return {**self.__dict__, "_runs": None}  # a fit in another process is another run

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state, _runs=WeakKeyDictionary())


class TimeLimit(_Callback):
    """Stop a fit before its time is up.

    Parameters
    ----------
    seconds : float
        How long a fit may take, from its beginning. It ends with the last task (epoch, iteration) after which another
        of the same length would not fit in, and not before the first.

    Notes
    -----
    The limit is each fit's own: in a search, of each candidate and fold.

    Examples
    --------
    >>> from skscratch.callbacks import TimeLimit
    >>> TimeLimit(60).seconds
    60
    """

    def __init__(self, seconds: float):
        if not seconds > 0:
            raise ValueError(f"seconds must be positive. Got {seconds!r} instead.")
        self.seconds = seconds

    def on_fit_task_end(self, estimator: Any, context: Any) -> bool:
        """Whether there is no time for another such task."""
        if _is_root(context):
            return False
        now = datetime.now(UTC)
        spent, last = now - _root(context).init_time, now - context.init_time
        return spent + last > timedelta(seconds=self.seconds)


class Checkpoint(_Callback):
    """Save the estimator to a file as training goes on, and once more when it is done.

    The file is always whole: a new one is written beside it and takes its place in one step.

    Parameters
    ----------
    path : str or path-like
        Where to. ``{task}`` in it stands for the place of the fit among all that run, such as "0-3-1": needed in
        searches and cross-validation, where many fits would write to the same file. Folders are made.
    every : int, default=1
        After so many tasks (epochs, iterations) each.

    Notes
    -----
    `joblib.load` gives the estimator as if the fit had ended there, ready to predict, with its callbacks. To go on from
    it, set `warm_start=True` and call `fit` with the same rows: the networks of this package then finish with the same
    bits as if nothing had happened (except that L-BFGS begins its memory of curvature anew), for the file holds the
    state of training too, until they are done. Other estimators go on as their own warm start does.

    Examples
    --------
    >>> import joblib
    >>> from skscratch.callbacks import Checkpoint
    >>> keep = Checkpoint("network.joblib", every=10)
    >>> model.set_callbacks(keep).fit(X, y)  # doctest: +SKIP
    >>> joblib.load("network.joblib").set_params(warm_start=True).fit(X, y)  # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike, *, every: int = 1):
        if not every >= 1:
            raise ValueError(f"every must be at least 1. Got {every!r} instead.")
        self.path, self.every = os.fspath(path), every

    def on_fit_task_end(self, estimator: Any, context: Any, *, fitted_estimator: Any = None) -> bool:
        """Save, if it is time to; never a reason to stop."""
        if fitted_estimator is not None and (_is_root(context) or (context.task_id + 1) % self.every == 0):
            _replace(Path(self.path.replace("{task}", _place(context))), _without_contexts(fitted_estimator))
        return False


def _place(context: Any) -> str:
    """The numbers of the tasks from the outermost down to this fit."""
    context, numbers = _root(context), []
    while context is not None:
        numbers.append(str(context.task_id))
        context = context.parent
    return "-".join(reversed(numbers))


def _without_contexts(estimator: Any) -> Any:
    """A copy that does not hold on to the tree of running tasks."""
    from sklearn.callback import CallbackContext

    estimator = copy.copy(estimator)
    for name, value in list(vars(estimator).items()):
        if isinstance(value, CallbackContext):
            delattr(estimator, name)
    return estimator


def _replace(path: Path, estimator: Any) -> None:
    """Write `estimator` beside `path`, and put that in its place once it is on the disk."""
    import joblib

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "wb") as file:
            joblib.dump(estimator, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
