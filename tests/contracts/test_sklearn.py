"""scikit-learn's contract: its estimator checks, and searches, pipelines and meta-estimators around an estimator."""

import copy
import io
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_validate
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier, MultiOutputRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import estimator_checks

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from tests.helpers.plain import PLAIN

CLASSES = [ScratchMLPClassifier, ScratchMLPRegressor]
THEIRS = {ScratchMLPClassifier: MLPClassifier, ScratchMLPRegressor: MLPRegressor}
TINY = {"hidden_layer_sizes": (8,), "max_iter": 15, "random_state": 0}


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return X[:150], y[:150]


@pytest.fixture(scope="module")
def tables(iris, diabetes):
    return {ScratchMLPClassifier: iris, ScratchMLPRegressor: diabetes}


# ------------------------------------------------------------------ scikit-learn's own checks


def run_checks(estimator):
    """Return the names of all checks, and {name: status or error} of those that did not pass."""
    results = estimator_checks.check_estimator(estimator, on_fail=None, on_skip=None)
    bad = {r["check_name"]: f"{r['status']}: {r['exception']!r}" for r in results if r["status"] != "passed"}
    return [r["check_name"] for r in results], bad


@pytest.mark.filterwarnings("ignore::UserWarning")  # of convergence and column vectors; no others
@pytest.mark.parametrize("cls", [pytest.param(ScratchMLPClassifier, marks=pytest.mark.slow), ScratchMLPRegressor])
def test_all_checks_pass_at_the_defaults(cls):
    names, bad = run_checks(cls())
    assert bad == {}
    theirs = [
        getattr(check, "func", check).__name__
        for _, check in estimator_checks.estimator_checks_generator(THEIRS[cls](), mark=None)
    ]
    assert len(theirs) >= 50  # the generator is not empty
    # the check that NaN is refused does not apply to an estimator that accepts NaN
    assert set(theirs) - set(names) == {"check_estimators_nan_inf"}
    assert len(names) >= len(theirs)


def log_loss(t, z):
    """Return the log loss of each row and its gradient with respect to the raw scores."""
    if z.shape[1] == 1:
        return (np.logaddexp(0, z) - t * z)[:, 0], 1 / (1 + np.exp(-z)) - t
    top = z - z.max(axis=1, keepdims=True)
    p = np.exp(top) / np.exp(top).sum(axis=1, keepdims=True)
    return -(t * np.log(np.maximum(p, 1e-300))).sum(axis=1), p - t


def half_square(t, z):
    return 0.5 * ((z - t) ** 2).sum(axis=1), z - t


def unequal(reason):
    """Name the checks that a row of weight 2 equals two rows, up to 1e-7, with the `reason` why they fail."""
    return {f"check_sample_weight_equivalence_on_{kind}_data": reason for kind in ("dense", "sparse")}


DRAWS = unequal("each row draws its own units to drop, so another number of rows draws another mask")
SPLIT = unequal("another number of rows is split in another way")
ROUNDING = "sums of float32 in another order differ by more than 1e-7"
BATCHES = {"check_methods_subset_invariance": ROUNDING}  # see test_float32_predictions_do_not_depend_on_the_batch
ZERO = dict.fromkeys(
    [
        "check_transformer_data_not_an_array",
        "check_transformer_general",
        "check_transformer_n_iter",
        "check_transformer_preserve_dtypes",
    ],
    "the checks' y has zeros in spite of the tag positive_only",
)
NEGATIVE = {"check_regressor_multioutput": "the check's y is negative in spite of the tag positive_only"}
FOLDS = {"early_stopping": "folds", "n_members": 4, "n_folds": 2}
COLUMNS = "predictions have a column for each quantile, and the check wants the shape of y"

# The settings of each row override these; the defaults have a test of their own.
SMALL = {**PLAIN, "hidden_layer_sizes": (10,), "max_iter": 15, "learning_rate_init": 0.1}

