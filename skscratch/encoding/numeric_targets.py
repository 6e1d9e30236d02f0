"""NumericTargets: the numbers that a regressor learns, in units in which the network's predictions are of order one."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from sklearn.utils.validation import check_array, column_or_1d

from ..nn.batch import Targets
from ..nn.losses import Loss, Quantile
from ..nn.tape import Array
from .quantiles import weighted_mean_std, weighted_quantiles
from .targets import TargetEncoder
from .values import refuse_times, without_na

__all__ = ["NumericTargets", "target_scale"]


@dataclass(frozen=True)
class NumericTargets(TargetEncoder):
    """Numbers y = center + spread · p, such that the network's predictions p are of order one.

    Attributes
    ----------
    n_targets : int
        Columns of y.
    scale : bool
        Whether center and spread are learned from y; otherwise they are 0 and 1.
    center, spread : ndarray of shape (n_targets,)
    low, high : ndarray of shape (n_targets,)
        Range of the training targets; infinite for a stream, whose later rows may lie anywhere.
    """

    n_targets: int
    scale: bool = True
    center: Array | float = 0.0
    spread: Array | float = 1.0
    low: Array | float = -np.inf
    high: Array | float = np.inf

    @staticmethod
    def check(y: Any) -> Array:
        """Return y as numbers (n,) or (n, n_targets); raise TypeError or ValueError for anything else."""
        refuse_times(y, "y")
        try:
            y = check_array(without_na(y), ensure_2d=False, dtype=np.float64, ensure_all_finite=False, input_name="y")
        except OverflowError as error:
            raise ValueError(f"Input y contains a number too large for float64: {error}.") from error
        except ValueError as error:
            if "convert" not in str(error):
                raise
            raise ValueError(f"y must be numbers for a regressor, but it holds text: {error}") from error
        if (absent := np.isnan(y)).any():
            raise ValueError(f"Input y contains NaN or None: {int(absent.sum())} targets are missing.")
        if (infinite := np.isinf(y)).any():
            raise ValueError(f"Input y contains infinity: {int(infinite.sum())} targets are infinite.")
        return np.asarray(column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y)

    def n_scores(self, loss: Loss) -> int:
        """Return the number of targets times that of quantiles."""
        return self.n_targets * loss.n_scores

    def values(self, y: Array, loss: Loss) -> Array:
        """Return y as (n, n_targets); raise ValueError for values outside the domain of the loss or of its link."""
        y = y[:, None] if y.ndim == 1 else y
        if y.shape[1] != self.n_targets:
            raise ValueError(f"y must have {self.n_targets} columns, as in the first call. Got {y.shape[1]}.")
        lowest, allowed = loss.min_target, loss.min_target_allowed
        if y.min() < lowest or (y.min() == lowest and not allowed):
            raise ValueError(
                f"loss={loss.name!r} needs every y {'>=' if allowed else '>'} {lowest}; the smallest is {y.min()}."
            )
        link = loss.link
        if y.min() < link.low or y.max() > link.high:
            raise ValueError(
                f"out_activation={link.name!r} gives values from {link.low} to {link.high}, but y lies between "
                f"{y.min()} and {y.max()}: scale y, or choose another out_activation."
            )
        return y

    def fitted(self, values: Array, weight: Array | None, loss: Loss, incremental: bool) -> "NumericTargets":
        """Return the encoder with center, spread and range of these values (n, n_targets).

        A constant target is predicted as that constant.  In a stream later rows may vary, so that there the size of the
        constant is taken for the spread.
        """
        center, spread = np.zeros(self.n_targets), np.ones(self.n_targets)
        if self.scale:
            center, spread = target_scale(loss, values, weight)
            if incremental:
                spread = np.where(spread > 0, spread, np.where(center == 0, 1.0, np.abs(center)))
        range_ = {} if incremental else {"low": values.min(axis=0), "high": values.max(axis=0)}
        return replace(self, center=center, spread=spread, **range_)

    def widened(self, values: Array) -> "NumericTargets":
        """Return the encoder with a range that includes these values (n, n_targets) too."""
        low, high = np.minimum(self.low, values.min(axis=0)), np.maximum(self.high, values.max(axis=0))
        return replace(self, low=low, high=high)

    def stream_columns(self, values: Array) -> list[Array]:
        """Return the columns of y, if they are scaled."""
        return list(values.T) if self.scale else []

    def refitted(self, rows: Array, weight: Array, loss: Loss) -> "NumericTargets":
        """Return the encoder with center and spread of other rows (n, n_targets), and the same range."""
        center, spread = target_scale(loss, rows, weight)
        return replace(self, center=center, spread=np.where(spread > 0, spread, self.spread))

    def transfer_weights(self, new: TargetEncoder, loss: Loss, layer: Any) -> None:
        """Change W (K, d, out) and b (K, 1, out) of the output layer to predict the same y in the units of `new`.

        The transfer is exact, except without b, and for several quantiles, of which it takes only the lowest.
        """
        assert isinstance(new, NumericTargets)
        ratio, outputs = self.spread / new.spread, slice(self.n_targets)
        shift = (self.center - new.center) / new.spread
        if loss.link.name == "exp":
            ratio, shift = np.ones_like(ratio), np.log(ratio)
        layer.W[..., outputs] *= ratio
        if hasattr(layer, "b"):
            layer.b[..., outputs] = layer.b[..., outputs] * ratio + shift

    def encode(self, values: Array, dtype: DTypeLike) -> Targets:
        """Return (y - center) / spread, (n, n_targets)."""
        spread = np.where(self.spread > 0, self.spread, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            scaled = (values - self.center) / spread
            if not np.isfinite(scaled).all():  # the difference of two numbers near the largest float
                scaled = (values / 2 - self.center / 2) / (spread / 2)
            scaled = scaled.astype(dtype)
        is_scaled = np.any(spread != 1) or np.any(self.center != 0)
        if not np.all(np.abs(scaled) <= _largest_target(dtype, bool(is_scaled))):
            self._refuse_large(values, dtype)
        return Targets(scaled)

    def _refuse_large(self, values: Array, dtype: DTypeLike) -> None:
        """Raise ValueError for targets that are too large for the network's precision, with what helps."""
        ways = ["divide y by a constant"] if self.scale else ["set scale_target=True"]
        if np.dtype(dtype) != np.float64 and np.abs(values).max() <= _largest_target(np.float64, False):
            ways.append("set dtype='float64'")
        raise ValueError(
            f"y contains the value {values.flat[np.abs(values).argmax()]:.3g}, which is too large for training in "
            f"{np.dtype(dtype)}{'' if self.scale else ' without scaling'}: {' or '.join(ways)}."
        )

    def decode(self, p: Array, clip: bool = False) -> Array:
        """Return center + spread · p in double precision, at most the largest float.

        `clip` restricts it to the range of the training targets.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            y = self.center + self.spread * p.astype(np.float64) if self.scale else p
            if not np.isfinite(y.sum()):
                largest = np.finfo(y.dtype).max
                p = np.clip(p, -largest, largest)
                quarter = self.center / 4 + self.spread / 4 * p if self.scale else p / 4
                y = 4 * np.clip(quarter, -largest / 4, largest / 4)
        return np.clip(y, self.low, self.high) if clip else y


def _largest_target(dtype: DTypeLike, is_scaled: bool) -> float:
    """Return the largest target for training in `dtype`: the squares of unscaled targets, and their sum, are finite."""
    largest = float(np.finfo(dtype).max)
    return largest if is_scaled else largest**0.5 / 1024


def target_scale(loss: Loss, y: Array, weight: Array | None) -> tuple[Array, Array]:
    """Centre and spread of y = centre + spread · p, so that predictions p of order one fit the targets.

    Parameters
    ----------
    loss : Loss
        Declares which statistic of y is the centre, and its link which of both are free.
    y : ndarray of shape (n, n_targets)
    weight : ndarray of shape (n,), or None

    Returns
    -------
    centre, spread : ndarray of shape (n_targets,)
        The spread of a constant target is 0.
    """
    if loss.link.target_scaling == "none":
        return np.zeros(y.shape[1]), np.ones(y.shape[1])
    mean, deviation = weighted_mean_std(y, weight)
    if loss.link.target_scaling == "unit":
        return np.zeros_like(mean), np.where(mean > 0, mean, 1.0)
    if loss.centre == "mean":
        return mean, deviation
    # outliers move neither these losses nor quartiles
    level = loss.levels.min() if isinstance(loss, Quantile) else 0.5  # of several quantiles z_0 predicts the lowest
    quantiles = np.array([weighted_quantiles(column, weight, [0.25, 0.75, level]) for column in y.T])  # (n_targets, 3)
    with np.errstate(over="ignore"):
        spread = (quantiles[:, 1] - quantiles[:, 0]) / 1.349  # the standard deviation, if y is normal
    spread = np.minimum(spread, np.finfo(np.float64).max)
    return quantiles[:, 2], np.where(spread > 0, spread, deviation)
