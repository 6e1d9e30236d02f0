"""One BLAS thread while a network trains or predicts.

The matrices are small: on a busy machine a second thread makes their products many times slower, and results would
depend on the number of threads that the caller allows.  The allowed threads train different members instead.  The
caller's limit is restored afterwards.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import current_process
from threading import Lock, current_thread, main_thread
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

__all__ = ["allowed_threads", "one_blas_thread", "training_context"]

_lock = Lock()
_users = 0
_controller: ThreadpoolController | None = None  # made once, because finding the libraries takes time
_limit: Any = None


def allowed_threads() -> int:
    """Return the number of threads that BLAS may use now, as limited by the caller or by joblib in a worker.

    It is 1 in a thread or process that belongs to a pool (joblib, Dask, ...), whose peers use the other cores.
    """
    global _controller
    if current_thread() is not main_thread() or current_process().daemon:
        return 1
    with _lock:
        _controller = _controller or ThreadpoolController()
        counts = [library.num_threads for library in _controller.lib_controllers if library.user_api == "blas"]
    return max(min(counts, default=os.cpu_count() or 1), 1)


@contextmanager
def training_context() -> Iterator[None]:
    """Limit BLAS to one thread, ignore overflow, and keep NumPy's internal buffers small.

    NumPy makes buffers for broadcasting and mixed types in each call.  They are the only memory that a warm step
    allocates; an eighth of their default size is as fast.
    """
    with one_blas_thread(), np.errstate(all="ignore"):
        before = np.setbufsize(1024)
        try:
            yield
        finally:
            np.setbufsize(before)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread; the limit belongs to the process, so the last of several users to leave lifts it."""
    global _users, _controller, _limit
    with _lock:
        if _users == 0:
            _controller = _controller or ThreadpoolController()
            _take_control(_controller)
            _limit = _controller.limit(limits=1, user_api="blas")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _take_control(_controller)
                _limit.restore_original_limits()
                _take_control(_controller)


def _take_control(controller: ThreadpoolController | None) -> None:
    """Allow this thread to set the limit, and any thread after the last use.

    From version 3.8 on, threadpoolctl obeys only the first thread that sets OpenBLAS's limit and ignores all others.
    """
    for library in controller.lib_controllers if controller else ():
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)
