"""Rows that lie on shards, as training and validation see them: sums are asked for, added up and divided once.

The steps themselves are done where `fit` runs, so that a shard that is lost takes nothing with it.  Rows are numbered
in the order of the partitions, whichever shards hold these.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar
from zlib import crc32

import numpy as np

from ..training.evaluation import Validation
from ..training.loop import Data, Epoch

__all__ = ["ShardedData", "ShardedEpoch", "ShardedStep", "ShardedValidation"]


@dataclass(frozen=True)
class ShardedData(Data):
    """Rows that lie on shards.

    Attributes
    ----------
    table : Selection
    targets, weight : as of Data
        Those of all rows, in the order of their numbers.
    key : int
        Under which the shards know the rows.
    folds : ndarray of shape (n,), or None
        Fold of each row, for members that are blind to theirs.
    n_members : int
        How many members these are.
    sync_every : int
        Steps that each shard does on its own before they come together.
    """

    key: int = 0
    folds: np.ndarray | None = None
    n_members: int = 1
    sync_every: int = 1

    elsewhere: ClassVar[bool] = True
    largest_batch: ClassVar[int] = 8192

    @property
    def rows(self) -> Any:
        """The table as the Selection that it is."""
        return self.table

    @property
    def crew(self) -> Any:
        """Who is asked."""
        return self.rows.crew

    def hold(self, reader: Any, network: Any, loss: Any, dtype: np.dtype) -> "ShardedData":
        """Have the shards encode the rows, and keep them."""
        weight = None if self.weight is None else self.weight[0]

        def hold() -> None:
            shares, targets = self.rows.shares(weight), self.rows.shares(self.targets.values)
            self.crew.ask(
                *("hold", self.key, reader, network, loss, dtype),
                each=[
                    (chosen, replace(self.targets, values=values), None if share is None else share[None])
                    for chosen, values, share in zip(self.rows.chosen(), targets, shares, strict=True)
                ],
            )

        self.crew.prepare(hold)
        return self

    def blinded(self, folds: np.ndarray, n_members: int) -> "ShardedData":
        """These rows as the members see them: each is blind to its fold."""
        n_folds, small = int(folds.max()) + 1, folds.astype(np.int16)
        self.crew.prepare(
            lambda: self.crew.ask("deal", self.key, n_folds, n_members, each=[(s,) for s in self.rows.shares(small)])
        )
        return replace(self, folds=folds, n_members=n_members)

    def fingerprint(self) -> int:
        """A number that tells these rows from others, wherever they lie."""
        answers = self.crew.persist(lambda: self.crew.ask("fingerprints", self.key))
        marks = {number: mark for answer in answers for number, mark in answer.items()}
        mark = crc32(np.array([marks[number] for number in sorted(marks)], dtype=np.uint32))
        for array in (self.targets.values, self.weight):
            mark = mark if array is None else crc32(np.ascontiguousarray(array), mark)
        return mark

    def total(self) -> np.ndarray:
        """Sum of the weights, (1 or K,)."""
        weight = np.ones(len(self)) if self.weight is None else self.weight[0].astype(np.float64)
        if self.folds is None:
            return np.array([weight.sum()])
        by_fold = np.bincount(self.folds, weight)
        return weight.sum() - by_fold[np.arange(self.n_members) % len(by_fold)]

    def of_members(self, members: slice) -> "ShardedData":
        """All of them: members are not divided where rows are."""
        return self

    def step(self, network, loss, parameters, gradient, n_rows, rng=None, total=None) -> Any:
        """A batch of these rows."""
        return ShardedStep(self, parameters, gradient, rng, total)

    def epoch(self, network, loss, state, recipe, rng, members) -> Epoch:
        """Passes over these rows."""
        kind = Epoch if self.sync_every == 1 else ShardedEpoch
        return kind(network, loss, self, state, recipe, rng, members)


class ShardedStep:
    """A batch of any number of rows with the interface of `training.Step`."""

    def __init__(self, data: ShardedData, parameters: np.ndarray, gradient: np.ndarray, rng: Any, total: Any):
        self._data, self._parameters, self._gradient, self._rng, self._whole = (
            data,
            parameters,
            gradient,
            rng,
            total,
        )
        self._rows = np.empty(0, dtype=int)
        self.loss = np.zeros(len(parameters))  # (K,)
        self._weight = np.zeros(1)

    def load(self, rows: np.ndarray) -> None:
        """Take the rows numbered `rows` for the batch."""
        self._rows = rows

    def total(self) -> np.ndarray:
        """Sum of the batch's weights, (1 or K,), once it has run."""
        return self._weight

    def forward(self) -> np.ndarray:
        """The weighted sum of losses (K,)."""
        self._add(False)
        return self.loss

    def run(self) -> np.ndarray:
        """The weighted sum of losses (K,); gradients of that sum, divided by the total of the weights."""
        gradients = self._add(True)
        np.copyto(self._gradient, gradients[0])
        for gradient in gradients[1:]:
            np.add(self._gradient, gradient, out=self._gradient)
        whole = self._weight if self._whole is None else self._whole
        np.divide(self._gradient, np.maximum(whole, 1e-30)[:, None], self._gradient, casting="same_kind")
        return self.loss

    def _add(self, backward: bool) -> list[Any]:
        """Add up losses and weights; the gradients, one of each shard that has rows of the batch."""
        data, seed = self._data, _seed(self._rng)

        def ask() -> list[Any]:
            shares: Sequence[Any] = [None] * len(data.crew.parts)
            if len(self._rows) < len(data):
                shares = data.rows.divided(self._rows)
            common = ("run", data.key, data.folds is not None, self._parameters, seed, backward)
            return data.crew.ask(*common, each=[None if s is not None and not len(s) else (s,) for s in shares])

        losses, weights, gradients = zip(*data.crew.persist(ask), strict=True)
        self.loss[...], self._weight = np.sum(losses, axis=0), np.sum(weights, axis=0)
        return list(gradients)


