"""The choice of the penalty on category embeddings: short trial trainings, compared by their validation loss.

A column of many categories either tells something about each of them, or it lets a network memorise the rows of rare
ones.  No statistic of the column says which it is; rows that a network has not seen do.  On 12 tables with such columns
the choice lowers the loss by 8 % (geometric mean; one value for all of them lowers it by 6 %), and a column of random
names, added to 6 tables, raises it by 0 % instead of 35 %.
"""

import warnings
from dataclasses import replace

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from .evaluation import Evaluation
from .listeners import Listener
from .loop import StepSettings, train
from .objective import Objective
from .plan import TrainingPlan
from .schedules import hann
from .state import Progress, TrainingState

__all__ = ["CATEGORY_PENALTIES", "DEFAULT_CATEGORY_PENALTY", "choose_category_penalty"]

CATEGORY_PENALTIES = (0.0, 1.0, 5.0, 30.0)
DEFAULT_CATEGORY_PENALTY = 3.0  # where nothing validates the training
N_EPOCHS = 4  # of each trial; 12 lower the loss by 1 % more, and take half of the time of a fit
TOLERANCE = 0.02  # a small penalty is ahead early and behind later, when rare categories are memorised


def choose_category_penalty(
    plan: TrainingPlan, objective: Objective, evaluation: Evaluation, state: TrainingState
) -> float | None:
    """Return the largest penalty whose validation loss is within `TOLERANCE` of the lowest, after a few epochs each.

    The state stays as it is.  If the user interrupts a trial, the result is None, and the state says so.
    """
    losses = []
    for penalty in CATEGORY_PENALTIES:
        trial = state.snapshot()
        _train_briefly(plan, objective, trial, penalty)
        if trial.interrupted:
            state.interrupted = True
            return None
        scored = evaluation.score(trial.parameters)
        losses.append(evaluation.loss_and_temperature(scored)[0] if scored.is_finite() else np.inf)
    highest = min(losses) + TOLERANCE * abs(min(losses))
    chosen = [penalty for penalty, loss in zip(CATEGORY_PENALTIES, losses, strict=True) if loss <= highest]
    return max(chosen) if np.isfinite(highest) else DEFAULT_CATEGORY_PENALTY


def _train_briefly(plan: TrainingPlan, objective: Objective, trial: TrainingState, penalty: float) -> None:
    """Train along one Hann window of the learning rate."""
    assert plan.make_optimizer is not None
    trial.progress, trial.optimizer = Progress(end=N_EPOCHS), plan.make_optimizer(trial.parameters)
    half_a_step = 0.5 * min(plan.settings.batch_size / len(objective), 1) / N_EPOCHS  # otherwise the first rate is 0
    settings: StepSettings = replace(
        plan.settings,
        schedule=lambda u: hann(min(u + half_a_step, 1.0)),
        category_penalty=penalty * plan.mean_weight,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # if a trial diverges, so does the training, which warns
        train(objective, trial, settings, N_EPOCHS, Listener(), plan.n_threads, plan.epoch_type)
