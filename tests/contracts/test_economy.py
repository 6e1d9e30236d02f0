"""Costs that can be counted: calls and allocations of a training step, copies of a table, the size of a pickle."""

import pickle
import tracemalloc
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.estimators import plan
from skscratch.nn.activations import ACTIVATIONS
from skscratch.nn.batch import Table, Targets
from skscratch.nn.losses import make_loss
from skscratch.nn.network import build
from skscratch.nn.tape import Tape
from skscratch.training import optimizers
from skscratch.training.epoch import StepSettings
from skscratch.training.listeners import Listener
from skscratch.training.loop import train
from skscratch.training.objective import Objective
from skscratch.training.optimizers import SGD, Adam
from skscratch.training.parallel import Threads
from skscratch.training.state import Progress, TrainingState
from skscratch.training.step import LocalStep
from skscratch.training.threads import training_context
from tests.helpers.plain import plain

ROWS = 64


def make_step(hidden=(32, 16), activation="relu", n_out=1, loss="squared_error", link="identity", n_members=1):
    rng = np.random.RandomState(0)
    net = build(10, (), hidden, n_out, [activation] * len(hidden))
    parameters = np.zeros((n_members, net.layout.size), np.float32)
    net.initialise(parameters, rng)
    X = np.column_stack([rng.normal(size=(500, 10)), np.ones(500)]).astype(np.float32)
    if loss == "log_loss" and link == "softmax":
        targets = Targets(rng.randint(0, n_out, 500).astype(np.int32), np.eye(n_out, dtype=np.float32))
    else:
        targets = Targets(rng.randint(0, 2, size=(500, n_out)).astype(np.float32))
    objective = Objective(net, make_loss(loss, link), Table(X, ones=True), targets)
    return LocalStep(objective, parameters, np.empty_like(parameters), ROWS), parameters


def counted_step(**options) -> Counter:
    """Calls of one step, by function."""
    step, _ = make_step(**options)
    return Counter(getattr(do.func, "__name__", "").strip("_") for do in (*step.forward, *step.backward))


def test_number_of_calls_of_a_regression_step():
    calls = counted_step()
    # forward: 3 products, 2 biases (the first is in its product), 2 activations; loss: 3 calls and its weighted sum;
    # backward: the division by the total, 3 x weights, 2 biases, 2 inputs, 2 x 3 for ReLU
    assert calls.total() == 3 + 2 + 2 + 3 + 1 + 1 + 3 + 2 + 2 + 6, calls
    assert calls["dot"] == 3 + 1 + 3 + 2 + 2 and "matmul" not in calls


def test_number_of_calls_of_a_classification_step():
    # the same, with 13 calls for softmax and its loss
    assert counted_step(n_out=5, loss="log_loss", link="softmax").total() == 3 + 2 + 2 + 13 + 1 + 1 + 3 + 2 + 2 + 6


def test_members_need_no_more_calls():
    single, several = counted_step(n_members=1), counted_step(n_members=8)
    assert several.total() == single.total()
    assert several["matmul"] == single["dot"] - 1  # a column times a row is a call of np.multiply


@pytest.mark.parametrize("rates", [None, np.ones(100)], ids=["no factors", "factors"])
@pytest.mark.parametrize(("optimizer", "calls_expected"), [(Adam, 10), (SGD, 6)])
def test_number_of_calls_of_an_optimizer(monkeypatch, optimizer, calls_expected, rates):
    tape = Tape()
    monkeypatch.setattr(optimizers, "Tape", lambda: tape)
    p, g = np.ones((1, 100)), np.ones((1, 100))
    optimizer(p).bind(p, g, rates)
    assert len(tape) == calls_expected + (rates is not None), tape