def _seed(rng: Any) -> int:
    """What the shards draw the masks of dropout by: the next number of the epoch's generator."""
    return 0 if rng is None else int(rng.bit_generator.random_raw())


class ShardedEpoch(Epoch):
    """One pass over the rows, in rounds of steps that each shard does on its share of the same batches.

    After a round, parameters and the optimizer's moments become the shards' mean by the weight of their rows
    (McMahan et al. 2017, "Communication-efficient learning of deep networks from decentralized data").
    """

    def __init__(self, network, loss, data, state, recipe, rng, members):
        super().__init__(network, loss, data, state, recipe, rng, members)
        self._data, self._rng = data, rng
        plain, optimizer = replace(recipe, schedule=None), state.optimizer
        common = (data.key, data.folds is not None, plain, optimizer, state.parameters, self.total)
        data.crew.prepare(lambda: data.crew.ask("begin_rounds", *common))

    def run(self, order: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Step through the rows in this order, as Epoch.run does."""
        state, n_members = self.state, len(self.gradient)
        assert state.optimizer is not None
        losses, first_losses = np.zeros(n_members), np.full(n_members, np.nan)
        penalty = self._penalty_loss()
        done = (state.epoch - state.start) * self.n_batches
        planned = max(state.end - state.start, 1) * self.n_batches
        rate = 0.0
        for start in range(0, self.n_batches, self._data.sync_every):
            steps = range(start, min(start + self._data.sync_every, self.n_batches))
            rates = [self._rate((done + index) / planned) for index in steps]
            batches = [order[index * self.size : (index + 1) * self.size] for index in steps]
            of_batches, weights = self._round(batches, rates, state.optimizer.count + start)
            losses, rate = losses + of_batches.sum(axis=0), rates[-1]
            for loss, weight in zip(of_batches, weights, strict=True):
                np.copyto(first_losses, loss / weight, where=np.isnan(first_losses) & (weight > 0))
        return (losses + penalty) / self.total, first_losses, rate

    def _round(self, batches: list[np.ndarray], rates: list[float], count: int) -> tuple[np.ndarray, np.ndarray]:
        """Do steps on these batches: losses (s, K) and weights (s, 1 or K) of each, sums over the shards."""
        crew, key, optimizer, seed = self._data.crew, self._data.key, self.state.optimizer, _seed(self._rng)
        assert optimizer is not None
        parameters, moments = self.state.parameters, optimizer.state

        def ask() -> list[Any]:
            shares = zip(*(self._data.rows.divided(rows) for rows in batches), strict=True)
            each = [(share,) if any(map(len, share)) else None for share in map(list, shares)]
            return crew.ask("round", key, parameters, moments, count, seed, rates, each=each)

        losses, weights, theirs, their_moments = zip(*crew.persist(ask), strict=True)
        shares = np.sum(weights, axis=1)  # (shards, 1 or K)
        whole = shares.sum(axis=0)
        shares = np.where(whole > 0, shares / np.where(whole > 0, whole, 1), 1 / len(shares))[..., None]
        for place, arrays in zip([parameters, *moments], [theirs, *zip(*their_moments, strict=True)], strict=True):
            place[...] = sum(share * array for share, array in zip(shares, arrays, strict=True))
        return np.sum(losses, axis=0), np.sum(weights, axis=0)


@dataclass(frozen=True)
class ShardedValidation(Validation):
    """Judge of a network's parameters on rows that lie on shards, where their raw scores stay."""

    def scores(self, parameters: np.ndarray) -> Any:
        """What stands for the raw scores: the parameters that they are of."""
        return _Scored(parameters)

    def sums(self, z: Any) -> Any:
        """Function from log(1 / T) to sums over the rows, as of Validation."""

        def at(inverse: float) -> tuple[float, float, float]:
            loss, slope, weight = np.sum(self._about(z, "judged", inverse), axis=0).tolist()
            return loss, slope, weight

        return at

    def over(self, z: Any, temperature: float) -> np.ndarray:
        """Raw scores over the temperature, (n, out), brought here."""
        answers = self._about(z, "scores", temperature)
        parts = {number: part for answer in answers for number, part in answer.items()}
        return np.concatenate([parts[number] for number in sorted(parts)])

    def _about(self, z: "_Scored", method: str, *args: Any) -> list[Any]:
        """Ask the shards for something about their raw scores, which are computed first, and anew where lost."""
        data: Any = self.data

        def ask() -> Any:
            if z.generation != data.crew.generation:
                data.crew.ask("score", data.key, z.parameters)
                z.generation = data.crew.generation
            return data.crew.ask(method, data.key, *args)

        return data.crew.persist(ask)


@dataclass
class _Scored:
    """Raw scores that lie on shards, until the next ones: of these parameters, on this generation of shards."""

    parameters: np.ndarray
    generation: int = -1
