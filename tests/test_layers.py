"""Layers by themselves: what they compute, how they start, and their gradients."""

import numpy as np
import pytest
import scipy.sparse as sp
from gradients import check_case

from skscratch.activations import ACTIVATIONS
from skscratch.calls import run
from skscratch.layers import INITIALIZERS, Activation, Dense, Dropout
from skscratch.parameters import Layout
from skscratch.table import SparseRows

RNG = np.random.RandomState


def bound(layer, x, n_members=2, seed=0, **options):
    """Parameters, gradient (of NaN) and the bound layer, with a place for dx."""
    layout = Layout([tuple(layer.slots())])
    (p,) = layout.views(RNG(seed).normal(size=(n_members, layout.size)))
    (g,) = layout.views(np.full((n_members, layout.size), np.nan))
    dx = None if isinstance(x, SparseRows) else np.full((n_members, *x.shape[1:]), np.nan)
    return p, g, dx, *layer.bind(p, g, x, dx, **options)


# ------------------------------------------------------------------------ Dense


@pytest.mark.parametrize("n_inputs", [1, 2], ids=["one input for all members", "an input for each"])
@pytest.mark.parametrize("bias", [True, False])
def test_dense_forward_and_backward(n_inputs, bias):
    x = RNG(1).normal(size=(n_inputs, 5, 3))
    p, g, dx, y, dy, forward, backward = bound(Dense(3, 4, bias), x)
    run(forward)
    b = p.b if bias else np.zeros((2, 1, 4))
    dy[...] = RNG(2).normal(size=dy.shape)
    run(backward)
    for k in range(2):
        xk = x[k % n_inputs]
        # sums of 3 to 5 terms, in an order of BLAS's choosing
        np.testing.assert_allclose(y[k], xk @ p.W[k] + b[k], rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(g.W[k], xk.T @ dy[k], rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(dx[k], dy[k] @ p.W[k].T, rtol=1e-13, atol=1e-14)
        if bias:
            np.testing.assert_allclose(g.b[k, 0], dy[k].sum(axis=0), rtol=1e-13, atol=1e-14)
    assert hasattr(g, "b") is bias


def test_a_column_of_ones_is_what_the_bias_weighs():
    """[x, 1] [W; b] = x W + b, and so are the gradients; the ones' own gradient goes nowhere that matters."""
    x, layer = RNG(1).normal(size=(2, 5, 3)), Dense(3, 4)
    _, g, dx, y, dy, forward, backward = bound(layer, x)
    _, g1, dx1, y1, dy1, forward1, backward1 = bound(layer, np.concatenate([x, np.ones((2, 5, 1))], axis=-1))
    assert len(forward1) == len(forward) - 1 and len(backward1) == len(backward) - 1
    run(forward), run(forward1)
    dy[...] = dy1[...] = RNG(2).normal(size=dy.shape)
    run(backward), run(backward1)
    for one, other in ((y, y1), (g.W, g1.W), (g.b, g1.b), (dx, dx1[..., :-1])):
        np.testing.assert_allclose(other, one, rtol=1e-13, atol=1e-14)  # the same terms, added in another order


def test_without_a_bias_a_column_of_ones_is_left_out():
    x = RNG(1).normal(size=(1, 5, 3))
    *_, y, _, forward, _ = bound(Dense(3, 4, bias=False), np.concatenate([x, np.ones((1, 5, 1))], axis=-1))
    p = bound(Dense(3, 4, bias=False), x)[0]
    run(forward)
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
    run(forward), run(sp_forward)
    np.testing.assert_allclose(sp_y, y, rtol=1e-13, atol=1e-14)
    dy[...] = sp_dy[...] = RNG(4).normal(size=dy.shape)
    run(backward), run(sp_backward)
    np.testing.assert_allclose(sp_g.W, g.W, rtol=1e-13, atol=1e-14)
    if bias:
        np.testing.assert_allclose(sp_g.b, g.b, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("x", [np.ones((1, 5, 3)), SparseRows(5, None, sp.csr_matrix(np.ones((5, 3))))])
def test_no_gradient_is_made_room_for_when_predicting(x):
    p = Layout([tuple(Dense(3, 4).slots())]).views(np.ones((1, 16)))[0]
    y, dy, forward, backward = Dense(3, 4).bind(p, None, x, None)
    run(forward)
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
    assert set(STARTS) == set(INITIALIZERS)


@pytest.mark.parametrize("gain", [1.0, 0.5])
@pytest.mark.parametrize("name", STARTS)
def test_initial_weights_have_the_distribution_named(name, gain):
    layer = Dense(300, 200, init=name, gain=gain)
    layout = Layout([tuple(layer.slots())])
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
    layout = Layout([tuple(layer.slots())])
    (p,) = layout.views(np.zeros((1, layout.size)))
    layer.initialise(p, RNG(7))
    bound_, rng = (6 / 7) ** 0.5, RNG(7)
    np.testing.assert_array_equal(p.W[0], rng.uniform(-bound_, bound_, (3, 4)))
    np.testing.assert_array_equal(p.b[0], rng.uniform(-bound_, bound_, (1, 4)))


# ------------------------------------------------------------------------ Activation and Dropout


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_works_in_the_buffers_of_the_layer_before(name):
    x, dx = RNG(0).normal(size=(2, 5, 3)), np.ones((2, 5, 3))
    before = x.copy()
    y, dy, forward, backward = Activation(ACTIVATIONS[name]).bind(None, object(), x, dx)
    assert y is x and dy is dx
    run(forward), run(backward)
    plain, slope = before.copy(), np.ones_like(before)
    for calls in ACTIVATIONS[name](plain, slope):
        run(calls)
    np.testing.assert_array_equal(y, plain)
    np.testing.assert_array_equal(dx, slope)


def test_activation_and_dropout_hold_no_parameters():
    for layer in (Activation(ACTIVATIONS["relu"]), Dropout(0.5)):
        assert list(layer.slots()) == []
        layer.initialise(None, RNG(0))


def generator(seed=0):
    rng = np.random.Generator(np.random.SFC64(seed))
    return lambda: rng


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dropout_drops_its_share_and_scales_the_rest(dtype):
    x, dx = np.full((1, 200, 100), 3, dtype), np.full((1, 200, 100), 5, dtype)
    y, dy, forward, backward = Dropout(0.3).bind(None, object(), x, dx, generator())
    run(forward)
    dy[...] = 5
    run(backward)
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
        run(forward)
        masks.append(y != 0)
    assert (masks[0] != masks[1]).any()
    assert (masks[0] != masks[0][:, :1]).any() and (masks[0] != masks[0][..., :1]).any()  # no row, no column is copied


def test_masks_come_from_the_generator_that_is_current():
    x = np.ones((1, 20, 20))
    current = generator(3)
    y, _, forward, _ = Dropout(0.5).bind(None, object(), x, np.ones_like(x), lambda: current())
    run(forward)
    first = y.copy()
    current = generator(3)
    x[...] = 1
    run(forward)
    np.testing.assert_array_equal(y, first)


def test_without_a_generator_dropout_changes_nothing():
    x = RNG(0).normal(size=(1, 4, 3))
    before = x.copy()
    y, _, forward, _ = Dropout(0.9).bind(None, None, x, None)
    run(forward)
    np.testing.assert_array_equal(y, before)


# ------------------------------------------------------------------------ gradients


@pytest.mark.parametrize("weights", ["no weights", "weights", "weights of members, with zeros"])
@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("hidden", [(), (4,), (4, 3)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("table", [{}, {"ones": True}, {"sparse": True}, {"sparse": True, "offset": True}], ids=str)
def test_gradient_of_dense(table, bias, hidden, n_members, weights):
    check_case("squared_error", RNG(0), hidden, "tanh", weights, n_members, bias=bias, **table)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(4,), (4, 3)])
@pytest.mark.parametrize("n_members", [1, 3])
def test_gradient_with_dropout(activation, hidden, n_members):
    """The generator starts anew at each evaluation, so that the mask stays."""
    rng = RNG(0)
    check_case("squared_error", rng, hidden, activation, "weights", n_members, mask_seed=4, dropout=0.4)
