"""Networks: the gradient of every activation under every loss, how they are built, and prediction."""

import numpy as np
import pytest
import scipy.sparse as sp

from skscratch.nn.activations import ACTIVATIONS
from skscratch.nn.batch import Table
from skscratch.nn.embedding import Embedding
from skscratch.nn.layers import Activation, Dense, Dropout
from skscratch.nn.network import build
from skscratch.training.objective import Objective
from skscratch.training.step import LocalStep
from tests.helpers.gradients import (
    LOSS_CASES,
    WEIGHTS,
    check_case,
    check_gradient,
    make_case,
    make_network,
    make_table,
    sine_cubed,
    sine_cubed_slope,
)

FUNCTIONS = {**{name: name for name in ACTIVATIONS}, "a pair": (sine_cubed, sine_cubed_slope)}


# ------------------------------------------------------------------------ gradients


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("case", LOSS_CASES)
def test_gradient_without_hidden_layers(case, weights, n_members):
    check_case(case, np.random.RandomState(0), (), "identity", weights, n_members)


@pytest.mark.parametrize("activation", FUNCTIONS)
@pytest.mark.parametrize("case", LOSS_CASES)
def test_gradient_with_hidden_layers(case, activation):
    """Every activation under every loss, each with one and two hidden layers, all weights and one and three members."""
    rng = np.random.RandomState(0)
    for hidden in ((4,), (4, 3)):
        for weights in WEIGHTS:
            for n_members in (1, 3):
                check_case(case, rng, hidden, FUNCTIONS[activation], weights, n_members)


def test_gradient_with_another_activation_in_each_layer():
    rng = np.random.RandomState(0)
    loss, n_out, targets = make_case("squared_error", rng)
    network = build(3, (), (4, 5, 3), n_out, ["tanh", (sine_cubed, sine_cubed_slope), "gelu"])

    parameters = rng.normal(0, 0.6, (2, network.layout.size))
    check_gradient(Objective(network, loss, make_table(rng), targets), parameters, rng)


def test_the_check_finds_a_wrong_gradient():
    """It detects a derivative that is a millionth too large, and one that is never written."""
    wrong = (np.sin, lambda x: np.cos(x) * (1 + 1e-6))
    with pytest.raises(AssertionError, match="relative error"):
        check_case("squared_error", np.random.RandomState(1), (4,), wrong)
    absent = (np.sin, lambda x: np.full_like(x, np.nan))
    with pytest.raises(AssertionError):
        check_case("squared_error", np.random.RandomState(0), (4,), absent)


@pytest.mark.parametrize("case", LOSS_CASES)
@pytest.mark.parametrize("activation", ["relu", "mish"])
def test_single_precision_gradient_is_close_to_double(case, activation):
    rng = np.random.RandomState(0)
    loss, n_out, targets = make_case(case, rng)
    table, (network, parameters) = make_table(rng), make_network(rng, (4, 3), activation, n_out, 2)
    weight = WEIGHTS["weights of members, with zeros"](rng, 7, 2)
    results = []
    for dtype in (np.float64, np.float32):
        p = parameters.astype(dtype)
        g = np.full_like(p, np.nan)
        typed = Table(table.X.astype(dtype)), type(targets)(targets.values.astype(dtype)), weight.astype(dtype)
        step = LocalStep(Objective(network, loss, *typed), p, g, 7)
        step.load(np.arange(7))
        value = step.loss_and_gradient()
        assert value.dtype == g.dtype == dtype
        results.append((value, g))
    for narrow, wide in zip(results[1], results[0], strict=True):
        # some hundred roundings of 6e-8 of numbers of order one
        np.testing.assert_allclose(narrow, wide, rtol=2e-5, atol=2e-5)


# ------------------------------------------------------------------------ building


def test_layers_are_in_order():
    network = build(3, (30,), (5, 4), 2, ["relu", "tanh"], dropout=0.1)
    kinds = [type(layer) for layer in network.layers]
    assert kinds == [Embedding, Dense, Activation, Dropout, Dense, Activation, Dropout, Dense]
    sizes = [(layer.n_in, layer.n_out) for layer in network.layers if isinstance(layer, Dense)]
    assert sizes == [(3 + 8, 5), (5, 4), (4, 2)]


