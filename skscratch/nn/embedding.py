"""Embedding: the input layer of tables with large categories; numbers and learned vectors side by side."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from .layers import BoundLayer
from .parameters import Slot
from .tape import Array, Tape

__all__ = ["Embedding"]


@dataclass(frozen=True)
class Embedding:
    """y = [x, E[code_1], E[o_2 + code_2], ...]: each category code selects a row of its column's part of E.

    Shapes: x (1, B, d) and codes (B, c) → y (K, B, d + c · width), with E (K, n_vectors, width).  The vectors of column
    j begin at row o_j of E, which stands for a missing or unknown category.

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
    >>> [slot.shape for slot in layer.slots()], layer.first_vectors.tolist(), layer.n_out
    ([(67, 8)], [0, 41], 19)
    """

    n_numeric: int
    categories: tuple[int, ...]
    width: int = 8

    random: ClassVar[bool] = False

    @property
    def n_out(self) -> int:
        """Width of y."""
        return self.n_numeric + self.width * len(self.categories)

    @property
    def n_vectors(self) -> int:
        """Number of rows of E."""
        return sum(self.categories) + len(self.categories)

    @property
    def first_vectors(self) -> Array:
        """o_j, the row of E that stands for an unknown category of each column, (c,)."""
        return np.cumsum([0, *[count + 1 for count in self.categories[:-1]]])

    def slots(self) -> tuple[Slot, ...]:
        """E, the vectors of all columns."""
        return (Slot("E", (self.n_vectors, self.width)),)

    def initialise(self, p: Any, rng: np.random.RandomState) -> None:
        """Set all vectors to zero. The random weights of the next layer give their elements different gradients."""
        p.E[...] = 0

    def bind(self, p: Any, g: Any, x: Any, dx: Any = None, rng: np.random.Generator | None = None) -> BoundLayer:
        """Record the look-up and its gradient; see `Layer.bind`.

        Here x is the batch itself, a Table.  If the table ends in a column of ones, so does y.
        """
        forward, backward = Tape(), Tape()
        n_members, (n_rows, n_codes) = len(p.E), x.codes.shape
        y = np.ones((n_members, n_rows, self.n_out + x.ones), p.E.dtype)
        vectors, first = slice(self.n_numeric, self.n_out), self.first_vectors

        def look_up() -> None:
            chosen = p.E.take((x.codes + first).ravel(), axis=1, mode="clip")  # (K, B · c, width)
            y[..., vectors] = chosen.reshape(n_members, n_rows, -1)  # y_j = E[o_j + code_j]

        forward.copyto(y[..., : self.n_numeric], x.X[:, : self.n_numeric])
        forward.append(look_up)
        if g is None:
            return y, None, forward, backward
        dy = np.empty_like(y[..., self.n_numeric :], order="C")  # the numbers need no gradient
        ones, each = np.ones(n_rows * n_codes, y.dtype), np.arange(n_rows * n_codes + 1)

        def gradient() -> None:
            # the transpose of the one-hot matrix (B · c, n_vectors) adds up the rows that share a code
            one_hot = sp.csr_matrix((ones, (x.codes + first).ravel(), each), shape=(len(ones), self.n_vectors))
            rows = dy[..., : self.width * n_codes].reshape(n_members, len(ones), self.width)
            sums = one_hot.T @ rows.swapaxes(0, 1).reshape(len(ones), -1)  # (n_vectors, K · width), of all members
            g.E[...] = sums.reshape(-1, n_members, self.width).swapaxes(0, 1)  # dE[o_j + code] = Σ dy_j over its rows

        backward.append(gradient)
        return y, dy, forward, backward
