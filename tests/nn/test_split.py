"""A network cut behind its first Dense layer: contributions add up, and both parts together are the network."""

import numpy as np
import pytest
import scipy.sparse as sp

from skscratch.nn.batch import Table
from skscratch.nn.network import build
from skscratch.nn.split import SplitNetwork

RNG = np.random.RandomState(0)
K, N = 3, 20


def split_and_table(hidden=(7, 5), bias=True, ones=True, embedded=True, sparse=False):
    """Return a network of 6 encoded columns (and two embeddings) of 4 (6) raw columns, and rows for it."""
    network = build(6, (60, 70) if embedded else (), hidden, 2, ["silu"] * len(hidden), bias=bias)
    parameters = RNG.normal(size=(K, network.layout.size))
    sources = np.array([2, 2, 0, 1, 2, 3, *([5, 4] if embedded else [])])
    X = RNG.normal(size=(N, 6))
    codes = np.column_stack([RNG.randint(0, 61, N), RNG.randint(0, 71, N)]).astype(np.int32) if embedded else None
    if sparse:
        X[RNG.uniform(size=X.shape) < 0.7] = 0
        table = Table(sp.csr_matrix(X), None, RNG.normal(size=(1, 6)))
    else:
        table = Table(np.column_stack([X, np.ones(N)]) if ones else X, codes, ones=ones)
    return SplitNetwork(network, parameters, sources), table


CASES = [
    {},
    {"embedded": False},
    {"bias": False, "ones": False},
    {"hidden": ()},
    {"embedded": False, "ones": False},
]


@pytest.mark.parametrize("case", [*CASES, {"embedded": False, "sparse": True}], ids=str)
def test_both_parts_together_are_the_network(case):
    split, table = split_and_table(**case)
    expected = split.network.scores(split.parameters, table)
    _, h = split.first_layer(table)
    bound = split.bind_rest(h.copy())
    bound.forward.run()
    np.testing.assert_allclose(bound.z, expected, rtol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_contributions_add_up_to_the_output_of_the_first_layer(case):
    split, table = split_and_table(**case)
    x, h = split.first_layer(table)
    by_column = dict(split.contributions(x))
    assert sorted(by_column) == sorted(set(split.sources.tolist()))
    bias = split.network.dense(split.parameters)[0].b if case.get("bias", True) else 0
    np.testing.assert_allclose(sum(by_column.values()) + bias, h, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_gradient_behind_the_first_layer_is_that_of_finite_differences(case):
    split, table = split_and_table(**case)
    _, h = split.first_layer(table)
    buffer, dh = h.copy(), np.zeros_like(h)
    bound = split.bind_rest(buffer, dh)
    bound.forward.run()
    bound.dz[...] = [1, -2]
    bound.backward.run()

    def weighted(h):
        bound = split.bind_rest(h.copy())
        bound.forward.run()
        return bound.z @ [1, -2]

    step = RNG.normal(size=h.shape)
    numeric = (weighted(h + 1e-5 * step) - weighted(h - 1e-5 * step)) / 2e-5
    # the error of a central difference is about (1e-5)² times a third derivative, and rounding / 1e-5
    np.testing.assert_allclose((dh * step).sum(axis=-1), numeric, rtol=1e-6, atol=1e-6)


def test_sparse_changes_are_the_differences_by_raw_column():
    split, table = split_and_table(embedded=False, sparse=True)
    x, h = split.first_layer(table)
    others = np.roll(np.arange(N), 3)
    row, column, change = split.sparse_changes(x, others)
    dense, seen = table.X.toarray(), set()
    for i, j, moved in zip(row, column, change.toarray(), strict=True):
        expected = np.where(split.sources == j, dense[others[i]] - dense[i], 0)
        np.testing.assert_array_equal(moved, expected)
        seen.add((i, j))
    assert len(seen) == len(row)
    differs = {(i, split.sources[c]) for i, c in zip(*np.nonzero(dense[others] != dense), strict=True)}
    assert seen == differs
