"""Layers: Dense (y = x W + b), Activation and Dropout, and what every layer has to offer."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np

from .activations import ActivationFunction, CustomActivation
from .batch import SideBySide, SparseRows
from .initializers import draw
from .monotone import RATE_FACTOR, sign_bounds
from .parameters import Slot
from .tape import Array, Tape

__all__ = ["Activation", "BoundLayer", "Dense", "Dropout", "Layer"]

BoundLayer = tuple[Any, Any, Tape, Tape]  # y, dy, forward, backward


class Layer(Protocol):
    """A step of the network from x (1 or K, B, n_in) to y (K, B, n_out), for K ensemble members and B rows.

    Attributes
    ----------
    random : bool
        Whether a training step of the layer draws random numbers.
    """

    random: ClassVar[bool]

    def slots(self) -> tuple[Slot, ...]:
        """Names and shapes of the layer's parameter arrays."""

    def initialise(self, p: Any, rng: np.random.RandomState) -> None:
        """Draw the parameters of one member into the views `p`."""

    def bind(self, p: Any, g: Any, x: Any, dx: Any, rng: np.random.Generator | None = None) -> BoundLayer:
        """Record the forward and the backward pass for the buffers of one batch shape.

        Parameters
        ----------
        p, g : namespace
            Views `(K, *slot.shape)` of the parameters, and of their gradient; g is None where it is not needed.
        x : ndarray of shape (1 or K, B, n_in)
            The input.  The first layer may also get SparseRows or, if it is an Embedding, a Table; the layer after an
            Embedding, SideBySide.
        dx : ndarray of shape (1 or K, B, n_in), or None
            Buffer for the loss's gradient with respect to x, or to the vectors in x if it is SideBySide; None for the
            first layer, and where none is needed.
        rng : Generator or None
            Source of dropout masks in training; None for prediction.

        Returns
        -------
        y, dy : ndarray of shape (K, B, n_out)
            The output, and the buffer for the loss's gradient with respect to y (None if g and dx are).  They are the
            next layer's x and dx.
        forward, backward : Tape
            `forward` computes y.  `backward` computes g and dx from dy; it overwrites them, so that they need not be
            zeroed.
        """


