"""LocalStepsEpoch: each group of partitions takes several steps on its own rows before the parameters are averaged.

This saves messages on a slow network (McMahan et al. 2017, "Communication-efficient learning of deep networks from
decentralized data").
"""

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from ..nn.network import Network
from ..nn.tape import Array
from ..training.epoch import Epoch, StepSettings
from ..training.optimizers import Adam
from ..training.state import TrainingState
from .averages import LocalSteps, adopt
from .objective import ClusterObjective, dropout_seed

__all__ = ["MAX_GROUPS", "LocalStepsEpoch", "automatic_groups", "automatic_sync_every"]

MAX_GROUPS = 16  # groups of partitions that take local steps: more of them would make the steps of each too small
MIN_ROWS = 256  # of a step, in each group: with fewer of them, the optimizer takes more than a tenth of the time
MAX_SHARE = 0.2  # of the time of training, for the meetings
GROWTH = 32  # a round has at most one in so many of the steps before it: moments of few gradients are those of no group
MIN_MEETINGS = 4  # in an epoch, at least
# Nominal speeds, measured by benchmarks.scale. No clock decides, so that the same rows give the same fit anywhere.
MULTIPLY_ADDS = 40e9  # a second, of a step on one core
ROUND_TRIP = 3e-3  # seconds of a meeting, besides its messages
MESSAGE = 1.2e-3  # seconds of each message and its reply, besides its bytes
BANDWIDTH = 1.25e9  # bytes a second: 10 Gbit/s


def automatic_groups(batch_size: int) -> int:
    """Return the largest number of groups for which local steps pay, with so many rows in a step."""
    return max(min(batch_size // MIN_ROWS, MAX_GROUPS), 1)


def automatic_sync_every(
    network: Network, n_members: int, itemsize: int, n_rows: int, batch_size: int, n_groups: int
) -> int:
    """Return the number of local steps between two meetings that `sync_every="auto"` means.

    It is the smallest number with which the meetings take at most a fifth of the time, by a model of the costs
    in which each group has a worker of its own; and small enough for four meetings in an epoch.

    Parameters
    ----------
    network : Network
    n_members, itemsize : int
        Members, and bytes of one of their parameters.
    n_rows, batch_size, n_groups : int
        Rows of the table, rows of a step, and groups that divide them.
    """
    if n_groups == 1:
        return 1  # no step but that on all rows of the batch
    layout, batch_size = network.layout, min(batch_size, n_rows)
    # a product of matrices forward and two backward
    step = 3 * n_members * (layout.size - layout.n_embedded) * batch_size / n_groups / MULTIPLY_ADDS
    n_bytes = 2 * 3 * n_members * layout.size * itemsize  # of the parameters and both moments, there and back
    meeting = ROUND_TRIP + n_groups * (MESSAGE + n_bytes / BANDWIDTH)
    needed = math.ceil((1 - MAX_SHARE) / MAX_SHARE * meeting / step)
    return max(min(needed, math.ceil(n_rows / batch_size) // MIN_MEETINGS), 1)


class LocalStepsEpoch(Epoch):
    """One pass over the rows, in rounds of `sync_every` steps.

    In a round each group of partitions takes these steps on its share of the same batches.  Afterwards the parameters
    and the optimizer's moments become the groups' means, weighted by the weight of their rows in the round.  The groups
    follow from the partitions, so that the number of workers changes nothing but the rounding of sums.
    """

    def __init__(
        self,
        objective: ClusterObjective,
        state: TrainingState,
        settings: StepSettings,
        rng: np.random.Generator | None,
        members: slice,
    ):
        super().__init__(objective, state, settings, rng, members)
        self.objective = objective
        pool = objective.table.pool
        # The groups begin with G times the second moments of Adam, and take steps of √G times the learning rate. So
        # their own squares count as 1 / G, which is about the square of the mean where gradients are mostly noise.
        self.scale = sum(len(own) for own in pool.groups) if isinstance(state.optimizer, Adam) else 1
        settings = replace(settings, schedule=float, pace=None, weight_decay=settings.weight_decay / self.scale**0.5)
        args = (objective.folds is not None, settings, state.optimizer, state.parameters, self.total)
        pool.on_rebuild(lambda: objective.call("begin_local_steps", *args, each=[(own,) for own in pool.groups]))

    def run(self, order: Array) -> tuple[Array, Array, float]:
        """Step through the rows in this order; return what `Epoch.run` returns."""
        state, progress = self.state, self.state.progress
        assert state.optimizer is not None
        losses, first_losses = np.zeros(len(self.gradient)), np.full(len(self.gradient), np.nan)
        penalty = self.penalty()
        done = (progress.epoch - progress.start) * self.n_batches
        planned = max(progress.n_planned, 1) * self.n_batches
        rate, pace, seen = 0.0, self.settings.pace, np.zeros(1)
        for steps in self._rounds(state.optimizer.count):
            shares = [(done + index) / planned if pace is None else pace((done + index) / planned) for index in steps]
            rates = [self.learning_rate(u) for u in shares]
            batches = [order[index * self.size : (index + 1) * self.size] for index in steps]
            round_losses, weights = self._run_round(batches, rates, state.optimizer.count + steps.start)
            losses, rate = losses + round_losses.sum(axis=0), rates[-1]
            for loss, weight in zip(round_losses, weights, strict=True):
                np.copyto(first_losses, loss / weight, where=np.isnan(first_losses) & (weight > 0))
            if pace is not None:
                self.n_done, seen = steps.stop, seen + weights.sum(axis=0)
                if shares[-1] >= 1:
                    break
        total = self.total if self.n_done == self.n_batches else np.maximum(seen, 1e-30)
        return (losses + penalty) / total, first_losses, rate

    def _rounds(self, count: int) -> Iterator[range]:
        """Yield the indices of the batches of each round, for an optimizer that has taken `count` steps."""
        start = 0
        while start < self.n_batches:
            n_steps = min(self.objective.sync_every, max((count + start) // GROWTH, 1))
            yield range(start, min(start + n_steps, self.n_batches))
            start += n_steps

    def _run_round(self, batches: list[Array], rates: list[float], count: int) -> tuple[Array, Array]:
        """Take one step on each batch; return losses (n_steps, K) and weights (n_steps, 1 or K) of all workers."""
        if len(batches) == 1:  # the sums over all workers, which are exact, are smaller than the parameters and moments
            step = self.steps[len(batches[0])]
            losses = self.advance(step, batches[0], rates[0], count + 1)
            return losses[None].copy(), step.total_weight()[None]
        objective, optimizer, seed = self.objective, self.state.optimizer, dropout_seed(self.rng)
        assert optimizer is not None
        parameters, moments = self.state.parameters, list(optimizer.state)
        if self.scale > 1:
            moments[1] = self.scale * moments[1]
            rates = [rate * self.scale**0.5 for rate in rates]

        def call() -> list[LocalSteps]:
            shares = zip(*(objective.table.split(rows) for rows in batches), strict=True)
            each = [(list(share),) if any(map(len, share)) else None for share in shares]
            return objective.call("local_steps", parameters, moments, count, seed, rates, each=each)

        mean = LocalSteps.mean(objective.retry(call))
        adopt(mean, parameters, optimizer)
        return mean.losses, mean.weights
