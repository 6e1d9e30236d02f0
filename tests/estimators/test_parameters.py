"""Every hyper-parameter of both estimators: fit names wrong values and accepts the others."""

import inspect
import re
import sys
from typing import get_args

import numpy as np
import pytest
from sklearn.base import clone

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.estimators import classifier, constraints, regressor
from skscratch.estimators.constraints import InvalidParameterError, check, declarations, frozen
from skscratch.nn import activations, links, losses
from skscratch.nn.initializers import INITIALIZERS
from skscratch.training import schedules

CLASSES = {"classifier": ScratchMLPClassifier, "regressor": ScratchMLPRegressor}
X = np.random.RandomState(0).normal(size=(24, 2))
Y = {"classifier": np.arange(24) % 2, "regressor": X[:, 0].clip(-1, 1) * 0.4 + 0.5}  # within (0, 1): any output fits
TINY = {"hidden_layer_sizes": (3,), "n_members": 2, "max_iter": 2, "random_state": 0}

NOT_BOOL = [1, 0.0, "yes", None]
FRACTION_BELOW_ONE = [-0.1, 1, 1.0, np.nan, "0.1", None, True]  # [0, 1)
POSITIVE = [0, -1.0, np.inf, np.nan, "1", True, [1.0]]
NOT_NEGATIVE = [-1e-9, np.inf, np.nan, "0", None, False]
AT_LEAST_ONE = [0, -1, 1.5, 2.0, "3", None, True, [3]]

WRONG = {
    "hidden_layer_sizes": [
        0,
        -1,
        (0,),
        (5, -1),
        (2.5,),
        2.5,
        "100",
        None,
        True,
        [True],
        [[3]],
        ("a",),
        np.ones((2, 2)),
    ],
    "activation": ["sigmoid", "RELU", "", None, 1, np.tanh, (np.tanh,), (np.tanh, 1), ["relu", None], {"relu"}],
    "out_activation": ["relu", "sigmoid", None, 0, True, np.tanh],
    "fit_intercept": NOT_BOOL,
    "init": ["glorot", "zeros", None, 0, np.ones(3), ([],), ([], [], []), [1, 2]],
    "parametrization": ["NTK", "", None, True, 1],
    "n_members": AT_LEAST_ONE,
    "n_folds": [1, 0, -1, 2.5, 2.0, "5", None, True, [5]],
    "calibrate": NOT_BOOL,
    "solver": ["newton", "Adam", "", None, 1, ["adam"]],
    "learning_rate": ["linear", "", None, 0.1, 1, ["cosine"]],
    "learning_rate_init": [*POSITIVE, None, "Auto"],
    "warmup": [-0.1, 1.1, np.nan, "0.1", None, True],
    "batch_size": [0, -5, 2.5, "all", None, True, [10]],
    "shuffle": NOT_BOOL,
    "beta_1": FRACTION_BELOW_ONE,
    "beta_2": FRACTION_BELOW_ONE,
    "epsilon": [*POSITIVE, None],
    "momentum": [-0.1, 1.1, np.nan, "0.9", None, True],
    "nesterovs_momentum": NOT_BOOL,
    "power_t": NOT_NEGATIVE,
    "max_fun": AT_LEAST_ONE,
    "alpha": NOT_NEGATIVE,
    "category_penalty": [*NOT_NEGATIVE, "none"],
    "weight_decay": NOT_NEGATIVE,
    "dropout": FRACTION_BELOW_ONE,
    "clip_norm": POSITIVE,
    "max_iter": AT_LEAST_ONE,
    "max_time": [0, -1, np.nan, "1", True],
    "tol": NOT_NEGATIVE,
    "n_iter_no_change": [0, -1, 2.5, -np.inf, np.nan, "inf", None, True],
    "early_stopping": [*NOT_BOOL, "auto", "fold"],
    "refit": NOT_NEGATIVE,
    "validation_fraction": FRACTION_BELOW_ONE,
    "scoring": ["acc", "", 1, True, ["accuracy"], ("accuracy",)],
    "restore_best_weights": NOT_BOOL,
    "categorical_features": ["auto", 0, True, [[0]], [0.5], {"a": 1}],
    "scale_features": NOT_BOOL,
    "numeric_embedding": ["mixed", "", True, False, 8, ["bins"]],
    "n_bins": [1, 0, -1, 2.5, 8.0, "all", None, True, [8]],
    "monotonic_cst": [1, 0.5, "up", True],
    "n_jobs": [0, 1.5, 2.0, "2", True, [1]],
    "dtype": ["float16", "int64", "single precision", None, np.int32, 32, True],
    "random_state": [-1, 2**32, 0.5, "0", True, np.random.default_rng(0), [[-1]]],
    "warm_start": NOT_BOOL,
    "verbose": [-1, 0.5, "yes", None],
}
WRONG_FOR = {
    "classifier": {
        "loss": ["poisson", "mse", "", None, 1, ["log_loss"]],
        "class_weight": ["auto", 1, 0.5, {0: -1.0}, {0: np.nan}, {0: np.inf}, {0: "a"}, [1.0], [{0: -1}], []],
        "label_smoothing": FRACTION_BELOW_ONE,
    },
    "regressor": {
        "loss": ["log_loss", "mse", "", None, 1, ["huber"]],
        "quantile": [
            0,
            1,
            -0.1,
            1.5,
            np.nan,
            "0.5",
            None,
            True,
            [],
            [0.5, 0.1],
            [0.5, 0.5],
            [0.0, 0.5],
            [[0.1]],
            ["a"],
        ],
        "huber_delta": [*POSITIVE, None],
        "scale_target": NOT_BOOL,
        "clip_target": NOT_BOOL,
    },
}

