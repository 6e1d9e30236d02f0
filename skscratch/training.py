"""Training: epochs of mini-batches, each loaded, run forward and backward, and stepped.

`train` is the loop, `Step` is one batch of it, `State` is all that a continued training needs, and a
`Record` tells one epoch's facts to the caller, who answers whether to stop.
"""

import copy
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from zlib import crc32

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning

from .layers import product
from .losses import Loss
from .network import Network
from .optimizers import SGD, Adam
from .table import Table, Targets

__all__ = ["Data", "Recipe", "Record", "State", "Step", "train"]

SHRINK = 0.25  # factor on the rate after a divergence
MAX_SHRINKS = 20
BLOWN_UP = 1e8  # times the first batch's loss: finite, and yet no use going on from


@dataclass(frozen=True)
class Data:
    """Training rows: encoded table, targets, and weights of shape (1 or K, n), or None where all are 1."""

    table: Table
    targets: Targets
    weight: np.ndarray | None = None

    def fingerprint(self) -> int:
        """A number that tells these rows from others: losses on other rows do not compare."""
        X = self.table.X
        arrays = [X.data, X.indices, X.indptr] if sp.issparse(X) else [X]
        mark = 0
        for array in (*arrays, self.table.codes, self.targets.values, self.weight):
            if array is not None:
                mark = crc32(np.ascontiguousarray(array), mark)
        return mark

    def total(self) -> np.ndarray:
        """Sum of the weights, (1 or K,)."""
        return np.array([float(len(self.table))]) if self.weight is None else self.weight.sum(axis=1)


@dataclass(frozen=True)
class Recipe:
    """How to step: everything of `train` that is a number or a rule."""

    rate: float
    schedule: Callable[[float], float]
    batch_size: int
    shuffle: bool = True
    alpha: float = 0.0
    weight_decay: float = 0.0
    clip_norm: float | None = None
    power_t: float | None = None  # exponent of "invscaling"


@dataclass(frozen=True)
class Record:
    """One epoch's facts; `seconds` count from the start of this call of fit."""

    epoch: int
    loss: float
    rate: float
    seconds: float


@dataclass
class State:
    """All that a continued training needs, so that it gives the bits of one that was not interrupted."""

    parameters: np.ndarray  # (K, P), as the last step left them (not the best epoch's)
    optimizer: SGD | Adam | None
    rng: np.random.RandomState
    epoch: int = 0  # epochs done, over all calls
    n_seen: int = 0  # rows seen, over all calls
    start: int = 0  # the epochs over which the schedule runs: start <= epoch < end
    end: int = 0
    incremental: bool = False  # whether partial_fit was called: then there is no last call
    factor: float = 1.0  # on the rate: "adaptive" and divergence shrink it
    first_loss: float | None = None
    order: np.ndarray | None = None  # the epoch's rows, in order
    drawn: bool = False  # whether `order` was drawn for an epoch that was then interrupted
    mask_seed: int = 0
    best: np.ndarray | None = None  # (K, P), the best epoch's parameters
    best_loss: float = np.inf
    best_score: float = -np.inf
    best_epoch: int = 0
    stale: int = 0  # epochs in a row without improvement
    judged_on: int | None = None  # fingerprint of the rows that the best epoch was found on
    validation_rows: np.ndarray | None = None
    history: dict[str, list[float]] = field(default_factory=dict)

    def judge_on(self, mark: int) -> None:
        """Forget the best epoch if it was found on other rows than those of this fingerprint."""
        if mark != self.judged_on:
            self.judged_on, self.best, self.stale = mark, None, 0
            self.best_loss, self.best_score, self.best_epoch = np.inf, -np.inf, 0

    def copy(self) -> "State":
        """A state to go on from, which leaves this one as it is, but for the generator, which both share."""
        new = copy.copy(self)
        new.parameters, new.optimizer = self.parameters.copy(), copy.deepcopy(self.optimizer)
        new.history = {name: list(values) for name, values in self.history.items()}
        return new


