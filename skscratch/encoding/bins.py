"""Bins: each number column as a row of components that fill up one after the other.

With edges e_0 < e_1 < ... component j is (x - e_j) / (e_{j+1} - e_j), held to [0, 1]: the piecewise-linear encoding of
Gorishniy et al. 2022 ("On Embeddings for Numerical Features in Tabular Deep Learning", eq. 1).  A linear layer on it
is a piecewise-linear function of the column, so that the network sees where a single feature bends.
"""

from collections.abc import Iterable
from functools import cached_property

import numpy as np

from .quantiles import weighted_quantiles

__all__ = ["Bins"]


class Bins:
    """The edges of each column, learned from its values.

    Half of them are quantiles of the rows, half quantiles of the distinct values: the latter see to columns in which
    most rows share one value.  A column of two values or fewer has none, for a straight line says all of it.

    Attributes
    ----------
    edges : list of ndarray
        Increasing, of each column; empty for none.
    width : int
        Components of all columns.
    """

    def __init__(self, columns: Iterable[tuple[np.ndarray, np.ndarray | None]], count: int):
        """Learn up to `count` bins of each column, given as values and weights of the rows."""
        levels = np.linspace(0, 1, count // 2 + 1).tolist()
        self._take([_edges(x, weight, levels) for x, weight in columns])

    @classmethod
    def between(cls, edges: list[np.ndarray]) -> "Bins":
        """Bins between edges that are known, of each column."""
        bins = cls.__new__(cls)
        bins._take(edges)
        return bins

    def _take(self, edges: list[np.ndarray]) -> None:
        self.edges = edges
        self.width = sum(max(len(e) - 1, 0) for e in edges)

    def names(self, columns: list[str]) -> list[str]:
        """What each component is called."""
        return [
            f"{name} from {low:.4g} to {high:.4g}"
            for name, edges in zip(columns, self.edges, strict=True)
            for low, high in zip(edges[:-1], edges[1:], strict=True)
        ]

    def write(self, raw: np.ndarray, out: np.ndarray) -> None:
        """Components of the rows of `raw` (n, columns) into `out` (n, width); 0 for a missing value."""
        column, exponent, low, step = self._components
        part = np.ldexp(raw[:, column].astype(np.float64), exponent)  # (n, width)
        np.subtract(part, low, out=part)
        np.divide(part, step, out=part)
        np.clip(part, 0, 1, out=part)
        np.copyto(part, 0, where=np.isnan(part))
        out[...] = part

    def __getstate__(self) -> dict:
        return {name: value for name, value in vars(self).items() if name != "_components"}

    @cached_property
    def _components(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of each component: its column, the exponent that values are scaled by, and then its lower edge and width."""
        counts = np.array([max(len(edges) - 1, 0) for edges in self.edges], dtype=int)
        exponents = np.array([-_exponent(edges) if len(edges) else 0 for edges in self.edges], dtype=int)
        scaled = [np.ldexp(edges, exponent) for edges, exponent in zip(self.edges, exponents, strict=True)]
        return (
            np.repeat(np.arange(len(counts)), counts),
            np.repeat(exponents, counts),
            np.concatenate([np.empty(0), *(edges[:-1] for edges in scaled)]),
            np.concatenate([np.empty(0), *(np.diff(edges) for edges in scaled)]),
        )


def _edges(x: np.ndarray, weight: np.ndarray | None, levels: list[float]) -> np.ndarray:
    there = ~np.isnan(x) if weight is None else ~np.isnan(x) & (weight > 0)
    x, weight = x[there], None if weight is None else weight[there]
    distinct = np.unique(x)
    if len(distinct) <= 2:
        return np.empty(0)
    edges = np.union1d(weighted_quantiles(x, weight, levels), weighted_quantiles(distinct, None, levels))
    scaled = np.ldexp(edges, -_exponent(edges))
    return edges[np.append(True, np.diff(scaled) > 1e-12 * np.max(np.abs(scaled)))]


def _exponent(edges: np.ndarray) -> int:
    """Power of two that edges are divided by to be of order one, exactly: then no difference of them overflows."""
    return int(np.frexp(np.max(np.abs(edges)))[1])
