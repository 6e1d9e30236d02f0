"""What the user is told during a fit: warnings that point to the user's own line, and a line for each epoch."""

import logging
import sys
import warnings
from typing import Any, TextIO

__all__ = ["EpochLines", "warn"]

_INSIDE = (__package__.partition(".")[0], "sklearn.callback")  # frames of these are not the user's


def warn(message: str, category: type[Warning]) -> None:
    """Warn, at the line outside the package from which it was called."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _is_inside(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


def _is_inside(module: str) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in _INSIDE)


class EpochLines:
    """One aligned line an epoch, to the logger "skscratch": loss, validation, rate, seconds left.

    A program that has set up logging gets them as records of level INFO; elsewhere they are printed.

    Parameters
    ----------
    first, last : int
        The epochs that this call of fit plans, of which there may be fewer.
    scored : bool
        Whether validation has a score that is not its loss.
    """

    def __init__(self, first: int, last: int, scored: bool):
        self._first, self._last, self._scored = first, last, scored
        self._logger = logging.getLogger("skscratch")
        if not self._logger.hasHandlers():
            self._logger.addHandler(_ToScreen())
        if self._logger.level == logging.NOTSET:
            self._logger.setLevel(logging.INFO)

    def __call__(self, record: Any, validation_loss: float, score: float) -> None:
        """Tell of one epoch (a Record); what was not judged is NaN, and shown as a dash."""
        width = len(str(self._last))
        words = [f"epoch {record.epoch:{width}d}/{self._last}", f"loss {record.loss:11.5g}"]
        words.append(f"validation {_or_dash(validation_loss):>11}")
        if self._scored:
            words.append(f"score {_or_dash(score):>11}")
        words.append(f"rate {_or_dash(record.rate):>10}")
        left = record.seconds / (record.epoch - self._first + 1) * (self._last - record.epoch)
        words.append(f"{left:6.1f} s left")
        self._logger.info("  ".join(words))


def _or_dash(value: float) -> str:
    return f"{value:.5g}" if value == value else "-"


class _ToScreen(logging.StreamHandler):
    """Print to what is standard output now, which notebooks exchange; unless logging has been set up since."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            super().emit(record)

    @property
    def stream(self) -> TextIO:
        return sys.stdout
