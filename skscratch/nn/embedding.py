"""Embedding: the input layer of tables with large categories; numbers and learned vectors side by side."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from .layers import BoundLayer
from .parameters import Slot
from .tape import Tape

__all__ = ["Embedding"]


@dataclass(frozen=True)
class Embedding:
    """y = [x, E_1[code_1], E_2[code_2], ...]: each category code selects a row of its column's matrix.

    Shapes: x (1, B, d) and codes (B, c) → y (K, B, d + c · width), with E_j (K, categories_j + 1, width).  Row 0 of E_j
    stands for a missing or unknown category.

    All vectors start at zero: a category that training does not use counts as an unknown one.

    Parameters
    ----------
    n_numeric : int
        d, the number of numeric inputs.
    categories : tuple of int
        Number of categories of each of the c columns.
    width : int

    Examples
    --------
    >>> layer = Embedding(n_numeric=3, categories=(40, 25))
    >>> [slot.shape for slot in layer.slots()], layer.n_out
    ([(41, 8), (26, 8)], 19)
    """

    n_numeric: int
    categories: tuple[int, ...]
    width: int = 8

    random: ClassVar[bool] = False

    @property
    def n_out(self) -> int:
        """Width of y."""
        return self.n_numeric + self.width * len(self.categories)

    def slots(self) -> tuple[Slot, ...]:
        """E0, E1, ...: one matrix a column."""
        return tuple([Slot(f"E{j}", (count + 1, self.width)) for j, count in enumerate(self.categories)])

    def initialise(self, p: Any, rng: np.random.RandomState) -> None:
        """Set all vectors to zero. The random weights of the next layer give their elements different gradients."""
        for j in range(len(self.categories)):
            getattr(p, f"E{j}")[...] = 0

    def bind(self, p: Any, g: Any, x: Any, dx: Any = None, rng: np.random.Generator | None = None) -> BoundLayer:
        """Record the look-up and its gradient; see `Layer.bind`.

        Here x is the batch itself, a Table.  If the table ends in a column of ones, so does y.
        """
        forward, backward = Tape(), Tape()
        matrices = [getattr(p, f"E{j}") for j in range(len(self.categories))]
        n_rows, n_members = len(x.codes), len(matrices[0])
        y = np.ones((n_members, n_rows, self.n_out + x.ones), matrices[0].dtype)
        edges = self.n_numeric + self.width * np.arange(len(matrices) + 1)
        spans = [slice(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)]

        def look_up() -> None:
            for matrix, span, code in zip(matrices, spans, x.codes.T, strict=True):
                y[..., span] = matrix.take(code, axis=1, mode="clip")  # y_j = E_j[code_j]

        forward.copyto(y[..., : self.n_numeric], x.X[:, : self.n_numeric])
        forward.append(look_up)
        if g is None:
            return y, None, forward, backward
        dy = np.empty_like(y)
        ones, each_row = np.ones(n_rows, y.dtype), np.arange(n_rows + 1)

        def gradient() -> None:
            for j, (span, code) in enumerate(zip(spans, x.codes.T, strict=True)):
                g_matrix = getattr(g, f"E{j}")
                # the transpose of the one-hot matrix (B, categories + 1) adds up the rows that share a code
                one_hot = sp.csr_matrix((ones, code, each_row), shape=(n_rows, g_matrix.shape[1]))
                for k in range(n_members):
                    g_matrix[k] = one_hot.T @ dy[k][:, span]  # dE_j[c] = Σ dy_j over the rows of code c

        backward.append(gradient)
        return y, dy, forward, backward
