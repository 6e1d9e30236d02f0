"""Building a model: encoding and network for a table, initial parameters, and following a stream."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from skscratch import ScratchMLPRegressor
from skscratch.encoding.check_input import Rows
from skscratch.encoding.numeric_targets import NumericTargets
from skscratch.estimators.build import (
    SAMPLE_ROWS,
    LocalBackend,
    build_model,
    build_network,
    build_parameters,
    follow_stream,
    initial_parameters,
)
from skscratch.nn.losses import make_loss
from skscratch.training.state import TrainingState
from tests.helpers.estimators import FRAME, X, Y, make
from tests.helpers.plain import plain


def checked_rows(model, table, y, weight=None):
    """Return training rows as `fit` checks them, with their targets and loss."""
    data = LocalBackend().check_table(model, table, None, True)
    targets, loss = NumericTargets(1, model.scale_target), make_loss(model.loss, None)
    return Rows(table, y, data, targets.values(y, loss), weight), targets, loss


def built(model, table, y, incremental=False):
    rows, targets, loss = checked_rows(model, table, y)
    return rows, build_model(model, LocalBackend(), rows, targets, loss, incremental)


def drawn(model, table, y, seed=0):
    rows, inner = built(model, table, y)
    backend, rng = LocalBackend(), np.random.RandomState(seed)
    objective = backend.objective(inner, rows, inner.dtype)
    return inner, initial_parameters(model, backend, inner, objective, rows, inner.dtype, rng)


def test_a_model_has_encoder_network_and_parameters_of_zero():
    model = plain(ScratchMLPRegressor, hidden_layer_sizes=(5, 4), n_members=3, dtype="float32")
    _, inner = built(model, FRAME, Y["regressor"])
    assert inner.input_names == ["a", "b", "c=u", "c=v"]
    assert inner.parameters.shape == (3, inner.network.layout.size) and inner.dtype == np.float32
    assert not inner.parameters.any() and inner.temperature == 1
    assert [layer.W.shape for layer in inner.network.dense(inner.parameters)] == [(3, 4, 5), (3, 5, 4), (3, 4, 1)]


def test_columns_without_names_are_numbered():
    _, inner = built(plain(ScratchMLPRegressor), X, Y["regressor"])
    assert inner.input_names == ["x0", "x1", "x2"]


@pytest.mark.parametrize(("n_rows", "n_bins", "expected"), [(400, 4, 2), (400, "auto", 11), (40, "auto", 0)])
def test_bins_are_given_or_automatic(n_rows, n_bins, expected):
    table = np.random.RandomState(0).normal(size=(n_rows, 3))
    model = plain(ScratchMLPRegressor, numeric_embedding="bins", n_bins=n_bins)
    _, inner = built(model, table, table[:, 0])  # no value occurs twice, so that half of the bins coincide
    assert sum(name.startswith("x0 from") for name in inner.input_names) == expected


def test_a_stream_has_the_categories_that_a_column_declares():
    frame = pd.DataFrame({"a": X[:, 0], "c": pd.Categorical(["u"] * 40, categories=["u", "v"])})
    for incremental in (False, True):
        _, inner = built(plain(ScratchMLPRegressor), frame, Y["regressor"], incremental)
        assert ("c=v" in inner.input_names) == incremental


def test_build_parameters_are_copies():
    sizes = [3, 2]
    model = plain(ScratchMLPRegressor, hidden_layer_sizes=sizes)
    parameters = build_parameters(model)
    assert parameters["hidden_layer_sizes"] == sizes and parameters["hidden_layer_sizes"] is not sizes
    assert {"loss", "quantile", "n_members", "activation"} <= set(parameters) and "alpha" not in parameters


@pytest.mark.parametrize("activation", ["tanh", ["tanh", "tanh"], [(np.tanh, lambda x: 1 - np.tanh(x) ** 2)] * 2])
def test_one_activation_stands_for_all_layers(activation):
    model = plain(ScratchMLPRegressor, hidden_layer_sizes=(5, 4), activation=activation)
    _, inner = built(model, X, Y["regressor"])
    same = build_network(model, inner.encoder, 1)
    assert same.layout.size == inner.network.layout.size == 3 * 5 + 5 + 5 * 4 + 4 + 4 + 1
    parameters = np.random.RandomState(0).normal(size=(1, same.layout.size))
    (W1, b1), (W2, b2), (W3, b3) = ((layer.W[0], layer.b[0]) for layer in same.dense(parameters))
    inner = dataclasses.replace(inner, network=same, parameters=parameters)
    z = inner.raw_scores(X)
    scaled = inner.encode(X).X[:, :3]
    np.testing.assert_allclose(z, np.tanh(np.tanh(scaled @ W1 + b1) @ W2 + b2) @ W3 + b3, rtol=1e-10, atol=1e-12)


# ------------------------------------------------------------------------------ initial parameters


@pytest.mark.parametrize("init", ["auto", "data", "he_normal"])
def test_the_seed_determines_the_initial_parameters(init):
    model = plain(ScratchMLPRegressor, init=init, n_members=2)
    draws = [drawn(model, X, Y["regressor"], seed)[1] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[0], draws[2])
    assert not np.array_equal(draws[0][0], draws[0][1])  # members differ


def test_the_sample_of_the_data_dependent_initialisation_is_limited():
    seen = []

    class Backend(LocalBackend):
        def sample(self, model, objective, rows, chosen, dtype):
            seen.append(chosen)
            return super().sample(model, objective, rows, chosen, dtype)

    model = plain(ScratchMLPRegressor, init="data", hidden_layer_sizes=(5,))
    for n in (SAMPLE_ROWS, SAMPLE_ROWS + 50):
        table = np.random.RandomState(0).normal(size=(n, 3))
        rows, inner = built(model, table, table[:, 0])
        objective = Backend().objective(inner, rows, inner.dtype)
        initial_parameters(model, Backend(), inner, objective, rows, inner.dtype, np.random.RandomState(0))
    assert seen[0].tolist() == list(range(SAMPLE_ROWS))
    assert len(seen[1]) == len(set(seen[1].tolist())) == SAMPLE_ROWS and seen[1].max() >= SAMPLE_ROWS


def test_given_weights_replace_those_that_are_drawn():
    init = ([np.full((3, 4), 2.0), np.full((4, 1), 3.0)], [np.full(4, 4.0), np.full(1, 5.0)])
    inner, parameters = drawn(make("regressor", init=init), X, Y["regressor"])
    for layer, W, b in zip(inner.network.dense(parameters), *init, strict=True):
        np.testing.assert_array_equal(layer.W[0], W)
        np.testing.assert_array_equal(layer.b[0, 0], b)


# --------------------------------------------------------------------------------- stream


def test_a_stream_refits_the_scaling_and_keeps_the_predictions():
    rng = np.random.RandomState(0)
    model = plain(ScratchMLPRegressor, hidden_layer_sizes=(5,), dtype="float64")
    first, later = rng.normal(size=(50, 3)), 1 + 1.5 * rng.normal(size=(200, 3))
    rows, inner = built(model, first, first[:, 0], incremental=True)
    inner = dataclasses.replace(inner, parameters=rng.normal(size=inner.parameters.shape))
    state = TrainingState(inner.parameters.copy(), None, rng)
    same = follow_stream(inner, state, rows)
    assert same.encoder is inner.encoder and state.stream is not None
    more = Rows(later, later[:, 0], later, inner.targets.values(later[:, 0], inner.loss), None)
    new = follow_stream(same, state, more)
    assert new.encoder is not inner.encoder and new.targets is not inner.targets
    new = dataclasses.replace(new, parameters=state.parameters)

    def predictions(network):
        return network.targets.decode(network.loss.link.apply(network.raw_scores(np.r_[first, later])), False)

    # the weights adapt to the new scaling, but not to its smooth clipping of large values
    before, after = predictions(inner), predictions(new)
    assert np.corrcoef(before[:, 0], after[:, 0])[0, 1] > 0.99
    assert np.abs(new.encode(later).X[:, :3].mean(axis=0)).max() < 0.3 < inner.encode(later).X[:, :3].mean()


def test_a_chunk_of_another_form_is_left_out_of_the_sample():
    model = plain(ScratchMLPRegressor, scale_features=False, scale_target=False)
    rows, inner = built(model, X, Y["regressor"], incremental=True)
    state = TrainingState(inner.parameters.copy(), None, np.random.RandomState(0))
    assert follow_stream(inner, state, rows) is inner  # nothing to learn from the stream
    assert state.stream is None
