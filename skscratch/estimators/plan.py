"""The plan of a training: what the hyper-parameters, "auto" included, mean for a table of a given size."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from joblib import cpu_count

from ..encoding.check_input import Rows
from ..encoding.features import FeatureEncoder
from ..encoding.targets import TargetEncoder
from ..nn.tape import Array
from ..training.epoch import Epoch, StepSettings
from ..training.evaluation import FEW_ROWS, assign_folds, equal_rows, hold_out
from ..training.objective import Objective
from ..training.optimizers import SGD, Adam
from ..training.plan import TrainingPlan
from ..training.schedules import SCHEDULES, Schedule, checked, multi_cosine, with_warmup
from ..training.state import Split, TrainingState
from ..training.threads import allowed_threads
from ..training.time_limit import TimeLimit
from .constraints import InvalidParameterError, frozen, is_activation_pair
from .parameters import HyperParameters

__all__ = [
    "FULL_BATCH_UP_TO",
    "MAX_BATCH",
    "automatic_batch_size",
    "automatic_bins",
    "automatic_cycles",
    "automatic_dtype",
    "calls_user_functions",
    "check_together",
    "count_different",
    "fold_split",
    "hidden_sizes",
    "max_epochs",
    "number_of_threads",
    "pays_to_encode_lazily",
    "split_rows",
    "training_plan",
]

FULL_BATCH_UP_TO = FEW_ROWS  # tables this small are trained full-batch, without bins
# Small networks on small tables are trained in double precision: there, precision matters more than speed.
FLOAT64_UP_TO = 200  # rows
FLOAT64_PARAMETERS = 100_000  # of a member: those of 1,500 inputs at the defaults
MAX_GIVEN_BATCH = 2**31  # a larger batch_size means all rows as well
MAX_PENALTY = 1e15  # the L2 penalty of tiny weights is cut off here: its gradient has finite squares in float32
FIRST_CYCLE_ROWS = 500_000  # rows that the first cycle of the learning rate shows, where it has an epoch at least
LONG_TABLE = 125_000  # rows of a table in memory from which the batches grow
MAX_BATCH = 1024  # rows of a step that "auto" chooses at most for a table in memory
MIN_LAZY_BYTES = 2**21  # a smaller encoded table is always kept
MIN_CONVERTED_BYTES = 2**19  # if only the precision changes, which takes 1 to 2 % of a step
LAZY_WORK = 2000  # parameters for each encoded number from which rows are encoded at each use; 60 / 2000 is 3 %


def training_plan(
    h: HyperParameters,
    n_rows: int,
    incremental: bool = False,
    max_batch: int | None = None,
    epoch_type: type[Epoch] = Epoch,
    weight_exponent: int = 0,
    mean_weight: float = 1.0,
    time_limit: TimeLimit | None = None,
) -> TrainingPlan:
    """Return the plan of a training on `n_rows` rows.

    Their weights are in units of 2**`weight_exponent`, and `mean_weight` is their mean in these units.
    """
    schedule = _schedule(h, 0 if incremental else n_rows)
    return TrainingPlan(
        settings=_step_settings(h, schedule, n_rows, max_batch, weight_exponent),
        schedule=schedule,
        make_optimizer=_make_optimizer(h),
        n_epochs=h.max_iter,
        incremental=incremental,
        stops_early=bool(h.early_stopping) and h.early_stopping != "folds",
        keep_best=bool(h.restore_best_weights),
        refit=h.refit,
        n_iter_no_change=h.n_iter_no_change,
        tol=h.tol,
        max_evaluations=h.max_fun,
        category_penalty=None if isinstance(h.category_penalty, str) else float(h.category_penalty),
        mean_weight=mean_weight,
        adaptive_rate=_learning_rate(h, 64) if h.learning_rate == "adaptive" else None,
        verbose=int(h.verbose),
        time_limit=time_limit,
        shows_score=h.scoring != "loss",
        n_threads=number_of_threads(h),
        epoch_type=epoch_type,
    )


def max_epochs(h: HyperParameters) -> int:
    """Return the largest number of epochs that a call of `fit` can have, those of the refit included."""
    refits = h.early_stopping == "folds" and h.solver != "lbfgs"
    return h.max_iter + (max(round(h.refit * h.max_iter), 1) if refits else 0)


def hidden_sizes(h: Any) -> list[int]:
    """Return the number of units of each hidden layer."""
    sizes = h.hidden_layer_sizes
    return [int(sizes)] if np.ndim(sizes) == 0 else [int(size) for size in sizes]


def check_together(h: Any, built_with: dict[str, Any] | None) -> None:
    """Check rules that concern several parameters, and those that a continued training must keep.

    Raises InvalidParameterError, or ValueError where a parameter differs from the one that the network was
    `built_with`.
    """
    name, n_hidden = type(h).__name__, len(hidden_sizes(h))
    if isinstance(h.activation, list | tuple) and not is_activation_pair(h.activation):
        if len(h.activation) != n_hidden:
            raise InvalidParameterError(
                f"The 'activation' parameter of {name} must be one for each of the {n_hidden} hidden layers, or "
                f"one for all. Got {h.activation!r} instead."
            )
    if h.monotonic_cst is not None and _has_own_activation(h):
        raise InvalidParameterError(
            f"The 'activation' parameter of {name} must consist of names with monotonic_cst: a pair of functions may "
            f"fall. Got {h.activation!r} instead."
        )
    if h.solver == "lbfgs":
        for parameter in ("dropout", "clip_norm"):
            if getattr(h, parameter):
                raise InvalidParameterError(
                    f"The {parameter!r} parameter of {name} must be {getattr(type(h), parameter)!r} with "
                    f"solver='lbfgs', which takes no single steps. Got {getattr(h, parameter)!r} instead."
                )
    if built_with is None:
        return
    for parameter in frozen(type(h), "network"):
        default = getattr(type(h), parameter)  # of a parameter that an older version, which wrote a file, had not
        value, before = getattr(h, parameter), built_with.get(parameter, default)
        if value is not before and not np.array_equal(np.asarray(value, object), np.asarray(before, object)):
            raise ValueError(
                f"Training cannot continue with another network: {parameter} was {before!r} and is now {value!r}. For "
                "a new network call fit, with warm_start=False."
            )


def split_rows(
    h: HyperParameters,
    rows: Rows,
    targets: TargetEncoder,
    state: TrainingState | None,
    rng: np.random.RandomState,
) -> tuple[Rows, Rows, Split]:
    """Hold validation rows out of the training rows; a continued training keeps its split."""
    held_out = None if state is None else state.split.validation_rows
    if held_out is None or held_out[-1] >= len(rows):
        held_out = hold_out(len(rows), h.validation_fraction, rows.weight, targets.strata(rows.values), rng)
    return rows[np.setdiff1d(np.arange(len(rows)), held_out)], rows[held_out], Split(validation_rows=held_out)


def fold_split(
    h: HyperParameters, objective: Objective, values: Array, before: Split, rng: np.random.RandomState
) -> Split:
    """Assign the rows to folds, if members hold out folds; a continued training keeps its folds.

    In a small table equal rows share a fold, so that a row of weight 2 is exactly two rows.
    """
    if h.early_stopping != "folds" or h.solver == "lbfgs":
        return Split()
    units = first = np.arange(len(values))
    if len(values) <= FULL_BATCH_UP_TO:
        units = equal_rows(objective.sample(units), values)
        _, first = np.unique(units, return_index=True)
    n_folds = _n_folds(h, len(first))
    if not n_folds:
        return Split()
    if before.folds is not None and len(before.folds) == len(values):
        return Split(folds=before.folds)
    return Split(folds=assign_folds(values[first], n_folds, rng)[units])


def count_different(objective: Objective, values: Array) -> int:
    """Return the number of rows; in a small table, of those that differ."""
    n = len(values)
    return n if n > FULL_BATCH_UP_TO else len(np.unique(equal_rows(objective.sample(np.arange(n)), values)))


def _n_folds(h: HyperParameters, n_rows: int) -> int:
    """Return the divisor of `n_members` nearest to `n_folds`, so that equally many members hold out each fold.

    The result is 0 where there is none with a row for each fold.
    """
    possible = [f for f in range(2, min(h.n_members, n_rows) + 1) if h.n_members % f == 0]
    return min(possible, key=lambda f: (abs(f - h.n_folds), f)) if possible else 0


def automatic_dtype(h: HyperParameters, n_rows: int, n_parameters: int) -> np.dtype[Any]:
    """Return the precision of a network whose members have so many parameters."""
    if isinstance(h.dtype, str) and h.dtype == "auto":
        is_small = n_rows <= FLOAT64_UP_TO and n_parameters <= FLOAT64_PARAMETERS
        return np.dtype(np.float64 if is_small else np.float32)
    return np.dtype(h.dtype)


def automatic_batch_size(n_rows: int, max_batch: int | None = None) -> int:
    """Return the rows of a step: few for small tables, so that an epoch has many steps; all of a very small table.

    It is 256 from 5,000 rows on, and grows with the square root of the rows from 125,000 rows on.  With `max_batch` it
    grows from 5,000 rows on, up to this size.
    """
    if n_rows <= FULL_BATCH_UP_TO:
        return n_rows
    if max_batch is None:
        max_batch = min(int(256 * max(n_rows / LONG_TABLE, 1) ** 0.5), MAX_BATCH)
    grown = min(int(256 * max(n_rows / 5000, 1) ** 0.5), max_batch)
    size = next((size for size, limit in ((32, 1000), (64, 2500), (128, 5000)) if n_rows < limit), grown)
    return -(-n_rows // -(-n_rows // size))  # steps of about equal size, without a small last one


def automatic_cycles(n_rows: int, n_epochs: int) -> int:
    """Return the cycles of 'multi_cosine': four, and more for long tables, whose training can then stop earlier.

    The first cycle shows at most about half a million rows, but has an epoch at least.
    """
    at_most = int(math.log2(n_epochs + 4))  # 6 for 60 epochs, whose first cycle is 60/63 epochs
    wanted = math.ceil(math.log2(n_rows * n_epochs / FIRST_CYCLE_ROWS + 1))
    return max(min(wanted, at_most), 4)


def automatic_bins(n_rows: int, n_columns: int) -> int:
    """Return the bins of a number column: a sixth of the rows and at most 384 for all columns; fewer than 3 are none.

    The encoded table is limited to a gigabyte, so that tables of more than 700,000 rows have fewer bins.
    """
    of_all_columns = min(384, n_rows / 6, 2**28 / n_rows)
    count = int(min(48, of_all_columns / max(n_columns, 1)))
    return count if count >= 3 and n_rows > FULL_BATCH_UP_TO else 0


def pays_to_encode_lazily(encoder: FeatureEncoder, data: Any, dtype: Any, n_members: int, n_parameters: int) -> bool:
    """Return whether rows are encoded at each use, because this adds less than 3 % to the time of a fit.

    The encoded numbers are the same.  An encoded table of numbers in single precision is as large as the table, or
    larger.  To encode a number takes as long as about 60 multiplications of a step.  A component of a bin takes three
    times as long, and so does a number that has to be collected from a column.  Each thread encodes for its own
    members, and the validation once more.
    """
    if not isinstance(data, np.ndarray) or np.dtype(dtype) != np.float32 or encoder.passes_through(data, dtype):
        return False
    n_bytes = len(data) * encoder.width * np.dtype(dtype).itemsize
    if n_bytes >= MIN_CONVERTED_BYTES and encoder.only_converts(data):
        return True
    if n_bytes < MIN_LAZY_BYTES:
        return False
    n_numbers, n_passes = data.shape[1], min(allowed_threads(), n_members) + 1
    work = 4 + (n_numbers if encoder.scale else n_numbers / 4) + 3 * encoder.n_bins
    work += 0 if data.flags.c_contiguous else 2 * n_numbers
    return bool(n_members * n_parameters >= LAZY_WORK * work * n_passes)


def _step_settings(
    h: HyperParameters, schedule: Schedule, n_rows: int, max_batch: int | None, weight_exponent: int
) -> StepSettings:
    given = h.batch_size
    batch_size = automatic_batch_size(n_rows, max_batch) if isinstance(given, str) else min(int(given), MAX_GIVEN_BATCH)
    return StepSettings(
        learning_rate=_learning_rate(h, batch_size if n_rows > FULL_BATCH_UP_TO else 64),
        schedule=schedule.factor,
        batch_size=batch_size,
        shuffle=h.shuffle,
        alpha=_alpha(float(h.alpha), weight_exponent),  # a NumPy number would make arrays of double precision
        weight_decay=float(h.weight_decay) if h.solver == "adam" else 0.0,  # in SGD it equals `alpha`
        clip_norm=None if h.clip_norm is None else float(h.clip_norm),
        power_t=h.power_t if h.learning_rate == "invscaling" else None,
    )


def _schedule(h: HyperParameters, n_rows: int) -> Schedule:
    if h.learning_rate == "multi_cosine":
        schedule = multi_cosine(automatic_cycles(n_rows, h.max_iter))
    else:
        schedule = SCHEDULES[h.learning_rate] if isinstance(h.learning_rate, str) else checked(h.learning_rate)
    return with_warmup(schedule, h.warmup)


def _alpha(alpha: float, weight_exponent: int) -> float:
    """Return the strength of the L2 penalty beside weights in units of 2**`weight_exponent`.

    The penalty ½ α |W|² is a sum like the losses: weight 2 for all rows equals all rows twice, as in scikit-learn, and
    halves its share.  So it is the one term that depends on more than the ratios of the weights.
    """
    return min(alpha * 2.0 ** min(-weight_exponent, 500), max(alpha, MAX_PENALTY))


def _learning_rate(h: HyperParameters, batch_size: int) -> float:
    """Return the learning rate: "auto" is 0.04 at 64 rows and grows with the square root of the batch, up to 0.08."""
    if isinstance(h.learning_rate_init, str):
        return min(0.04 * (batch_size / 64) ** 0.5, 0.08) if h.solver == "adam" else 0.1
    return h.learning_rate_init


def _make_optimizer(h: HyperParameters) -> Callable[[Array], SGD | Adam] | None:
    if h.solver == "lbfgs":
        return None
    if h.solver == "sgd":
        return partial(SGD, momentum=h.momentum, nesterov=h.nesterovs_momentum)
    return partial(Adam, beta_1=h.beta_1, beta_2=h.beta_2, epsilon=h.epsilon)


def calls_user_functions(h: Any) -> bool:
    """Return whether a training step calls functions of the user: an activation, a loss or a schedule."""
    return callable(h.loss) or callable(h.learning_rate) or _has_own_activation(h)


def _has_own_activation(h: Any) -> bool:
    """Return whether an activation is a pair of functions."""
    activations = h.activation if isinstance(h.activation, list | tuple) else [h.activation]
    return not all(isinstance(a, str) for a in activations)


def number_of_threads(h: Any) -> int:
    """Return the threads that share the work: as many as BLAS may use, but 1 where user functions are called."""
    if calls_user_functions(h):
        return 1
    n_jobs: int | None = h.n_jobs
    if n_jobs is None:
        return allowed_threads()
    return n_jobs if n_jobs > 0 else max(int(cpu_count()) + 1 + n_jobs, 1)
