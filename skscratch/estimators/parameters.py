"""The hyper-parameters that both estimators share: default and rule of each, written once.

A rule derives from the table that implements the choices; `rules.check` holds an estimator against them.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from ..nn.activations import ACTIVATIONS
from ..nn.initializers import INITIALIZERS
from ..nn.links import LINKS
from ..training.schedules import SCHEDULES
from . import constraints as rules

__all__ = ["HyperParameters", "class_weight_rule", "hyper", "is_pair", "levels_rule"]


def hyper(default: Any, rule: rules.Rule) -> Any:
    """A dataclass field that is a hyper-parameter."""
    return field(default=default, metadata={"rule": rule})


def is_pair(value: Any) -> bool:
    """Whether `value` is a user's activation, (function, derivative)."""
    return isinstance(value, tuple) and len(value) == 2 and callable(value[0]) and callable(value[1])


def _is_function(value: Any) -> bool:
    return (isinstance(value, str) and value in ACTIVATIONS) or is_pair(value)


_activation = rules.either(
    rules.choice(ACTIVATIONS),
    rules.special("a pair of callables (function, derivative)", is_pair),
    rules.special(
        "a list of these, one for each hidden layer",
        lambda v: isinstance(v, list | tuple) and not is_pair(v) and all(map(_is_function, v)),
    ),
)
_sizes = rules.special(
    "an int in the range [1, inf) or an array-like of such, hidden_layer_sizes > 0",
    lambda v: rules.integer().holds(v) or (not isinstance(v, str) and all(map(rules.integer().holds, v))),
)
_init = rules.either(
    rules.choice(["data", "auto", *INITIALIZERS]),
    rules.special(
        "a pair (coefs, intercepts) of lists of arrays",
        lambda v: isinstance(v, tuple | list) and len(v) == 2 and all(isinstance(a, tuple | list) for a in v),
    ),
)
_dtype = rules.special(
    "'auto', 'float32' or 'float64'", lambda v: v is not None and (v == "auto" or np.dtype(v).str[1:] in ("f4", "f8"))
)
_random_state = rules.special(
    "None, an int in the range [0, 4294967295] or an instance of 'numpy.random.mtrand.RandomState'",
    lambda v: not isinstance(v, bool) and check_random_state(v) is not None,
)
_scoring = rules.either(
    rules.nothing, rules.function, rules.special("'loss' or the name of a scorer", lambda v: v in _scorer_names())
)
_categorical = rules.either(
    rules.nothing,
    rules.special("'from_dtype'", lambda v: isinstance(v, str) and v == "from_dtype"),
    rules.special(
        "an array-like of column numbers, of column names or of bools",
        lambda v: (
            not isinstance(v, str) and np.ndim(v) == 1 and (np.size(v) == 0 or np.asarray(v).dtype.kind in "biuUO")
        ),
    ),
)
levels_rule = rules.either(
    rules.real(0, 1, "neither"),
    rules.special(
        "an increasing array-like of such",
        lambda v: np.ndim(v) == 1 and np.size(v) > 0 and bool(np.all(np.diff([0, *v, 1]) > 0)),
    ),
)
class_weight_rule = rules.either(
    rules.nothing,
    rules.special("'balanced'", lambda v: isinstance(v, str) and v == "balanced"),
    rules.special(
        "a dict of non-negative weights, or a list of such",
        lambda v: (
            v != []
            and all(
                isinstance(d, dict) and all(rules.real(0).holds(w) and np.isfinite(w) for w in d.values())
                for d in (v if isinstance(v, list) else [v])
            )
        ),
    ),
)


def _scorer_names() -> list[str]:
    from sklearn.metrics import get_scorer_names

    return ["loss", *get_scorer_names()]


@dataclass(kw_only=True, eq=False, repr=False)
class HyperParameters(BaseEstimator):
    """What both estimators are constructed with; `documentation` says what each means."""

    # network
    hidden_layer_sizes: Any = field(default=(64, 64), kw_only=False, metadata={"rule": _sizes})
    activation: Any = hyper("silu", _activation)
    out_activation: str = hyper("auto", rules.choice(["auto", *LINKS]))
    fit_intercept: bool = hyper(True, rules.boolean)
    init: Any = hyper("data", _init)
    parametrization: str = hyper("ntk", rules.choice(["ntk", "standard"]))
    # ensemble
    n_members: int = hyper(5, rules.integer())
    n_folds: int = hyper(5, rules.integer(2))
    calibrate: bool = hyper(True, rules.boolean)
    # optimisation
    solver: str = hyper("adam", rules.choice(["adam", "sgd", "lbfgs"]))
    learning_rate: Any = hyper("multi_cosine", rules.either(rules.choice(SCHEDULES), rules.function))
    learning_rate_init: Any = hyper("auto", rules.either(rules.choice(["auto"]), rules.real(0, closed="neither")))
    warmup: float = hyper(0.0, rules.real(0, 1, "both"))
    batch_size: Any = hyper("auto", rules.either(rules.choice(["auto"]), rules.integer()))
    shuffle: bool = hyper(True, rules.boolean)
    beta_1: float = hyper(0.9, rules.real(0, 1))
    beta_2: float = hyper(0.95, rules.real(0, 1))
    epsilon: float = hyper(1e-8, rules.real(0, closed="neither"))
    momentum: float = hyper(0.9, rules.real(0, 1, "both"))
    nesterovs_momentum: bool = hyper(True, rules.boolean)
    power_t: float = hyper(0.5, rules.real(0))
    max_fun: int = hyper(15000, rules.integer())
    # regularisation
    alpha: float = hyper(0.0, rules.real(0))
    weight_decay: float = hyper(0.0, rules.real(0))
    dropout: float = hyper(0.0, rules.real(0, 1))
    clip_norm: float | None = hyper(None, rules.either(rules.nothing, rules.real(0, closed="neither")))
    # stopping
    max_iter: int = hyper(60, rules.integer())
    tol: float = hyper(1e-4, rules.real(0))
    n_iter_no_change: float = hyper(
        10, rules.either(rules.integer(), rules.special("inf", lambda v: isinstance(v, float) and v == np.inf))
    )
    early_stopping: Any = hyper("folds", rules.either(rules.choice(["folds"]), rules.boolean))
    refit: float = hyper(0.2, rules.real(0))
    validation_fraction: float = hyper(0.1, rules.real(0, 1))
    scoring: Any = hyper("loss", _scoring)
    restore_best_weights: bool = hyper(True, rules.boolean)
    # table
    categorical_features: Any = hyper("from_dtype", _categorical)
    scale_features: bool = hyper(True, rules.boolean)
    numeric_embedding: Any = hyper("bins", rules.either(rules.nothing, rules.choice(["bins"])))
    n_bins: Any = hyper("auto", rules.either(rules.choice(["auto"]), rules.integer(2)))
    # running
    dtype: Any = hyper("auto", _dtype)
    n_jobs: Any = hyper(None, rules.either(rules.nothing, rules.integer()))
    random_state: Any = hyper(None, _random_state)
    warm_start: bool = hyper(False, rules.boolean)
    verbose: Any = hyper(False, rules.either(rules.boolean, rules.integer(0)))
