"""A Dask collection of a kind that the ordinary estimator refuses is refused with the same error."""

import logging
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from tests.helpers.deadline import deadline

pytest.importorskip("distributed")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")

import dask  # noqa: E402
import dask.bag  # noqa: E402
from distributed import Client, LocalCluster  # noqa: E402

from skscratch import ScratchMLPRegressor  # noqa: E402
from skscratch.dask import DaskScratchMLPClassifier, DaskScratchMLPRegressor  # noqa: E402

pytestmark = pytest.mark.slow

SMALL = {"hidden_layer_sizes": (4,), "max_iter": 2, "random_state": 0, "dtype": "float64"}
N = 60
X = np.random.RandomState(0).normal(size=(N, 3))
Y = X[:, 0] * 2
CUTS = (20, 0, 30, 10)


def rows(array, chunks=CUTS):
    return da.from_array(array, chunks=(chunks, *((size,) for size in array.shape[1:])))


@pytest.fixture
def in_time():
    with deadline(60):
        yield


@pytest.fixture(scope="module")
def client():
    options = {"dashboard_address": ":0", "silence_logs": logging.CRITICAL}
    with LocalCluster(n_workers=2, threads_per_worker=1, **options) as cluster, Client(cluster) as client:
        yield client


def with_value(value, kind=object, array=X):
    array = array.astype(kind)
    array[45, 1] = value
    return array


FRAME = pd.DataFrame(X, columns=["a", "b", "c"])
DATES = pd.date_range("2020", periods=N)
ARRAYS = {
    "text beside numbers": with_value("abc"),
    "labels of mixed types": np.column_stack([X[:, :2].astype(object), np.array([1, "a"] * 30, dtype=object)]),
    "complex": X + 1j,
    "complex objects": with_value(1j),
    "infinity": with_value(np.inf, float),
    "an object infinity": with_value(np.inf),
    "a huge integer": with_value(10**400),
    "one axis": X[:, 0],
    "three axes": X[:, :, None],
    "no columns": X[:, :0],
    "a date": with_value(pd.Timestamp("2020")),
    "an object": with_value({}),
}
FRAMES = {
    "offsets": FRAME.assign(b=pd.Series([pd.offsets.MonthEnd()] * N)),
    "dates and numbers": FRAME.assign(b=pd.Series([DATES[0], 1.0] * 30, dtype=object)),
    "mixed types": FRAME.assign(b=[1, "a"] * 30),
    "mixed categories": FRAME.assign(b=pd.Categorical([1, "a"] * 30)),
    "complex": FRAME.assign(b=X[:, 1] + 1j),
    "infinity": FRAME.assign(b=with_value(np.inf, float)[:, 1]),
    "lists": FRAME.assign(b=[[1]] * N),
    "bytes": FRAME.assign(b=[b"a", b"b"] * 30),
    "a Series": FRAME["a"],
}
TABLES = {**ARRAYS, **{f"frame: {name}": frame for name, frame in FRAMES.items()}}
TIMES = {
    "dates in an array": (X * 100).astype("m8[D]") + np.datetime64("2020"),
    "durations in an array": (X * 100).astype("m8[D]"),
    "dates": FRAME.assign(b=DATES, c=DATES),
    "dates with a zone": FRAME.assign(b=DATES.tz_localize("Europe/Berlin")),
    "date objects": FRAME.assign(b=pd.Series(DATES.date, dtype=object)),
    "periods": FRAME.assign(b=DATES.to_period("D")),
    "durations": FRAME.assign(b=DATES - DATES[0]),
    "categories of dates": FRAME.assign(b=pd.Categorical(DATES)),
    "one date per partition": FRAME.assign(b=DATES[::20].repeat(20)),
}
TARGETS = {
    "text": np.array(["a", "b"] * 30),
    "object text": np.array(["a", "b"] * 30, dtype=object),
    "mixed types": np.array([1, "a"] * 30, dtype=object),
    "dates": DATES.to_numpy(),
    "date objects": np.array([*DATES], dtype=object),
    "complex": Y + 1j,
    "infinity": with_value(np.inf, float, X)[:, 1],
    "missing": with_value(None)[:, 1],
    "three axes": X[:, :, None],
    "objects": np.array([{}] * N, dtype=object),
}


def lazy(table):
    with dask.config.set({"dataframe.convert-string": False}):
        return rows(table) if isinstance(table, np.ndarray) else dd.from_pandas(table, npartitions=3)


def error_of(action):
    with pytest.raises((TypeError, ValueError)) as caught:
        action()
    return caught.value


def assert_alike(mine, theirs):
    """Same kind of error, about the same columns and types, whichever value stands for the others."""
    assert type(mine) is type(theirs)
    assert about(theirs) == about(mine)