def peak(function) -> int:
    """The largest number of bytes that `function` allocates at a time."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        function()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
@pytest.mark.parametrize("n_members", [1, 3])
def test_a_warm_step_allocates_next_to_nothing(activation, task, n_members):
    options = {
        "regression": {},
        "binary": {"loss": "log_loss", "link": "logistic"},
        "multiclass": {"loss": "log_loss", "link": "softmax", "n_out": 7},
    }[task]
    step, parameters = make_step((128, 128), activation, n_members=n_members, **options)
    move, rows = Adam(parameters).bind(parameters, np.ones_like(parameters)), np.arange(ROWS)

    def run():
        step.load(rows)
        step.loss_and_gradient()
        move(1e-3, 1)

    with training_context():
        run()
        # one hidden layer's output is 32 kB a member: anything of that size would show
        assert peak(run) < 12_000


@pytest.mark.parametrize(("n_members", "n_threads"), [(1, 1), (4, 1), (4, 2)])
def test_a_warm_epoch_allocates_no_more_than_its_order(n_members, n_threads):
    rng = np.random.RandomState(0)
    step, parameters = make_step((128, 128), n_members=n_members)
    settings = StepSettings(1e-3, schedule=lambda u: 1.0, batch_size=ROWS, weight_decay=0.1, alpha=1e-3)
    state = TrainingState(parameters, Adam(parameters), rng, Progress(end=10**6))
    peaks = []

    class Noting(Listener):
        def on_epoch_end(self, record):
            peaks.append(tracemalloc.get_traced_memory()[0])
            return record.epoch == 6

    tracemalloc.start()
    try:
        with Threads(n_threads) as threads:
            train(step.objective.with_threads(threads), state, settings, 100, Noting())
    finally:
        tracemalloc.stop()
    # the order of 500 rows takes 4 kB; the memory that is kept from epoch to epoch must not grow
    assert max(peaks[2:]) - min(peaks[2:]) < 8192


def test_fit_does_not_copy_a_table_that_needs_no_encoding():
    X = np.random.RandomState(0).normal(size=(20_000, 50)).astype(np.float32)  # 4 MB
    y = X[:, 0]
    options = {"hidden_layer_sizes": (4,), "max_iter": 1, "scale_features": False, "dtype": "float32"}
    model = plain(ScratchMLPRegressor, **options, random_state=0)
    model.fit(X[:100], y[:100])  # the first call imports modules
    used = peak(lambda: model.fit(X, y))
    assert used < 0.4 * X.nbytes, used / X.nbytes  # y in two precisions, their order, a mask of missing values


FORMS = {
    "C order": np.ascontiguousarray,
    "Fortran order": np.asfortranarray,
    "float64": lambda X: X.astype(np.float64),
    "DataFrame": lambda X: pd.DataFrame(X).add_prefix("x"),
}


@pytest.mark.parametrize("keeps_the_encoded_table", [True, False])
@pytest.mark.parametrize(
    ("form", "kind"), [("C order", ScratchMLPClassifier), *[(form, ScratchMLPRegressor) for form in FORMS]]
)
def test_a_fit_needs_at_most_half_of_a_single_precision_table_beside_its_encoded_rows(
    monkeypatch, form, kind, keeps_the_encoded_table
):
    monkeypatch.setattr(plan, "LAZY_WORK", np.inf if keeps_the_encoded_table else 0)
    X = np.random.RandomState(0).normal(size=(20_000, 100)).astype(np.float32)  # 8 MB
    y = X[:, 0] > 0 if kind is ScratchMLPClassifier else X[:, 0]
    table, half = FORMS[form](X), X.nbytes / 2
    model = kind((4,), max_iter=1, random_state=0, n_jobs=1)
    model.fit(table[:2000], y[:2000])  # the first call imports modules
    used = peak(lambda: model.fit(table, y))
    width = model.coefs_[0].shape[1]
    kept = len(X) * (width + 1) * 4 if keeps_the_encoded_table else 0
    assert used < kept + half + 2e6, (used - kept) / X.nbytes  # the buffers of a batch take less than 2 MB
    assert used > kept  # the encoded table is what it takes to be
    assert peak(lambda: model.predict(table)) < half + 2e6


def test_a_large_batch_without_weights_allocates_none():
    n = 200_000  # weights of all rows would take 1.6 MB
    network = build(3, (), (4,), 1, ["relu"])
    parameters = np.zeros((1, network.layout.size))
    table, targets = Table(np.zeros((n, 3))), Targets(np.zeros((n, 1)))
    objective = Objective(network, make_loss("squared_error", "identity"), table, targets)

    def run():
        step = objective.step(parameters, np.empty_like(parameters), 2048)
        step.load(np.arange(2048))
        step.loss_and_gradient()

    run()
    assert peak(run) < 0.3e6  # buffers of 512 rows


def test_predict_processes_rows_in_chunks():
    X = np.random.RandomState(0).normal(size=(50_000, 10)).astype(np.float32)
    options = {"hidden_layer_sizes": (256,), "max_iter": 1, "scale_features": False, "dtype": "float32"}
    model = plain(ScratchMLPRegressor, **options).fit(X[:500], X[:500, 0])
    # all rows of the hidden layer at once would take 51 MB; the result alone takes 0.6, and a chunk 2.3
    assert peak(lambda: model.predict(X)) < 6e6


@pytest.mark.parametrize("kind", [ScratchMLPClassifier, ScratchMLPRegressor])
@pytest.mark.slow
def test_the_memory_of_predict_does_not_grow_with_the_rows(kind):
    """At the defaults, with bins: the encoded table of 100,000 rows would take 20 MB."""
    X = np.random.RandomState(0).normal(size=(100_000, 10)).astype(np.float32)
    model = kind(max_iter=1, random_state=0).fit(X[:500], X[:500, 0] > 0)
    assert model.coefs_[0].shape[1] >= 50
    some, all_rows = (peak(lambda n=n: model.predict(X[:n])) for n in (50_000, 100_000))
    assert all_rows - some < 2.5e6  # of the result, 0.6 MB in its final type and as much in that of the network


@pytest.mark.parametrize("kind", [ScratchMLPClassifier, ScratchMLPRegressor])
@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"n_members": 3}], ids=str)
def test_a_pickle_is_little_more_than_the_weights(kind, options):
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(300, 20)), rng.randint(0, 3, 300)
    model = kind((200, 200), max_iter=2, random_state=0, **options).fit(X, y)
    weights = sum(array.nbytes for array in (*model.coefs_, *model.intercepts_))
    assert len(pickle.dumps(model)) < 1.1 * weights + 10_000
    # with warm_start, the state of training is kept too
    assert len(pickle.dumps(model.set_params(warm_start=True))) > 3 * weights