def test_without_dropout_there_is_no_dropout_layer():
    assert not any(isinstance(layer, Dropout) for layer in build(3, (), (5,), 2, ["relu"]).layers)


def test_without_biases_there_are_only_weights():
    network = build(3, (), (5, 4), 2, ["relu", "tanh"], bias=False)
    assert network.layout.size == network.layout.n_decayed == 15 + 20 + 8


def test_each_hidden_layer_needs_a_function():
    with pytest.raises(ValueError, match="shorter"):
        build(3, (), (5, 4), 2, ["relu"])


# activation → initialiser and gain of the layer before it, by init="auto"
AUTO = {
    **dict.fromkeys(("relu", "leaky_relu", "elu", "gelu", "silu", "mish", "softplus"), ("he_uniform", 1.0)),
    **dict.fromkeys(("identity", "tanh"), ("glorot_uniform", 1.0)),
    "logistic": ("glorot_uniform", 3**-0.5),  # the bound (2 / (n_in + n_out))½ of scikit-learn
    "selu": ("lecun_normal", 1.0),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_automatic_initialiser(activation):
    first, _, last = build(3, (), (5,), 2, [activation]).layers
    assert (first.init, first.gain) == AUTO[activation]
    assert (last.init, last.gain) == ("glorot_uniform", 1.0)


def test_automatic_initialiser_of_a_pair():
    first = build(3, (), (5,), 2, [(sine_cubed, sine_cubed_slope)]).layers[0]
    assert (first.init, first.gain) == ("glorot_uniform", 1.0)


@pytest.mark.parametrize("init", ["he_normal", "glorot_uniform"])
def test_a_named_initialiser_is_used_in_every_layer(init):
    network = build(3, (), (5, 4), 2, ["relu", "relu"], init=init)
    assert {(layer.init, layer.gain) for layer in network.layers if isinstance(layer, Dense)} == {(init, 1.0)}


def test_scikit_learns_bound_for_the_logistic_function_is_in_every_layer():
    network = build(3, (), (5, 4), 2, ["logistic", "logistic"], init="glorot_uniform")
    assert {layer.gain for layer in network.layers if isinstance(layer, Dense)} == {3**-0.5}


def dense_layers(network):
    return [layer for layer in network.layers if isinstance(layer, Dense)]


@pytest.mark.parametrize("hidden", [(), (5, 4)])
def test_the_data_dependent_initialisation_is_zero_only_in_the_output(hidden):
    layers = dense_layers(build(3, (), hidden, 2, ["silu"] * len(hidden), init="data"))
    assert [(layer.init, layer.gain) for layer in layers] == [("lecun_normal", 1.0)] * len(hidden) + [("zeros", 1.0)]


@pytest.mark.parametrize("hidden", [(), (5, 4)])
def test_bins_are_an_input_group_of_the_first_layer(hidden):
    layers = dense_layers(build(9, (30,), hidden, 2, ["silu"] * len(hidden), n_bins=6))
    assert [layer.input_groups for layer in layers] == [
        (6, 3 + 8),
        *[()] * len(hidden),
    ]  # the vectors count with the numbers
    assert all(layer.input_groups == () for layer in dense_layers(build(9, (30,), hidden, 2, ["silu"] * len(hidden))))


def test_ntk_learning_rates_are_in_every_layer():
    network = build(20, (), (9, 4), 2, ["silu"] * 2, ntk=True, n_bins=16)
    rates = network.dense(network.layout.rates()[None])
    np.testing.assert_array_equal(rates[0].W[0, :, 0], np.repeat([0.25, 0.5], [16, 4]))
    np.testing.assert_allclose(rates[1].W, 1 / 3, rtol=1e-15)
    np.testing.assert_array_equal(rates[2].W, np.full((1, 4, 2), 0.5))
    assert all((layer.b == 1).all() for layer in rates)


def test_without_ntk_all_learning_rate_factors_are_one():
    assert build(20, (), (9, 4), 2, ["silu"] * 2, n_bins=16).layout.rates() is None


# ------------------------------------------------------------------------ the start from data

TABLES = {
    "dense": {},
    "ones": {"ones": True},
    "sparse": {"sparse": True, "offset": True},
    "codes": {"categories": (4, 2)},
}


def started(table, n_members=1, weight=None, seed=0, categories=(), hidden=(40, 30), **options):
    """A network of the start from data, its parameters, and the generator afterwards."""
    network = build(3, categories, hidden, 2, ["silu"] * len(hidden), init="data", **options)
    parameters, rng = np.full((n_members, network.layout.size), np.nan), np.random.RandomState(seed)
    network.initialise(parameters, rng, table, weight)
    return network, parameters, rng


def pre_activations(network, parameters, table):
    """Outputs (K, n, units) of each hidden layer's Dense, by running the layers one after the other."""
    x, found = table if table.codes is not None else table.as_batch().X if sp.issparse(table.X) else table.X[None], []
    for layer, p in zip(network.layers[:-1], network.layout.views(parameters), strict=False):
        x, _, forward, _ = layer.bind(p, None, x, None)
        forward.run()
        if isinstance(layer, Dense):
            found.append(x.copy())
    return found


@pytest.mark.parametrize("dropout", [0.0, 0.5])
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("options", TABLES.values(), ids=TABLES)
def test_every_hidden_unit_has_unit_variance_and_its_kink_within_the_rows(options, n_members, dropout):
    table = make_table(np.random.RandomState(0), 50, **options)
    weight = np.random.RandomState(1).uniform(0.1, 2, 50)
    categories = options.get("categories", ())
    network, parameters, _ = started(table, n_members, weight, categories=categories, dropout=dropout)
    layers = pre_activations(network, parameters, table)
    assert len(layers) == 2
    for y in layers:
        y = y - np.average(y, axis=1, weights=weight)[:, None]
        # in the second layer 40 units of all sizes are added up
        np.testing.assert_allclose(np.average(y**2, axis=1, weights=weight), 1, rtol=1e-10)
    for y in layers:
        assert (y.min(axis=1) < 0).all() and (y.max(axis=1) > 0).all()
    assert not network.scores(parameters, table).any()


def test_without_weights_all_rows_count_equally():
    table = make_table(np.random.RandomState(0), 50)
    np.testing.assert_array_equal(started(table)[1], started(table, weight=np.ones(50))[1])


def test_the_data_dependent_initialisation_does_not_depend_on_the_order_of_rows():
    table, order = make_table(np.random.RandomState(0), 50), np.random.RandomState(1).permutation(50)
    weight = np.random.RandomState(2).uniform(0.1, 2, 50)
    one, other = started(table, weight=weight)[1], started(Table(table.X[order]), weight=weight[order])[1]
    np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-12)  # sums of 50 rows and 40 units in another order


