"""LazyEpoch: an epoch whose steps touch only those vectors of a large embedding that their batch has.

A column of 30,000 names has a hundred times more vectors than a batch of 256 rows.  Steps that move all of them take
most of the time of a fit.
"""

from dataclasses import replace

import numpy as np
from scipy.special import gammaln

from ..nn.batch import Table
from ..nn.embedding import BatchEmbedding, Embedding
from ..nn.network import Network
from ..nn.parameters import Layout
from ..nn.tape import Array, Tape
from .epoch import Epoch, StepSettings
from .objective import Objective
from .optimizers import SGD, Adam
from .skipped_steps import SkippedSteps, ratio
from .state import TrainingState
from .step import Step

__all__ = ["LazyEpoch"]

MIN_VECTORS = 4  # for each code of a batch: to move fewer vectors takes no longer than to find those of the batch
MIN_BATCHES = 8  # of an epoch, whose end moves all vectors
BLOCK = 2**12  # vectors that the end of an epoch moves at once


class LazyEpoch(Epoch):
    """One pass of some members over the rows, in mini-batches that touch only the vectors of their own categories.

    Before a step, the vectors of its batch are copied beside the other parameters, and the steps that they skipped are
    made up for; after the step they are copied back.  In between lies an ordinary step of a small network.  The end of
    the epoch makes up for the steps that any vector skipped.  So the result is that of `Epoch`, but for rounding, where
    the embedding has no penalty.

    The penalty pulls vectors only in the steps that touch them, and 1 / P times as strongly, where P is the probability
    that a batch touches the vector.  Its mean over the batches is that of `Epoch`.
    """

    def __init__(
        self,
        objective: Objective,
        state: TrainingState,
        settings: StepSettings,
        rng: np.random.Generator | None,
        members: slice,
    ):
        self._vectors = vectors = _BatchVectors(objective, state, min(settings.batch_size, len(objective)), members)
        self._category_penalty = settings.category_penalty
        small = replace(objective.for_members(members), network=vectors.network)
        super().__init__(small, vectors.state, replace(settings, category_penalty=0.0), rng, slice(None))
        p = state.parameters[members]
        self.penalised = objective.network.layout.penalised(p, p, settings.alpha, settings.category_penalty)

    @staticmethod
    def pays(objective: Objective, optimizer: SGD | Adam | None, batch_size: int) -> bool:
        """Whether an epoch has many steps, each of few vectors, and an optimizer whose steps can be made up for."""
        embedding, table = objective.network.layers[0], objective.table
        if not (isinstance(embedding, Embedding) and isinstance(table, Table) and isinstance(optimizer, Adam)):
            return False
        many_steps = len(table) > (MIN_BATCHES - 1) * batch_size
        few_vectors = embedding.n_vectors >= MIN_VECTORS * batch_size * len(embedding.categories)
        return many_steps and few_vectors and ratio(optimizer) < 1

    def run(self, order: Array) -> tuple[Array, Array, float]:
        """Step through the rows in this order; return what `Epoch.run` returns."""
        self._vectors.begin()
        result = super().run(order)
        self._vectors.end()
        return result

    def advance(self, step: Step, rows: Array, rate: float, count: int) -> Array:
        """Take optimizer step number `count` on these rows; return the weighted sum of their losses (K,)."""
        self._vectors.look_up(rows)
        loss = super().advance(step, rows, rate, count)
        self._vectors.put_back(rate, count)
        return loss

    def loss_now(self) -> float:
        """Loss of one batch with the present parameters."""
        order = self.state.progress.order
        assert order is not None
        self._vectors.begin()
        self._vectors.look_up(order[: self.size])
        return super().loss_now()

    def _record_penalties(self, tape: Tape) -> None:
        """Record the gradients of the L2 penalties."""
        super()._record_penalties(tape)
        if self._category_penalty:
            values, gradient = (self._vectors.vectors_of(a) for a in (self._vectors.state.parameters, self.gradient))
            strength, pull = (self._category_penalty / self.total).astype(values.dtype), np.empty_like(values)
            tape.multiply(values, strength[:, None], out=pull)
            tape.multiply(pull, self._vectors.pulls, out=pull)
            tape.add(gradient, pull, out=gradient)  # g += λ E / (P Σ w)


