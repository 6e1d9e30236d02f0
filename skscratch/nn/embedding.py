"""Embedding: the input layer of tables with large categories; numbers and learned vectors side by side."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from .batch import SideBySide
from .layers import BoundLayer
from .parameters import Slot
from .tape import Array, Tape

__all__ = ["BatchEmbedding", "Embedding"]


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

    @property
    def n_slots(self) -> int:
        """Number of vectors among the parameters: all of them."""
        return self.n_vectors

    def find(self, chosen: Array) -> None:
        """Replace rows of E by the places of their vectors among the parameters, in place: they are the same."""

    def slots(self) -> tuple[Slot, ...]:
        """E, the vectors of all columns."""
        return (Slot("E", (self.n_slots, self.width)),)

    def initialise(self, p: Any, rng: np.random.RandomState) -> None:
        """Set all vectors to zero. The random weights of the next layer give their elements different gradients."""
        p.E[...] = 0

    def bind(self, p: Any, g: Any, x: Any, dx: Any = None, rng: np.random.Generator | None = None) -> BoundLayer:
        """Record the look-up and its gradient; see `Layer.bind`.

        Here x is the batch itself, a Table.  If the table ends in a column of ones, so does y.  In training, y is
        SideBySide: copies of the numbers for each member would fill the cache, and lengthen a step by a tenth.
        """
        forward, backward = Tape(), Tape()
        n_members, (n_rows, n_codes) = len(p.E), x.codes.shape
        vectors = np.ones((n_members, n_rows, self.width * n_codes + x.ones), p.E.dtype)
        first = self.first_vectors.astype(x.codes.dtype)
        chosen = np.empty_like(x.codes, order="C")  # the rows of E, o_j + code_j

        def look_up() -> None:
            np.add(x.codes, first, out=chosen)
            self.find(chosen)
            for E, own in zip(p.E, vectors, strict=True):  # for all members at once, NumPy would copy the whole of E
                looked_up = E.take(chosen.ravel(), axis=0, mode="clip")  # (B · c, width)
                own[:, : self.width * n_codes] = looked_up.reshape(n_rows, -1)  # E[o_j + code_j]

        forward.append(look_up)
        y = SideBySide(x.X[None, :, : self.n_numeric], vectors)
        if g is None:
            joined = np.empty((n_members, n_rows, self.n_out + x.ones), p.E.dtype)
            forward.copyto(joined[..., : self.n_numeric], y.shared)
            forward.copyto(joined[..., self.n_numeric :], vectors)
            return joined, None, forward, backward
        dy = np.empty((n_members, n_rows, self.width * n_codes), p.E.dtype)  # of the vectors alone
        # the transpose of the one-hot matrix adds up the rows that share a code; made once, since SciPy checks new ones
        ones, each = np.ones(chosen.size, vectors.dtype), np.arange(chosen.size + 1, dtype=chosen.dtype)
        one_hot = sp.csc_matrix((ones, np.zeros_like(each[:-1]), each), shape=(self.n_slots, chosen.size))

        def gradient() -> None:
            one_hot.indices = chosen.ravel()
            for own, dy_own in zip(g.E, dy, strict=True):  # member by member, which takes half the time of all at once
                rows = dy_own.reshape(-1, self.width)  # (B · c, width)
                own[...] = one_hot @ rows  # dE[o_j + code] = Σ dy_j over its rows

        backward.append(gradient)
        return y, dy, forward, backward


@dataclass(frozen=True, eq=False)
class BatchEmbedding(Embedding):
    """An embedding whose parameters are the vectors of one batch alone, in an order of their own.

    Parameters
    ----------
    places : ndarray of shape (n_vectors,)
        For each row of E that the batch has, its place among the parameters.
    n_places : int
    """

    places: Any = None
    n_places: int = 0

    @property
    def n_slots(self) -> int:
        """Number of vectors among the parameters."""
        return self.n_places

    def find(self, chosen: Array) -> None:
        """Replace rows of E by the places of their vectors among the parameters, in place."""
        chosen[...] = self.places[chosen]