class Step:
    """One batch of `n_rows`: its buffers, and the network and the loss bound to them."""

    def __init__(
        self,
        network: Network,
        loss: Loss,
        parameters: np.ndarray,
        gradient: np.ndarray,
        data: Data,
        n_rows: int,
        masks: Callable[[], np.random.Generator] | None = None,
    ):
        self.data, self.network, self.gradient = data, network, gradient
        self.batch = data.table.buffer(n_rows)
        self.targets = data.targets.buffer(n_rows)
        self.bound = network.bind(parameters, gradient, self.batch, masks)
        self.dz = self.bound.dz
        self.rows, self.evaluate = loss.bind(self.bound.z, self.targets, self.dz)  # rows (K, B, 1)
        n_weights = 1 if data.weight is None else len(data.weight)
        self.weight = np.ones((n_weights, n_rows), parameters.dtype)
        loss_of_members = np.empty((len(parameters), 1, 1), parameters.dtype)
        self.loss = loss_of_members[:, 0, 0]  # (K,)
        self._add_up = product(self.weight[:, None, :], self.rows, loss_of_members)
        self._n_rows = np.full(1, float(n_rows))
        self._share = np.array(1 / n_rows, parameters.dtype)  # of each row in its batch

    def load(self, rows: np.ndarray) -> None:
        """Copy the rows numbered `rows` into the buffers."""
        self.data.table.gather(rows, self.batch)
        self.data.targets.gather(rows, self.targets)
        if self.data.weight is not None:
            self.data.weight.take(rows, axis=1, out=self.weight, mode="clip")

    def total(self) -> np.ndarray:
        """Sum of the batch's weights, (1 or K,)."""
        return self._n_rows if self.data.weight is None else self.weight.sum(axis=1, dtype=np.float64)

    def forward(self) -> np.ndarray:
        """Forward and loss: the weighted sum of losses (K,)."""
        self.bound.forward()
        self.evaluate()
        self._add_up()
        return self.loss

    def run(self, total: np.ndarray | None = None) -> np.ndarray:
        """Forward, loss, backward: the weighted sum of losses (K,); gradients of that sum, divided by `total`.

        `total` is the sum of weights (1 or K,) by which to divide: the batch's own, unless given.
        """
        self.forward()
        if self.data.weight is None:
            share = self._share if total is None else 1.0 / float(total[0])
            np.multiply(self.dz, share, out=self.dz)
        else:
            total = self.total() if total is None else total
            share = np.divide(self.weight, np.reshape(np.maximum(total, 1e-30), (-1, 1)))  # (1 or K, B)
            np.multiply(self.dz, share[..., None], out=self.dz, casting="same_kind")
        self.bound.backward()
        return self.loss