# Each row: estimator, settings, and the checks that cannot pass, with the reason.  Each activation occurs in one of
# the rows.
SETTINGS = {
    "classifier-lbfgs-tanh": (ScratchMLPClassifier, {"solver": "lbfgs", "activation": "tanh"}, {}),
    "classifier-sgd-constant-logistic": (
        ScratchMLPClassifier,
        {"solver": "sgd", "learning_rate": "constant", "learning_rate_init": 2.0, "activation": "logistic"},
        {},
    ),
    "classifier-dropout-elu": (ScratchMLPClassifier, {"dropout": 0.2, "activation": "elu"}, DRAWS),
    "classifier-members-gelu": (ScratchMLPClassifier, {"n_members": 3, "activation": "gelu"}, {}),
    "classifier-early_stopping-silu": (ScratchMLPClassifier, {"early_stopping": True, "activation": "silu"}, SPLIT),
    "classifier-adam-constant-leaky_relu": (
        ScratchMLPClassifier,
        {"learning_rate": "constant", "activation": "leaky_relu"},
        {},
    ),
    "classifier-sgd-adaptive-identity": (
        ScratchMLPClassifier,
        {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.2, "activation": "identity"},
        {},
    ),
    "classifier-unscaled-selu": (ScratchMLPClassifier, {"scale_features": False, "activation": "selu"}, {}),
    "classifier-float32-mish": (
        ScratchMLPClassifier,
        {"dtype": "float32", "activation": "mish"},
        {**unequal(ROUNDING), **BATCHES},
    ),
    "classifier-float64-softplus": (ScratchMLPClassifier, {"dtype": "float64", "activation": "softplus"}, {}),
    "classifier-squared_error-list": (
        ScratchMLPClassifier,
        {"loss": "squared_error", "hidden_layer_sizes": (8, 8), "activation": ["tanh", "relu"]},
        {},
    ),
    "classifier-callable-pair": (
        ScratchMLPClassifier,
        {"loss": log_loss, "activation": (np.sin, np.cos)},
        {},
    ),
    "regressor-lbfgs-poisson-tanh": (
        ScratchMLPRegressor,
        {"solver": "lbfgs", "loss": "poisson", "activation": "tanh"},
        NEGATIVE,
    ),
    "regressor-sgd-huber-logistic": (
        ScratchMLPRegressor,
        {"solver": "sgd", "loss": "huber", "learning_rate_init": 0.3, "activation": "logistic"},
        {},
    ),
    "regressor-dropout": (ScratchMLPRegressor, {"dropout": 0.2}, DRAWS),
    "regressor-members-absolute_error-softplus": (
        ScratchMLPRegressor,
        {"n_members": 3, "loss": "absolute_error", "activation": "softplus"},
        {},
    ),
    "regressor-early_stopping": (ScratchMLPRegressor, {"early_stopping": True}, SPLIT),
    "regressor-constant-quantile-gelu": (
        ScratchMLPRegressor,
        {"learning_rate": "constant", "loss": "quantile", "activation": "gelu"},
        {},
    ),
    "regressor-sgd-adaptive": (
        ScratchMLPRegressor,
        {"solver": "sgd", "learning_rate": "adaptive", "learning_rate_init": 0.1},
        {},
    ),
    "regressor-unscaled": (ScratchMLPRegressor, {"scale_features": False, "scale_target": False, "max_iter": 60}, {}),
    "regressor-float32": (ScratchMLPRegressor, {"dtype": "float32"}, {**unequal(ROUNDING), **BATCHES}),
    "regressor-float64-gamma": (
        ScratchMLPRegressor,
        {"dtype": "float64", "loss": "gamma", "max_iter": 50},
        {**NEGATIVE, **ZERO},
    ),
    "regressor-quantiles": (
        ScratchMLPRegressor,
        {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]},
        {
            "check_estimator_sparse_array": COLUMNS,
            "check_estimator_sparse_matrix": COLUMNS,
            "check_regressors_train": COLUMNS,
            "check_regressor_multioutput": "several quantiles are supported for one target only, as the message says",
        },
    ),
    "regressor-callable-pair": (ScratchMLPRegressor, {"loss": half_square, "activation": (np.sin, np.cos)}, {}),
    "classifier-folds-calibrated": (ScratchMLPClassifier, {**FOLDS, "calibrate": True}, {}),
    "classifier-folds-two_jobs": (ScratchMLPClassifier, {**FOLDS, "n_jobs": 2, "refit": 0.0}, {}),
    "classifier-bins-data-ntk": (
        ScratchMLPClassifier,
        {"numeric_embedding": "bins", "n_bins": 6, "init": "data", "parametrization": "ntk"},
        {},
    ),
    "classifier-multi_cosine-auto": (
        ScratchMLPClassifier,
        {"learning_rate": "multi_cosine", "learning_rate_init": "auto", "batch_size": "auto"},
        {},
    ),
    "regressor-folds-clipped-two_jobs": (ScratchMLPRegressor, {**FOLDS, "clip_target": True, "n_jobs": 2}, {}),
    "regressor-folds-bins-data-ntk": (
        ScratchMLPRegressor,
        {**FOLDS, "numeric_embedding": "bins", "init": "data", "parametrization": "ntk", "refit": 0.5},
        {},
    ),
    "regressor-bins": (ScratchMLPRegressor, {"numeric_embedding": "bins", "n_bins": "auto"}, {}),
    "regressor-data": (ScratchMLPRegressor, {"init": "data"}, {}),
    "regressor-sgd-ntk-auto": (
        ScratchMLPRegressor,
        {"solver": "sgd", "parametrization": "ntk", "learning_rate_init": "auto"},
        {},
    ),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("cls", "options", "impossible"), SETTINGS.values(), ids=SETTINGS)
