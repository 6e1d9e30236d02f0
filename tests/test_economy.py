"""What makes a training step fast and can be counted: calls, allocations, copies, the size of a pickle."""

import pickle
import tracemalloc
from collections import Counter

import numpy as np
import pytest

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor, activations, layers, losses, network, optimizers
from skscratch import training as training_module
from skscratch.activations import ACTIVATIONS
from skscratch.losses import make_loss
from skscratch.network import build
from skscratch.optimizers import SGD, Adam
from skscratch.solving import small_buffers
from skscratch.table import Table, Targets
from skscratch.training import Data, Recipe, State, Step, train

ROWS = 64


class Counted:
    """NumPy, but for counting the calls of its functions and of ufuncs' methods."""

    def __init__(self, calls, owner=np, name=""):
        self._calls, self._owner, self._name = calls, owner, name

    def __getattr__(self, name):
        value = getattr(self._owner, name)
        if isinstance(value, type) or not callable(value):
            return value
        return Counted(self._calls, value, f"{self._name}.{name}")

    def __call__(self, *args, **kwargs):
        self._calls[self._name] += 1
        return self._owner(*args, **kwargs)


def make_step(hidden=(32, 16), activation="relu", n_out=1, loss="squared_error", link="identity", n_members=1):
    rng = np.random.RandomState(0)
    net = build(10, (), hidden, n_out, [activation] * len(hidden))
    parameters = np.zeros((n_members, net.layout.size), np.float32)
    net.initialise(parameters, rng)
    X = rng.normal(size=(500, 10)).astype(np.float32)
    if loss == "log_loss" and link == "softmax":
        targets = Targets(rng.randint(0, n_out, 500).astype(np.int32), np.eye(n_out, dtype=np.float32))
    else:
        targets = Targets(rng.randint(0, 2, size=(500, n_out)).astype(np.float32))
    data = Data(Table(X), targets)
    step = Step(net, make_loss(loss, link), parameters, np.empty_like(parameters), data, ROWS)
    return step, parameters, step.bound


def counted_step(monkeypatch, **options):
    """Calls of NumPy in loading and running one batch, by function."""
    calls = Counter()
    for module in (activations, layers, losses, network, training_module):
        monkeypatch.setattr(module, "np", Counted(calls))
    step, _, _ = make_step(**options)
    step.load(np.arange(ROWS))
    calls.clear()
    step.run()
    return calls


def test_calls_of_a_step_of_regression(monkeypatch):
    calls = counted_step(monkeypatch)
    # forward: 3 products, 3 biases, 2 activations; loss: 4 calls, its weighted sum, and the division by the total;
    # backward: 3 x (weights, biases), 2 inputs, 2 x 2 for ReLU
    assert sum(calls.values()) == 3 + 3 + 2 + 4 + 2 + 6 + 2 + 4, calls
    assert calls[".dot"] == 3 + 1 + 6 + 2 and ".matmul" not in calls


def test_calls_of_a_step_of_classification(monkeypatch):
    calls = counted_step(monkeypatch, n_out=5, loss="log_loss", link="softmax")
    # the same, with 12 calls for softmax and its loss, and a product for the input of the last layer
    assert sum(calls.values()) == 3 + 3 + 2 + 12 + 2 + 6 + 2 + 4, calls


def test_members_take_no_more_calls(monkeypatch):
    lone, several = counted_step(monkeypatch, n_members=1), counted_step(monkeypatch, n_members=8)
    assert sum(several.values()) == sum(lone.values())
    assert several[".matmul"] == lone[".dot"] - 1  # a column times a row is a multiplication there


@pytest.mark.parametrize(("optimizer", "calls_expected"), [(Adam, 10), (SGD, 6)])
def test_calls_of_an_optimizer(monkeypatch, optimizer, calls_expected):
    calls = Counter()
    p, g = np.ones((1, 100)), np.ones((1, 100))
    chosen = optimizer(p)
    monkeypatch.setattr(optimizers, "np", Counted(calls))
    chosen.step(p, g, 0.1)
    assert sum(calls.values()) == calls_expected, calls


def peak(function) -> int:
    """Bytes allocated at most while `function` runs, beyond what there was."""
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
    step, parameters, _ = make_step((128, 128), activation, n_members=n_members, **options)
    optimizer, rows = Adam(parameters), np.arange(ROWS)

    def run():
        step.load(rows)
        step.run()
        optimizer.step(parameters, step.gradient, 1e-3)

    with small_buffers():
        run()
        # one hidden layer's output is 32 kB a member: anything of that size would show
        assert peak(run) < 12_000


def test_a_warm_epoch_allocates_no_more_than_its_order():
    rng = np.random.RandomState(0)
    step, parameters, _ = make_step((128, 128))
    recipe = Recipe(rate=1e-3, schedule=lambda u: 1.0, batch_size=ROWS, weight_decay=0.1, alpha=1e-3)
    state = State(parameters, Adam(parameters), rng, end=10**6)
    peaks = []

    def monitor(record):
        peaks.append(tracemalloc.get_traced_memory()[0])
        return record.epoch == 6

    tracemalloc.start()
    try:
        train(step.network, make_loss("squared_error", "identity"), step.data, state, recipe, 100, monitor)
    finally:
        tracemalloc.stop()
    # the order of 500 rows takes 4 kB; what stays from epoch to epoch must not grow
    assert max(peaks[2:]) - min(peaks[2:]) < 8192


def test_fit_copies_no_table_that_serves_as_it_is():
    X = np.random.RandomState(0).normal(size=(20_000, 50)).astype(np.float32)  # 4 MB
    y = X[:, 0]
    model = ScratchMLPRegressor((4,), max_iter=1, scale_features=False, dtype="float32", random_state=0)
    model.fit(X[:100], y[:100])  # what is imported at the first call is not the fit's
    used = peak(lambda: model.fit(X, y))
    assert used < 0.4 * X.nbytes, used / X.nbytes  # y in two precisions, their order, a mask of missing values


def test_predict_takes_rows_in_chunks():
    X = np.random.RandomState(0).normal(size=(50_000, 10)).astype(np.float32)
    model = ScratchMLPRegressor((256,), max_iter=1, scale_features=False, dtype="float32").fit(X[:500], X[:500, 0])
    # all rows of the hidden layer at once would take 51 MB; the result alone takes 0.6, and a chunk 2.3
    assert peak(lambda: model.predict(X)) < 6e6


@pytest.mark.parametrize("kind", [ScratchMLPClassifier, ScratchMLPRegressor])
@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"n_members": 3}], ids=str)
def test_a_pickle_is_little_more_than_the_weights(kind, options):
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(300, 20)), rng.randint(0, 3, 300)
    model = kind((200, 200), max_iter=2, random_state=0, **options).fit(X, y)
    weights = sum(array.nbytes for array in (*model.coefs_, *model.intercepts_))
    assert len(pickle.dumps(model)) < 1.1 * weights + 10_000
    # what a continued training needs is kept where it is asked for
    assert len(pickle.dumps(model.set_params(warm_start=True))) > 3 * weights
