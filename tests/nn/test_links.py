"""Output activations: values, ranges, and derivatives."""

import numpy as np
import pytest

from skscratch.nn.links import LINKS, ordered

ALL = {**LINKS, "ordered": ordered}
# how far raw scores go: near the ends of each range, and not where exp overflows
REACH = {"identity": 1e6, "logistic": 12, "tanh": 6, "softplus": 600, "exp": 300, "softmax": 20, "ordered": 9}


def scores(name, dtype=np.float64):
    rng = np.random.RandomState(0)
    return (REACH[name] * rng.uniform(-1, 1, (3, 5, 4))).astype(dtype)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_apply_gives_a_new_array_of_the_same_type(name, dtype):
    z = np.array(scores(name, dtype) / 10)
    before = z.copy()
    p = ALL[name].apply(z)
    assert p.dtype == dtype and p.shape == z.shape
    assert not np.shares_memory(p, z)
    np.testing.assert_array_equal(z, before)


@pytest.mark.parametrize("name", ALL)
def test_predictions_lie_within_the_range(name):
    link = ALL[name]
    p = link.apply(scores(name))
    assert (p >= link.low).all() and (p <= link.high).all()
    if link.low > -np.inf:
        assert p.min() < link.low + 0.1 * (1 if link.high == np.inf else link.high - link.low)
    if link.high < np.inf:
        assert p.max() > link.high - 0.1 * (link.high - link.low)


FORMULAS = {
    "identity": lambda z: z,
    "logistic": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": lambda z: np.sinh(z) / np.cosh(z),
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "exp": np.exp,
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True),
    "ordered": lambda z: np.cumsum(np.concatenate([z[..., :1], np.log(1 + np.exp(z[..., 1:]))], axis=-1), axis=-1),
}


@pytest.mark.parametrize("name", ALL)
def test_predictions_equal_the_formula(name):
    z = np.random.RandomState(1).normal(0, 3, (3, 5, 4))
    np.testing.assert_allclose(ALL[name].apply(z), FORMULAS[name](z), rtol=1e-13, atol=1e-14)  # some five roundings


@pytest.mark.parametrize("name", ALL)
def test_members_are_predicted_separately(name):
    z = scores(name)
    np.testing.assert_array_equal(ALL[name].apply(z), [ALL[name].apply(member) for member in z])


def test_softmax_of_extreme_scores():
    p = LINKS["softmax"].apply(np.array([[1e4, -1e4, 1e4], [-1e4, -1e4, -2e4]]))
    np.testing.assert_array_equal(p, [[0.5, 0, 0.5], [0.5, 0.5, 0]])


def test_ordered_outputs_never_cross():
    p = ordered.apply(scores("ordered") * 100)
    assert (np.diff(p, axis=-1) >= 0).all()
    z = np.array([[2.0, 0.0, -1.0]])
    expected = np.cumsum([2.0, np.log(2), np.log(1 + np.exp(-1))])
    np.testing.assert_allclose(ordered.apply(z)[0], expected, rtol=1e-15)


@pytest.mark.parametrize("name", ALL)
def test_backward_is_the_transposed_derivative(name):
    """The whole Jacobian, column by column, against central differences."""
    z = np.random.RandomState(1).normal(size=4)
    p, width = z.copy(), 1e-5
    dz = np.empty(4)
    forward, backward = ALL[name].bind(p, dz)
    forward.run()
    for j in range(4):
        dz[...] = np.eye(4)[j]
        backward.run()  # derivative of p_j with respect to each z
        for i, step in enumerate(np.eye(4) * width):
            slope = (ALL[name].apply(z + step)[j] - ALL[name].apply(z - step)[j]) / (2 * width)
            assert dz[i] == pytest.approx(slope, abs=1e-9)  # width² / 6 and 1e-16 / width