@pytest.mark.slow
def test_checks_under_other_settings(cls, options, impossible):
    names, bad = run_checks(cls(**{**SMALL, **options}))
    assert set(impossible) <= set(names)
    assert {name: bad[name] for name in bad if name not in impossible} == {}
    if options.get("dtype") != "float32":  # it depends on the processor whether rounding exceeds 1e-7
        assert set(bad) == set(impossible)  # the table has no outdated reasons
    assert not any(status.startswith("skipped") for status in bad.values())


class Float32Regressor(ScratchMLPRegressor):
    """A regressor whose predictions have the precision that they are computed with.

    Those of `ScratchMLPRegressor` are float64, because targets of large offset need it.
    """

    def predict(self, X):
        return super().predict(X).astype(np.float32)


def test_float32_predictions_do_not_depend_on_the_batch():
    """scikit-learn's tolerance for float32 is 1e-4; BLAS sums a single row in another order than many rows."""
    model = Float32Regressor(**{**SMALL, "dtype": "float32"})
    estimator_checks.check_methods_subset_invariance("Float32Regressor", model)


def test_the_settings_cover_every_solver_loss_activation_and_choice():
    from skscratch.nn.activations import ACTIVATIONS
    from skscratch.nn.losses import CLASSIFICATION_LOSSES, REGRESSION_LOSSES

    rows = [(cls, {**cls().get_params(), **SMALL, **options}) for cls, options, _ in SETTINGS.values()]
    for name, values in {
        "early_stopping": {True, False, "folds"},
        "numeric_embedding": {None, "bins"},
        "parametrization": {"standard", "ntk"},
        "calibrate": {True, False},
        "n_jobs": {None, 2},
    }.items():
        assert {options[name] for _, options in rows} == values, name
    assert {"data", "auto"} == {options["init"] for _, options in rows}
    assert {options["solver"] for _, options in rows} == {"adam", "sgd", "lbfgs"}
    names = {name for _, o in rows for name in ([o["activation"]] if isinstance(o["activation"], str) else [])}
    assert names == set(ACTIVATIONS)
    for cls, losses in ((ScratchMLPClassifier, CLASSIFICATION_LOSSES), (ScratchMLPRegressor, REGRESSION_LOSSES)):
        used = [o["loss"] for c, o in rows if c is cls]
        assert {loss for loss in used if isinstance(loss, str)} == set(losses)
        assert any(callable(loss) for loss in used)


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("check", ["check_dataframe_column_names_consistency", "check_inplace_ensure_writeable"])
def test_checks_that_check_estimator_does_not_run(cls, check):
    # both exist since scikit-learn 1.6; they raise SkipTest if they do not apply
    getattr(estimator_checks, check)(cls.__name__, cls(**TINY))


# -------------------------------------------------------------- parameters, copies and pickles