def train(
    network: Network,
    loss: Loss,
    data: Data,
    state: State,
    recipe: Recipe,
    stop_at: int,
    monitor: Callable[[Record], bool],
) -> bool:
    """Train until `stop_at` epochs are done, or until `monitor`, told of each, answers True; whether it did.

    A KeyboardInterrupt, or an epoch whose loss is not finite, leaves the state as it was before that epoch;
    after the latter the epoch is run again with a smaller step.  Nothing but `state` is changed.
    """
    assert state.optimizer is not None
    parameters = state.parameters
    n = len(data.table)
    gradient = np.empty_like(parameters)
    decayed = np.s_[:, : network.layout.n_decayed]
    penalised, decayed_gradient = parameters[decayed], gradient[decayed]
    scratch = np.empty_like(penalised)
    rates = network.layout.rates()
    size = min(recipe.batch_size, n)
    n_batches = -(-n // size)
    random, masks = any_dropout(network), np.random.Generator(np.random.SFC64(0))
    steps = {
        rows: Step(network, loss, parameters, gradient, data, rows, lambda: masks)
        for rows in {size, n - size * (n_batches - 1)}
    }
    total = data.total()  # (1 or K,)
    penalty = (recipe.alpha / np.maximum(total, 1e-30))[:, None].astype(parameters.dtype)
    optimizer = state.optimizer
    arrays = [parameters, *optimizer.state]
    checkpoint = [array.copy() for array in arrays]  # before the running epoch
    # before the epoch of lowest loss: a loss judges the weights an epoch starts from, not those it ends with
    proven, proven_count, lowest = [array.copy() for array in arrays], optimizer.count, math.inf
    shrinks = failures = 0  # in all, and of the running epoch
    began = perf_counter()

    def rate_at(progress: float) -> float:
        rate = recipe.rate * state.factor * float(recipe.schedule(min(progress, 1.0)))
        return rate if recipe.power_t is None else rate / (state.n_seen + 1) ** recipe.power_t

    def epoch(order: np.ndarray) -> tuple[float, float]:
        """One pass over the rows: mean loss (NaN where training blew up) and the last rate."""
        # ½ α |W|² of the weights as the epoch finds them, and the losses of the batches
        losses = np.empty((n_batches, len(parameters)))
        penalty_loss = 0.5 * recipe.alpha * np.einsum("kp,kp->k", penalised, penalised) if recipe.alpha else 0.0
        done, planned = (state.epoch - state.start) * n_batches, max(state.end - state.start, 1) * n_batches
        rate = 0.0
        for index in range(n_batches):
            rows = order[index * size : (index + 1) * size]
            step = steps[len(rows)]
            step.load(rows)
            losses[index] = step.run()
            if state.first_loss is None and np.isfinite(step.loss).all() and np.all(step.total() > 0):
                state.first_loss = float(np.max(step.loss / step.total()))
            if recipe.alpha:
                np.multiply(penalised, penalty, out=scratch)
                np.add(decayed_gradient, scratch, out=decayed_gradient)
            if recipe.clip_norm is not None:
                norms = np.sqrt(np.einsum("kp,kp->k", gradient, gradient))
                np.multiply(gradient, np.minimum(1, recipe.clip_norm / (norms + 1e-30))[:, None], out=gradient)
            rate = rate_at((done + index) / planned)
            if recipe.weight_decay:
                np.multiply(penalised, 1 - rate * recipe.weight_decay, out=penalised)
            optimizer.step(parameters, gradient, rate, rates)
        mean = float(np.mean((losses.sum(axis=0) + penalty_loss) / np.maximum(total, 1e-30)))
        return (mean if sound(mean) else math.nan), rate

    def sound(mean: float) -> bool:
        return bool(mean <= BLOWN_UP * max(state.first_loss or 0.0, 1.0) and np.isfinite(parameters).all())

    stopped = False
    while state.epoch < stop_at and not stopped:
        if state.order is None or len(state.order) != n:
            state.order, state.drawn = np.arange(n), False
        if not state.drawn:
            if recipe.shuffle:
                # each epoch permutes the order of the one before, as scikit-learn does
                state.order = state.order[state.rng.permutation(n)]
            state.mask_seed = int(state.rng.randint(2**31 - 1)) if random else 0
            state.drawn = True
        if random:
            masks = np.random.Generator(np.random.SFC64(state.mask_seed))
        count = optimizer.count
        for saved, array in zip(checkpoint, arrays, strict=True):
            np.copyto(saved, array)
        interrupted = False
        try:
            mean, rate = epoch(state.order)
            if not math.isnan(mean):
                stopped = monitor(Record(state.epoch + 1, mean, rate, perf_counter() - began))
        except KeyboardInterrupt:
            mean, interrupted = math.nan, True
        if not math.isnan(mean):
            state.drawn, failures = False, 0
            state.epoch += 1
            state.n_seen += n
            if mean < lowest:
                proven, proven_count, lowest, checkpoint = checkpoint, count, mean, proven
            continue
        failures += not interrupted
        spoilt = failures > 1  # a smaller step did not help: it was the step before this epoch that led astray
        optimizer.count = proven_count if spoilt else count
        for saved, array in zip(proven if spoilt else checkpoint, arrays, strict=True):
            np.copyto(array, saved)
        if spoilt and state.best is not None and state.best_epoch == state.epoch:
            state.best = parameters.copy()
        if interrupted:
            warnings.warn("Training interrupted by user.", UserWarning, stacklevel=5)
            return True
        state.factor *= SHRINK
        shrinks += 1
        stopped = shrinks > MAX_SHRINKS
    if np.linalg.norm(parameters) > 10 * (1 + np.linalg.norm(proven[0])) and state.order is not None:
        last = steps[size]  # no epoch has judged the last step yet, and it looks wild: try one batch
        last.load(state.order[:size])
        value = float(np.max(last.forward() / np.maximum(last.total(), 1e-30)))
        if not sound(value):
            optimizer.count = proven_count
            for saved, array in zip(proven, arrays, strict=True):
                np.copyto(array, saved)
            if state.best_epoch == state.epoch and state.best is not None:
                state.best = parameters.copy()
            state.factor *= SHRINK
            shrinks += 1
    if shrinks:
        outcome = (
            f"training went on with {SHRINK**shrinks:.1e} times the learning rate"
            if shrinks <= MAX_SHRINKS
            else "a smaller learning rate did not help, and training stopped there"
        )
        warnings.warn(
            f"The loss became non-finite in epoch {state.epoch + (shrinks > MAX_SHRINKS)}: the weights were set back "
            f"to the last good ones and {outcome}. Lower learning_rate_init, or set clip_norm.",
            ConvergenceWarning,
            stacklevel=5,
        )
    return stopped


def any_dropout(network: Network) -> bool:
    """Whether the network draws random numbers while it trains."""
    return any(getattr(layer, "random", False) for layer in network.layers)
