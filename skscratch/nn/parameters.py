"""Parameters: all weights of K networks in one array (K, P), with named views into it.

Row k holds all parameters of ensemble member k.  For the layers Embedding → Dense₁ → Dense₂ → Dense₃ a row is::

    | W₃ | W₂ | W₁ | b₁ | b₂ | b₃ | E |
    |<- decayed  ->|

Weights stand last layer to first, then biases first to last.  So the weights, which alone are penalised and decayed,
are one block at the start, and W₁ lies next to b₁: both together are one matrix [W₁; b₁], which takes a single product
with the inputs [x, 1].  Because everything lies in one array, the optimizer's step, the copy of the best epoch,
clipping, decay and L-BFGS are each one line of NumPy.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from .tape import Array

__all__ = ["Layout", "Slot"]


@dataclass(frozen=True)
class Slot:
    """One named parameter array of a layer."""

    name: str
    shape: tuple[int, ...]
    decay: bool = False  # whether the L2 penalty and weight decay act on it
    rate: Any = 1.0  # factor on the learning rate: a number, or an array that broadcasts to `shape`
    bounds: tuple[Array, Array] | None = None  # lowest and highest values, two arrays of `shape`; only where `decay`


class Layout:
    """Where the slots of each layer lie in a row of the array.

    Parameters
    ----------
    layers : sequence of sequence of Slot
        The slots of each layer, first layer to last.

    Attributes
    ----------
    spans : dict
        (start, stop) of each slot, by (index of the layer, name of the slot).
    size : int
        P, the number of values of one member.
    n_decayed : int
        Number of values, at the start of a row, that are penalised and decayed: the weights.
    n_embedded : int
        Number of values at the end of a row: the embeddings of categories, which have a penalty of their own.
    """

    def __init__(self, layers: Sequence[Sequence[Slot]]):
        self.layers = layers
        weights: list[tuple[int, Slot]] = []
        biases: list[tuple[int, Slot]] = []
        others: list[tuple[int, Slot]] = []
        for index, slots in enumerate(layers):
            beside_weights = False
            for slot in slots:
                beside_weights |= slot.decay
            for slot in slots:
                (weights if slot.decay else biases if beside_weights else others).append((index, slot))
        self.spans: dict[tuple[int, str], tuple[int, int]] = {}
        self.size = self.n_decayed = 0
        for index, slot in weights[::-1] + biases + others:
            start, self.size = self.size, self.size + math.prod(slot.shape)
            self.spans[index, slot.name] = start, self.size
            if slot.decay:
                self.n_decayed = self.size
        self.n_embedded = sum([math.prod(slot.shape) for _, slot in others])
        # name, span and shape of each view, layer by layer
        self._views = [self._views_of(index, slots) for index, slots in enumerate(layers)]

    def _views_of(self, index: int, slots: Sequence[Slot]) -> list[tuple[str, int, int, tuple[int, ...]]]:
        shapes, views = {}, []
        for slot in slots:
            shapes[slot.name] = slot.shape
            views.append((slot.name, *self.spans[index, slot.name], slot.shape))
        if "W" in shapes and "b" in shapes and self.spans[index, "W"][1] == self.spans[index, "b"][0]:
            n_in, n_out = shapes["W"]
            views.append(("Wb", self.spans[index, "W"][0], self.spans[index, "b"][1], (n_in + 1, n_out)))
        return views

    def views(self, array: Array) -> list[SimpleNamespace]:
        """One namespace a layer, whose attributes are views `(K, *slot.shape)` into `array` (K, P).

        Where a layer's bias b lies next to its weights W, the namespace has a view of both too: Wb = [W; b].
        """
        namespaces = []
        for views in self._views:
            namespace = SimpleNamespace()
            for name, start, stop, shape in views:
                setattr(namespace, name, array[:, start:stop].reshape(len(array), *shape))
            namespaces.append(namespace)
        return namespaces

    def penalised(
        self, parameters: Array, gradient: Array, alpha: float, category_penalty: float
    ) -> list[tuple[float, Array, Array]]:
        """Strength of each L2 penalty that is not zero, and views of the values it acts on and of their gradient."""
        blocks = [(alpha, slice(0, self.n_decayed)), (category_penalty, slice(self.size - self.n_embedded, self.size))]
        return [(strength, parameters[:, b], gradient[:, b]) for strength, b in blocks if strength and b.start < b.stop]

    def bounds(self) -> tuple[Array, Array] | None:
        """Lowest and highest values of the decayed block, two arrays (n_decayed,); None where there are no bounds."""
        bounded = [(i, slot) for i, slots in enumerate(self.layers) for slot in slots if slot.bounds is not None]
        if not bounded:
            return None
        low, high = np.full(self.n_decayed, -np.inf), np.full(self.n_decayed, np.inf)
        for index, slot in bounded:
            assert slot.bounds is not None
            start, stop = self.spans[index, slot.name]
            low[start:stop], high[start:stop] = (bound.ravel() for bound in slot.bounds)
        return low, high

    def project(self, parameters: Array) -> None:
        """Move each value (K, P) that is out of its bounds to the nearer one, in place."""
        if bounds := self.bounds():
            decayed = parameters[:, : self.n_decayed]
            np.clip(decayed, *bounds, out=decayed)

    def rates(self) -> Array | None:
        """Factor on the learning rate of each value, (P,); None where all factors are 1."""
        factors = np.ones(self.size)
        for index, slots in enumerate(self.layers):
            for slot in slots:
                start, stop = self.spans[index, slot.name]
                factors[start:stop] = np.broadcast_to(slot.rate, slot.shape).ravel()
        return None if np.all(factors == 1) else factors