@pytest.mark.parametrize("cls", CLASSES)
def test_clone_and_parameters_round_trip(cls, tables):
    X, y = tables[cls]
    changed = cls((4, 3), activation="tanh", alpha=0.3, random_state=5, max_iter=7, verbose=0)
    parameters = changed.get_params()
    assert clone(changed).get_params() == parameters
    assert cls().set_params(**parameters).get_params() == parameters
    fitted = changed.fit(X, y)
    copy_ = clone(fitted)
    assert not hasattr(copy_, "coefs_") and not hasattr(copy_, "n_features_in_")
    np.testing.assert_array_equal(copy_.fit(X, y).predict(X), fitted.predict(X))
    with pytest.raises(ValueError, match="Invalid parameter 'hidden_layers' for estimator"):
        cls().set_params(hidden_layers=3)


@pytest.mark.parametrize("cls", CLASSES)
def test_repr_shows_what_was_changed_and_evaluates_to_the_same(cls):
    assert repr(cls()) == f"{cls.__name__}()"
    changed = cls((4,), alpha=0.5, early_stopping=True)
    again = eval(repr(changed), {cls.__name__: cls})
    assert again.get_params() == changed.get_params()


def pickled(model):
    return pickle.loads(pickle.dumps(model))


def joblib_round_trip(model):
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


