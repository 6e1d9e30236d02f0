"""LocalSteps: the outcome of local steps of one group of partitions, and its mean over several groups.

The parameters and the first moments m of Adam are linear in the gradients, so that their means over groups stand for a
step on all rows.  The second moments v are not: the square of a mean is smaller than the mean of squares, by the noise
that the mean removes.  With the groups' own v the steps would be too short, by up to the square root of the number of
groups.  But the groups' m show that noise.  After H steps from a common start, with weights w that sum to 1,

    m = Σ β₁ʰ g,  v = Σ β₂ʰ g²  (h = 0, ..., H - 1):  E[mean(v) - v of the mean] = c · Σ w (m - mean(m))²,
    c = [(1 - β₂ᴴ) / (1 - β₂)] / [(1 - β₁²ᴴ) / (1 - β₁²)],

where the noise of a group's gradient has a variance in proportion to 1 / w.  For H = 1 this is no estimate, but equal.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ..nn.tape import Array
from ..training.optimizers import SGD, Adam

__all__ = ["LocalSteps", "adopt"]


class LocalSteps(NamedTuple):
    """The outcome of local steps: of one group of partitions, or the mean over several.

    Attributes
    ----------
    losses : ndarray of shape (n_steps, K)
        Sums over the rows of each step.
    weights : ndarray of shape (n_steps, 1 or K)
    share : ndarray of shape (1 or K,)
        Weight of this outcome in a mean: that of its rows.
    arrays : list of ndarray of shape (K, P)
        Parameters and moments of the optimizer after the last step.
    """

    losses: Array
    weights: Array
    share: Array
    arrays: list[Array]

    @classmethod
    def mean(cls, outcomes: Iterable["LocalSteps"], optimizer: SGD | Adam) -> "LocalSteps":
        """Add up losses and weights, and average the arrays; only one of the outcomes is held at a time.

        The mean of means is the mean, in any order, but for rounding.
        """
        outcomes = iter(outcomes)
        losses, weights, share, arrays = next(outcomes)
        arrays = [array.copy() for array in arrays]
        noise = _noise_factor(optimizer, len(losses)) if isinstance(optimizer, Adam) else 0.0
        for other in outcomes:
            losses, weights, share = losses + other.losses, weights + other.weights, share + other.share
            part = (other.share / share)[:, None].astype(arrays[0].dtype)
            changes = [its - array for array, its in zip(arrays, other.arrays, strict=True)]
            for array, change in zip(arrays, changes, strict=True):
                array += part * change
            if noise:  # what the two add to Σ w (m - mean(m))²
                _, m, _ = changes
                arrays[2] -= noise * part * (1 - part) * m**2
        return cls(losses, weights, share, arrays)


def adopt(mean: LocalSteps, parameters: Array, optimizer: SGD | Adam) -> None:
    """Set the parameters and the moments, with which the groups have begun, to the mean over all groups."""
    new_parameters, *moments = mean.arrays
    if isinstance(optimizer, Adam):
        m, v = moments
        n, beta_1, beta_2 = len(mean.losses), optimizer.beta_1, optimizer.beta_2
        # v is an estimate; that of the mean gradients g is at least this, by the inequality of Cauchy and Schwarz
        # for m = Σ β₁ʰ g and v = Σ β₂ʰ g²
        bound = sum((beta_1**2 / beta_2) ** h for h in range(n)) if beta_2 else 1.0
        least = beta_2**n * optimizer.v + (m - beta_1**n * optimizer.m) ** 2 / bound
        moments = [m, np.maximum(v, least, dtype=v.dtype, casting="same_kind")]
    for array, new in zip([parameters, *optimizer.state], [new_parameters, *moments], strict=True):
        np.copyto(array, new)


def _noise_factor(optimizer: Adam, n_steps: int) -> float:
    """Return the factor c of the head of this module."""
    beta_1, beta_2 = optimizer.beta_1, optimizer.beta_2
    of_squares = (1 - beta_2**n_steps) / (1 - beta_2)
    return of_squares * (1 - beta_1**2) / (1 - beta_1 ** (2 * n_steps))
