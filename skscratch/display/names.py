"""Names in plots: those that the user passes, and how they fit."""

from typing import Any

__all__ = ["checked_names", "shortened"]

MAX_NAME_LENGTH = 24


def checked_names(parameter: str, given: Any, default: list[str]) -> list[str]:
    """Return the given names, or the default; raise ValueError for another number of names."""
    if given is None:
        return default
    if len(given) != len(default):
        raise ValueError(
            f"{parameter} has {len(given)} names, but there are {len(default)}: {', '.join(default[:6])}, ..."
        )
    return [str(name) for name in given]


def shortened(name: str) -> str:
    """Return a name on one line; a long name loses its middle, because names often differ at the end."""
    name = " ".join(name.split())
    half = MAX_NAME_LENGTH // 2
    if len(name) <= MAX_NAME_LENGTH:
        return name
    return f"{name[:half].rstrip()}…{name[half - MAX_NAME_LENGTH + 1 :].lstrip()}"