@pytest.mark.parametrize("round_trip", [pickled, joblib_round_trip, copy.deepcopy])
@pytest.mark.parametrize("options", [{}, {"n_members": 2, "early_stopping": True}, {"solver": "lbfgs"}])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # L-BFGS cut short
@pytest.mark.parametrize("cls", CLASSES)
def test_a_copy_predicts_the_same_bits(cls, options, round_trip, tables):
    X, y = tables[cls]
    model = cls(**TINY, **options).fit(X, y)
    before = model.predict(X)
    other = round_trip(model)
    np.testing.assert_array_equal(other.predict(X), before)
    np.testing.assert_array_equal(model.predict(X), before)
    for ours, theirs in zip([*model.coefs_, *model.intercepts_], [*other.coefs_, *other.intercepts_], strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert not np.shares_memory(ours, theirs)
    assert other.loss_curve_ == model.loss_curve_
    if cls is ScratchMLPClassifier:
        np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("round_trip", [pickled, joblib_round_trip, copy.deepcopy])
@pytest.mark.parametrize("cls", CLASSES)
def test_a_copy_continues_training_with_the_same_bits(cls, round_trip, tables):
    X, y = tables[cls]
    model = cls(**TINY, warm_start=True, batch_size=32).fit(X, y)
    other = round_trip(model)
    np.testing.assert_array_equal(other.fit(X, y).predict(X), model.fit(X, y).predict(X))
    assert other.loss_curve_ == model.loss_curve_ and len(model.loss_curve_) == 30
    stepwise = cls(**TINY)
    stepwise.partial_fit(X, y, **({"classes": [0, 1, 2]} if is_classifier(stepwise) else {}))
    other = round_trip(stepwise)
    np.testing.assert_array_equal(other.partial_fit(X, y).predict(X), stepwise.partial_fit(X, y).predict(X))


@pytest.mark.parametrize("cls", CLASSES)
def test_an_unfitted_estimator_can_be_pickled(cls):
    assert pickled(cls(alpha=3.0)).get_params() == cls(alpha=3.0).get_params()


def test_tags():
    assert is_classifier(ScratchMLPClassifier()) and is_regressor(ScratchMLPRegressor())
    tags = ScratchMLPClassifier().__sklearn_tags__()
    assert tags.input_tags.sparse and tags.input_tags.allow_nan and tags.input_tags.categorical
    assert tags.classifier_tags.multi_label and tags.target_tags.required
    tags = ScratchMLPRegressor().__sklearn_tags__()
    assert tags.target_tags.multi_output and not tags.target_tags.positive_only
    assert ScratchMLPRegressor(loss="poisson").__sklearn_tags__().target_tags.positive_only


# ----------------------------------------------------------------------------- searches


def half_score(estimator, X, y):
    return estimator.score(X, y) / 2


GRIDS = {
    "hidden_layer_sizes": [(4,), (), 3],
    "activation": ["relu", "tanh", (np.sin, np.cos)],
    "out_activation": ["auto"],
    "fit_intercept": [True, False],
    "init": ["data", "auto", "he_normal"],
    "parametrization": ["ntk", "standard"],
    "n_members": [1, 2],
    "n_folds": [2, 5],
    "calibrate": [True, False],
    "solver": ["adam", "sgd", "lbfgs"],
    "learning_rate": ["cosine", "constant", "multi_cosine", np.cos],
    "learning_rate_init": ["auto", 0.001, 0.1],
    "warmup": [0.0, 0.5],
    "batch_size": ["auto", 16],
    "shuffle": [True, False],
    "beta_1": [0.5, 0.9],
    "beta_2": [0.9, 0.999],
    "epsilon": [1e-8, 1e-3],
    "momentum": [0.5, 0.9],
    "nesterovs_momentum": [True, False],
    "power_t": [0.1, 0.5],
    "max_fun": [100, 200],
    "alpha": [0.0, 1.0],
    "category_penalty": ["auto", 10.0],
    "weight_decay": [0.0, 0.1],
    "dropout": [0.0, 0.3],
    "clip_norm": [None, 0.1],
    "max_iter": [1, 4],
    "max_time": [None, 1e6],
    "tol": [0.0, 1e-3],
    "n_iter_no_change": [2, np.inf],
    "early_stopping": ["folds", True, False],
    "refit": [0.0, 0.2],
    "validation_fraction": [0.1, 0.3],
    "scoring": ["loss", None, half_score],
    "restore_best_weights": [True, False],
    "categorical_features": ["from_dtype", None, [0]],
    "scale_features": [True, False],
    "numeric_embedding": ["bins", None],
    "n_bins": ["auto", 2, 9],
    "n_jobs": [None, 1, 2],
    "dtype": ["float32", "float64"],
    "random_state": [0, 1],
    "warm_start": [True, False],
    "verbose": [False],
}
GRIDS_FOR = {
    ScratchMLPClassifier: {
        "monotonic_cst": [None],  # the table has three classes
        "loss": ["log_loss", "squared_error"],
        "class_weight": [None, "balanced", {0: 2.0}],
        "label_smoothing": [0.0, 0.1],
    },
    ScratchMLPRegressor: {
        "monotonic_cst": [None, [0] * 9 + [1]],
        "loss": ["squared_error", "huber", "poisson"],
        "quantile": [0.3, [0.7]],
        "huber_delta": [0.5, 2.0],
        "scale_target": [True, False],
        "clip_target": [True, False],
    },
}


@pytest.mark.parametrize("cls", CLASSES)
def test_the_grids_cover_every_parameter(cls):
    assert {*GRIDS, *GRIDS_FOR[cls]} == set(cls().get_params())


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # few iterations
@pytest.mark.parametrize(
    ("cls", "name"), [(cls, name) for cls in CLASSES for name in [*GRIDS, *GRIDS_FOR[cls]]], ids=lambda v: str(v)
)
@pytest.mark.slow
def test_grid_search_over(cls, name, tables):
    X, y = tables[cls]
    grid = {**GRIDS, **GRIDS_FOR[cls]}[name]
    base = cls(hidden_layer_sizes=(4,), max_iter=2, random_state=0)
    search = GridSearchCV(base, {name: grid}, cv=2, error_score="raise").fit(X, y)
    assert [row[name] for row in search.cv_results_["params"]] == grid
    assert search.best_params_[name] in grid
    alone = clone(base).set_params(**search.best_params_).fit(X, y)
    np.testing.assert_array_equal(search.predict(X), alone.predict(X))


def test_grid_search_inside_a_pipeline_finds_the_better_value(iris):
    X, y = iris
    pipeline = make_pipeline(StandardScaler(), ScratchMLPClassifier((8,), learning_rate_init=0.05, random_state=0))
    search = GridSearchCV(pipeline, {"scratchmlpclassifier__max_iter": [1, 30]}, cv=3).fit(X, y)
    assert search.best_params_ == {"scratchmlpclassifier__max_iter": 30}
    assert search.best_score_ > 0.9  # one epoch of one step scores about as high as chance


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.slow
def test_the_same_bits_whatever_n_jobs(cls, tables):
    X, y = tables[cls]
    model = cls(**TINY, batch_size=50, dropout=0.1)
    alone, spread = (cross_val_predict(model, X, y, cv=3, n_jobs=n_jobs) for n_jobs in (1, 2))
    np.testing.assert_array_equal(alone, spread)


@pytest.mark.parametrize(
    ("cls", "scoring"),
    [
        (ScratchMLPClassifier, ["accuracy", "neg_log_loss", "roc_auc_ovr", "f1_macro"]),
        (ScratchMLPRegressor, ["r2", "neg_mean_absolute_error", "neg_root_mean_squared_error", "explained_variance"]),
    ],
)
def test_cross_validate_with_several_scorers(cls, scoring, tables):
    X, y = tables[cls]
    found = cross_validate(cls((16,), learning_rate_init=0.03, random_state=0), X, y, cv=3, scoring=scoring)
    assert all(np.isfinite(found[f"test_{name}"]).all() for name in scoring)
    assert found[f"test_{scoring[0]}"].mean() > {ScratchMLPClassifier: 0.9, ScratchMLPRegressor: 0.2}[cls]


# -------------------------------------------------------------------- estimators around it


@pytest.mark.slow
def test_calibrated_bagging_voting_stacking_one_vs_rest_classifiers(iris):
    X, y = iris
    net = ScratchMLPClassifier((8,), max_iter=40, learning_rate_init=0.1, random_state=0)
    linear = LogisticRegression(max_iter=1000)
    for around in (
        CalibratedClassifierCV(net, cv=3),
        BaggingClassifier(net, n_estimators=3, random_state=0),
        VotingClassifier([("net", net), ("linear", linear)], voting="soft"),
        StackingClassifier([("net", net), ("linear", linear)], cv=3),
        StackingClassifier([("linear", linear)], final_estimator=net, cv=3),
        OneVsRestClassifier(net),
    ):
        around.fit(X, y)
        assert around.score(X, y) > 0.9, around  # chance is 1/3
        p = around.predict_proba(X)
        # the rows are float32 and are normalised in float64
        np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)


