"""Permutation importances: how much the loss rises when one column of the raw table is permuted (Breiman 2001).

They need no rows but those of the fit.  Each fold is scored by the members that have not seen it, and a column is
permuted within the fold, so that a column that only helps to memorise rows has no importance.  In a network a permuted
column changes one term of the first layer's output (`nn.split`), and only the layers behind it run again.

A fit keeps a sample of its encoded rows.  The importances are computed from it when they are asked for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp

from ..nn.batch import SparseRows, Table
from ..nn.losses import Loss
from ..nn.split import SplitNetwork
from ..nn.tape import Array
from .objective import Objective
from .threads import training_context

__all__ = ["ImportanceSample"]

SAMPLE_ROWS = 2048  # of the table
SAMPLE_VALUES = 2**20  # of the encoded sample, unless these are of fewer than MIN_SAMPLE_ROWS
MIN_SAMPLE_ROWS = 256
N_PARTS = 5  # of rows that all members score
MAX_CHANGES = 2**18  # rows with a changed column that pass through the layers; a row takes about a microsecond
MIN_ROWS = 16  # of a part, however many columns there are
MAX_SHIFTS = 5  # permutations of each column
BLOCK_ROWS = 256  # rows that a column is permuted among
CHUNK_ROWS = 1024  # changed rows that pass through the layers at a time


@dataclass(frozen=True)
class ImportanceSample:
    """A sample of the rows of a fit, with the parameters that score them.

    Attributes
    ----------
    objective : Objective
        The rows, with their own weights (1, m).
    parts : ndarray of int, shape (m,)
        The part of each row: its fold, or a random part if all members score all rows.
    n_parts : int
    by_fold : bool
        Whether part p is scored by the members k with k mod n_parts = p alone.
    parameters : ndarray of shape (K, P)
    temperature : float
        Divides the raw scores.
    """

    objective: Objective
    parts: Array
    n_parts: int
    by_fold: bool
    parameters: Array
    temperature: float

    @classmethod
    def draw(
        cls, objective: Objective, folds: Array | None, parameters: Array, temperature: float
    ) -> "ImportanceSample":
        """Draw rows of an objective, without the random numbers of the fit."""
        n, width = len(objective), objective.network.dense(parameters)[0].W.shape[1]
        size = min(SAMPLE_ROWS, max(SAMPLE_VALUES // max(width, 1), MIN_SAMPLE_ROWS))
        order = np.arange(n, dtype=np.int32 if n < 2**31 else np.int64)
        np.random.default_rng(0).shuffle(order)
        rows = order[:size].astype(np.intp)
        n_parts = min(N_PARTS, n) if folds is None else int(folds.max()) + 1
        parts = np.arange(len(rows)) % n_parts if folds is None else folds[rows]
        sample = Objective(
            objective.network,
            objective.loss,
            objective.sample(rows),
            replace(objective.targets, values=objective.targets.values[rows]),
            None if objective.weight is None else objective.weight[:1, rows],
        )
        return cls(sample, parts, n_parts, folds is not None, parameters, temperature)

    def importances(self, sources: Array, n_columns: int) -> Array:
        """Return how much the mean loss rises if one raw column is permuted within its part, (n_parts, n_columns).

        A part of fewer than two rows has zeros.

        Parameters
        ----------
        sources : ndarray of int
            The raw column of each encoded column, and then of each embedding.
        n_columns : int
            Number of raw columns.
        """
        rng, n_parts = np.random.default_rng(0), self.n_parts
        members = [self.parameters[part::n_parts] if self.by_fold else self.parameters for part in range(n_parts)]
        with training_context():
            rises = [
                _rises(
                    self.objective,
                    SplitNetwork(self.objective.network, members[part], sources),
                    np.flatnonzero(self.parts == part),
                    self.temperature,
                    n_columns,
                    MAX_CHANGES // n_parts,
                    rng,
                )
                for part in range(n_parts)
            ]
        return np.nan_to_num(rises, nan=0.0)


def _rises(
    objective: Objective,
    network: SplitNetwork,
    rows: Array,
    temperature: float,
    n_columns: int,
    max_changes: int,
    rng: np.random.Generator,
) -> Array:
    """Return the rise of the mean loss of these rows for each permuted column, (n_columns,)."""
    columns_of_a_row = _columns_of_a_row(objective.table, n_columns)
    rows = rows[: max(max_changes // columns_of_a_row, MIN_ROWS)]
    n_shifts = min(max(max_changes // max(columns_of_a_row * len(rows), 1), 1), MAX_SHIFTS)
    weight = np.ones(len(rows)) if objective.weight is None else objective.weight[0][rows].astype(np.float64)
    weight /= weight.max(initial=1e-300)
    table, rises, total = objective.sample(rows), np.zeros(n_columns), 0.0
    for start in range(0, len(rows), BLOCK_ROWS):
        block = np.arange(start, min(start + BLOCK_ROWS, len(rows)))
        if len(block) < 2:
            continue
        targets = objective.targets.buffer(len(block))
        objective.targets.gather(rows[block], targets)
        shifts = 1 + rng.permutation(len(block) - 1)[:n_shifts]
        # row i takes the value of row i + s, with the weight of both
        pairs = np.array([weight[block] * np.roll(weight[block], -s) for s in shifts])
        x, h = network.first_layer(table.take(block))
        losses = _Losses(network, objective.loss, targets, temperature, n_columns * n_shifts)
        losses.h[:, : len(block)] = h
        before = losses.of_rows(np.arange(len(block))).copy()
        change = _change_sparse if isinstance(x, SparseRows) else _change_dense
        for row, column, shift in change(network, x, h, shifts, losses.h):
            rise = pairs[shift, row] * (losses.of_rows(row) - before[row])
            rises += np.bincount(column, rise, minlength=n_columns)
        total += pairs.sum()
    return rises / max(total, 1e-300)


def _columns_of_a_row(table: Table, n_columns: int) -> int:
    """Return in how many columns two rows can differ: in those that either stores, if the table is sparse."""
    stored = 2 * -(-table.X.nnz // max(len(table), 1)) if sp.issparse(table.X) else n_columns
    return max(min(n_columns, stored), 1)


Changes = Iterator[tuple[Array, Array, Array]]


def _change_dense(network: SplitNetwork, x: Array, h: Array, shifts: Array, out: Array) -> Changes:
    """Write h with one column changed into the first rows of `out` (K, n, H), as many at a time as there is room for.

    Yield row, raw column and index of the shift of each of them, (m,).  A column that is constant is left out.
    """
    n_rows = h.shape[1]
    slots = [slice(start, start + n_rows) for start in range(0, out.shape[1] - n_rows + 1, n_rows)]
    row, filled = np.tile(np.arange(n_rows), len(slots)), list[tuple[int, int]]()

    def labels() -> tuple[Array, Array, Array]:
        column, shift = np.repeat(filled, n_rows, axis=0).T
        return row[: len(column)], column, shift

    for column, own in network.contributions(x):
        if (own == own[:, :1]).all():
            continue
        rest = h - own
        for index, shift in enumerate(shifts.tolist()):
            place = out[:, slots[len(filled)]]
            np.add(rest[:, : n_rows - shift], own[:, shift:], out=place[:, : n_rows - shift])
            np.add(rest[:, n_rows - shift :], own[:, :shift], out=place[:, n_rows - shift :])
            filled.append((column, index))
            if len(filled) == len(slots):
                yield labels()
                filled.clear()
    if filled:
        yield labels()


def _change_sparse(network: SplitNetwork, x: SparseRows, h: Array, shifts: Array, out: Array) -> Changes:
    """The same for sparse rows, of which those alone are written that change."""
    for index, shift in enumerate(shifts.tolist()):
        row, column, change = network.sparse_changes(x, np.roll(np.arange(x.n), -shift))
        for start in range(0, len(row), out.shape[1]):
            chunk = slice(start, start + out.shape[1])
            m = len(row[chunk])
            for k, W in enumerate(network.weights):
                np.add(h[k, row[chunk]], change[chunk] @ W, out=out[k, :m])
            yield row[chunk], column[chunk], np.full(m, index)


class _Losses:
    """The loss of each row whose first layer gives h, in buffers of a fixed number of rows.

    Attributes
    ----------
    h : ndarray of shape (K, n, H)
        Buffer for the output of the first layer; `of_rows` overwrites it.
    """

    def __init__(self, network: SplitNetwork, loss: Loss, targets: Array, temperature: float, n_changes: int):
        K, _, H = network.weights.shape
        most = max(CHUNK_ROWS // K // len(targets), 1)  # blocks of rows at a time
        n = len(targets) * -(-n_changes // -(-n_changes // most)) if n_changes else len(targets)
        self.h = np.zeros((K, n, H), network.parameters.dtype)
        self._bound = network.bind_rest(self.h)
        self._z = np.zeros((1, n, self._bound.z.shape[-1]), self.h.dtype)
        self._targets, self._t = targets, np.tile(targets[:1], (1, n, 1))
        self._scale = 1 / (K * temperature)
        self._loss_of_rows, self._evaluate = loss.bind(self._z, self._t, np.empty_like(self._z))

    def of_rows(self, rows: Array) -> Array:
        """Return the losses of the first rows of `h`, whose targets are those of `rows`, (len(rows),)."""
        self._bound.forward.run()
        np.multiply(self._bound.z.sum(axis=0), self._scale, out=self._z[0], casting="same_kind")
        self._targets.take(rows, 0, self._t[0, : len(rows)], "clip")
        self._evaluate.run()
        losses: Array = self._loss_of_rows[0, : len(rows), 0]
        return losses
