"""The block of dates: the parts of a date that recur, as sines and cosines.

The position of a date in time is a number column, beside this block.  A part is a phase in [0, 1), of which harmonic h
is the sine and the cosine of 2π · h · phase, so that its end meets its beginning: 23:59 is close to 00:00.  A missing
date has zeros.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ..nn.tape import Array
from .columns import RawTable
from .times import DATES, TIMES_OF_DAY, Kind

__all__ = ["PARTS", "Dates", "phase", "phase_ranges"]

PARTS = ("time_of_day", "day_of_week", "day_of_year")
HARMONICS = {"time_of_day": 3, "day_of_week": 2, "day_of_year": 2}  # as many as paid on the tables of the benchmark
_PARTS_OF = {DATES: PARTS, TIMES_OF_DAY: PARTS[:1]}
SECONDS_PER_DAY = 86400.0
DAYS_TO_MONDAY = 3.0  # 1970-01-01 was a Thursday
# Days since a March 1, after which the leap days of 4, 100 and 400 years are the last days of their periods
DAYS_TO_MARCH = 719468.0  # from 0000-03-01 to 1970-01-01
DAYS_TO_JANUARY = 306.0  # from March 1 to January 1
DAYS_PER_YEAR = 366.0  # with February 29, so that a date has the same phase in each year


def phase(part: str, seconds: Array) -> Array:
    """Phase in [0, 1) of one of `PARTS` at dates in seconds since 1970-01-01, NaN where a date is NaN.

    The day of the year is counted as in a leap year.  It comes from the arithmetic of the Gregorian calendar, on floats
    that are integers (Hinnant 2014, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
    """
    days = np.floor(seconds / SECONDS_PER_DAY)
    if part == "time_of_day":
        return seconds / SECONDS_PER_DAY - days
    if part == "day_of_week":
        return _fraction(days + DAYS_TO_MONDAY, 7)
    days = days + DAYS_TO_MARCH
    day = days - np.floor(days / 146097) * 146097  # of a period of 400 years
    year = np.floor((day - np.floor(day / 1460) + np.floor(day / 36524) - np.floor(day / 146096)) / 365)
    day = day - (365 * year + np.floor(year / 4) - np.floor(year / 100))  # since March 1
    return _fraction(day - DAYS_TO_JANUARY, DAYS_PER_YEAR)


def _fraction(days: Array, period: float) -> Array:
    """Position of days in a period, in [0, 1)."""
    return days / period - np.floor(days / period)


def phase_ranges(seconds: Array) -> Array:
    """Smallest and largest phase of each part over dates in seconds, (3, 2); (inf, -inf) without any date."""
    present = seconds[~np.isnan(seconds)]
    phases = [phase(part, present) for part in PARTS]
    return np.array([[x.min(initial=np.inf), x.max(initial=-np.inf)] for x in phases])


@dataclass(frozen=True, eq=False)
class Dates:
    """Parts of dates and times of day, as sines and cosines.

    Attributes
    ----------
    positions : ndarray of int, shape (width / 2,)
        Position, among the number columns, of the column that each pair of sine and cosine comes from.
    columns : ndarray of int, shape (width / 2,)
        The same columns' numbers in the raw table.
    parts : list of str
        Which of `PARTS` each pair is of.
    harmonics : list of int
        The harmonic of each pair, from 1.
    """

    positions: Array
    columns: Array
    parts: list[str]
    harmonics: list[int]

    @classmethod
    def learn(cls, ranges: Iterable[Array | None], columns: Array, kinds: Sequence[Kind]) -> Self:
        """Find the parts that vary.

        Parameters
        ----------
        ranges : iterable of ndarray of shape (3, 2), or None
            Of each number column what `phase_ranges` returns; None for all parts, as rows may follow that vary.
        columns : ndarray of int
            The column of the raw table that each number comes from.
        kinds : sequence of Kind
            What each column of the raw table holds.
        """
        found = [
            (position, part, harmonic)
            for position, (j, column_ranges) in enumerate(zip(columns.tolist(), ranges, strict=True))
            for k, part in enumerate(_PARTS_OF.get(kinds[j].times, ()))
            if column_ranges is None or column_ranges[k, 0] < column_ranges[k, 1]
            for harmonic in range(1, 1 + HARMONICS[part])
        ]
        positions = np.array([position for position, _, _ in found], dtype=int)
        return cls(positions, columns[positions], [part for _, part, _ in found], [h for _, _, h in found])

    @classmethod
    def none(cls) -> Self:
        """A block without columns."""
        return cls(np.empty(0, int), np.empty(0, int), [], [])

    @property
    def width(self) -> int:
        """Number of encoded columns."""
        return 2 * len(self.parts)

    def names(self, feature_names: Sequence[str]) -> list[str]:
        """Name of each encoded column."""
        return [
            f"{feature_names[j]}_{part}_{function}{harmonic if harmonic > 1 else ''}"
            for j, part, harmonic in zip(self.columns, self.parts, self.harmonics, strict=True)
            for function in ("sin", "cos")
        ]

    def sources(self) -> Array:
        """Column of the raw table that each encoded column comes from."""
        return np.repeat(self.columns, 2)

    def write(self, table: RawTable, out: Array) -> None:
        """Write sines and cosines (n, width) into `out`."""
        pairs = zip(self.positions.tolist(), self.parts, self.harmonics, strict=True)
        for i, (position, part, harmonic) in enumerate(pairs):
            if harmonic == 1:  # the others of a part follow
                turns = 2 * np.pi * phase(part, table.numbers[:, position])
                missing = np.isnan(turns)
            angle = harmonic * turns
            out[:, 2 * i] = np.where(missing, 0, np.sin(angle))
            out[:, 2 * i + 1] = np.where(missing, 0, np.cos(angle))

    def to_state(self) -> dict[str, Any]:
        """The block as a dictionary of arrays and strings."""
        return dict(vars(self))

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The block that `to_state` described."""
        return cls(**state)
