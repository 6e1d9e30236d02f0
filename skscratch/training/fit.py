"""fit_network: train a network as a `TrainingPlan` says, evaluate it, and refit it on all rows."""

import copy
from collections.abc import Callable, Container
from dataclasses import dataclass, replace

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..nn.tape import Array
from .evaluation import Evaluation
from .lbfgs import minimise
from .listeners import EarlyStopping, Listener, Listeners, ProgressLines, warn
from .loop import train
from .objective import Objective
from .optimizers import SGD, Adam
from .parallel import Threads
from .plan import TrainingPlan
from .race import DEFAULT_CATEGORY_PENALTY, choose_category_penalty
from .schedules import hann_window
from .state import Progress, TrainingState
from .threads import training_context
from .time_limit import CycleEnds, Pace, StopInTime

__all__ = ["FitResult", "fit_network"]

ENSEMBLE_TEMPERATURE_POWER = 0.7  # of the out-of-fold temperature, for the mean of all members; found by benchmark
MIN_SHARE_OF_TIME = 0.5  # of a limited time: for training, if the encoding of the table takes longer than the rest
REFIT_RATE = 0.5  # highest learning rate of the refit, as a share of the first one; found by benchmark


@dataclass(frozen=True)
class FitResult:
    """The outcome of a training."""

    parameters: Array  # (K, P)
    epoch: int  # whose parameters they are
    temperature: float = 1.0
    scores: Array | None = None  # (n, out), raw scores of the validation rows, divided by their own temperature
    validated: "FitResult | None" = None  # before the refit, with that temperature
    refitted: bool = False  # whether every member has seen all rows since


def fit_network(
    plan: TrainingPlan,
    objective: Objective,
    evaluation: Evaluation | None,
    state: TrainingState,
    listener: Listener,
) -> FitResult:
    """Train `state` for one epoch if the plan is incremental, otherwise until its end; return the best parameters."""
    with Threads(plan.n_threads) as threads:
        objective = objective.with_threads(threads)
        if evaluation is not None:
            evaluation = replace(evaluation, objective=evaluation.objective.with_threads(threads))
        return _fit(plan, objective, evaluation, state, listener)


def _fit(
    plan: TrainingPlan,
    objective: Objective,
    evaluation: Evaluation | None,
    state: TrainingState,
    listener: Listener,
) -> FitResult:
    """Do the work of `fit_network`, with objectives that have their threads."""
    _start_or_resume(plan, state)
    if plan.time_limit is not None:
        plan.time_limit.grant(MIN_SHARE_OF_TIME)
    plan = _with_category_penalty(plan, objective, evaluation, state)
    plan = _with_pace(plan, evaluation)
    chooses = evaluation is not None or (
        plan.is_open_ended and plan.make_optimizer is not None and not plan.incremental
    )
    keep_best = plan.keep_best and chooses
    if keep_best:
        state.best.choose_on((objective if evaluation is None else evaluation.objective).checksum())
    lines = _progress_lines(plan, evaluation, state.progress) if plan.verbose else None
    own = _own_listeners(plan, evaluation, state, keep_best, chooses, lines)
    listeners = Listeners([*own, listener])

    def best_so_far() -> FitResult:
        best = state.best
        if keep_best and best.parameters is not None:
            return FitResult(best.parameters, best.epoch)
        return FitResult(state.parameters, state.progress.epoch)

    listeners.on_train_begin(lambda: _evaluated(best_so_far(), evaluation))
    progress = state.progress
    with training_context():
        if state.interrupted:
            stopped = True
        elif state.finished or progress.epoch >= progress.end:  # resuming from a checkpoint taken just before the refit
            stopped = state.finished
        elif plan.make_optimizer is None:
            stopped = _run_lbfgs(plan, objective, state, listeners)
        else:
            state.optimizer = _continued(plan.make_optimizer(state.parameters), state.optimizer)
            stop_at = progress.epoch + 1 if plan.incremental else progress.end
            stopped = train(objective, state, plan.settings, stop_at, listeners, plan.epoch_type)
    out_of_time = plan.settings.pace is not None and not stopped and progress.epoch < progress.end
    state.finished |= out_of_time
    if not (stopped or out_of_time or plan.incremental) and plan.is_open_ended and np.isfinite(plan.n_iter_no_change):
        _warn_not_converged(plan)
    cut_short = stopped and not state.finished
    too_short = out_of_time and plan.settings.pace is not None and not plan.settings.pace.refits
    by_folds = evaluation is not None and evaluation.folds is not None
    state.refit_is_due = bool(plan.refit and by_folds and not cut_short and not too_short)
    result = best_so_far()
    if lines is not None and not plan.incremental:
        n_refit = _n_refit_epochs(plan, state, result.epoch) if state.refit_is_due else 0
        lines.end(_why_it_ended(plan, state, listeners, stopped, out_of_time), result.epoch, n_refit)
    try:
        with training_context():
            result = _evaluated(result, evaluation)
            if state.refit_is_due and evaluation is not None and result.scores is not None:
                result = _refitted(plan, evaluation.objective, state, result, listener)
    except KeyboardInterrupt:
        state.interrupted = True
        warn("Training interrupted by user.", UserWarning)
    state.refit_is_due &= state.interrupted  # a continued training begins with the refit that an interruption cut short
    return result


