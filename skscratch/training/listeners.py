"""Listeners: what observes the training loop and may stop it.

The loop calls every listener at the beginning and at the end of each epoch.  `EarlyStopping` validates, keeps the
history and the best epoch, and decides when to stop; `ProgressLines` prints; scikit-learn's callbacks are a listener as
well (see `estimators.callback_support`).
"""

import logging
import math
import sys
import warnings
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from ..nn.tape import Array
from .state import TrainingState

__all__ = ["MIN_CYCLE_GAIN", "EarlyStopping", "Listener", "Listeners", "ProgressLines", "Record", "warn"]

MIN_CYCLE_GAIN = 0.005  # training stops after a cycle that improves the score by less than this share of it

_INTERNAL = (__package__.partition(".")[0], "sklearn.callback")  # modules whose frames are not the user's


@dataclass
class Record:
    """Facts about one epoch."""

    epoch: int  # counted from 1 over all calls of fit
    loss: float  # mean training loss
    learning_rate: float  # of the last step
    seconds: float  # since this call of fit began
    validation_loss: float = math.nan  # filled in by EarlyStopping; NaN for an epoch that is not validated
    validation_score: float = math.nan


class Listener:
    """A listener that does nothing; subclasses override what they need."""

    reason = "a callback ended it"  # why it stopped the training, where it did

    def on_fit_begin(self, attributes_of: "Callable[[Any], dict[str, Any]]") -> None:
        """A fit begins; `attributes_of` maps a result to the attributes of an estimator that is fitted with it."""

    def on_train_begin(self, result_so_far: "Callable[[], Any]") -> None:
        """Training or the refit begins; `result_so_far` returns what `fit_network` would return now."""

    def on_epoch_begin(self) -> None:
        """An epoch begins, or begins again after it diverged."""

    def on_epoch_end(self, record: Record) -> bool:
        """Return True to stop after this epoch.  An interruption in this method undoes the epoch."""
        return False

    def on_epoch_counted(self) -> bool:
        """Return True to stop after this epoch, which now belongs to the training state."""
        return False


class Listeners(Listener):
    """Several listeners as one, called in their order."""

    def __init__(self, listeners: Sequence[Listener]):
        self.listeners = listeners
        self.stopped_by: Listener | None = None  # the first listener that stopped the training

    def on_train_begin(self, result_so_far: "Callable[[], Any]") -> None:
        """Call all listeners."""
        for listener in self.listeners:
            listener.on_train_begin(result_so_far)

    def on_epoch_begin(self) -> None:
        """Call all listeners."""
        for listener in self.listeners:
            listener.on_epoch_begin()

    def on_epoch_end(self, record: Record) -> bool:
        """Call all listeners; return whether any stops the training."""
        return self._any_stops([listener.on_epoch_end(record) for listener in self.listeners])

    def on_epoch_counted(self) -> bool:
        """Call all listeners; return whether any stops the training."""
        return self._any_stops([listener.on_epoch_counted() for listener in self.listeners])

    def _any_stops(self, answers: list[bool]) -> bool:
        for listener, stops in zip(self.listeners, answers, strict=True):
            if stops:
                self.stopped_by = self.stopped_by or listener
        return any(answers)


