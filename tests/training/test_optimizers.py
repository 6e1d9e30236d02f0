"""Optimizers against the formulas of their papers, written plainly."""

import copy
import pickle

import numpy as np
import pytest

from skscratch.training import optimizers
from skscratch.training.optimizers import SGD, Adam

RATES = np.array([1.0, 0.1, 2.0, 0.0, 1.0])
MAKERS = {
    "sgd": lambda p: SGD(p, 0.0, False),
    "momentum": lambda p: SGD(p, 0.9, False),
    "nesterov": lambda p: SGD(p, 0.8, True),
    "adam": lambda p: Adam(p, 0.9, 0.99, 1e-6),
}


def start(dtype=np.float64):
    rng = np.random.RandomState(0)
    return rng.normal(size=(2, 5)).astype(dtype), rng.normal(size=(12, 2, 5)).astype(dtype)


def plain_sgd(p, gradients, rate, mu, nesterov, factors):
    p, v = p.copy(), np.zeros_like(p)
    for t, g in enumerate(gradients):
        v = mu * v - rate(t) * factors * g
        p = p + mu * v - rate(t) * factors * g if nesterov else p + v
    return p


def plain_adam(p, gradients, rate, beta_1, beta_2, epsilon, factors):
    """Kingma & Ba 2015 at the end of section 2, where epsilon is added to the uncorrected root."""
    p, m, v = p.copy(), np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(gradients, start=1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        p = p - rate(t - 1) * factors * np.sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (np.sqrt(v) + epsilon)
    return p


def rate(t):
    return 0.1 / (1 + t)  # another learning rate at each step


def walk(optimizer, p, gradients, rates=None, first=0):
    g = np.empty_like(p)
    step = optimizer.bind(p, g, rates)
    for t, value in enumerate(gradients, start=first):
        g[...] = value
        step(rate(t), t + 1)
    return p


@pytest.mark.parametrize("rates", [None, RATES], ids=["no factors", "factors"])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd(momentum, nesterov, rates):
    p, gradients = start()
    expected = plain_sgd(p, gradients, rate, momentum, nesterov, 1.0 if rates is None else rates)
    found = walk(SGD(p, momentum, nesterov), p, gradients, rates)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("rates", [None, RATES], ids=["no factors", "factors"])
@pytest.mark.parametrize(("beta_1", "beta_2", "epsilon"), [(0.9, 0.999, 1e-8), (0.5, 0.9, 1e-2), (0.0, 0.99, 1e-8)])
def test_adam(beta_1, beta_2, epsilon, rates):
    p, gradients = start()
    expected = plain_adam(p, gradients, rate, beta_1, beta_2, epsilon, 1.0 if rates is None else rates)
    found = walk(Adam(p, beta_1, beta_2, epsilon), p, gradients, rates)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_adams_first_step_is_the_learning_rate_at_any_size_of_the_gradient():
    p = np.zeros((1, 3))
    Adam(p, epsilon=1e-12).bind(p, np.array([[1e-3, 1.0, -1e3]]))(0.01, 1)
    np.testing.assert_allclose(p, [[-0.01, -0.01, 0.01]], rtol=1e-6)  # epsilon over the smallest root: 3e-8


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_step_works_in_place_and_keeps_the_gradient(make):
    p, gradients = start()
    optimizer, before = make(p), gradients.copy()
    places = [array.__array_interface__["data"] for array in optimizer.state]
    walk(optimizer, p, gradients)
    np.testing.assert_array_equal(gradients, before)
    assert places == [array.__array_interface__["data"] for array in optimizer.state]


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))], ids=["deepcopy", "pickle"]
)
def test_a_copy_continues_with_the_same_bits(make, duplicate):
    p, gradients = start()
    optimizer = make(p)
    walk(optimizer, p, gradients[:5])
    other, q = duplicate(optimizer), p.copy()
    walk(optimizer, p, gradients[5:], first=5)
    np.testing.assert_array_equal(
        q, walk(make(q), start()[0], gradients[:5])
    )  # the copy shares nothing with the original
    walk(other, q, gradients[5:], first=5)
    np.testing.assert_array_equal(p, q)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_restoring_the_state_repeats_the_steps(make):
    p, gradients = start()
    optimizer = make(p)
    walk(optimizer, p, gradients[:3])
    saved, count, before = [np.copy(array) for array in optimizer.state], optimizer.count, p.copy()
    expected = walk(optimizer, p.copy(), gradients[3:6], first=3)
    for array, value in zip(optimizer.state, saved, strict=True):
        np.copyto(array, value)
    optimizer.count = count
    np.testing.assert_array_equal(walk(optimizer, before, gradients[3:6], first=3), expected)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_a_pickle_holds_no_scratch_space(make):
    p = np.zeros((1, 10_000))
    optimizer = make(p)
    arrays = sum(array.nbytes for array in optimizer.state)
    assert len(pickle.dumps(optimizer)) < arrays + 2000


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_single_precision_stays_single(make):
    p, gradients = start(np.float32)
    q, wide = start()
    walk(optimizer := make(p), p, gradients, RATES)
    assert p.dtype == np.float32
    assert all(array.dtype == np.float32 for array in optimizer.state)
    np.testing.assert_allclose(p, walk(make(q), q, wide, RATES), atol=1e-5)  # 12 steps of roundings of 6e-8


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_the_caller_counts_the_steps(make):
    """Members in several threads share an optimizer, so a step gets its number and counts nothing itself."""
    p, gradients = start()
    optimizer = make(p)
    walk(optimizer, p, gradients)
    assert optimizer.count == 0
    optimizer.count = len(gradients)
    assert copy.deepcopy(optimizer).count == pickle.loads(pickle.dumps(optimizer)).count == len(gradients)


