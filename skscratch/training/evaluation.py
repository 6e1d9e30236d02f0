"""Validation: what networks make of rows that they were not trained on, and what can be learned from that.

The rows are others than those of training, or, fold by fold, the training rows themselves: then K networks train
together, member k blind to fold k mod F, and each row is judged by the members that have not seen it ("out of
fold").  From these scores follow the best epoch and a temperature.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import brentq

from ..nn.losses import Loss
from ..nn.network import Network
from .loop import Data

__all__ = ["Validation", "deal", "fold_weights"]

WIDEST = 1.5  # of log T: temperatures from 0.22 to 4.5


def deal(values: np.ndarray, n_folds: int, rng: np.random.RandomState) -> np.ndarray:
    """Fold of each row, (n,): rows of like targets are dealt out evenly.

    Parameters
    ----------
    values : ndarray of shape (n,) or (n, out)
        Class codes or numbers; of several columns, the first ones count first.
    n_folds : int
    rng : RandomState
    """
    n = len(values)
    columns = values.reshape(n, -1).T
    order = np.lexsort((rng.uniform(size=n), *columns[::-1]))
    folds = np.empty(n, dtype=np.intp)
    for start in range(0, n, n_folds):
        rows = order[start : start + n_folds]
        folds[rows] = rng.permutation(n_folds)[: len(rows)]
    return folds


def fold_weights(
    folds: np.ndarray, n_members: int, weight: np.ndarray | None, dtype: np.dtype, n_folds: int | None = None
) -> np.ndarray:
    """Weights (K, n) for training: those of the rows (n,), and 0 where member k is blind to the row."""
    blind = folds == (np.arange(n_members) % (n_folds or folds.max() + 1))[:, None]
    return np.where(blind, 0, 1 if weight is None else weight).astype(dtype)


@dataclass(frozen=True)
class Validation:
    """Judge of a network's parameters.

    Parameters
    ----------
    network, loss : Network, Loss
    data : Data
        The rows; their weight is that of judging, (1, n).
    folds : ndarray of shape (n,), or None
        Fold of each row, which members k with k mod F equal to it are blind to; None if no member has seen any.
    calibrate : bool
        Whether raw scores may be divided by a temperature: for losses that are written in raw scores.
    """

    network: Network
    loss: Loss
    data: Data
    folds: np.ndarray | None = None
    calibrate: bool = False

    @property
    def n_folds(self) -> int:
        """Number of folds, 0 for none."""
        return 0 if self.folds is None else int(self.folds.max()) + 1

    def scores(self, parameters: np.ndarray) -> np.ndarray:
        """Raw scores (n, out) of parameters (K, P): the mean of the members that are blind to each row, or of all."""
        n_folds = self.n_folds
        if self.folds is None or not n_folds:
            return self.network.scores(parameters, self.data.table).mean(axis=0)
        z = np.empty((len(parameters) // n_folds, len(self.folds), self.network.n_out), parameters.dtype)
        for fold in range(n_folds):
            rows, blind = np.flatnonzero(self.folds == fold), slice(fold, None, n_folds)
            z[:, rows] = self.network.scores(parameters[blind], self.data.table, rows)
        return z.mean(axis=0)

    def judge(self, z: np.ndarray) -> tuple[float, float]:
        """Weighted mean loss of raw scores z / T (n, out), and T: where it is lowest, or 1 where none is looked for."""
        sums = self.sums(z)

        def slope(inverse: float) -> float:  # of the mean loss, by log(1 / T)
            _, slopes, weight = sums(inverse)
            return slopes / weight

        inverse = 0.0
        if self.calibrate:
            low, high = slope(-WIDEST), slope(WIDEST)
            if low < 0 < high:  # the loss is convex in 1 / T
                inverse = brentq(slope, -WIDEST, WIDEST, xtol=0.02)
            elif np.isfinite(low) and np.isfinite(high):
                inverse = -WIDEST if low >= 0 else WIDEST
        loss, _, weight = sums(inverse)
        return loss / weight, float(np.exp(-inverse))

    def sums(self, z: np.ndarray) -> Callable[[float], tuple[float, float, float]]:
        """Function from log(1 / T) to sums over the rows: of the loss of z / T, its slope by log(1 / T), the weight."""
        scaled, dz = np.empty_like(z)[None], np.empty_like(z)[None]
        rows, tape = self.loss.bind(scaled, self._truth[None], dz)
        weight = np.ones(len(z)) if self.data.weight is None else self.data.weight[0].astype(np.float64)
        total = float(weight.sum())

        def at(inverse: float) -> tuple[float, float, float]:
            np.multiply(z, np.exp(inverse), out=scaled[0], casting="same_kind")
            tape.run()
            slopes = np.einsum("nj,nj->n", dz[0], scaled[0])
            return float(weight @ rows[0, :, 0]), float(weight @ slopes), total

        return at

    def over(self, z: np.ndarray, temperature: float) -> np.ndarray:
        """Raw scores over the temperature, (n, out)."""
        return (z / temperature).astype(z.dtype)

    @cached_property
    def _truth(self) -> np.ndarray:
        targets = self.data.targets
        truth = targets.buffer(len(targets.values))
        targets.gather(np.arange(len(truth)), truth)
        return truth
