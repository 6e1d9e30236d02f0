"""Learning-rate schedules: pure functions of progress u in [0, 1], giving a factor on the rate.

The two schedules of scikit-learn that depend on more than progress ("invscaling" on the rows seen,
"adaptive" on the loss) are named here and carried out in `training`.
"""

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

__all__ = ["OPEN_ENDED", "SCHEDULES", "VALLEYS", "bump", "checked", "with_warmup"]

Schedule = Callable[[float], float]


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


def bump(u: float) -> float:
    """½ (1 - cos 2πu): from 0 up to 1 and back."""
    return 0.5 * (1 - math.cos(2 * math.pi * u))


def multi_cosine(u: float) -> float:
    """½ (1 - cos(2π log₂(1 + 15u))): four bumps, each twice as long as the one before.

    "coslog4" of Holzmüller et al. 2024 (RealMLP), eq. 5; it is zero at u = 0, 1/15, 3/15, 7/15 and 1.
    """
    return bump(math.log2(1 + 15 * u))


SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "invscaling": constant,
    "adaptive": constant,
    "cosine": cosine,
    "one_cycle": one_cycle,
    "multi_cosine": multi_cosine,
}

# progress at the end of each cycle of a schedule that has several
VALLEYS: dict[str, tuple[float, ...]] = {"multi_cosine": (1 / 15, 3 / 15, 7 / 15)}

# these have no end of their own: training on them goes on until the loss stops falling
OPEN_ENDED = frozenset({"constant", "invscaling", "adaptive"})


def checked(schedule: Schedule) -> Schedule:
    """A user's schedule, whose factors must be finite numbers, not below 0."""

    def factor(u: float) -> float:
        value: Any = schedule(u)
        if not isinstance(value, Real) or not 0 <= float(value) < math.inf:
            raise ValueError(
                "A callable learning_rate must return a finite number, not below 0, for progress from 0 to 1. "
                f"At {u:.3g} it returned {value!r}."
            )
        return float(value)

    return factor


def with_warmup(schedule: Schedule, fraction: float) -> Schedule:
    """`schedule`, multiplied by a straight rise from 0 to 1 over the first `fraction` of training."""
    if not fraction:
        return schedule
    return lambda u: schedule(u) * min(1.0, u / fraction)