@pytest.mark.parametrize("rates", [None, RATES], ids=["no factors", "factors"])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_members_that_are_bound_separately_move_as_together(make, rates):
    rng = np.random.RandomState(3)
    p, gradients = rng.normal(size=(5, 5)), rng.normal(size=(6, 5, 5))
    q, g = p.copy(), np.empty_like(p)
    together, apart = make(p), make(q)
    walk(together, p, gradients, rates)
    parts = slice(0, 2), slice(2, 5)
    steps = [apart.bind(q[members], g[members], rates, members) for members in parts[::-1]]
    for t, value in enumerate(gradients):
        g[...] = value
        for step in steps:
            step(rate(t), t + 1)
    np.testing.assert_array_equal(q, p)
    for one, other in zip(apart.state, together.state, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_members_that_are_not_bound_stay_where_they_are(make):
    p, gradients = start()
    before, optimizer = p.copy(), make(p)
    step = optimizer.bind(p[1:], gradients[0, 1:], None, slice(1, 2))
    step(0.1, 1)
    np.testing.assert_array_equal(p[0], before[0])
    assert (p[1] != before[1]).all()
    assert not any(array[0].any() for array in optimizer.state) and all(array[1].all() for array in optimizer.state)


@pytest.mark.parametrize("rates", [None, RATES], ids=["no factors", "factors"])
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_blocks_of_parameters_move_as_together(monkeypatch, make, rates):
    p, gradients = start()
    together = p.copy()
    walk(make(together), together, gradients, rates)
    monkeypatch.setattr(optimizers, "BLOCK", 4)  # two columns of two members
    walk(make(p), p, gradients, rates)
    np.testing.assert_array_equal(p, together)


def test_adams_bias_correction_is_that_of_the_given_step():
    """A late step has no bias correction: after one gradient, moments that start at zero are 0.1 g and 0.001 g²."""
    p = np.zeros((1, 1))
    Adam(p, 0.9, 0.999, 1e-12).bind(p, np.array([[3.0]]))(0.01, 10**6)
    assert p[0, 0] == pytest.approx(-0.01 * 0.1 / 0.001**0.5, rel=1e-9)  # epsilon over the root: 1e-11


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_an_optimizer_loads_the_state_of_another(make):
    p, gradients = start()
    first = make(p)
    walk(first, p, gradients[:5])
    q, second = p.copy(), make(p)
    second.load(5, first.state)
    assert second.count == 5
    np.testing.assert_array_equal(walk(second, q, gradients[5:], first=5), walk(first, p, gradients[5:], first=5))
    assert all(a is not b for a, b in zip(first.state, second.state, strict=True))