def _start_or_resume(plan: TrainingPlan, state: TrainingState) -> None:
    """Start the schedule anew where the last call ended it, or where it has another length now."""
    progress = state.progress
    resumes = state.is_snapshot or state.refit_is_due
    ended = not resumes and (state.finished or progress.epoch >= progress.end)
    if progress.n_planned != plan.n_epochs or ended:
        progress.start, progress.end, state.finished = progress.epoch, progress.epoch + plan.n_epochs, False
    state.is_snapshot, state.interrupted = False, False


def _with_category_penalty(
    plan: TrainingPlan, objective: Objective, evaluation: Evaluation | None, state: TrainingState
) -> TrainingPlan:
    """Return the plan with the penalty of the embeddings in its settings; choose it first where that is possible."""
    if not objective.network.layout.n_embedded:
        return plan
    if plan.category_penalty is not None:
        state.category_penalty = plan.category_penalty
    elif state.category_penalty is None and (evaluation is None or plan.make_optimizer is None or plan.incremental):
        state.category_penalty = DEFAULT_CATEGORY_PENALTY
    elif state.category_penalty is None:
        assert evaluation is not None
        with training_context():
            state.category_penalty = choose_category_penalty(plan, objective, evaluation, state)
    strength = (state.category_penalty or 0.0) * plan.mean_weight
    return replace(plan, settings=replace(plan.settings, category_penalty=strength))


def _with_pace(plan: TrainingPlan, evaluation: Evaluation | None) -> TrainingPlan:
    """Return the plan in which the schedule runs over the time that is left, if it is limited."""
    if plan.time_limit is None or plan.make_optimizer is None:
        return plan
    by_folds = evaluation is not None and evaluation.folds is not None
    n_steps = 0.0
    if evaluation is not None:  # a forward pass is about a third of a step, and by folds one member scores each row
        n_steps = len(evaluation.objective) / plan.settings.batch_size / (3 * evaluation.n_folds)
    pace = Pace(plan.time_limit.left(), plan.n_epochs, plan.refit if by_folds else 0.0, n_steps)
    return replace(plan, settings=replace(plan.settings, pace=pace))


def _progress_lines(plan: TrainingPlan, evaluation: Evaluation | None, progress: Progress) -> ProgressLines:
    dash = "no rows are held out, so that no epoch is validated"
    if evaluation is not None:
        dash = "not validated; epochs are validated while the learning rate falls"
    pace = plan.settings.pace
    left = None if pace is None else pace.left
    return ProgressLines(progress.epoch + 1, progress.end, plan.shows_score, plan.verbose, dash, left)


def _own_listeners(
    plan: TrainingPlan,
    evaluation: Evaluation | None,
    state: TrainingState,
    keep_best: bool,
    chooses: bool,
    lines: ProgressLines | None,
) -> list[Listener]:
    by_epochs, by_folds = plan.make_optimizer is not None, evaluation is not None and evaluation.folds is not None
    may_stop = not plan.incremental and (plan.stops_early or (by_epochs and plan.is_open_ended))
    pace = plan.settings.pace
    early_stopping = EarlyStopping(
        state,
        evaluate=evaluation if pace is None or evaluation is None else pace.timed(evaluation),
        evaluate_at=_while_rate_falls(plan, state.progress) if by_folds and not plan.is_open_ended else None,
        cycle_ends=_cycle_ends(plan, state.progress) if by_folds else (),
        patience=plan.n_iter_no_change if may_stop else np.inf,
        tol=plan.tol,
        adaptive_rate=plan.adaptive_rate,
        keep_best=keep_best,
        chooses=chooses,
    )
    if plan.time_limit is not None and plan.make_optimizer is None:
        return [early_stopping, *([lines] if lines else []), StopInTime(plan.time_limit)]
    return [early_stopping, *([lines] if lines else [])]


def _while_rate_falls(plan: TrainingPlan, progress: Progress) -> Callable[[int], bool]:
    """Return when epochs are validated: while the learning rate falls and is below 75 % of its peak, and at the end."""
    factor, start, n_planned = plan.settings.schedule, progress.start, max(progress.n_planned, 1)
    pace, cycle_ends = plan.settings.pace, _cycle_ends(plan, progress)

    def evaluate_at(epoch: int) -> bool:
        before, after = (factor(min((e - start) / n_planned, 1.0)) for e in (epoch - 1, epoch))
        return (after < before and after <= 0.75) or epoch == start + n_planned

    def evaluate_in_time(epoch: int) -> bool:
        assert pace is not None
        before, after = factor(pace.before), factor(pace.after)
        return (after < before and after <= 0.75) or pace.is_over() or epoch in cycle_ends or pace.after >= 1

    return evaluate_at if pace is None else evaluate_in_time


