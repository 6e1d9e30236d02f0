"""From hyper-parameters to a training: the plan of epochs, optimizer, schedule and monitor, then the solver's run."""

import warnings
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .calls import run
from .hyperparameters import HyperParameters
from .lbfgs import minimise
from .losses import Loss
from .network import Network
from .optimizers import SGD, Adam
from .schedules import OPEN_ENDED, SCHEDULES, checked, with_warmup
from .stopping import Monitor
from .table import Table
from .threads import one_blas_thread
from .training import Data, Recipe, Record, State, train

__all__ = ["Outcome", "small_buffers", "solve"]


@dataclass(frozen=True)
class Outcome:
    """What a call of `solve` found: parameters (K, P), and the epoch that they are of."""

    parameters: np.ndarray
    epoch: int


def solve(
    h: HyperParameters,
    network: Network,
    loss: Loss,
    state: State,
    training: Data,
    validation: Data | None,
    score: Callable[[np.ndarray, Table], float] | None,
    *,
    incremental: bool,
) -> Outcome:
    """Train `state` as the hyper-parameters `h` say: one epoch if `incremental`, else until the plan's end.

    `score` gives the validation score of parameters on the encoded table; None stands for minus the loss.
    """
    if state.epoch >= state.end or state.end - state.start != h.max_iter:
        state.start, state.end = state.epoch, state.epoch + h.max_iter
    by_epochs = h.solver != "lbfgs"
    open_ended = not by_epochs or h.learning_rate in tuple(OPEN_ENDED)
    may_stop = not incremental and (h.early_stopping or (by_epochs and open_ended))
    # without validation there is the training loss: of use where no schedule brings the rate to rest
    judged = validation is not None or (by_epochs and open_ended and not incremental)
    keep_best = bool(h.restore_best_weights and judged)
    if keep_best:
        state.judge_on((validation or training).fingerprint())
    monitor = Monitor(
        state,
        validate=None if validation is None else _validator(network, loss, validation, score),
        patience=h.n_iter_no_change if may_stop else np.inf,
        tol=h.tol,
        adaptive_rate=h.learning_rate_init if h.learning_rate == "adaptive" else None,
        keep_best=keep_best,
        report=_report if h.verbose else None,
    )
    with one_blas_thread(), np.errstate(all="ignore"), small_buffers():
        if by_epochs:
            state.optimizer = _optimizer(h, state.parameters, state.optimizer)
            stop_at = state.epoch + 1 if incremental else state.end
            done = train(network, loss, training, state, _recipe(h, training), stop_at, monitor)
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
            )
    if monitor.stopped or not by_epochs:
        state.end = state.epoch  # what was planned is over: a next call plans anew
    if not done and not incremental and open_ended and np.isfinite(h.n_iter_no_change):
        advice = ", or use a schedule with an end, such as learning_rate='cosine'" if by_epochs else ""
        warnings.warn(
            f"Maximum iterations ({h.max_iter}) reached and the optimization hasn't converged yet. Increase max_iter"
            f"{advice}.",
            ConvergenceWarning,
            stacklevel=5,  # solve, _train, _fit, fit, and then the user
        )
    if keep_best and state.best is not None:
        return Outcome(state.best, state.best_epoch)
    return Outcome(state.parameters, state.epoch)


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
    named = isinstance(h.learning_rate, str)
    schedule = SCHEDULES[h.learning_rate] if named else checked(h.learning_rate)
    return Recipe(
        rate=h.learning_rate_init,
        schedule=with_warmup(schedule, h.warmup),
        batch_size=200 if isinstance(h.batch_size, str) else int(h.batch_size),
        shuffle=h.shuffle,
        alpha=h.alpha,
        weight_decay=_weight_decay(h, training),
        clip_norm=h.clip_norm,
        power_t=h.power_t if h.learning_rate == "invscaling" else None,
    )


def _weight_decay(h: HyperParameters, training: Data) -> float:
    """Decay of Adam's steps; in SGD's it would be the penalty `alpha` over again.

    'auto' is 500 / (sum of the sample weights): the fewer the rows, the more a weight needs holding back.
    """
    if h.solver != "adam":
        return 0.0
    return min(1.0, 500 / float(training.total().mean())) if isinstance(h.weight_decay, str) else h.weight_decay


def _validator(
    network: Network, loss: Loss, validation: Data, score: Callable[[np.ndarray, Table], float] | None
) -> Callable[[np.ndarray], tuple[float, float]]:
    """Function from parameters to (validation loss, validation score)."""
    table, truth = validation.table, validation.targets.buffer(len(validation.table))
    validation.targets.gather(np.arange(len(table)), truth)
    weight = None if validation.weight is None else validation.weight[0]

    def validate(parameters: np.ndarray) -> tuple[float, float]:
        z = loss.link.pool(network.scores(parameters, table))[None]  # (1, n, out)
        rows, evaluate = loss.bind(z, truth[None], np.empty_like(z))
        run(evaluate)
        mean = float(np.average(rows[0, :, 0], weights=weight))
        if score is None:
            return mean, -mean
        return mean, score(parameters, table) if np.isfinite(z).all() else float("nan")

    return validate


def _report(record: Record, validation_loss: float, score: float) -> None:
    line = f"Iteration {record.epoch}, loss = {record.loss:.8f}"
    if score == score:
        line += f", validation loss = {validation_loss:.8f}, score = {score:.6f}"
    print(line)
