"""Monotone networks: raw scores that never fall as an input rises (or as it falls), by the signs of the weights.

Each input and each hidden unit has a direction: +1 if it rises with the constrained inputs, -1 if it falls with them, 0
if it does not depend on them.  A weight from an input of direction a to a unit of direction b has the sign a b; it is 0
where only b is 0, and free where a is 0.  With activations that never fall, each unit then has its direction, and all
outputs, of direction +1, are monotone in each constrained input, whatever the other inputs are.

A unit that falls and has a negative weight is the mirrored unit -f(-x) of Runje & Shankaranarayana 2023 ("Constrained
monotonic neural networks"): with units of both directions a network of convex activations is not bound to convex
functions.  Units of direction 0 have no constraint at all, and read the other inputs only.
"""

from collections.abc import Sequence

import numpy as np

from .activations import ACTIVATIONS, ActivationFunction, CustomActivation
from .tape import Array

__all__ = ["RATE_FACTOR", "SUBSTITUTE", "never_falling", "sign_bounds", "unit_directions"]

SUBSTITUTE = "elu"  # for activations that fall somewhere; found by benchmark, beside relu, softplus and tanh
RATE_FACTOR = 2.0  # on the learning rate of weights, which cannot cancel each other; found by benchmark


def never_falling(function: ActivationFunction | CustomActivation) -> ActivationFunction:
    """The function itself, or `SUBSTITUTE` for one that falls somewhere; ValueError for a user's, which may do so."""
    if isinstance(function, CustomActivation):
        raise ValueError("A network with monotone inputs needs activations by name: functions of a user may fall.")
    return ACTIVATIONS[SUBSTITUTE] if function.falls else function


def unit_directions(n_units: int, inputs: Sequence[int]) -> tuple[int, ...]:
    """Directions of the units of a hidden layer, from those of its inputs: empty if no input is constrained.

    Half of the units are free, unless all inputs are constrained; the others rise and fall in turn.

    Examples
    --------
    >>> unit_directions(6, [1, 0, -1])
    (0, 0, 0, 1, -1, 1)
    >>> unit_directions(3, [1, -1])
    (1, -1, 1)
    """
    if not any(inputs):
        return ()
    n_free = n_units // 2 if 0 in inputs else 0
    return (0,) * n_free + tuple(1 - 2 * (i % 2) for i in range(n_units - n_free))


def sign_bounds(inputs: Sequence[int], units: Sequence[int]) -> tuple[Array, Array]:
    """Bounds (low, high), each (n_in, n_out), of the weights between inputs and units of these directions.

    Examples
    --------
    >>> low, high = sign_bounds([1, 0], [0, 1, -1])
    >>> low
    array([[  0.,   0., -inf],
           [-inf, -inf, -inf]])
    >>> high
    array([[ 0., inf,  0.],
           [inf, inf, inf]])
    """
    sign = np.multiply.outer(np.asarray(inputs), np.asarray(units))
    is_free = np.broadcast_to(np.asarray(inputs)[:, None] == 0, sign.shape)
    return np.where(is_free | (sign < 0), -np.inf, 0.0), np.where(is_free | (sign > 0), np.inf, 0.0)
