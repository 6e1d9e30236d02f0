"""Learning-rate schedules: factors on the learning rate as functions of progress u, from 0 to 1.

Two schedules of scikit-learn depend on more than progress: "invscaling" on the number of rows seen and "adaptive" on
the loss.  Their factor here is constant; the training loop and early stopping add the rest.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

__all__ = ["SCHEDULES", "Schedule", "checked", "hann", "hann_window", "multi_cosine", "with_warmup"]


@dataclass(frozen=True)
class Schedule:
    """A learning-rate schedule; ``schedule(u)`` is its factor at progress u.

    Attributes
    ----------
    factor : callable
        Factor on the learning rate, as a function of progress in [0, 1].
    cycle_ends : tuple of float
        Progress at the end of each cycle but the last, if the schedule has several.
    open_ended : bool
        Whether the schedule has no end of its own, so that training goes on until the loss stops falling.
    """

    factor: Callable[[float], float]
    cycle_ends: tuple[float, ...] = ()
    open_ended: bool = False

    def __call__(self, u: float) -> float:
        """Factor on the learning rate at progress `u`."""
        return self.factor(u)


def constant(u: float) -> float:
    """1 throughout."""
    return 1.0


def cosine(u: float) -> float:
    """½ (1 + cos πu): from 1 down to 0 (Loshchilov & Hutter 2017, eq. 5, one cycle)."""
    return 0.5 * (1 + math.cos(math.pi * u))


def one_cycle(u: float) -> float:
    """From 1/25 up to 1 in the first 30 %, then down to 0, both along a cosine (Smith & Topin 2018)."""
    if u < 0.3:
        return 0.04 + 0.96 * 0.5 * (1 - math.cos(math.pi * u / 0.3))
    return cosine((u - 0.3) / 0.7)


def hann(u: float) -> float:
    """½ (1 - cos 2πu): from 0 up to 1 and back to 0, the Hann window."""
    return 0.5 * (1 - math.cos(2 * math.pi * u))


def hann_window(batch_size: int, n_rows: int, n_epochs: int) -> Callable[[float], float]:
    """One Hann window over `n_epochs`, half a step ahead: otherwise the rate of the first step would be 0."""
    half_a_step = 0.5 * min(batch_size / n_rows, 1) / n_epochs
    return lambda u: hann(u + half_a_step)


def multi_cosine(n_cycles: int = 4) -> Schedule:
    """½ (1 - cos(2π log₂(1 + (2ᶜ - 1) u))): c Hann windows, each twice as long as the one before.

    Four of them are "coslog4" of Holzmüller et al. 2024 (RealMLP), eq. 5, zero at u = 0, 1/15, 3/15, 7/15 and 1.
    """
    total = 2**n_cycles - 1  # in units of the first window
    ends = [(2**i - 1) / total for i in range(1, n_cycles)]
    return Schedule(lambda u: hann(math.log2(1 + total * u)), cycle_ends=tuple(ends))


SCHEDULES: dict[str, Schedule] = {
    "constant": Schedule(constant, open_ended=True),
    "invscaling": Schedule(constant, open_ended=True),
    "adaptive": Schedule(constant, open_ended=True),
    "cosine": Schedule(cosine),
    "one_cycle": Schedule(one_cycle),
    "multi_cosine": multi_cosine(),
}


def checked(function: Callable[[float], Any]) -> Schedule:
    """A user's schedule, whose factors must be finite, non-negative numbers."""

    def factor(u: float) -> float:
        value = function(u)
        if not isinstance(value, Real) or not 0 <= float(value) < math.inf:
            raise ValueError(
                "A callable learning_rate must return a finite number, not below 0, for progress from 0 to 1. "
                f"At {u:.3g} it returned {value!r}."
            )
        return float(value)

    return Schedule(factor)


def with_warmup(schedule: Schedule, fraction: float) -> Schedule:
    """`schedule`, multiplied by a linear rise from 0 to 1 over the first `fraction` of training."""
    if not fraction:
        return schedule
    return replace(schedule, factor=lambda u: schedule(u) * min(1.0, u / fraction))
