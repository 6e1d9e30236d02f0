"""Time limit: the learning-rate schedule runs over the time that is left, where all planned epochs would take longer.

A fit that is cut in the middle of its schedule is poor, because the learning rate is still high.  So the progress u
that the schedule depends on is the share of the planned steps, or the share of the time, whichever is larger
(Li, Yumer & Ramanan 2020, "Budgeted training").  Time is kept back for the evaluations and the refit that follow.
"""

from collections.abc import Callable, Collection
from time import perf_counter as clock

from ..nn.tape import Array
from .listeners import Listener, Record

__all__ = ["CycleEnds", "Pace", "StopInTime", "TimeLimit"]

GRACE = 0.02  # share of the time in which it does not count: the first steps are slow, and a fit with enough time keeps
# its schedule
MIN_REFIT_EPOCHS = 5  # a network that has seen the rows fewer times gains more by training than by a refit
LONG_EPOCH = 0.05  # an epoch of more than this share of the schedule ends no cycle of the learning rate


class TimeLimit:
    """The time at which a fit has to end."""

    def __init__(self, seconds: float):
        self.seconds, self.end = seconds, clock() + seconds
        self.reason = f"the time limit of {seconds:g} s is reached"

    def left(self) -> float:
        """Return the seconds until the end."""
        return self.end - clock()

    def grant(self, share: float) -> None:
        """Move the end such that at least this share of all seconds is left."""
        self.end = max(self.end, clock() + share * self.seconds)


class Pace:
    """Progress of a training that has some seconds, from 0 to 1.

    Parameters
    ----------
    seconds : float
        Time for the training, its last evaluations and the refit.
    n_epochs : int
        Number of epochs that are planned.
    refit : float
        Duration of the refit as a share of that of the training.
    evaluation_steps : float
        Guess of how many training steps take as long as an evaluation, until one is measured.
    """

    def __init__(self, seconds: float, n_epochs: int = 1, refit: float = 0.0, evaluation_steps: float = 0.0):
        self.begun, self.seconds, self.n_epochs, self._refit = clock(), seconds, n_epochs, refit
        self.before, self.after = 0.0, 0.0  # progress at the beginning and at the end of the last epoch
        self._evaluation_steps, self._evaluation_seconds = evaluation_steps, -1.0
        self._n_steps, self._done = 0, 0.0

    def __call__(self, progress: float) -> float:
        """Return the progress, for the share of the planned steps that are done; call it once before each step."""
        self._n_steps += 1
        self._done = progress
        return max(progress, self._share_of_time())

    def end_epoch(self, progress: float) -> None:
        """Note the progress at the end of an epoch."""
        self.before, self.after = self.after, max(progress, self._share_of_time())

    def is_over(self) -> bool:
        """Whether no time is left for another epoch and its evaluation."""
        return self._share_of_time(max(self._evaluation_seconds, 0.0)) >= 1

    @property
    def refits(self) -> bool:
        """Whether the time is enough for so many epochs that a refit is worth its time: at its pace so far."""
        epochs_per_second = self._done * self.n_epochs / max(clock() - self.begun, 1e-9)
        return epochs_per_second * self.seconds >= MIN_REFIT_EPOCHS

    def left(self) -> float:
        """Return the seconds of training that are left."""
        return self.begun + self._length() - clock()

    def timed(self, evaluate: Callable[[Array], tuple[float, float]]) -> Callable[[Array], tuple[float, float]]:
        """Return a function that evaluates parameters, and measures how long that takes."""

        def evaluate_and_measure(parameters: Array) -> tuple[float, float]:
            begun = clock()
            result = evaluate(parameters)
            self._evaluation_seconds = clock() - begun
            return result

        return evaluate_and_measure

    def _share_of_time(self, ahead: float = 0.0) -> float:
        elapsed, length = clock() - self.begun + ahead, self._length()
        if length <= 0:
            return 1.0
        return min(elapsed / length, 1.0) if elapsed > GRACE * length else 0.0

    def _length(self) -> float:
        """Return the seconds for training: two evaluations follow, that of the last epoch and that of the best one."""
        evaluation = self._evaluation_seconds
        if evaluation < 0:
            evaluation = self._evaluation_steps * (clock() - self.begun) / max(self._n_steps, 1)
        return (self.seconds - 2 * evaluation) / (1 + (self._refit if self.refits else 0.0))


class CycleEnds:
    """The epochs in which the progress passes the end of a cycle of the learning rate."""

    def __init__(self, pace: Pace, ends: Collection[float]):
        self._pace, self._ends = pace, ends

    def __contains__(self, epoch: object) -> bool:
        before, after = self._pace.before, self._pace.after
        return after - before <= LONG_EPOCH and any(before < end <= after for end in self._ends)


class StopInTime(Listener):
    """Stop L-BFGS before an iteration that would exceed the limit, if it took as long as the one before."""

    def __init__(self, limit: TimeLimit):
        self._limit, self._before, self.reason = limit, clock(), limit.reason

    def on_epoch_end(self, record: Record) -> bool:
        """Return whether there is no time for another iteration."""
        now = clock()
        duration, self._before = now - self._before, now
        return self._limit.left() < duration
