"""The encoder sets its blocks side by side, in whatever form the table comes, and leaves the table as it is."""

import datetime
import json
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from skscratch import ScratchMLPRegressor
from skscratch.encoding.bins import Bins
from skscratch.encoding.categories import MAX_ONE_HOT, OneHot
from skscratch.encoding.check_input import check_table
from skscratch.encoding.columns import RawTable
from skscratch.encoding.dates import Dates
from skscratch.encoding.features import CHUNK_VALUES, FeatureEncoder
from skscratch.encoding.numeric import MissingFlags, Numbers
from skscratch.encoding.quantiles import sketch
from tests.helpers.encoding import F4, F8, arrays_equal, dense, encode_frame, encoder, frame, is_plain
from tests.helpers.plain import plain

RNG = np.random.RandomState(0)


@pytest.mark.parametrize("table", [np.full((9, 1), np.nan), np.ones((9, 2)), pd.DataFrame({"t": ["a"] * 9})])
def test_a_table_without_information_gives_a_constant(table):
    y = np.arange(9.0)
    predicted = ScratchMLPRegressor(max_iter=50, random_state=0).fit(table, y).predict(table)
    np.testing.assert_allclose(predicted, predicted[0])
    assert abs(predicted[0] - 4) < 1  # near the mean


def test_a_table_of_missing_categories_gives_a_constant():
    table = pd.DataFrame({"t": pd.Series([None] * 9, dtype="str")})
    predicted = ScratchMLPRegressor(max_iter=50, random_state=0).fit(table, np.arange(9.0)).predict(table)
    np.testing.assert_allclose(predicted, predicted[0])
    assert np.isfinite(predicted).all()


@pytest.mark.parametrize("kind", ["f2", "f4", "i1", "u1", "i8", "u8", "?"])
def test_arrays_of_any_type_count_as_numbers(kind):
    X = RNG.randint(0, 2 if kind == "?" else 100, (50, 3)).astype(kind)
    y = X[:, 0].astype(float)
    parameters = {"max_iter": 3, "random_state": 0, "dtype": "float64"}
    one, other = (ScratchMLPRegressor(**parameters).fit(A, y) for A in (X, X.astype(float)))
    np.testing.assert_array_equal(one.predict(X), other.predict(X.astype(float)))


def test_a_column_of_ones_is_appended_if_there_are_biases():
    X = RNG.normal(size=(6, 2))
    fitted = encoder(X)
    bare, wide = fitted.transform(X, F8), fitted.transform(X, F8, ones=True)
    np.testing.assert_array_equal(wide.X, np.column_stack([bare.X, np.ones(6)]))
    assert wide.ones and not bare.ones and wide.buffer(3).ones


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, pd.DataFrame])
@pytest.mark.parametrize("missing", [False, True])
def test_unscaled_values_beyond_float32_raise(form, missing):
    X, y = np.c_[RNG.rand(300) * 1e300, RNG.rand(300)], RNG.rand(300)
    X[::9, 1] = np.nan if missing else 0
    model = ScratchMLPRegressor(scale_features=False, dtype="float32", max_iter=2, random_state=0)
    with pytest.raises(ValueError, match="X contains a value too large for float32: .*scale_features"):
        model.fit(form(X), y)
    model.fit(form(X[:, 1:]), y)
    with pytest.raises(ValueError, match="X contains a value too large for float32: .*scale_features"):
        model.predict(form(X[:, :1]))


@pytest.mark.parametrize("dtype", [F8, F4])
def test_a_table_that_needs_no_encoding_is_not_copied(dtype):
    X = RNG.rand(20, 3).astype(dtype)
    fitted = encoder(X, scale=False)
    assert np.shares_memory(fitted.transform(X, dtype).X, X)
    assert not np.shares_memory(fitted.transform(np.asfortranarray(X), dtype).X, X)
    stored = sp.csr_matrix(X)
    assert np.shares_memory(fitted.transform(stored, dtype).X.data, stored.data)
    model = plain(ScratchMLPRegressor, scale_features=False, dtype=dtype, max_iter=1, random_state=0).fit(X, X[:, 0])
    checked = check_table(model, X, "from_dtype", model.fitted_.encoder.kinds, reset=False)
    assert np.shares_memory(model.fitted_.encode(checked).X, X)  # the check does not copy either
    frame = pd.DataFrame(X, columns=list("abc"))
    model.fit(frame, X[:, 0])
    checked = check_table(model, frame, "from_dtype", model.fitted_.encoder.kinds, reset=False)
    assert np.shares_memory(model.fitted_.encode(checked).X, X) or not frame.to_numpy().flags.c_contiguous


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("form", [np.array, sp.csr_matrix, sp.csc_matrix, sp.coo_array])
def test_the_input_stays_unchanged(scale, form):
    X = RNG.rand(30, 3).round(1)
    X[3, 1] = np.nan
    given, before = form(X), form(X)
    y = np.arange(30.0)
    weight, w_before, y_before = np.ones(30), np.ones(30), y.copy()
    model = ScratchMLPRegressor(max_iter=2, random_state=0, scale_features=scale, dtype="float64", batch_size=7)
    model.fit(given, y, weight).predict(given)
    after = given.toarray() if sp.issparse(given) else given
    np.testing.assert_array_equal(after, before.toarray() if sp.issparse(before) else before)
    np.testing.assert_array_equal(weight, w_before)
    np.testing.assert_array_equal(y, y_before)


