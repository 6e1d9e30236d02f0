"""Time of the parts of a step, measured in this process."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from skscratch.nn.batch import Table, Targets
from skscratch.nn.losses import make_loss
from skscratch.nn.network import Network, build
from skscratch.training.objective import Objective
from skscratch.training.optimizers import Adam
from skscratch.training.step import MICRO_BATCH
from skscratch.training.threads import training_context

__all__ = ["BATCH", "HIDDEN", "MEMBERS", "MICRO_BATCH", "Costs", "costs", "network"]

MEMBERS, HIDDEN = 5, [64, 64]
BATCH = 8192  # of the simulation: the value of batch_size="auto" for 10⁷ rows


@dataclass(frozen=True)
class Costs:
    """Seconds of each part of a step, and bytes of the parameters."""

    fixed: float  # of a micro-batch, independent of its size
    row: float  # of each row of a micro-batch
    update: float  # of the optimizer
    trip: float  # of a round trip, independent of the number of workers
    message: float  # of the message to each worker
    parameters: int  # bytes of the parameters of all members


def network(columns: int) -> Network:
    """Return the network of all members."""
    return build(columns, (), HIDDEN, 1, ["silu"] * len(HIDDEN), init="data", ntk=True)


def costs(columns: int, trip: float, message: float) -> Costs:
    """Time the computation of a worker's share of a step, and the optimizer."""
    net = network(columns)
    rng = np.random.RandomState(0)
    parameters = np.zeros((MEMBERS, net.layout.size), np.float32)
    net.initialise(parameters, rng)
    gradient, loss = np.empty_like(parameters), make_loss("squared_error", None)
    n = BATCH
    X = np.ones((n, columns + 1), np.float32)
    X[:, :columns] = rng.normal(size=(n, columns))
    targets = Targets(rng.normal(size=(n, 1)).astype(np.float32))
    objective = Objective(net, loss, Table(X, ones=True), targets, np.ones((1, n), np.float32))
    sizes, seconds = (32, 64, 128, 256, MICRO_BATCH), []
    with training_context():
        for size in sizes:
            step = objective.step(parameters, gradient, size, total=np.ones(1))
            rows = rng.permutation(n)[:size]
            seconds.append(timed(lambda step=step, rows=rows: (step.load(rows), step.loss_and_gradient())))
        update = Adam(parameters).bind(parameters, gradient)
        spent = timed(lambda: update(1e-9, 1))
    row, fixed = np.polyfit(sizes, seconds, 1, w=1 / np.array(seconds))
    return Costs(max(fixed, 0.0), row, spent, trip, message, parameters.nbytes)


def timed(do: Callable[[], object], seconds: float = 0.5) -> float:
    """Return the shortest time of repeated calls."""
    do()
    times, until = [], perf_counter() + seconds
    while perf_counter() < until or len(times) < 5:
        began = perf_counter()
        do()
        times.append(perf_counter() - began)
    return min(times)
