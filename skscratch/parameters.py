"""All parameters of K networks in one array, with a named view for each layer's weights.

The array has shape (K, P): one row a member, and within it every weight that is penalised or decayed
first, the biases after them.  Because everything lives in one array, the optimizer's step, the best
epoch's copy, clipping, decay and L-BFGS are each one line on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np

__all__ = ["Layout", "Slot"]


@dataclass(frozen=True)
class Slot:
    """One named array of a layer."""

    name: str
    shape: tuple[int, ...]
    decay: bool = False  # weights are penalised and decayed, biases are not
    rate: float = 1.0  # factor on the learning rate of this array

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

    def __post_init__(self) -> None:
        spans, start = {}, 0
        for decay in (True, False):
            for index, slots in enumerate(self.layers):
                for slot in slots:
                    if slot.decay is decay:
                        spans[index, slot.name] = (start, start + slot.size)
                        start += slot.size
            if decay:
                object.__setattr__(self, "n_decayed", start)
        object.__setattr__(self, "spans", spans)
        object.__setattr__(self, "size", start)

    def views(self, array: np.ndarray) -> list[SimpleNamespace]:
        """One namespace a layer, whose attributes are views (K, *slot.shape) into `array` (K, P)."""
        return [
            SimpleNamespace(
                **{
                    slot.name: array[:, slice(*self.spans[index, slot.name])].reshape(len(array), *slot.shape)
                    for slot in slots
                }
            )
            for index, slots in enumerate(self.layers)
        ]

    def rates(self) -> np.ndarray | None:
        """Learning-rate factor of each value, (P,); None where all are 1."""
        factors = np.ones(self.size)
        for index, slots in enumerate(self.layers):
            for slot in slots:
                factors[slice(*self.spans[index, slot.name])] = slot.rate
        return None if np.all(factors == 1) else factors
