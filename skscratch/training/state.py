"""TrainingState: everything that a continued training needs to give the bits of one that was never interrupted.

The state is divided by who writes it: `Progress` belongs to the training loop, `Best` to early stopping, and `Split` to
the estimator.  `Rollback` takes parameters and optimizer back to a point where the loss was finite.
"""

import copy
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..nn.tape import Array
from .optimizers import SGD, Adam

__all__ = ["MAX_LOSS_RATIO", "MAX_RETRIES", "RETRY_FACTOR", "Best", "Progress", "Rollback", "Split", "TrainingState"]

RETRY_FACTOR = 0.25  # multiplies the learning rate after a diverged epoch
MAX_RETRIES = 20
MAX_LOSS_RATIO = 1e8  # a loss this many times the first one counts as diverged, although it is finite


@dataclass
class Progress:
    """Position in the training, written by the training loop."""

    epoch: int = 0  # epochs done, over all calls
    n_seen: int = 0  # rows seen, over all calls
    start: int = 0  # the schedule runs over the epochs start < epoch <= end
    end: int = 0
    order: Array | None = None  # (n,), row indices in the order of the epoch
    order_is_drawn: bool = False  # whether `order` already belongs to the next epoch, because that one was interrupted
    dropout_seed: int = 0
    first_loss: float | None = None

    @property
    def n_planned(self) -> int:
        """Number of epochs that the schedule runs over."""
        return self.end - self.start

    def next_order(self, n: int, shuffle: bool, dropout: bool, rng: np.random.RandomState) -> Array:
        """Row indices (n,) in the order of the next epoch; also draw the epoch's seed for dropout."""
        if self.order is None or len(self.order) != n:
            self.order, self.order_is_drawn = np.arange(n), False
        if not self.order_is_drawn:
            if shuffle:
                rng.shuffle(self.order)  # each epoch shuffles the previous order, as scikit-learn does
            self.dropout_seed = int(rng.randint(2**31 - 1)) if dropout else 0
            self.order_is_drawn = True
        return self.order

    def finish_epoch(self, n: int) -> None:
        """Count an epoch of `n` rows."""
        self.epoch += 1
        self.n_seen += n
        self.order_is_drawn = False


@dataclass
class Best:
    """The best epoch so far, written by early stopping."""

    parameters: Array | None = None  # (K, P)
    epoch: int = 0
    loss: float = np.inf  # lowest training loss
    score: float = -np.inf  # highest validation score
    cycle_score: float = -np.inf  # highest validation score at the end of the last cycle of the learning rate
    n_no_change: int = 0  # consecutive epochs without improvement
    checksum: int | None = None  # of the rows that the epoch was chosen on

    def choose_on(self, checksum: int) -> None:
        """Forget the best epoch if it was chosen on other rows than those with this checksum."""
        if checksum != self.checksum:
            self.__dict__.update(vars(Best(checksum=checksum)))

    def keep(self, parameters: Array, epoch: int) -> None:
        """Copy the parameters of the best epoch."""
        self.epoch = epoch
        if self.parameters is None:
            self.parameters = np.empty_like(parameters)
        np.copyto(self.parameters, parameters)


@dataclass(frozen=True)
class Split:
    """The rows that are held out from training, written by the estimator."""

    validation_rows: Array | None = None  # row indices
    folds: Array | None = None  # (n,), fold of each row


