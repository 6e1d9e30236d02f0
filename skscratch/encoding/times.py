"""Times: columns of dates, durations and times of day, from any library and in any unit, as seconds.

A date is the number of seconds since 1970-01-01 00:00 on the clock of its time zone, a time of day that since midnight.
The clock decides, and not the instant: 8 o'clock is a morning in summer and in winter.
"""

import datetime
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import narwhals.stable.v1 as nw
import numpy as np

from ..nn.tape import Array

__all__ = [
    "DATES",
    "DURATIONS",
    "TIMES_OF_DAY",
    "Kind",
    "as_instants",
    "category_values",
    "check_kinds",
    "date_text",
    "is_time",
    "kind_of",
    "looks_like_dates",
    "seconds",
    "times_in",
]

DATES, DURATIONS, TIMES_OF_DAY = "dates", "durations", "times of day"
_PYTHON_TYPES = {  # a datetime and a Timestamp are dates, a Timedelta is a timedelta
    DATES: (datetime.date, np.datetime64),
    DURATIONS: (datetime.timedelta, np.timedelta64),
    TIMES_OF_DAY: (datetime.time,),
}
_SECONDS = {"W": 604800, "D": 86400, "h": 3600, "m": 60, "s": 1}  # of NumPy's units
_FRACTIONS = {"ms": 10**3, "us": 10**6, "ns": 10**9, "ps": 10**12, "fs": 10**15, "as": 10**18}
_ISO = re.compile(r"\s*\d{4}([-/])(0?[1-9]|1[0-2])\1(0?[1-9]|[12]\d|3[01])([T ]\d{1,2}:\d{2}\S*)?( ?[A-Z]{3,4})?\s*")
_SAMPLE_ROWS = 200  # rows that decide whether a column of text looks like dates
_MIN_SHARE = 0.9  # of their texts that must look like dates


class Kind(NamedTuple):
    """What a column holds.

    Attributes
    ----------
    is_category : bool
        Whether its values are categories.
    times : str
        "dates", "durations" or "times of day"; empty for other values.
    zone : str
        Time zone of dates; empty where they have none.
    """

    is_category: bool = False
    times: str = ""
    zone: str = ""

    @property
    def is_time(self) -> bool:
        """Whether its values are numbers, of seconds."""
        return self.times != "" and not self.is_category

    @property
    def is_date(self) -> bool:
        """Whether its values are numbers, of seconds since 1970."""
        return self.times == DATES and not self.is_category

    def __str__(self) -> str:
        if self.times:
            return f"{self.times} in the time zone {self.zone}" if self.zone else self.times
        return "categories" if self.is_category else "numbers"


# ------------------------------------------------------------- recognising


def as_instants(column: Any) -> tuple[Any, str]:
    """A narwhals Series with dates in UTC, without their time zone, and the time zone; others as they are."""
    zone = getattr(column.dtype, "time_zone", None) if isinstance(column.dtype, nw.Datetime) else None
    if zone is None:
        return column, ""
    return column.dt.convert_time_zone("UTC").dt.replace_time_zone(None), zone


def times_in(column: Array) -> list[str]:
    """Which of dates, durations and times of day are among the values of a column."""
    if column.dtype.kind in "mM":
        return [DATES if column.dtype.kind == "M" else DURATIONS]
    if column.dtype != object:
        return []
    return sorted({_times_of(kind) for kind in set(map(type, column.tolist())) if is_time(kind)})


def is_time(kind: type) -> bool:
    """Whether the values of a Python type are dates, durations or times of day."""
    return _times_of(kind) != ""


def _times_of(kind: type) -> str:
    """What the values of a Python type are, "" for no times."""
    if kind.__name__ == "NaTType":  # pandas.NaT, which Python takes for a datetime, is missing in a column of any kind
        return ""
    if kind.__name__ == "Period":
        return DATES
    return next((times for times, types in _PYTHON_TYPES.items() if issubclass(kind, types)), "")


def kind_of(column: Array, name: str, zone: str = "") -> Kind:
    """What a column of times holds, in the `zone` of its dtype; `Kind()` for other columns.

    Raises
    ------
    TypeError
        If a column of objects mixes times with other values, except for text; or different times or time zones.
    """
    times = times_in(column)
    if not times or column.dtype != object:
        return Kind(False, times[0], zone) if times else Kind()
    import pandas as pd

    present = column[~pd.isna(column)].tolist()
    first = next((value for value in present if _times_of(type(value)) != times[0]), None)
    if isinstance(first, str):
        return Kind()  # text beside other values is refused as such
    if first is not None:
        raise TypeError(
            f"Column {name!r} mixes {times[0]} with other values, such as {first!r} ({type(first).__name__}): make it "
            f"all {times[0]}, or all numbers."
        )
    zones = dict.fromkeys(_zone_of(value) for value in present) if times[0] == DATES else {}
    if len(zones) > 1:
        raise TypeError(
            f"Column {name!r} mixes dates in different time zones ({', '.join(zone or 'none' for zone in zones)}): "
            "convert it to one of them, for example with pandas.to_datetime(..., utc=True)."
        )
    return Kind(False, times[0], next(iter(zones), ""))


def _zone_of(value: Any) -> str:
    zone = getattr(value, "tzinfo", None)
    return "" if zone is None else str(zone)


