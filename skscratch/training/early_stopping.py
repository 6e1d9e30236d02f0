"""Validation rows, the best epoch, and when to stop."""

import math
from collections.abc import Callable, Collection

import numpy as np

from .loop import Record, State

__all__ = ["Monitor", "split"]

GAIN = 0.005  # a cycle that improves the score by less than this share of it is the last


def split(
    n: int, fraction: float, weight: np.ndarray | None, strata: np.ndarray | None, rng: np.random.RandomState
) -> np.ndarray:
    """Numbers of the rows to validate on, in order: about `fraction` of the total weight.

    With `strata` (class codes) each class gives its share, and one with a single row stays in training.
    """
    order = rng.permutation(n)
    weight = np.ones(n) if weight is None else weight
    held = np.zeros(n, dtype=bool)
    groups = [order] if strata is None else [order[strata[order] == code] for code in np.unique(strata)]
    owed = 0.0  # what earlier classes gave too little or too much: rare classes add up to their share
    for rows in groups:
        if len(rows) < 2:
            continue
        target = fraction * weight[rows].sum() + owed
        mass = np.cumsum(weight[rows])
        take = int(np.argmin(np.abs(np.append(0.0, mass) - target)))
        take = min(take, len(rows) - 1)
        held[rows[:take]] = True
        owed = target - (mass[take - 1] if take else 0.0)
    if held.sum() < 1:
        raise ValueError(
            f"The validation set would be empty: {fraction} of n_samples={n}. Increase validation_fraction, give X_val "
            "and y_val, or fit more rows."
        )
    return np.flatnonzero(held)


class Monitor:
    """Keep the history and the best epoch's parameters; answer True when training should stop.

    Parameters
    ----------
    state : State
    validate : callable or None
        From parameters to (validation loss, validation score); without it the training loss decides.
    due : callable or None
        From an epoch to whether to validate after it; None for after each.
    valleys : collection of int
        Epochs after which training stops, unless the best score has risen by `GAIN` of itself since the last of them.
    patience : float
        Stop after so many epochs without an improvement of at least `tol`; infinity for never.
    adaptive_rate : float or None
        Base rate of the "adaptive" schedule, which then divides the rate by 5 instead, down to 1e-6.
    keep_best : bool
        Whether to copy the best epoch's parameters.
    judges : bool
        Whether these epochs may be the best at all: a loss that nothing is chosen by must not take the place of a
        validation score that another call of `partial_fit` found.
    report : callable or None
        Told of every epoch: (record, validation loss, validation score).
    """

    def __init__(
        self,
        state: State,
        *,
        validate: Callable[[np.ndarray], tuple[float, float]] | None,
        due: Callable[[int], bool] | None = None,
        valleys: Collection[int] = (),
        patience: float,
        tol: float,
        adaptive_rate: float | None,
        keep_best: bool,
        judges: bool = True,
        report: Callable | None = None,
    ):
        self.state, self.validate, self.patience, self.tol = state, validate, patience, tol
        self.adaptive_rate, self.keep_best, self.report = adaptive_rate, keep_best, report
        self.due, self.valleys, self.judges = due, valleys, judges
        self.stopped = False

    def __call__(self, record: Record) -> bool:
        """Take in one epoch."""
        state, history = self.state, self.state.history
        # validation first: an interruption in it leaves nothing half done
        judged = self.validate is None or self.due is None or self.due(record.epoch)
        validation_loss, score = math.nan, math.nan
        if self.validate is not None and judged:
            validation_loss, score = self.validate(state.parameters)
        told = {"loss": record.loss, "learning_rate": record.rate, "seconds": record.seconds}
        if self.validate is None:
            improved = record.loss <= state.best_loss - self.tol
            best = record.loss < state.best_loss
        else:
            told |= {"validation_loss": validation_loss, "validation_score": score}
            improved = score >= state.best_score + self.tol
            best = score > state.best_score
            state.best_score = max(state.best_score, score) if score == score else state.best_score
        if history.keys() != told.keys():  # one value an epoch: NaN for what was not, or is no longer, asked for
            so_far = len(history.get("loss", ()))
            for name in told:
                history.setdefault(name, [math.nan] * so_far)
            told = dict.fromkeys(history, math.nan) | told
        for name, value in told.items():
            history[name].append(value)
        state.best_loss = min(state.best_loss, record.loss)
        if judged and self.judges:
            state.stale = 0 if improved else state.stale + 1
        if best and self.judges:
            state.best_epoch = record.epoch
            if self.keep_best:
                if state.best is None:
                    state.best = np.empty_like(state.parameters)
                np.copyto(state.best, state.parameters)
        if self.report is not None:
            self.report(record, validation_loss, score)
        if state.stale >= self.patience:
            if self.adaptive_rate is None or self.adaptive_rate * state.factor <= 1e-6:
                self.stopped = True
            else:
                state.factor /= 5
                state.stale = 0
        if record.epoch in self.valleys:
            if state.best_score - state.valley_score < GAIN * abs(state.valley_score):
                self.stopped = True
            state.valley_score = state.best_score
        state.over = self.stopped
        return self.stopped