def _cycle_ends(plan: TrainingPlan, progress: Progress) -> Container[int]:
    """Return the epochs that end a cycle of the learning rate."""
    n_planned, ends = progress.n_planned, plan.schedule.cycle_ends
    if plan.settings.pace is not None:
        return CycleEnds(plan.settings.pace, ends)
    return {progress.start + round(u * n_planned) for u in ends}


def _why_it_ended(
    plan: TrainingPlan, state: TrainingState, listeners: Listeners, stopped: bool, out_of_time: bool
) -> str:
    """Return the reason for the last progress line."""
    unit = "epochs" if plan.make_optimizer is not None else "iterations"
    if state.interrupted:
        return "it was interrupted"
    if out_of_time and plan.time_limit is not None:
        return plan.time_limit.reason
    if not stopped:
        return f"all {state.progress.n_planned} {unit} are done"
    if listeners.stopped_by is not None:
        return listeners.stopped_by.reason
    return "it converged" if plan.make_optimizer is None else "it diverged with any learning rate"


def _run_lbfgs(plan: TrainingPlan, objective: Objective, state: TrainingState, listener: Listener) -> bool:
    """Run all iterations; return whether L-BFGS converged or was stopped."""
    stopped = minimise(
        objective,
        state,
        alpha=plan.settings.alpha,
        category_penalty=plan.settings.category_penalty,
        max_evaluations=plan.max_evaluations,
        gradient_tolerance=plan.tol,
        listener=listener,
    )
    state.finished = True
    return stopped


def _continued(optimizer: SGD | Adam, before: SGD | Adam | None) -> SGD | Adam:
    """Return the new optimizer with the moments of the one before, if it is of the same kind."""
    if before is not None and type(before) is type(optimizer):
        optimizer.load(before.count, before.state)
    return optimizer


def _warn_not_converged(plan: TrainingPlan) -> None:
    advice = "" if plan.make_optimizer is None else ", or use a schedule with an end, such as learning_rate='cosine'"
    warn(
        f"Maximum iterations ({plan.n_epochs}) reached and the optimization hasn't converged yet. Increase max_iter"
        f"{advice}.",
        ConvergenceWarning,
    )


def _evaluated(result: FitResult, evaluation: Evaluation | None) -> FitResult:
    """Return the result with the temperature of the validation rows, and with their scaled raw scores."""
    if evaluation is None or not np.isfinite(result.parameters).all():
        return result
    scored = evaluation.score(result.parameters)
    _, temperature = evaluation.loss_and_temperature(scored)
    # Out of fold, each row is scored by one member; at prediction all are averaged.  The average is less confident, so
    # that it needs a temperature closer to 1.
    of_ensemble = temperature if evaluation.folds is None else temperature**ENSEMBLE_TEMPERATURE_POWER
    validated = replace(result, temperature=temperature)
    return replace(result, temperature=of_ensemble, scores=scored.scaled_by(temperature), validated=validated)


def _n_refit_epochs(plan: TrainingPlan, state: TrainingState, best_epoch: int) -> int:
    return max(round(plan.refit * (best_epoch - state.progress.start)), 1)


def _refitted(
    plan: TrainingPlan, objective: Objective, state: TrainingState, result: FitResult, listener: Listener
) -> FitResult:
    """Return the result after some more epochs on all rows, none of them held out, along one Hann window of the rate.

    No validation follows these epochs: they are few, and their number and learning rate were chosen by benchmark.  If
    they are cut short, the result stays as it was.
    """
    assert plan.make_optimizer is not None
    parameters, settings = result.parameters.copy(), plan.settings
    n_epochs = _n_refit_epochs(plan, state, result.epoch)
    optimizer, rng = plan.make_optimizer(parameters), copy.deepcopy(state.rng)
    refit_state = TrainingState(parameters, optimizer, rng, Progress(end=n_epochs))
    settings = replace(
        settings,
        learning_rate=settings.learning_rate * REFIT_RATE,
        schedule=hann_window(settings.batch_size, len(objective), n_epochs),
        pace=None if plan.time_limit is None else Pace(plan.time_limit.left()),
    )
    refitted = replace(result, parameters=parameters, refitted=True)
    listener.on_train_begin(lambda: refitted)
    stopped = train(objective, refit_state, settings, n_epochs, listener, plan.epoch_type)
    state.interrupted = refit_state.interrupted
    return result if stopped or not np.isfinite(parameters).all() else refitted
