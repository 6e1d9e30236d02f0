"""Layers: what they hold (slots), how it starts (initialise), what they compute (bind).

``bind(p, g, x, dx, rng)`` prepares a layer for one batch shape and returns ``(y, dy, forward, backward)``.
p and g are the layer's views of parameters and gradient (g is None where no gradient is wanted); x is its
input and dx the place for the loss's gradient by x (None for the first layer); y and dy are the same for its
output, which the next layer takes as its x and dx.  ``forward`` and ``backward`` are lists of calls: the first
compute y; the second compute from dy the parameters' gradient and dx, overwriting both, so that nothing needs
zeroing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from . import activations
from .calls import Calls, call, product
from .parameters import Slot
from .table import SparseRows

__all__ = ["INITIALIZERS", "Activation", "Dense", "Dropout"]


def _uniform(rng: np.random.RandomState, bound: float, shape: tuple[int, ...]) -> np.ndarray:
    return rng.uniform(-bound, bound, shape)


def _normal(rng: np.random.RandomState, std: float, shape: tuple[int, ...]) -> np.ndarray:
    return rng.normal(0, std, shape)


# name → (distribution, its bound or standard deviation for n_in inputs and n_out outputs)
INITIALIZERS: dict[str, tuple[Callable, Callable[[int, int], float]]] = {
    "glorot_uniform": (_uniform, lambda n_in, n_out: (6 / (n_in + n_out)) ** 0.5),  # Glorot & Bengio 2010, eq. 16
    "glorot_normal": (_normal, lambda n_in, n_out: (2 / (n_in + n_out)) ** 0.5),
    "he_uniform": (_uniform, lambda n_in, n_out: (6 / n_in) ** 0.5),  # He et al. 2015, eq. 10
    "he_normal": (_normal, lambda n_in, n_out: (2 / n_in) ** 0.5),
    "lecun_normal": (_normal, lambda n_in, n_out: (1 / n_in) ** 0.5),  # LeCun et al. 1998, eq. 16
}


@dataclass(frozen=True)
class Dense:
    """y = x W + b.

    x is (1 or K, B, n_in), y is (K, B, n_out); W is (K, n_in, n_out), b is (K, 1, n_out).  Where x has one column
    more, of ones, b is the last row of one matrix [W; b], which takes a single product.
    """

    n_in: int
    n_out: int
    bias: bool = True
    init: str = "glorot_uniform"
    gain: float = 1.0  # factor on the initial bound

    def slots(self) -> Iterator[Slot]:
        """W, and b unless `bias` is off."""
        yield Slot("W", (self.n_in, self.n_out), decay=True)
        if self.bias:
            yield Slot("b", (1, self.n_out))

    def initialise(self, p: Any, rng: np.random.RandomState) -> None:
        """Draw W, then b from the same distribution, into one member's views `p`."""
        draw, size = INITIALIZERS[self.init]
        scale = self.gain * size(max(self.n_in, 1), self.n_out)  # a table of constants may have no inputs
        p.W[...] = draw(rng, scale, p.W.shape)
        if self.bias:
            p.b[...] = draw(rng, scale, p.b.shape)

    def bind(self, p, g, x, dx, rng=None):
        """See the module's docstring; x may be the rows of a sparse table."""
        if isinstance(x, SparseRows):
            return self._bind_sparse(p, g, x)
        y = np.empty((len(p.W), x.shape[1], self.n_out), p.W.dtype)  # (K, B, n_out)
        whole = self.bias and x.shape[-1] == self.n_in + 1  # x has the ones: W stands for [W; b]
        if x.shape[-1] > self.n_in and not whole:
            x = x[..., : self.n_in]
        forward: Calls = [product(x, p.Wb if whole else p.W, y)]
        if self.bias and not whole:
            forward.append(call(np.add, y, p.b if p.b.size > 1 else p.b.reshape(()), y))
        if g is None:
            return y, None, forward, []
        dy = np.empty_like(y)
        backward: Calls = [product(x.swapaxes(-1, -2), dy, g.Wb if whole else g.W)]
        if self.bias and not whole:  # the sum over rows, as a product with ones: a third of np.sum's time
            backward.append(product(np.ones((1, 1, x.shape[1]), y.dtype), dy, g.b))
        if dx is not None:
            backward.append(product(dy, (p.Wb if whole else p.W).swapaxes(-1, -2), dx))
        return y, dy, forward, backward

    def _bind_sparse(self, p, g, x: SparseRows):
        """The same where the true input is x.matrix + x.offset, a sum that is never formed."""
        y = np.empty((len(p.W), x.n, self.n_out), p.W.dtype)
        shift = np.empty((len(p.W), 1, self.n_out), y.dtype)  # what every row has alike: offset W + b

        def multiply() -> None:
            for k, W in enumerate(p.W):
                y[k] = x.matrix @ W

        forward: Calls = [multiply]
        if x.offset is not None:
            forward.append(call(np.matmul, x.offset, p.W, shift))
            if self.bias:
                forward.append(call(np.add, shift, p.b, shift))
            forward.append(call(np.add, y, shift, y))
        elif self.bias:
            forward.append(call(np.add, y, p.b, y))
        if g is None:
            return y, None, forward, []
        dy = np.empty_like(y)
        total = g.b if self.bias else np.empty_like(shift)  # the sum over rows

        def gradient() -> None:
            for k in range(len(dy)):
                g.W[k] = x.transposed @ dy[k]
            if x.offset is not None:
                np.add(g.W, np.matmul(x.offset.T, total), out=g.W)

        return y, dy, forward, [product(np.ones((1, 1, x.n), y.dtype), dy, total), gradient]


@dataclass(frozen=True)
class Activation:
    """y = f(x), elementwise and in place: y is x's own buffer, and dy is dx's."""

    function: activations.Activation

    def slots(self) -> Iterator[Slot]:
        """None."""
        return iter(())

    def initialise(self, p: Any, rng: np.random.RandomState) -> None:
        """Nothing to draw."""

    def bind(self, p, g, x, dx, rng=None):
        """See the module's docstring."""
        return x, dx, *self.function(x, dx)


@dataclass(frozen=True)
class Dropout:
    """y = x · mask / (1 - rate), mask drawn anew each time (Srivastava et al. 2014, inverted).

    Without a generator to draw from, y = x: that is what prediction asks for.
    """

    rate: float
    random: ClassVar[bool] = True  # a step draws numbers

    slots = Activation.slots
    initialise = Activation.initialise

    def bind(self, p, g, x, dx, rng=None):
        """See the module's docstring; `rng` is a function giving the generator of the running epoch."""
        if rng is None:
            return x, dx, [], []
        # not in place: the activation before may need its output for its derivative
        y, dy, mask, kept = np.empty_like(x), np.empty_like(x), np.empty_like(x), np.empty(x.shape, dtype=bool)
        keep = 1 - self.rate

        def draw() -> None:
            rng().random(dtype=mask.dtype, out=mask)
            np.less(mask, keep, out=kept)
            np.multiply(kept, 1 / keep, out=mask, casting="same_kind")

        return y, dy, [draw, call(np.multiply, x, mask, y)], [call(np.multiply, dy, mask, dx)]
