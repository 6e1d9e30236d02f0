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
from .batch import SparseRows
from .parameters import Slot
from .tape import Calls, call, product, scalar

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

    Parameters
    ----------
    blocks : tuple of int
        Widths of the kinds of input side by side, if there are several.  Each has a start, and with `ntk` a rate, as if
        it were the only one, so that a wide kind does not drown a narrow one.
    ntk : bool
        Divide the rate of W by the square root of its inputs: Adam's steps then change y alike, whatever the width
        (the "neural tangent" parametrisation of Jacot et al. 2018, with its factor moved into the rate).
    """

    n_in: int
    n_out: int
    bias: bool = True
    init: str = "glorot_uniform"
    gain: float = 1.0  # factor on the initial bound
    blocks: tuple[int, ...] = ()
    ntk: bool = False

    def slots(self) -> Iterator[Slot]:
        """W, and b unless `bias` is off."""
        yield Slot("W", (self.n_in, self.n_out), decay=True, rate=self._fan_in() ** -0.5 if self.ntk else 1.0)
        if self.bias:
            yield Slot("b", (1, self.n_out))

    def _fan_in(self) -> np.ndarray:
        """Inputs of the same kind as each input, (n_in, 1)."""
        widths = np.maximum(self.blocks or (self.n_in,), 1)  # a table of constants may have no inputs
        return np.repeat(widths, self.blocks or (self.n_in,))[:, None].astype(float)

    def initialise(self, p: Any, rng: np.random.RandomState) -> None:
        """Draw W, then b from the same distribution, into one member's views `p`."""
        if self.init == "zeros":
            for array in vars(p).values():
                array[...] = 0
            return
        draw, size = INITIALIZERS[self.init]
        n_in = max(self.n_in, 1)
        scale = self.gain * size(n_in, self.n_out)
        p.W[...] = draw(rng, scale, p.W.shape)
        if self.bias:
            p.b[...] = draw(rng, scale, p.b.shape)
        if self.blocks:
            p.W *= (n_in / self._fan_in()) ** 0.5

    def settle(self, p: Any, y: np.ndarray, weight: np.ndarray, rng: np.random.RandomState) -> None:
        """Fit one member's start to data: unit variance of each output, and a bias in the midst of the data.

        Holzmüller et al. 2024 (RealMLP), appendix A: W is divided by the deviation of y - b over the rows, and -b is a
        random convex combination of five outputs, so that each unit bends where there are rows.  Outputs are drawn
        by their rank, and so do not depend on the order of the rows or on how their weight is spread.

        Parameters
        ----------
        p : views of one member's parameters, as `initialise` left them
        y : ndarray of shape (1, R, n_out)
            Outputs for R rows.
        weight : ndarray of shape (R,)
            Weights of the rows.
        """
        z = y[0] - p.b[0] if self.bias else y[0]
        share = weight / weight.sum()
        center = share @ z
        deviation = np.sqrt(share @ (z - center) ** 2)
        deviation[deviation < 1e-6] = 1  # an output that no row changes
        p.W /= deviation
        if not self.bias:
            return
        mix = rng.exponential(size=(5, self.n_out))
        ranks = rng.uniform(size=(5, self.n_out))
        z = np.ascontiguousarray(z.T)  # (n_out, R), for NumPy sorts fast what lies side by side
        order = np.argsort(z, axis=1)
        mass = np.cumsum(share[order], axis=1)
        places = [np.minimum((mass <= rank[:, None]).sum(axis=1), z.shape[1] - 1) for rank in ranks]  # 5 x (n_out,)
        picked = [z[np.arange(len(z)), order[np.arange(len(z)), place]] for place in places]
        p.b[...] = -(mix * picked).sum(axis=0) / mix.sum(axis=0) / deviation

    def bind(self, p, g, x, dx, rng=None):
        """See the module's docstring; x may be the rows of a sparse table."""
        if isinstance(x, SparseRows):
            return self._bind_sparse(p, g, x)
        y = np.empty((len(p.W), x.shape[1], self.n_out), p.W.dtype)  # (K, B, n_out)
        whole = self.bias and x.shape[-1] == self.n_in + 1  # x has the ones: W stands for [W; b]
        if x.shape[-1] > self.n_in and not whole:
            x = x[..., : self.n_in]
        W = p.Wb if whole else p.W
        forward: Calls = [product(x, W, y)]
        if self.bias and not whole:
            forward.append(call(np.add, y, p.b if p.b.size > 1 else p.b.reshape(()), y))
        if g is None:
            return y, None, forward, []
        dy = np.empty_like(y)
        backward: Calls = [product(x.swapaxes(-1, -2), dy, g.Wb if whole else g.W)]
        if self.bias and not whole:  # the sum over rows, as a product with ones: a third of np.sum's time
            backward.append(product(np.ones((1, 1, x.shape[1]), y.dtype), dy, g.b))
        if dx is not None:
            backward.append(product(dy, W.swapaxes(-1, -2), dx))
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
        limit, scale = np.array(round(keep * 2**16), np.uint32), scalar(1 / keep, x)

        def draw() -> None:
            # sixteen random bits decide on a unit: a quarter of the time of a random float
            words = rng().bit_generator.random_raw(-(-x.size // 4))
            np.less(words.view(np.uint16)[: x.size].reshape(x.shape), limit, out=kept)
            np.multiply(kept, scale, out=mask)

        return y, dy, [draw, call(np.multiply, x, mask, y)], [call(np.multiply, dy, mask, dx)]
