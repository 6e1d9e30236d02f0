"""Search spaces: distributions of hyper-parameters for RandomizedSearchCV, HalvingRandomSearchCV and OptunaSearchCV."""

import warnings
from typing import Any

from scipy.stats import loguniform

from .estimators.base import ScratchMLP
from .inspection import networks_in_parameters

__all__ = ["search_space"]

LIBRARIES = ("scikit-learn", "optuna")


def search_space(estimator: Any, library: str = "scikit-learn") -> dict[str, Any]:
    """Return distributions of the hyper-parameters that are worth a search.

    The distributions stay close to the defaults: networks of half to twice the width or with one more layer, little to
    moderate dropout, and twice the number of members. Few samples are therefore much worse than the defaults.

    Parameters
    ----------
    estimator : estimator
        A ScratchMLPClassifier or ScratchMLPRegressor, fitted or not; or an estimator with one among its parameters: a
        Pipeline, a TransformedTargetRegressor, a CalibratedClassifierCV, ...
    library : {'scikit-learn', 'optuna'}, default='scikit-learn'
        Type of the distributions: lists and frozen distributions of scipy.stats, for RandomizedSearchCV and
        HalvingRandomSearchCV; or distributions of Optuna, for OptunaSearchCV, which the extra ``tune`` installs. The
        latter contain layer sizes as lists; Optuna may warn that its databases are not made for lists, but they work.

    Returns
    -------
    space : dict of str to distribution
        Distributions by name of the parameter, as `estimator.set_params` takes it, such as
        ``scratchmlpclassifier__hidden_layer_sizes``. Each call returns a new dictionary, which you can change.

    Raises
    ------
    ValueError
        If `estimator` contains no such network or several, or if `library` is none of the above.
    ImportError
        If `library` is 'optuna' and Optuna is not installed.

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
    prefix, network = _only_network(estimator)
    space = {prefix + name: distribution for name, distribution in _space(network).items()}
    return _for_optuna(space) if library == "optuna" else space


def _only_network(estimator: Any) -> tuple[str, ScratchMLP]:
    """Return the prefix of the names of the network's parameters, and the network."""
    networks = networks_in_parameters(estimator)
    if len(networks) == 1:
        [(name, network)] = networks.items()
        return f"{name}__" if name else "", network
    expected = "search_space takes a ScratchMLPClassifier or a ScratchMLPRegressor, or an estimator that holds one"
    if not networks:
        raise ValueError(f"{expected}. Got {estimator!r} instead, which holds none.")
    raise ValueError(
        f"{expected}, but this {type(estimator).__name__} holds several: {', '.join(networks)}. Call it for each, and "
        "put its name before the parameters: "
        f"{{f'{next(iter(networks))}__{{k}}': v for k, v in search_space(...).items()}}"
    )


def _space(network: ScratchMLP) -> dict[str, Any]:
    """Return the space of a network, by name of its parameter.

    The space results from experiments with each parameter on a dozen tables, with the default and with twice the number
    of members. Noisy tables need small networks, tables with little noise large networks with some dropout; twice the
    members are never worse. Other learning rates, batch sizes, numbers of bins, penalties and numbers of epochs were no
    better on average and much worse on some tables, so that the space leaves them out.
    """
    space: dict[str, Any] = {
        "hidden_layer_sizes": [(32, 32), (64, 64), (64, 64, 64), (128, 128)],
        "activation": ["silu", "relu"],
        "n_members": [10],
    }
    if network.solver == "lbfgs":  # L-BFGS does not support dropout
        return space | {"alpha": loguniform(1e-3, 1)}
    return space | {"dropout": loguniform(0.003, 0.1)}


def _for_optuna(space: dict[str, Any]) -> dict[str, Any]:
    """Convert the distributions to those of Optuna."""
    try:
        from optuna.distributions import CategoricalDistribution, FloatDistribution
    except ImportError as error:
        raise ImportError('library="optuna" needs Optuna: pip install "skscratch[tune]"') from error
    converted: dict[str, Any] = {}
    with warnings.catch_warnings():
        # Optuna prefers plain values to sequences; its storages preserve lists, but not tuples
        warnings.filterwarnings("ignore", "Choices for a categorical distribution", UserWarning)
        for name, values in space.items():
            if isinstance(values, list):
                plain: list[Any] = [list(value) if isinstance(value, tuple) else value for value in values]
                converted[name] = CategoricalDistribution(plain)
            else:
                low, high = map(float, values.support())
                converted[name] = FloatDistribution(low, high, log=True)
    return converted
