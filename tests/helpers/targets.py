"""One table with targets of each kind, and small estimators for them."""

import numpy as np
from sklearn.base import clone

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from tests.helpers.plain import plain

X = np.random.RandomState(0).normal(size=(60, 3))
TWO = (X[:, 0] > 0).astype(int)
THREE = np.digitize(X[:, 0], [-0.5, 0.5])
LABELS = np.c_[X[:, 0] > 0, X[:, 1] > 0, X[:, 2] > 0.5].astype(int)
NUMBERS = X[:, 0] - 0.5 * X[:, 1]
KINDS = {"numbers": NUMBERS, "two": TWO, "three": THREE, "labels": LABELS}

TINY = {"hidden_layer_sizes": (6,), "max_iter": 4, "random_state": 0}
GOOD = {"hidden_layer_sizes": (10,), "max_iter": 80, "learning_rate_init": 0.05, "weight_decay": 0.0, "random_state": 0}
FOLDS = {"early_stopping": "folds", "n_members": 3, "n_folds": 3, "refit": 0.0}


def classifier(**options):
    """Return a plain classifier, tiny unless the options say otherwise."""
    return plain(ScratchMLPClassifier, **{**TINY, **options})


def regressor(**options):
    """Return a plain regressor, tiny unless the options say otherwise."""
    return plain(ScratchMLPRegressor, **{**TINY, **options})


def estimator_for(y, **options):
    """Return a regressor for numbers, and a classifier for everything else."""
    return (regressor if y is NUMBERS or y.dtype.kind == "f" else classifier)(**options)


def single_member(model, k, y):
    """Return member k as a single network, after one step that is too small to see."""
    init = ([w[k] for w in model.coefs_], [b[k] for b in model.intercepts_])
    return clone(model).set_params(n_members=1, init=init, max_iter=1, learning_rate_init=1e-14).fit(X, y)
