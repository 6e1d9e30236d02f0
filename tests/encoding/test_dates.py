"""Dates become positions in time, which are numbers, and those recurring parts that vary."""

import datetime as dt
import math
import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding.columns import RawTable, read
from skscratch.encoding.dates import HARMONICS, PARTS, Dates, phase, phase_ranges
from skscratch.encoding.features import FeatureEncoder
from skscratch.encoding.quantiles import merge, sketch
from skscratch.encoding.times import DATES, DURATIONS, TIMES_OF_DAY, Kind
from tests.helpers.encoding import F8, is_plain
from tests.helpers.estimators import CLASSES
from tests.helpers.plain import plain

RNG = np.random.RandomState(0)
N = 60
HOURS = pd.date_range("2020-01-31", periods=N, freq="7h")
Y = {
    "classifier": np.asarray(HOURS.hour < 12).astype(int),
    "regressor": np.sin(2 * np.pi * HOURS.hour.to_numpy() / 24),
}


def of_part(part, column="when"):
    """Names of the columns of a part."""
    numbers = ["", *map(str, range(2, 1 + HARMONICS[part]))]
    return [f"{column}_{part}_{function}{number}" for number in numbers for function in ("sin", "cos")]


CLOCK, WEEK, YEAR = map(of_part, PARTS)


def new(kind="regressor", **options):
    return plain(CLASSES[kind], **{"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0, **options})


def names(when, **others):
    """Names of the encoded columns of a table."""
    table = pd.DataFrame({"when": when, **others})
    return new().fit(table, np.arange(len(table)) % 3).fitted_.input_names


def seconds(*dates):
    return np.array([(date - dt.datetime(1970, 1, 1)).total_seconds() for date in dates])


# ---------------------------------------------------------------- phases


@settings(deadline=None)
@given(st.lists(st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)), min_size=1, max_size=20))
def test_phases_of_any_date(dates):
    in_leap_year = [dt.date(2020, date.month, date.day).timetuple().tm_yday - 1 for date in dates]
    midnights = [dt.datetime.combine(date, dt.time()) for date in dates]
    expected = {
        "time_of_day": [(date - midnight) / dt.timedelta(1) for date, midnight in zip(dates, midnights, strict=True)],
        "day_of_week": [date.weekday() / 7 for date in dates],
        "day_of_year": [day / 366 for day in in_leap_year],
    }
    for part in PARTS:
        found = phase(part, seconds(*dates))
        assert ((found >= 0) & (found < 1)).all()
        distance = np.abs(found - expected[part])
        # days since 1970 are up to 1e5, and their fractions exact to 1e-11; a float of seconds may round up to midnight
        np.testing.assert_array_less(np.minimum(distance, 1 - distance), 1e-10 + (part != "time_of_day") * 1e-9)


def test_a_date_has_the_same_day_of_the_year_in_each_year():
    for month, day in ((1, 1), (2, 28), (3, 1), (12, 31)):
        dates = [dt.datetime(year, month, day) for year in (1700, 1899, 1900, 1999, 2000, 2020, 2021, 2199)]
        assert len(set(phase("day_of_year", seconds(*dates)))) == 1
    assert phase("day_of_year", seconds(dt.datetime(2001, 1, 1)))[0] == 0


def test_the_block_computed_by_hand():
    table = RawTable(
        np.c_[np.zeros(3), seconds(dt.datetime(2024, 1, 1, 6), dt.datetime(2024, 1, 2, 12), dt.datetime(1970, 1, 1))]
    )
    table.numbers[2, 1] = np.nan
    block = Dates(np.ones(3, int), np.full(3, 4), ["time_of_day", "day_of_week", "day_of_week"], [1, 1, 2])
    out = np.empty((3, block.width))
    block.write(table, out)
    a = 2 * math.pi / 7
    tuesday = [0, -1, math.sin(a), math.cos(a), math.sin(2 * a), math.cos(2 * a)]
    np.testing.assert_allclose(out, [[1, 0, 0, 1, 0, 1], tuesday, [0] * 6], atol=1e-15)
    assert block.names(["", "", "", "", "t"]) == [
        "t_time_of_day_sin",
        "t_time_of_day_cos",
        "t_day_of_week_sin",
        "t_day_of_week_cos",
        "t_day_of_week_sin2",
        "t_day_of_week_cos2",
    ]
    assert block.sources().tolist() == [4] * 6


