"""Weighted mean, spread and quantiles, in which weight 2 counts as the row twice."""

from collections.abc import Sequence

import numpy as np

__all__ = ["weighted_mean_std", "weighted_quantiles"]


def weighted_mean_std(y: np.ndarray, weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Mean and population standard deviation of each column of `y` (n, d), both (d,)."""
    unit = np.max(np.abs(y), axis=0)  # so that neither sums nor squares overflow
    y = y / np.where(unit > 0, unit, 1)
    mean = np.average(y, axis=0, weights=weight)
    return mean * unit, np.sqrt(np.average((y - mean) ** 2, axis=0, weights=weight)) * unit


def weighted_quantiles(x: np.ndarray, weight: np.ndarray | None, levels: Sequence[float]) -> np.ndarray:
    """Quantiles of a column `x` (n,) without NaN; the mean of both neighbours where a level falls between two.

    This is the "averaged inverted distribution function" (Hyndman & Fan 1996, definition 2), the one
    for which repeating a row and doubling its weight are the same.
    """
    if weight is not None:
        x, weight = x[weight > 0], weight[weight > 0]
    if len(x) == 0:
        return np.full(len(levels), np.nan)
    x, last = x.astype(np.float64), len(x) - 1
    # the slack keeps rounding in the sums of weights from deciding what "falls between two" is
    slack, shares = 1e-12, np.asarray(levels, dtype=float)
    if weight is None:
        x.sort()
        targets = shares * len(x)  # the mass of the first i rows is i
        low = np.ceil(targets * (1 - slack)).astype(int) - 1
        high = np.floor(targets * (1 + slack)).astype(int)
    else:
        order = np.argsort(x, kind="stable")
        x, mass = x[order], np.cumsum(weight[order])
        targets = shares * mass[-1]
        low = np.searchsorted(mass, targets * (1 - slack), side="left")
        high = np.searchsorted(mass, targets * (1 + slack), side="right")
    low, high = np.clip(low, 0, last), np.minimum(high, last)
    return np.where(low == high, x[low], x[low] / 2 + x[high] / 2)
