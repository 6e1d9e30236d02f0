"""LocalStepsEpoch: each worker takes several steps on its own rows before the parameters are averaged.

This saves messages on a slow network (McMahan et al. 2017, "Communication-efficient learning of deep networks from
decentralized data").
"""

from dataclasses import replace
from typing import Any

import numpy as np

from ..nn.tape import Array
from ..training.loop import Epoch, StepSettings
from ..training.state import TrainingState
from .objective import ClusterObjective, dropout_seed

__all__ = ["LocalStepsEpoch"]


class LocalStepsEpoch(Epoch):
    """One pass over the rows, in rounds of `sync_every` steps.

    In a round each worker takes these steps on its share of the same batches.  Afterwards the parameters and the
    optimizer's moments become the workers' means, weighted by the weight of their rows in the round.
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
        settings = replace(settings, schedule=float, pace=None)  # workers receive learning rates, and no schedule
        args = (objective.folds is not None, settings, state.optimizer, state.parameters, self.total)
        objective.table.pool.on_rebuild(lambda: objective.call("begin_local_steps", *args))

    def run(self, order: Array) -> tuple[Array, Array, float]:
        """Step through the rows in this order; return what `Epoch.run` returns."""
        state, progress, sync_every = self.state, self.state.progress, self.objective.sync_every
        assert state.optimizer is not None
        losses, first_losses = np.zeros(len(self.gradient)), np.full(len(self.gradient), np.nan)
        penalty = self.penalty()
        done = (progress.epoch - progress.start) * self.n_batches
        planned = max(progress.n_planned, 1) * self.n_batches
        rate, pace, seen = 0.0, self.settings.pace, np.zeros(1)
        for start in range(0, self.n_batches, sync_every):
            steps = range(start, min(start + sync_every, self.n_batches))
            shares = [(done + index) / planned if pace is None else pace((done + index) / planned) for index in steps]
            rates = [self.learning_rate(u) for u in shares]
            batches = [order[index * self.size : (index + 1) * self.size] for index in steps]
            round_losses, weights = self._run_round(batches, rates, state.optimizer.count + start)
            losses, rate = losses + round_losses.sum(axis=0), rates[-1]
            for loss, weight in zip(round_losses, weights, strict=True):
                np.copyto(first_losses, loss / weight, where=np.isnan(first_losses) & (weight > 0))
            if pace is not None:
                self.n_done, seen = steps.stop, seen + weights.sum(axis=0)
                if shares[-1] >= 1:
                    break
        total = self.total if self.n_done == self.n_batches else np.maximum(seen, 1e-30)
        return (losses + penalty) / total, first_losses, rate

    def _run_round(self, batches: list[Array], rates: list[float], count: int) -> tuple[Array, Array]:
        """Take one step on each batch; return losses (n_steps, K) and weights (n_steps, 1 or K) of all workers."""
        objective, optimizer, seed = self.objective, self.state.optimizer, dropout_seed(self.rng)
        assert optimizer is not None
        parameters, moments = self.state.parameters, optimizer.state

        def call() -> list[Any]:
            shares = zip(*(objective.table.split(rows) for rows in batches), strict=True)
            each = [(list(share),) if any(map(len, share)) else None for share in shares]
            return objective.call("local_steps", parameters, moments, count, seed, rates, each=each)

        losses, weights, new_parameters, new_moments = zip(*objective.retry(call), strict=True)
        by_worker = np.sum(weights, axis=1)  # (workers, 1 or K)
        total = by_worker.sum(axis=0)
        # where a member sees no row of the round, all workers count alike
        shares = np.where(total > 0, by_worker / np.where(total > 0, total, 1), 1 / len(by_worker))[..., None]
        results = [new_parameters, *zip(*new_moments, strict=True)]
        for mean, arrays in zip([parameters, *moments], results, strict=True):
            mean[...] = sum(share * array for share, array in zip(shares, arrays, strict=True))  # (K, P)
        return np.sum(losses, axis=0), np.sum(weights, axis=0)
