"""Errors for names and values of other libraries say what they are called here."""

import inspect
import pickle
import re
from dataclasses import dataclass

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.estimators import hints
from skscratch.estimators.constraints import InvalidParameterError, declarations
from skscratch.estimators.hints import FIT_ARGUMENTS, NAMES, NUMBERS, VALUES
from tests.helpers.estimators import CLASSES, TINY, X, Y

PARAMETERS = {kind: set(declarations(cls)) for kind, cls in CLASSES.items()}
CARRIED_OVER = {  # what users of other libraries type, and the name that the error must tell them
    "n_estimators": "n_members",
    "cat_features": "categorical_features",
    "device": "CPU",
    "epochs": "max_iter",
    "num_leaves": "hidden_layer_sizes",
    "optimizer": "solver",
    "batch_norm": "normalisation",
    "lr": "learning_rate_init",
    "hidden_dim": "hidden_layer_sizes",
    "hidden_layers": "hidden_layer_sizes",
    "early_stopping_rounds": "n_iter_no_change",
    "patience": "n_iter_no_change",
    "n_epochs": "max_iter",
    "seed": "random_state",
    "metric": "scoring",
    "eval_set": "X_val",
    "sample_weight": "argument of fit",
    "y_val": "argument of fit",
    "hiden_layer_sizes": "Did you mean hidden_layer_sizes?",
}


@pytest.mark.parametrize(("name", "like"), CARRIED_OVER.items())
def test_the_constructor_and_set_params_name_the_like(kind, name, like):
    with pytest.raises(TypeError, match=rf"__init__\(\) got an unexpected keyword argument '{name}'\. ") as error:
        CLASSES[kind](**{name: 1})
    assert like in str(error.value)
    with pytest.raises(ValueError, match=f"Invalid parameter '{name}' for estimator") as error:
        CLASSES[kind]().set_params(**{name: 1})
    assert like in str(error.value)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_fit_names_the_like_before_it_does_anything(kind, method):
    model = CLASSES[kind](**TINY)
    for name, like in (
        ("eval_set", "X_val and y_val"),
        ("weights", "sample_weight"),
        ("sample_weigth", "Did you mean sample_weight"),
    ):
        with pytest.raises(TypeError, match=rf"{method}\(\) got an unexpected keyword argument '{name}'\..*{like}"):
            getattr(model, method)(X, Y[kind], **{name: 1})
    for name in ("epochs", "max_iter"):
        with pytest.raises(TypeError, match="max_iter.* constructor"):
            getattr(model, method)(X, Y[kind], **{name: 1})
    with pytest.raises(TypeError, match="unexpected keyword arguments 'a', 'lr'. learning_rate_init is"):
        getattr(model, method)(X, Y[kind], a=1, lr=1)
    assert not hasattr(model, "n_features_in_")


def test_a_name_without_a_like_is_an_ordinary_error(kind):
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'qqq'\.$"):
        CLASSES[kind](qqq=1)
    with pytest.raises(TypeError, match="positional arguments"):
        CLASSES[kind]((3,), 0.1)
    with pytest.raises(ValueError, match=r"\]\.$"):
        CLASSES[kind]().set_params(qqq=1)


def test_inside_of_other_estimators():
    pipeline = make_pipeline(StandardScaler(), ScratchMLPRegressor(**TINY))
    with pytest.raises(ValueError, match="max_iter is the number of epochs"):
        pipeline.set_params(scratchmlpregressor__epochs=3)
    search = GridSearchCV(pipeline, {"scratchmlpregressor__lr": [0.1]}, error_score="raise")
    with pytest.raises(ValueError, match="learning_rate_init is the learning rate"):
        search.fit(X, Y["regressor"])


@pytest.mark.parametrize(
    ("parameters", "hint"),
    [
        ({"learning_rate": 0.01}, "learning_rate_init=0.01, for learning_rate is the schedule"),
        ({"learning_rate": np.float64(0.5)}, "learning_rate_init="),
        ({"early_stopping": 10}, "early_stopping=True with n_iter_no_change=10"),
        ({"verbose": -1}, "verbose=False"),
        ({"activation": "sigmoid"}, "activation='logistic'"),
        ({"activation": "Swish"}, "activation='silu'"),
        ({"solver": "AdamW"}, "solver='adam' with weight_decay"),
        ({"loss": "mse"}, "loss='squared_error'"),
        ({"scoring": "auc"}, "scoring='roc_auc'"),
    ],
)
def test_values_of_other_libraries(kind, parameters, hint):
    with pytest.raises(InvalidParameterError, match=rf"instead\. Here it is {re.escape(hint)}.*\.$"):
        CLASSES[kind](**parameters).fit(X, Y[kind])


def test_other_values_get_no_hint(kind):
    for parameters in ({"learning_rate": "fast"}, {"solver": 3}, {"loss": None}, {"verbose": "yes"}):
        with pytest.raises(InvalidParameterError, match=r"instead\.$"):
            CLASSES[kind](**parameters).fit(X, Y[kind])


def test_the_constructor_keeps_its_signature(kind):
    cls = CLASSES[kind]
    parameters = inspect.signature(cls).parameters
    assert list(parameters) == list(inspect.signature(cls.__init__).parameters)[1:]
    assert set(parameters) == PARAMETERS[kind]
    assert all(p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) for p in parameters.values())
    assert list(inspect.signature(cls.fit).parameters)[1:] == ["X", "y", *FIT_ARGUMENTS]
    model = pickle.loads(pickle.dumps(clone(cls((3,), alpha=0.5))))
    assert model.get_params()["alpha"] == 0.5


def test_a_subclass_with_a_parameter_of_its_own():
    @dataclass(kw_only=True, eq=False, repr=False)
    class Mine(ScratchMLPClassifier):
        epochs: int = 3

    assert Mine(epochs=5).set_params(epochs=4).get_params()["epochs"] == 4

    class Wider(ScratchMLPRegressor):
        def __init__(self, *, lr=0.1):
            super().__init__(hidden_layer_sizes=(3,), max_iter=2, learning_rate_init=lr)
            self.lr = lr

    assert clone(Wider(lr=0.2).set_params(lr=0.3)).fit(X, Y["regressor"]).learning_rate_init == 0.3


def test_the_table_is_about_names_that_are_not_ours_and_tells_those_that_are():
    listed = [name for names, _ in hints._NAMES_BY_HINT for name in names.split()]
    assert sorted(listed) == sorted(NAMES)  # none twice
    shared, ours = set.intersection(*PARAMETERS.values()), set.union(*PARAMETERS.values())
    assert not shared & set(NAMES)
    known = ours | set(FIT_ARGUMENTS) | {"partial_fit", "set_callbacks", "temperature_"}
    for hint in NAMES.values():
        assert hint.endswith(".") and set(re.findall(r"\w+_\w*", hint)) - {"skscratch"} <= known, hint
    for name, likes in VALUES.items():
        for value, like in likes.items():
            for told, choice in re.findall(r"(\w+)='(\w+)'", like):
                holds = [d[told].constraint.holds(choice) for d in map(declarations, CLASSES.values())]
                assert any(holds), (name, like)
            assert not all(declarations(cls)[name].constraint.holds(value) for cls in CLASSES.values()), value
    assert set(NUMBERS) | set(VALUES) <= ours
