"""Training: epochs of mini-batches, each loaded, run forward and backward, and stepped.

`train` is the loop, `Step` is one batch of it, `State` is all that a continued training needs, and a
`Record` tells one epoch's facts to the caller, who answers whether to stop.
"""

import copy
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any, ClassVar
from zlib import crc32

import numpy as np

from ..estimators.callback_support import Tasks
from ..nn.batch import Table, Targets
from ..nn.losses import Loss
from ..nn.network import Network
from ..nn.tape import Tape
from .divergence import Recovery
from .listeners import warn
from .optimizers import SGD, Adam

__all__ = ["Data", "Epoch", "Recipe", "Record", "State", "Step", "train"]


@dataclass(frozen=True)
class Data:
    """Training rows: encoded table, targets, and weights of shape (1 or K, n), or None where all are 1."""

    table: Table
    targets: Targets
    weight: np.ndarray | None = None

    elsewhere: ClassVar[bool] = False  # whether the rows lie elsewhere, so that each batch costs a message
    largest_batch: ClassVar[int] = 256  # rows of a step, where a rule chooses them

    def fingerprint(self) -> int:
        """A number that tells these rows from others: losses on other rows do not compare."""
        mark = self.table.checksum()
        for array in (self.targets.values, self.weight):
            if array is not None:
                mark = crc32(np.ascontiguousarray(array), mark)
        return mark

    def __len__(self) -> int:
        return len(self.table)

    def total(self) -> np.ndarray:
        """Sum of the weights, (1 or K,)."""
        return np.array([float(len(self))]) if self.weight is None else self.weight.sum(axis=1)

    def of_members(self, members: slice) -> "Data":
        """These rows for some of the members alone."""
        if self.weight is None or len(self.weight) == 1:
            return self
        return replace(self, weight=self.weight[members])

    # how rows are trained on is their own affair, for they may lie elsewhere

    def step(
        self,
        network: Network,
        loss: Loss,
        parameters: np.ndarray,
        gradient: np.ndarray,
        n_rows: int,
        rng: np.random.Generator | None = None,
        total: np.ndarray | None = None,
    ) -> "Step":
        """A batch of `n_rows` of these rows."""
        return Step(network, loss, parameters, gradient, self, n_rows, rng, total)

    def epoch(
        self,
        network: Network,
        loss: Loss,
        state: "State",
        recipe: "Recipe",
        rng: np.random.Generator,
        members: slice,
    ) -> "Epoch":
        """Passes over these rows."""
        return Epoch(network, loss, self, state, recipe, rng, members)


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
    over: bool = False  # whether it was decided that no more of these epochs are needed
    unfinished: bool = False  # whether this is a copy made in mid-training, which is there to be gone on from
    factor: float = 1.0  # on the rate: "adaptive" and divergence shrink it
    first_loss: float | None = None
    order: np.ndarray | None = None  # the epoch's rows, in order
    drawn: bool = False  # whether `order` was drawn for an epoch that was then interrupted
    mask_seed: int = 0
    best: np.ndarray | None = None  # (K, P), the best epoch's parameters
    best_loss: float = np.inf
    best_score: float = -np.inf
    best_epoch: int = 0
    valley_score: float = -np.inf  # the best score at the end of the last cycle of the rate
    stale: int = 0  # epochs in a row without improvement
    judged_on: int | None = None  # fingerprint of the rows that the best epoch was found on
    validation_rows: np.ndarray | None = None
    folds: np.ndarray | None = None  # fold of each row
    history: dict[str, list[float]] = field(default_factory=dict)
    stream: Any = None  # of a training that began with partial_fit: the Stream that its scaling is learned from

    def judge_on(self, mark: int) -> None:
        """Forget the best epoch if it was found on other rows than those of this fingerprint."""
        if mark != self.judged_on:
            self.judged_on, self.best, self.stale = mark, None, 0
            self.best_loss, self.best_score, self.best_epoch, self.valley_score = np.inf, -np.inf, 0, -np.inf

    def copy(self) -> "State":
        """A state to go on from, which leaves this one as it is, but for the generator, which both share."""
        new = copy.copy(self)
        new.parameters, new.optimizer = self.parameters.copy(), copy.deepcopy(self.optimizer)
        new.order = None if self.order is None else self.order.copy()
        new.best = None if self.best is None else self.best.copy()
        new.history = {name: list(values) for name, values in self.history.items()}
        return new

    def snapshot(self) -> "State":
        """A copy made in mid-training, with a generator of its own: whoever goes on from it gets the same bits."""
        new = self.copy()
        new.rng, new.unfinished = copy.deepcopy(self.rng), True
        return new


