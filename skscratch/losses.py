"""Loss functions of the raw scores z that a network puts out: value and gradient in one pass.

A loss is bound to the buffers of one batch: raw scores z (K, B, out), targets t (B, out) and the gradient
dz (K, B, out).  `bind` returns ``rows`` (K, B, 1) and ``evaluate()``, which writes the loss of each row,
summed over the outputs, into ``rows`` and its derivative with respect to z into ``dz``.  Both are sums per
row, neither weighted nor divided: the caller weights rows and divides once, where the total is known.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import expit, xlogy

from .links import LINKS, Link, ordered
from .statistics import weighted_mean_std, weighted_quantiles

__all__ = ["CLASSIFICATION_LOSSES", "REGRESSION_LOSSES", "CustomLoss", "Loss", "make_loss"]

Bound = tuple[np.ndarray, Callable[[], None]]


class Loss:
    """What all losses share; by itself it is none."""

    name = ""
    default_link = "identity"
    canonical = False  # a canonical loss is written in z directly: only its own link fits
    lowest: tuple[float, bool] = (-np.inf, False)  # smallest target allowed, and whether itself is allowed
    n_scores = 1  # raw scores for one target

    def __init__(self, link: Link):
        self.link = link

    def bind(self, z: np.ndarray, t: np.ndarray, dz: np.ndarray) -> Bound:
        """Prepare buffers for one batch shape; see the module's docstring."""
        raise NotImplementedError

    def scaling(self, y: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Center and spread, each (out,), of targets of order one: y = center + spread · p; spread 0 if constant."""
        if self.link.name == "exp":  # deviances depend on y / p alone: only the unit is free
            mean = weighted_mean_std(y, weight)[0]
            return np.zeros_like(mean), np.where(mean > 0, mean, 1.0)
        if self.link.name not in ("identity", "ordered"):
            return np.zeros(y.shape[1]), np.ones(y.shape[1])
        return self._scaling(y, weight)

    def _scaling(self, y: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Median and quartile range, which outliers do not move, as these losses are not moved by them."""
        low, center, high = np.transpose([weighted_quantiles(column, weight, [0.25, 0.5, 0.75]) for column in y.T])
        spread = (high - low) / 1.349  # the standard deviation, were y normal
        return center, np.where(spread > 0, spread, weighted_mean_std(y, weight)[1])


class _ResponseLoss(Loss):
    """A loss l(p, t) of the prediction p = link(z): the link's derivative is multiplied in."""

    def bind(self, z: np.ndarray, t: np.ndarray, dz: np.ndarray) -> Bound:
        """Prepare buffers for one batch shape."""
        rows = np.empty_like(z[..., :1])
        p, residual, value = np.empty_like(z), np.empty_like(z), np.empty_like(z)
        forward, backward = self.link.bind(p)
        loss = self._bind(residual, value, dz)

        def evaluate() -> None:
            np.copyto(p, z)
            forward()
            np.subtract(p, t, out=residual)
            loss()
            np.add.reduce(value, axis=-1, keepdims=True, out=rows)
            backward(dz)

        return rows, evaluate

    def _bind(self, r: np.ndarray, value: np.ndarray, slope: np.ndarray) -> Callable[[], None]:
        """Closure that writes l and dl/dp into `value` and `slope`, given residuals r = p - t."""
        raise NotImplementedError


class SquaredError(_ResponseLoss):
    """½ (p - t)², summed over the outputs."""

    name = "squared_error"

    def bind(self, z: np.ndarray, t: np.ndarray, dz: np.ndarray) -> Bound:
        """Prepare buffers for one batch shape; the derivative by p is the residual itself."""
        value, rows = np.empty_like(z), np.empty_like(z[..., :1])
        p, backward = z, None
        if self.link.name != "identity":
            p = np.empty_like(z)
            forward, backward = self.link.bind(p)

        def evaluate() -> None:
            if backward is not None:
                np.copyto(p, z)
                forward()
            np.subtract(p, t, out=dz)
            np.multiply(dz, dz, out=value)
            np.add.reduce(value, axis=-1, keepdims=True, out=rows)
            np.multiply(rows, 0.5, out=rows)
            if backward is not None:
                backward(dz)

        return rows, evaluate

    def _scaling(self, y, weight):
        return weighted_mean_std(y, weight)


class AbsoluteError(_ResponseLoss):
    """|p - t|."""

    name = "absolute_error"

    def _bind(self, r, value, slope):
        def loss() -> None:
            np.abs(r, out=value)
            np.sign(r, out=slope)

        return loss


class Huber(_ResponseLoss):
    """½ r² where |r| ≤ δ, else δ (|r| - ½ δ), with r = p - t (Huber 1964)."""

    name = "huber"

    def __init__(self, link: Link, delta: float = 1.35):
        super().__init__(link)
        self.delta = delta

    def _bind(self, r, value, slope):
        delta = self.delta

        def loss() -> None:
            # with s = clip(r, -δ, δ): l = s (r - ½ s) and l' = s, on both sides of δ
            np.clip(r, -delta, delta, out=slope)
            np.multiply(slope, -0.5, out=value)
            np.add(value, r, out=value)
            np.multiply(value, slope, out=value)

        return loss


class Quantile(_ResponseLoss):
    """Pinball loss: q (t - p) where t > p, else (1 - q)(p - t); with several q, the mean over them.

    Koenker & Bassett 1978.  With several levels the outputs are ordered by construction (see `links`).
    """

    name = "quantile"

    def __init__(self, link: Link, levels: Sequence[float] = (0.5,)):
        super().__init__(ordered if len(levels) > 1 else link)
        self.levels = np.asarray(levels, dtype=float)
        self.n_scores = len(self.levels)

    def _bind(self, r, value, slope):
        upper = ((1 - self.levels) / len(self.levels)).astype(r.dtype)  # slope where p is too large
        step = 1.0 / len(self.levels)
        above = np.empty(r.shape, dtype=bool)
        zero = np.zeros((), dtype=r.dtype)

        def loss() -> None:
            np.less(r, zero, out=above)  # the target lies above the prediction: slope -q instead of 1 - q
            np.multiply(above, -step, out=slope, casting="same_kind")
            np.add(slope, upper, out=slope)
            np.multiply(slope, r, out=value)
            np.equal(r, zero, out=above)
            np.copyto(slope, zero, where=above)

        return loss

    def _scaling(self, y, weight):
        _, spread = super()._scaling(y, weight)
        level = float(self.levels.min())  # the lowest level is the one that is not a sum of steps
        return np.array([weighted_quantiles(column, weight, [level])[0] for column in y.T]), spread


class LogLoss(Loss):
    """Cross-entropy of the classes: binary or multilabel with the logistic link, else with softmax.

    logistic: log(1 + exp(z)) - t z, summed over the outputs;  dz = σ(z) - t.
    softmax:  log Σ exp(z) - Σ t z, for targets that sum to one;  dz = softmax(z) - t.
    """

    name = "log_loss"
    canonical = True

    def bind(self, z: np.ndarray, t: np.ndarray, dz: np.ndarray) -> Bound:
        """Prepare buffers for one batch shape."""
        return (self._bind_softmax if self.link.name == "softmax" else self._bind_logistic)(z, t, dz)

    def _bind_logistic(self, z: np.ndarray, t: np.ndarray, dz: np.ndarray) -> Bound:
        rows, value, scratch = np.empty_like(z[..., :1]), np.empty_like(z), np.empty_like(z)

        def evaluate() -> None:
            # log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)), which never overflows
            np.abs(z, out=value)
            np.negative(value, out=value)
            np.exp(value, out=value)
            np.log1p(value, out=value)
            np.maximum(z, 0, out=scratch)
            np.add(value, scratch, out=value)
            np.multiply(z, t, out=scratch)
            np.subtract(value, scratch, out=value)
            np.add.reduce(value, axis=-1, keepdims=True, out=rows)
            expit(z, out=dz)
            np.subtract(dz, t, out=dz)

        return rows, evaluate

    def _bind_softmax(self, z: np.ndarray, t: np.ndarray, dz: np.ndarray) -> Bound:
        # reductions over a short last axis are slow in NumPy: work on (K, out, B) and put dz back at the end
        scores, targets, scratch = (np.empty_like(z.swapaxes(-1, -2), order="C") for _ in range(3))
        total, rows = np.empty_like(scores[:, :1]), np.empty_like(scores[:, :1])
        zT, tT, dzT = z.swapaxes(-1, -2), t.swapaxes(-1, -2), dz.swapaxes(-1, -2)

        def evaluate() -> None:
            np.copyto(scores, zT)
            np.copyto(targets, tT)
            np.maximum.reduce(scores, axis=-2, keepdims=True, out=total)
            np.subtract(scores, total, out=scores)
            np.multiply(scores, targets, out=scratch)
            np.add.reduce(scratch, axis=-2, keepdims=True, out=rows)  # Σ t (z - max)
            np.exp(scores, out=scores)
            np.add.reduce(scores, axis=-2, keepdims=True, out=total)
            np.divide(scores, total, out=scores)
            np.log(total, out=total)
            np.subtract(total, rows, out=rows)
            np.subtract(scores, targets, out=dzT)

        return rows.swapaxes(-1, -2), evaluate


class Poisson(Loss):
    """Half the Poisson deviance with p = exp(z): exp(z) - t z + t log t - t;  dz = exp(z) - t."""

    name = "poisson"
    default_link = "exp"
    canonical = True
    lowest = (0, True)

    def bind(self, z: np.ndarray, t: np.ndarray, dz: np.ndarray) -> Bound:
        """Prepare buffers for one batch shape."""
        rows, value, scratch = np.empty_like(z[..., :1]), np.empty_like(z), np.empty_like(z)
        constant = np.empty_like(t)

        def evaluate() -> None:
            np.exp(z, out=dz)
            np.multiply(z, t, out=scratch)
            np.subtract(dz, scratch, out=value)
            xlogy(t, t, out=constant)
            np.subtract(constant, t, out=constant)
            np.add(value, constant, out=value)
            np.add.reduce(value, axis=-1, keepdims=True, out=rows)
            np.subtract(dz, t, out=dz)

        return rows, evaluate


class Gamma(Loss):
    """Half the Gamma deviance with p = exp(z): z - log t + t exp(-z) - 1;  dz = 1 - t exp(-z)."""

    name = "gamma"
    default_link = "exp"
    canonical = True
    lowest = (0, False)

    def bind(self, z: np.ndarray, t: np.ndarray, dz: np.ndarray) -> Bound:
        """Prepare buffers for one batch shape."""
        rows, value, ratio = np.empty_like(z[..., :1]), np.empty_like(z), np.empty_like(z)
        constant = np.empty_like(t)

        def evaluate() -> None:
            np.negative(z, out=ratio)
            np.exp(ratio, out=ratio)
            np.multiply(ratio, t, out=ratio)
            np.subtract(1, ratio, out=dz)
            np.subtract(z, dz, out=value)
            np.log(t, out=constant)
            np.subtract(value, constant, out=value)
            np.add.reduce(value, axis=-1, keepdims=True, out=rows)

        return rows, evaluate


class CustomLoss(Loss):
    """A user's function (t, z) → (loss of each row (n,), its gradient (n, out)), for one member at a time."""

    name = "custom"

    def __init__(self, function: Callable, link: Link):
        super().__init__(link)
        self.function = function

    def bind(self, z: np.ndarray, t: np.ndarray, dz: np.ndarray) -> Bound:
        """Prepare buffers for one batch shape."""
        rows = np.empty_like(z[..., :1])

        def evaluate() -> None:
            for k in range(len(z)):
                answer = self.function(t.copy(), z[k].copy())
                shapes = [np.shape(part) for part in answer] if isinstance(answer, tuple) else []
                if shapes != [(len(t),), z[k].shape]:
                    got = f"shapes {' and '.join(map(str, shapes))}" if shapes else f"a {type(answer).__name__}"
                    raise ValueError(
                        "A callable loss must return a tuple of two arrays: the loss of each row, of shape (n_rows,), "
                        "and its gradient with respect to the raw scores, of their shape. "
                        f"Got {got} for {len(t)} rows and raw scores of shape {z[k].shape}."
                    )
                value, gradient = answer
                rows[k, :, 0], dz[k] = value, gradient

        return rows, evaluate

    def _scaling(self, y, weight):
        return weighted_mean_std(y, weight)


REGRESSION_LOSSES = {c.name: c for c in (SquaredError, AbsoluteError, Huber, Poisson, Gamma, Quantile)}
CLASSIFICATION_LOSSES = {c.name: c for c in (LogLoss, SquaredError)}


def make_loss(loss: str | Callable, link: str | None, **options) -> Loss:
    """The loss of that name with its link, the default one for `link=None`; `options` go to its constructor."""
    if callable(loss):
        return CustomLoss(loss, LINKS[link or "identity"])
    kind = {**REGRESSION_LOSSES, **CLASSIFICATION_LOSSES}[loss]
    return kind(LINKS[link or kind.default_link], **options)