def test_the_data_dependent_initialisation_of_the_first_member_is_that_of_a_single_network():
    table = make_table(np.random.RandomState(0), 50)
    (_, single, _), (network, three, _) = started(table), started(table, 3)
    np.testing.assert_array_equal(three[0], single[0])
    first = network.dense(three)[0]
    assert (first.W[1] != first.W[0]).any() and (first.b[2] != first.b[1]).any()


def test_the_data_dependent_initialisation_leaves_the_table_unchanged():
    table = make_table(np.random.RandomState(0), 50, ones=True)
    before = table.X.copy()
    started(table)
    np.testing.assert_array_equal(table.X, before)


def test_a_network_without_hidden_layers_starts_at_zero():
    table = make_table(np.random.RandomState(0), 50)
    _, parameters, rng = started(table, 2, hidden=())
    assert not parameters.any()
    assert rng.uniform() == np.random.RandomState(0).uniform()


# ------------------------------------------------------------------------ given weights

GIVEN = [np.arange(6.0).reshape(3, 2), np.full((2, 1), 7.0)], [np.array([8.0, 9]), np.array([10.0])]


def test_given_weights_are_those_of_every_member():
    network = build(3, (), (2,), 1, ["silu"])
    parameters = np.full((3, network.layout.size), np.nan)
    network.assign(parameters, *GIVEN)
    for layer, W, b in zip(network.dense(parameters), *GIVEN, strict=True):
        np.testing.assert_array_equal(layer.W, [W] * 3)
        np.testing.assert_array_equal(layer.b[:, 0], [b] * 3)


