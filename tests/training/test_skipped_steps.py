"""SkippedSteps: steps without a gradient, made up for at once, against the same steps one by one."""

import numpy as np
import pytest

from skscratch.training.optimizers import Adam
from skscratch.training.skipped_steps import SkippedSteps, ratio


def rate(t):
    return 0.1 * (1 + np.sin(t))  # another learning rate at each step


@pytest.mark.parametrize("betas", [(0.9, 0.95), (0.9, 0.999), (0.5, 0.3), (0.0, 0.9), (0.99, 0.9999)])
@pytest.mark.parametrize("n_steps", [1, 7, 300])
def test_skipped_steps_equal_single_steps_without_a_gradient(betas, n_steps):
    """The first vector has its last gradient at step 0, the others at later steps."""
    rng, n_before, width = np.random.RandomState(0), 5, 3
    last = np.minimum([0, 1, n_steps // 2, n_steps], n_steps)
    p = rng.normal(size=(2, 4 * width))
    adam = Adam(p, *betas, epsilon=1e-300)
    gradient = np.empty_like(p)
    step = adam.bind(p, gradient)
    for t in range(n_before):
        gradient[...] = rng.normal(size=p.shape)
        step(rate(t), t + 1)
    skipped, kept = SkippedSteps(adam, n_steps, width), {}
    for t in range(n_steps + 1):
        of_vector = np.repeat(last >= t, width)
        for i in np.flatnonzero(last == t):
            own = slice(i * width, (i + 1) * width)
            kept[i] = [a[:, own].copy() for a in (p, adam.m, adam.v)]
        if t < n_steps:
            gradient[...] = np.where(of_vector & np.repeat(last > t, width), rng.normal(size=p.shape), 0)
            step(rate(t), n_before + t + 1)
            skipped.add(adam.size(rate(t), n_before + t + 1))
    assert skipped.n_done == n_steps
    made_up = [np.concatenate([kept[i][j] for i in range(4)], axis=1) for j in range(3)]
    skipped.make_up(*made_up, last)
    for found, expected in zip(made_up, (p, adam.m, adam.v), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8)  # the last part of a movement is left out


def test_nothing_is_skipped_after_a_restart():
    p = np.ones((1, 4))
    skipped = SkippedSteps(Adam(p), 10, 2)
    skipped.add(0.5)
    skipped.restart()
    m, v = np.full((1, 4), 2.0), np.full((1, 4), 3.0)
    skipped.make_up(p, m, v, np.zeros(2, int))
    assert skipped.n_done == 0
    for array, value in ((p, 1), (m, 2), (v, 3)):
        np.testing.assert_array_equal(array, value)


def test_the_movement_of_each_step_is_a_ratio_of_that_before():
    p = np.zeros((1, 1))
    assert ratio(Adam(p, 0.9, 0.81)) == pytest.approx(1)
    assert ratio(Adam(p, 0.0, 0.5)) == 0
    assert ratio(Adam(p, 0.9, 0.0)) == np.inf
