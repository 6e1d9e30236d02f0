"""Columns of times are read as the same seconds from every library, unit and type, or refused by name."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skscratch.encoding import times
from skscratch.encoding.check_input import declared_categories
from skscratch.encoding.columns import read, wants_columns
from skscratch.encoding.times import DATES, DURATIONS, TIMES_OF_DAY, Kind

NAIVE = [dt.datetime(2020, 6, 30, 23, 30), None, dt.datetime(1969, 12, 31, 23, 59, 59, 250000)]
DAYS = [dt.date(2020, 6, 30), None, dt.date(1900, 3, 1)]
SPANS = [dt.timedelta(days=1, microseconds=1), None, -dt.timedelta(seconds=0.5)]
CLOCKS = [dt.time(23, 59, 59, 500000), None, dt.time(0)]
EXPECTED = {
    "datetimes": [1593559800.0, np.nan, -0.75],
    "days": [1593475200.0, np.nan, -2203891200.0],
    "spans": [86400.000001, np.nan, -0.5],
    "clocks": [86399.5, np.nan, 0.0],
}
BERLIN = dt.timezone(dt.timedelta(hours=2))  # of a summer


def with_none(values, **options):
    """A column of objects."""
    return pd.Series(values, dtype=object, **options)


def as_arrow(values, kind):
    """A column of pandas that pyarrow holds."""
    pa = pytest.importorskip("pyarrow")
    return pd.Series(pa.array(values, kind(pa)), dtype=pd.ArrowDtype(kind(pa)))


COLUMNS = {
    "datetimes": {
        "datetime objects": lambda: with_none(NAIVE),
        "Timestamps": lambda: with_none([pd.Timestamp(NAIVE[0]), pd.NaT, pd.Timestamp(NAIVE[2])]),
        "datetime64 objects": lambda: with_none([np.datetime64(NAIVE[0]), None, np.datetime64(NAIVE[2])]),
        "datetime64[ns]": lambda: pd.Series(np.array(NAIVE, "M8[ns]")),
        "datetime64[us]": lambda: pd.Series(np.array(NAIVE, "M8[us]")),
        "datetime64[ms]": lambda: pd.Series(np.array(NAIVE, "M8[ms]")),
        "polars ns": lambda: pl.Series(NAIVE, dtype=pl.Datetime("ns")),
        "polars ms": lambda: pl.Series(NAIVE, dtype=pl.Datetime("ms")),
        "pyarrow": lambda: as_arrow(NAIVE, lambda pa: pa.timestamp("us")),
        "periods": lambda: pd.Series(pd.PeriodIndex(NAIVE, freq="ms")),
        "array": lambda: np.array(NAIVE, "M8[us]"),
        "array of multiples": lambda: np.array(NAIVE, "M8[10ms]"),
    },
    "days": {
        "date objects": lambda: with_none(DAYS),
        "datetime64[s]": lambda: pd.Series(np.array(DAYS, "M8[s]")),
        "polars": lambda: pl.Series(DAYS),
        "pyarrow": lambda: as_arrow(DAYS, lambda pa: pa.date32()),
        "periods": lambda: pd.Series(pd.PeriodIndex(DAYS, freq="D")),
        "period objects": lambda: pd.Series(pd.PeriodIndex(DAYS, freq="D")).astype(object),
        "array of days": lambda: np.array(DAYS, "M8[D]"),
    },
    "spans": {
        "timedelta objects": lambda: with_none(SPANS),
        "Timedeltas": lambda: with_none([pd.Timedelta(SPANS[0]), pd.NaT, pd.Timedelta(SPANS[2])]),
        "timedelta64": lambda: pd.Series(np.array(SPANS, "m8[ns]")),
        "polars": lambda: pl.Series(SPANS),
        "pyarrow": lambda: as_arrow(SPANS, lambda pa: pa.duration("us")),
        "array": lambda: np.array(SPANS, "m8[us]"),
    },
    "clocks": {
        "time objects": lambda: with_none(CLOCKS),
        "polars": lambda: pl.Series(CLOCKS),
        "pyarrow": lambda: as_arrow(CLOCKS, lambda pa: pa.time64("us")),
    },
}
KINDS = {"datetimes": DATES, "days": DATES, "spans": DURATIONS, "clocks": TIMES_OF_DAY}
CASES = [(what, name) for what, columns in COLUMNS.items() for name in columns]


def table_of(column):
    """A table of this column alone."""
    if isinstance(column, np.ndarray):
        return column[:, None]
    return (pl if isinstance(column, pl.Series) else pd).DataFrame({"x0": column})


@pytest.mark.parametrize(("what", "name"), CASES, ids=lambda value: value)
def test_the_same_seconds_come_from_every_library_unit_and_type(what, name):
    table = table_of(COLUMNS[what][name]())
    assert wants_columns(table, None)
    for categorical_features in ("from_dtype", None):
        found = read(table, categorical_features)
        assert found.kinds == [Kind(False, KINDS[what])]
        np.testing.assert_array_equal(found.values[0], EXPECTED[what])  # to the last bit


@pytest.mark.parametrize(
    "column",
    [
        lambda: pd.Series(pd.DatetimeIndex(NAIVE).tz_localize("Europe/Berlin")),
        lambda: pd.Series(pd.DatetimeIndex(NAIVE).tz_localize("Europe/Berlin")).astype(object),
        lambda: pl.Series(NAIVE).dt.replace_time_zone("Europe/Berlin"),
        lambda: pd.Series(pd.DatetimeIndex(NAIVE).tz_localize("Europe/Berlin")).astype(
            "timestamp[us, Europe/Berlin][pyarrow]"
        ),
    ],
    ids=["pandas", "objects", "polars", "pyarrow"],
)
def test_dates_are_read_on_the_clock_of_the_time_zone_of_the_fit(column):
    pytest.importorskip("pyarrow")
    fitted = read(table_of(column()), None)
    assert fitted.kinds == [Kind(False, DATES, "Europe/Berlin")]
    np.testing.assert_array_equal(fitted.values[0], EXPECTED["datetimes"])
    elsewhere = pd.DataFrame({"x0": pd.Series(pd.DatetimeIndex(NAIVE).tz_localize("Europe/Berlin").tz_convert("UTC"))})
    assert read(elsewhere, None).values[0][0] == EXPECTED["datetimes"][0] - 7200
    np.testing.assert_array_equal(read(elsewhere, None, fitted.kinds).values[0], EXPECTED["datetimes"])
    fixed = pd.DataFrame({"x0": [dt.datetime(2020, 6, 30, 23, 30, tzinfo=BERLIN)]})
    np.testing.assert_array_equal(read(fixed, None, fitted.kinds).values[0], EXPECTED["datetimes"][:1])


def test_missing_values_of_any_type_are_missing_times():
    kinds = [Kind(False, DATES), Kind(False, DATES, "UTC"), Kind(False, DURATIONS), Kind(True, DATES)]
    for missing in (np.full(2, np.nan), [None, None], [pd.NaT, None], np.array(["NaT"] * 2, "m8[s]"), [pd.NA] * 2):
        values = read(pd.DataFrame(dict.fromkeys("abcd", missing)), None, kinds).values
        assert np.isnan(np.array(values[:3])).all() and list(values[3]) == [None, None]
    gone = pd.DataFrame({"a": pd.Series([pd.NaT] * 2)})
    assert np.isnan(read(gone, None, [Kind()]).values[0]).all()
    assert list(read(gone, None, [Kind(True)]).values[0]) == [None, None]


def test_masked_dates_and_lists_of_them():
    masked = np.ma.array(np.array(DAYS, "M8[D]")[:, None], mask=[[True], [False], [False]])
    from skscratch.encoding.check_input import check_table
    from skscratch.estimators.regressor import ScratchMLPRegressor

    def checked(X):
        return check_table(ScratchMLPRegressor(), X, "from_dtype", None, reset=True)

    np.testing.assert_array_equal(checked(masked).values[0], [np.nan, np.nan, EXPECTED["days"][2]])
    for rows in ([[day, 1.0] for day in DAYS], [list(row) for row in zip(DAYS, "abc", strict=True)]):
        np.testing.assert_array_equal(checked(rows).values[0], EXPECTED["days"])
    in_nanoseconds = [row for row in np.array(DAYS, "M8[ns]")[:, None]]  # NumPy would make integers of them
    np.testing.assert_array_equal(checked(in_nanoseconds).values[0], EXPECTED["days"])


HELD = {
    Kind(False, DATES): np.array(["2020-01-01"], "M8[s]"),
    Kind(False, DURATIONS): np.array([5], "m8[s]"),
    Kind(False, TIMES_OF_DAY): [dt.time(1)],
    Kind(): [1.5],
}


@pytest.mark.parametrize("then", HELD, ids=str)
@pytest.mark.parametrize("now", [*HELD, "text"], ids=str)
def test_a_column_holds_what_it_held_when_fitting(then, now):
    table = pd.DataFrame({"when": ["2020-01-01"] if now == "text" else HELD[now], "x": 1.0})
    if then == now:
        read(table, None, [then, Kind()])
        return
    error, match = TypeError, f"Column 'when' held {then} when fitting and now holds {now}: "
    if (then, now) == (Kind(), "text"):
        error, match = ValueError, "Column 'when' is a column of numbers, but holds '2020-01-01', which is text"
    with pytest.raises(error, match=match):
        read(table, None, [then, Kind()])


def test_what_to_do_about_text_and_time_zones():
    text, zoned = pd.DataFrame({"a": ["2020-01-01"], "b": ["2020-01-02"]}), pd.Timestamp(0, tz="UTC")
    with pytest.raises(TypeError, match="Each of the columns 'a', 'b' held dates .* holds text: parse it, for example"):
        read(text, None, [Kind(False, DATES)] * 2)
    for table, kind in ((zoned, Kind(False, DATES)), (pd.Timestamp(0), Kind(False, DATES, "UTC"))):
        with pytest.raises(TypeError, match="give both a time zone, or none, by Series.dt.tz_localize"):
            read(pd.DataFrame({"a": [table]}), None, [kind])
    with pytest.raises(TypeError, match="time zone 'Nowhere/Atlantis', whose name is unknown"):
        read(pd.DataFrame({"a": [zoned]}), None, [Kind(False, DATES, "Nowhere/Atlantis")])
    mixed = pd.Series([pd.Period("2020", "D"), pd.Period("2020", "h")])
    with pytest.raises(TypeError, match="Column 'a' holds periods that have no common unit"):
        read(pd.DataFrame({"a": mixed}), None)


def test_dates_as_categories():
    stamps = pd.to_datetime(
        ["2020-01-02", "2020-01-01", None, "2020-01-01T12:30", "1969-12-31T23:59:59.25"], format="ISO8601"
    )
    texts = ["2020-01-02", "2020-01-01", None, "2020-01-01T12:30:00", "1969-12-31T23:59:59.250000"]
    by_mask, by_dtype = pd.DataFrame({"when": stamps}), pd.DataFrame({"when": pd.Categorical(stamps)})
    for table, chosen in ((by_mask, [True]), (by_mask, ["when"]), (by_dtype, "from_dtype")):
        found = read(table, chosen)
        assert found.kinds == [Kind(True, DATES)] and found.values[0].tolist() == texts
    assert sorted(declared_categories(by_dtype)[0]) == sorted(text for text in texts if text)
    later = pd.DataFrame({"when": pd.Series(stamps[:2].as_unit("s"))})
    assert read(later, None, [Kind(True, DATES)]).values[0].tolist() == texts[:2]
    with pytest.raises(TypeError, match="Column 'when' held dates when fitting and now holds text"):
        read(pd.DataFrame({"when": texts}), None, [Kind(True, DATES)])
    with pytest.raises(TypeError, match="Column 'when' held categories when fitting and now holds dates"):
        read(by_mask, None, [Kind(True)])
    spans = read(pd.DataFrame({"lag": pd.to_timedelta([1, None, 2], unit="min")}), [0])
    assert spans.values[0].tolist() == [60.0, None, 120.0]


LOOKS = [
    (["2020-01-31", "2020-2-1", None], True),
    (["2020/01/31 10:00", " 2020/01/31 10:00:00.5 "], True),
    (["2020-01-31T10:00:00Z", "2020-01-31T10:00:00+02:00", "2020-01-31 10:00:00 UTC"], True),
    (["2020-01-01"] * 19 + ["unknown"], True),
    (["2020-01-01"] * 8 + ["unknown"] * 2, False),
    (["2020-A", "2021-B"], False),
    (["2020", "20200131", "2020.1", "2020.01.31"], False),
    (["2020-13-01", "2020-00-10", "2020-01-32"], False),
    (["2020-01/31", "2020-01-31-7", "A2020-01-31", "192-168-0"], False),
    (["2020-01", "10:30", "1-2-3"], False),
    ([None, None], False),
    ([1, 2], False),
]


@pytest.mark.parametrize(("values", "expected"), LOOKS, ids=str)
def test_which_texts_look_like_dates(values, expected):
    assert times.looks_like_dates(np.array(values, dtype=object)) == expected


@settings(deadline=None)
@given(st.lists(st.none() | st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)), min_size=1, max_size=9))
def test_seconds_of_any_date_are_exact(values):
    expected = [np.nan if v is None else (v - dt.datetime(1970, 1, 1)) / dt.timedelta(seconds=1) for v in values]
    as_nanoseconds = np.array(values, "M8[us]").astype("M8[ns]")
    for column in (np.array(values, dtype=object), np.array(values, "M8[us]"), as_nanoseconds):
        kind = times.kind_of(column, "c")
        if kind.times:  # a column of None alone holds nothing
            # whole seconds and their fraction are added: each rounds once
            np.testing.assert_array_max_ulp(times.seconds(column, kind, "", "c"), np.array(expected), 1)
    texts = times.category_values(times.seconds(as_nanoseconds, Kind(False, DATES), "", "c"), Kind(True, DATES))
    assert [None if t is None else dt.datetime.fromisoformat(t) for t in texts] == values or max(
        abs((dt.datetime.fromisoformat(t) - v) / dt.timedelta(microseconds=1))
        for t, v in zip(texts, values, strict=True)
        if v
    ) <= 1  # a float of seconds resolves a microsecond, to rounding
