"""From hyper-parameters to a training: the plan of epochs, optimizer, schedule and monitor, then the solver's run."""

import copy
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..nn.losses import Loss
from ..nn.network import Network
from ..training.early_stopping import Monitor
from ..training.evaluation import Validation
from ..training.lbfgs import minimise
from ..training.listeners import EpochLines, warn
from ..training.loop import Data, Recipe, State, train
from ..training.optimizers import SGD, Adam
from ..training.schedules import SCHEDULES, Schedule, checked, hann, with_warmup
from ..training.threads import allowed_threads, one_blas_thread
from .callback_support import Tasks
from .parameters import HyperParameters

__all__ = ["TINY", "Outcome", "automatic_batch", "automatic_bins", "most_epochs", "small_buffers", "solve"]

OF_THE_MEAN = 0.7  # power of the out-of-fold temperature that suits all members' mean; found by benchmark, as is 0.5:
REFIT_RATE = 0.5  # of the rate, at the height of the bump
TINY = 40  # rows: up to so many, none can be spared for validation, and a step takes all


@dataclass(frozen=True)
class Outcome:
    """What a call of `solve` found: parameters (K, P), and the epoch that they are of."""

    parameters: np.ndarray
    epoch: int
    temperature: float = 1.0
    scores: np.ndarray | None = None  # (n, out): raw scores of the rows judged, over the temperature that suits them


def solve(
    h: HyperParameters,
    network: Network,
    loss: Loss,
    state: State,
    training: Data,
    validation: Validation | None,
    score: Callable[[np.ndarray], float] | None,
    tasks: Tasks,
    fitted: Callable[[Outcome], dict],
    *,
    incremental: bool,
) -> Outcome:
    """Train `state` as the hyper-parameters `h` say: one epoch if `incremental`, else until the plan's end.

    `score` gives the score of raw scores (n, out) of the validation rows; None stands for minus the loss.  Callbacks of
    `tasks` that ask for it are given what `fitted` makes of the outcome so far.
    """
    changed = state.end - state.start != h.max_iter
    if changed or (not state.unfinished and (state.over or state.epoch >= state.end)):
        state.start, state.end, state.over = state.epoch, state.epoch + h.max_iter, False
    state.unfinished = False
    by_epochs = h.solver != "lbfgs"
    open_ended = not by_epochs or _schedule(h).open_ended
    by_folds = validation is not None and validation.folds is not None
    stops_early = bool(h.early_stopping) and h.early_stopping != "folds"
    may_stop = not incremental and (stops_early or (by_epochs and open_ended))
    # without validation there is the training loss: of use where no schedule brings the rate to rest
    judged = validation is not None or (by_epochs and open_ended and not incremental)
    keep_best = bool(h.restore_best_weights and judged)
    if keep_best:
        state.judge_on((training if validation is None else validation.data).fingerprint())
    monitor = Monitor(
        state,
        validate=None if validation is None else _validator(validation, score),
        due=_falling(h, state) if by_folds and not open_ended else None,
        valleys=_valleys(h, state) if by_folds else (),
        patience=h.n_iter_no_change if may_stop else np.inf,
        tol=h.tol,
        adaptive_rate=_rate(h, 64) if h.learning_rate == "adaptive" else None,
        keep_best=keep_best,
        judges=judged,
        report=EpochLines(state.epoch + 1, state.end, h.scoring != "loss") if h.verbose else None,
    )
    n_threads = _threads(h)  # asked before BLAS is held to one

    def best() -> Outcome:
        if keep_best and state.best is not None:
            return Outcome(state.best, state.best_epoch)
        return Outcome(state.parameters, state.epoch)

    tasks.attributes = lambda: fitted(_judged(best(), validation))
    with one_blas_thread(), np.errstate(all="ignore"), small_buffers():
        if state.over or state.epoch >= state.end:  # a copy made when nothing but the refit was left to do
            done = state.over
        elif by_epochs:
            state.optimizer = _optimizer(h, state.parameters, state.optimizer)
            stop_at = state.epoch + 1 if incremental else state.end
            done = train(network, loss, training, state, _recipe(h, training), stop_at, monitor, n_threads, tasks)
        else:
            done = minimise(
                network,
                loss,
                training,
                state,
                alpha=h.alpha,
                max_evaluations=h.max_fun,
                gradient_tolerance=h.tol,
                monitor=monitor,
                tasks=tasks,
            )
    state.over |= not by_epochs
    if not done and not incremental and open_ended and np.isfinite(h.n_iter_no_change):
        advice = ", or use a schedule with an end, such as learning_rate='cosine'" if by_epochs else ""
        warn(
            f"Maximum iterations ({h.max_iter}) reached and the optimization hasn't converged yet. Increase max_iter"
            f"{advice}.",
            ConvergenceWarning,
        )
    found = best()
    try:
        with one_blas_thread(), np.errstate(all="ignore"), small_buffers():
            found = _judged(found, validation)
            interrupted = done and not state.over
            if validation is not None and by_folds and h.refit and not interrupted and found.scores is not None:
                found = _refitted(h, network, loss, validation.data, state, found, n_threads, tasks, fitted)
    except KeyboardInterrupt:
        warn("Training interrupted by user.", UserWarning)
    return found