# ---------------------------------------------------------------- parts that vary


def test_the_parts_that_vary_are_encoded():
    assert names(HOURS) == ["when", *CLOCK, *WEEK, *YEAR]
    assert names(pd.date_range("2020-01-31", periods=N)) == ["when", *WEEK, *YEAR]
    assert names(pd.date_range("2020-01-31", periods=N, freq="7D")) == ["when", *YEAR]
    assert names(pd.date_range("2020-01-31", periods=24, freq="h")) == ["when", *CLOCK]
    assert names(pd.to_datetime([f"{year}-05-05" for year in range(1990, 2020)])) == ["when", *WEEK]


def test_other_times_and_constant_dates_have_no_parts_that_vary():
    assert names([pd.Timestamp("2020-01-01")] * 9) == ["when"]
    assert names(pd.to_timedelta(np.arange(9), unit="h")) == ["when"]
    clocks = [dt.time(hour, 30) for hour in range(9)]
    assert names(clocks) == ["when", *CLOCK]
    assert names(pd.Categorical(HOURS[:3])) == [
        f"when={d}" for d in ("2020-01-31", "2020-01-31T07:00:00", "2020-01-31T14:00:00")
    ]


def test_missing_dates_have_a_flag():
    gaps = pd.Series(HOURS).where(np.arange(N) % 5 > 0)
    assert names(gaps) == ["when", *CLOCK, *WEEK, *YEAR, "when missing"]
    model = new().fit(pd.DataFrame({"when": gaps}), Y["regressor"])
    X = model.fitted_.encode(read(pd.DataFrame({"when": gaps}), None)).X
    np.testing.assert_array_equal(X[0, :-1], [0] * 15 + [1])
    none = pd.DataFrame({"when": pd.Series([pd.NaT] * N), "x": RNG.normal(size=N)})
    model = new().fit(none, Y["regressor"])
    assert model.fitted_.input_names == ["when", "x"]
    assert np.isfinite(model.predict(none.assign(when=HOURS))).all()


def test_bins_of_dates_are_named_by_dates():
    table = pd.DataFrame({"x": RNG.normal(size=N), "when": pd.date_range("2020-01-01", periods=N)})
    model = new(numeric_embedding="bins", n_bins=4).fit(table, Y["regressor"])
    bins = [name for name in model.fitted_.input_names if name.startswith("when from")]
    assert bins == ["when from 2020-01-01 to 2020-01-30T12:00:00", "when from 2020-01-30T12:00:00 to 2020-02-29"]
    named = dict(zip(model.fitted_.input_names, model.fitted_.input_columns, strict=True))
    assert {column for name, column in named.items() if name.startswith("when")} == {1}