class _BatchVectors:
    """The parameters of a step: those of all layers but the embedding, and the vectors of the categories of its batch.

    Parameters
    ----------
    objective : Objective
    whole : TrainingState
        All parameters and moments.
    batch_size : int
    members : slice
        The members that the step moves.

    Attributes
    ----------
    network : Network
        The network whose embedding holds the vectors of a batch.
    state : TrainingState
        Its parameters and optimizer; all else is that of the whole state.
    pulls : ndarray of shape (n_places · width,)
        1 / P for each element of the vectors: how strongly the penalty pulls it.
    """

    def __init__(self, objective: Objective, whole: TrainingState, batch_size: int, members: slice):
        embedding, table, adam = objective.network.layers[0], objective.table, whole.optimizer
        assert isinstance(embedding, Embedding) and isinstance(adam, Adam)
        width, n_vectors, n_codes = embedding.width, embedding.n_vectors, batch_size * len(embedding.categories)
        self._whole, self._adam, self._width = whole, adam, width
        self._codes, self._first = table.codes, embedding.first_vectors.astype(table.codes.dtype)
        self._present = self._first[:0]  # rows of E that the batch has, in the order of their places
        self._places, self._numbers = np.zeros(n_vectors, self._codes.dtype), np.arange(n_codes)
        small = BatchEmbedding(embedding.n_numeric, embedding.categories, width, self._places, min(n_codes, n_vectors))
        layers = (small, *objective.network.layers[1:])
        self.network = Network(layers, Layout([layer.slots() for layer in layers]))
        self._n_shared = self.network.layout.size - self.network.layout.n_embedded

        parameters = np.zeros((len(whole.parameters[members]), self.network.layout.size), whole.parameters.dtype)
        own_adam = Adam(parameters, adam.beta_1, adam.beta_2, adam.epsilon)
        self.state = replace(whole, parameters=parameters, optimizer=own_adam)
        arrays = ((whole.parameters, parameters), (adam.m, own_adam.m), (adam.v, own_adam.v))
        self._pairs = [(every[members], some) for every, some in arrays]  # of all vectors, and of those of a batch
        self._vectors = [
            (_as_items(every[self._n_shared :], width), _as_items(some[self._n_shared :], width))
            for pair in self._pairs
            for every, some in zip(*pair, strict=True)
        ]

        self._skipped = SkippedSteps(adam, -(-len(table) // batch_size), width)
        self._last = np.zeros(n_vectors, np.intp)  # the step of this epoch that moved each vector last
        counts = np.concatenate(
            [
                np.bincount(column, minlength=n + 1)
                for column, n in zip(table.codes.T, embedding.categories, strict=True)
            ]
        )
        self._inverse_probability = _inverse_probability(counts, len(table), batch_size).astype(parameters.dtype)
        self.pulls = np.zeros(small.n_slots * width, parameters.dtype)

    def vectors_of(self, array: Array) -> Array:
        """Return the vectors (K, U · width) in an array (K, P) of parameters, gradients or moments."""
        return array[:, self._n_shared :]

    def begin(self) -> None:
        """Copy what all batches share; no vector has skipped a step."""
        for every, some in self._pairs:
            some[:, : self._n_shared] = every[:, : self._n_shared]
        assert self.state.optimizer is not None
        self.state.optimizer.count, self.state.rate_factor = self._adam.count, self._whole.rate_factor
        self._last[:] = 0
        self._skipped.restart()

    def look_up(self, rows: Array) -> None:
        """Copy the vectors of these rows of the table, and make up for the steps that they skipped."""
        chosen, places = (self._codes[rows] + self._first).ravel(), self._places
        places[chosen] = self._numbers[: len(chosen)]  # of equal rows of E, one number remains
        self._present = present = chosen[places[chosen] == self._numbers[: len(chosen)]]
        places[present] = self._numbers[: len(present)]
        for every, some in self._vectors:
            every.take(present, out=some[: len(present)], mode="clip")
        n, arrays = len(present) * self._width, [self.vectors_of(some) for _, some in self._pairs]
        for array in arrays:
            array[:, n:] = 0
        p, m, v = (array[:, :n] for array in arrays)
        self._skipped.make_up(p, m, v, self._last[present])
        self.pulls[:n], self.pulls[n:] = np.repeat(self._inverse_probability[present], self._width), 0

    def put_back(self, rate: float, count: int) -> None:
        """Copy the vectors back after optimizer step number `count`."""
        self._skipped.add(self._adam.size(rate, count))
        for every, some in self._vectors:
            every[self._present] = some[: len(self._present)]
        self._last[self._present] = self._skipped.n_done

    def end(self) -> None:
        """Copy back what all batches share, and make up for the steps that any vector skipped."""
        for every, some in self._pairs:
            every[:, : self._n_shared] = some[:, : self._n_shared]
        for start in range(0, len(self._last), BLOCK):
            block = slice(start * self._width, (start + BLOCK) * self._width)
            p, m, v = (self.vectors_of(every)[:, block] for every, _ in self._pairs)
            self._skipped.make_up(p, m, v, self._last[start : start + BLOCK])


def _as_items(values: Array, width: int) -> Array:
    """Return a view of vectors one after the other, each as one item, which NumPy copies in a third of the time."""
    return values.view(np.dtype((np.void, width * values.itemsize)))


def _inverse_probability(counts: Array, n_rows: int, batch_size: int) -> Array:
    """Return 1 / P, where P is the mean share of the batches that have one of the `counts` rows of a category."""
    n_full, rest = divmod(n_rows, batch_size)
    n_with_a_row = n_full * (1 - _missed(counts, n_rows, batch_size))
    if rest:
        n_with_a_row += 1 - _missed(counts, n_rows, rest)
    return np.where(counts, (n_full + bool(rest)) / np.where(counts, n_with_a_row, 1), 1)


def _missed(counts: Array, n_rows: int, size: int) -> Array:
    """Return the probability that `size` rows, drawn without replacement, have none of these `counts` rows."""
    others = n_rows - counts
    left = np.maximum(others - size, 0)
    logarithm = gammaln(others + 1) - gammaln(left + 1) - gammaln(n_rows + 1) + gammaln(n_rows - size + 1)
    return np.where(others < size, 0, np.exp(logarithm))
