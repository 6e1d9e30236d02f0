"""Threads: tasks that run at the same time in threads of this process, and how a training step is divided among them.

NumPy releases the interpreter while it computes, so that threads use several cores on shared arrays.  Threads divide
the members of an ensemble, the micro-batches of a large batch, the folds of a validation and the rows of a prediction.
A task writes to arrays of its own, and results are added in the order of the tasks: the number of threads changes no
bit.
"""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, TypeVar

import numpy as np

__all__ = ["ONE_THREAD", "Threads", "divide_threads", "pays_to_divide"]

MIN_WORK = 10_000_000  # rows times parameters; with two threads, 5 million take 1.1 of the time of one, 13 million 0.87

T = TypeVar("T")


class Threads:
    """Threads that run tasks at the same time; the calling thread is one of them.

    A task may run tasks of its own in a `share` of the threads.

    Parameters
    ----------
    n : int
        Number of threads, the calling one included.

    Attributes
    ----------
    n : int
    """

    def __init__(self, n: int = 1):
        self.n = n
        self._pool = ThreadPoolExecutor(n - 1) if n > 1 else None

    def __enter__(self) -> "Threads":
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def share(self, n: int) -> "Threads":
        """Return `n` of these threads, the calling one included.  Shares in use must not add up to more threads."""
        share = Threads()
        share.n, share._pool = n, self._pool
        return share

    def run(self, tasks: Sequence[Callable[[], T]], on_error: Callable[[], None] = lambda: None) -> list[T]:
        """Run all tasks; return their results in the same order.

        If a task fails, or the user interrupts, then no further task begins, `on_error` is called, and the error is
        raised when no task runs any more.
        """
        n = min(self.n, len(tasks))
        if self._pool is None or n <= 1:
            return [task() for task in tasks]
        waiting, results = deque(range(n, len(tasks))), dict[int, T]()

        def work(i: int | None) -> None:  # beginning with task i
            while i is not None:
                results[i] = tasks[i]()
                i = _next(waiting)

        futures: list[Future[None]] = []
        try:
            for i in range(1, n):
                futures.append(self._pool.submit(_ignoring_overflow, partial(work, i)))
            work(0)
            for future in futures:
                future.result()
        except BaseException:
            waiting.clear()
            on_error()
            wait(futures)
            raise
        return [results[i] for i in range(len(tasks))]


ONE_THREAD = Threads()


def divide_threads(n_threads: int, n_members: int, n_micro_batches: int, work: int) -> tuple[int, int]:
    """Return among how many threads to divide the members, and how many micro-batches each of them computes at once.

    The time of a step is proportional to the largest number of members in a thread, times its rounds of micro-batches.
    Among equally fast divisions, the one with the fewest members in a thread has the fewest meetings of threads.

    Parameters
    ----------
    n_threads, n_members, n_micro_batches : int
    work : int
        Rows of a micro-batch times parameters of a member.
    """

    def n_at_once(n_parts: int) -> int:
        pays = pays_to_divide(-(-n_members // n_parts) * work)
        return min(n_threads // n_parts, n_micro_batches) if pays else 1

    def rounds(n_parts: int) -> tuple[int, int]:
        return -(-n_members // n_parts) * -(-n_micro_batches // n_at_once(n_parts)), -n_parts

    n_parts = min(range(1, min(n_threads, n_members) + 1), key=rounds)
    return n_parts, n_at_once(n_parts)


def pays_to_divide(work: int) -> bool:
    """Whether a micro-batch of this work, its rows times the parameters, takes longer than a meeting of threads."""
    return work >= MIN_WORK


def _next(waiting: deque[int]) -> int | None:
    """Remove and return the first entry; None if another thread has taken the last one."""
    try:
        return waiting.popleft()
    except IndexError:
        return None


def _ignoring_overflow(work: Callable[[], None]) -> None:
    """Work in a thread of the pool, which does not inherit how NumPy handles overflow."""
    with np.errstate(all="ignore"):
        work()
