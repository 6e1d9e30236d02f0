"""Answering: how an actor returns the errors of its methods, apart from the errors of the connection to it.

An error that reaches Dask from an actor can look like a lost worker (OSError), never end a wait (TimeoutError), or end
the worker's process (KeyboardInterrupt, SystemExit).  `answer` therefore returns errors instead of raising them.
"""

from typing import Any

from distributed.protocol.pickle import dumps, loads

__all__ = ["Answering"]


class Answering:
    """Base class of an actor that is called by `answer` alone."""

    def answer(self, method: str, *args: Any) -> tuple[Exception | None, Any]:
        """Call a method; return None and its result, or the error that it raised and None."""
        try:
            return None, getattr(self, method)(*args)
        except BaseException as error:
            return _transferable(error), None


def _transferable(error: BaseException) -> Exception:
    """Return the error itself, or one that names it if it is none of an ordinary program or cannot be pickled."""
    if not isinstance(error, Exception):
        return RuntimeError(f"A computation on a worker raised {_described(error)}")
    try:
        loads(dumps(error))
    except Exception:
        return RuntimeError(f"A computation on a worker raised {_described(error)}")
    return error


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else f"{type(error).__name__}."