def most_epochs(h: HyperParameters) -> int:
    """How many epochs a call of `fit` can have, those of the refit included."""
    refits = h.early_stopping == "folds" and h.solver != "lbfgs"
    return h.max_iter + (max(round(h.refit * h.max_iter), 1) if refits else 0)


def _judged(found: Outcome, validation: Validation | None) -> Outcome:
    """The outcome with the temperature that suits the validation rows, and their raw scores over it."""
    if validation is None or not np.isfinite(found.parameters).all():
        return found
    z = validation.scores(found.parameters)
    _, temperature = validation.judge(z)
    # out of fold one member speaks where all will: their mean is less sure of itself, and needs less cooling
    of_all = temperature if validation.folds is None else temperature**OF_THE_MEAN
    return replace(found, temperature=of_all, scores=validation.over(z, temperature))


def _refitted(
    h: HyperParameters,
    network: Network,
    loss: Loss,
    data: Data,
    state: State,
    found: Outcome,
    n_threads: int,
    tasks: Tasks,
    fitted: Callable[[Outcome], dict],
) -> Outcome:
    """The outcome after some epochs more on all rows, none of them held out any longer, along one bump of the rate.

    Nothing judges these epochs: they are few, and the choice of their number and rate was made by benchmark.  If they
    are cut short, they count for nothing.
    """
    parameters = found.parameters.copy()
    n_epochs = max(round(h.refit * (found.epoch - state.start)), 1)
    more = State(parameters, _optimizer(h, parameters, None), copy.deepcopy(state.rng), end=n_epochs)
    recipe = _recipe(h, data)
    half_a_step = 0.5 * min(recipe.batch_size / len(data), 1) / n_epochs  # else the first of few has no rate
    recipe = replace(recipe, rate=recipe.rate * REFIT_RATE, schedule=lambda u: hann(u + half_a_step))
    refitted = replace(found, parameters=parameters)
    tasks.attributes = lambda: fitted(refitted)
    stopped = train(network, loss, data, more, recipe, n_epochs, lambda record: False, n_threads, tasks)
    return found if stopped or not np.isfinite(parameters).all() else refitted


def _falling(h: HyperParameters, state: State) -> Callable[[int], bool]:
    """Whether the rate falls in an epoch to less than 3/4: before, and while it rises, no epoch is the best."""
    schedule, start, planned = _schedule(h), state.start, max(state.end - state.start, 1)

    def due(epoch: int) -> bool:
        before, after = (schedule(min((e - start) / planned, 1.0)) for e in (epoch - 1, epoch))
        return after < before and after <= 0.75 or epoch == start + planned

    return due


def _valleys(h: HyperParameters, state: State) -> frozenset[int]:
    """Epochs that end a cycle of the rate."""
    return frozenset(state.start + round(u * (state.end - state.start)) for u in _schedule(h).cycle_ends)


@contextmanager
def small_buffers():
    """NumPy's buffers for broadcasting and mixed types, made anew in each call, kept to a few kB.

    They are the only thing that a warm step allocates; an eighth of their default size takes no longer.
    """
    before = np.setbufsize(1024)
    try:
        yield
    finally:
        np.setbufsize(before)


