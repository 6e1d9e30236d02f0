"""Initialisers: the distributions that weights are drawn from, and a start fitted to rows of data.

Each distribution keeps the variance of the signals from layer to layer, given independent inputs of unit variance.
"""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Literal

import numpy as np

from .tape import Array

__all__ = ["INITIALIZERS", "draw", "initialise_from_data"]

# name → (distribution; its bound, or its standard deviation, for n_in inputs and n_out outputs)
INITIALIZERS: dict[str, tuple[Literal["uniform", "normal"], Callable[[int, int], float]]] = {
    "glorot_uniform": ("uniform", lambda n_in, n_out: (6 / (n_in + n_out)) ** 0.5),  # Glorot & Bengio 2010, eq. 16
    "glorot_normal": ("normal", lambda n_in, n_out: (2 / (n_in + n_out)) ** 0.5),  # the same variance
    "he_uniform": ("uniform", lambda n_in, n_out: (6 / n_in) ** 0.5),  # He et al. 2015, eq. 10: the same variance
    "he_normal": ("normal", lambda n_in, n_out: (2 / n_in) ** 0.5),  # He et al. 2015, eq. 10
    "lecun_normal": ("normal", lambda n_in, n_out: (1 / n_in) ** 0.5),  # LeCun et al. 1998, eq. 16
}

MIN_DEVIATION = 1e-6  # a unit whose outputs deviate by less is constant


def draw(
    name: str, arrays: Sequence[Array], n_in: int, n_out: int, rng: np.random.RandomState, gain: float = 1.0
) -> None:
    """Fill each of `arrays` from the distribution of that name, its scale multiplied by `gain`."""
    distribution, scale_for = INITIALIZERS[name]
    scale = gain * scale_for(n_in, n_out)
    for array in arrays:
        if distribution == "uniform":
            array[...] = rng.uniform(-scale, scale, array.shape)
        else:
            array[...] = rng.normal(0, scale, array.shape)


def initialise_from_data(p: SimpleNamespace, y: Array, weight: Array | None, rng: np.random.RandomState) -> None:
    """Rescale one member's W and replace its b, so that the outputs have unit variance over the rows of `y`.

    This is the data-dependent initialisation of Holzmüller et al. 2024 (RealMLP), appendix A: W is divided by the
    standard deviation of y - b over the rows, and -b becomes a random convex combination of five outputs, so that each
    unit bends where there are rows.  The five outputs are drawn by rank: they depend neither on the order of the rows
    nor on whether a row of weight two is given once or twice.

    Parameters
    ----------
    p : namespace of W (1, n_in, n_out) and, if the layer has a bias, b (1, 1, n_out)
        Views of one member's parameters, already drawn.
    y : ndarray of shape (1, R, n_out)
        The layer's outputs for R rows.
    weight : ndarray of shape (R,), or None
        Weights of the rows; None for equal ones.
    rng : RandomState
    """
    bias = hasattr(p, "b")
    z = y[0] - p.b[0] if bias else y[0]  # x W, (R, n_out)
    weight = np.ones(len(z)) if weight is None else weight
    share = weight / weight.sum()
    mean = share @ z
    deviation = np.sqrt(share @ (z - mean) ** 2)
    deviation[deviation < MIN_DEVIATION] = 1
    p.W /= deviation
    if bias:
        p.b[...] = -_random_combination(z, share, rng) / deviation


def _random_combination(z: Array, share: Array, rng: np.random.RandomState) -> Array:
    """A random convex combination, (n_out,), of five values of each column of z (R, n_out); `share` (R,) adds up to 1.

    Column j's values are its quantiles at five uniform random levels.
    """
    mix = rng.exponential(size=(5, z.shape[1]))
    levels = rng.uniform(size=(5, z.shape[1]))
    columns = np.ascontiguousarray(z.T)  # (n_out, R): NumPy sorts contiguous values fast
    unit = np.arange(len(columns))
    order = np.argsort(columns, axis=1)
    mass = np.cumsum(share[order], axis=1)
    picked = np.empty_like(mix)
    for i, level in enumerate(levels):
        place = np.minimum((mass <= level[:, None]).sum(axis=1), columns.shape[1] - 1)
        picked[i] = columns[unit, order[unit, place]]
    combination: Array = (mix * picked).sum(axis=0) / mix.sum(axis=0)
    return combination
