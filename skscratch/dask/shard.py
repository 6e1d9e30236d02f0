"""Shards: the rows of a table that lie on one worker, and what is asked of them there.

A shard holds whole partitions, as they came until training begins, and then sets of them encoded: the rows of
training, or of validation.  All that it answers are sums over its rows, not divided by anything, so that the sums of
all shards add up to those of the table.
"""

import copy
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any
from zlib import crc32

import numpy as np
import scipy.sparse as sp
from sklearn.utils import _safe_indexing

from ..encoding.quantiles import QuantileSketch, sketch
from ..estimators.plan import small_buffers
from ..nn.batch import Table, Targets
from ..nn.losses import Loss
from ..nn.network import Network
from ..training.accumulation import ChunkedStep
from ..training.evaluation import Validation, fold_weights
from ..training.loop import Data, Epoch, Recipe, State
from ..training.threads import one_blas_thread

__all__ = ["Shard", "joined"]


@contextmanager
def _computing():
    """How arithmetic is done in training: on one BLAS thread, silent where numbers overflow."""
    with one_blas_thread(), np.errstate(all="ignore"), small_buffers():
        yield


def _computes(method: Callable) -> Callable:
    @wraps(method)
    def computing(*args: Any) -> Any:
        with _computing():
            return method(*args)

    return computing


def joined(tables: Sequence[Table]) -> Table:
    """The rows of several encoded tables, one after the other."""
    if len(tables) == 1:
        return tables[0]
    codes = None if tables[0].codes is None else np.concatenate([table.codes for table in tables])
    return Table(np.concatenate([table.X for table in tables]), codes, ones=tables[0].ones)


@dataclass(frozen=True)
class _Resident(Data):
    """Rows of a shard as an Epoch trains on them; the weight of all rows of all shards is `whole`, (1 or K,)."""

    whole: Any = None

    def total(self) -> np.ndarray:
        return self.whole

    def step(self, network, loss, parameters, gradient, n_rows, rng=None, total=None):
        return ChunkedStep(network, loss, parameters, gradient, self, rng, total)


@dataclass(frozen=True)
class _Judge(Validation):
    """Validation on the rows of a shard, which need not have rows of every fold."""

    of_all: int = 0

    @property
    def n_folds(self) -> int:
        return self.of_all


class _Rows:
    """Encoded rows of a shard: those of training or of validation, with all that is bound to them."""

    def __init__(self, network: Network, loss: Loss, data: Data, partitions: dict[int, slice]):
        self.network, self.loss, self.partitions = network, loss, partitions
        self.data = {False: data}  # by whether members are blind to their folds
        self.folds: np.ndarray | None = None
        self.n_folds = 0
        self._steps: dict[bool, tuple[np.ndarray, np.ndarray, ChunkedStep]] = {}
        self.rng = np.random.Generator(np.random.SFC64(0))  # of dropout masks
        self.z: Any = None
        self.sums: Any = None

    def deal(self, folds: np.ndarray, n_folds: int, n_members: int) -> None:
        plain = self.data[False]
        weight = None if plain.weight is None else plain.weight[0]
        dtype = np.dtype(np.float64) if weight is None else weight.dtype
        blind = fold_weights(folds, n_members, weight, dtype, n_folds)
        self.folds, self.n_folds, self.data[True] = folds, n_folds, Data(plain.table, plain.targets, blind)

    def step(self, blind: bool, parameters: np.ndarray) -> tuple[ChunkedStep, np.ndarray]:
        """The step of these rows, bound to the parameters, and its gradient."""
        if blind not in self._steps:
            place, gradient, undivided = np.empty_like(parameters), np.empty_like(parameters), np.ones(1)
            bound = (self.network, self.loss, place, gradient, self.data[blind], self.rng, undivided)
            self._steps[blind] = place, gradient, ChunkedStep(*bound)
        place, gradient, step = self._steps[blind]
        np.copyto(place, parameters)
        return step, gradient

    def seed(self, *seed: int) -> None:
        """Draw the masks of dropout from this seed on."""
        if self.network.random:
            self.rng.bit_generator.state = np.random.SFC64(seed).state