@dataclass(frozen=True)
class Dense:
    """y = x W + b.

    Shapes: x (1 or K, B, n_in) → y (K, B, n_out), with W (K, n_in, n_out) and b (K, 1, n_out).

    Parameters
    ----------
    n_in, n_out : int
    bias : bool
    init : str
        Name of an initialiser, or "zeros".
    gain : float
        Factor on the scale of the initialiser.
    input_groups : tuple of int
        Widths of the kinds of inputs side by side, if there are several.  Each group gets the initial scale, and by
        `ntk` the learning rate, that it would have alone, so that a wide group does not dominate a narrow one.
    ntk : bool
        Whether to divide the learning rate of W by the square root of its number of inputs: then a step of Adam changes
        y by the same amount at any width (the neural tangent parametrisation of Jacot et al. 2018, with its factor
        moved into the learning rate).
    directions : (tuple of int, tuple of int) or None
        Directions of the n_in inputs and of the n_out units in a monotone network, which bound W; see `monotone`.

    Examples
    --------
    >>> W, b = Dense(3, 2).slots()
    >>> W.shape, b.shape
    ((3, 2), (1, 2))
    """

    n_in: int
    n_out: int
    bias: bool = True
    init: str = "glorot_uniform"
    gain: float = 1.0
    input_groups: tuple[int, ...] = ()
    ntk: bool = False
    directions: tuple[tuple[int, ...], tuple[int, ...]] | None = None

    random: ClassVar[bool] = False

    def slots(self) -> tuple[Slot, ...]:
        """W, and b if the layer has a bias."""
        rate = (self._fan_in**-0.5 if self.ntk else 1.0) * (RATE_FACTOR if self.directions else 1.0)
        W = Slot("W", (self.n_in, self.n_out), decay=True, rate=rate, bounds=self._bounds)
        return (W, Slot("b", (1, self.n_out))) if self.bias else (W,)

    @cached_property
    def _bounds(self) -> tuple[Array, Array] | None:
        """Lowest and highest weights, both (n_in, n_out), if there are directions."""
        return None if self.directions is None else sign_bounds(*self.directions)

    @cached_property
    def _fan_in(self) -> Array:
        """Number of inputs in the group of each input, (n_in, 1)."""
        groups = self.input_groups or (self.n_in,)
        # at least 1: a table of constant columns has no inputs
        return np.repeat(np.maximum(groups, 1), groups)[:, None].astype(float)

    def initialise(self, p: Any, rng: np.random.RandomState) -> None:
        """Draw W, then b from the same distribution."""
        arrays = (p.W, p.b) if self.bias else (p.W,)
        if self.init == "zeros":
            for array in arrays:
                array[...] = 0
            return
        n_in = max(self.n_in, 1)
        draw(self.init, arrays, n_in, self.n_out, rng, self.gain)
        if self.input_groups:
            p.W *= (n_in / self._fan_in) ** 0.5
        if self._bounds:
            low, high = self._bounds
            np.negative(p.W, out=p.W, where=(p.W < low) | (p.W > high))  # mirrored at 0, the bound
            np.clip(p.W, low, high, out=p.W)

    def bind(self, p: Any, g: Any, x: Any, dx: Any, rng: np.random.Generator | None = None) -> BoundLayer:
        """Record y = x W + b and its gradients; see `Layer.bind`."""
        if isinstance(x, SparseRows):
            return self._bind_sparse(p, g, x)
        if isinstance(x, SideBySide):
            return self._bind_side_by_side(p, g, x, dx)
        if x.shape[-1] > self.n_in:  # x ends in a column of ones
            if self.bias:
                return self._bind_with_ones(p, g, x)
            x = x[..., : self.n_in]
        forward, backward = Tape(), Tape()
        y = np.empty((len(p.W), x.shape[1], self.n_out), p.W.dtype)
        self._record_product(forward, x, p.W, y, g is None)  # y = x W
        if self.bias:
            # NumPy adds a single number faster as an array without axes
            forward.add(y, p.b if p.b.size > 1 else p.b.reshape(()), out=y)  # y = x W + b
        if g is None and dx is None:
            return y, None, forward, backward
        dy = np.empty_like(y)
        if g is not None:
            backward.matmul(x.swapaxes(-1, -2), dy, out=g.W)  # dW = xᵀ dy
            if self.bias:
                backward.sum_rows(dy, out=g.b)  # db = Σ dy over the rows
        if dx is not None:
            backward.matmul(dy, p.W.swapaxes(-1, -2), out=dx)  # dx = dy Wᵀ
        return y, dy, forward, backward

    def _bind_with_ones(self, p: Any, g: Any, x: Array) -> BoundLayer:
        """The same for a table [x, 1], (1 or K, B, n_in + 1): b is the last row of [W; b], and two calls are saved."""
        forward, backward = Tape(), Tape()
        y = np.empty((len(p.Wb), x.shape[1], self.n_out), p.Wb.dtype)
        self._record_product(forward, x, p.Wb, y, g is None)  # y = [x, 1] [W; b]
        if g is None:
            return y, None, forward, backward
        dy = np.empty_like(y)
        backward.matmul(x.swapaxes(-1, -2), dy, out=g.Wb)  # [dW; db] = [x, 1]ᵀ dy
        return y, dy, forward, backward

    def _bind_side_by_side(self, p: Any, g: Any, x: SideBySide, dx: Array) -> BoundLayer:
        """The same in training where x is [s, e], of which s (1, B, d) is shared: y = s W_s + e W_e + b."""
        forward, backward = Tape(), Tape()
        d, own, ends_in_ones = x.shared.shape[2], x.own, x.shared.shape[2] + x.own.shape[2] > self.n_in
        p_own, g_own = p.W[:, d:], g.W[:, d:]
        if ends_in_ones and self.bias:  # b is the weight of the last input, 1
            p_own, g_own = p.Wb[:, d:], g.Wb[:, d:]
        elif ends_in_ones:
            own = own[..., :-1]
        y = np.empty((len(p.W), own.shape[1], self.n_out), p.W.dtype)
        added, dy = np.empty_like(y), np.empty_like(y)
        forward.matmul(x.shared, p.W[:, :d], out=y)  # s W_s
        forward.matmul(own, p_own, out=added)  # e W_e, or [e, 1] [W_e; b]
        forward.add(y, added, out=y)
        backward.matmul(x.shared.swapaxes(1, 2), dy, out=g.W[:, :d])  # dW_s = sᵀ dy
        backward.matmul(own.swapaxes(1, 2), dy, out=g_own)  # dW_e = eᵀ dy
        if self.bias and not ends_in_ones:
            forward.add(y, p.b, out=y)
            backward.sum_rows(dy, out=g.b)
        backward.matmul(dy, p.W[:, d:].swapaxes(1, 2), out=dx)  # de = dy W_eᵀ
        return y, dy, forward, backward

    def _record_product(self, tape: Tape, x: Array, W: Array, y: Array, predicts: bool) -> None:
        """Record y = x W; in a monotone network's predictions, with the terms added in the same order in all rows.

        Rounded sums of terms that do not fall do not fall either, if the order is the same.  BLAS keeps the order in a
        product of matrices, but not in one of a matrix and a vector, where it treats the last rows in another way.
        """
        if not (self.directions and predicts and self.n_out == 1):
            tape.matmul(x, W, out=y)
            return
        terms = np.empty((len(W), *x.shape[1:]), y.dtype)
        tape.multiply(x, W.swapaxes(-1, -2), out=terms)
        tape.sum(terms, axis=-1, out=y)

    def _bind_sparse(self, p: Any, g: Any, x: SparseRows) -> BoundLayer:
        """The same where the input is the sum x.matrix + x.offset, which is never formed: it would be dense."""
        forward, backward = Tape(), Tape()
        y = np.empty((len(p.W), x.n, self.n_out), p.W.dtype)
        shift = np.empty((len(p.W), 1, self.n_out), y.dtype)  # offset W + b, the same for all rows

        def multiply() -> None:
            for k, W in enumerate(p.W):
                y[k] = x.matrix @ W

        forward.append(multiply)
        if x.offset is not None:
            forward.record(np.matmul, x.offset, p.W, out=shift)
            if self.bias:
                forward.add(shift, p.b, out=shift)
            forward.add(y, shift, out=y)  # y = matrix W + offset W + b
        elif self.bias:
            forward.add(y, p.b, out=y)
        if g is None:
            return y, None, forward, backward
        dy = np.empty_like(y)
        row_sum = g.b if self.bias else np.empty_like(shift)

        def weight_gradient() -> None:
            for k in range(len(dy)):
                g.W[k] = x.transposed @ dy[k]
            if x.offset is not None:
                np.add(g.W, np.matmul(x.offset.T, row_sum), out=g.W)  # dW = matrixᵀ dy + offsetᵀ Σ dy

        backward.sum_rows(dy, out=row_sum)  # db = Σ dy over the rows
        backward.append(weight_gradient)
        return y, dy, forward, backward