ACTIVATIONS = "identity logistic tanh relu leaky_relu elu selu gelu silu mish softplus".split()
SCHEDULES = "constant invscaling adaptive cosine one_cycle multi_cosine".split()
INITS = "data auto glorot_uniform glorot_normal he_uniform he_normal lecun_normal".split()
ARRAYS = ([np.ones((2, 3)), np.ones((3, 1))], [np.zeros(3), np.zeros(1)])


def cosine(u):
    return 1 - u


def half_square(t, z):
    return 0.5 * ((z - t) ** 2).sum(axis=1), z - t


RIGHT = {
    "hidden_layer_sizes": [3, np.int64(3), (3,), [3, 2], (), [], np.array([3, 2])],
    "activation": [*ACTIVATIONS, (np.sin, np.cos), ["relu"], [(np.sin, np.cos)], ("tanh",)],
    "fit_intercept": [True, False, np.True_],
    "init": [*INITS, ARRAYS],
    "parametrization": ["ntk", "standard"],
    "n_members": [1, 2],
    "n_folds": [2, 7, np.int64(5)],
    "calibrate": [True, False],
    "solver": ["adam", "sgd", "lbfgs"],
    "learning_rate": [*SCHEDULES, cosine],
    "learning_rate_init": ["auto", 1e-6, 1, np.float32(0.1)],
    "warmup": [0, 0.5, 1.0],
    "batch_size": ["auto", 1, 1000],
    "shuffle": [True, False],
    "beta_1": [0, 0.5],
    "beta_2": [0, 0.5],
    "epsilon": [1e-12, 1],
    "momentum": [0, 0.5, 1],
    "nesterovs_momentum": [True, False],
    "power_t": [0, 2.5],
    "max_fun": [1, 100],
    "alpha": [0, 10.0],
    "category_penalty": ["auto", 0, 100.0],
    "weight_decay": [0, 0.5],
    "dropout": [0, 0.5],
    "clip_norm": [None, 0.1, 5],
    "max_iter": [1, 3],
    "max_time": [None, 1e-3, 10, np.float32(5)],
    "tol": [0, 1.0],
    "n_iter_no_change": [1, np.inf, float("inf")],
    "early_stopping": [True, False, "folds"],
    "refit": [0, 0.5, 3],
    "validation_fraction": [0, 0.5],
    "restore_best_weights": [True, False],
    "categorical_features": ["from_dtype", None, [0], [True, False], [], np.array([-1])],
    "scale_features": [True, False],
    "numeric_embedding": ["bins", None],
    "n_bins": ["auto", 2, 1000],
    "monotonic_cst": [None, [1, -1], (0, 0), np.array([1, 0], dtype=np.int8), [True, False]],
    "n_jobs": [None, 1, 2, 100, -1, -2, -100],
    "dtype": ["auto", "float32", "float64", np.float32, np.dtype("float64"), float],
    "random_state": [None, 0, 2**32 - 1, np.int64(5), np.random.RandomState(0)],
    "warm_start": [True, False],
    "verbose": [False, 0],
}
RIGHT_FOR = {
    "classifier": {
        "loss": ["log_loss", "squared_error", half_square],
        "out_activation": ["auto", "logistic"],
        "class_weight": [None, "balanced", {0: 1, 1: 2.5}, {1: 3}],
        "label_smoothing": [0, 0.5],
        "scoring": ["loss", None, "accuracy", "neg_log_loss", lambda estimator, X, y: 0.5],
    },
    "regressor": {
        "loss": ["squared_error", "absolute_error", "huber", "poisson", "gamma", "quantile", half_square],
        "out_activation": ["auto", "identity", "logistic", "tanh", "softplus", "exp"],
        "quantile": [0.1, [0.5], (0.1, 0.9), np.array([0.1, 0.5, 0.9])],
        "huber_delta": [0.1, 5],
        "scale_target": [True, False],
        "clip_target": [True, False],
        "scoring": ["loss", None, "r2", "neg_mean_absolute_error", lambda estimator, X, y: 0.5],
    },
}


