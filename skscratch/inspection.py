"""Finding the network in an estimator that holds one: a Pipeline, a search, and the like."""

from collections.abc import Iterator
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from .estimators.base import ScratchMLP

__all__ = ["find"]

Held = tuple[str, tuple[Any, ...]]  # the place of a network in an estimator, and the chain of estimators down to it


def find(estimator: Any) -> list[Any]:
    """Look for the one fitted network in an estimator.

    Parameters
    ----------
    estimator : ScratchMLPClassifier, ScratchMLPRegressor, or an estimator that holds one
        A Pipeline, a search, a TransformedTargetRegressor, and so on, in one another as they may be.

    Returns
    -------
    chain : list of estimators
        From `estimator` down to the network.

    Raises
    ------
    TypeError
        If there is none.
    NotFittedError
        If it is not fitted.
    ValueError
        If there are several.
    """
    held = _networks(estimator, (), "", set())
    if not held:
        raise TypeError(
            f"There is no ScratchMLPClassifier or ScratchMLPRegressor in this {type(estimator).__name__}: pass one, or "
            "a Pipeline, a search or another estimator that holds one."
        )
    fitted = {id(chain[-1]): (place, chain) for place, chain in held if _is_fitted(chain)}
    if not fitted:
        check_is_fitted(held[0][1][-1])  # which tells the user so
    if len(fitted) > 1:
        places = [f"estimator{place}" for place, _ in fitted.values()]
        raise ValueError(
            f"This {type(estimator).__name__} holds {len(places)} fitted networks; pass one of them: "
            f"{', '.join(places[:3])}{', ...' if len(places) > 3 else ''}."
        )
    return list(*(chain for _, chain in fitted.values()))


def _is_fitted(chain: tuple[Any, ...]) -> bool:
    return bool(chain[-1].__sklearn_is_fitted__())


def _networks(thing: Any, above: tuple[Any, ...], place: str, seen: set[int]) -> list[Held]:
    """Place and chain of all networks in `thing`; of an estimator's parameters only where it fitted no copy of them."""
    if isinstance(thing, ScratchMLP):
        return [(place, (*above, thing))]
    if id(thing) in seen:
        return []
    seen.add(id(thing))
    if isinstance(thing, BaseEstimator) or hasattr(thing, "estimator"):
        attributes = getattr(thing, "__dict__", {})
        held: list[Held] = []
        for learned in (True, False):
            if not any(_is_fitted(chain) for _, chain in held):
                parts = {f".{name}": v for name, v in attributes.items() if name.endswith("_") == learned}
                held += [one for name, v in parts.items() for one in _networks(v, (*above, thing), place + name, seen)]
        return held
    return [one for name, v in _items(thing) for one in _networks(v, above, place + name, seen)]


def _items(thing: Any) -> Iterator[tuple[str, Any]]:
    """What a container holds, and how it is got at."""
    if isinstance(thing, dict):
        yield from ((f"[{key!r}]", value) for key, value in thing.items())
    elif isinstance(thing, list | tuple):
        yield from ((f"[{i}]", value) for i, value in enumerate(thing))
