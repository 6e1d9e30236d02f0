"""One BLAS thread while a network trains or predicts.

The matrices are small: on a busy machine a second thread makes their products many times slower, and results would
depend on the number of threads that the caller allows.  The allowed threads train different members instead.  The
caller's limit is restored afterwards.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import current_process
from threading import RLock, current_thread, main_thread
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

__all__ = ["allowed_threads", "one_blas_thread", "training_context"]

_lock = RLock()
_controller: ThreadpoolController | None = None  # made once, because finding the libraries takes time


def allowed_threads() -> int:
    """Return the number of threads that BLAS may use now, as limited by the caller or by joblib in a worker.

    It is 1 in a thread or process that belongs to a pool (joblib, Dask, ...), whose peers use the other cores.
    """
    if current_thread() is not main_thread() or current_process().daemon:
        return 1
    counts = [library.num_threads for library in _blas_libraries()]
    return max(min(counts, default=os.cpu_count() or 1), 1)


@contextmanager
def training_context() -> Iterator[None]:
    """Limit BLAS to one thread, ignore overflow, and keep NumPy's internal buffers small.

    NumPy makes buffers for broadcasting and mixed types in each call.  They are the only memory that a warm step
    allocates; an eighth of their default size is as fast.
    """
    before = np.getbufsize()
    try:
        try:
            with one_blas_thread(), np.errstate(all="ignore"):
                np.setbufsize(1024)
                yield
        finally:
            np.setbufsize(before)
    finally:
        np.setbufsize(before)  # again, because an interrupt may come just before the first call


class one_blas_thread:
    """Limit BLAS to one thread; the limit belongs to the process, so the last of several users to leave lifts it.

    No interruption leaves the limit in force: leaving is complete or is repeated, by the deletion of this object at the
    latest.
    """

    _limit: "_Limit | None" = None  # the one that was entered; a forked process has another

    def __enter__(self) -> None:
        try:
            with _lock:
                self._limit = _limit
                self._limit.users.add(id(self))
                self._limit.impose()
        except BaseException:
            self._leave()
            raise

    def __exit__(self, *exception: Any) -> None:
        try:
            self._leave()
        except BaseException:
            self._leave()
            raise

    def __del__(self) -> None:
        if self._limit is not None:
            self._leave()

    def _leave(self) -> None:
        """Lift the limit if it has no other user; also where this one has entered or left only in part."""
        with _lock:
            if self._limit is not None:
                if self._limit.users <= {id(self)}:
                    self._limit.lift()
                self._limit.users.discard(id(self))
                self._limit = None


class _Limit:
    """The limit to one thread: who needs it, and the numbers of threads before it."""

    def __init__(self) -> None:
        self.users: set[int] = set()
        self.before: list[tuple[Any, int]] = []  # (library, number of threads)
        self.is_complete = False  # whether all libraries are limited

    def impose(self) -> None:
        """Limit each library to one thread, unless the limit is in force already."""
        if not self.is_complete:
            self.before = self.before or [(library, library.num_threads) for library in _blas_libraries()]
            _set_threads([(library, 1) for library, _ in self.before])
            self.is_complete = True

    def lift(self) -> None:
        """Restore the numbers of threads before the limit."""
        self.is_complete = False
        _set_threads(self.before)
        for library, _ in self.before:
            _release_control(library)
        self.before = []


_limit = _Limit()  # of this process


def _blas_libraries() -> list[Any]:
    """Return threadpoolctl's controllers of the BLAS libraries."""
    global _controller
    _controller = _controller or ThreadpoolController()
    return [library for library in _controller.lib_controllers if library.user_api == "blas"]


def _set_threads(counts: list[tuple[Any, int]]) -> None:
    """Set the number of threads of each library, whichever thread calls this."""
    for library, count in counts:
        _release_control(library)
        library.set_num_threads(count)


def _release_control(library: Any) -> None:
    """Allow every thread to set the limit.

    From version 3.8 on, threadpoolctl obeys only the first thread that sets OpenBLAS's limit and ignores all others.
    """
    if hasattr(library, "clear_controlling_thread"):
        library.clear_controlling_thread(force=True)


# ------------------------------------------------------------------ forks


def _after_fork_in_child() -> None:
    """Lift the limit, whose users are in the parent, and begin without users."""
    global _limit
    limit, _limit = _limit, _Limit()
    try:
        limit.lift()
        limit.users.clear()
    finally:
        _lock.release()


if hasattr(os, "register_at_fork"):  # the lock is free in the child, whatever other threads were doing
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_after_fork_in_child)
