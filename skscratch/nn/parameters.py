"""All parameters of K networks in one array, with a named view for each layer's weights.

The array has shape (K, P): one row a member, and within it every weight that is penalised or decayed
first, last layer to first, and after them the biases of these layers, first to last: so the first layer's bias lies
next to its weights.  Because everything lives in one array, the optimizer's step, the best epoch's copy, clipping,
decay and L-BFGS are each one line on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np

__all__ = ["Layout", "Slot"]


@dataclass(frozen=True)
class Slot:
    """One named array of a layer."""

    name: str
    shape: tuple[int, ...]
    decay: bool = False  # weights are penalised and decayed, biases are not
    rate: Any = 1.0  # factor on the learning rate of this array: a number, or an array that fits its shape

    @property
    def size(self) -> int:
        """Number of values of one member."""
        return int(np.prod(self.shape))


@dataclass(frozen=True)
class Layout:
    """Where each slot of each layer lies in a member's row of the array."""

    layers: Sequence[Sequence[Slot]]
    spans: dict[tuple[int, str], tuple[int, int]] = field(init=False)
    size: int = field(init=False)  # P: values of one member
    n_decayed: int = field(init=False)  # the first so many are decayed
    places: list[list[tuple[str, int, int, tuple[int, ...]]]] = field(init=False)  # name, span and shape of each view

    def __post_init__(self) -> None:
        numbered = [(index, slot, slots) for index, slots in enumerate(self.layers) for slot in slots]
        decayed = [(index, slot) for index, slot, _ in numbered if slot.decay][::-1]
        beside = [(i, slot) for i, slot, slots in numbered if not slot.decay and any(s.decay for s in slots)]
        others = [(i, slot) for i, slot, slots in numbered if not any(s.decay for s in slots)]
        spans, start = {}, 0
        for index, slot in decayed + beside + others:
            spans[index, slot.name] = (start, start + slot.size)
            start += slot.size
        object.__setattr__(self, "n_decayed", sum(slot.size for _, slot in decayed))
        object.__setattr__(self, "spans", spans)
        object.__setattr__(self, "size", start)
        places = []
        for index, slots in enumerate(self.layers):
            places.append([(slot.name, *spans[index, slot.name], slot.shape) for slot in slots])
            shapes = {slot.name: slot.shape for slot in slots}
            if {"W", "b"} <= set(shapes) and spans[index, "W"][1] == spans[index, "b"][0]:
                n_in, n_out = shapes["W"]
                places[-1].append(("Wb", spans[index, "W"][0], spans[index, "b"][1], (n_in + 1, n_out)))
        object.__setattr__(self, "places", places)

    def views(self, array: np.ndarray) -> list[SimpleNamespace]:
        """One namespace a layer, whose attributes are views (K, *slot.shape) into `array` (K, P).

        Where a layer's bias b lies next to its weights W there is a view of both too: Wb, of one row more.
        """
        n = len(array)
        return [
            SimpleNamespace(**{name: array[:, start:stop].reshape(n, *shape) for name, start, stop, shape in places})
            for places in self.places
        ]

    def rates(self) -> np.ndarray | None:
        """Learning-rate factor of each value, (P,); None where all are 1."""
        factors = np.ones(self.size)
        for index, slots in enumerate(self.layers):
            for slot in slots:
                factors[slice(*self.spans[index, slot.name])] = np.broadcast_to(slot.rate, slot.shape).ravel()
        return None if np.all(factors == 1) else factors
