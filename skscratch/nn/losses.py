"""Losses: value and gradient of every row's loss, as functions of the network's raw scores.

A loss is bound to the buffers of one batch: raw scores z (K, B, out), targets t (1, B, out) and the gradient dz
(K, B, out).  `bind` returns an array ``rows`` (K, B, 1) and a tape; the tape writes the loss of each row, summed over
the outputs, into ``rows``, and its derivative with respect to z into ``dz``.  Neither is weighted or averaged: a
training step does that once, where the total weight is known.
"""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from scipy.special import expit, xlogy

from .links import LINKS, Link, ordered
from .tape import Array, Tape

__all__ = ["CLASSIFICATION_LOSSES", "REGRESSION_LOSSES", "CustomLoss", "Loss", "Quantile", "make_loss"]

MANY_CLASSES = 64  # from here on, transposed copies take more time than they save: 3 times as much at 1,000 classes
# Below -87, exp is a denormal number in float32, and a product of such matrices takes thirty times as long.
MIN_EXPONENT = -60.0
BoundLoss = tuple[Array, Tape]  # the loss of each row (K, B, 1), and the tape that computes it


class Loss:
    """Base class of the losses.

    Attributes
    ----------
    name : str
    default_link : str
    canonical : bool
        Whether the loss is a formula in z that includes its link; then no other link fits.
    options : tuple of str
        Names of the constructor's parameters beside `link`; the estimator has hyper-parameters of the same names.
    centre : {"mean", "median", "quantile"}
        Statistic of y that a raw score of 0 predicts, where targets are scaled: a constant that nearly minimises the
        loss.  The matching measure of spread is the standard deviation for the mean, else the interquartile range.
    min_target : float
        Smallest target allowed.
    min_target_allowed : bool
        Whether `min_target` itself is allowed.
    n_scores : int
        Raw scores for one target.
    """

    name: ClassVar[str] = ""
    default_link: ClassVar[str] = "identity"
    canonical: ClassVar[bool] = False
    options: ClassVar[tuple[str, ...]] = ()
    centre: ClassVar[Literal["mean", "median", "quantile"]] = "median"
    min_target: ClassVar[float] = -np.inf
    min_target_allowed: ClassVar[bool] = False
    n_scores = 1

    def __init__(self, link: Link):
        self.link = link

    def bind(self, z: Array, t: Array, dz: Array) -> BoundLoss:
        """Record the loss of each row and its gradient, for the buffers of one batch shape.

        Parameters
        ----------
        z : ndarray of shape (K, B, out)
            Raw scores.
        t : ndarray of shape (1, B, out)
            Targets; of shape (1, B, 1) for several quantiles of one target.
        dz : ndarray of shape (K, B, out)
            Buffer for the gradient.

        Returns
        -------
        rows : ndarray of shape (K, B, 1)
            Buffer for the loss of each row.
        tape : Tape
        """
        raise NotImplementedError


def _sum_over_outputs(tape: Tape, value: Array) -> Array:
    """Record the sum of `value` (K, B, out) over the outputs, and return its buffer (K, B, 1)."""
    if value.shape[-1] == 1:
        return value
    rows = np.empty_like(value[..., :1])
    tape.sum_columns(value, out=rows)
    return rows


# ------------------------------------------------------------------------ losses of the prediction p = link(z)


class _PredictionLoss(Loss):
    """A loss l(p, t) of the prediction p = link(z); its gradient is dl/dz = dl/dp · dp/dz."""

    def bind(self, z: Array, t: Array, dz: Array) -> BoundLoss:
        """Record p = link(z), l(p, t) and dl/dz; see `Loss.bind`."""
        tape, p, link_backward = Tape(), z, Tape()
        value = np.empty_like(z)
        if self.link.name != "identity":
            p = np.empty_like(z)
            link_forward, link_backward = self.link.bind(p, dz)
            tape.copyto(p, z)
            tape += link_forward  # p = link(z)
        self._record(tape, p, t, value, dz)  # value = l(p, t), dz = dl/dp
        rows = _sum_over_outputs(tape, value)
        tape += link_backward  # dz = dl/dp · dp/dz
        return rows, tape

    def _record(self, tape: Tape, p: Array, t: Array, value: Array, slope: Array) -> None:
        """Record value = l(p, t) and slope = dl/dp, all of shape (K, B, out) but t (1, B, out)."""
        raise NotImplementedError


class SquaredError(_PredictionLoss):
    """l = ½ (p - t)²,  dl/dp = p - t."""

    name = "squared_error"
    centre = "mean"

    def _record(self, tape: Tape, p: Array, t: Array, value: Array, slope: Array) -> None:
        tape.subtract(p, t, out=slope)  # dl/dp = p - t
        tape.multiply(slope, slope, out=value)
        tape.multiply(value, 0.5, out=value)  # l = ½ (p - t)²


