"""One BLAS thread while a network trains or predicts.

The matrices are small: on a busy machine a second thread makes their products many times slower, and results
would depend on how many threads a caller happens to allow.  The threads allowed train members of their own
instead.  The caller's own limit comes back afterwards.
"""

import os
from contextlib import contextmanager
from multiprocessing import current_process
from threading import Lock, current_thread, main_thread
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["allowed_threads", "one_blas_thread"]

_lock = Lock()
_users = 0
_controller: ThreadpoolController | None = None  # finding the libraries takes time: once
_limit: Any = None


def allowed_threads() -> int:
    """How many threads BLAS may use now: what a caller, or joblib in a worker, has left to this process.

    One in a thread or process that belongs to a pool, of joblib, Dask or others: its peers take the other cores.
    """
    global _controller
    if current_thread() is not main_thread() or current_process().daemon:
        return 1
    with _lock:
        _controller = _controller or ThreadpoolController()
        counts = [library.num_threads for library in _controller.lib_controllers if library.user_api == "blas"]
    return max(min(counts, default=os.cpu_count() or 1), 1)


@contextmanager
def one_blas_thread():
    """Hold BLAS to one thread; the limit is the process's, so the last of several users to leave lifts it."""
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
    """Let this thread set the limit, and after the last use any thread.

    threadpoolctl from 3.8 on obeys only the first thread that sets OpenBLAS's, and silently ignores all others.
    """
    for library in controller.lib_controllers if controller else ():
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread(force=True)
