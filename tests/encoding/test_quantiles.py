"""Weighted statistics: weight 2 is the row twice, weight 0 the row left out.  Sketches of parts can be merged."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skscratch.encoding.columns import read
from skscratch.encoding.features import FeatureEncoder
from skscratch.encoding.quantiles import merge, sketch, weighted_mean_std, weighted_quantiles

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
def test_a_row_of_weight_two_counts_as_two_rows(pairs):
    x, weight, repeated = split_up([pair for pair in pairs if pair[1]])
    np.testing.assert_array_equal(weighted_quantiles(x, weight, LEVELS), weighted_quantiles(repeated, None, LEVELS))


@examples
@given(weighted_rows)
def test_a_row_of_weight_zero_counts_as_none(pairs):
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
def test_the_median_equals_numpys(values):
    x = np.array(values)
    found = weighted_quantiles(x, None, [0.5])[0]
    assert found == pytest.approx(np.median(x), rel=1e-15, abs=1e-9)  # a + (b - a) / 2 against (a + b) / 2, up to 1e6


@examples
@given(st.lists(number, min_size=1, max_size=25), st.sampled_from(LEVELS))
def test_quantiles_equal_numpys_of_the_same_definition(values, level):
    x = np.array(values)
    n = len(x) * level
    if abs(n - round(n)) < 1e-9:  # whether a level falls between two is then a matter of rounding: name it exactly
        level = round(n) / len(x)
    expected = np.quantile(x, level, method="averaged_inverted_cdf")
    assert weighted_quantiles(x, None, [level])[0] == pytest.approx(expected, rel=1e-15, abs=1e-9)


def test_lowest_and_highest():
    np.testing.assert_array_equal(weighted_quantiles(np.array([3.0, 1, 2]), None, [0, 1]), [1, 3])


def test_a_quantile_between_two_rows_is_their_mean():
    x = np.array([4.0, 1, 2, 8])
    np.testing.assert_array_equal(weighted_quantiles(x, None, [0.25, 0.5, 0.6]), [1.5, 3, 4])
    np.testing.assert_array_equal(weighted_quantiles(x, np.array([1.0, 1, 1, 3]), [0.5, 0.6]), [6, 8])


def test_quantiles_do_not_depend_on_the_rounding_of_weights():
    """Ten weights of 0.1 add up to less than 1, but half of their sum is still between the fifth and the sixth row."""
    x = np.arange(10.0)
    np.testing.assert_array_equal(weighted_quantiles(x, np.full(10, 0.1), [0.5, 0.3]), [4.5, 2.5])


def test_no_rows_have_no_quantiles():
    assert np.isnan(weighted_quantiles(np.empty(0), None, [0.5, 0.9])).tolist() == [True, True]


@examples
@given(weighted_rows)
def test_mean_and_standard_deviation_equal_those_of_repeated_rows(pairs):
    x, weight, repeated = split_up(pairs)
    mean, std = weighted_mean_std(np.column_stack([x, -x]), weight)
    # sums of up to 100 terms of up to 1e6, each of which rounds by 1e-16 of that; a root doubles the digits lost
    np.testing.assert_allclose(mean, [repeated.mean(), -repeated.mean()], rtol=1e-12, atol=1e-8)
    np.testing.assert_allclose(std, [repeated.std()] * 2, rtol=1e-10, atol=1e-8)


def test_mean_and_standard_deviation_without_weights_equal_numpys():
    y = np.random.RandomState(0).normal(3, 2, (20, 3))
    mean, std = weighted_mean_std(y, None)
    np.testing.assert_allclose(mean, y.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(std, y.std(axis=0), rtol=1e-14)


# -------------------------------------------------------------- sketches

rng = np.random.RandomState(0)


TWENTIETHS = np.linspace(0, 1, 21)


def parts_of(X, weight, size, cuts):
    edges = [0, *sorted(cuts), X.shape[0]]
    spans = [slice(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    return [sketch(X[s], None if weight is None else weight[s], size) for s in spans]


@settings(max_examples=60, deadline=None)
@given(
    arrays(
        np.float64, st.tuples(st.integers(1, 60), st.just(2)), elements=st.sampled_from([-3.0, 0, 0.5, 1, 7, np.nan])
    ),
    st.data(),
)
def test_merged_sketches_of_few_values_are_exact(X, data):
    n = len(X)
    weight = data.draw(st.none() | arrays(np.float64, n, elements=st.sampled_from([0.0, 1.0, 2.5])))
    cuts = data.draw(st.lists(st.integers(0, n), max_size=4))
    whole = merge(parts_of(X, weight, 100, cuts), 100)
    assert whole.shape == X.shape and whole.kinds is None
    for j in range(2):
        x, w = X[:, j], np.ones(n) if weight is None else weight
        points, mass = whole.points[j], whole.weights[j]
        np.testing.assert_array_equal(points, np.unique(x[w > 0]))
        np.testing.assert_allclose(mass.sum(), w.sum())
        present = ~np.isnan(x) & (w > 0)
        if present.any():
            known = ~np.isnan(points)
            np.testing.assert_array_equal(
                weighted_quantiles(points[known], mass[known], TWENTIETHS),
                weighted_quantiles(x[present], w[present], TWENTIETHS),
            )


@pytest.mark.parametrize("values", ["normal", "ties", "heavy", "constant"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_parts", [1, 7])
def test_the_error_of_a_quantile_is_at_most_the_distance_of_the_points(values, weighted, n_parts):
    n, size = 20_000, 256
    x = {
        "normal": rng.normal(size=n),
        "ties": rng.poisson(300, n).astype(float),
        "heavy": rng.standard_cauchy(n),
        "constant": np.full(n, 3.0),
    }[values]
    weight = rng.exponential(size=n) if weighted else np.ones(n)
    cuts = np.linspace(0, n, n_parts + 1).astype(int)[1:-1]
    whole = merge(parts_of(x[:, None], weight, size, cuts), size)
    points, mass = whole.points[0], whole.weights[0]
    assert len(points) <= size
    assert (points[0], points[-1]) == (x.min(), x.max())
    np.testing.assert_allclose(mass.sum(), weight.sum())
    # rank of each quantile among all rows; parts and their merging each round by a distance
    order = np.argsort(x)
    for level, found in zip(TWENTIETHS, weighted_quantiles(points, mass, TWENTIETHS), strict=True):
        below, upto = (weight[order][: np.searchsorted(x[order], found, side)].sum() for side in ("left", "right"))
        assert below / weight.sum() - 2.5 / size <= level <= upto / weight.sum() + 2.5 / size


def test_missing_values_keep_their_weight_when_points_are_few():
    x = np.where(rng.uniform(size=1000) < 0.3, np.nan, rng.normal(size=1000))
    whole = merge(parts_of(x[:, None], None, 50, [400]), 50)
    assert np.isnan(whole.points[0][-1]) and not np.isnan(whole.points[0][:-1]).any()
    assert whole.weights[0][-1] == np.isnan(x).sum()
    np.testing.assert_allclose(whole.weights[0].sum(), 1000)


def test_an_encoder_learns_the_same_from_a_sketch_as_from_the_rows():
    X = pd.DataFrame(
        {
            "number": rng.normal(size=300),
            "gaps": np.where(rng.uniform(size=300) < 0.2, np.nan, rng.poisson(3, 300)),
            "rare": np.where(rng.uniform(size=300) < 0.05, rng.normal(size=300), 0),
            "kind": rng.choice(["a", "b", "c"], 300),
            "town": [f"{i}" for i in rng.randint(80, size=300)],
            "flag": rng.uniform(size=300) < 0.5,
        }
    )
    weight = rng.exponential(size=300)
    table = read(X, "from_dtype")
    whole = merge(parts_of(table, weight, 1000, [10, 11, 200]), 1000)
    assert (whole.shape, whole.kinds) == (X.shape, table.kinds)
    rows = FeatureEncoder(True, bins_per_column=8).fit(table, weight, list(X))
    summary = FeatureEncoder(True, bins_per_column=8).fit(whole, None, list(X))
    assert (summary.names, summary.categories, summary.n_bins) == (rows.names, rows.categories, rows.n_bins)
    # sums of weights are added in another order
    ours, theirs = (encoder.transform(table, np.dtype("f8")) for encoder in (summary, rows))
    np.testing.assert_allclose(ours.X, theirs.X, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(ours.codes, theirs.codes)
