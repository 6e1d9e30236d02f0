"""The mean of local steps is that over all groups, and Adam's second moments are those of the gradients of all rows."""

import numpy as np
import pytest

pytest.importorskip("distributed")

from skscratch.dask.averages import LocalSteps, adopt, second_moments  # noqa: E402
from skscratch.dask.local_steps import MAX_SHARE, MIN_MEETINGS, automatic_groups, automatic_sync_every  # noqa: E402
from skscratch.nn.network import build  # noqa: E402
from skscratch.training.optimizers import SGD, Adam  # noqa: E402

K, P = 2, 5


def outcome(rng, n_steps=3):
    losses, weights = rng.uniform(size=(n_steps, K)), rng.uniform(size=(n_steps, K))
    return LocalSteps(losses, weights, weights.sum(axis=0), *rng.normal(size=(3, K, P)))


def test_the_mean_of_means_is_the_mean():
    rng = np.random.RandomState(0)
    outcomes = [outcome(rng) for _ in range(5)]
    at_once = LocalSteps.mean(outcomes)
    in_parts = LocalSteps.mean([LocalSteps.mean(outcomes[3:]), outcomes[2], LocalSteps.mean(outcomes[:2])])
    shares = np.array([each.share for each in outcomes])
    w = (shares / shares.sum(axis=0))[..., None]
    m = np.array([each.m for each in outcomes])
    for mean in (at_once, in_parts):
        np.testing.assert_allclose(mean.parameters, sum(w * [each.parameters for each in outcomes]), rtol=1e-12)
        np.testing.assert_allclose(mean.m, (w * m).sum(axis=0), rtol=1e-12)
        np.testing.assert_allclose(mean.spread, (w * (m - mean.m) ** 2).sum(axis=0), rtol=1e-12)
        np.testing.assert_allclose(mean.losses, sum(each.losses for each in outcomes), rtol=1e-12)
        assert mean.n_groups == 5 and mean.v is None


def test_a_single_group_is_its_own_mean():
    one = outcome(np.random.RandomState(0))
    optimizer, parameters = Adam(np.zeros((K, P))), np.zeros((K, P))
    adopt(LocalSteps.mean([one]), parameters, optimizer)
    for array, given in ((parameters, one.parameters), (optimizer.m, one.m), (optimizer.v, one.v)):
        np.testing.assert_array_equal(array, given)
        assert array is not given
    momentum = SGD(np.zeros((K, P)))
    adopt(LocalSteps.mean([one._replace(v=None), one._replace(v=None)]), parameters, momentum)
    np.testing.assert_allclose(momentum.velocity, one.m)


def after_steps(gradients, shares, adam):
    """What groups with these gradients (H, G, P) have after H steps, and the second moments of a step on all rows."""
    m, v = (np.repeat(start, gradients.shape[1], axis=0) for start in (adam.m, adam.v))
    exact = adam.v.copy()
    for g in gradients:
        m, v = adam.beta_1 * m + g, adam.beta_2 * v + g**2
        exact = adam.beta_2 * exact + (shares @ g)[None] ** 2
    n, none = len(gradients), np.zeros((1, gradients.shape[2]))
    groups = [
        LocalSteps(np.zeros((n, 1)), np.ones((n, 1)), np.array([share]), none, m[i : i + 1], v[i : i + 1])
        for i, share in enumerate(shares)
    ]
    return LocalSteps.mean(groups), exact


def test_second_moments_after_one_step_are_exact():
    rng, adam = np.random.RandomState(0), Adam(np.zeros((1, 50)))
    adam.m[:], adam.v[:] = rng.normal(size=(1, 50)), rng.uniform(size=(1, 50))
    mean, exact = after_steps(rng.normal(size=(1, 4, 50)), np.array([0.1, 0.2, 0.3, 0.4]), adam)
    np.testing.assert_allclose(second_moments(mean, adam), exact, rtol=1e-10)


@pytest.mark.parametrize("signal", [0.0, 0.5, 5.0])
@pytest.mark.parametrize("n_groups", [2, 16])
def test_second_moments_are_those_of_the_mean_gradient(signal, n_groups):
    """The mean over 20,000 coordinates has an error of about a hundredth; the mean of v would be 16 times too large."""
    rng, adam = np.random.RandomState(0), Adam(np.zeros((1, 20_000)))
    shares = rng.uniform(1, 2, n_groups)
    shares /= shares.sum()
    noise = rng.normal(size=(10, n_groups, 20_000)) / np.sqrt(shares[:, None])
    mean, exact = after_steps(signal + noise, shares, adam)
    v = second_moments(mean, adam)
    assert v.min() > 0 and v.mean() == pytest.approx(exact.mean(), rel=0.05)


def network(width):
    return build(20, (), (width, width), 1, ["silu", "silu"])


def steps(width=64, n_rows=10_000_000, batch=8192, n_groups=16):
    return automatic_sync_every(network(width), 5, 4, n_rows, batch, n_groups)


def test_automatic_steps():
    assert steps(n_groups=1) == steps(n_rows=8192) == 1
    assert 1 < steps(n_groups=4) < steps(n_groups=16)  # a smaller share of the batch, and more messages
    assert steps(batch=4096) > steps() > steps(width=256)
    assert steps(n_rows=8192 * 13) == 13 // MIN_MEETINGS
    assert [automatic_groups(batch) for batch in (1, 511, 512, 4096, 10**6)] == [1, 1, 2, 16, 16]
    assert MAX_SHARE == 0.2
