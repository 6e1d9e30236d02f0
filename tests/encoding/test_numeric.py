"""Numbers: scaling, smooth clipping, imputed values and flags of missing values, for columns of any content."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.datasets import load_diabetes, load_wine

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding.columns import RawTable
from skscratch.encoding.numeric import CLIP_LIMIT, MissingFlags, Numbers
from tests.helpers.encoding import EXTREME, F4, F8, arrays_equal, dense, encoder, is_plain, squeeze
from tests.helpers.plain import plain

RNG = np.random.RandomState(0)


def test_scaled_numbers_computed_by_hand():
    X = np.array([[1.0], [2], [3], [4], [100]])  # quartiles 2, 3, 4: the outlier does not count
    out = encoder(X).transform(X, F8).X
    np.testing.assert_allclose(out, squeeze((X - 3) / 2), rtol=1e-15)
    assert abs(out[-1, 0]) < CLIP_LIMIT and np.all(np.diff(out[:, 0]) > 0)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_the_mean_size_of_the_others_is_the_scale_where_the_quartiles_coincide(form):
    X = np.r_[np.zeros(9), 4.0, -2.0][:, None]
    table = encoder(form(X)).transform(form(X), F8)
    dense = table.X.toarray() if sp.issparse(table.X) else table.X
    np.testing.assert_allclose(dense[-2:, 0], squeeze(np.array([4 / 3, -2 / 3])), rtol=1e-15)


def test_weights_count_as_rows():
    X = RNG.randn(30, 3)
    X[RNG.rand(30, 3) < 0.2] = np.nan
    weight = RNG.randint(1, 4, 30)
    a, b = encoder(X, weight.astype(float)), encoder(np.repeat(X, weight, axis=0))
    np.testing.assert_array_equal(a.transform(X, F8).X, b.transform(X, F8).X)
    assert np.any(a.transform(X, F8).X != encoder(X).transform(X, F8).X)


@pytest.mark.parametrize("scale", [True, False])
def test_constant_and_all_missing_columns_stay_constant(scale):
    X = np.c_[np.full(30, 5.0), np.full(30, np.nan), RNG.randn(30)]
    fitted = encoder(X, scale=scale)
    assert fitted.names == ["c0", "c1", "c2"]  # a column of missing values has no flag
    out = fitted.transform(X, F8).X
    assert np.ptp(out[:, :2], axis=0).tolist() == [0, 0] and np.isfinite(out).all()
    if scale:
        later = fitted.transform(np.array([[1e9, 1e9, 0.0]]), F8).X  # no later value of these columns has an effect
        assert later[0, :2].tolist() == [0, 0]


@pytest.mark.parametrize("dtype", [F8, F4])
@pytest.mark.parametrize("column", EXTREME.values(), ids=EXTREME)
def test_extreme_values_are_scaled_without_a_warning(column, dtype):
    out = encoder(column[:, None]).transform(column[:, None], dtype).X
    assert np.isfinite(out).all() and np.abs(out).max() <= CLIP_LIMIT
    order = np.argsort(column, kind="stable")
    assert np.all(np.diff(out[order, 0].astype(float)) >= 0)  # in the order of the values
    stored = sp.csr_array(column[:, None])
    sparse = dense(encoder(stored).transform(stored, F8))
    np.testing.assert_allclose(sparse, encoder(column[:, None]).transform(column[:, None], F8).X, atol=1e-12)


@pytest.mark.parametrize("column", ["huge", "tiny", "both", "one outlier"])
def test_extreme_values_do_not_affect_other_columns(column):
    X, y = load_wine(return_X_y=True)
    X = np.c_[X, np.resize(EXTREME[column], len(X))]
    assert ScratchMLPClassifier(max_iter=30, random_state=0).fit(X, y).score(X, y) > 0.95


def test_small_differences_of_large_numbers_survive_float32():
    table = 1e9 + np.r_[-1.0, 0, 1, 2][RNG.randint(0, 4, 400)][:, None]
    out = encoder(table).transform(table, F4).X
    assert out.dtype == np.float32 and len(np.unique(out)) == 4
    y = table[:, 0] - 1e9
    model = ScratchMLPRegressor(max_iter=60, random_state=0, dtype="float32").fit(table, y)
    assert model.score(table, y) > 0.99


def test_outliers_do_no_harm():
    X, y = load_diabetes(return_X_y=True, scaled=False)
    clean = ScratchMLPRegressor(max_iter=30, random_state=0).fit(X, y)
    spoiled = X.copy()
    spoiled[::50] *= 1e6
    others = np.arange(len(X)) % 50 > 0
    model = ScratchMLPRegressor(max_iter=30, random_state=0).fit(spoiled, y)
    assert model.score(X[others], y[others]) > clean.score(X[others], y[others]) - 0.1


def test_integers_do_not_overflow():
    X = np.array([[2**63 - 1, -(2**63)], [-(2**63), 2**63 - 1], [0, 0], [1, 1]], dtype=np.int64)
    out = encoder(X.astype(float)).transform(X.astype(float), F8).X
    model = ScratchMLPRegressor(max_iter=2, random_state=0).fit(X, np.arange(4.0))
    np.testing.assert_array_equal(model.fitted_.encode(X).X, np.column_stack([out, np.ones(4)]))
    assert out[0, 0] > 0 > out[1, 0]


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    arrays.arrays(
        float,
        arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=8),
        elements=st.one_of(
            st.just(np.nan), st.just(0.0), st.floats(allow_infinity=False), st.integers(-3, 3).map(float)
        ),
    ),
    st.booleans(),
)
@pytest.mark.slow
def test_any_table_of_numbers(X, scale):
    fitted = encoder(X, scale=scale)
    out = fitted.transform(X, F8).X
    assert out.shape == (len(X), len(fitted.names)) and np.isfinite(out).all()
    d = X.shape[1]
    absent = np.isnan(X)
    assert fitted.names[d:] == [f"c{j} missing" for j in range(d) if 0 < absent[:, j].sum() < len(X)]
    if scale:
        assert np.abs(out[:, :d]).max() <= CLIP_LIMIT
    else:
        np.testing.assert_array_equal(out[:, :d][~absent], X[~absent])
    stored = sp.csr_array(X)
    sparse = encoder(stored, scale=scale)
    table = sparse.transform(stored, F8)
    assert sparse.names == fitted.names
    again = dense(table)
    # value minus offset, plus offset: rounding of numbers up to 3
    np.testing.assert_allclose(again, out, rtol=1e-12, atol=1e-12)


# -------------------------------------------------------- missing values


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_missing_values_have_a_flag_column(scale, form):
    X = np.array([[1.0, np.nan], [2, 5], [np.nan, 6], [4, np.nan], [3, 9]])
    fitted = encoder(form(X), scale=scale)
    assert fitted.names == ["c0", "c1", "c0 missing", "c1 missing"]
    table = fitted.transform(form(X), F8)
    out = (
        table.X
        if isinstance(table.X, np.ndarray)
        else table.X.toarray() + (0 if table.offset is None else table.offset)
    )
    np.testing.assert_array_equal(out[:, 2:], np.isnan(X))
    filled = 0.0 if scale else np.array([2.5, 6.0])  # the median
    np.testing.assert_allclose(out[:, :2][np.isnan(X)], np.broadcast_to(filled, X.shape)[np.isnan(X)], atol=1e-15)


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, pd.DataFrame, "beside text"])
def test_values_that_are_missing_only_at_predict_are_imputed_by_the_median(scale, form):
    X = np.c_[RNG.randn(41) + 7, RNG.randn(41)]  # an odd number: the median is one of the values
    y = X[:, 0]
    wrap = form
    if form == "beside text":
        wrap = lambda X: pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "t": "u"})  # noqa: E731
    model = plain(ScratchMLPRegressor, max_iter=3, random_state=0, scale_features=scale).fit(wrap(X), y)
    gone, median = X.copy(), X.copy()
    gone[::2, 0], median[::2, 0] = np.nan, np.median(X[:, 0])
    np.testing.assert_allclose(model.predict(wrap(gone)), model.predict(wrap(median)), rtol=1e-12)


# ------------------------------------------------------ the blocks alone


def test_numbers_write_into_a_part_of_a_table_and_name_their_columns():
    data = [(RNG.randn(50), None), (RNG.exponential(size=50), None)]
    block = Numbers.learn(data, np.array([1, 3]), True, 0.0)
    assert block.width == 2 and block.names(list("abcd")) == ["b", "d"] and block.sources().tolist() == [1, 3]
    raw = np.column_stack([x for x, _ in data])
    X = np.full((50, 4), 7.0)
    block.write(RawTable(raw), X[:, 1:3])
    np.testing.assert_allclose(X[:, 1:3], squeeze((raw - block.center) * block.factor), rtol=1e-14)
    assert (X[:, [0, 3]] == 7).all()


def test_a_constant_column_may_vary_later_in_a_stream():
    for constant_factor in (0.0, 1.0):
        block = Numbers.learn([(np.full(9, 5.0), None)], np.array([0]), True, constant_factor)
        assert (block.center, block.factor) == (5, constant_factor)
        assert block.refitted([(np.full(9, 6.0), None)]).factor == constant_factor


def test_columns_with_some_missing_values_have_flags():
    gaps, none, all_gone = np.array([1, np.nan, 2]), np.arange(3.0), np.full(3, np.nan)
    block = MissingFlags.learn([(none, None), (gaps, None), (all_gone, None)], np.array([0, 2, 5]))
    assert block.positions.tolist() == [1] and block.sources().tolist() == [2] and block.width == 1
    assert block.names(list("abcdef")) == ["c missing"]
    out = np.empty((3, 1))
    block.write(RawTable(np.column_stack([none, gaps, all_gone])), out)
    assert out[:, 0].tolist() == [0, 1, 0]
    assert MissingFlags.learn([], np.empty(0, int)).width == 0


@pytest.mark.parametrize("scale", [True, False])
def test_blocks_are_restored_from_their_state(scale):
    data = [(RNG.randn(50), None), (np.r_[np.nan, RNG.randn(49)], RNG.uniform(size=50))]
    blocks = Numbers.learn(data, np.array([0, 2]), scale, 1.0), MissingFlags.learn(data, np.array([0, 2]))
    for block in blocks:
        state = block.to_state()
        again = type(block).from_state(state)
        assert is_plain(state) and arrays_equal(again.to_state(), state)
        assert again.names(list("abc")) == block.names(list("abc"))
