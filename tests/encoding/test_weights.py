"""Weights in their own unit: exact powers of two, products without overflow, and a common unit for several chunks."""

import numpy as np
import pytest

from skscratch.encoding.weights import MIN_RATIO, Weights, in_common_unit

RNG = np.random.RandomState


@pytest.mark.parametrize("unit", [1.0, 2.0**-1000, 2.0**900, 3.0])
def test_the_largest_value_lies_between_one_and_two(unit):
    given = RNG(0).uniform(0.1, 5, 20) * unit
    weights = Weights.of(given)
    assert 1 <= weights.values.max() < 2
    np.testing.assert_array_equal(np.ldexp(weights.values, weights.exponent), given)
    np.testing.assert_array_equal(weights.in_units_of_one(), given)


@pytest.mark.parametrize("exponent", [-1000, -3, 0, 7, 900])
def test_a_power_of_two_changes_only_the_exponent(exponent):
    given = RNG(0).uniform(0.1, 5, 20)
    one, other = Weights.of(given), Weights.of(np.ldexp(given, exponent))
    np.testing.assert_array_equal(one.values, other.values)
    assert other.exponent - one.exponent == exponent


def test_zeros_stay_zero_and_tiny_weights_stay_positive():
    values = Weights.of(np.array([0.0, 1e-300, 1.0])).values
    assert values.tolist() == [0, MIN_RATIO, 1] and np.float32(MIN_RATIO) > 0
    assert Weights.of(np.zeros(3)).values.tolist() == [0, 0, 0]
    assert Weights.of(np.empty(0)).values.size == 0


def test_a_product_does_not_overflow():
    weights = Weights.of(np.array([1e300, 2e300])).times(np.array([1e300, 4e300]))
    assert 1 <= weights.values.max() < 2
    assert weights.values[1] / weights.values[0] == pytest.approx(8)
    assert weights.in_units_of_one() is weights.values  # 8e600 is no float
    tiny = Weights.of(np.array([1e-300])).times(np.array([1e-300]))
    assert tiny.in_units_of_one() is tiny.values


def test_a_product_is_that_of_the_numbers():
    given, factors = RNG(0).uniform(0.1, 5, 20), RNG(1).uniform(0.1, 5, 20)
    np.testing.assert_allclose(Weights.of(given).times(factors).in_units_of_one(), given * factors, rtol=1e-15)
    np.testing.assert_allclose(Weights.of(given).times(np.array(3.0)).in_units_of_one(), given * 3, rtol=1e-15)


def test_chunks_in_a_common_unit():
    first, second = RNG(0).uniform(0.1, 5, 4), RNG(1).uniform(0.1, 5, 3) * 1000
    both = in_common_unit(Weights.of(first), Weights.of(second))
    assert both.exponent == Weights.of(second).exponent
    np.testing.assert_array_equal(both.in_units_of_one(), np.append(first, second))


def test_an_empty_chunk_does_not_determine_the_unit():
    none, some = Weights(np.empty(0), 50), Weights.of(np.array([1.0, 3.0]))
    for both in (in_common_unit(none, some), in_common_unit(some, none)):
        assert both.exponent == some.exponent and both.values.tolist() == some.values.tolist()
