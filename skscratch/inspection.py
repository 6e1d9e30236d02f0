"""Find the network inside another estimator, such as a Pipeline or a search."""

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from .estimators.base import ScratchMLP

__all__ = ["find_network", "names_of_features", "networks_in_parameters", "unwrap"]

# the attributes of meta-estimators that contain the estimators that they fitted, or those that they were given
FITTED = ("best_estimator_", "estimator_", "regressor_", "estimators_", "final_estimator_", "calibrated_classifiers_")
GIVEN = ("steps", "estimator", "regressor", "estimators", "final_estimator")

Found = tuple[str, list[Any]]  # path of a network in Python's notation, and the estimators from the outermost to it


def find_network(estimator: Any) -> list[Any]:
    """Find the only fitted network in an estimator.

    Parameters
    ----------
    estimator : object
        A ScratchMLPClassifier or ScratchMLPRegressor, or an estimator that contains one at any depth: a Pipeline, a
        search, a TransformedTargetRegressor, a CalibratedClassifierCV and others that keep estimators under the same
        names. Lists, tuples and dictionaries of estimators are searched too.

    Returns
    -------
    chain : list of estimators
        The estimators from `estimator` to the network, which is the last.

    Raises
    ------
    TypeError
        If there is no network.
    NotFittedError
        If the network is not fitted.
    ValueError
        If there are several fitted networks.
    """
    found = _networks(estimator, "estimator", [])
    if not found:
        raise TypeError(
            f"There is no ScratchMLPClassifier or ScratchMLPRegressor in this {type(estimator).__name__}: pass one, or "
            "a Pipeline, a search or another estimator that contains one."
        )
    fitted = {id(chain[-1]): (path, chain) for path, chain in found if chain[-1].__sklearn_is_fitted__()}
    if not fitted:
        check_is_fitted(found[0][1][-1])  # raises NotFittedError
    if len(fitted) > 1:
        paths = [path for path, _ in fitted.values()]
        raise ValueError(
            f"This {type(estimator).__name__} holds {len(paths)} fitted networks; pass one of them: "
            f"{', '.join(paths[:3])}{', ...' if len(paths) > 3 else ''}."
        )
    [(_, chain)] = fitted.values()
    return chain


def _networks(thing: Any, path: str, chain: list[Any]) -> list[Found]:
    """Return every network in `thing`; estimators that it fitted hide those that it was constructed with."""
    if isinstance(thing, ScratchMLP):
        return [(path, [*chain, thing])]
    if isinstance(thing, dict):
        return [found for key, value in thing.items() for found in _networks(value, f"{path}[{key!r}]", chain)]
    if isinstance(thing, list | tuple):
        return [found for i, value in enumerate(thing) for found in _networks(value, f"{path}[{i}]", chain)]
    # a FrozenEstimator forwards `getattr` to the estimator that it contains
    attributes = getattr(thing, "__dict__", {})
    for names in (FITTED, GIVEN):
        parts = [(name, attributes[name]) for name in names if name in attributes]
        if found := [one for name, part in parts for one in _networks(part, f"{path}.{name}", [*chain, thing])]:
            return found
    return []


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


def networks_in_parameters(estimator: Any) -> dict[str, ScratchMLP]:
    """Find the networks among the parameters of an estimator, fitted or not.

    Parameters
    ----------
    estimator : object

    Returns
    -------
    networks : dict of str to ScratchMLP
        The networks by the name of the parameter, as `set_params` takes it; "" for `estimator` itself.
    """
    if isinstance(estimator, ScratchMLP):
        return {"": estimator}
    parameters = estimator.get_params() if isinstance(estimator, BaseEstimator) else {}
    return {name: value for name, value in parameters.items() if isinstance(value, ScratchMLP)}


def unwrap(estimator: Any) -> Any:
    """Return the estimator that makes the predictions of a fitted search or of a FrozenEstimator."""
    while isinstance(estimator, FrozenEstimator) or hasattr(estimator, "best_estimator_"):
        estimator = estimator.estimator if isinstance(estimator, FrozenEstimator) else estimator.best_estimator_
    return estimator
