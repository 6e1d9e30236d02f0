"""Input layer for tables with large categories: numbers and learned vectors, side by side."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from .parameters import Slot
from .tape import Calls, call

__all__ = ["Embedding"]


@dataclass(frozen=True)
class Embedding:
    """y = [x, E_1[code_1], E_2[code_2], ...]: each category code picks a row of its table.

    x is (1, B, d), the codes are (B, c), y is (K, B, d + c · width); E_j is (K, categories_j + 1, width).
    Row 0 of each table stands for a missing or unknown category; it starts at zero.
    """

    n_numeric: int
    categories: tuple[int, ...]
    width: int = 8

    @property
    def n_out(self) -> int:
        """Number of values of one row of y."""
        return self.n_numeric + self.width * len(self.categories)

    def slots(self) -> Iterator[Slot]:
        """One table a column."""
        for j, count in enumerate(self.categories):
            yield Slot(f"E{j}", (count + 1, self.width))

    def initialise(self, p: Any, rng: np.random.RandomState) -> None:
        """Vectors of about unit length, so that an embedding weighs as much as one scaled number."""
        for j in range(len(self.categories)):
            table = getattr(p, f"E{j}")
            table[...] = rng.normal(0, self.width**-0.5, table.shape)
            table[..., 0, :] = 0

    def bind(self, p, g, x, dx=None, rng=None):
        """See `layers`; here x is the batch's table itself, and nothing lies before it that wants dx.

        Where the table ends in a column of ones, so does y.
        """
        tables = [getattr(p, f"E{j}") for j in range(len(self.categories))]
        n_rows, n_members = len(x.codes), len(tables[0])
        y = np.ones((n_members, n_rows, self.n_out + x.ones), tables[0].dtype)
        edges = self.n_numeric + self.width * np.arange(len(tables) + 1)
        spans = [slice(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)]

        def look_up() -> None:
            for table, span, code in zip(tables, spans, x.codes.T, strict=True):
                y[..., span] = table.take(code, axis=1, mode="clip")

        forward: Calls = [call(np.copyto, y[..., : self.n_numeric], x.X[:, : self.n_numeric]), look_up]
        if g is None:
            return y, None, forward, []
        dy = np.empty_like(y)
        ones, each_row = np.ones(n_rows, y.dtype), np.arange(n_rows + 1)

        def gradient() -> None:
            for j, (span, code) in enumerate(zip(spans, x.codes.T, strict=True)):
                g_table = getattr(g, f"E{j}")
                # a one-hot matrix (B, categories + 1): its transpose adds up the rows that share a code
                chosen = sp.csr_matrix((ones, code, each_row), shape=(n_rows, g_table.shape[1])).T
                for k in range(n_members):
                    g_table[k] = chosen @ dy[k][:, span]

        return y, dy, forward, [gradient]