def test_each_member_may_be_given_its_own_weights():
    network = build(3, (), (2,), 1, ["silu"])
    parameters = np.full((2, network.layout.size), np.nan)
    network.assign(parameters, *([np.stack([array, -array]) for array in arrays] for arrays in GIVEN))
    np.testing.assert_array_equal(parameters[1], -parameters[0])
    np.testing.assert_array_equal(network.dense(parameters)[0].W[0], GIVEN[0][0])


def test_without_biases_given_ones_are_ignored():
    network = build(3, (), (2,), 1, ["silu"], bias=False)
    parameters = np.full((1, network.layout.size), np.nan)
    network.assign(parameters, GIVEN[0], [])
    np.testing.assert_array_equal(network.dense(parameters)[1].W[0], GIVEN[0][1])


@pytest.mark.parametrize(
    ("coefs", "intercepts", "message"),
    [
        (GIVEN[0][:1], GIVEN[1], "gives 1 coefs for the 2 layers"),
        (GIVEN[0], [*GIVEN[1], [0]], "gives 3 intercepts for the 2 layers"),
        ([GIVEN[0][0].T, GIVEN[0][1]], GIVEN[1], r"coefs\[0\] the shape \(2, 3\); it must be \(3, 2\), or \(4, 3, 2\)"),
        (GIVEN[0], [[8, 9], [1, 2]], r"intercepts\[1\] the shape \(2,\); it must be \(1,\), or \(4, 1\)"),
        ([[["a"] * 2] * 3, GIVEN[0][1]], GIVEN[1], r"coefs\[0\], which must be an array of numbers"),
        (GIVEN[0], [[8, np.nan], [1]], r"intercepts\[0\], which holds NaN"),
    ],
)
def test_weights_that_do_not_fit_are_named(coefs, intercepts, message):
    network = build(3, (), (2,), 1, ["silu"])
    with pytest.raises(ValueError, match=message):
        network.assign(np.zeros((4, network.layout.size)), coefs, intercepts)


# ------------------------------------------------------------------------ members and prediction


def test_the_initialisation_of_the_first_member_is_that_of_a_single_network():
    network = build(3, (4,), (5,), 2, ["relu"])
    single, three = np.zeros((1, network.layout.size)), np.zeros((3, network.layout.size))
    network.initialise(single, np.random.RandomState(0))
    network.initialise(three, np.random.RandomState(0))
    np.testing.assert_array_equal(three[0], single[0])
    assert (three[1] != three[0]).any() and (three[2] != three[1]).any()


def plain_scores(network, parameters, table):
    """(K, n, out) by plain matrix products, of a network with tanh in its hidden layers."""
    rows = table.X.toarray() if sp.issparse(table.X) else table.X
    if table.offset is not None:
        rows = rows + table.offset
    z = []
    for member in parameters:
        layers = network.dense(member[None])
        x = (
            table.X.toarray() + (0 if table.offset is None else table.offset)
            if hasattr(table.X, "toarray")
            else table.X
        )
        for i, layer in enumerate(layers):
            x = x @ layer.W[0] + layer.b[0]
            x = np.tanh(x) if i < len(layers) - 1 else x
        z.append(x)
    return np.array(z)


@pytest.mark.parametrize("options", [{}, {"sparse": True}, {"sparse": True, "offset": True}], ids=str)
@pytest.mark.parametrize("chunk", [4, 11, 100])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_scores_equal_plain_matrix_products(options, chunk, dropout):
    rng = np.random.RandomState(0)
    table = make_table(rng, 11, **options)
    network, parameters = make_network(rng, (5, 4), "tanh", 2, 3, dropout=dropout)
    found = network.scores(parameters, table, chunk=chunk)
    assert found.shape == (3, 11, 2)
    np.testing.assert_allclose(found, plain_scores(network, parameters, table), rtol=1e-12, atol=1e-13)


