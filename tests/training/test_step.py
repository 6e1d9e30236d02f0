"""Steps and their sums, and gradient accumulation over micro-batches, by one thread or by several."""

from threading import current_thread

import numpy as np
import pytest

from skscratch.nn.network import Network
from skscratch.training import parallel
from skscratch.training import step as step_module
from skscratch.training.parallel import Threads
from skscratch.training.step import AccumulatedStep, LocalStep, divide_by_weight, n_micro_batches
from tests.helpers.gradients import WEIGHTS
from tests.helpers.training import make_objective

RNG = np.random.RandomState
N = 40


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_step_returns_the_weighted_sum_of_losses(weights):
    objective, parameters = make_objective(weights=weights)
    step = objective.step(parameters, np.empty_like(parameters), 8)
    rows = RNG(1).permutation(N)[:8]
    step.load(rows)
    z = objective.network.scores(parameters, objective.table, rows)
    errors = 0.5 * ((z - objective.targets.values[rows]) ** 2).sum(axis=-1)  # (K, B)
    weight = np.ones((1, N)) if objective.weight is None else objective.weight
    expected = (errors * weight[:, rows]).sum(axis=1)
    np.testing.assert_allclose(step.loss_only(), expected, rtol=1e-12)
    np.testing.assert_allclose(step.loss_and_gradient(), expected, rtol=1e-12)
    np.testing.assert_allclose(step.total_weight(), weight[:, rows].sum(axis=1), rtol=1e-14)


def test_a_forward_pass_alone_writes_no_gradient():
    objective, parameters = make_objective()
    gradient = np.full_like(parameters, 7.0)
    step = objective.step(parameters, gradient, 8)
    step.load(np.arange(8))
    step.loss_only()
    assert (gradient == 7).all()


@pytest.mark.parametrize("weights", WEIGHTS)
def test_gradients_are_divided_by_the_total_that_is_given(weights):
    """Then the gradients of the parts of a table add up to that of the whole."""
    objective, parameters = make_objective(weights=weights)
    total, sums = objective.total_weight(), np.zeros_like(parameters)
    gradient = np.empty_like(parameters)
    for rows in np.split(np.arange(N), [8, 16, 24, 32]):
        step = objective.step(parameters, gradient, 8, total=total)
        step.load(rows)
        step.loss_and_gradient()
        sums += gradient
    whole = objective.step(parameters, gradient, N)
    whole.load(np.arange(N))
    whole.loss_and_gradient()
    np.testing.assert_allclose(sums, gradient, rtol=1e-11, atol=1e-14)


def test_a_batch_without_weight_has_a_zero_gradient():
    objective, parameters = make_objective(weights="weights")
    objective.weight[:, :8] = 0
    gradient = np.full_like(parameters, 7.0)
    step = objective.step(parameters, gradient, 8)
    step.load(np.arange(8))
    assert not step.loss_and_gradient().any() and not gradient.any()


# ------------------------------------------------------------------------ gradient accumulation


@pytest.mark.parametrize("given_total", [False, True])
@pytest.mark.parametrize("n_rows", [1, 7, 16, 17, 40])
@pytest.mark.parametrize("weights", ["no weights", "weights", "weights of members, with zeros"])
def test_an_accumulated_step_equals_one_of_the_whole_batch(monkeypatch, weights, n_rows, given_total):
    monkeypatch.setattr(step_module, "MICRO_BATCH", 16)
    monkeypatch.setattr(step_module, "SHAPE_STEP", 4)
    objective, parameters = make_objective(weights=weights)
    total = objective.total_weight() if given_total else None
    gradients = np.empty((2, *parameters.shape))
    rows = RNG(1).permutation(N)[:n_rows]
    whole = LocalStep(objective, parameters, gradients[0], n_rows, total=total)
    parts = AccumulatedStep(objective, parameters, gradients[1], total=total)
    whole.load(rows), parts.load(rows)
    np.testing.assert_allclose(parts.loss_only(), whole.loss_only(), rtol=1e-12)
    np.testing.assert_allclose(parts.loss_and_gradient(), whole.loss_and_gradient(), rtol=1e-12)
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(parts.total_weight(), whole.total_weight(), rtol=1e-12)


@pytest.mark.parametrize("weights", ["no weights", "weights"])
def test_a_large_batch_is_cut_into_micro_batches(monkeypatch, weights):
    objective, parameters = make_objective(weights=weights)
    gradients, rows = np.empty((2, *parameters.shape)), RNG(1).permutation(N)
    whole = objective.step(parameters, gradients[0], N)
    monkeypatch.setattr(step_module, "LARGE_BATCH", N - 1)
    monkeypatch.setattr(step_module, "MICRO_BATCH", 16)
    parts = objective.step(parameters, gradients[1], N)
    assert isinstance(whole, LocalStep) and isinstance(parts, AccumulatedStep)
    whole.load(rows), parts.load(rows)
    np.testing.assert_allclose(parts.loss_and_gradient(), whole.loss_and_gradient(), rtol=1e-12)
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(parts.total_weight(), whole.total_weight(), rtol=1e-12)