class EarlyStopping(Listener):
    """Validate, keep the history and the best epoch's parameters, and stop when the score no longer improves.

    Parameters
    ----------
    state : TrainingState
    evaluate : callable or None
        Maps parameters (K, P) to (validation loss, validation score).  Without it the training loss decides.
    evaluate_at : callable or None
        Maps an epoch to whether it is validated; None validates every epoch.
    cycle_ends : container of int
        Epochs after which training stops, unless the best score has improved by the share `MIN_CYCLE_GAIN` since the
        last of them.
    patience : float
        Stop after this many consecutive epochs without an improvement of at least `tol`; infinity never stops.
    tol : float
    adaptive_rate : float or None
        Base learning rate of the "adaptive" schedule, which divides the rate by 5 instead of stopping, down to 1e-6.
    keep_best : bool
        Whether to copy the best epoch's parameters.
    chooses : bool
        Whether these epochs may become the best.  A training loss that chooses nothing must not replace a validation
        score that another call of `partial_fit` found.
    """

    def __init__(
        self,
        state: TrainingState,
        *,
        evaluate: Callable[[Array], tuple[float, float]] | None = None,
        evaluate_at: Callable[[int], bool] | None = None,
        cycle_ends: Container[int] = (),
        patience: float = math.inf,
        tol: float = 0.0,
        adaptive_rate: float | None = None,
        keep_best: bool = True,
        chooses: bool = True,
    ):
        self.state, self.evaluate, self.evaluate_at, self.cycle_ends = state, evaluate, evaluate_at, cycle_ends
        self.patience, self.tol, self.adaptive_rate = patience, tol, adaptive_rate
        self.keep_best, self.chooses = keep_best, chooses

    def on_epoch_end(self, record: Record) -> bool:
        """Take in one epoch; return whether training stops."""
        counts = self._validate(record)  # first: an interruption in it changes nothing
        self._append_to_history(record)
        self._update_best(record, counts)
        out_of_patience, gained_too_little = self._out_of_patience(), self._cycle_gained_too_little(record.epoch)
        if out_of_patience:
            self.reason = f"no improvement of {self.tol:g} in {self.patience:g} epochs"
        elif gained_too_little:
            self.reason = f"the last cycle of the learning rate gained less than {MIN_CYCLE_GAIN:.1%}"
        self.state.finished = out_of_patience | gained_too_little
        return self.state.finished

    def _validate(self, record: Record) -> bool:
        """Evaluate the parameters where this epoch is validated; return whether it counts for patience."""
        if self.evaluate is None:
            return True
        if self.evaluate_at is not None and not self.evaluate_at(record.epoch):
            return False
        record.validation_loss, record.validation_score = self.evaluate(self.state.parameters)
        return True

    def _append_to_history(self, record: Record) -> None:
        """Append to each list of the history; NaN for values that this epoch or earlier ones do not have."""
        history = self.state.history
        values = {"loss": record.loss, "learning_rate": record.learning_rate, "seconds": record.seconds}
        if self.evaluate is not None:
            values |= {"validation_loss": record.validation_loss, "validation_score": record.validation_score}
        if history.keys() != values.keys():
            n_before = len(history.get("loss", ()))
            for name in values:
                history.setdefault(name, [math.nan] * n_before)
            values = dict.fromkeys(history, math.nan) | values
        for name, value in values.items():
            history[name].append(value)

    def _update_best(self, record: Record, counts: bool) -> None:
        """Compare the epoch with the best one; count epochs without improvement."""
        best, score = self.state.best, record.validation_score
        if self.evaluate is None:
            improved, is_best = record.loss <= best.loss - self.tol, record.loss < best.loss
        else:
            improved, is_best = score >= best.score + self.tol, score > best.score
            best.score = max(best.score, score) if score == score else best.score
        best.loss = min(best.loss, record.loss)
        if not self.chooses:
            return
        if counts:
            best.n_no_change = 0 if improved else best.n_no_change + 1
        if is_best:
            best.epoch = record.epoch
            if self.keep_best:
                best.keep(self.state.parameters, record.epoch)

    def _out_of_patience(self) -> bool:
        state = self.state
        if state.best.n_no_change < self.patience:
            return False
        if self.adaptive_rate is None or self.adaptive_rate * state.rate_factor <= 1e-6:
            return True
        state.rate_factor /= 5
        state.best.n_no_change = 0
        return False

    def _cycle_gained_too_little(self, epoch: int) -> bool:
        if epoch not in self.cycle_ends:
            return False
        best = self.state.best
        before, best.cycle_score = best.cycle_score, best.score
        return best.score - before < MIN_CYCLE_GAIN * abs(before)


class ProgressLines(Listener):
    """Aligned lines of epochs for the logger "skscratch": losses, learning rate, seconds left.

    A program that has set up logging receives records of level INFO; otherwise they are printed.

    Parameters
    ----------
    first, last : int
        The epochs that this call of fit plans.  Training may stop earlier.
    scored : bool
        Whether validation has a score that is not its loss.
    every : int, default=1
        Number of epochs from one line to the next.
    dash : str, default=""
        What a dash for the validation loss means, in a line before the first one.
    seconds_left : callable, optional
        Returns the seconds that a time limit leaves.
    """

    def __init__(
        self,
        first: int,
        last: int,
        scored: bool,
        every: int = 1,
        dash: str = "",
        seconds_left: Callable[[], float] | None = None,
    ):
        self._first, self._last, self._scored, self._every, self._dash = first, last, scored, every, dash
        self._seconds_left = seconds_left
        self._logger = logging.getLogger("skscratch")
        if not self._logger.hasHandlers():
            self._logger.addHandler(_ToScreen())
        if self._logger.level == logging.NOTSET:
            self._logger.setLevel(logging.INFO)

    def on_epoch_end(self, record: Record) -> bool:
        """Write the line of one epoch; a dash stands for a value that this epoch does not have."""
        if record.epoch % self._every:
            return False
        if self._dash and math.isnan(record.validation_loss):
            self._logger.info(f"(-: {self._dash})")
            self._dash = ""
        width = len(str(self._last))
        words = [f"epoch {record.epoch:{width}d}/{self._last}", f"loss {record.loss:11.5g}"]
        words.append(f"validation {_or_dash(record.validation_loss):>11}")
        if self._scored:
            words.append(f"score {_or_dash(record.validation_score):>11}")
        words.append(f"rate {_or_dash(record.learning_rate):>10}")
        left = record.seconds / (record.epoch - self._first + 1) * (self._last - record.epoch)
        if self._seconds_left is not None:
            left = max(min(left, self._seconds_left()), 0.0)
        words.append(f"{left:6.1f} s left")
        self._logger.info("  ".join(words))
        return False

    def end(self, reason: str, epoch: int, n_refit: int) -> None:
        """Write why the training ended, which epoch's weights are kept, and how many epochs of the refit follow."""
        line = f"Training ends: {reason}. The weights of epoch {epoch} are kept."
        if n_refit:
            line += f" A refit on all rows follows, of {n_refit} epoch{'s' * (n_refit > 1)}."
        self._logger.info(line)


def _or_dash(value: float) -> str:
    return f"{value:.5g}" if value == value else "-"


class _ToScreen(logging.StreamHandler[TextIO]):
    """Print to the current standard output, which notebooks exchange, unless logging has been set up since."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            super().emit(record)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stdout


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line outside the package that called it."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _is_internal(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _is_internal(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in _INTERNAL)
