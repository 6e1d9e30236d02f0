"""Layers: outputs, gradients, initial parameters, and the data-dependent initialisation."""

import numpy as np
import pytest
import scipy.sparse as sp

from skscratch.nn.activations import ACTIVATIONS
from skscratch.nn.batch import SideBySide, SparseRows
from skscratch.nn.initializers import INITIALIZERS, initialise_from_data
from skscratch.nn.layers import Activation, Dense, Dropout
from skscratch.nn.parameters import Layout
from tests.helpers.gradients import check_case

RNG = np.random.RandomState


def bound(layer, x, n_members=2, seed=0, with_dx=True, **options):
    """Parameters, gradient (of NaN) and the bound layer, with a place for dx."""
    layout = Layout([layer.slots()])
    (p,) = layout.views(RNG(seed).normal(size=(n_members, layout.size)))
    (g,) = layout.views(np.full((n_members, layout.size), np.nan))
    without = isinstance(x, SparseRows) or not with_dx
    dx = None if without else np.full((n_members, *x.shape[1:]), np.nan)
    return p, g, dx, *layer.bind(p, g, x, dx, **options)


# ------------------------------------------------------------------------ Dense


@pytest.mark.parametrize("n_inputs", [1, 2], ids=["one input for all members", "an input for each"])
@pytest.mark.parametrize("bias", [True, False])
def test_dense_forward_and_backward(n_inputs, bias):
    x = RNG(1).normal(size=(n_inputs, 5, 3))
    p, g, dx, y, dy, forward, backward = bound(Dense(3, 4, bias), x)
    forward.run()
    b = p.b if bias else np.zeros((2, 1, 4))
    dy[...] = RNG(2).normal(size=dy.shape)
    backward.run()
    for k in range(2):
        xk = x[k % n_inputs]
        # sums of 3 to 5 terms, in an order of BLAS's choosing
        np.testing.assert_allclose(y[k], xk @ p.W[k] + b[k], rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(g.W[k], xk.T @ dy[k], rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(dx[k], dy[k] @ p.W[k].T, rtol=1e-13, atol=1e-14)
        if bias:
            np.testing.assert_allclose(g.b[k, 0], dy[k].sum(axis=0), rtol=1e-13, atol=1e-14)
    assert hasattr(g, "b") is bias


def test_the_bias_is_the_weight_of_a_column_of_ones():
    """[x, 1] [W; b] = x W + b, and so are the gradients; a table needs none itself."""
    x, layer = RNG(1).normal(size=(2, 5, 3)), Dense(3, 4)
    _, g, _, y, dy, forward, backward = bound(layer, x, with_dx=False)
    _, g1, _, y1, dy1, forward1, backward1 = bound(layer, np.dstack([x, np.ones((2, 5, 1))]), with_dx=False)
    assert len(forward1) == len(forward) - 1 and len(backward1) == len(backward) - 1
    forward.run(), forward1.run()
    dy[...] = dy1[...] = RNG(2).normal(size=dy.shape)
    backward.run(), backward1.run()
    for one, other in ((y, y1), (g.W, g1.W), (g.b, g1.b)):
        np.testing.assert_allclose(other, one, rtol=1e-13, atol=1e-14)  # the same terms, added in another order


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("ones", [True, False])
@pytest.mark.parametrize("n_shared", [0, 2])
def test_inputs_side_by_side_give_what_they_give_joined(n_shared, ones, bias):
    shared, own = RNG(1).normal(size=(1, 5, n_shared)), RNG(3).normal(size=(2, 5, 3))
    layer = Dense(n_shared + 3, 4, bias)
    x = SideBySide(shared, np.dstack([own, np.ones((2, 5, 1))]) if ones else own)
    assert x.joined().shape == (2, 5, n_shared + 3 + ones)
    _, g, dx, y, dy, forward, backward = bound(layer, SideBySide(shared, own).joined())
    p1, g1, *_ = bound(layer, SideBySide(shared, own).joined())
    dx1 = np.empty_like(own)
    y1, dy1, forward1, backward1 = layer.bind(p1, g1, x, dx1)
    forward.run(), forward1.run()
    dy[...] = dy1[...] = RNG(2).normal(size=dy.shape)
    backward.run(), backward1.run()
    pairs = [(y, y1), (g.W, g1.W), (dx[..., n_shared:], dx1), *([(g.b, g1.b)] if bias else [])]
    for one, other in pairs:
        np.testing.assert_allclose(other, one, rtol=1e-13, atol=1e-14)  # the same terms, added in another order


def test_without_a_bias_a_column_of_ones_is_left_out():
    x = RNG(1).normal(size=(1, 5, 3))
    *_, y, _, forward, _ = bound(Dense(3, 4, bias=False), np.dstack([x, np.ones((1, 5, 1))]), with_dx=False)
    p = bound(Dense(3, 4, bias=False), x)[0]
    forward.run()
    np.testing.assert_allclose(y, x @ p.W, rtol=1e-13, atol=1e-14)


def test_only_the_weights_of_dense_are_decayed():
    assert [(slot.name, slot.shape, slot.decay) for slot in Dense(3, 4).slots()] == [
        ("W", (3, 4), True),
        ("b", (1, 4), False),
    ]
    assert [slot.name for slot in Dense(3, 4, bias=False).slots()] == ["W"]


@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize("bias", [True, False])
def test_sparse_dense_is_dense(offset, bias):
    X = RNG(1).normal(size=(6, 3)) * (RNG(2).uniform(size=(6, 3)) < 0.4)
    shift = RNG(3).normal(size=(1, 3)) if offset else None
    full = X if shift is None else X + shift
    _, g, _, y, dy, forward, backward = bound(Dense(3, 4, bias), full[None])
    sparse = SparseRows(6, shift)
    sparse.hold(sp.csr_matrix(X))
    sp_p, sp_g, _, sp_y, sp_dy, sp_forward, sp_backward = bound(Dense(3, 4, bias), sparse)
    forward.run(), sp_forward.run()
    np.testing.assert_allclose(sp_y, y, rtol=1e-13, atol=1e-14)
    dy[...] = sp_dy[...] = RNG(4).normal(size=dy.shape)
    backward.run(), sp_backward.run()
    np.testing.assert_allclose(sp_g.W, g.W, rtol=1e-13, atol=1e-14)
    if bias:
        np.testing.assert_allclose(sp_g.b, g.b, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("x", [np.ones((1, 5, 3)), SparseRows(5, None, sp.csr_matrix(np.ones((5, 3))))])
def test_prediction_has_no_gradient_buffers(x):
    p = Layout([Dense(3, 4).slots()]).views(np.ones((1, 16)))[0]
    y, dy, forward, backward = Dense(3, 4).bind(p, None, x, None)
    forward.run()
    assert dy is None and backward == []
    np.testing.assert_array_equal(y, np.full((1, 5, 4), 4.0))


# name → (its distribution's bound or standard deviation, whether uniform), for 300 inputs and 200 outputs
STARTS = {
    "glorot_uniform": ((6 / 500) ** 0.5, True),
    "glorot_normal": ((2 / 500) ** 0.5, False),
    "he_uniform": ((6 / 300) ** 0.5, True),
    "he_normal": ((2 / 300) ** 0.5, False),
    "lecun_normal": ((1 / 300) ** 0.5, False),
}


def test_every_initialiser_is_tested():
    missing = sorted(set(INITIALIZERS) - set(STARTS))
    assert not missing, f"The initialisers {missing} have no bound or standard deviation in STARTS."


@pytest.mark.parametrize("gain", [1.0, 0.5])
@pytest.mark.parametrize("name", STARTS)
def test_initial_weights_have_the_distribution_named(name, gain):
    layer = Dense(300, 200, init=name, gain=gain)
    layout = Layout([layer.slots()])
    (p,) = layout.views(np.zeros((1, layout.size)))
    layer.initialise(p, RNG(0))
    size, uniform = STARTS[name]
    size *= gain
    for array in (p.W, p.b):
        if uniform:  # 200 draws come within 5 % of the bound
            assert 0.95 * size < np.abs(array).max() <= size
        else:
            assert np.abs(array).max() > 2 * size
    # 60,000 draws: their deviation is within 1 % (three standard errors)
    assert p.W.std() == pytest.approx(size / 3**0.5 if uniform else size, rel=0.01)


def test_weights_are_drawn_first_and_then_biases():
    layer = Dense(3, 4)
    layout = Layout([layer.slots()])
    (p,) = layout.views(np.zeros((1, layout.size)))
    layer.initialise(p, RNG(7))
    bound_, rng = (6 / 7) ** 0.5, RNG(7)
    np.testing.assert_array_equal(p.W[0], rng.uniform(-bound_, bound_, (3, 4)))
    np.testing.assert_array_equal(p.b[0], rng.uniform(-bound_, bound_, (1, 4)))


# ------------------------------------------------------------------------ input groups and learning rates


def started(layer, seed=0, n_members=1):
    """Parameters (views) of the layer's start."""
    layout = Layout([layer.slots()])
    (p,) = layout.views(np.full((n_members, layout.size), np.nan))
    layer.initialise(p, RNG(seed))
    return p


@pytest.mark.parametrize("init", INITIALIZERS)
def test_each_input_group_is_drawn_as_if_it_were_alone(init):
    """Its weights are larger by the root of its share, so that fewer of them add up to the same variance."""
    plain, grouped = (started(Dense(10, 4, init=init, input_groups=groups)) for groups in ((), (8, 2)))
    np.testing.assert_allclose(grouped.W[0, :8], plain.W[0, :8] * (10 / 8) ** 0.5, rtol=1e-14)
    np.testing.assert_allclose(grouped.W[0, 8:], plain.W[0, 8:] * 5**0.5, rtol=1e-14)
    np.testing.assert_array_equal(grouped.b, plain.b)


def test_input_groups_have_equal_variance_in_the_outputs():
    layer = Dense(120, 2000, init="lecun_normal", input_groups=(100, 20))
    p, x = started(layer), RNG(1).normal(size=(1, 120))
    x /= np.sqrt(np.concatenate([np.full(100, (x[0, :100] ** 2).mean()), np.full(20, (x[0, 100:] ** 2).mean())]))
    for kind in (slice(0, 100), slice(100, 120)):
        # 2,000 draws: their deviation is within 5 % (three standard errors)
        assert (x[:, kind] @ p.W[0, kind]).std() == pytest.approx(1, rel=0.05)


def test_a_single_input_group_changes_nothing():
    np.testing.assert_array_equal(started(Dense(10, 4, input_groups=(10,))).W, started(Dense(10, 4)).W)


def test_ntk_divides_the_learning_rate_by_the_root_of_the_inputs():
    W, b = Dense(16, 4, ntk=True).slots()
    np.testing.assert_array_equal(np.broadcast_to(W.rate, W.shape), np.full((16, 4), 0.25))
    assert b.rate == 1.0
    W, b = Dense(20, 4, ntk=True, input_groups=(16, 4)).slots()
    np.testing.assert_array_equal(np.broadcast_to(W.rate, W.shape)[:, 0], np.repeat([0.25, 0.5], [16, 4]))


@pytest.mark.parametrize("groups", [(), (16, 4)])
def test_without_ntk_all_learning_rate_factors_are_one(groups):
    assert [slot.rate for slot in Dense(20, 4, input_groups=groups).slots()] == [1.0, 1.0]


@pytest.mark.parametrize("groups", [(), (0,), (0, 0)])
def test_a_layer_without_inputs_has_parameters_and_factors(groups):
    layer = Dense(0, 4, input_groups=groups, ntk=True)
    assert started(layer).W.shape == (1, 0, 4)
    assert np.shape(layer.slots()[0].rate) == (0, 1)


def test_an_empty_input_group_changes_nothing():
    with_none, alone = Dense(9, 4, input_groups=(9, 0), ntk=True), Dense(9, 4, ntk=True)
    np.testing.assert_array_equal(started(with_none).W, started(alone).W)
    np.testing.assert_array_equal(with_none.slots()[0].rate, alone.slots()[0].rate)


def test_zeros_start_at_zero_and_draw_nothing():
    p, rng = started(Dense(3, 4), 5), RNG(0)
    Dense(3, 4, init="zeros").initialise(p, rng)
    assert not p.W.any() and not p.b.any()
    assert rng.uniform() == RNG(0).uniform()


# ------------------------------------------------------------------------ data-dependent initialisation


def fitted(x, weight=None, layer=None, seed=0):
    """Parameters (views) of a layer fitted to the rows of x (R, n_in)."""
    layer = layer or Dense(x.shape[1], 6, init="lecun_normal")
    p = started(layer, 3)
    y, _, forward, _ = layer.bind(p, None, x[None], None)
    forward.run()
    initialise_from_data(p, y, weight, RNG(seed))
    return p


def some_rows(n=30):
    """Rows in units of all sizes, off the origin."""
    return RNG(1).normal(size=(n, 3)) * [1, 50, 1e-2] + [7, -100, 0]


def test_outputs_fitted_to_data_have_unit_variance():
    x, weight = some_rows(), RNG(2).uniform(0.1, 3, 30)
    for w in (None, weight):
        z = x @ fitted(x, w).W[0]
        variance = np.average((z - np.average(z, axis=0, weights=w)) ** 2, axis=0, weights=w)
        np.testing.assert_allclose(variance, 1, rtol=1e-12)


def test_fitting_to_data_keeps_the_direction_of_each_units_weights():
    x = some_rows()
    before, after = started(Dense(3, 6, init="lecun_normal"), 3).W[0], fitted(x).W[0]
    np.testing.assert_allclose(after / before, np.broadcast_to(1 / (x @ before).std(axis=0), (3, 6)), rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_units_fitted_to_data_bend_within_the_data(seed):
    x = some_rows()
    p = fitted(x, seed=seed)
    y = x @ p.W[0] + p.b[0]
    assert (y.min(axis=0) < 0).all() and (y.max(axis=0) > 0).all()
    assert len(np.unique((y > 0).sum(axis=0))) > 1  # and not all of them in the same place


def test_biases_fitted_to_data_come_from_all_over_the_data():
    """Of 4,000 units, whose bend is a random mean of five rows, the mean is that of the data."""
    layer = Dense(1, 4000)
    x = RNG(0).exponential(size=(200, 1))
    p = fitted(x, layer=layer)
    places = -p.b[0, 0] / p.W[0, 0]
    assert abs(places.mean() - x.mean()) < 0.03  # three standard errors of a mean of so many deviations of 0.58
    assert places.min() < 0.3 < 2 < places.max()


def test_a_row_of_weight_two_is_the_row_twice():
    x, weight = some_rows(), np.arange(30) % 3
    twice, weighted = fitted(np.repeat(x, weight, axis=0)), fitted(x, weight.astype(float))
    np.testing.assert_allclose(weighted.W, twice.W, rtol=1e-12)
    np.testing.assert_allclose(weighted.b, twice.b, rtol=1e-12)


def test_a_row_of_weight_zero_is_as_if_absent():
    x = some_rows()
    far = np.concatenate([[[1e6, 0, 0]], x, [[-1e6, 0, 0]]])
    without, zero = fitted(x), fitted(far, np.r_[0.0, np.ones(30), 0])
    np.testing.assert_allclose(zero.W, without.W, rtol=1e-12)
    np.testing.assert_allclose(zero.b, without.b, rtol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_fitting_to_data_does_not_depend_on_the_order_of_rows(weighted):
    x, weight, order = some_rows(), RNG(2).uniform(0.1, 3, 30) if weighted else np.ones(30), RNG(3).permutation(30)
    one, other = fitted(x, weight), fitted(x[order], weight[order])
    np.testing.assert_allclose(other.W, one.W, rtol=1e-12)
    np.testing.assert_allclose(other.b, one.b, rtol=1e-12)


def test_fitting_to_data_does_not_depend_on_the_unit_of_weights():
    one, other = fitted(some_rows()), fitted(some_rows(), np.full(30, 1e-3))
    np.testing.assert_allclose(other.W, one.W, rtol=1e-12)
    np.testing.assert_allclose(other.b, one.b, rtol=1e-12)


def test_a_unit_that_no_row_changes_keeps_its_weights():
    x = np.tile([2.0, 3, 5], (30, 1))
    p, before = fitted(x), started(Dense(3, 6, init="lecun_normal"), 3)
    np.testing.assert_array_equal(p.W, before.W)
    np.testing.assert_allclose(x @ p.W[0] + p.b[0], 0, atol=1e-13)


def test_fitting_to_data_without_biases_scales_weights_alone():
    x, layer = some_rows(), Dense(3, 6, bias=False, init="lecun_normal")
    np.testing.assert_allclose((x @ fitted(x, layer=layer).W[0]).std(axis=0), 1, rtol=1e-12)


# ------------------------------------------------------------------------ Activation and Dropout


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_works_in_the_buffers_of_the_layer_before(name):
    x, dx = RNG(0).normal(size=(2, 5, 3)), np.ones((2, 5, 3))
    before = x.copy()
    y, dy, forward, backward = Activation(ACTIVATIONS[name]).bind(None, object(), x, dx)
    assert y is x and dy is dx
    forward.run(), backward.run()
    plain, slope = before.copy(), np.ones_like(before)
    for tape in ACTIVATIONS[name].bind(plain, slope):
        tape.run()
    np.testing.assert_array_equal(y, plain)
    np.testing.assert_array_equal(dx, slope)


def test_activation_and_dropout_hold_no_parameters():
    for layer in (Activation(ACTIVATIONS["relu"]), Dropout(0.5)):
        assert layer.slots() == ()
        layer.initialise(None, RNG(0))


def generator(seed=0):
    return np.random.Generator(np.random.SFC64(seed))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_drops_its_share_and_scales_the_rest(dtype):
    x, dx = np.full((1, 200, 100), 3, dtype), np.full((1, 200, 100), 5, dtype)
    y, dy, forward, backward = Dropout(0.3).bind(None, object(), x, dx, generator())
    forward.run()
    dy[...] = 5
    backward.run()
    kept = y != 0
    assert y.dtype == dtype
    assert kept.mean() == pytest.approx(0.7, abs=0.01)  # 20,000 draws: three standard errors are 0.0097
    np.testing.assert_allclose(y[kept], 3 / 0.7, rtol=1e-6)
    np.testing.assert_array_equal(dx != 0, kept)  # the same mask backwards
    np.testing.assert_allclose(dx[kept], 5 / 0.7, rtol=1e-6)


def test_every_pass_draws_its_own_mask():
    x = np.ones((1, 20, 20))
    y, _, forward, _ = Dropout(0.5).bind(None, object(), x, np.ones_like(x), generator())
    masks = []
    for _ in range(2):
        x[...] = 1
        forward.run()
        masks.append(y != 0)
    assert (masks[0] != masks[1]).any()
    assert (masks[0] != masks[0][:, :1]).any() and (masks[0] != masks[0][..., :1]).any()  # no row, no column is copied


def test_a_generator_seeded_again_in_place_draws_the_masks_of_a_new_one():
    x, rng = np.ones((1, 20, 20)), generator(0)
    y, _, forward, _ = Dropout(0.5).bind(None, object(), x, np.ones_like(x), rng)
    forward.run()
    rng.bit_generator.state = np.random.SFC64(3).state
    forward.run()
    new, _, new_forward, _ = Dropout(0.5).bind(None, object(), x, np.ones_like(x), generator(3))
    new_forward.run()
    np.testing.assert_array_equal(y, new)


def test_without_a_generator_dropout_changes_nothing():
    x = RNG(0).normal(size=(1, 4, 3))
    before = x.copy()
    y, _, forward, _ = Dropout(0.9).bind(None, None, x, None)
    forward.run()
    np.testing.assert_array_equal(y, before)


# ------------------------------------------------------------------------ gradients


@pytest.mark.parametrize("weights", ["no weights", "weights", "weights of members, with zeros"])
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("hidden", [(), (4,), (4, 3)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("table", [{}, {"ones": True}, {"sparse": True}, {"sparse": True, "offset": True}], ids=str)
def test_gradient_of_dense(table, bias, hidden, n_members, weights):
    check_case("squared_error", RNG(0), hidden, "tanh", weights, n_members, bias=bias, **table)


@pytest.mark.parametrize("ones", [False, True])
@pytest.mark.parametrize("hidden", [(), (4,)])
def test_gradient_with_input_groups(hidden, ones):
    check_case("squared_error", RNG(0), hidden, "silu", "weights", 3, n_bins=2, ntk=True, ones=ones)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(4,), (4, 3)])
@pytest.mark.parametrize("n_members", [1, 3])
def test_gradient_with_dropout(activation, hidden, n_members):
    """The generator restarts at each evaluation, so that the mask is always the same."""
    rng = RNG(0)
    check_case("squared_error", rng, hidden, activation, "weights", n_members, dropout_seed=4, dropout=0.4)
