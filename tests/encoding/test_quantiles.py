"""Weighted mean, spread and quantiles: weight 2 is the row twice, weight 0 the row left out."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skscratch.encoding.quantiles import weighted_mean_std, weighted_quantiles

LEVELS = [0.0, 0.1, 0.25, 1 / 3, 0.5, 0.75, 0.9, 1.0]
number = st.floats(-1e6, 1e6, allow_subnormal=False)
rows = st.lists(st.tuples(number, st.integers(0, 4)), min_size=1, max_size=25)
weighted_rows = rows.filter(lambda pairs: any(weight for _, weight in pairs))


# the same examples each time, and no judgement of how long they take
examples = settings(derandomize=True, deadline=None, database=None)


def split_up(pairs):
    x, weight = np.array(pairs, dtype=float).T
    return x, weight, np.repeat(x, weight.astype(int))


@examples
@given(weighted_rows)
def test_a_whole_weight_is_the_row_so_many_times(pairs):
    x, weight, repeated = split_up([pair for pair in pairs if pair[1]])
    np.testing.assert_array_equal(weighted_quantiles(x, weight, LEVELS), weighted_quantiles(repeated, None, LEVELS))


@examples
@given(weighted_rows)
def test_weight_zero_is_the_row_left_out(pairs):
    x, weight, _ = split_up(pairs)
    some = weight > 0
    expected = weighted_quantiles(x[some], weight[some], LEVELS)
    np.testing.assert_array_equal(weighted_quantiles(x, weight, LEVELS), expected)


@examples
@given(weighted_rows, st.sampled_from([1e-8, 1 / 3, 0.7, 1e9]))
def test_only_the_ratio_of_weights_matters(pairs, unit):
    x, weight, repeated = split_up(pairs)
    inner = LEVELS[1:-1]
    np.testing.assert_array_equal(
        weighted_quantiles(x, weight * unit, inner), weighted_quantiles(repeated, None, inner)
    )


@examples
@given(st.lists(number, min_size=1, max_size=25))
def test_median_is_numpys(values):
    x = np.array(values)
    found = weighted_quantiles(x, None, [0.5])[0]
    assert found == pytest.approx(np.median(x), rel=1e-15, abs=1e-9)  # a + (b - a) / 2 against (a + b) / 2, up to 1e6


@examples
@given(st.lists(number, min_size=1, max_size=25), st.sampled_from(LEVELS))
def test_quantiles_are_numpys_of_the_same_definition(values, level):
    x = np.array(values)
    n = len(x) * level
    if abs(n - round(n)) < 1e-9:  # whether a level falls between two is then a matter of rounding: name it exactly
        level = round(n) / len(x)
    expected = np.quantile(x, level, method="averaged_inverted_cdf")
    assert weighted_quantiles(x, None, [level])[0] == pytest.approx(expected, rel=1e-15, abs=1e-9)


def test_lowest_and_highest():
    np.testing.assert_array_equal(weighted_quantiles(np.array([3.0, 1, 2]), None, [0, 1]), [1, 3])


def test_a_level_between_two_rows_gives_their_mean():
    x = np.array([4.0, 1, 2, 8])
    np.testing.assert_array_equal(weighted_quantiles(x, None, [0.25, 0.5, 0.6]), [1.5, 3, 4])
    np.testing.assert_array_equal(weighted_quantiles(x, np.array([1.0, 1, 1, 3]), [0.5, 0.6]), [6, 8])


def test_rounding_in_the_weights_does_not_decide():
    """Ten weights of 0.1 add up to less than 1: half of them is still between the fifth row and the sixth."""
    x = np.arange(10.0)
    np.testing.assert_array_equal(weighted_quantiles(x, np.full(10, 0.1), [0.5, 0.3]), [4.5, 2.5])


def test_no_rows_have_no_quantiles():
    assert np.isnan(weighted_quantiles(np.empty(0), None, [0.5, 0.9])).tolist() == [True, True]


@examples
@given(weighted_rows)
def test_mean_and_deviation_are_those_of_the_repeated_rows(pairs):
    x, weight, repeated = split_up(pairs)
    mean, std = weighted_mean_std(np.column_stack([x, -x]), weight)
    # sums of up to 100 terms of up to 1e6, each of which rounds by 1e-16 of that; a root doubles the digits lost
    np.testing.assert_allclose(mean, [repeated.mean(), -repeated.mean()], rtol=1e-12, atol=1e-8)
    np.testing.assert_allclose(std, [repeated.std()] * 2, rtol=1e-10, atol=1e-8)


def test_without_weights_mean_and_deviation_are_numpys():
    y = np.random.RandomState(0).normal(3, 2, (20, 3))
    mean, std = weighted_mean_std(y, None)
    np.testing.assert_allclose(mean, y.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(std, y.std(axis=0), rtol=1e-14)