def cases(shared, own):
    for kind in CLASSES:
        for name, values in {**shared, **own[kind]}.items():
            for value in values:
                label = re.sub(r" at 0x\w+", "", repr(value)).replace("\n", "")
                yield pytest.param(kind, name, value, id=f"{kind}-{name}-{label}")


@pytest.mark.parametrize("kind", CLASSES)
def test_the_tables_above_cover_every_parameter(kind):
    names = set(CLASSES[kind]().get_params())
    assert {*WRONG, *WRONG_FOR[kind]} == names
    assert {*RIGHT, *RIGHT_FOR[kind]} == names


@pytest.mark.parametrize(("kind", "name", "value"), list(cases(WRONG, WRONG_FOR)))
def test_wrong_value_is_named_at_fit_and_not_before(kind, name, value):
    estimator = CLASSES[kind](**{name: value})
    estimator = CLASSES[kind]().set_params(**{name: value})
    with pytest.raises(InvalidParameterError) as error:
        estimator.fit(X, Y[kind])
    pattern = rf"The '{name}' parameter of {CLASSES[kind].__name__} must be .+\. Got .* instead\.( Here it is .+\.)?"
    assert re.fullmatch(pattern, str(error.value), re.DOTALL)
    assert f"Got {value!r} instead." in str(error.value)
    assert not hasattr(estimator, "n_features_in_")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("kind", "name", "value"), list(cases(RIGHT, RIGHT_FOR)))
def test_allowed_value_is_accepted_and_left_as_it_was(kind, name, value):
    estimator = CLASSES[kind](**{**TINY, name: value})
    assert estimator.fit(X, Y[kind]) is estimator
    assert getattr(estimator, name) is value
    assert len(estimator.predict(X)) == len(X)


@pytest.mark.parametrize("kind", CLASSES)
def test_choices_in_a_message_are_those_that_are_accepted(kind):
    for name, accepted in (("activation", ACTIVATIONS), ("learning_rate", SCHEDULES), ("init", INITS)):
        with pytest.raises(InvalidParameterError) as error:
            CLASSES[kind](**{name: "?"}).fit(X, Y[kind])
        named = re.search(r"among \{(.*?)\}", str(error.value)).group(1)
        assert named == ", ".join(repr(choice) for choice in sorted(accepted))


