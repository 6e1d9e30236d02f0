"""Times in the inputs of a graph are seconds, and the graph encodes them as the encoder does."""

import datetime as dt

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.pipeline import make_pipeline

from skscratch import onnx
from tests.helpers.estimators import CLASSES
from tests.helpers.plain import plain

pytest.importorskip("skl2onnx")
ort = pytest.importorskip("onnxruntime")

RNG = np.random.RandomState(0)
N = 120
WHEN = pd.Series(pd.date_range("1899-12-30", "2101-03-02", periods=N).round("ms")).where(np.arange(N) % 7 > 0)
TABLE = pd.DataFrame(
    {
        "when": WHEN,
        "x": RNG.normal(size=N),
        "zoned": pd.Series(pd.date_range("2020-03-01", periods=N, freq="11h", tz="Europe/Berlin")),
        "lag": pd.to_timedelta(RNG.randint(1000, size=N), unit="s"),
        "clock": pd.Series([dt.time(i % 24, i % 60) for i in range(N)], dtype=object),
        "c": RNG.choice(["a", "b"], N),
        "day": pd.date_range("2020-01-01", periods=4).to_numpy()[np.arange(N) % 4],
    }
)
Y = {"classifier": np.arange(N) % 3, "regressor": RNG.normal(size=N)}


def fitted(kind, table=TABLE, **options):
    options = {"hidden_layer_sizes": (6,), "max_iter": 5, "random_state": 0, **options}
    return plain(CLASSES[kind], **options).fit(table, Y[kind])


def run(model, X):
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, onnx.input_feed(model, X))[-1]


def predictions(estimator, X):
    return estimator.predict_proba(X) if hasattr(estimator, "predict_proba") else estimator.predict(X)[:, None]


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bins", [None, "bins"])
def test_times_of_every_kind(kind, dtype, bins):
    estimator = fitted(kind, dtype=dtype, numeric_embedding=bins, categorical_features=["c", "day"])
    model = onnx.to_onnx(estimator, TABLE)
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    assert [types[name] for name in TABLE] == [11, 11, 11, 11, 11, 8, 11]  # doubles, and a string
    tolerance = 1e-5 if dtype == "float32" else 1e-10  # of the sums in the layers, in another order
    shuffled = TABLE.sample(frac=1, random_state=0)
    for rows in (TABLE, pl.from_pandas(shuffled), shuffled.assign(when=shuffled["when"].astype("M8[ms]"))):
        np.testing.assert_allclose(run(model, rows), predictions(estimator, rows), rtol=tolerance, atol=tolerance)


def test_inputs_are_the_seconds_that_the_documentation_describes():
    feed = onnx.input_feed(onnx.to_onnx(fitted("regressor"), TABLE), TABLE[1:2])
    assert feed["when"][0, 0] == (WHEN[1] - pd.Timestamp(0)).total_seconds()
    assert feed["zoned"][0, 0] == (pd.Timestamp("2020-03-01 11:00") - pd.Timestamp(0)).total_seconds()  # on its clock
    assert feed["lag"][0, 0] == TABLE["lag"][1].total_seconds() and feed["clock"][0, 0] == 3660


def test_another_time_zone_is_converted_and_none_is_refused():
    estimator = fitted("regressor")
    model = onnx.to_onnx(estimator, TABLE)
    elsewhere = TABLE.assign(zoned=TABLE["zoned"].dt.tz_convert("Asia/Tokyo"))
    np.testing.assert_array_equal(estimator.predict(elsewhere), estimator.predict(TABLE))
    np.testing.assert_array_equal(run(model, elsewhere), run(model, TABLE))
    with pytest.raises(
        TypeError, match="'zoned' holds dates, and held dates in the time zone Europe/Berlin in to_onnx"
    ):
        onnx.input_feed(model, TABLE.assign(zoned=TABLE["zoned"].dt.tz_localize(None)))


def test_arrays_of_dates():
    stamps = np.c_[TABLE["day"].to_numpy(), TABLE["day"].to_numpy() + np.timedelta64(7, "h")]
    for X in (stamps, stamps.astype("M8[ns]"), stamps - stamps[0], pd.DataFrame(stamps).to_numpy().astype(object)):
        estimator = fitted("regressor", X)
        model = onnx.to_onnx(estimator, X)
        np.testing.assert_allclose(run(model, X), predictions(estimator, X), rtol=1e-5, atol=1e-5)


def test_a_pipeline_with_dates():
    pipeline = make_pipeline(fitted("classifier"))
    model = onnx.to_onnx(pipeline, TABLE)
    np.testing.assert_allclose(run(model, TABLE), pipeline.predict_proba(TABLE), rtol=1e-5, atol=1e-5)


def test_inputs_that_do_not_hold_dates():
    estimator = fitted("regressor")
    with pytest.raises(TypeError, match="Column 'when' held dates when fitting, but its ONNX input 'when' is float32"):
        onnx.to_onnx(estimator, TABLE.assign(when=np.float32(1)))
    with pytest.raises(TypeError, match="Column 'when' held numbers when fitting, but .* holds strings"):
        onnx.to_onnx(estimator, TABLE.assign(when="2020-01-01"))
    with pytest.raises(TypeError, match="Column 'when' holds strings, and its input takes numbers"):
        onnx.input_feed(onnx.to_onnx(estimator, TABLE), TABLE.assign(when="2020-01-01"))
