"""A pass as a list of calls: each function with its arguments, buffers included, fixed once and run at every step.

``call(np.add, y, b, y)`` is ``np.add(y, b, out=y)`` put off: the last argument of a NumPy function is the buffer that
it writes to (np.maximum and np.minimum want it by name, ``out=y``).  Fixing the arguments beforehand halves what NumPy
takes to begin, which is most of the time of a step on few rows.
"""

from collections.abc import Callable
from functools import partial as call
from typing import Any

import numpy as np

__all__ = ["Calls", "call", "product", "run", "scalar"]

Calls = list[Callable[[], Any]]


def run(calls: Calls) -> None:
    """Do them one after the other."""
    for do in calls:
        do()


def scalar(value: float, like: np.ndarray) -> np.ndarray:
    """A number as an array of the type of `like`: NumPy converts a Python number anew at each call."""
    return np.array(value, like.dtype)


def product(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> Callable[[], Any]:
    """The call that writes a @ b into `out`, for arrays (1 or K, n, m).

    NumPy's quickest for the shapes: np.dot, for lone matrices that lie side by side in memory, has half the overhead of
    np.matmul; a stack of columns times rows takes np.matmul three times as long as np.multiply.
    """
    dense = out.flags.c_contiguous and all(m.flags.c_contiguous or m.flags.f_contiguous for m in (a[0], b[0]))
    if dense and len(out) == 1:
        return call(np.dot, a[0], b[0], out[0])
    return call(np.multiply if b.shape[-2] == 1 else np.matmul, a, b, out)