def test_bagging_voting_stacking_transformed_target_regressors(diabetes):
    X, y = diabetes
    net = ScratchMLPRegressor(hidden_layer_sizes=(8,), max_iter=60, random_state=0, learning_rate_init=0.03)
    for around in (
        BaggingRegressor(net, n_estimators=3, random_state=0),
        VotingRegressor([("net", net), ("ridge", Ridge())]),
        StackingRegressor([("net", net), ("ridge", Ridge())], cv=3),
        StackingRegressor([("ridge", Ridge())], final_estimator=net, cv=3),
        TransformedTargetRegressor(net, func=np.log1p, inverse_func=np.expm1),
    ):
        assert around.fit(X, y).score(X, y) > 0.3, around  # the mean scores 0


def test_multi_output_wrappers_equal_single_fits(iris, diabetes):
    X, y = iris
    labels = np.c_[y == 1, y == 2].astype(int)
    wrapped = MultiOutputClassifier(ScratchMLPClassifier(**TINY)).fit(X, labels)
    for j, p in enumerate(wrapped.predict_proba(X)):
        np.testing.assert_array_equal(p, ScratchMLPClassifier(**TINY).fit(X, labels[:, j]).predict_proba(X))
    X, y = diabetes
    targets = np.c_[y, -(y**2)]
    wrapped = MultiOutputRegressor(ScratchMLPRegressor(**TINY)).fit(X, targets)
    for j, p in enumerate(wrapped.predict(X).T):
        np.testing.assert_array_equal(p, ScratchMLPRegressor(**TINY).fit(X, targets[:, j]).predict(X))


def test_multi_output_classifier_partial_fit(iris):
    X, y = iris
    labels = np.c_[y == 1, y == 2].astype(int)
    wrapped = MultiOutputClassifier(ScratchMLPClassifier(**TINY)).partial_fit(X, labels, classes=[[0, 1], [0, 1]])
    wrapped.partial_fit(X, labels)
    single = ScratchMLPClassifier(**TINY).partial_fit(X, labels[:, 1], classes=[0, 1]).partial_fit(X, labels[:, 1])
    np.testing.assert_array_equal(wrapped.predict_proba(X)[1], single.predict_proba(X))


@pytest.mark.parametrize("cls", CLASSES)
def test_permutation_importance_finds_the_column_that_matters(cls):
    rng = np.random.RandomState(0)
    X = rng.normal(size=(120, 3))
    y = X[:, 1] if cls is ScratchMLPRegressor else (X[:, 1] > 0).astype(int)
    model = cls(hidden_layer_sizes=(8,), max_iter=40, learning_rate_init=0.03, random_state=0).fit(X, y)
    importance = permutation_importance(model, X, y, n_repeats=3, random_state=0).importances_mean
    assert importance.argmax() == 1 and importance[1] > 5 * abs(importance[[0, 2]]).max()