def test_a_sketch_of_parts_of_a_table_finds_the_parts_that_vary_over_all():
    table = read(pd.DataFrame({"when": HOURS, "x": np.arange(N), "lag": HOURS - HOURS[0]}), None)
    parts = merge([sketch(table[i : i + 1], None, 4) for i in range(N)], 4)  # in no part does anything vary
    fitted = FeatureEncoder(True).fit(parts, None, table.names)
    assert (
        fitted.names
        == FeatureEncoder(True).fit(table, None, table.names).names
        == ["when", "x", "lag", *CLOCK, *WEEK, *YEAR]
    )
    days = sketch(table[:0], None, 4).phases[0]
    np.testing.assert_array_equal(days, phase_ranges(np.full(3, np.nan)))


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.none() | st.datetimes(dt.datetime(1700, 1, 1), dt.datetime(2200, 1, 1)), min_size=2, max_size=30),
    st.sampled_from([0, 4]),
)
def test_any_dates_are_encoded_in_bounds_and_alike_from_every_type(dates, bins):
    typed = np.array(dates, "M8[us]")
    table = read(pd.DataFrame({"when": typed}), None)
    fitted = FeatureEncoder(True, bins_per_column=bins).fit(table, None, table.names)
    X = fitted.transform(table, F8).X
    assert np.isfinite(X).all() and (np.abs(X) <= 3).all() and X.shape[1] == len(fitted.names)
    others = [
        pd.DataFrame({"when": pd.Series(dates, dtype=object)}),
        pl.DataFrame({"when": pl.Series(dates, dtype=pl.Datetime("us"))}),
        typed[:, None],
        pd.DataFrame({"when": typed.astype("M8[ns]")}),
    ]
    for other in others:
        np.testing.assert_array_equal(fitted.transform(read(other, None, fitted.kinds), F8).X, X)


# ---------------------------------------------------------------- estimators


@pytest.mark.parametrize("kind", CLASSES)
def test_a_network_learns_the_hour(kind):
    when = pd.Series(pd.date_range("2020-01-01", periods=400, freq="7h"))
    y = np.where((when.dt.hour > 6) & (when.dt.hour < 18), 1, 0)
    model = new(kind, hidden_layer_sizes=(16,), max_iter=60).fit(pd.DataFrame({"when": when[:200]}), y[:200])
    later = pd.DataFrame({"when": when[200:]})
    assert model.score(later, y[200:]) > 0.5  # of a share of correct classes near 0.9 and an R² near 0.7
    again = pickle.loads(pickle.dumps(model))
    for table in (later, pl.from_pandas(later), later.astype(object)):
        np.testing.assert_array_equal(again.predict(table), model.predict(later))


def test_the_state_is_plain_and_older_states_have_no_dates():
    table = read(
        pd.DataFrame({"when": HOURS.tz_localize("UTC"), "x": np.arange(N), "c": ["a", "b"] * 30}), "from_dtype"
    )
    fitted = FeatureEncoder(True, bins_per_column=4).fit(table, None, table.names)
    assert is_plain(fitted.to_state())
    again = FeatureEncoder.from_state(fitted.to_state())
    assert again.kinds == fitted.kinds == [Kind(False, DATES, "UTC"), Kind(), Kind(True)]
    assert again.names == fitted.names
    older = read(pd.DataFrame({"x": np.arange(N), "c": ["a", "b"] * 30}), "from_dtype")
    state = FeatureEncoder(True).fit(older, None, older.names).to_state()
    del state["dates"], state["times"]
    assert FeatureEncoder.from_state(state).kinds == [Kind(), Kind(True)]


@pytest.mark.parametrize("kind", CLASSES)
def test_a_stream_has_all_parts(kind):
    classes = {"classes": [0, 1]} if kind == "classifier" else {}
    chunks = [
        pd.DataFrame({"when": HOURS[i : i + 1].repeat(20), "clock": dt.time(1), "lag": dt.timedelta(1)})
        for i in range(9)
    ]
    model = new(kind).partial_fit(chunks[0], np.arange(20) % 2, **classes)
    assert model.fitted_.input_names == ["when", "clock", "lag", *CLOCK, *WEEK, *YEAR, *of_part("time_of_day", "clock")]
    for chunk in chunks[1:]:
        model.partial_fit(chunk, np.arange(20) % 2)
    assert np.isfinite(model.predict(chunks[0])).all()
    center = model.fitted_.encoder.blocks[1].center[0]
    assert center > read(chunks[1], None).values[0][0]  # the scaling has followed the dates
    with pytest.raises(TypeError, match="Column 'when' held dates when fitting and now holds numbers"):
        model.partial_fit(chunks[0].assign(when=1.0), np.arange(20) % 2)