class Step:
    """One batch of `n_rows`: its buffers, and the calls of the network and the loss bound to them.

    `total` is the sum of weights (1 or K,) by which its gradients are divided: the batch's own, unless given.
    """

    def __init__(
        self,
        network: Network,
        loss: Loss,
        parameters: np.ndarray,
        gradient: np.ndarray,
        data: Data,
        n_rows: int,
        rng: np.random.Generator | None = None,
        total: np.ndarray | None = None,
    ):
        self.data = data
        self.batch = data.table.buffer(n_rows)
        self.targets = data.targets.buffer(n_rows)
        bound = network.bind(parameters, gradient, self.batch, rng)
        rows, loss_tape = loss.bind(bound.z, self.targets[None], bound.dz)  # rows (K, B, 1)
        weighted = data.weight is not None
        self.weight = np.ones((1 if data.weight is None else len(data.weight), n_rows), parameters.dtype)  # (1 or K, B)
        loss_of_members = np.empty((len(parameters), 1, 1), parameters.dtype)
        self.loss = loss_of_members[:, 0, 0]  # (K,)
        self._n_rows, self._whole = np.full(1, float(n_rows)), total
        # each row's share in the whole: one number, or as many as there are weights
        whole = n_rows if total is None else total[0]
        self._share = np.empty_like(self.weight[..., None]) if weighted else np.array(1 / whole, parameters.dtype)
        self.forward_tape = bound.forward + loss_tape
        self.forward_tape.matmul(self.weight[:, None, :], rows, out=loss_of_members)  # Σ w l, (K, 1, 1)
        self.backward_tape = Tape()
        self.backward_tape.multiply(bound.dz, self._share, out=bound.dz)
        self.backward_tape += bound.backward

    def load(self, rows: np.ndarray) -> None:
        """Copy the rows numbered `rows` into the buffers."""
        self.data.table.gather(rows, self.batch)
        self.data.targets.gather(rows, self.targets)
        if self.data.weight is not None:
            self.data.weight.take(rows, 1, self.weight, "clip")

    def total(self) -> np.ndarray:
        """Sum of the batch's weights, (1 or K,)."""
        return self._n_rows if self.data.weight is None else self.weight.sum(axis=1, dtype=np.float64)

    def forward(self) -> np.ndarray:
        """Forward and loss: the weighted sum of losses (K,)."""
        self.forward_tape.run()
        return self.loss

    def run(self) -> np.ndarray:
        """Forward, loss, backward: the weighted sum of losses (K,); gradients of that sum, divided by the total."""
        self.forward_tape.run()
        if self.data.weight is not None:
            total = self.total() if self._whole is None else self._whole
            np.divide(self.weight[..., None], np.maximum(total, 1e-30)[:, None, None], self._share, casting="same_kind")
        self.backward_tape.run()
        return self.loss


