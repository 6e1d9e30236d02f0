"""LazyEpoch: steps that touch only the vectors of their batch, against an Epoch that moves all of them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding.out_of_core import LazyTable
from skscratch.nn.batch import Table
from skscratch.training import parallel
from skscratch.training import step as step_module
from skscratch.training.lazy_epoch import LazyEpoch
from skscratch.training.optimizers import SGD, Adam
from skscratch.training.schedules import SCHEDULES
from tests.helpers.gradients import WEIGHTS
from tests.helpers.training import N, SquaredError, Training, assert_same_bits, interrupt, nan_loss, run_diverging

CATEGORIES = (40, 9)
OPTIONS = {"categories": CATEGORIES, "n_members": 3, "schedule": SCHEDULES["cosine"]}


@pytest.fixture
def micro_batches(monkeypatch):
    """Batches that are cut into micro-batches of four rows."""
    monkeypatch.setattr(step_module, "LARGE_BATCH", 4)
    monkeypatch.setattr(step_module, "MICRO_BATCH", 4)
    monkeypatch.setattr(parallel, "MIN_WORK", 0)


def assert_close(a, b, rtol=1e-9):
    """Assert that two trainings are in the same state, but for rounding."""
    pairs = [(a.parameters, b.parameters), *zip(a.state.optimizer.state, b.state.optimizer.state, strict=True)]
    for x, y in pairs:
        np.testing.assert_allclose(x, y, rtol=rtol, atol=1e-12)
    np.testing.assert_allclose(a.losses, b.losses, rtol=rtol)
    assert a.learning_rates == b.learning_rates


# ------------------------------------------------------------------------ the same training


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("batch_size", [1, 8, N, 100])
@pytest.mark.parametrize(
    "options",
    [{}, {"alpha": 0.3}, {"weight_decay": 0.1, "clip_norm": 0.01}, {"dropout": 0.4}],
    ids=["plain", "penalty of weights", "decay and clipping", "dropout"],
)
def test_it_equals_an_epoch_of_all_vectors(options, batch_size, weights):
    """Epsilon is too small to matter: it is the one thing that skipped steps treat in another way."""
    every, some = (Training(**OPTIONS, **options, weights=weights, batch_size=batch_size) for _ in range(2))
    for training in (every, some):
        training.state.optimizer.epsilon = 1e-30
    every.run(4), some.run(4, epoch_type=LazyEpoch)
    assert_close(every, some)
    assert every.state.progress.first_loss == pytest.approx(some.state.progress.first_loss)


def test_it_equals_an_epoch_of_micro_batches(micro_batches):
    every, some = (Training(**OPTIONS, batch_size=10) for _ in range(2))
    for training in (every, some):
        training.state.optimizer.epsilon = 1e-30
    every.run(4), some.run(4, epoch_type=LazyEpoch)
    assert_close(every, some)


def test_codes_that_no_row_has_keep_their_vectors():
    training = Training(**OPTIONS, category_penalty=0.5)
    training.run(3, epoch_type=LazyEpoch)
    objective = training.objective
    chosen = objective.table.codes + objective.network.layers[0].first_vectors
    (before,) = (objective.network.layout.views(training.initial)[0].E,)
    (after,) = (objective.network.layout.views(training.parameters)[0].E,)
    others = np.setdiff1d(np.arange(before.shape[1]), chosen)
    assert len(others)
    np.testing.assert_array_equal(after[:, others], before[:, others])
    assert (after[:, np.unique(chosen)] != before[:, np.unique(chosen)]).all()


# ------------------------------------------------------------------------ the penalty


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_batch_of_all_rows_has_the_penalty_of_an_epoch_of_all_vectors(weights):
    """Each batch has each category that occurs, so that P = 1."""
    every, some = (Training(**OPTIONS, weights=weights, batch_size=N, category_penalty=0.7) for _ in range(2))
    every.run(1), some.run(1, epoch_type=LazyEpoch)
    chosen = np.unique(every.objective.table.codes + every.objective.network.layers[0].first_vectors)
    for x, y in ((every.parameters, some.parameters), (every.state.optimizer.m, some.state.optimizer.m)):
        x, y = (every.objective.network.layout.views(a)[0].E[:, chosen] for a in (x, y))
        np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-12)
    assert every.losses == pytest.approx(some.losses)


def test_the_mean_penalty_is_that_of_all_steps():
    """Without a loss, the pull on a vector is λ E / Σ w in the mean of all steps: here for 1, 2 and 20 rows."""
    flat = SquaredError(call="every", act=lambda value, slope: (value, 0 * slope))
    training = Training(flat, categories=(3,), category_penalty=0.7, batch_size=5, learning_rate=0.0)
    codes = training.objective.table.codes
    codes[:, 0] = [0] + [1] * 2 + [2] * 20
    pulls = []

    class Noted(LazyEpoch):
        def advance(self, step, rows, rate, count):
            loss, network = super().advance(step, rows, rate, count), self._vectors.network
            (gradient,) = network.layout.views(self.gradient)[0].E
            present = np.unique(codes[rows])
            pulls.append(np.zeros((4, 8)))
            pulls[-1][present] = gradient[network.layers[0].places[present]]
            return loss

    training.run(400, epoch_type=Noted)
    vectors = training.objective.network.layout.views(training.initial)[0].E[0]
    ratio = np.mean(pulls, axis=0)[:3] / (0.7 * vectors[:3] / N)
    # the number of batches of an epoch that have both rows of category 1 varies; its mean does so by a hundredth
    np.testing.assert_allclose(ratio, np.ones((3, 8)), rtol=0.03)
    np.testing.assert_allclose(ratio[0], 1, rtol=1e-9)


# ------------------------------------------------------------------------ parts, interruptions, threads


@pytest.mark.parametrize("dropout", [0.0, 0.4])
def test_training_in_parts_gives_the_same_bits(dropout):
    options = OPTIONS | {"dropout": dropout, "category_penalty": 0.2}
    whole, parts = Training(**options).run(6, epoch_type=LazyEpoch), Training(**options)
    for stop_at in (1, 2, 5, 6):
        parts.run(stop_at, epoch_type=LazyEpoch)
    assert_same_bits(whole, parts)
    assert whole.losses == parts.losses


@pytest.mark.parametrize("call", [1, 2, 7, 9, 10], ids=lambda n: f"call {n}")
def test_an_interrupted_training_continues_with_the_same_bits(call):
    options = OPTIONS | {"category_penalty": 0.2, "n_members": 1}
    whole = Training(SquaredError(), **options).run(6, epoch_type=LazyEpoch)
    broken = Training(SquaredError(call, interrupt), **options)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        broken.run(6, epoch_type=LazyEpoch)
    before = Training(SquaredError(), **options).run((call - 1) // 3, epoch_type=LazyEpoch)
    for x, y in zip(
        (broken.parameters, *broken.state.optimizer.state),
        (before.parameters, *before.state.optimizer.state),
        strict=True,
    ):
        np.testing.assert_array_equal(x, y)
    broken.run(6, epoch_type=LazyEpoch)
    assert_same_bits(whole, broken)


def test_an_epoch_that_diverges_runs_again_with_a_smaller_rate():
    training = Training(SquaredError(4, nan_loss), **(OPTIONS | {"n_members": 1}))
    original = training.run
    training.run = lambda stop_at, n_threads=1: original(stop_at, n_threads=n_threads, epoch_type=LazyEpoch)
    assert "in epoch 2" in run_diverging(training)
    assert training.state.rate_factor == 0.25
    other = Training(SquaredError(), **(OPTIONS | {"n_members": 1}))
    other.run(1, epoch_type=LazyEpoch)
    other.state.rate_factor = 0.25
    other.run(6, epoch_type=LazyEpoch)
    np.testing.assert_array_equal(training.parameters, other.parameters)


@pytest.mark.parametrize("n_threads", [2, 3, 7])
@pytest.mark.parametrize("cut", [False, True], ids=["small batches", "micro-batches"])
def test_the_number_of_threads_changes_no_bit(n_threads, cut, request):
    if cut:
        request.getfixturevalue("micro_batches")
    options = OPTIONS | {"n_members": 5, "batch_size": 10, "category_penalty": 0.2}
    alone, threaded = (Training(**options) for _ in range(2))
    alone.run(4, epoch_type=LazyEpoch), threaded.run(4, n_threads=n_threads, epoch_type=LazyEpoch)
    assert_same_bits(alone, threaded)
    assert alone.losses == threaded.losses


# ------------------------------------------------------------------------ where it is used


@pytest.mark.parametrize(
    ("categories", "batch_size", "optimizer", "expected"),
    [
        ((100,), 2, Adam, True),
        ((100,), 20, Adam, False),  # an epoch of two steps
        ((4,), 2, Adam, False),  # few vectors
        ((100,), 2, SGD, False),
        ((100,), 2, lambda p: Adam(p, 0.9, 0.5), False),  # whose skipped steps would grow
        ((), 2, Adam, False),
    ],
)
def test_it_pays_for_many_vectors_and_many_steps(categories, batch_size, optimizer, expected):
    training = Training(categories=categories)
    assert LazyEpoch.pays(training.objective, optimizer(training.parameters), batch_size) is expected


def test_it_needs_codes_in_memory():
    training = Training(categories=(100,))
    lazy = LazyTable(training.objective.table.X, Table)
    assert not LazyEpoch.pays(replace(training.objective, table=lazy), training.state.optimizer, 2)


@pytest.mark.parametrize("estimator", [ScratchMLPClassifier, ScratchMLPRegressor])
def test_an_estimator_uses_it_for_a_column_of_many_names(estimator, monkeypatch):
    """A fit with it predicts what a fit that moves all vectors predicts, up to the rounding of single precision."""
    rng, used, fits = np.random.RandomState(0), [], []
    X = pd.DataFrame({"x": rng.normal(size=600), "name": [f"n{i}" for i in rng.randint(0, 300, 600)]})
    y = (X["x"] + rng.normal(size=600) > 0).to_numpy()
    run, pays = LazyEpoch.run, LazyEpoch.pays
    monkeypatch.setattr(LazyEpoch, "run", lambda self, order: used.append(len(order)) or run(self, order))
    for rule in (pays, lambda *args: False):
        monkeypatch.setattr(LazyEpoch, "pays", staticmethod(rule))
        model = estimator(n_members=1, max_iter=2, early_stopping=False, category_penalty=0.0, batch_size=20)
        fits.append(model.set_params(random_state=0).fit(X, y))
        assert used == [600, 600]
    scores = [getattr(fit, "predict_proba", fit.predict)(X) for fit in fits]
    np.testing.assert_allclose(*scores, rtol=0, atol=1e-4)
