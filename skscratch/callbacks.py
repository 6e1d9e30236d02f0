"""Callbacks that scikit-learn lacks: early stopping on any score, a time limit, and checkpoints in a file.

They follow scikit-learn's protocol (``sklearn.callback.FitCallback``, since 1.9) and work with every estimator that has
`set_callbacks`, also in pipelines and searches, where several fits in threads and processes share one instance.
"""

import copy
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from .atomic import replace_file

__all__ = ["Checkpoint", "EarlyStopping", "TimeLimit"]


class _Callback:
    """Hooks that do nothing. Subclasses identify a task by its context: several fits may share an estimator."""

    def setup(self, estimator: Any, context: Any) -> None:
        """Called before the fit."""

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        """Called at the begin of each task."""

    def teardown(self, estimator: Any, context: Any) -> None:
        """Called after the fit, also if it failed."""


def _is_root(context: Any) -> bool:
    """Whether a task is the whole fit of an estimator, which may itself be a part of another fit."""
    return context.parent is None or context.source_estimator_name is not None


def _root(context: Any) -> Any:
    """Return the task of the whole fit that a task belongs to."""
    while not _is_root(context):
        context = context.parent
    return context


class EarlyStopping(_Callback):
    """Stop a fit when a score has not improved for some consecutive tasks (epochs, iterations).

    Parameters
    ----------
    scoring : str, callable or None, default=None
        Name of a scikit-learn scorer, a function ``scorer(estimator, X, y)``, or None for the method `score`.
    n_iter_no_change : int, default=10
        Patience: number of consecutive tasks without improvement after which the fit stops.
    tol : float, default=1e-4
        Minimum improvement: a score counts as better if it exceeds the best score by more than `tol`.
    X_val, y_val, sample_weight_val : as the arguments of `fit`, default=None
        Validation rows. By default the callback scores the rows that the fit itself holds out: those of its `X_val`,
        those of ``early_stopping=True``, or, with ``early_stopping='folds'``, all rows, out of fold. An estimator that
        holds out no rows is scored on its training rows, which say little about generalisation.

    Notes
    -----
    The callback scores the estimator as if the fit had ended with the task, and has no effect on an estimator that does
    not support this. The networks of this package are scored with their best weights so far. Scores peak where the
    learning rate has fallen: with a schedule that has an end, such as the default one, a patience shorter than its last
    cycle (32 of 60 epochs) stops before the best epoch. Use the callback with ``learning_rate='constant'``, whose
    `max_iter` can be large.

    Examples
    --------
    >>> from skscratch import ScratchMLPClassifier
    >>> from skscratch.callbacks import EarlyStopping
    >>> from sklearn.datasets import load_breast_cancer
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = ScratchMLPClassifier(learning_rate="constant", max_iter=200, random_state=0)
    >>> model.set_callbacks(EarlyStopping("roc_auc")).fit(X, y).n_iter_ < 200  # doctest: +SKIP
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
        # the task that contains the epochs → (best score, number of epochs since)
        self._runs: WeakKeyDictionary[Any, tuple[float, int]] = WeakKeyDictionary()

    def on_fit_task_end(
        self,
        estimator: Any,
        context: Any,
        *,
        X: Any = None,
        y: Any = None,
        metadata: dict[str, Any] | None = None,
        fitted_estimator: Any = None,
    ) -> bool:
        """Score the estimator at the end of a task; return whether the patience is exhausted."""
        if fitted_estimator is None or _is_root(context):
            return False
        held_out = getattr(fitted_estimator, "_held_out", None)
        if self.X_val is not None:
            X, y = self.X_val, self.y_val
            metadata = None if self.sample_weight_val is None else {"sample_weight": self.sample_weight_val}
        elif held_out is not None:
            fitted_estimator, X, y, metadata = held_out
        if X is None:
            return False
        score = self._score(fitted_estimator, X, y, metadata or {})
        best, n_no_change = self._runs.get(context.parent, (-np.inf, 0))
        improved = score > best + self.tol or best == -np.inf
        n_no_change = 0 if improved else n_no_change + 1
        self._runs[context.parent] = (score if improved else best, n_no_change)
        return n_no_change >= self.n_iter_no_change

    def _score(self, fitted_estimator: Any, X: Any, y: Any, metadata: dict[str, Any]) -> float:
        from sklearn.metrics import check_scoring

        score = check_scoring(fitted_estimator, self.scoring)(fitted_estimator, X, y, **metadata)
        if not np.isfinite(score):
            raise ValueError(f"EarlyStopping(scoring={self.scoring!r}) got the score {score!r}, which is not finite.")
        return float(score)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_runs": None}  # contexts are those of fits in this process

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _runs=WeakKeyDictionary())


class TimeLimit(_Callback):
    """Stop a fit before a time limit.

    Parameters
    ----------
    seconds : float
        Maximum duration of a fit. The fit stops after a task (epoch, iteration) if another task of the same duration
        would exceed the limit; it runs at least one task.

    Notes
    -----
    In a search, the limit applies to the fit of each candidate on each fold.

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
        """Return whether another task of the same duration would exceed the limit."""
        if _is_root(context):
            return False
        now = datetime.now(UTC)
        elapsed, duration = now - _root(context).init_time, now - context.init_time
        return bool(elapsed + duration > timedelta(seconds=self.seconds))