def check_kinds(found: Sequence[Kind], fitted: Sequence[Kind], are_texts: Sequence[bool], names: Sequence[str]) -> None:
    """Raise TypeError if columns hold other times than when fitting, or times where they held none, or the reverse."""
    wrong: dict[tuple[str, str], list[str]] = {}
    for now, then, is_text, name in zip(found, fitted, are_texts, names, strict=True):
        if (now.times, bool(now.zone)) != (then.times, bool(then.zone)):
            wrong.setdefault((str(then), "text" if is_text and not now.times else str(now)), []).append(name)
    for (then_text, now_text), columns in wrong.items():
        which = "Column" if len(columns) == 1 else "Each of the columns"
        raise TypeError(
            f"{which} {', '.join(map(repr, columns))} held {then_text} when fitting and now holds {now_text}: "
            f"{_advice(then_text, now_text)}."
        )


def _advice(then: str, now: str) -> str:
    """What to do about a column that held `then` when fitting and now holds other values."""
    if then.startswith(DATES) and now.startswith(DATES):
        return "give both a time zone, or none, by Series.dt.tz_localize"
    if then.startswith(DATES) and now == "text":
        return "parse it, for example with pandas.to_datetime"
    return "convert it to the type that it had"


def looks_like_dates(column: Array) -> bool:
    """Whether nearly all of a sample of a column's texts are dates as ISO 8601 writes them: year, month, day."""
    sample = [value for value in column[:: max(len(column) // _SAMPLE_ROWS, 1)].tolist() if isinstance(value, str)]
    return bool(sample) and sum([_ISO.fullmatch(text) is not None for text in sample]) >= _MIN_SHARE * len(sample)


# ----------------------------------------------------------------- reading


def seconds(column: Array, found: Kind, zone: str, name: str) -> Array:
    """Seconds (n,) of a column of times, NaN where missing.

    Parameters
    ----------
    column : ndarray of shape (n,)
        datetime64 or timedelta64, where dates with a time zone are in UTC; or Python's and pandas' objects.
    found : Kind
        What `kind_of` returned for it.
    zone : str
        Time zone on whose clock dates are read, if they have one.
    name : str
        Name of the column in messages.

    Raises
    ------
    TypeError
        For durations in months or years, which have no length, and for a time zone without a name.
    """
    if column.dtype == object:
        if found.times == TIMES_OF_DAY:
            return _seconds_of_day(column)
        column = _as_numpy(column, found, name)
    if found.zone:
        column = _on_clock(column, zone, name)
    unit = np.datetime_data(column.dtype)[0]
    if unit in ("Y", "M", "generic"):
        if column.dtype.kind == "m":
            raise TypeError(f"Column {name!r} holds durations in a unit without a length ({column.dtype}).")
        unit = "D"
    column = column.astype(f"{column.dtype.kind}8[{unit}]")  # a dtype may count multiples of its unit
    counts, fraction = column.astype(np.int64), _FRACTIONS.get(unit)
    if fraction is None:
        result = counts * float(_SECONDS[unit])
    else:  # whole seconds apart: the result is the same in each unit, to the last bit
        whole, rest = np.divmod(counts, fraction)
        result = whole + rest / fraction
    result[np.isnat(column)] = np.nan
    return result


def _as_numpy(column: Array, found: Kind, name: str) -> Array:
    """Objects as datetime64, in UTC if they have a time zone, or as timedelta64."""
    import pandas as pd

    missing = np.asarray(pd.isna(column))
    values = column[~missing].tolist()
    if any([type(value).__name__ == "Period" for value in values]):
        try:
            values = list(pd.PeriodIndex(values).to_timestamp(how="start").to_numpy())
        except (TypeError, ValueError) as error:
            raise TypeError(f"Column {name!r} holds periods that have no common unit, or none: {error}.") from error
    elif found.zone:
        values = [value.astimezone(datetime.UTC).replace(tzinfo=None) for value in values]
    dtype = "M8[us]" if found.times == DATES else "m8[us]"
    result = np.full(len(column), "NaT", dtype)
    result[~missing] = np.array(values, dtype)
    return result


def _on_clock(instants: Array, zone: str, name: str) -> Array:
    """The time on the clock of a time zone at these instants, datetime64 in UTC."""
    import pandas as pd

    try:
        clock = pd.DatetimeIndex(instants).tz_localize("UTC").tz_convert(zone).tz_localize(None)
    except Exception as error:  # each library of time zones has errors of its own
        raise TypeError(
            f"Column {name!r} has dates in the time zone {zone!r}, whose name is unknown: convert it to a named one, "
            "for example with Series.dt.tz_convert('Europe/Berlin')."
        ) from error
    return clock.to_numpy()


def _seconds_of_day(column: Array) -> Array:
    """Seconds since midnight of datetime.time objects."""
    return np.array(
        [
            (t.hour * 60 + t.minute) * 60 + t.second + t.microsecond / 10**6 if isinstance(t, datetime.time) else np.nan
            for t in column.tolist()
        ]
    )


# --------------------------------------------------------------- as text


def date_text(date: float) -> str:
    """A date in seconds as ISO 8601 writes it: 2020-01-31, or 2020-01-31T12:00:00."""
    text = str(np.datetime64(round(date * 10**6), "us"))
    return text.removesuffix(".000000").removesuffix("T00:00:00")


def category_values(times: Array, kind: Kind) -> Array:
    """Times in seconds (n,) as categories: the text of a date, else the number of seconds; None where missing."""
    values = np.full(len(times), None, dtype=object)
    distinct, place = np.unique(times[~np.isnan(times)], return_inverse=True)
    names = np.empty(len(distinct), dtype=object)
    names[:] = [date_text(date) for date in distinct.tolist()] if kind.times == DATES else distinct.tolist()
    values[~np.isnan(times)] = names[place]
    return values
