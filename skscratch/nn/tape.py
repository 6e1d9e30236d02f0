"""Tape: NumPy calls with fixed buffers, recorded once for a batch shape and run at every step."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "Tape"]

Array = NDArray[Any]


def _unary(function: Callable[..., Any]) -> Callable[..., None]:
    """Make the method of `Tape` that records ``function(x, out=out)``."""

    def record(tape: "Tape", x: Array, out: Array) -> None:
        tape.append(partial(function, x, out))

    return record


def _binary(function: Callable[..., Any], out_by_name: bool = False) -> Callable[..., None]:
    """Make the method of `Tape` that records ``function(a, b, out=out)``.

    NumPy takes `out` faster by position than by name; np.maximum and np.minimum accept it only by name.
    """

    def record(tape: "Tape", a: Any, b: Any, out: Array) -> None:
        if not isinstance(a, np.ndarray):
            a = np.array(a, b.dtype)
        elif not isinstance(b, np.ndarray):
            b = np.array(b, a.dtype)
        tape.append(partial(function, a, b, out=out) if out_by_name else partial(function, a, b, out))

    return record


class Tape(list[Callable[[], Any]]):
    """A list of calls without arguments; `run` makes them one after the other.

    ``tape.add(y, b, out=y)`` records ``np.add(y, b, out=y)``, and likewise each function in the list below.  `record`
    takes any other function that writes into a buffer, `append` any function without arguments, and ``+`` joins two
    tapes.

    Recording fixes the arguments, which halves the overhead of a NumPy call; on small batches that overhead is most of
    the time of a step.  A Python number becomes an array of the other argument's type, because NumPy would convert the
    number again at each call.

    Examples
    --------
    >>> x = np.array([1.0, 2.0])
    >>> tape = Tape()
    >>> tape.multiply(x, 10, out=x)  # x = 10 x
    >>> tape.add(x, 1, out=x)  # x = x + 1
    >>> tape.run()
    >>> x
    array([11., 21.])
    """

    abs = _unary(np.abs)
    exp = _unary(np.exp)
    expm1 = _unary(np.expm1)
    log = _unary(np.log)
    log1p = _unary(np.log1p)
    negative = _unary(np.negative)
    sign = _unary(np.sign)
    sqrt = _unary(np.sqrt)
    tanh = _unary(np.tanh)

    add = _binary(np.add)
    bitwise_and = _binary(np.bitwise_and)
    divide = _binary(np.divide)
    equal = _binary(np.equal)
    greater = _binary(np.greater)
    less = _binary(np.less)
    logaddexp = _binary(np.logaddexp)
    maximum = _binary(np.maximum, out_by_name=True)
    minimum = _binary(np.minimum, out_by_name=True)
    multiply = _binary(np.multiply)
    right_shift = _binary(np.right_shift)
    subtract = _binary(np.subtract)

    def record(self, function: Callable[..., Any], *arguments: Any, out: Array) -> None:
        """Record ``function(*arguments, out)``: a function of SciPy, or any that takes its output buffer last."""
        self.append(partial(function, *arguments, out))

    def copyto(self, out: Array, values: Any, where: Array | None = None) -> None:
        """Record ``out = values``, everywhere or only where the mask `where` is set."""
        if not isinstance(values, np.ndarray):
            values = np.array(values, out.dtype)
        self.append(partial(np.copyto, out, values) if where is None else partial(np.copyto, out, values, where=where))

    def cumsum(self, x: Array, axis: int, out: Array) -> None:
        """Record the cumulative sums along `axis`."""
        self.append(partial(np.cumsum, x, axis, None, out))

    def max(self, x: Array, axis: int, out: Array) -> None:
        """Record the maximum over `axis`, which `out` keeps with length one."""
        self.append(partial(np.maximum.reduce, x, axis, None, out, True))

    def sum(self, x: Array, axis: int, out: Array) -> None:
        """Record the sum over `axis`, which `out` keeps with length one."""
        self.append(partial(np.add.reduce, x, axis, None, out, True))

    def matmul(self, a: Array, b: Array, out: Array) -> None:
        """Record ``out = a @ b`` for stacks of matrices (1 or K, n, m), by NumPy's fastest function for the shapes.

        np.dot has half the overhead of np.matmul but takes single, contiguous matrices only.  For outer products (a
        column times a row) of several members, np.einsum takes a fifth of the time of np.matmul.
        """
        if len(out) == 1 and out.flags.c_contiguous and a[0].flags.forc and b[0].flags.forc:
            self.append(partial(np.dot, a[0], b[0], out[0]))
        elif b.shape[-2] == 1:
            self.append(partial(np.einsum, "knx,kxm->knm", a, b, out=out))
        else:
            self.append(partial(np.matmul, a, b, out))

    def sum_rows(self, x: Array, out: Array) -> None:
        """Record the sum of x (K, n, m) over its rows, out (K, 1, m).

        The sum is a product with ones, which takes a third of the time of np.add.reduce.
        """
        self.matmul(np.ones((1, 1, x.shape[1]), x.dtype), x, out)

    def sum_columns(self, x: Array, out: Array) -> None:
        """Record the sum of x (K, n, m) over its columns, out (K, n, 1), as a product with ones like `sum_rows`."""
        self.matmul(x, np.ones((1, x.shape[2], 1), x.dtype), out)

    def __add__(self, other: list[Callable[[], Any]]) -> "Tape":  # type: ignore[override]
        return Tape([*self, *other])

    def run(self) -> None:
        """Make all calls, first to last."""
        for call in self:
            call()