class AbsoluteError(_PredictionLoss):
    """l = |p - t|,  dl/dp = sign(p - t)."""

    name = "absolute_error"

    def _record(self, tape: Tape, p: Array, t: Array, value: Array, slope: Array) -> None:
        r = np.empty_like(p)
        tape.subtract(p, t, out=r)  # r = p - t
        tape.abs(r, out=value)  # l = |r|
        tape.sign(r, out=slope)  # dl/dp = sign(r)


class Huber(_PredictionLoss):
    """l = ½ r² where |r| ≤ δ, else δ (|r| - ½ δ), with r = p - t;  dl/dp = clip(r, -δ, δ) (Huber 1964)."""

    name = "huber"
    options = ("huber_delta",)

    def __init__(self, link: Link, huber_delta: float = 1.35):
        super().__init__(link)
        self.huber_delta = huber_delta

    def _record(self, tape: Tape, p: Array, t: Array, value: Array, slope: Array) -> None:
        r = np.empty_like(p)
        tape.subtract(p, t, out=r)  # r = p - t
        tape.maximum(r, -self.huber_delta, out=slope)
        tape.minimum(slope, self.huber_delta, out=slope)  # dl/dp = s = clip(r, -δ, δ)
        tape.multiply(slope, -0.5, out=value)
        tape.add(value, r, out=value)
        tape.multiply(value, slope, out=value)  # l = s (r - ½ s), the same on both sides of δ


class Quantile(_PredictionLoss):
    """Pinball loss: l = q (t - p) where t > p, else (1 - q)(p - t) (Koenker & Bassett 1978).

    dl/dp = -q where t > p, 1 - q where t < p, and 0 where t = p.  With several levels q, l is the mean over them, and
    the outputs never cross (the link `ordered`).

    Parameters
    ----------
    link : Link
    quantile : float or sequence of float
        The level, or the levels, in ascending order.
    """

    name = "quantile"
    options = ("quantile",)
    centre = "quantile"

    def __init__(self, link: Link, quantile: float | Sequence[float] = 0.5):
        self.levels: Array = np.atleast_1d(np.asarray(quantile, dtype=float))
        self.n_scores = len(self.levels)
        super().__init__(ordered if self.n_scores > 1 else link)

    def _record(self, tape: Tape, p: Array, t: Array, value: Array, slope: Array) -> None:
        r, n = np.empty_like(p), len(self.levels)
        above, equal = np.empty(r.shape, dtype=bool), np.empty(r.shape, dtype=bool)
        slope_below = ((1 - self.levels) / n).astype(r.dtype)
        slope_above = np.broadcast_to((-self.levels / n).astype(r.dtype), r.shape)
        tape.subtract(p, t, out=r)  # r = p - t
        tape.less(r, 0, out=above)  # t > p
        tape.equal(r, 0, out=equal)
        tape.copyto(slope, slope_below)
        tape.copyto(slope, slope_above, where=above)
        tape.multiply(slope, r, out=value)  # l = dl/dp · r
        tape.copyto(slope, 0, where=equal)


# ------------------------------------------------------------------------ losses of the raw scores z, link included


class LogLoss(Loss):
    """Cross-entropy: of each output alone with the logistic link, of the classes together with softmax.

    logistic: l = log(1 + exp(z)) - t z, summed over the outputs;  dl/dz = σ(z) - t.
    softmax: l = log Σ exp(z) - Σ t z, for targets that add up to one;  dl/dz = softmax(z) - t.
    """

    name = "log_loss"
    canonical = True

    def bind(self, z: Array, t: Array, dz: Array) -> BoundLoss:
        """Record the cross-entropy and its gradient; see `Loss.bind`."""
        return (_bind_softmax if self.link.name == "softmax" else _bind_logistic)(z, t, dz)


def _bind_logistic(z: Array, t: Array, dz: Array) -> BoundLoss:
    value, scratch, tape = np.empty_like(z), np.empty_like(z), Tape()
    # log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)), which never overflows
    tape.abs(z, out=value)
    tape.negative(value, out=value)
    tape.exp(value, out=value)
    tape.log1p(value, out=value)  # log(1 + exp(-|z|))
    tape.maximum(z, 0, out=scratch)
    tape.add(value, scratch, out=value)  # log(1 + exp(z))
    tape.multiply(z, t, out=scratch)
    tape.subtract(value, scratch, out=value)  # l = log(1 + exp(z)) - t z
    rows = _sum_over_outputs(tape, value)
    tape.record(expit, z, out=dz)
    tape.subtract(dz, t, out=dz)  # dl/dz = σ(z) - t
    return rows, tape