def mixed_table(n=90):
    rng = np.random.RandomState(0)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=n),
            "colour": pd.Categorical(rng.choice(["red", "green", "blue"], n)),
            "shop": rng.choice(["north", "south"], n),
        }
    )
    return frame, frame["size"].to_numpy() + 3 * (frame["colour"] == "red").to_numpy()


def test_partial_dependence_on_a_frame_with_categories():
    X, y = mixed_table()
    model = ScratchMLPRegressor((8,), max_iter=100, learning_rate_init=0.05, weight_decay=0.0, random_state=0).fit(X, y)
    found = partial_dependence(model, X, features=["colour"], categorical_features=["colour"])
    values = list(found["grid_values"][0])
    average = found["average"][0]
    assert sorted(values) == ["blue", "green", "red"]
    red = values.index("red")
    assert red == average.argmax() and average[red] - np.delete(average, red).max() > 2  # the truth is 3
    slope = partial_dependence(model, X, features=["size"], grid_resolution=5)["average"][0]
    assert np.all(np.diff(slope) > 0)
    classifier = ScratchMLPClassifier(**TINY).fit(X, y > 1)
    both = partial_dependence(classifier, X, features=["colour"], categorical_features=["colour"])
    assert both["average"].shape == (1, 3)


def test_a_column_transformer_equals_its_steps_by_hand():
    X, y = mixed_table()
    steps = [("number", StandardScaler(), ["size"]), ("category", OneHotEncoder(), ["colour", "shop"])]
    columns = ColumnTransformer(steps)
    pipeline = make_pipeline(columns, ScratchMLPRegressor(**TINY)).fit(X, y)
    by_hand = ScratchMLPRegressor(**TINY).fit(columns.fit_transform(X), y)
    np.testing.assert_array_equal(pipeline.predict(X), by_hand.predict(columns.transform(X)))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_pipelines_with_set_output_pass_frames(library):
    X, y = mixed_table()
    columns = ColumnTransformer(
        [("number", StandardScaler(), ["size"])], remainder="passthrough", verbose_feature_names_out=False
    )
    pipeline = make_pipeline(columns, ScratchMLPRegressor(**TINY)).set_output(transform="pandas").fit(X, y)
    assert pipeline[-1].feature_names_in_.tolist() == ["size", "colour", "shop"]
    seen = columns.transform(X)
    np.testing.assert_array_equal(pipeline.predict(X), ScratchMLPRegressor(**TINY).fit(seen, y).predict(seen))
    numbers = X[["size"]].assign(double=2 * X["size"])
    pipeline = make_pipeline(StandardScaler(), ScratchMLPRegressor(**TINY)).set_output(transform=library)
    pipeline.fit(numbers, y)
    assert type(pipeline[0].transform(numbers)).__module__.startswith(library)
    assert pipeline[-1].n_features_in_ == 2
    plain = make_pipeline(StandardScaler(), ScratchMLPRegressor(**TINY)).fit(numbers.to_numpy(), y)
    np.testing.assert_array_equal(pipeline.predict(numbers), plain.predict(numbers.to_numpy()))


@pytest.mark.parametrize("cls", CLASSES)
def test_columns_in_another_order_raise_the_error_of_scikit_learn(cls):
    X, y = mixed_table()
    y = y > 1 if cls is ScratchMLPClassifier else y
    model = cls(**TINY).fit(X, y)
    assert model.feature_names_in_.tolist() == list(X) and model.n_features_in_ == 3
    for frame, words in (
        (X[["colour", "size", "shop"]], "must be in the same order"),
        (X.rename(columns={"size": "weight"}), r"unseen at fit time:\n- weight"),
        (X[["size", "colour"]], r"seen at fit time, yet now missing:\n- shop"),
    ):
        rule = "feature names should match those that were passed during fit"
        with pytest.raises(ValueError, match=rule + r"(.|\n)*" + words):
            model.predict(frame)


