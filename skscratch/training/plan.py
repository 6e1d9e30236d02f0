"""TrainingPlan: how to train, as numbers and rules; `estimators.plan` makes it from the hyper-parameters."""

from collections.abc import Callable
from dataclasses import dataclass

from ..nn.tape import Array
from .epoch import Epoch, StepSettings
from .optimizers import SGD, Adam
from .schedules import Schedule
from .time_limit import TimeLimit

__all__ = ["TrainingPlan"]


@dataclass(frozen=True)
class TrainingPlan:
    """How to train.

    Attributes
    ----------
    settings : StepSettings
    schedule : Schedule
        The learning-rate schedule, which also says where its cycles end and whether it has an end.
    make_optimizer : callable or None
        Maps parameters (K, P) to a new optimizer; None for L-BFGS.
    n_epochs : int
        Epochs of one call of `fit`, and of the schedule; iterations for L-BFGS.
    incremental : bool
        Whether this call is one of `partial_fit`, which trains for a single epoch.
    stops_early : bool
        Whether the validation score decides when to stop.
    keep_best : bool
        Whether the parameters of the best epoch are kept, where a loss or score chooses one.
    refit : float
        Number of refit epochs as a share of the best epoch; 0 for no refit.
    n_iter_no_change, tol, max_evaluations
        As the hyper-parameters of these names.
    verbose : int
        Number of epochs from one progress line to the next; 0 for none.
    time_limit : TimeLimit or None
    category_penalty : float or None
        The penalty of embeddings, for weights of mean 1; None lets the first epochs choose it.
    mean_weight : float
        Mean weight of the rows.
    adaptive_rate : float or None
        Base learning rate of the "adaptive" schedule.
    shows_score : bool
        Whether progress lines have a score besides the loss.
    n_threads : int
        Number of threads that share the work.
    epoch_type : type
    """

    settings: StepSettings
    schedule: Schedule
    make_optimizer: Callable[[Array], SGD | Adam] | None
    n_epochs: int
    incremental: bool = False
    stops_early: bool = False
    keep_best: bool = True
    refit: float = 0.0
    n_iter_no_change: float = 10
    tol: float = 1e-4
    max_evaluations: int = 15000
    category_penalty: float | None = 0.0
    mean_weight: float = 1.0
    adaptive_rate: float | None = None
    verbose: int = 0
    time_limit: TimeLimit | None = None
    shows_score: bool = False
    n_threads: int = 1
    epoch_type: type[Epoch] = Epoch

    @property
    def is_open_ended(self) -> bool:
        """Whether only the loss or the score ends the training."""
        return self.make_optimizer is None or self.schedule.open_ended