def test_micro_batches_have_few_shapes(monkeypatch):
    monkeypatch.setattr(step_module, "MICRO_BATCH", 16)
    monkeypatch.setattr(step_module, "SHAPE_STEP", 8)
    objective, parameters = make_objective(weights="weights")
    bound, bind = set(), Network.bind

    def note(self, parameters, gradient, batch, *args):
        bound.add(len(batch))
        return bind(self, parameters, gradient, batch, *args)

    monkeypatch.setattr(Network, "bind", note)
    step = AccumulatedStep(objective, parameters, np.empty_like(parameters))
    for n_rows in range(1, N + 1):
        step.load(np.arange(n_rows))
        step.loss_and_gradient()
    assert bound == {8, 16}


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("n_threads", [2, 3, 9])
def test_threads_share_micro_batches_and_change_no_bit(monkeypatch, weights, n_threads):
    """The sums of three micro-batches are added in the order of the rows, whichever thread computes them."""
    monkeypatch.setattr(parallel, "MIN_WORK", 0)
    monkeypatch.setattr(step_module, "LARGE_BATCH", 16)
    monkeypatch.setattr(step_module, "MICRO_BATCH", 16)
    objective, parameters = make_objective(weights=weights)
    gradients, losses = np.empty((2, *parameters.shape)), []
    with Threads(n_threads) as threads:
        for gradient, own in zip(gradients, (objective, objective.with_threads(threads)), strict=True):
            step = own.step(parameters, gradient, N)
            for seed in (1, 2):
                step.load(RNG(seed).permutation(N))
                losses += [step.loss_and_gradient().tolist(), step.loss_only().tolist(), step.total_weight().tolist()]
    np.testing.assert_array_equal(*gradients)
    assert losses[:6] == losses[6:]


def test_threads_have_no_more_buffers_than_there_are_micro_batches(monkeypatch):
    monkeypatch.setattr(parallel, "MIN_WORK", 0)
    monkeypatch.setattr(step_module, "MICRO_BATCH", 16)
    monkeypatch.setattr(step_module, "SHAPE_STEP", 16)
    objective, parameters = make_objective()
    bound, bind = [], Network.bind
    monkeypatch.setattr(Network, "bind", lambda *args: bound.append(args) or bind(*args))
    with Threads(16) as threads:
        step = AccumulatedStep(objective.with_threads(threads), parameters, np.empty_like(parameters))
        for _ in range(2):
            step.load(np.arange(N))
            step.loss_and_gradient()
    assert len(bound) == 3


def test_short_micro_batches_stay_in_one_thread(monkeypatch):
    """A meeting of threads after each would take longer than they do."""
    monkeypatch.setattr(step_module, "MICRO_BATCH", 16)
    objective, parameters = make_objective()
    seen, load = set(), LocalStep.load
    monkeypatch.setattr(LocalStep, "load", lambda *args: seen.add(current_thread()) or load(*args))
    with Threads(3) as threads:
        step = AccumulatedStep(objective.with_threads(threads), parameters, np.empty_like(parameters))
        step.load(np.arange(N))
        step.loss_and_gradient()
    assert seen == {current_thread()}


@pytest.mark.parametrize(
    ("n_rows", "sizes"),
    [
        (0, []),
        (1, [1]),
        (256, [256]),
        (257, [160, 97]),
        (520, [192, 192, 136]),
        (1024, [256] * 4),
        (800, [224] * 3 + [128]),
    ],
)
def test_micro_batches_have_about_equal_sizes(n_rows, sizes):
    parts = step_module._cut(np.arange(n_rows))
    assert [len(part) for part in parts] == sizes
    assert np.concatenate([*parts, []]).tolist() == list(range(n_rows))


def test_a_batch_without_rows_has_a_zero_gradient():
    """A worker of a cluster may have no row of a batch."""
    objective, parameters = make_objective(weights="weights")
    gradient = np.full_like(parameters, 7.0)
    step = AccumulatedStep(objective, parameters, gradient)
    step.load(np.empty(0, dtype=int))
    assert not step.loss_and_gradient().any() and not gradient.any() and step.total_weight().tolist() == [0]


def test_gradients_are_divided_in_place():
    gradient = np.array([[2.0, 4.0], [3.0, 6.0]])
    divide_by_weight(gradient, np.array([2.0, 3.0]))
    assert gradient.tolist() == [[1, 2], [1, 2]]
    divide_by_weight(gradient, np.array([0.5]))
    assert gradient.tolist() == [[2, 4], [2, 4]]
    single = np.zeros((1, 2), np.float32)
    divide_by_weight(single, np.zeros(1))
    assert single.dtype == np.float32 and not single.any()


def test_batches_of_more_than_512_rows_are_cut_into_parts_of_256():
    assert [n_micro_batches(n) for n in (1, 256, 512, 513, 768, 1024, 8192)] == [1, 1, 1, 3, 3, 4, 32]
