"""Loss functions of the raw scores z that a network puts out: value and gradient in one pass.

A loss is bound to the buffers of one batch: raw scores z (K, B, out), targets t (1, B, out) and the gradient
dz (K, B, out).  `bind` returns ``rows`` (K, B, 1) and a list of calls that write the loss of each row, summed over
the outputs, into ``rows`` and its derivative with respect to z into ``dz``.  Both are sums per row, neither weighted
nor divided: the caller weights rows and divides once, where the total is known.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import expit, xlogy

from ..encoding.quantiles import weighted_mean_std, weighted_quantiles
from .links import LINKS, Link, ordered
from .tape import Calls, call, product, scalar

__all__ = ["CLASSIFICATION_LOSSES", "REGRESSION_LOSSES", "CustomLoss", "Loss", "make_loss"]

Bound = tuple[np.ndarray, Calls]


def _sum_of_outputs(value: np.ndarray) -> Bound:
    """Place for the sum of `value` (K, B, out) over the outputs, (K, B, 1), and the calls that add it up."""
    if value.shape[-1] == 1:
        return value, []
    rows, ones = np.empty_like(value[..., :1]), np.ones((1, value.shape[-1], 1), value.dtype)
    return rows, [product(value, ones, rows)]  # a third of np.add.reduce's time


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
        value = np.empty_like(z)
        rows, add_up = _sum_of_outputs(value)
        p, forward, backward = z, Calls(), Calls()
        if self.link.name != "identity":
            p = np.empty_like(z)
            forward, backward = self.link.bind(p, dz)
            forward = [call(np.copyto, p, z), *forward]
        return rows, [*forward, *self._bind(p, t, value, dz), *add_up, *backward]

    def _bind(self, p: np.ndarray, t: np.ndarray, value: np.ndarray, slope: np.ndarray) -> Calls:
        """Calls that write l(p, t) and dl/dp into `value` and `slope`."""
        raise NotImplementedError


class SquaredError(_ResponseLoss):
    """½ (p - t)², summed over the outputs."""

    name = "squared_error"

    def _bind(self, p, t, value, slope):
        return [
            call(np.subtract, p, t, slope),
            call(np.multiply, slope, slope, value),
            call(np.multiply, value, scalar(0.5, p), value),
        ]

    def _scaling(self, y, weight):
        return weighted_mean_std(y, weight)


class AbsoluteError(_ResponseLoss):
    """|p - t|."""

    name = "absolute_error"

    def _bind(self, p, t, value, slope):
        r = np.empty_like(p)
        return [call(np.subtract, p, t, r), call(np.abs, r, value), call(np.sign, r, slope)]


class Huber(_ResponseLoss):
    """½ r² where |r| ≤ δ, else δ (|r| - ½ δ), with r = p - t (Huber 1964)."""

    name = "huber"

    def __init__(self, link: Link, delta: float = 1.35):
        super().__init__(link)
        self.delta = delta

    def _bind(self, p, t, value, slope):
        r = np.empty_like(p)
        # with s = clip(r, -δ, δ): l = s (r - ½ s) and l' = s, on both sides of δ
        return [
            call(np.subtract, p, t, r),
            call(np.maximum, r, scalar(-self.delta, r), out=slope),
            call(np.minimum, slope, scalar(self.delta, r), out=slope),
            call(np.multiply, slope, scalar(-0.5, r), value),
            call(np.add, value, r, value),
            call(np.multiply, value, slope, value),
        ]


class Quantile(_ResponseLoss):
    """Pinball loss: q (t - p) where t > p, else (1 - q)(p - t); with several q, the mean over them.

    Koenker & Bassett 1978.  With several levels the outputs are ordered by construction (see `links`).
    """

    name = "quantile"

    def __init__(self, link: Link, levels: Sequence[float] = (0.5,)):
        super().__init__(ordered if len(levels) > 1 else link)
        self.levels = np.asarray(levels, dtype=float)
        self.n_scores = len(self.levels)

    def _bind(self, p, t, value, slope):
        r = np.empty_like(p)
        n = len(self.levels)
        upper = ((1 - self.levels) / n).astype(r.dtype)  # slope where p is too large
        lower = np.broadcast_to((-self.levels / n).astype(r.dtype), r.shape)  # and where it is too small
        above, exact = np.empty(r.shape, dtype=bool), np.empty(r.shape, dtype=bool)
        zero = scalar(0, r)
        return [
            call(np.subtract, p, t, r),
            call(np.less, r, zero, above),  # the target lies above the prediction
            call(np.equal, r, zero, exact),
            call(np.copyto, slope, upper),
            call(np.copyto, slope, lower, where=above),
            call(np.multiply, slope, r, value),
            call(np.copyto, slope, zero, where=exact),
        ]

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
        return (_bind_softmax if self.link.name == "softmax" else _bind_logistic)(z, t, dz)


def _bind_logistic(z: np.ndarray, t: np.ndarray, dz: np.ndarray) -> Bound:
    value, scratch = np.empty_like(z), np.empty_like(z)
    rows, add_up = _sum_of_outputs(value)
    return rows, [
        # log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)), which never overflows
        call(np.abs, z, value),
        call(np.negative, value, value),
        call(np.exp, value, value),
        call(np.log1p, value, value),
        call(np.maximum, z, scalar(0, z), out=scratch),
        call(np.add, value, scratch, value),
        call(np.multiply, z, t, scratch),
        call(np.subtract, value, scratch, value),
        *add_up,
        call(expit, z, dz),
        call(np.subtract, dz, t, dz),
    ]


def _bind_softmax(z: np.ndarray, t: np.ndarray, dz: np.ndarray) -> Bound:
    # reductions over a short last axis are slow in NumPy: work on (K, out, B) and put dz back at the end
    scores, targets, scratch = (np.empty_like(z.swapaxes(-1, -2), order="C") for _ in range(3))
    total, rows = np.empty_like(scores[:, :1]), np.empty_like(scores[:, :1])
    ones = np.ones((1, 1, z.shape[-1]), z.dtype)  # a product with these is a sum, in a third of its time
    zT, tT, dzT = z.swapaxes(-1, -2), t.swapaxes(-1, -2), dz.swapaxes(-1, -2)
    return rows.swapaxes(-1, -2), [
        call(np.copyto, scores, zT),
        call(np.copyto, targets, tT),
        call(np.maximum.reduce, scores, -2, None, total, True),
        call(np.subtract, scores, total, scores),
        call(np.multiply, scores, targets, scratch),
        product(ones, scratch, rows),  # Σ t (z - max)
        call(np.exp, scores, scores),
        product(ones, scores, total),
        call(np.divide, scores, total, scores),
        call(np.log, total, total),
        call(np.subtract, total, rows, rows),
        call(np.subtract, scores, targets, dzT),
    ]


class Poisson(Loss):
    """Half the Poisson deviance with p = exp(z): exp(z) - t z + t log t - t;  dz = exp(z) - t."""

    name = "poisson"
    default_link = "exp"
    canonical = True
    lowest = (0, True)

    def bind(self, z: np.ndarray, t: np.ndarray, dz: np.ndarray) -> Bound:
        """Prepare buffers for one batch shape."""
        value, scratch, constant = np.empty_like(z), np.empty_like(z), np.empty_like(t)
        rows, add_up = _sum_of_outputs(value)
        return rows, [
            call(np.exp, z, dz),
            call(np.multiply, z, t, scratch),
            call(np.subtract, dz, scratch, value),
            call(xlogy, t, t, constant),
            call(np.subtract, constant, t, constant),
            call(np.add, value, constant, value),
            *add_up,
            call(np.subtract, dz, t, dz),
        ]


class Gamma(Loss):
    """Half the Gamma deviance with p = exp(z): z - log t + t exp(-z) - 1;  dz = 1 - t exp(-z)."""

    name = "gamma"
    default_link = "exp"
    canonical = True
    lowest = (0, False)

    def bind(self, z: np.ndarray, t: np.ndarray, dz: np.ndarray) -> Bound:
        """Prepare buffers for one batch shape."""
        value, ratio, constant = np.empty_like(z), np.empty_like(z), np.empty_like(t)
        rows, add_up = _sum_of_outputs(value)
        return rows, [
            call(np.negative, z, ratio),
            call(np.exp, ratio, ratio),
            call(np.multiply, ratio, t, ratio),
            call(np.subtract, scalar(1, z), ratio, dz),
            call(np.subtract, z, dz, value),
            call(np.log, t, constant),
            call(np.subtract, value, constant, value),
            *add_up,
        ]


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
                answer = self.function(t[0].copy(), z[k].copy())
                shapes = [np.shape(part) for part in answer] if isinstance(answer, tuple) else []
                if shapes != [z[k].shape[:1], z[k].shape]:
                    got = f"shapes {' and '.join(map(str, shapes))}" if shapes else f"a {type(answer).__name__}"
                    raise ValueError(
                        "A callable loss must return a tuple of two arrays: the loss of each row, of shape (n_rows,), "
                        "and its gradient with respect to the raw scores, of their shape. "
                        f"Got {got} for {z.shape[1]} rows and raw scores of shape {z[k].shape}."
                    )
                value, gradient = answer
                rows[k, :, 0], dz[k] = value, gradient

        return rows, [evaluate]

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
