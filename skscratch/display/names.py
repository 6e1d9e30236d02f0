"""Names of features in plots: where they come from, and how they fit."""

from typing import Any

__all__ = ["checked_names", "names_of_features", "shortened"]

MAX_NAME_LENGTH = 24


def names_of_features(chain: list[Any]) -> list[str]:
    """Return the names of the network's features in `fit`, or in the output of the steps of pipelines before it."""
    model = chain[-1]
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        try:
            for outer, inner in zip(chain[:-1], chain[1:], strict=True):
                steps = [step for _, step in getattr(outer, "steps", [])]
                n_before = next((i for i, step in enumerate(steps) if step is inner), 0)
                if n_before:
                    names = outer[:n_before].get_feature_names_out(names)
        except (AttributeError, ValueError):  # a step has no names of its output
            names = None
    if names is None or len(names) != model.n_features_in_:
        names = [f"x{j}" for j in range(model.n_features_in_)]
    return [str(name) for name in names]


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
