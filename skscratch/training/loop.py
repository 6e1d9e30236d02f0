"""The training loop: `train` runs epochs until a listener stops it."""

from functools import partial
from time import perf_counter

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from ..nn.tape import Array
from .epoch import Epoch, StepSettings
from .lazy_epoch import LazyEpoch
from .listeners import Listener, Record, warn
from .objective import Objective
from .parallel import ONE_THREAD, divide_threads
from .state import Rollback, TrainingState
from .step import n_micro_batches

__all__ = ["train"]


def train(
    objective: Objective,
    state: TrainingState,
    settings: StepSettings,
    stop_at: int,
    listener: Listener,
    epoch_type: "type[Epoch] | None" = None,
) -> bool:
    """Train until `stop_at` epochs are done; return whether the listener or the user stopped earlier.

    Where the time is limited, it may end the training earlier, and its last epoch too.

    Only `state` changes.  An epoch that diverges or is interrupted leaves the state as it was before that epoch; after
    a divergence the epoch runs again with a smaller learning rate.  The number of threads changes no bit.
    """
    progress, n, pace, state.interrupted = state.progress, len(objective), settings.pace, False
    epoch = _MemberThreads(objective, state, settings, epoch_type or Epoch)
    rollback, began, stopped = Rollback(state), perf_counter(), False
    while progress.epoch < stop_at and not stopped:
        epoch_is_open = False
        try:
            listener.on_epoch_begin()
            order = progress.next_order(n, settings.shuffle, epoch.rng is not None, state.rng)
            rollback.save()
            epoch_is_open = True
            loss, learning_rate = epoch.run(order)
            if not rollback.is_finite(loss):
                rollback.retry()
                stopped = rollback.exhausted
                continue
            if pace is not None:
                pace.end_epoch((progress.epoch + 1 - progress.start) / max(progress.n_planned, 1))
            record = Record(progress.epoch + 1, loss, learning_rate, perf_counter() - began)
            stopped = listener.on_epoch_end(record)
            rollback.accept(loss)
            progress.finish_epoch(epoch.n_seen)
            epoch_is_open = False
            stopped |= listener.on_epoch_counted()
            if pace is not None and pace.is_over():
                break
        except KeyboardInterrupt:
            if epoch_is_open:
                rollback.undo()
            state.interrupted = True
            warn("Training interrupted by user.", UserWarning)
            return True
    rollback.check_last_step(part.loss_now() for part in epoch.parts)
    if message := rollback.message():
        warn(message, ConvergenceWarning)
    return stopped


class _MemberThreads:
    """The epoch of all members, which are divided among the threads of the objective.

    Members do not interact, so that each thread runs an `Epoch` of its own on some of them.  Threads that are left
    share the micro-batches of large batches.
    """

    def __init__(self, objective: Objective, state: TrainingState, settings: StepSettings, epoch_type: type[Epoch]):
        dropout = objective.network.random
        self.rng = np.random.Generator(np.random.SFC64(0)) if dropout else None
        self.state, n_members = state, len(state.parameters)
        self.n_seen = 0  # rows of the last run
        n_parts, self._threads = 1, objective.threads
        if dropout:  # whose masks are drawn one after the other
            objective = objective.with_threads(ONE_THREAD)
        elif not objective.is_remote:
            layout, batch_size = objective.network.layout, min(settings.batch_size, len(objective))
            n_parts_of_batch = n_micro_batches(batch_size)
            work = batch_size // n_parts_of_batch * (layout.size - layout.n_embedded)
            n_parts, n_at_once = divide_threads(objective.threads.n, n_members, n_parts_of_batch, work)
            objective = objective.with_threads(objective.threads.share(n_at_once))
        edges = np.linspace(0, n_members, n_parts + 1).round().astype(int).tolist()
        if epoch_type is Epoch and LazyEpoch.pays(objective, state.optimizer, settings.batch_size):
            epoch_type = LazyEpoch
        self.parts: list[Epoch] = []
        for start, stop in zip(edges[:-1], edges[1:], strict=True):
            self.parts.append(epoch_type(objective, state, settings, self.rng, slice(start, stop)))

    def run(self, order: Array) -> tuple[float, float]:
        """Run one epoch of all members; return their mean loss and the last learning rate."""
        progress, optimizer, first = self.state.progress, self.state.optimizer, self.parts[0]
        assert optimizer is not None
        if self.rng is not None:
            self.rng.bit_generator.state = np.random.SFC64(progress.dropout_seed).state
        try:
            results = self._threads.run([partial(part.run, order) for part in self.parts], on_error=self._halt)
        finally:
            for part in self.parts:
                part.halted = False
        optimizer.count += first.n_done
        self.n_seen = min(first.n_done * first.size, len(order))
        losses, first_losses = (np.concatenate([result[i] for result in results]) for i in (0, 1))
        if progress.first_loss is None and np.isfinite(first_losses).any():
            progress.first_loss = float(np.max(first_losses[np.isfinite(first_losses)]))
        return float(np.mean(losses)), results[0][2]

    def _halt(self) -> None:
        """Let no thread continue while the epoch is undone."""
        for part in self.parts:
            part.halted = True
