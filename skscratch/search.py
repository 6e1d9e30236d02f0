"""Distributions to search over: what to give to RandomizedSearchCV, HalvingRandomSearchCV or OptunaSearchCV."""

import warnings
from typing import Any

from scipy.stats import loguniform
from sklearn.base import BaseEstimator

from .estimators.base import ScratchMLP

__all__ = ["search_space"]

LIBRARIES = ("scikit-learn", "optuna")


def search_space(estimator: Any, library: str = "scikit-learn") -> dict[str, Any]:
    """Distributions of the parameters that are worth a search.

    They keep to the neighbourhood of the defaults: networks from half as wide to twice as wide, or a layer deeper, with
    little dropout or some, and twice the members. So few draws are much worse than the defaults, and cross-validation
    only has to tell the good from the better.

    Parameters
    ----------
    estimator : estimator
        A ScratchMLPClassifier or ScratchMLPRegressor, fitted or not; or whatever holds one of them among its
        parameters: a Pipeline, a TransformedTargetRegressor, a CalibratedClassifierCV.
    library : {'scikit-learn', 'optuna'}, default='scikit-learn'
        Whose distributions: lists and frozen distributions of scipy.stats, for RandomizedSearchCV and
        HalvingRandomSearchCV; or those of Optuna, for OptunaSearchCV, which the extra ``tune`` installs.  There
        sizes are lists: Optuna may warn that a database is meant for plainer values, but gives them back.

    Returns
    -------
    space : dict of str to distribution
        By the parameter's name as `estimator.set_params` takes it, such as
        ``scratchmlpclassifier__hidden_layer_sizes``.  It is yours to change: leave out, replace, add.

    Raises
    ------
    ValueError
        If `estimator` holds none of these networks, or several, or `library` is another.
    ImportError
        If Optuna is asked for and is not installed.

    Examples
    --------
    >>> from sklearn.model_selection import RandomizedSearchCV
    >>> from skscratch import ScratchMLPRegressor
    >>> from skscratch.search import search_space
    >>> model = ScratchMLPRegressor(random_state=0)
    >>> search = RandomizedSearchCV(model, search_space(model), n_iter=20, cv=3, random_state=0)
    """
    if library not in LIBRARIES:
        raise ValueError(f"library must be one of {', '.join(map(repr, LIBRARIES))}. Got {library!r} instead.")
    prefix, network = _the_network(estimator)
    space = {prefix + name: distribution for name, distribution in _space(network).items()}
    return _for_optuna(space) if library == "optuna" else space


def _the_network(estimator: Any) -> tuple[str, ScratchMLP]:
    """The one network of an estimator, and what stands before the names of its parameters."""
    if isinstance(estimator, ScratchMLP):
        return "", estimator
    parameters = estimator.get_params() if isinstance(estimator, BaseEstimator) else {}
    networks = {name: value for name, value in parameters.items() if isinstance(value, ScratchMLP)}
    if len(networks) == 1:
        [(name, network)] = networks.items()
        return f"{name}__", network
    asked = "search_space takes a ScratchMLPClassifier or a ScratchMLPRegressor, or an estimator that holds one"
    if not networks:
        raise ValueError(f"{asked}. Got {estimator!r} instead, which holds none.")
    raise ValueError(
        f"{asked}, but this {type(estimator).__name__} holds several: {', '.join(networks)}. Call it for each, and put "
        f"its name before the parameters: {{f'{next(iter(networks))}__{{k}}': v for k, v in search_space(...).items()}}"
    )


def _space(network: ScratchMLP) -> dict[str, Any]:
    """What is worth a search, found by trying each parameter on a dozen tables, with and without twice the members.

    Tables of much noise want small networks, those of little noise large ones with some dropout; twice the members are
    no worse on either. Beside these other rates, batches, bins, penalties and numbers of epochs were no better on
    average, and some much worse on some tables: they stay as they are.
    """
    space: dict[str, Any] = {
        "hidden_layer_sizes": [(32, 32), (64, 64), (64, 64, 64), (128, 128)],
        "activation": ["silu", "relu"],
        "n_members": [10],
    }
    if network.solver == "lbfgs":  # which has no single steps, hence no dropout
        return space | {"alpha": loguniform(1e-3, 1)}
    return space | {"dropout": loguniform(0.003, 0.1)}  # from next to none


def _for_optuna(space: dict[str, Any]) -> dict[str, Any]:
    """The same distributions as Optuna's."""
    try:
        from optuna.distributions import CategoricalDistribution, FloatDistribution
    except ImportError as error:
        raise ImportError('library="optuna" needs Optuna: pip install "skscratch[tune]"') from error
    converted: dict[str, Any] = {}
    with warnings.catch_warnings():
        # Optuna prefers plain values to sequences; lists, unlike tuples, come back from its storages as they were
        warnings.filterwarnings("ignore", "Choices for a categorical distribution", UserWarning)
        for name, values in space.items():
            if isinstance(values, list):
                plain: list[Any] = [list(value) if isinstance(value, tuple) else value for value in values]
                converted[name] = CategoricalDistribution(plain)
            else:
                low, high = map(float, values.support())
                converted[name] = FloatDistribution(low, high, log=True)
    return converted
