"""Summaries add up: parts summarised and merged say what the whole table says, exactly where there is room for all."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skscratch.encoding.columns import read
from skscratch.encoding.features import FeatureEncoder
from skscratch.encoding.quantiles import weighted_quantiles
from skscratch.encoding.sketches import merged, summarise

rng = np.random.RandomState(0)
LEVELS = np.linspace(0, 1, 21)


def parts_of(X, weight, size, cuts):
    edges = [0, *sorted(cuts), X.shape[0]]
    spans = [slice(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    return [summarise(X[s], None if weight is None else weight[s], size) for s in spans]


@settings(max_examples=60, deadline=None)
@given(
    arrays(
        np.float64, st.tuples(st.integers(1, 60), st.just(2)), elements=st.sampled_from([-3.0, 0, 0.5, 1, 7, np.nan])
    ),
    st.data(),
)
def test_parts_with_room_for_all_values_are_the_whole_table(X, data):
    n = len(X)
    weight = data.draw(st.none() | arrays(np.float64, n, elements=st.sampled_from([0.0, 1.0, 2.5])))
    cuts = data.draw(st.lists(st.integers(0, n), max_size=4))
    whole = merged(parts_of(X, weight, 100, cuts), 100)
    assert whole.shape == X.shape and whole.categorical is None
    for j in range(2):
        x, w = X[:, j], np.ones(n) if weight is None else weight
        points, mass = whole.points[j], whole.weights[j]
        np.testing.assert_array_equal(points, np.unique(x[w > 0]))
        np.testing.assert_allclose(mass.sum(), w.sum())
        there = ~np.isnan(x) & (w > 0)
        if there.any():
            known = ~np.isnan(points)
            np.testing.assert_array_equal(
                weighted_quantiles(points[known], mass[known], LEVELS), weighted_quantiles(x[there], w[there], LEVELS)
            )


@pytest.mark.parametrize("values", ["normal", "ties", "heavy", "constant"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_parts", [1, 7])
def test_a_quantile_is_off_by_no_more_than_the_distance_of_the_points(values, weighted, n_parts):
    n, size = 20_000, 256
    x = {
        "normal": rng.normal(size=n),
        "ties": rng.poisson(300, n).astype(float),
        "heavy": rng.standard_cauchy(n),
        "constant": np.full(n, 3.0),
    }[values]
    weight = rng.exponential(size=n) if weighted else np.ones(n)
    cuts = np.linspace(0, n, n_parts + 1).astype(int)[1:-1]
    whole = merged(parts_of(x[:, None], weight, size, cuts), size)
    points, mass = whole.points[0], whole.weights[0]
    assert len(points) <= size
    assert (points[0], points[-1]) == (x.min(), x.max())
    np.testing.assert_allclose(mass.sum(), weight.sum())
    # rank of each quantile among all rows; parts and their merging each round by a distance
    order = np.argsort(x)
    for level, found in zip(LEVELS, weighted_quantiles(points, mass, LEVELS), strict=True):
        below, upto = (weight[order][: np.searchsorted(x[order], found, side)].sum() for side in ("left", "right"))
        assert below / weight.sum() - 2.5 / size <= level <= upto / weight.sum() + 2.5 / size


def test_missing_values_keep_their_weight_when_points_are_few():
    x = np.where(rng.uniform(size=1000) < 0.3, np.nan, rng.normal(size=1000))
    whole = merged(parts_of(x[:, None], None, 50, [400]), 50)
    assert np.isnan(whole.points[0][-1]) and not np.isnan(whole.points[0][:-1]).any()
    assert whole.weights[0][-1] == np.isnan(x).sum()
    np.testing.assert_allclose(whole.weights[0].sum(), 1000)


def test_an_encoder_learns_the_same_from_a_summary_as_from_the_rows():
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
    whole = merged(parts_of(table, weight, 1000, [10, 11, 200]), 1000)
    assert (whole.shape, whole.categorical) == (X.shape, table.categorical)
    rows = FeatureEncoder(True, bins_per_column=8).fit(table, weight, list(X))
    summary = FeatureEncoder(True, bins_per_column=8).fit(whole, None, list(X))
    assert (summary.names, summary.categories, summary.n_bins) == (rows.names, rows.categories, rows.n_bins)
    # sums of weights are added in another order
    ours, theirs = (encoder.transform(table, np.dtype("f8")) for encoder in (summary, rows))
    np.testing.assert_allclose(ours.X, theirs.X, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(ours.codes, theirs.codes)