@pytest.mark.parametrize("kind", CLASSES)
def test_validation_rows_and_continued_fits(kind):
    table = pd.DataFrame({"when": HOURS, "lag": HOURS - HOURS[0]})
    weight = np.arange(N) % 3
    model = new(kind, warm_start=True).fit(table, Y[kind], weight, X_val=pl.from_pandas(table), y_val=Y[kind])
    assert model.validation_loss_curve_
    model.fit(table, Y[kind], weight)
    with pytest.raises(TypeError, match="X_val and y_val do not match X and y: Column 'lag' held durations .* numbers"):
        new(kind).fit(table, Y[kind], X_val=table.assign(lag=1.0), y_val=Y[kind])


def test_folds_several_outputs_and_missing_dates_in_one_fold():
    table = pd.DataFrame({"when": pd.Series(HOURS).where(np.arange(N) > 10), "c": ["a", "b"] * 30})
    y = np.c_[Y["regressor"], -Y["regressor"]]
    model = ScratchMLPRegressor((4,), max_iter=3, random_state=0).fit(table, y)
    assert model.oof_predictions_.shape == y.shape and np.isfinite(model.oof_predictions_).all()
    labels = np.c_[Y["classifier"], 1 - Y["classifier"]]
    assert (
        ScratchMLPClassifier((4,), max_iter=3, random_state=0).fit(table, labels).predict(table).shape == labels.shape
    )


def test_arrays_of_dates_and_of_durations():
    stamps = np.c_[HOURS.to_numpy(), HOURS.to_numpy() + np.timedelta64(1, "D")]
    model = new().fit(stamps, Y["regressor"])
    assert model.fitted_.encoder.kinds == [Kind(False, DATES)] * 2
    np.testing.assert_array_equal(model.predict(stamps.astype("M8[s]")), model.predict(stamps))
    spans = new().fit(stamps - stamps[0], Y["regressor"])
    assert spans.fitted_.encoder.kinds == [Kind(False, DURATIONS)] * 2
    objects = np.array([[date, "a", 1.0, dt.time(1)] for date in HOURS], dtype=object)
    kinds = [Kind(False, DATES), Kind(True), Kind(), Kind(False, TIMES_OF_DAY)]
    assert new().fit(objects, Y["regressor"]).fitted_.encoder.kinds == kinds


def test_dates_need_scaling():
    with pytest.raises(ValueError, match="scale_features=False .* but 'when' is a column of dates"):
        new(scale_features=False).fit(pd.DataFrame({"x": np.arange(N), "when": HOURS}), Y["regressor"])
    new(scale_features=False).fit(pd.DataFrame({"when": HOURS - HOURS[0]}), Y["regressor"])
    new(scale_features=False, categorical_features=[0]).fit(pd.DataFrame({"when": HOURS}), Y["regressor"])


# ---------------------------------------------------------------- dates as text


@pytest.mark.parametrize("library", [pd, pl])
def test_one_warning_names_the_columns_of_dates_as_text(library):
    text = [str(date) for date in HOURS]
    table = library.DataFrame({"when": text, "x": np.arange(N), "code": ["2020-A"] * N, "day": [t[:10] for t in text]})
    with pytest.warns(UserWarning) as caught:
        model = ScratchMLPRegressor((4,), max_iter=2).fit(table, Y["regressor"], X_val=table, y_val=Y["regressor"])
    (warning,) = caught
    assert "Dates as text count as categories: 'when', 'day'." in str(warning.message)
    assert "parse_dates=['when', 'day']" in str(warning.message) and warning.filename == __file__
    assert not any("_sin" in name for name in model.fitted_.input_names)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(table)
        new(categorical_features=["when", "code", "day"]).fit(table, Y["regressor"])
    with pytest.warns(UserWarning, match="'when', 'day'"):
        model = new().partial_fit(table, Y["regressor"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.partial_fit(table, Y["regressor"])