def _optimizer(h: HyperParameters, parameters: np.ndarray, before: SGD | Adam | None) -> SGD | Adam:
    """The optimizer of these hyper-parameters, with the state of the one before if it is of the same kind."""
    new: SGD | Adam
    if h.solver == "sgd":
        new = SGD(parameters, h.momentum, h.nesterovs_momentum)
    else:
        new = Adam(parameters, h.beta_1, h.beta_2, h.epsilon)
    if isinstance(before, type(new)):
        new.count = before.count
        for array, old in zip(new.state, before.state, strict=True):
            np.copyto(array, old)
    return new


def _recipe(h: HyperParameters, training: Data) -> Recipe:
    automatic = isinstance(h.batch_size, str)
    batch_size = automatic_batch(len(training), training.largest_batch) if automatic else int(h.batch_size)
    return Recipe(
        rate=_rate(h, batch_size if len(training) > TINY else 64),
        schedule=_schedule(h),
        batch_size=batch_size,
        shuffle=h.shuffle,
        alpha=float(h.alpha),  # for a number of NumPy's would make arrays of double precision
        weight_decay=float(h.weight_decay) if h.solver == "adam" else 0.0,  # in SGD it would be `alpha` over again
        clip_norm=None if h.clip_norm is None else float(h.clip_norm),
        power_t=h.power_t if h.learning_rate == "invscaling" else None,
    )


def _threads(h: HyperParameters) -> int:
    """Threads to divide the members among: as many as BLAS may use, but one where the user's functions are called."""
    activations = h.activation if isinstance(h.activation, list | tuple) else [h.activation]
    own = callable(h.loss) or callable(h.learning_rate) or not all(isinstance(a, str) for a in activations)
    return 1 if own else allowed_threads() if h.n_jobs is None else h.n_jobs


def _schedule(h: HyperParameters) -> Schedule:
    named = isinstance(h.learning_rate, str)
    return with_warmup(SCHEDULES[h.learning_rate] if named else checked(h.learning_rate), h.warmup)


def automatic_batch(n_rows: int, largest: int = Data.largest_batch) -> int:
    """Rows of a step: the fewer, the more steps an epoch has; all of a table so small that nothing else tells.

    From 5000 rows on it is 256, growing with the square root of the rows where `largest` lets it.
    """
    if n_rows <= TINY:
        return n_rows
    grown = min(int(256 * max(n_rows / 5000, 1) ** 0.5), largest)
    size = next((size for size, limit in ((32, 1000), (64, 2500), (128, 5000)) if n_rows < limit), grown)
    return -(-n_rows // -(-n_rows // size))  # as many steps of about equal size, without a small last one


def automatic_bins(n_rows: int, n_columns: int) -> int:
    """Bins of a number column: a sixth of the rows, and 384, for all columns together; fewer than three are none.

    The encoded table is held to a quarter of a gigabyte, so that very long ones have fewer bins.
    """
    of_all = min(384, n_rows / 6, 2**26 / n_rows)
    count = int(min(48, of_all / max(n_columns, 1)))
    return count if count >= 3 and n_rows > TINY else 0


def _rate(h: HyperParameters, batch_size: int) -> float:
    """The rate of a step: 'auto' is 0.04 at 64 rows, and grows as the square root of the batch, 0.08 at most."""
    if isinstance(h.learning_rate_init, str):
        return min(0.04 * (batch_size / 64) ** 0.5, 0.08) if h.solver == "adam" else 0.1
    return h.learning_rate_init


def _validator(
    validation: Validation, score: Callable[[np.ndarray], float] | None
) -> Callable[[np.ndarray], tuple[float, float]]:
    """Function from parameters to (validation loss, validation score)."""

    def validate(parameters: np.ndarray) -> tuple[float, float]:
        z = validation.scores(parameters)
        mean, temperature = validation.judge(z)
        if score is None:
            return mean, -mean
        scaled = validation.over(z, temperature)
        return mean, score(scaled) if np.isfinite(scaled).all() else float("nan")

    return validate