class Checkpoint(_Callback):
    """Save the estimator to a file during training, and again at the end.

    The file is never incomplete: each version is written to a temporary file, which then replaces it atomically. If the
    process is killed meanwhile, the next write to the same path removes the temporary file.

    Parameters
    ----------
    path : str or path-like
        Path of the file; missing folders are created. ``{task}`` in the path stands for the position of the fit among
        all fits, such as "0-3-1". Searches and cross-validation need it, because all their fits would otherwise write
        to the same file.
    every : int, default=1
        Number of tasks (epochs, iterations) from one version to the next.

    Notes
    -----
    `joblib.load` returns the estimator as if the fit had ended there, ready to predict, with its callbacks. To resume
    the fit, set `warm_start=True` and call `fit` with the same rows. The networks of this package then give the same
    bits as an uninterrupted fit (except that L-BFGS restarts its estimate of the curvature), because until the end of
    the fit the file contains the state of training too. Other estimators continue as their own warm start does.

    Examples
    --------
    >>> import joblib
    >>> from skscratch.callbacks import Checkpoint
    >>> keep = Checkpoint("network.joblib", every=10)
    >>> model.set_callbacks(keep).fit(X, y)  # doctest: +SKIP
    >>> joblib.load("network.joblib").set_params(warm_start=True).fit(X, y)  # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike[str], *, every: int = 1):
        if not every >= 1:
            raise ValueError(f"every must be at least 1. Got {every!r} instead.")
        self.path, self.every = os.fspath(path), every

    def on_fit_task_end(self, estimator: Any, context: Any, *, fitted_estimator: Any = None) -> bool:
        """Save the estimator, if it is time to; return False: the fit continues."""
        if fitted_estimator is not None and (_is_root(context) or (context.task_id + 1) % self.every == 0):
            path = Path(self.path.replace("{task}", _position(context)))
            _replace(path, _without_running_fit(fitted_estimator))
        return False


def _position(context: Any) -> str:
    """Return the indices of the tasks from the outermost one to this fit, such as "0-3-1"."""
    context, indices = _root(context), []
    while context is not None:
        indices.append(str(context.task_id))
        context = context.parent
    return "-".join(reversed(indices))


def _without_running_fit(estimator: Any) -> Any:
    """Return a copy without the attributes that scikit-learn's callbacks set for the duration of a fit."""
    from sklearn.callback import CallbackContext

    estimator = copy.copy(estimator)
    for name, value in list(vars(estimator).items()):
        if isinstance(value, CallbackContext) or name == "_skl_callbacks_to_teardown":
            delattr(estimator, name)
    return estimator


def _replace(path: Path, estimator: Any) -> None:
    """Write the estimator to the file."""
    import joblib

    replace_file(path, lambda file: joblib.dump(estimator, file))