def train(
    network: Network,
    loss: Loss,
    data: Data,
    state: State,
    recipe: Recipe,
    stop_at: int,
    monitor: Callable[[Record], bool],
    n_threads: int = 1,
    tasks: Tasks | None = None,
) -> bool:
    """Train until `stop_at` epochs are done, or until `monitor` or a callback of `tasks` says so; whether one did.

    A KeyboardInterrupt, or an epoch whose loss is not finite, leaves the state as it was before that epoch;
    after the latter the epoch is run again with a smaller step.  Nothing but `state` is changed.  Members are divided
    among the threads, which changes no bit.
    """
    tasks = tasks or Tasks()
    n = len(data)
    random = network.random
    rng = np.random.Generator(np.random.SFC64(0))  # of dropout masks, seeded anew in each epoch
    parts = [
        data.epoch(network, loss, state, recipe, rng, members)
        for members in _divided(len(state.parameters), 1 if random or data.elsewhere else n_threads)
    ]
    recovery = Recovery(state)
    began = perf_counter()
    stopped = False
    with ThreadPoolExecutor(len(parts)) as pool:
        while state.epoch < stop_at and not stopped:
            whole = True  # whether the epochs counted are all of what has been done
            try:
                tasks.begin()
                if state.order is None or len(state.order) != n:
                    state.order, state.drawn = np.arange(n), False
                if not state.drawn:
                    if recipe.shuffle:
                        state.rng.shuffle(state.order)  # each epoch the order of the one before, as scikit-learn does
                    state.mask_seed = int(state.rng.randint(2**31 - 1)) if random else 0
                    state.drawn = True
                if random:
                    rng.bit_generator.state = np.random.SFC64(state.mask_seed).state
                recovery.save()
                whole = False
                mean, rate = _run(parts, state, pool)
                if not recovery.sound(mean):
                    stopped = recovery.failed()
                    continue
                stopped = monitor(Record(state.epoch + 1, mean, rate, perf_counter() - began))
                recovery.passed(mean)
                state.drawn = False
                state.epoch += 1
                state.n_seen += n
                whole = True
                stopped |= tasks.end()
            except KeyboardInterrupt:
                if not whole:
                    recovery.undo()
                warn("Training interrupted by user.", UserWarning)
                return True
    # no epoch has judged the last step
    if recovery.looks_wild() and not recovery.sound(float(np.max([part.loss_now() for part in parts]))):
        recovery.reject()
    recovery.warn()
    return stopped


def _divided(n_members: int, n_parts: int) -> list[slice]:
    """Members in so many parts of about equal size, side by side."""
    edges = np.linspace(0, n_members, min(n_parts, n_members) + 1).round().astype(int).tolist()
    return [slice(start, stop) for start, stop in zip(edges[:-1], edges[1:], strict=True)]


def _run(parts: "list[Epoch]", state: State, pool: ThreadPoolExecutor) -> tuple[float, float]:
    """One epoch of all members: their mean loss, and the last rate."""
    order = state.order
    assert order is not None and state.optimizer is not None
    others: list[Future] = []
    try:
        for part in parts[1:]:
            others.append(pool.submit(part.run_in_thread, order))
        losses, first_losses, rate = parts[0].run(order)
        for other in others:
            more, first, _ = other.result()
            losses, first_losses = np.append(losses, more), np.append(first_losses, first)
    except BaseException:
        for part in parts:  # no thread may go on with what is taken back now
            part.halted = True
        wait(others)
        for part in parts:
            part.halted = False
        raise
    state.optimizer.count += parts[0].n_batches
    if state.first_loss is None and np.isfinite(first_losses).any():
        state.first_loss = float(np.max(first_losses[np.isfinite(first_losses)]))
    return float(np.mean(losses)), rate


