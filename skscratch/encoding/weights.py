"""Weights of rows in a unit of their own: only their ratios reach the training, and no product of them overflows."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from ..nn.tape import Array

__all__ = ["MIN_RATIO", "Weights", "in_common_unit", "in_own_unit"]

MIN_RATIO = 2.0**-96  # a positive weight counts as at least this share of the largest one: float32 holds it


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights `values` · 2**`exponent`, the largest of the values in [1, 2).

    The unit is a power of two, so that the change to it is exact: weights that are multiplied by a power of two have
    the same values.  The exponent matters to the L2 penalty alone, which is a sum over rows of weight 1 (a prior),
    beside which the sum of the rows' weights is large or small.

    Attributes
    ----------
    values : ndarray of shape (n,)
        Zero, or from `MIN_RATIO` to 2.
    exponent : int
    """

    values: Array
    exponent: int = 0

    @classmethod
    def of(cls, weight: Array) -> Self:
        """Change finite weights (n,), not all zero, to their unit."""
        largest = weight.max(initial=0.0)
        if largest == 0:
            return cls(weight)
        exponent = int(np.frexp(largest)[1]) - 1
        return cls(_scaled(weight, -exponent), exponent)

    def times(self, factors: Array) -> "Weights":
        """Multiply each weight by a factor (n,) or ()."""
        other = Weights.of(np.asarray(factors, dtype=np.float64))
        product = Weights.of(self.values * other.values)
        return Weights(product.values, product.exponent + self.exponent + other.exponent)

    def in_units_of_one(self) -> Array:
        """Return the weights as they were given, or their values where the weights or their sum leave float64."""
        with np.errstate(over="ignore", under="ignore"):
            weight = np.ldexp(self.values, self.exponent)
            fits = np.isfinite(weight.sum()) and np.array_equal(weight > 0, self.values > 0)
        return weight if fits else self.values


def in_own_unit(sample_weight: Any) -> Any:
    """Weights of any form in a unit in which their sum stays within float64, for a score that has no unit."""
    if sample_weight is None or np.ndim(sample_weight) != 1:
        return sample_weight
    try:
        weight = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):  # the score says what is wrong
        return sample_weight
    largest = np.abs(weight).max(initial=0.0)
    return weight if not np.isfinite(largest) else np.ldexp(weight, 1 - int(np.frexp(largest)[1]))


def in_common_unit(first: Weights, second: Weights) -> Weights:
    """Concatenate weights in the larger of their two units."""
    exponent = max([part.exponent for part in (first, second) if len(part.values)], default=0)
    parts = [_scaled(part.values, part.exponent - exponent) for part in (first, second)]
    return Weights(np.concatenate(parts), exponent)


def _scaled(weight: Array, exponent: int) -> Array:
    """Return weight · 2**exponent, at most of order one, with the positive ones raised to `MIN_RATIO`."""
    with np.errstate(under="ignore"):
        scaled = np.ldexp(weight, exponent)
    return np.where(weight > 0, np.maximum(scaled, MIN_RATIO), 0.0)
