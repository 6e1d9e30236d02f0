"""What happens when an epoch blows up: back to weights that were good, and on with a smaller step."""

import math
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .listeners import warn

__all__ = ["BLOWN_UP", "MAX_SHRINKS", "SHRINK", "Recovery"]

SHRINK = 0.25  # factor on the rate after an epoch that failed
MAX_SHRINKS = 20
BLOWN_UP = 1e8  # times the first batch's loss: finite, and yet no use going on from


class Recovery:
    """Copies of a state's parameters and optimizer to go back to.

    There are two: all before the running epoch, and the parameters before the epoch of lowest loss, from which the
    optimizer then starts afresh.  The latter are needed because a loss judges the weights that an epoch starts from,
    not those that it ends with.
    """

    def __init__(self, state: Any):
        self.state = state
        self._arrays = [state.parameters, *state.optimizer.state]
        self._before, self._count = [array.copy() for array in self._arrays], state.optimizer.count
        self._proven = state.parameters.copy()
        self._lowest = math.inf
        self._failures = 0  # of the running epoch, one after the other
        self.shrinks = 0
        self._first = 0  # the epoch that failed first

    def sound(self, loss: float) -> bool:
        """Whether a loss, and the parameters, are finite and not beyond all measure."""
        limit = BLOWN_UP * max(self.state.first_loss or 0.0, 1.0)
        return bool(loss <= limit and np.isfinite(self.state.parameters).all())

    def save(self) -> None:
        """Note what the epoch to come starts from."""
        for copy, array in zip(self._before, self._arrays, strict=True):
            np.copyto(copy, array)
        self._count = self.state.optimizer.count

    def passed(self, loss: float) -> None:
        """Note that the epoch had this loss, and so what it started from was good."""
        self._failures = 0
        if loss < self._lowest:
            self._lowest = loss
            np.copyto(self._proven, self._before[0])

    def undo(self) -> None:
        """Go back to before the running epoch."""
        for copy, array in zip(self._before, self._arrays, strict=True):
            np.copyto(array, copy)
        self.state.optimizer.count = self._count

    def failed(self) -> bool:
        """Go back, and shrink the step; whether that was once too often."""
        self._failures += 1
        if self._failures == 1:
            self.undo()
            self._shrink()
        else:  # a smaller step did not help: it was the step before this epoch that led astray
            self.reject()
        return self.shrinks > MAX_SHRINKS

    def reject(self) -> None:
        """Go back to the weights proven best, for those that the last epoch ended with are bad; shrink the step."""
        np.copyto(self.state.parameters, self._proven)
        for array in self.state.optimizer.state:
            array[...] = 0
        self.state.optimizer.count = 0
        if self.state.best is not None and self.state.best_epoch == self.state.epoch:
            self.state.best = self.state.parameters.copy()
        self._shrink()

    def _shrink(self) -> None:
        self._first = self._first or self.state.epoch + 1
        self.state.factor *= SHRINK
        self.shrinks += 1

    def looks_wild(self) -> bool:
        """Whether the parameters, after a last step that no epoch has judged, are far from any that were."""
        return bool(np.linalg.norm(self.state.parameters) > 10 * (1 + np.linalg.norm(self._proven)))

    def warn(self) -> None:
        """Tell the user, once, if anything went wrong."""
        if not self.shrinks:
            return
        outcome = (
            "a smaller learning rate did not help, and training stopped there"
            if self.shrinks > MAX_SHRINKS
            else f"training went on with {SHRINK**self.shrinks:.1e} times the learning rate"
        )
        warn(
            f"The loss became non-finite, or huge, in epoch {self._first}: the weights were set back to the last good "
            f"ones and {outcome}. Lower learning_rate_init, or set clip_norm.",
            ConvergenceWarning,
        )