def test_rows_of_every_chunk_are_encoded_in_the_same_way():
    X = RNG.randn(2 * CHUNK_VALUES + 5, 2)
    X[::7, 1] = np.nan
    fitted = encoder(X)
    whole = fitted.transform(X, F8).X
    for start in (0, CHUNK_VALUES - 1, CHUNK_VALUES, 2 * CHUNK_VALUES):
        np.testing.assert_array_equal(fitted.transform(X[start : start + 5], F8).X, whole[start : start + 5])


# -------------------------------------------------------- the order of X


@pytest.mark.parametrize("scale", [True, False])
def test_bins_come_before_all_other_columns(scale):
    X = RNG.randn(60, 2)
    X[::7, 1] = np.nan
    fitted, without = encoder(X, scale=scale, bins=4), encoder(X, scale=scale)
    bins = Bins.learn([(column, None) for column in X.T], np.arange(2), 4, np.full(2, np.nan))
    assert fitted.n_bins == bins.width >= 4 and without.n_bins == 0
    assert fitted.names == bins.names(["c0", "c1"]) + without.names
    expected = np.empty((60, bins.width))
    bins.write(RawTable(X), expected)
    np.testing.assert_array_equal(fitted.transform(X, F8).X, np.hstack([expected, without.transform(X, F8).X]))


def test_bins_beside_categories_and_ones():
    table = frame(t=["b", None, "a", "b"] * 3, n=np.arange(12.0), u=[str(k % 10) for k in range(12)])
    fitted = FeatureEncoder(True, bins_per_column=4).fit(table, None, table.names)
    assert fitted.names[fitted.n_bins : fitted.n_bins + 3] == ["n", "t=a", "t=b"] and len(fitted.names) > 13
    assert all(name.startswith("n from ") for name in fitted.names[: fitted.n_bins])
    out = fitted.transform(table, F8, ones=True)
    assert out.X.shape == (12, len(fitted.names) + 1) and out.ones and (out.X[:, -1] == 1).all()
    np.testing.assert_array_equal(out.X[:, fitted.n_bins : -1], encode_frame(table)[1].X)
    np.testing.assert_array_equal(out.X[[0, -1], : fitted.n_bins], [[0] * fitted.n_bins, [1] * fitted.n_bins])


@pytest.mark.parametrize("bins", [0, 4])
def test_sources_are_the_raw_columns_of_the_encoded_ones(bins):
    n = MAX_ONE_HOT + 10
    columns = {
        "many": [f"m{i}" for i in range(n)],
        "number": np.arange(n) % 17.0,
        "few": [f"f{i % 3}" for i in range(n)],
        "gaps": [np.nan if i % 5 == 0 else i for i in range(n)],
        "two": np.arange(n) % 2.0,  # of two values: no bins
        "more": [f"n{i}" for i in reversed(range(n))],
    }
    fitted = FeatureEncoder(True, bins_per_column=bins).fit(frame(**columns), None, list(columns))
    before = fitted.transform(frame(**columns), F8)
    sources = fitted.sources
    assert len(sources) == len(fitted.names) + len(fitted.categories)
    for j, name in enumerate(columns):  # what changes when a column's rows move on by one is made of that column
        moved = np.roll(columns[name], 1).tolist()
        after = fitted.transform(frame(**{**columns, name: moved}), F8)
        changed = np.append((before.X != after.X).any(axis=0), (before.codes != after.codes).any(axis=0))
        assert np.array_equal(changed, sources == j)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_sources_of_a_table_of_numbers(form):
    X = np.array([[0.0, np.nan, 2], [1, 5, 0], [0, 6, 3]])
    assert encoder(form(X)).sources.tolist() == [0, 1, 2, 1]


def test_weights_count_as_rows_in_bins():
    X, weight = RNG.randn(50, 2), RNG.randint(1, 4, 50)
    weighted, repeated = encoder(X, weight=weight.astype(float), bins=4), encoder(np.repeat(X, weight, axis=0), bins=4)
    np.testing.assert_array_equal(weighted.transform(X, F8).X, repeated.transform(X, F8).X)