@dataclass
class TrainingState:
    """Everything that a continued training needs."""

    parameters: Array  # (K, P), as the last step left them (not those of the best epoch)
    optimizer: SGD | Adam | None
    rng: np.random.RandomState
    progress: Progress = field(default_factory=Progress)
    best: Best = field(default_factory=Best)
    split: Split = field(default_factory=Split)
    history: dict[str, list[float]] = field(default_factory=dict)
    category_penalty: float | None = None  # in use; None before it is chosen
    rate_factor: float = 1.0  # on the learning rate; "adaptive" and Rollback lower it
    incremental: bool = False  # whether partial_fit was called: then no call is the last
    finished: bool = False  # whether training has stopped before the planned end
    is_snapshot: bool = False  # whether this is a copy made during training, from which training resumes
    refit_is_due: bool = False  # whether nothing but the refit is left to do
    interrupted: bool = False  # whether the user interrupted the last call
    stream: Any = None  # sample of the rows of a stream, from which partial_fit updates the scaling

    def copy(self) -> "TrainingState":
        """Return a copy that shares nothing with this state but the random number generator."""
        return replace(
            self,
            parameters=self.parameters.copy(),
            optimizer=copy.deepcopy(self.optimizer),
            progress=replace(self.progress, order=_copied(self.progress.order)),
            best=replace(self.best, parameters=_copied(self.best.parameters)),
            history={name: list(values) for name, values in self.history.items()},
        )

    def snapshot(self) -> "TrainingState":
        """Return a copy with a generator of its own: training that resumes from it gives the same bits."""
        return replace(self.copy(), rng=copy.deepcopy(self.rng), is_snapshot=True)

    def to_state(self) -> dict[str, Any]:
        """Return plain dictionaries, numbers and arrays, without the stream."""
        optimizer = self.optimizer
        return {
            "parameters": self.parameters,
            "optimizer": optimizer and {"name": optimizer.name, "count": optimizer.count, "arrays": optimizer.state},
            "rng": self.rng.get_state(legacy=False),
            "progress": dict(vars(self.progress)),
            "best": dict(vars(self.best)),
            "split": dict(vars(self.split)),
            "history": self.history,
            "category_penalty": self.category_penalty,
            "rate_factor": self.rate_factor,
            "incremental": self.incremental,
            "finished": self.finished,
            "is_snapshot": self.is_snapshot,
            "refit_is_due": self.refit_is_due,
            "interrupted": self.interrupted,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "TrainingState":
        """Make a state from what `to_state` returned."""
        optimizer: SGD | Adam | None = None
        if state["optimizer"] is not None:
            optimizer = {"sgd": SGD, "adam": Adam}[state["optimizer"]["name"]](state["parameters"])
            optimizer.load(state["optimizer"]["count"], state["optimizer"]["arrays"])
        rng = np.random.RandomState(getattr(np.random, state["rng"]["bit_generator"])())
        rng.set_state(state["rng"])
        parts = {
            "optimizer": optimizer,
            "rng": rng,
            "progress": Progress(**state["progress"]),
            "best": Best(**state["best"]),
            "split": Split(**state["split"]),
        }
        return cls(**{**state, **parts})


def _copied(array: Array | None) -> Array | None:
    return None if array is None else array.copy()


class Rollback:
    """Copies of the parameters and of the optimizer, to return to when an epoch diverges.

    There are two: everything as it was before the running epoch, and the parameters before the epoch of lowest loss,
    from which the optimizer restarts.  The second copy is needed because the loss of an epoch measures the parameters
    that it starts from, and not those that it ends with.
    """

    def __init__(self, state: TrainingState):
        assert state.optimizer is not None
        self.state, self.optimizer = state, state.optimizer
        self._arrays = [state.parameters, *state.optimizer.state]
        self._before, self._count = [array.copy() for array in self._arrays], state.optimizer.count
        self._good = state.parameters.copy()
        self._lowest_loss = math.inf
        self._failures = 0  # consecutive failures of the running epoch
        self.n_retries = 0
        self._first_epoch = 0  # the first epoch that diverged

    @property
    def exhausted(self) -> bool:
        """Whether the limit of retries is exceeded."""
        return self.n_retries > MAX_RETRIES

    def save(self) -> None:
        """Copy the parameters and the optimizer before an epoch."""
        for saved, array in zip(self._before, self._arrays, strict=True):
            np.copyto(saved, array)
        self._count = self.optimizer.count

    def is_finite(self, loss: float) -> bool:
        """Whether the parameters are finite, and the loss is finite and not huge."""
        limit = MAX_LOSS_RATIO * max(self.state.progress.first_loss or 0.0, 1.0)
        return bool(loss <= limit and np.isfinite(self.state.parameters).all())

    def accept(self, loss: float) -> None:
        """Record that an epoch had this finite loss: the parameters that it started from are good."""
        self._failures = 0
        if loss < self._lowest_loss:
            self._lowest_loss = loss
            np.copyto(self._good, self._before[0])

    def undo(self) -> None:
        """Return to the state before the running epoch."""
        for saved, array in zip(self._before, self._arrays, strict=True):
            np.copyto(array, saved)
        self.optimizer.count = self._count

    def retry(self) -> None:
        """Return to good parameters and reduce the learning rate, so that the epoch can run again."""
        self._failures += 1
        if self._failures == 1:
            self.undo()
            self._reduce_rate()
        else:  # a smaller learning rate did not help: the last step of an earlier epoch diverged
            self.restore_good()

    def restore_good(self) -> None:
        """Return to the parameters before the epoch of lowest loss, with a fresh optimizer and a smaller rate."""
        state = self.state
        np.copyto(state.parameters, self._good)
        for array in self.optimizer.state:
            array[...] = 0
        self.optimizer.count = 0
        if state.best.parameters is not None and state.best.epoch == state.progress.epoch:
            state.best.parameters = state.parameters.copy()
        self._reduce_rate()

    def _reduce_rate(self) -> None:
        self._first_epoch = self._first_epoch or self.state.progress.epoch + 1
        self.state.rate_factor *= RETRY_FACTOR
        self.n_retries += 1

    def check_last_step(self, losses: Iterable[float]) -> None:
        """Restore good parameters if the last step of training diverged; no epoch measures the loss after it.

        `losses` are computed only if the parameters are much larger than the last good ones.
        """
        suspicious = np.linalg.norm(self.state.parameters) > 10 * (1 + np.linalg.norm(self._good))
        if suspicious and not self.is_finite(float(np.max(list(losses)))):
            self.restore_good()

    def message(self) -> str | None:
        """Return a warning that says what happened, or None if no epoch diverged."""
        if not self.n_retries:
            return None
        outcome = (
            "a smaller learning rate did not help, and training stopped"
            if self.exhausted
            else f"training continued with {RETRY_FACTOR**self.n_retries:.1e} times the learning rate"
        )
        return (
            f"The loss became non-finite or huge in epoch {self._first_epoch}: the weights were reset to the last good "
            f"ones and {outcome}. Lower learning_rate_init, or set clip_norm."
        )