class Epoch:
    """One pass of some members over the rows, in batches: all of it that is the same in each epoch is made once."""

    def __init__(
        self,
        network: Network,
        loss: Loss,
        data: Data,
        state: State,
        recipe: Recipe,
        rng: np.random.Generator,
        members: slice,
    ):
        self.state, self.recipe, self.halted = state, recipe, False
        data, n = data.of_members(members), len(data)
        self.size = min(recipe.batch_size, n)
        self.n_batches = -(-n // self.size)
        parameters = state.parameters[members]
        self.gradient = gradient = np.empty_like(parameters)
        last = n - self.size * (self.n_batches - 1)
        self.steps = {rows: data.step(network, loss, parameters, gradient, rows, rng) for rows in {self.size, last}}
        self.weights = parameters[:, : network.layout.n_decayed]
        self.total = np.maximum(data.total(), 1e-30)  # (1 or K,)
        self._keep = np.array(1, parameters.dtype)  # the share of a weight that a step's decay leaves
        self._adjust = self._adjustments(gradient[:, : network.layout.n_decayed])
        assert state.optimizer is not None
        self._step = state.optimizer.bind(parameters, gradient, network.layout.rates(), members)

    def _adjustments(self, gradient: np.ndarray) -> Tape:
        """What comes between the backward pass and the optimizer's step: penalty, clipping, decay."""
        weights, tape = self.weights, Tape()
        if self.recipe.alpha:
            penalty, pull = (self.recipe.alpha / self.total).astype(weights.dtype), np.empty_like(weights)
            penalty = penalty.reshape(()) if len(penalty) == 1 else penalty[:, None]
            tape.multiply(weights, penalty, out=pull)
            tape.add(gradient, pull, out=gradient)  # g ← g + α W / total
        if self.recipe.clip_norm is not None:
            tape.append(self._clip)
        if self.recipe.weight_decay:
            tape.multiply(weights, self._keep, out=weights)  # W ← (1 - η λ) W
        return tape

    def _clip(self) -> None:
        gradient, limit = self.gradient, self.recipe.clip_norm
        norms = np.sqrt(np.einsum("kp,kp->k", gradient, gradient))
        np.multiply(gradient, np.minimum(1, limit / (norms + 1e-30))[:, None], out=gradient)

    def run(self, order: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Step through the rows in this order: mean losses (K,), those of first batches with weight, the last rate."""
        state, size = self.state, self.size
        losses, first_losses = np.zeros(len(self.gradient)), np.full(len(self.gradient), np.nan)
        penalty = self._penalty_loss()
        done = (state.epoch - state.start) * self.n_batches
        planned = max(state.end - state.start, 1) * self.n_batches
        rate, count = 0.0, state.optimizer.count if state.optimizer else 0
        for index in range(self.n_batches):
            rows = order[index * size : (index + 1) * size]
            step, count = self.steps[len(rows)], count + 1
            rate = self._rate((done + index) / planned)
            losses += self.advance(step, rows, rate, count)
            if state.first_loss is None and np.isnan(first_losses).any():
                np.copyto(first_losses, step.loss / step.total(), where=np.isnan(first_losses) & (step.total() > 0))
            if self.halted:
                break
        return (losses + penalty) / self.total, first_losses, rate

    def advance(self, step: Step, rows: np.ndarray, rate: float, count: int) -> np.ndarray:
        """Step number `count`, on these rows: the weighted sum of their losses (K,)."""
        step.load(rows)
        loss = step.run()
        self._keep[()] = 1 - rate * self.recipe.weight_decay
        self._adjust.run()
        self._step(rate, count)
        return loss

    def run_in_thread(self, order: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """The same in a thread of its own, which does not inherit how NumPy handles overflow."""
        with np.errstate(all="ignore"):
            return self.run(order)

    def _penalty_loss(self) -> float | np.ndarray:
        """½ α |W|² of the weights as the epoch finds them, (K,)."""
        alpha = self.recipe.alpha
        return 0.5 * alpha * np.einsum("kp,kp->k", self.weights, self.weights) if alpha else 0.0

    def _rate(self, progress: float) -> float:
        recipe, state = self.recipe, self.state
        rate = recipe.rate * state.factor * float(recipe.schedule(min(progress, 1.0)))
        return rate if recipe.power_t is None else rate / (state.n_seen + 1) ** recipe.power_t

    def loss_now(self) -> float:
        """Loss of one batch with the parameters as they are, without a step."""
        step = self.steps[self.size]
        assert self.state.order is not None
        step.load(self.state.order[: self.size])
        return float(np.max(step.forward() / np.maximum(step.total(), 1e-30)))
