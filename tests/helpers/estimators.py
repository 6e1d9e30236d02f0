"""Small estimators and tables that the tests of the estimators share, and the test that a bad call changes nothing."""

import warnings

import numpy as np
import pandas as pd
import pytest

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.training import fit as training
from tests.helpers.plain import plain

CLASSES = {"classifier": ScratchMLPClassifier, "regressor": ScratchMLPRegressor}
TINY = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0}

X = np.random.RandomState(0).normal(size=(40, 3))
Y = {"classifier": (X[:, 0] > 0).astype(int), "regressor": X[:, 0] - 0.5 * X[:, 1]}
FRAME = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": np.tile(["u", "v"], 20)})


def make(kind, **options):
    """Return a plain network, tiny unless the options say otherwise."""
    return plain(CLASSES[kind], **{**TINY, **options})


def make_with_folds(kind, **options):
    """Return a tiny network of four members that hold out two folds."""
    return make(kind, **{"early_stopping": "folds", "n_members": 4, "n_folds": 2, **options})


def noisy(kind, n=80):
    """Return a table and a target that depends weakly on it."""
    rng = np.random.RandomState(1)
    table = rng.normal(size=(n, 5))
    y = table[:, 0] + 2 * rng.normal(size=n)
    return table, (y > 0).astype(int) if kind == "classifier" else y


def folds_of(model):
    """Return the fold of each training row, or None."""
    return model._state.split.folds


def assert_refused(model, *args, error=ValueError, match, method="fit", **kwargs):
    """Assert that a call raises before training and without a warning, and leaves the model as it was."""
    rows = FRAME if hasattr(model, "feature_names_in_") else X
    before = model.predict(rows) if hasattr(model, "n_features_in_") else None
    attributes = dict(vars(model))

    def never(*args, **kwargs):
        raise AssertionError("training began")

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        patch.setattr(training, "train", never)
        patch.setattr(training, "minimise", never)
        with pytest.raises(error, match=match):
            getattr(model, method)(*args, **kwargs)
    if before is None:
        assert not [name for name in vars(model) if name.endswith("_")]
    else:
        np.testing.assert_array_equal(model.predict(rows), before)
    assert vars(model).keys() == attributes.keys()
    assert all(vars(model)[name] is value for name, value in attributes.items())