def _bind_softmax(z: Array, t: Array, dz: Array) -> BoundLoss:
    """With s = z - max(z): l = log Σ exp(s) - Σ t s, which never overflows.

    NumPy reduces a short last axis slowly, so that the tape works on transposed copies (K, out, B) of few classes.
    """
    tape, many = Tape(), z.shape[-1] >= MANY_CLASSES
    axis, sum_classes = (-1, tape.sum_columns) if many else (-2, tape.sum_rows)
    if not many:
        z, t, dz = z.swapaxes(-1, -2), t.swapaxes(-1, -2), dz.swapaxes(-1, -2)
    s, scratch = np.empty_like(z, order="C"), np.empty_like(z, order="C")
    total, rows = (np.empty_like(s[..., :1] if many else s[..., :1, :]) for _ in range(2))
    raw, targets = z, t
    if not many:
        raw, targets = s, np.empty_like(s)
        tape.copyto(raw, z)
        tape.copyto(targets, t)
    tape.max(raw, axis=axis, out=total)
    tape.subtract(raw, total, out=s)  # s = z - max(z)
    tape.multiply(s, targets, out=scratch)
    sum_classes(scratch, out=rows)  # Σ t s
    tape.maximum(s, MIN_EXPONENT, out=s)  # the probabilities that this raises are below 1e-26
    tape.exp(s, out=s)
    sum_classes(s, out=total)  # Σ exp(s)
    tape.divide(s, total, out=s)  # softmax(z)
    tape.log(total, out=total)
    tape.subtract(total, rows, out=rows)  # l = log Σ exp(s) - Σ t s
    tape.subtract(s, targets, out=dz)  # dl/dz = softmax(z) - t
    return (rows if many else rows.swapaxes(-1, -2)), tape


class Poisson(Loss):
    """Half the Poisson deviance with p = exp(z): l = exp(z) - t z + t log t - t;  dl/dz = exp(z) - t."""

    name = "poisson"
    default_link = "exp"
    canonical = True
    min_target = 0
    min_target_allowed = True

    def bind(self, z: Array, t: Array, dz: Array) -> BoundLoss:
        """Record the deviance and its gradient; see `Loss.bind`."""
        value, scratch, constant, tape = np.empty_like(z), np.empty_like(z), np.empty_like(t), Tape()
        tape.exp(z, out=dz)  # exp(z)
        tape.multiply(z, t, out=scratch)
        tape.subtract(dz, scratch, out=value)  # exp(z) - t z
        tape.record(xlogy, t, t, out=constant)
        tape.subtract(constant, t, out=constant)  # t log t - t
        tape.add(value, constant, out=value)  # l
        rows = _sum_over_outputs(tape, value)
        tape.subtract(dz, t, out=dz)  # dl/dz = exp(z) - t
        return rows, tape


class Gamma(Loss):
    """Half the Gamma deviance with p = exp(z): l = z - log t + t exp(-z) - 1;  dl/dz = 1 - t exp(-z)."""

    name = "gamma"
    default_link = "exp"
    canonical = True
    min_target = 0

    def bind(self, z: Array, t: Array, dz: Array) -> BoundLoss:
        """Record the deviance and its gradient; see `Loss.bind`."""
        value, ratio, constant, tape = np.empty_like(z), np.empty_like(z), np.empty_like(t), Tape()
        tape.negative(z, out=ratio)
        tape.exp(ratio, out=ratio)
        tape.multiply(ratio, t, out=ratio)  # t exp(-z)
        tape.subtract(1, ratio, out=dz)  # dl/dz = 1 - t exp(-z)
        tape.subtract(z, dz, out=value)
        tape.log(t, out=constant)
        tape.subtract(value, constant, out=value)  # l = z - dl/dz - log t
        rows = _sum_over_outputs(tape, value)
        return rows, tape


class CustomLoss(Loss):
    """A user's function (t, z) → (loss of each row (B,), its gradient (B, out)), called for each member."""

    name = "custom"
    centre = "mean"

    def __init__(self, function: Callable[[Array, Array], Any], link: Link):
        super().__init__(link)
        self.function = function

    def bind(self, z: Array, t: Array, dz: Array) -> BoundLoss:
        """Record the calls of the user's function; see `Loss.bind`."""
        rows, tape = np.empty_like(z[..., :1]), Tape()

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

        tape.append(evaluate)
        return rows, tape


REGRESSION_LOSSES: dict[str, type[Loss]] = {
    loss.name: loss for loss in (SquaredError, AbsoluteError, Huber, Poisson, Gamma, Quantile)
}
CLASSIFICATION_LOSSES: dict[str, type[Loss]] = {loss.name: loss for loss in (LogLoss, SquaredError)}


def make_loss(loss: str | Callable[[Array, Array], Any], link: str | None, **options: Any) -> Loss:
    """The loss of that name, or a user's function, with a link: by None its default one.

    `options` are passed to the loss's constructor.
    """
    if not isinstance(loss, str):
        return CustomLoss(loss, LINKS[link or "identity"])
    kind = REGRESSION_LOSSES[loss] if loss in REGRESSION_LOSSES else CLASSIFICATION_LOSSES[loss]
    return kind(LINKS[link or kind.default_link], **options)
