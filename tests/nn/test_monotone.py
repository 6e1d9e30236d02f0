"""Networks whose raw scores never fall as an input rises, or never rise."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skscratch.nn.activations import ACTIVATIONS, CustomActivation
from skscratch.nn.batch import Table
from skscratch.nn.initializers import INITIALIZERS
from skscratch.nn.layers import Activation, Dense
from skscratch.nn.monotone import SUBSTITUTE, never_falling, sign_bounds, unit_directions
from skscratch.nn.network import build


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_which_activations_fall(name):
    function = ACTIVATIONS[name]
    x = np.linspace(-30, 30, 6001)
    forward, _ = function.bind(x)
    forward.run()
    steps = np.diff(x)
    # 1e-15: the rounding of values up to 30 where a function is flat; SiLU, GELU and Mish fall by 1e-4 a step and more
    assert (steps.min() < -1e-5) if function.falls else (steps.min() >= -1e-14)


def test_a_function_that_falls_is_replaced_and_one_of_the_user_is_refused():
    assert never_falling(ACTIVATIONS["tanh"]).name == "tanh"
    assert never_falling(ACTIVATIONS["silu"]).name == SUBSTITUTE
    assert not ACTIVATIONS[SUBSTITUTE].falls
    with pytest.raises(ValueError, match="needs activations by name"):
        never_falling(CustomActivation(np.sin, np.cos))


def test_directions_of_units():
    assert unit_directions(4, (0, 0)) == ()
    assert unit_directions(4, (1, 0)) == (0, 0, 1, -1)
    assert unit_directions(1, (1, 0)) == (1,)
    assert unit_directions(4, (-1, 1)) == (1, -1, 1, -1)  # no input is free, so that a free unit would be constant


def test_bounds_of_weights():
    low, high = sign_bounds((1, -1, 0), (0, 1, -1))
    free = [-np.inf, -np.inf, -np.inf]
    np.testing.assert_array_equal(low, [[0, 0, -np.inf], [0, -np.inf, 0], free])
    np.testing.assert_array_equal(high, [[0, np.inf, 0], [0, 0, np.inf], np.abs(free)])


def test_a_network_without_constraints_has_no_bounds():
    network = build(3, (4,), (5, 4), 2, ["silu"] * 2, directions=(0, 0, 0))
    assert network.layout.bounds() is None
    assert network.layers == build(3, (4,), (5, 4), 2, ["silu"] * 2).layers
    parameters = np.full((1, network.layout.size), -1.0)
    network.layout.project(parameters)
    assert np.all(parameters == -1)


def test_biases_and_embeddings_are_free():
    network = build(2, (30,), (6,), 1, ["relu"], directions=(1, -1))
    parameters = np.full((2, network.layout.size), -1.0)
    network.layout.project(parameters)
    embedding, first, _, last = network.layout.views(parameters)
    assert np.all(embedding.E == -1) and np.all(first.b == -1) and np.all(last.b == -1)
    # three free units, which do not see the first two inputs, then units that rise, fall and rise
    np.testing.assert_array_equal(first.W[0, :3], [[0, 0, 0, 0, -1, 0], [0, 0, 0, -1, 0, -1], [-1] * 6])
    np.testing.assert_array_equal(last.W[0, :, 0], [-1, -1, -1, 0, -1, 0])


@pytest.mark.parametrize("init", [*INITIALIZERS, "auto", "data"])
def test_initial_weights_are_within_bounds_and_use_all_signed_weights(init):
    rng = np.random.RandomState(0)
    network = build(5, (), (8, 6), 2, ["silu"] * 2, init=init, n_bins=3, directions=(1, 1, -1, 0, -1))
    parameters = np.zeros((2, network.layout.size))
    network.initialise(parameters, rng, Table(rng.normal(size=(40, 5))) if init == "data" else None)
    projected = parameters.copy()
    network.layout.project(projected)
    np.testing.assert_array_equal(projected, parameters)
    for layer, p in zip(network.layers, network.layout.views(parameters), strict=True):
        if isinstance(layer, Dense) and not (init == "data" and p.W.shape[-1] == 2):  # there the output starts at zero
            low, high = sign_bounds(*layer.directions)
            assert np.all(p.W[:, (low < 0) | (high > 0)] != 0)


def test_the_functions_are_monotone_ones():
    network = build(2, (), (4, 4, 4), 1, ["silu", "tanh", "mish"], directions=(1, 0))
    names = [layer.function.name for layer in network.layers if isinstance(layer, Activation)]
    assert names == [SUBSTITUTE, "tanh", SUBSTITUTE]


@settings(max_examples=60, deadline=None)
@given(
    directions=st.lists(st.sampled_from([-1, 0, 1]), min_size=1, max_size=5).filter(any),
    hidden=st.lists(st.integers(1, 7), max_size=3),
    n_out=st.integers(1, 3),
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    bias=st.booleans(),
    ones=st.booleans(),
    scale=st.sampled_from([0.1, 1.0, 30.0]),
    dtype=st.sampled_from([np.float32, np.float64]),
    n_rows=st.integers(2, 300),
    seed=st.integers(0, 10**6),
)
def test_any_weights_within_bounds_are_monotone(
    directions, hidden, n_out, activation, bias, ones, scale, dtype, n_rows, seed
):
    rng = np.random.default_rng(seed)
    d = len(directions)
    network = build(d, (7,), hidden, n_out, [activation] * len(hidden), bias=bias, directions=directions)
    parameters = rng.normal(scale=scale, size=(2, network.layout.size)).astype(dtype)
    network.layout.project(parameters)
    for column in np.flatnonzero(directions):
        X = np.repeat(rng.normal(size=(1, d)), n_rows, axis=0)
        X[:, column] = np.sort(rng.normal(scale=10.0 ** rng.integers(-3, 4), size=n_rows))
        X = np.column_stack([X, np.ones(n_rows)]) if ones else X
        codes = np.full((n_rows, 1), rng.integers(8), np.int32)
        z = network.scores(parameters, Table(X.astype(dtype), codes, ones=ones))
        falls = -np.diff(z, axis=1).min(initial=0) if directions[column] > 0 else np.diff(z, axis=1).max(initial=0)
        # rounding alone: the few terms of each sum, in two or three layers, in units of the terms
        sizes = [np.abs(p.W).sum(axis=1).max() for p in network.dense(parameters)]
        largest = np.abs(X).max() * np.prod(np.maximum(sizes, 1)) + np.abs(z).max()
        assert falls <= 32 * np.finfo(dtype).eps * largest
