"""A small training that tests of the loop, of its state and of its listeners run, and custom losses that disturb it."""

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from skscratch.nn.batch import Table, Targets
from skscratch.nn.losses import make_loss
from skscratch.nn.network import build
from skscratch.training.epoch import Epoch, StepSettings
from skscratch.training.listeners import Listener
from skscratch.training.loop import train
from skscratch.training.objective import Objective
from skscratch.training.optimizers import SGD, Adam
from skscratch.training.parallel import Threads
from skscratch.training.schedules import SCHEDULES
from skscratch.training.state import Progress, TrainingState
from skscratch.training.step import LocalStep
from tests.helpers.gradients import WEIGHTS, make_case, make_network, make_table

N = 23  # rows
OPTIMIZERS = {"adam": Adam, "sgd": lambda p: SGD(p, 0.0, False), "nesterov": SGD}


class SquaredError:
    """The squared error as a custom loss, which keeps the targets that it sees.

    ``act(value, slope)`` replaces the result of the call number `call`, counted from 1, or of every call.
    """

    def __init__(self, call=None, act=None):
        self.call, self.act, self.calls, self.seen = call, act, 0, []

    def __call__(self, t, z):
        self.calls += 1
        self.seen.append(t[:, 0].copy())
        value, slope = (0.5 * (z - t) ** 2).sum(axis=1), z - t
        if self.call is not None and self.call in (self.calls, "every"):
            return self.act(value, slope)
        return value, slope


def interrupt(value, slope):
    raise KeyboardInterrupt


def nan_loss(value, slope):
    return value * np.nan, slope


def infinite_gradient(value, slope):
    return value, slope * np.inf


class Training(Listener):
    """A small training, which is the listener of its own loop and can be continued by calling `run` again."""

    def __init__(
        self,
        loss=None,
        n_members=1,
        weights="no weights",
        dropout=0.0,
        solver="adam",
        dtype=np.float64,
        categories=(),
        **settings,
    ):
        rng = np.random.RandomState(0)
        network = build(3, categories, (5,), 1, ["tanh"], dropout=dropout)
        table = make_table(rng, N)
        codes = np.column_stack([rng.randint(0, c + 1, N) for c in categories]) if categories else None
        targets = Targets((np.arange(N)[:, None] / N).astype(dtype))  # the target identifies the row
        weight = WEIGHTS[weights](rng, N, n_members)
        weight = None if weight is None else weight.astype(dtype)
        loss = make_loss("squared_error" if loss is None else loss, None)
        self.objective = Objective(network, loss, Table(table.X.astype(dtype), codes), targets, weight)
        parameters = np.zeros((n_members, network.layout.size), dtype)
        network.initialise(parameters, rng)
        n_embedded = network.layout.n_embedded
        parameters[:, network.layout.size - n_embedded :] = rng.normal(size=(n_members, n_embedded))
        self.initial = parameters.copy()
        optimizer = OPTIMIZERS[solver](parameters)
        self.state = TrainingState(parameters, optimizer, np.random.RandomState(1), Progress(end=6))
        settings = {"learning_rate": 0.05, "schedule": SCHEDULES["constant"], "batch_size": 8} | settings
        self.settings = StepSettings(**settings)
        self.records, self.stopped, self.stop = [], None, lambda record: False

    def on_epoch_end(self, record):
        self.records.append(record)
        return self.stop(record)

    def run(self, stop_at=6, stop=None, n_threads=1, epoch_type=Epoch):
        self.stop = stop or (lambda record: False)
        with np.errstate(all="ignore"), Threads(n_threads) as threads:  # as fit_network does
            objective = self.objective.with_threads(threads)
            self.stopped = train(objective, self.state, self.settings, stop_at, self, epoch_type)
        return self

    @property
    def parameters(self):
        return self.state.parameters

    @property
    def weight(self):
        return self.objective.weight

    @property
    def losses(self):
        return [record.loss for record in self.records]

    @property
    def learning_rates(self):
        return [record.learning_rate for record in self.records]

    def raw_scores(self):
        """Raw scores (K, n, 1) of the initial parameters."""
        return self.objective.network.scores(self.initial, self.objective.table)

    def mean_losses_and_gradient(self, rows=None, parameters=None):
        """Mean losses (K,) and gradient (K, P) of these rows, by default of all, at the initial parameters."""
        rows = np.arange(N) if rows is None else rows
        p = self.initial if parameters is None else parameters
        gradient = np.empty_like(p)
        step = LocalStep(self.objective, p, gradient, len(rows))
        step.load(rows)
        total = step.total_weight()
        return step.loss_and_gradient() / total, gradient


def assert_same_bits(a, b):
    """Assert that two trainings are in the same state, to the bit."""
    np.testing.assert_array_equal(a.parameters, b.parameters)
    for x, y in zip(a.state.optimizer.state, b.state.optimizer.state, strict=True):
        np.testing.assert_array_equal(x, y)
    assert a.state.progress.epoch == b.state.progress.epoch
    assert a.state.progress.n_seen == b.state.progress.n_seen
    assert a.state.rate_factor == b.state.rate_factor
    assert a.state.optimizer.count == b.state.optimizer.count
    np.testing.assert_array_equal(a.state.progress.order, b.state.progress.order)
    np.testing.assert_array_equal(a.state.rng.get_state()[1], b.state.rng.get_state()[1])


def run_diverging(training, stop_at=6, n_threads=1):
    """Run a training that must warn of divergence exactly once; return the message."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        training.run(stop_at, n_threads=n_threads)
    assert [w.category for w in caught] == [ConvergenceWarning]
    return str(caught[0].message)


def make_objective(case="squared_error", n_members=3, weights="no weights", n=40, **table):
    """An objective over random rows, and random parameters."""
    rng = np.random.RandomState(0)
    loss, n_out, targets = make_case(case, rng, n)
    rows = make_table(rng, n, **table)
    network, parameters = make_network(rng, (5,), "silu", n_out, n_members)
    return Objective(network, loss, rows, targets, WEIGHTS[weights](rng, n, n_members)), parameters
