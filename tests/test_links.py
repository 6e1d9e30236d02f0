"""Output activations: there and back, ranges, and the members' mean prediction."""

import numpy as np
import pytest
from scipy.special import log_expit, log_softmax

from skscratch.calls import run
from skscratch.links import LINKS, ordered

ALL = {**LINKS, "ordered": ordered}
# how far raw scores may go before a prediction rounds to the end of its range, and the inverse cannot know better
REACH = {"identity": 1e6, "logistic": 12, "tanh": 6, "softplus": 600, "exp": 300, "softmax": 20, "ordered": 9}


def scores(name, dtype=np.float64):
    rng = np.random.RandomState(0)
    return (REACH[name] * rng.uniform(-1, 1, (3, 5, 4))).astype(dtype)


@pytest.mark.parametrize("name", ALL)
def test_inverse_undoes_apply(name):
    z = scores(name)
    if name == "softplus":
        z = np.maximum(z, -30)
    back = ALL[name].inverse(ALL[name].apply(z))
    if name == "softmax":  # defined up to a constant
        z, back = log_softmax(z, axis=-1), log_softmax(back, axis=-1)
    # rounding of p by 1e-16 grows by 1 / p': at most exp(12) for logistic and tanh, 1e-9 of a sum for ordered
    np.testing.assert_allclose(back, z, rtol=1e-9, atol=1e-9)


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


def test_softmax_is_what_its_formula_says():
    z = scores("softmax") / 10
    p = LINKS["softmax"].apply(z)
    np.testing.assert_allclose(p, np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True), rtol=1e-14)


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
    run(forward)
    for j in range(4):
        dz[...] = np.eye(4)[j]
        run(backward)  # derivative of p_j with respect to each z
        for i, step in enumerate(np.eye(4) * width):
            slope = (ALL[name].apply(z + step)[j] - ALL[name].apply(z - step)[j]) / (2 * width)
            assert dz[i] == pytest.approx(slope, abs=1e-9)  # width² / 6 and 1e-16 / width


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_members", [1, 3])
def test_pooled_scores_predict_the_mean_prediction(name, dtype, n_members):
    link = ALL[name]
    z = (np.random.RandomState(2).normal(0, 2, (n_members, 6, 3))).astype(dtype)
    pooled = link.pool(z)
    assert pooled.dtype == dtype and pooled.shape == (6, 3)
    mean = np.mean([link.apply(member) for member in z], axis=0)
    np.testing.assert_allclose(link.apply(pooled), mean, rtol=100 * np.finfo(dtype).eps)
    np.testing.assert_allclose(link.mean(z), mean, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", ["identity", "softplus", "exp", "ordered"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pool_of_large_predictions(name, dtype):
    """Targets in the thousands are common where nothing scales them."""
    link = ALL[name]
    predictions = np.array([[[1000.0, 2500, 4000]], [[1500, 3000, 6000]]])
    z = np.log(predictions) if name == "exp" else predictions
    if name == "ordered":
        z = np.concatenate([z[..., :1], np.diff(z, axis=-1)], axis=-1)  # softplus is the identity out there
    pooled = link.pool(z.astype(dtype))
    # exp turns an error in z into a relative one of p: log 6000 = 8.7 times the rounding of z
    np.testing.assert_allclose(link.apply(pooled)[0], [1250, 2750, 5000], rtol=20 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pooled_probabilities_keep_finite_logarithms(dtype):
    sure = np.array([[[1e4], [-1e4]], [[2e4], [-2e4]]], dtype=dtype)  # both members certain: of 1, then of 0
    pooled = LINKS["logistic"].pool(sure)
    assert np.isfinite(log_expit(pooled)).all() and np.isfinite(log_expit(-pooled)).all()
    assert pooled[0] > 100 and pooled[1] < -100
    several = np.array([[[0, 1e4, -1e4]], [[0, 2e4, -1e4]]], dtype=dtype)
    assert np.isfinite(log_softmax(LINKS["softmax"].pool(several), axis=-1)).all()


@pytest.mark.parametrize("name", ["logistic", "tanh"])
def test_one_certain_member_and_one_undecided(name):
    link = LINKS[name]
    pooled = link.pool(np.array([[[1e4]], [[0.0]]]))
    assert link.apply(pooled)[0, 0] == pytest.approx((link.high + link.apply(np.zeros(1))[0]) / 2, rel=1e-14)


def test_pool_of_one_member_is_its_own_score():
    z = np.array([[[1e4], [-3.0]]])
    for name in ("logistic", "tanh", "exp"):
        np.testing.assert_array_equal(LINKS[name].pool(z), z[0])