@pytest.mark.parametrize("cls", CLASSES)
def test_an_array_after_a_frame_warns(cls, tables):
    X, y = tables[cls]
    model = cls(**TINY).fit(pd.DataFrame(X).add_prefix("c"), y)
    with pytest.warns(UserWarning, match="X does not have valid feature names, but"):
        predicted = model.predict(X)
    np.testing.assert_array_equal(predicted, model.predict(pd.DataFrame(X).add_prefix("c")))


@pytest.mark.parametrize("cls", CLASSES)
def test_html_repr(cls, tables):
    X, y = tables[cls]
    model = cls(**TINY)
    unfitted = model._repr_html_()
    fitted = model.fit(X, y)._repr_html_()
    assert cls.__name__ in unfitted and "Not fitted" in unfitted
    assert cls.__name__ in fitted and "Not fitted" not in fitted
    assert cls.__name__ in make_pipeline(StandardScaler(), model)._repr_html_()


# --------------------------------------------------------------------- metadata routing


@pytest.mark.parametrize("cls", CLASSES)
def test_sample_weight_is_routed_through_search_and_pipeline(cls, tables):
    X, y = tables[cls]
    weight = np.random.RandomState(0).randint(0, 3, len(y)).astype(float)
    with config_context(enable_metadata_routing=True):
        net = cls(**TINY).set_fit_request(sample_weight=True)
        pipeline = Pipeline([("scale", StandardScaler().set_fit_request(sample_weight=False)), ("net", net)])
        scorer = get_scorer("accuracy" if cls is ScratchMLPClassifier else "r2").set_score_request(sample_weight=True)
        search = GridSearchCV(pipeline, {"net__alpha": [0.1]}, cv=2, scoring=scorer).fit(X, y, sample_weight=weight)
    scaled = StandardScaler().fit_transform(X)
    by_hand = cls(**TINY, alpha=0.1).fit(scaled, y, sample_weight=weight)
    np.testing.assert_array_equal(search.predict(X), by_hand.predict(scaled))
    assert not np.array_equal(by_hand.coefs_[0], cls(**TINY, alpha=0.1).fit(scaled, y).coefs_[0])


@pytest.mark.parametrize("cls", CLASSES)
def test_a_pipeline_scales_the_validation_rows_too(cls, tables):
    X, y = tables[cls]
    order = np.random.RandomState(0).permutation(len(y))
    X, y = 1000 * X[order] + 5, y[order]
    weight, weight_val = np.random.RandomState(1).uniform(0.5, 2, (2, len(y)))
    train, held = slice(0, 100), slice(100, 150)
    options = {**TINY, "scale_features": False, "early_stopping": True}  # the pipeline's scaler matters
    with config_context(enable_metadata_routing=True):
        net = cls(**options).set_fit_request(X_val=True, y_val=True, sample_weight=True, sample_weight_val=True)
        pipeline = Pipeline(
            [("scale", StandardScaler().set_fit_request(sample_weight=False)), ("net", net)], transform_input=["X_val"]
        )
        pipeline.fit(
            X[train],
            y[train],
            sample_weight=weight[train],
            X_val=X[held],
            y_val=y[held],
            sample_weight_val=weight_val[held],
        )
    scaler = StandardScaler().fit(X[train])
    by_hand = cls(**options).fit(
        scaler.transform(X[train]),
        y[train],
        weight[train],
        X_val=scaler.transform(X[held]),
        y_val=y[held],
        sample_weight_val=weight_val[held],
    )
    assert pipeline[-1].validation_loss_curve_ == by_hand.validation_loss_curve_
    np.testing.assert_array_equal(pipeline.predict(X), by_hand.predict(scaler.transform(X)))
    unweighted = cls(**options).fit(
        scaler.transform(X[train]), y[train], weight[train], X_val=scaler.transform(X[held]), y_val=y[held]
    )
    assert unweighted.validation_loss_curve_ != by_hand.validation_loss_curve_
    unscaled = cls(**options).fit(scaler.transform(X[train]), y[train], weight[train], X_val=X[held], y_val=y[held])
    assert unscaled.validation_loss_curve_ != unweighted.validation_loss_curve_


def test_routing_refuses_what_was_not_requested(iris):
    X, y = iris
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(ScratchMLPClassifier(**TINY), {"alpha": [0.1]}, cv=2)
        with pytest.raises(ValueError, match="sample_weight"):
            search.fit(X, y, sample_weight=np.ones(len(y)))
