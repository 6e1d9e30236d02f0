"""RowSet: a set of encoded rows of one shard, and what is computed on them, by all partitions or by groups of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..nn.tape import Array
from ..training.epoch import Epoch, StepSettings
from ..training.objective import Objective, fold_weights
from ..training.scored_rows import ScoredRows
from ..training.state import TrainingState
from ..training.step import AccumulatedStep, Step
from .averages import LocalSteps

__all__ = ["RowSet", "ShardObjective"]

NO_WEIGHT = 1e-30  # where a member sees no row, all groups count alike


@dataclass(frozen=True)
class ShardObjective(Objective):
    """The objective over the rows of one shard, whose share of a batch has any number of rows.

    Attributes
    ----------
    whole : ndarray of shape (1 or K,), or None
        Sum of the weights of the rows of all shards, for an epoch on this shard alone.
    """

    whole: Array | None = None

    def total_weight(self) -> Array:
        """Return the sum of the weights of all shards, (1 or K,)."""
        return super().total_weight() if self.whole is None else self.whole

    def step(
        self,
        parameters: Array,
        gradient: Array,
        n_rows: int,
        rng: np.random.Generator | None = None,
        total: Array | None = None,
    ) -> Step:
        """Return a step on batches of any size."""
        return AccumulatedStep(self, parameters, gradient, rng, total)


class RowSet:
    """A set of encoded rows, with the buffers of the steps on them.

    Attributes
    ----------
    objective : ShardObjective
        Its weights are (1, n).
    slices : dict of int to slice
        The rows of each partition, by the partition's index.
    scored : ScoredRows or None
        The rows with the raw scores that were computed last.
    """

    def __init__(self, objective: ShardObjective, slices: dict[int, slice]):
        self.objective, self.slices = objective, slices
        self.rng = np.random.Generator(np.random.SFC64(0))  # draws the masks of dropout
        self.scored: ScoredRows | None = None
        self._holding_out = objective  # in which members do not see their held-out folds
        self._folds: Array | None = None
        self._n_folds = 0
        self._steps: dict[tuple[bool, bool, int], tuple[Array, Array, Step]] = {}
        self._epoch: Epoch | None = None
        self._groups: dict[int, tuple[int, int]] = {}  # rows of each, by the index of its first partition

    def assign_folds(self, folds: Array, n_folds: int, n_members: int) -> None:
        """Set the fold of each row; this shard may lack rows of some folds."""
        weight = self.objective.weight
        assert weight is not None
        weight = fold_weights(folds, n_members, weight[0], weight.dtype, n_folds)
        self._folds, self._n_folds = folds, n_folds
        self._holding_out = replace(self.objective, weight=weight)
        self._steps.clear()

    def step(self, by_folds: bool, parameters: Array, dropout: bool) -> tuple[Step, Array]:
        """Return a step with these parameters, and the array that it writes the undivided gradient to."""
        n_members = len(parameters)
        if (by_folds, dropout, n_members) not in self._steps:
            own, gradient = np.empty_like(parameters), np.empty_like(parameters)
            objective = (self._holding_out if by_folds else self.objective).for_members(slice(n_members))
            step = objective.step(own, gradient, 0, self.rng if dropout else None, total=np.ones(1))
            self._steps[by_folds, dropout, n_members] = own, gradient, step
        own, gradient, step = self._steps[by_folds, dropout, n_members]
        np.copyto(own, parameters)
        return step, gradient

    def score(self, parameters: Array, by_folds: bool) -> None:
        """Compute the raw scores, out of fold where members hold out folds."""
        folds, n_folds = (self._folds, self._n_folds) if by_folds else (None, None)
        self.scored = self.objective.score(parameters, folds, n_folds)

    def begin_epochs(
        self,
        by_folds: bool,
        settings: StepSettings,
        state: TrainingState,
        whole: Array,
        groups: Sequence[Sequence[int]],
    ) -> None:
        """Prepare steps that also update the parameters, those of `state`, by groups of neighbouring partitions."""
        objective = replace(self._holding_out if by_folds else self.objective, whole=whole)
        objective = objective.for_members(slice(len(state.parameters)))
        self._epoch = Epoch(objective, state, settings, self.rng, slice(None)) if len(objective) else None
        self._groups = {own[0]: (self.slices[own[0]].start, self.slices[own[-1]].stop) for own in groups}

    def local_steps(
        self, arrays: Sequence[Array], count: int, seed: int | None, rates: Sequence[float], batches: Sequence[Array]
    ) -> LocalSteps:
        """Let each group take one step on its rows of each batch, at each learning rate; return the mean outcome.

        All groups begin with the same `arrays`, which are the parameters and the moments of the optimizer.
        """
        epoch = self._epoch
        assert epoch is not None
        return LocalSteps.mean(self._by_group(epoch, arrays, count, seed, rates, batches))

    def _by_group(
        self,
        epoch: Epoch,
        arrays: Sequence[Array],
        count: int,
        seed: int | None,
        rates: Sequence[float],
        batches: Sequence[Array],
    ) -> Iterator[LocalSteps]:
        assert epoch.state.optimizer is not None
        step, own = epoch.steps[epoch.size], [epoch.state.parameters, *epoch.state.optimizer.state]
        for first, (start, stop) in self._groups.items():
            shares = [rows[(rows >= start) & (rows < stop)] for rows in batches]
            if not any(map(len, shares)):
                continue
            for array, given in zip(own, arrays, strict=True):
                np.copyto(array, given)
            if seed is not None:
                self.rng.bit_generator.state = np.random.SFC64((seed, first)).state
            losses, weights = [], []
            for i, (rows, rate) in enumerate(zip(shares, rates, strict=True), start=1):
                losses.append(epoch.advance(step, rows, rate, count + i).copy())
                weights.append(step.total_weight().copy())
            parameters, m, *v = own
            share = np.sum(weights, axis=0) + NO_WEIGHT
            yield LocalSteps(np.array(losses), np.array(weights), share, parameters, m, v[0] if v else None)
