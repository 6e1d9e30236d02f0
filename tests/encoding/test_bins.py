"""Bins: edges learned from values and weights, and components that fill up one after the other."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skscratch.encoding.bins import Bins
from skscratch.encoding.columns import RawTable
from skscratch.encoding.features import FeatureEncoder
from skscratch.encoding.quantiles import weighted_quantiles
from tests.helpers.encoding import EXTREME, F4, F8, arrays_equal, encoder, is_plain

RNG = np.random.RandomState


def learn(x, count=8, weight=None):
    """Bins of one column."""
    return learn_all([np.asarray(x, float)], count, None if weight is None else np.asarray(weight, float))


def learn_all(columns, count=8, weight=None):
    """Bins of several columns, in which a missing value has no components."""
    n = len(columns)
    return Bins.learn([(x, weight) for x in columns], np.arange(n), count, np.full(n, np.nan))


def write(bins, *columns):
    """Components of the rows of these columns."""
    raw = np.column_stack([np.asarray(x, float) for x in columns])
    out = np.full((len(raw), bins.width), np.nan)
    bins.write(RawTable(raw), out)
    return out


def plainly(x, edges):
    """Gorishniy et al. 2022, eq. 1, computed for each value."""
    row = []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        row.append(0.0 if x < low else 1.0 if x >= high else (x - low) / (high - low))
    return row


# ---------------------------------------------------------------- components


def test_components_equal_the_formula():
    x = RNG(0).normal(size=50)
    bins = learn(x)
    new = np.concatenate([x, RNG(1).normal(0, 3, 50), bins.edges[0], [-1e9, 1e9]])
    expected = [plainly(value, bins.edges[0]) for value in new]
    np.testing.assert_allclose(write(bins, new), expected, rtol=1e-15, atol=1e-15)


def test_components_computed_by_hand():
    bins = learn([0, 1, 2, 4], count=4)  # edges at the minimum, the median and the maximum
    np.testing.assert_array_equal(bins.edges[0], [0, 1.5, 4])
    np.testing.assert_array_equal(
        write(bins, [-1, 0, 0.75, 1.5, 2.75, 4, 9]), [[0, 0], [0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1], [1, 1]]
    )


def test_a_missing_value_has_no_components():
    x = np.array([0, 1, np.nan, 2, 4, np.nan])
    bins = learn(x, count=4)
    np.testing.assert_array_equal(bins.edges[0], learn([0, 1, 2, 4], count=4).edges[0])
    assert not write(bins, x)[[2, 5]].any()


def test_components_of_columns_are_side_by_side():
    columns = RNG(0).normal(size=30), np.full(30, 5.0), RNG(1).exponential(size=30)
    bins = learn_all(columns)
    alone = [learn(x) for x in columns]
    assert bins.width == sum(one.width for one in alone) and alone[1].width == 0
    np.testing.assert_array_equal(
        write(bins, *columns), np.hstack([write(one, x) for one, x in zip(alone, columns, strict=True)])
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_components_are_written_into_a_part_of_a_table(dtype):
    x = RNG(0).normal(size=(30, 2))
    bins = learn_all(x.T)
    table = np.full((30, bins.width + 3), 7, dtype)
    bins.write(RawTable(x), table[:, 1:-2])
    np.testing.assert_array_equal(table[:, 1:-2], write(bins, *x.T).astype(dtype))
    assert (table[:, 0] == 7).all() and (table[:, -2:] == 7).all()


def test_the_input_stays_unchanged():
    x = np.array([[3.0], [np.nan], [1], [2], [2.5]])
    before = x.copy()
    bins = learn_all([x[:, 0]])
    bins.write(RawTable(x), np.empty((5, bins.width)))
    np.testing.assert_array_equal(x, before)


# ---------------------------------------------------------------- edges


@pytest.mark.parametrize("count", [2, 3, 4, 5, 16])
def test_the_number_of_bins_is_limited(count):
    for x in (RNG(0).normal(size=200), np.round(RNG(0).exponential(3, 200)), np.r_[np.zeros(150), np.arange(50)]):
        bins = learn(x, count)
        assert 1 <= bins.width <= count
        edges = bins.edges[0]
        assert (np.diff(edges) > 0).all() and edges[0] == x.min() and edges[-1] == x.max()


def test_edges_are_quantiles_of_the_rows_and_of_the_distinct_values():
    x = np.round(RNG(0).exponential(3, 300))
    levels = [0, 0.25, 0.5, 0.75, 1]
    by_rows = np.quantile(x, levels, method="averaged_inverted_cdf")
    by_values = np.quantile(np.unique(x), levels, method="averaged_inverted_cdf")
    assert set(by_rows) != set(by_values)
    np.testing.assert_array_equal(learn(x).edges[0], sorted({*by_rows, *by_values}))


def test_other_values_have_bins_even_if_most_rows_share_one():
    x = np.r_[np.zeros(950), np.linspace(1, 50, 50)]
    edges = learn(x).edges[0]
    assert len(edges) >= 5 and (edges > 0).sum() >= 4


@pytest.mark.parametrize("x", [[], [np.nan, np.nan], [3], [3, 3, np.nan], [0, 1, 1, 0], [np.nan, -1e300, 1e300]])
def test_a_column_of_at_most_two_values_has_no_bins(x):
    bins = learn(x)
    assert bins.width == 0 and bins.edges[0].size == 0 and bins.names(["x"]) == []
    assert write(bins, [1.0, np.nan]).shape == (2, 0)


def test_three_values_have_bins_between_them():
    np.testing.assert_array_equal(learn([5, 1, 2, 2, 1, 5, 5]).edges[0], [1, 2, 5])


def test_without_columns_there_are_no_bins():
    for bins in (learn_all([]), Bins.none()):
        assert bins.width == 0 and bins.names([]) == [] and bins.sources().shape == (0,)


def test_names_have_the_column_and_both_edges():
    bins = learn_all([np.array([0, 1, 2, 4.0]), np.ones(4), np.array([1e6, 2e6, 1234567.8, 0])], 4)
    assert bins.names(["a", "b", "c"]) == [
        "a from 0 to 1.5",
        "a from 1.5 to 4",
        "c from 0 to 1.117e+06",
        "c from 1.117e+06 to 2e+06",
    ]


# ---------------------------------------------------------------- weights


def test_a_row_of_weight_two_counts_as_two_rows():
    x, weight = np.round(RNG(0).exponential(3, 100)), RNG(1).randint(1, 4, 100)
    np.testing.assert_array_equal(learn(x, 8, weight).edges[0], learn(np.repeat(x, weight)).edges[0])


def test_a_row_of_weight_zero_counts_as_none():
    x, weight = RNG(0).normal(size=100), RNG(1).randint(0, 2, 100)
    np.testing.assert_array_equal(learn(x, 8, weight).edges[0], learn(x[weight > 0]).edges[0])


def test_weights_move_the_edges():
    x, weight = np.arange(101.0), np.where(np.arange(101) < 20, 30, 1)
    assert np.median(learn(x, 8, weight).edges[0]) < np.median(learn(x).edges[0])


# ---------------------------------------------------------------- units


@pytest.mark.parametrize("unit", [1e-300, 1e-12, 1e12, 1e300])
def test_components_do_not_depend_on_the_unit(unit):
    x = RNG(0).normal(size=50)
    np.testing.assert_allclose(write(learn(x * unit), x * unit), write(learn(x), x), rtol=1e-9, atol=1e-12)


def test_edges_closer_than_rounding_are_merged():
    x = np.r_[np.linspace(0, 1, 20), 0.5 + 1e-15, 1e9]
    edges = learn(np.repeat(x, 3), 48).edges[0]
    assert (np.diff(edges) > 1e-12 * 1e9).all()


def test_small_differences_of_large_numbers_have_bins():
    x = 1e9 + np.arange(20.0)
    np.testing.assert_allclose(write(learn(x), x), write(learn(x - 1e9), x - 1e9), atol=1e-6)


@settings(derandomize=True, deadline=None, database=None, max_examples=200)
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=False), min_size=1, max_size=30),
    st.lists(st.floats(allow_nan=True, allow_infinity=False), min_size=1, max_size=10),
    st.integers(2, 12),
)
@pytest.mark.slow
def test_any_column(seen, later, count):
    """Up to the largest floats, without a warning."""
    bins = learn(seen, count)
    low, high = bins.edges[0][:-1], bins.edges[0][1:]
    assert (low < high).all()
    with np.errstate(over="ignore"):  # as in the encoder: a value too far out for a difference is beyond all edges
        out = write(bins, later)
    assert (out >= 0).all() and (out <= 1).all()
    for value, row in zip(later, out, strict=True):
        assert (row[value >= high] == 1).all() and not row[value <= low].any()
        assert value == value or not row.any()


@pytest.mark.parametrize("x", [[-1.7e308, 1.0, 1.7e308], [-1e308, 1e307, 1.7e308, 1.7e308]])
def test_values_whose_difference_overflows_have_bins(x):
    """At the ends, and half way between two edges, and without a warning of overflow."""
    bins = learn(x, 2)
    np.testing.assert_array_equal(bins.edges[0], [x[0], x[-1]])
    middle = x[0] / 2 + x[-1] / 2
    np.testing.assert_allclose(write(bins, [x[0], middle, x[-1]])[:, 0], [0, 0.5, 1], rtol=1e-12)


def test_edges_are_weighted_quantiles():
    """Scaling and bins share one definition."""
    x = RNG(0).normal(size=33)
    np.testing.assert_array_equal(learn(x, 4).edges[0], weighted_quantiles(x, None, [0, 0.5, 1]))


# --------------------------------------------------------- in an encoder


def test_bins_impute_the_median_for_values_that_are_missing_only_at_predict():
    """There is no flag for such values, and bins of 0 would stand for the smallest value beside an imputed median."""
    X = RNG(0).randn(41, 2)
    fitted = FeatureEncoder(True, bins_per_column=6).fit(X, None, ["a", "b"])
    gone, median = X.copy(), X.copy()
    gone[::2, 0], median[::2, 0] = np.nan, np.median(X[:, 0])
    np.testing.assert_allclose(fitted.transform(gone, F8).X, fitted.transform(median, F8).X, rtol=1e-12)


@pytest.mark.parametrize("dtype", [F8, F4])
@pytest.mark.parametrize("column", EXTREME.values(), ids=EXTREME)
def test_extreme_values_have_bins_without_a_warning(column, dtype):
    fitted = encoder(column[:, None], bins=4)
    out = fitted.transform(column[:, None], dtype).X
    assert out.dtype == dtype and np.isfinite(out).all()
    bins = out[:, : fitted.n_bins].astype(float)
    assert (bins >= 0).all() and (bins <= 1).all()
    assert np.all(np.diff(bins.sum(axis=1)[np.argsort(column, kind="stable")]) >= -1e-6)  # fuller, the larger x is


# ---------------------------------------------------------------- the block


def test_a_missing_value_has_the_components_of_the_imputed_one():
    x = RNG(0).normal(size=(50, 3))
    bins = Bins.learn([(column, None) for column in x.T], np.array([1, 2, 4]), 8, np.array([0.1, np.nan, -9]))
    gone = write(bins, *np.full((3, 1), np.nan))
    expected = write(bins, [0.1], [-1e9], [-9])  # nothing is imputed in the second column: its components are 0
    np.testing.assert_array_equal(gone, expected)
    assert sorted(set(bins.sources().tolist())) == [1, 2, 4] and len(bins.sources()) == bins.width


def test_the_block_is_restored_from_its_state():
    x = RNG(0).normal(size=(50, 2))
    bins = Bins.learn([(column, None) for column in x.T], np.array([1, 3]), 8, np.array([0.1, np.nan]))
    bins.write(RawTable(x), np.empty((50, bins.width)))
    state = bins.to_state()
    again = Bins.from_state(state)
    assert is_plain(state) and arrays_equal(again.to_state(), state) and set(state) == {"columns", "edges", "imputed"}
    np.testing.assert_array_equal(write(again, *x.T), write(bins, *x.T))


@pytest.mark.parametrize("count", [2, 8, 20])
def test_refitted_bins_have_as_many_edges(count):
    x, later = RNG(0).normal(size=(60, 3)), RNG(1).normal(5, 3, size=(80, 3))
    later[:, 1], later[:, 2] = 0, later[:, 2].round(-1)  # no bins of their own, or fewer
    bins = Bins.learn([(column, None) for column in x.T], np.arange(3), count, np.full(3, np.nan))
    new = bins.refitted([(column, None) for column in later.T], count, np.zeros(3))
    assert [len(edges) for edges in new.edges] == [len(edges) for edges in bins.edges]
    np.testing.assert_array_equal(new.edges[1], bins.edges[1])
    assert new.edges[0][0] == later[:, 0].min() and new.edges[0][-1] == later[:, 0].max()
    assert (new.imputed == 0).all()