def about(error):
    text = str(error).partition("\n")[0].replace("Dask", "").replace("(shape=", "")
    text = text.partition("of X: ")[2] if text.startswith("In partition") else text
    return [word for word in text.split() if not any(c.isdigit() for c in word) or word.startswith(("'x", "x"))]


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")  # of a Series
@pytest.mark.parametrize("kind", TABLES)
def test_tables_are_refused_as_in_memory(client, in_time, kind):
    table = TABLES[kind]
    numbers = X if isinstance(table, np.ndarray) else FRAME
    assert_alike(
        error_of(lambda: ScratchMLPRegressor(**SMALL).fit(table, Y)),
        error_of(lambda: DaskScratchMLPRegressor(**SMALL).fit(lazy(table), Y)),
    )
    one, many = ScratchMLPRegressor(**SMALL).fit(numbers, Y), DaskScratchMLPRegressor(**SMALL).fit(lazy(numbers), Y)
    mine = error_of(lambda: one.predict(table))
    assert_alike(mine, error_of(lambda: many.predict(lazy(table)).compute()))
    assert_alike(mine, error_of(lambda: many.score(lazy(table), Y)))


@pytest.mark.parametrize("kind", TIMES)
def test_times_are_encoded_as_in_memory(client, in_time, kind):
    table = TIMES[kind]
    one, many = ScratchMLPRegressor(**SMALL).fit(table, Y), DaskScratchMLPRegressor(**SMALL).fit(lazy(table), Y)
    assert many.fitted_.input_names == one.fitted_.input_names
    # in double precision, sums are added in another order
    np.testing.assert_allclose(many.predict(lazy(table)).compute(), one.predict(table), rtol=1e-6, atol=1e-9)
    numbers = X if isinstance(table, np.ndarray) else FRAME
    one, many = ScratchMLPRegressor(**SMALL).fit(numbers, Y), DaskScratchMLPRegressor(**SMALL).fit(lazy(numbers), Y)
    assert_alike(error_of(lambda: one.predict(table)), error_of(lambda: many.predict(lazy(table)).compute()))


@pytest.mark.parametrize("kind", TARGETS)
def test_targets_are_refused_as_in_memory(client, in_time, kind):
    y = TARGETS[kind]
    assert_alike(
        error_of(lambda: ScratchMLPRegressor(**SMALL).fit(X, y)),
        error_of(lambda: DaskScratchMLPRegressor(**SMALL).fit(rows(X), rows(y))),
    )


@pytest.mark.parametrize("kind", [object, "U20"])
@pytest.mark.parametrize("first", ["numbers", "text"])
def test_chunks_of_text_beside_chunks_of_numbers(client, in_time, kind, first):
    text = np.array([[f"{i % 3}", "v", "w"] for i in range(30)]).astype(kind)
    chunks = [X[:30], text] if first == "numbers" else [text, X[30:]]
    table = da.concatenate([da.from_array(chunk, chunks=-1).astype(object) for chunk in chunks])
    with pytest.raises((TypeError, ValueError), match="Column 'x0'"):
        DaskScratchMLPRegressor(**SMALL).fit(table, Y)
    labels = [np.array([1, 2] * 15), np.array(["1", "2"] * 15).astype(kind)]
    parts = [dask.delayed(part) for part in labels]
    y = da.concatenate([da.from_delayed(part, shape=(30,), dtype=object) for part in parts])
    with pytest.raises(ValueError, match="mixes labels of the types"):
        DaskScratchMLPClassifier(**SMALL).fit(rows(X), y)


def test_what_is_no_table(client, in_time):
    blocks = {"list": np.ndarray.tolist, "NoneType": lambda block: None}
    for name, convert in blocks.items():
        with pytest.raises(TypeError, match=f"Partition 0 of X is a {name}, not an array or a DataFrame"):
            DaskScratchMLPRegressor(**SMALL).fit(rows(X, (60,)).map_blocks(convert, meta=X[:0]), Y)
    with pytest.raises(TypeError, match="Partition 0 of y or of the weights is a csr_matrix"):
        DaskScratchMLPRegressor(**SMALL).fit(rows(X), rows(Y[:, None]).map_blocks(sp.csr_matrix))
    model = DaskScratchMLPRegressor(**SMALL).fit(rows(X), Y)
    for other in (dask.delayed(X), dask.bag.from_sequence([1])):
        with pytest.raises(TypeError, match="X must be a Dask Array or a Dask DataFrame"):
            model.predict(other)


def test_chunks_of_unknown_size(client, in_time):
    unknown = dd.from_pandas(FRAME, npartitions=3).to_dask_array()
    many = DaskScratchMLPRegressor(**SMALL).fit(unknown, unknown[:, 0] * 2)
    np.testing.assert_allclose(many.predict(unknown).compute(), ScratchMLPRegressor(**SMALL).fit(X, Y).predict(X))
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[60, 59\]"):
        many.fit(unknown, Y[:-1])


def test_objects_that_are_numbers_are_predicted(client, in_time):
    model = DaskScratchMLPRegressor(**SMALL).fit(FRAME, Y)
    table = FRAME.assign(b=[Decimal(number) for number in X[:, 1].tolist()])
    np.testing.assert_array_equal(model.predict(lazy(table)).compute(), model.predict(table))