class _WithoutParameters:
    """What layers without parameters share."""

    random: ClassVar[bool] = False

    def slots(self) -> tuple[Slot, ...]:
        """None."""
        return ()

    def initialise(self, p: Any, rng: np.random.RandomState) -> None:
        """Draw nothing."""


@dataclass(frozen=True)
class Activation(_WithoutParameters):
    """y = f(x), elementwise, computed in the buffers of the layer before: y is x, and dy is dx."""

    function: ActivationFunction | CustomActivation

    def bind(self, p: Any, g: Any, x: Any, dx: Any, rng: np.random.Generator | None = None) -> BoundLayer:
        """Record y = f(x) and dx = dy f'(x); see `Layer.bind`."""
        forward, backward = self.function.bind(x, dx)
        return x, dx, forward, backward


@dataclass(frozen=True)
class Dropout(_WithoutParameters):
    """y = x · mask / (1 - rate), with a new random mask at each step (inverted dropout, Srivastava et al. 2014).

    In prediction y = x.
    """

    rate: float

    random: ClassVar[bool] = True

    def bind(self, p: Any, g: Any, x: Any, dx: Any, rng: np.random.Generator | None = None) -> BoundLayer:
        """Record y = x · mask / (1 - rate) and its gradient; see `Layer.bind`."""
        forward, backward = Tape(), Tape()
        if rng is None:
            return x, dx, forward, backward
        keep = 1 - self.rate
        # not in place, because the derivative of the activation before may need that layer's output
        y, dy, mask, kept = np.empty_like(x), np.empty_like(x), np.empty_like(x), np.empty(x.shape, dtype=bool)
        limit, scale = np.array(round(keep * 2**16), np.uint32), np.array(1 / keep, x.dtype)
        bits = rng.bit_generator

        def draw_mask() -> None:
            # sixteen random bits a unit take a quarter of the time of a random float
            words = bits.random_raw(-(-x.size // 4))
            np.less(words.view(np.uint16)[: x.size].reshape(x.shape), limit, out=kept)
            np.multiply(kept, scale, out=mask)  # 1 / (1 - rate) with probability 1 - rate, else 0

        forward.append(draw_mask)
        forward.multiply(x, mask, out=y)  # y = x mask
        backward.multiply(dy, mask, out=dx)  # dx = dy mask
        return y, dy, forward, backward
