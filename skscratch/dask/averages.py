"""LocalSteps: the outcome of local steps of one group of partitions, and its mean over several groups.

The parameters and the first moments of the optimizer are linear in the gradients, so that their means over groups stand
for steps on all rows.  The second moments v of Adam are not: the square of a mean is smaller than the mean of squares,
by the noise that the mean removes.  With the mean of v, steps would be too short, by up to the square root of the
number of groups.  `adopt` therefore estimates v from the first moments of the groups, whose mean and spread tell the
gradient and its noise.
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
    parameters, m : ndarray of shape (K, P)
        Parameters, and first moments of the optimizer, after the last step.
    v : ndarray of shape (K, P), or None
        Second moments of a single group.
    spread : ndarray of shape (K, P), or None
        Weighted variance of m between the groups, of Adam and several groups.
    n_groups : int
    """

    losses: Array
    weights: Array
    share: Array
    parameters: Array
    m: Array
    v: Array | None = None
    spread: Array | None = None
    n_groups: int = 1

    @classmethod
    def mean(cls, outcomes: Iterable["LocalSteps"]) -> "LocalSteps":
        """Add up losses and weights, and average the arrays; only one of the outcomes is held at a time.

        The mean of means is the mean of all groups, but for rounding.
        """
        outcomes = iter(outcomes)
        mean = next(outcomes)
        mean = mean._replace(parameters=mean.parameters.copy(), m=mean.m.copy())
        if mean.v is not None:
            mean = mean._replace(v=mean.v.copy())
        for other in outcomes:
            mean = mean._with(other)
        return mean

    def _with(self, other: "LocalSteps") -> "LocalSteps":
        share = self.share + other.share
        part = (other.share / share)[:, None].astype(self.m.dtype)
        change, spread = other.m - self.m, None
        if self.v is not None or self.spread is not None:
            spread = part * (1 - part) * change**2
            for w, its in ((1 - part, self.spread), (part, other.spread)):
                spread += 0 if its is None else w * its
        return LocalSteps(
            self.losses + other.losses,
            self.weights + other.weights,
            share,
            self.parameters + part * (other.parameters - self.parameters),
            self.m + part * change,
            spread=spread,
            n_groups=self.n_groups + other.n_groups,
        )


def adopt(mean: LocalSteps, parameters: Array, optimizer: SGD | Adam) -> None:
    """Set the parameters and the moments, with which all groups have begun, to the mean over the groups."""
    moments = [mean.m]
    if isinstance(optimizer, Adam):
        moments.append(second_moments(mean, optimizer) if mean.v is None else mean.v)
    for array, new in zip([parameters, *optimizer.state], [mean.parameters, *moments], strict=True):
        np.copyto(array, new, casting="same_kind")


def second_moments(mean: LocalSteps, adam: Adam) -> Array:
    """Estimate the second moments of the gradients on all rows, after H steps of several groups.

    In each step a group has the gradient s + e with a noise e of variance τ / w, for a weight w; the weights sum to 1.
    On all rows the gradient has the variance τ, so that v grows by B (s² + τ).  The mean d of what the groups have
    added to m has the expected square A² s² + C τ, and the spread between G groups is (G - 1) C τ, where

        A = Σ β₁ʰ,  B = Σ β₂ʰ,  C = Σ β₁²ʰ  (h = 0, ..., H - 1).

    Both give an estimate of s² + τ that is never negative.  For H = 1 it is the square of the gradient itself.
    """
    assert mean.spread is not None
    n, beta_1, beta_2 = len(mean.losses), adam.beta_1, adam.beta_2
    a, b, c = (sum(beta**h for h in range(n)) for beta in (beta_1, beta_2, beta_1**2))
    d = mean.m - beta_1**n * adam.m
    noise = mean.spread / (c * (mean.n_groups - 1))
    v: Array = beta_2**n * adam.v + b * (d**2 / a**2 + (1 - c / a**2) * noise)
    return v