class Shard:
    """The partitions of one worker.

    Parameters
    ----------
    numbers : sequence of int
        Which partitions of the table they are.
    parts : sequence of DataFrame or ndarray
        The partitions as they came, in that order.
    """

    def __init__(self, numbers: Sequence[int], parts: Sequence[Any]):
        self._numbers = list(numbers)
        self._parts: list[Any] = list(parts)
        self._sets: dict[int, _Rows] = {}
        self._rounds: dict[int, tuple[Any, Any]] = {}  # an Epoch, and its step

    # ------------------------------------------- rows as they came

    def lengths(self) -> list[int]:
        """Number of rows of each partition."""
        return [part.shape[0] for part in self._parts]

    def head(self, n_rows: int) -> Any:
        """The first rows of the first partition that has any."""
        part = next(part for part in self._parts if part.shape[0])
        return part[:n_rows]

    @_computes
    def check(self, reader: Any) -> None:
        """Raise what `reader`, an estimator that knows the columns, says against any partition, which is named."""
        for number in range(len(self._parts)):
            self._read(reader, number)

    @_computes
    def summary(self, reader: Any, size: int, rows: Sequence[Any], weights: Sequence[Any]) -> dict[int, QuantileSketch]:
        """Summary of those rows of each partition that are asked for; none of a partition that has none."""
        summaries = {}
        for i, (number, chosen, weight) in enumerate(zip(self._numbers, rows, weights, strict=True)):
            data = self._read(reader, i, chosen)
            if data is not None:
                summaries[number] = sketch(data, weight, size)
        return summaries

    @_computes
    def sample(self, reader: Any, dtype: np.dtype, rows: Sequence[np.ndarray]) -> Table | None:
        """The rows of each partition that are asked for, encoded; None if there are none."""
        tables = self._encoded(reader, dtype, rows)
        return joined(tables) if tables else None

    def _encoded(self, reader: Any, dtype: np.dtype, rows: Sequence[Any]) -> list[Table]:
        read = (self._read(reader, i, chosen) for i, chosen in enumerate(rows))
        # never as it is, without a column of ones: that depends on whether any value of the partition is missing
        return [
            reader._encoder.transform(data, dtype, reader.fit_intercept, False) for data in read if data is not None
        ]

    def _read(self, reader: Any, i: int, rows: Any = None) -> Any:
        """Checked rows of the i-th partition, all or those chosen; None if there are none."""
        part = self._parts[i]
        if not part.shape[0] or (rows is not None and not len(rows)):
            return None
        if isinstance(part, np.ndarray):
            part = np.asarray(part)  # a memory-mapped one too, of which all is asked for
        if rows is not None:
            part = _safe_indexing(part, rows)
        try:
            data = reader._check_X(part, reset=False)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"In partition {self._numbers[i]} of X: {error}") from error
        if sp.issparse(data):
            raise ValueError(
                f"Partition {self._numbers[i]} of X is sparse, which is not supported in a Dask collection: make it "
                "dense, for example by X.map_blocks(lambda block: block.toarray())."
            )
        return data

    # --------------------------------------------------- encoded rows

    @_computes
    def hold(
        self,
        key: int,
        reader: Any,
        network: Network,
        loss: Loss,
        dtype: np.dtype,
        rows: Sequence[Any],
        targets: Targets,
        weight: np.ndarray | None,
    ) -> None:
        """Encode rows of each partition, and keep them with their targets and weights (1, n) as the set `key`."""
        counts = [n if chosen is None else len(chosen) for n, chosen in zip(self.lengths(), rows, strict=True)]
        edges = np.cumsum([0, *counts]).tolist()
        slices = [slice(start, stop) for start, stop in zip(edges[:-1], edges[1:], strict=True)]
        partitions = dict(zip(self._numbers, slices, strict=True))
        tables = self._encoded(reader, dtype, rows)
        if not tables:  # a shard need not have any of these rows
            tables = [self._encoded(reader, dtype, [np.arange(1)] + [np.arange(0)] * (len(rows) - 1))[0].buffer(0)]
        weight = np.ones((1, edges[-1]), dtype) if weight is None else weight
        self._sets[key] = _Rows(network, loss, Data(joined(tables), targets, weight), partitions)

    @_computes
    def deal(self, key: int, n_folds: int, n_members: int, folds: np.ndarray) -> None:
        """Take over the fold of each row of a set."""
        self._sets[key].deal(folds, n_folds, n_members)

    def fingerprints(self, key: int) -> dict[int, int]:
        """A number for the encoded rows of each partition."""
        rows = self._sets[key]
        table: Any = rows.data[False].table
        marks = {}
        for number, part in rows.partitions.items():
            marks[number] = crc32(table.X[part])
            if table.codes is not None:
                marks[number] = crc32(np.ascontiguousarray(table.codes[part]), marks[number])
        return marks

    @_computes
    def run(
        self, key: int, blind: bool, parameters: np.ndarray, seed: int, backward: bool, rows: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Sums over some rows of a set, or all: losses (K,), weights (1 or K,), gradients (K, P) if `backward`."""
        step, gradient = self._trained(key).step(blind, parameters)
        self._sets[key].seed(seed, *self._numbers[:1])
        step.load(np.arange(len(self._sets[key].data[blind])) if rows is None else rows)
        loss = step.run() if backward else step.forward()
        return loss.copy(), step.total().copy(), gradient.copy() if backward else None

    def begin_rounds(
        self, key: int, blind: bool, recipe: Recipe, optimizer: Any, parameters: np.ndarray, whole: np.ndarray
    ) -> None:
        """Get ready for rounds of local steps, by this recipe and with this optimizer."""
        rows = self._trained(key)
        if not len(rows.data[blind]):
            return  # and will not be asked for any
        # shards in one process are handed one and the same optimizer
        state = State(parameters.copy(), copy.deepcopy(optimizer), np.random.RandomState(0))
        data = rows.data[blind]
        resident = _Resident(data.table, data.targets, data.weight, whole)
        epoch = Epoch(rows.network, rows.loss, resident, state, recipe, rows.rng, slice(None))
        self._rounds[key] = epoch, next(iter(epoch.steps.values()))

    @_computes
    def round(
        self,
        key: int,
        parameters: np.ndarray,
        moments: Sequence[np.ndarray],
        count: int,
        seed: int,
        rates: Sequence[float],
        batches: Sequence[np.ndarray],
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[np.ndarray]]:
        """Steps on one batch after the other: their losses (s, K), weights (s, 1 or K), parameters, moments after."""
        epoch, step = self._rounds[key]
        state, losses, weights = epoch.state, [], []
        np.copyto(state.parameters, parameters)
        for place, given in zip(state.optimizer.state, moments, strict=True):
            np.copyto(place, given)
        self._sets[key].seed(seed, *self._numbers[:1])
        for i, (rows, rate) in enumerate(zip(batches, rates, strict=True), start=1):
            losses.append(epoch.advance(step, rows, rate, count + i).copy())
            weights.append(step.total().copy())
        moments = [array.copy() for array in state.optimizer.state]
        return np.array(losses), np.array(weights), state.parameters.copy(), moments

    @_computes
    def score(self, key: int, parameters: np.ndarray) -> None:
        """Compute, and keep, the raw scores of the rows of a set."""
        rows = self._trained(key)
        judge = _Judge(rows.network, rows.loss, rows.data[False], rows.folds, of_all=rows.n_folds)
        rows.z = judge.scores(parameters)
        rows.sums = judge.sums(rows.z)

    @_computes
    def judged(self, key: int, inverse: float) -> tuple[float, float, float]:
        """The sums of `Validation.sums` over the rows of a set."""
        return self._sets[key].sums(inverse)

    def scores(self, key: int, temperature: float) -> dict[int, np.ndarray]:
        """Raw scores over the temperature of the rows of a set in each partition."""
        rows = self._sets[key]
        z = (rows.z / temperature).astype(rows.z.dtype)
        return {number: z[part] for number, part in rows.partitions.items()}

    def _trained(self, key: int) -> _Rows:
        self._parts = []  # training has begun: nobody asks for the rows as they came any more
        return self._sets[key]