def test_scores_with_an_embedding_do_not_depend_on_the_chunk():
    rng = np.random.RandomState(0)
    table = make_table(rng, 11, categories=(4, 2))
    network, parameters = make_network(rng, (5,), "tanh", 2, 3, categories=(4, 2))
    whole = network.scores(parameters, table)
    for chunk in (1, 4, 11):
        np.testing.assert_allclose(network.scores(parameters, table, chunk=chunk), whole, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("chunk", [1, 3, 100])
@pytest.mark.parametrize("options", TABLES.values(), ids=TABLES)
def test_scores_of_some_rows_are_in_their_order(options, chunk):
    rng = np.random.RandomState(0)
    table, categories = make_table(rng, 11, **options), options.get("categories", ())
    network, parameters = make_network(rng, (5, 4), "tanh", 2, 3, categories=categories)
    rows = np.array([7, 0, 0, 10, 3])
    found = network.scores(parameters, table, rows, chunk)
    np.testing.assert_allclose(found, network.scores(parameters, table)[:, rows], rtol=1e-12, atol=1e-13)


def test_scores_of_no_rows():
    network, parameters = make_network(np.random.RandomState(0), (5,), "tanh", 2, 3)
    assert network.scores(parameters, Table(np.empty((0, 3)))).shape == (3, 0, 2)
    assert network.scores(parameters, Table(np.ones((4, 3))), np.empty(0, int)).shape == (3, 0, 2)


def test_scores_are_a_new_array():
    """A second call must not write to what the first one gave."""
    rng = np.random.RandomState(0)
    table, (network, parameters) = make_table(rng, 11), make_network(rng, (), "tanh", 2, 2)
    for rows in (None, np.arange(11)):
        first = network.scores(parameters, table, rows)
        kept = first.copy()
        network.scores(-parameters, table, rows)
        np.testing.assert_array_equal(first, kept)


def test_prediction_leaves_table_and_parameters_unchanged():
    rng = np.random.RandomState(0)
    table = make_table(rng, 11)
    network, parameters = make_network(rng, (), "tanh", 2)
    kept = table.X.copy(), parameters.copy()
    network.scores(parameters, table)
    np.testing.assert_array_equal(table.X, kept[0])
    np.testing.assert_array_equal(parameters, kept[1])


def test_two_bound_networks_do_not_disturb_each_other():
    rng = np.random.RandomState(0)
    first, second = make_table(rng), make_table(rng)
    network, parameters = make_network(rng, (4,), "gelu", 2, 2)
    one, other = network.bind(parameters, None, first), network.bind(parameters, None, second)
    one.forward.run()
    expected = one.z.copy()
    other.forward.run()
    np.testing.assert_array_equal(one.z, expected)
    assert (one.z != other.z).all()


def test_each_member_has_its_own_gradient():
    """Three members together have the gradients of three single networks, each with its own weights of the rows."""
    rng = np.random.RandomState(0)
    loss, n_out, targets = make_case("log_loss softmax", rng)
    table, (network, parameters) = make_table(rng), make_network(rng, (4,), "elu", n_out, 3)
    weight = WEIGHTS["weights of members, with zeros"](rng, 7, 3)

    def run(p, w):
        gradient = np.full_like(p, np.nan)
        step = LocalStep(Objective(network, loss, table, targets, w), p, gradient, 7)
        step.load(np.arange(7))
        return step.loss_and_gradient().copy(), gradient

    values, gradients = run(parameters, weight)
    for k in range(3):
        value, gradient = run(parameters[k : k + 1], weight[k : k + 1])
        np.testing.assert_allclose(values[k], value[0], rtol=1e-13)
        np.testing.assert_allclose(gradients[k], gradient[0], rtol=1e-12, atol=1e-14)


def test_a_batch_without_weight_has_no_gradient():
    rng = np.random.RandomState(0)
    loss, n_out, targets = make_case("squared_error", rng)
    network, parameters = make_network(rng, (4,), "tanh", n_out)
    gradient = np.full_like(parameters, np.nan)
    objective = Objective(network, loss, make_table(rng), targets, np.zeros((1, 7)))
    step = LocalStep(objective, parameters, gradient, 7)
    step.load(np.arange(7))
    assert step.loss_and_gradient() == 0
    np.testing.assert_array_equal(gradient, 0)
