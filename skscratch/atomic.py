"""Atomic writes: a file is written beside the one that it replaces, and renamed when it is complete.

A process that is killed leaves its temporary file behind.  The next write of the same file removes it.
"""

import os
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["replace_file"]

fcntl: Any = None
with suppress(ImportError):  # Windows has no such locks, but refuses to remove an open file
    fcntl = import_module("fcntl")


def replace_file(path: str | os.PathLike[str], write: Callable[[BinaryIO], object]) -> None:
    """Replace a file by what `write` writes; an error, or the end of the process, leaves the file as it was.

    Several processes may write into one folder, also to the same path: the last one to finish wins.

    Parameters
    ----------
    path : str or path-like
        Missing folders are created.  The target of a symbolic link is replaced, not the link.
    write : callable
        Takes a binary file.  It is called again in the rare case that another process, which writes to the same path,
        removes the temporary file.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    while not _write_and_rename(path, write):
        pass


def _write_and_rename(path: Path, write: Callable[[BinaryIO], object]) -> bool:
    """Write a temporary file, flush it to the disk and rename it; return False if it has disappeared meanwhile."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            _lock(file)
            write(file)
            file.flush()
            os.fsync(file.fileno())
        with suppress(OSError):  # the file is new, or the file system has no permissions
            temporary.chmod(path.stat().st_mode & 0o7777)
        try:
            os.replace(temporary, path)
        except FileNotFoundError:
            return False
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return True


def _lock(file: BinaryIO) -> None:
    """Mark a file as in use; the system lifts the mark when the process ends, however it ends."""
    if fcntl is not None:
        with suppress(OSError):  # some network file systems have no locks: then no leftover is removed either
            fcntl.flock(file, fcntl.LOCK_EX)


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files of earlier writes of `path` that no process writes any more."""
    name = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{16}}\.tmp")
    for leftover in path.parent.iterdir():
        if not name.fullmatch(leftover.name):
            continue
        with suppress(OSError):  # in use, or already removed by another process
            if fcntl is None:
                leftover.unlink()
            else:
                with leftover.open("r+b") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    leftover.unlink()