def test_rows_beyond_one_chunk_have_their_own_bins():
    X = RNG.randn(CHUNK_VALUES + 5, 1)
    fitted = encoder(X, bins=4)
    whole = fitted.transform(X, F8).X
    for start in (0, CHUNK_VALUES - 2, CHUNK_VALUES):
        np.testing.assert_array_equal(fitted.transform(X[start : start + 5], F8).X, whole[start : start + 5])


MIXED = {
    "number": RNG.randn(80),
    "gaps": np.where(RNG.rand(80) < 0.2, np.nan, RNG.poisson(3, 80)),
    "kind": RNG.choice(["a", "b", "c"], 80),
    "town": [f"town {i}" for i in range(80)],
}


def test_every_encoded_column_belongs_to_one_block():
    table = frame(**MIXED, clock=[datetime.time(hour % 24) for hour in range(80)])
    fitted = FeatureEncoder(True, bins_per_column=6).fit(table, None, table.names)
    assert [type(block) for block in fitted.blocks] == [Bins, Numbers, Dates, MissingFlags, OneHot]
    widths = [block.width for block in fitted.blocks]
    assert widths == [place.stop - place.start for place in fitted.places] and all(widths)
    assert fitted.places[0].start == 0 and fitted.places[-1].stop == fitted.width == len(fitted.names)
    assert all(a.stop == b.start for a, b in zip(fitted.places[:-1], fitted.places[1:], strict=True))
    X = fitted.transform(table, F8).X
    for block, place in zip(fitted.blocks, fitted.places, strict=True):
        assert fitted.block(type(block)) is block and fitted.place(type(block)) == place
        assert fitted.names[place] == block.names(table.names)
        np.testing.assert_array_equal(fitted.sources[place], block.sources())
    assert set(np.unique(X[:, fitted.place(MissingFlags)])) == {0, 1}


def test_number_columns_are_all_but_the_categories():
    table = frame(**MIXED)
    fitted = FeatureEncoder(True).fit(table, None, table.names)
    for found, name in zip(fitted.number_columns(table), ("number", "gaps"), strict=True):
        np.testing.assert_array_equal(found, MIXED[name])
    X = RNG.randn(5, 3)
    np.testing.assert_array_equal(np.column_stack(encoder(X).number_columns(X)), X)


# ----------------------------------------------------------------- state


def tables():
    X = RNG.randn(60, 3)
    X[::7, 1] = np.nan
    mixed = frame(**MIXED)
    return {"array": X, "sparse": sp.csr_matrix(X), "mixed": mixed, "sketch": sketch(mixed, None, 100)}


@pytest.mark.parametrize("kind", ["array", "sparse", "mixed", "sketch"])
@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("bins", [0, 6])
@pytest.mark.parametrize("through", ["state", "pickle"])
def test_an_encoder_is_restored(kind, scale, bins, through):
    data = tables()[kind]
    names = [f"c{j}" for j in range(data.shape[1])]
    fitted = FeatureEncoder(scale, True, bins).fit(data, None, names)
    if through == "pickle":
        again = pickle.loads(pickle.dumps(fitted))
    else:
        state = fitted.to_state()
        assert is_plain(state)
        again = FeatureEncoder.from_state(state)
    assert arrays_equal(again.to_state(), fitted.to_state())
    for name in ("names", "categories", "kinds", "width", "n_bins", "places", "scale", "incremental"):
        assert getattr(again, name) == getattr(fitted, name)
    np.testing.assert_array_equal(again.sources, fitted.sources)
    rows = frame(**MIXED) if kind == "sketch" else data
    mine, theirs = (one.transform(rows, F4) for one in (fitted, again))
    np.testing.assert_array_equal(dense(theirs), dense(mine))
    assert mine.codes is None or np.array_equal(mine.codes, theirs.codes)
    if kind != "sparse":  # and it can be refitted
        later = 3 + RNG.randn(50, fitted.block(Numbers).width)
        one, other = (fit.refitted(later, np.ones(50)) for fit in (fitted, again))
        assert arrays_equal(other.to_state(), one.to_state())


def test_a_state_without_arrays_can_be_written_as_json():
    table = frame(**MIXED)
    state = FeatureEncoder(True, bins_per_column=6).fit(table, None, table.names).to_state()

    def listed(value):
        if isinstance(value, dict):
            return {key: listed(each) for key, each in value.items()}
        return [listed(each) for each in value] if isinstance(value, list | np.ndarray) else value

    text = json.dumps(listed(state), default=lambda number: number.item())
    assert json.loads(text)["vocabulary"]["values"][0] == ["a", "b", "c"]