@pytest.mark.parametrize(
    ("names", "table"),
    [
        (constraints.ActivationName, activations.ACTIVATIONS),
        (constraints.InitializerName, INITIALIZERS),
        (constraints.LinkName, links.LINKS),
        (constraints.ScheduleName, schedules.SCHEDULES),
        (classifier.ClassificationLoss, losses.CLASSIFICATION_LOSSES),
        (regressor.RegressionLoss, losses.REGRESSION_LOSSES),
    ],
)
def test_a_literal_has_the_names_of_the_table_that_implements_them(names, table):
    assert sorted(get_args(names)) == sorted(table)


@pytest.mark.parametrize("kind", CLASSES)
def test_defaults_satisfy_their_constraints(kind):
    for name, declared in declarations(CLASSES[kind]).items():
        assert declared.constraint.holds(declared.default), name
        assert getattr(CLASSES[kind](), name) is declared.default


@pytest.mark.parametrize("kind", CLASSES)
def test_the_check_of_defaults_takes_few_calls(kind):
    estimator = CLASSES[kind]()
    check(estimator)
    calls = []
    sys.setprofile(lambda frame, event, argument: calls.append(frame.f_code.co_name) if event == "call" else None)
    check(estimator)
    sys.setprofile(None)
    assert calls == ["check"]


def test_frozen_parameters_are_those_that_network_encoding_and_loss_are_built_from():
    network = {"hidden_layer_sizes", "activation", "out_activation", "fit_intercept", "n_members", "n_folds", "dropout"}
    network |= {"dtype", "parametrization", "categorical_features", "scale_features", "numeric_embedding", "n_bins"}
    network |= {"monotonic_cst"}
    assert set(frozen(ScratchMLPClassifier, "network")) == network
    assert set(frozen(ScratchMLPRegressor, "network")) == network | {"scale_target"}
    assert set(frozen(ScratchMLPClassifier, "loss")) == {"loss"}
    assert set(frozen(ScratchMLPRegressor, "loss")) == {"loss", "quantile", "huber_delta"}


@pytest.mark.parametrize("kind", CLASSES)
def test_partial_fit_checks_parameters_too(kind):
    options = {"classes": [0, 1]} if kind == "classifier" else {}
    with pytest.raises(InvalidParameterError, match="The 'alpha' parameter"):
        CLASSES[kind](alpha=-1).partial_fit(X, Y[kind], **options)


@pytest.mark.parametrize("kind", CLASSES)
def test_parameters_are_keywords_but_for_the_first(kind):
    signature = inspect.signature(CLASSES[kind])
    kinds = {name: p.kind for name, p in signature.parameters.items()}
    assert kinds.pop("hidden_layer_sizes") is inspect.Parameter.POSITIONAL_OR_KEYWORD
    assert set(kinds.values()) == {inspect.Parameter.KEYWORD_ONLY}
    assert CLASSES[kind]((7, 3)).hidden_layer_sizes == (7, 3)


@pytest.mark.parametrize("kind", CLASSES)
def test_defaults_are_those_of_the_signature_and_are_not_shared(kind):
    signature = inspect.signature(CLASSES[kind])
    assert {name: p.default for name, p in signature.parameters.items()} == CLASSES[kind]().get_params()
    assert clone(CLASSES[kind]()).get_params() == CLASSES[kind]().get_params()


@pytest.mark.parametrize("name", ["dropout", "clip_norm"])
@pytest.mark.parametrize("kind", CLASSES)
def test_lbfgs_refuses_what_it_cannot_do(kind, name):
    with pytest.raises(InvalidParameterError, match=rf"The '{name}' parameter .* solver='lbfgs'.* Got 0\.3 instead\."):
        CLASSES[kind](solver="lbfgs", **{name: 0.3}).fit(X, Y[kind])


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("hidden", [(3,), (3, 3, 3), ()])
def test_one_activation_a_layer_must_be_as_many_as_layers(kind, hidden):
    with pytest.raises(
        InvalidParameterError,
        match=rf"'activation' .* of the {len(hidden)} hidden layers.* Got \['relu', 'tanh'\]",
    ):
        CLASSES[kind](hidden, activation=["relu", "tanh"]).fit(X, Y[kind])
