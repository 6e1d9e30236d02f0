"""Importances of the estimators: one per column of X, from the fit itself, and what reads them."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.feature_selection import RFE, RFECV, SelectFromModel
from sklearn.neural_network import MLPClassifier, MLPRegressor

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from tests.helpers.estimators import CLASSES, make, make_with_folds

RNG = np.random.RandomState(0)
N = 240
TABLE = pd.DataFrame(
    {
        "noise": RNG.normal(size=N),
        "number": np.where(RNG.uniform(size=N) < 0.1, np.nan, RNG.normal(size=N)),
        "category": RNG.choice(["a", "b", "c"], N),
        "name": [f"n{i}" for i in RNG.randint(0, 60, N)],
        "constant": np.ones(N),
    }
)
SIGNAL = 2 * np.nan_to_num(TABLE["number"]) + 1.5 * (TABLE["category"] == "b")
TARGET = {"regressor": SIGNAL.to_numpy(), "classifier": (SIGNAL > 0.5).astype(int).to_numpy()}


def default(kind, **options):
    return CLASSES[kind](**{"random_state": 0, "max_iter": 20, **options})


@pytest.fixture(scope="module", params=["classifier", "regressor"])
def fitted(request):
    return default(request.param).fit(TABLE, TARGET[request.param])


def test_importances_rank_the_columns(fitted):
    importances, errors = fitted.feature_importances_, fitted.feature_importances_se_
    assert importances.shape == errors.shape == (5,) and fitted.importances_.shape == (5, 5)
    assert importances.min() >= 0 and importances.sum() == pytest.approx(1)
    assert importances.argsort()[-2:].tolist() == [2, 1]  # category and number, which determine y
    assert importances[4] == errors[4] == 0  # the constant
    assert (errors[:4] > 0).all()
    mean = fitted.importances_.mean(axis=0).clip(0)
    np.testing.assert_allclose(importances, mean / mean.sum())
    np.testing.assert_allclose(errors, fitted.importances_.std(axis=0, ddof=1) / 5**0.5 / mean.sum())


def test_they_are_computed_once_and_are_read_only(fitted):
    assert fitted.importances_ is fitted.importances_
    assert vars(fitted)["_importance_sample"] is None  # its rows are released
    with pytest.raises(ValueError, match="read-only"):
        fitted.importances_[0, 0] = 1


def test_reading_them_changes_no_prediction_and_no_random_numbers(kind):
    rng = [np.random.RandomState(3) for _ in range(2)]
    models = [default(kind, random_state=r, max_iter=2).fit(TABLE, TARGET[kind]) for r in rng]
    assert models[0].feature_importances_.shape == (5,)
    np.testing.assert_array_equal(models[0].predict(TABLE), models[1].predict(TABLE))
    assert rng[0].randint(2**31) == rng[1].randint(2**31)
    again = [model.fit(TABLE, TARGET[kind]) for model in models]
    np.testing.assert_array_equal(again[0].predict(TABLE), again[1].predict(TABLE))


def test_a_pickle_holds_them_and_none_of_the_rows(kind):
    models = [default(kind, max_iter=2).fit(TABLE, TARGET[kind]) for _ in range(2)]
    read = models[0].importances_
    files = [pickle.dumps(model) for model in models]
    assert files[0] == files[1]
    again = pickle.loads(files[1])
    np.testing.assert_array_equal(again.importances_, read)
    np.testing.assert_array_equal(copy.deepcopy(again).importances_, read)
    assert not hasattr(clone(again), "feature_importances_")


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_other_frames_give_the_same(fitted, library):
    if library == "polars":
        frame = pytest.importorskip("polars").from_pandas(TABLE)
    else:
        frame = pytest.importorskip("pyarrow").Table.from_pandas(TABLE)
    kind = "classifier" if hasattr(fitted, "classes_") else "regressor"
    model = clone(fitted).fit(frame, TARGET[kind])
    np.testing.assert_array_equal(model.importances_, fitted.importances_)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "options",
    [
        {"early_stopping": False},
        {"early_stopping": True, "n_members": 1},
        {"n_members": 1},
        {"n_members": 4, "n_folds": 2, "early_stopping": "folds"},
        {"solver": "lbfgs"},
        {"hidden_layer_sizes": ()},
        {"fit_intercept": False},
        {"dtype": "float32", "dropout": 0.2},
        {"scale_features": False},
    ],
    ids=str,
)
def test_every_kind_of_fit_has_them(kind, options):
    X = TABLE[["noise", "number", "constant"]].to_numpy()
    model = make(kind, **{"max_iter": 30, **options}).fit(X, TARGET[kind])
    n_parts = 2 if options.get("early_stopping") == "folds" else 5
    assert model.importances_.shape == (n_parts, 3) and np.isfinite(model.importances_).all()
    assert model.feature_importances_.argmax() == 1


def test_validation_rows_take_the_place_of_the_training_rows(kind):
    X, y = TABLE[["noise", "number"]], TARGET[kind]
    constant = X[160:].assign(number=0.5)
    options = {"max_iter": 20, "restore_best_weights": False}
    model = make(kind, **options).fit(X[:160], y[:160], X_val=constant, y_val=y[160:])
    assert not model.importances_[:, 1].any()  # a column that is constant there
    model.fit(X[:160], y[:160], X_val=X[160:], y_val=y[160:])
    assert model.feature_importances_.argmax() == 1


def test_a_sparse_table_has_those_of_the_dense_one(kind):
    X = RNG.normal(size=(300, 6)) * (RNG.uniform(size=(300, 6)) < 0.4)
    X[:5, 1] = np.nan
    y = np.nan_to_num(X[:, 0] + X[:, 3])
    y = (y > 0).astype(int) if kind == "classifier" else y
    options = {"dtype": "float64", "max_iter": 10}
    dense = make_with_folds(kind, **options).fit(X, y)
    sparse = make_with_folds(kind, **options).fit(sp.csr_matrix(X), y)
    # the same changes of the same rows; the weights of both fits agree up to rounding
    np.testing.assert_allclose(sparse.importances_, dense.importances_, rtol=1e-3, atol=1e-6)


def test_rows_of_weight_0_do_not_count(kind):
    X, y = TABLE[["noise", "number"]].to_numpy(), TARGET[kind]
    weight = np.repeat([1.0, 0.0], N // 2)
    model = make_with_folds(kind).fit(X, y, weight)
    other = make_with_folds(kind).fit(X[: N // 2], y[: N // 2], weight[: N // 2])
    np.testing.assert_array_equal(model.importances_, other.importances_)


@pytest.mark.parametrize("options", [{"loss": "quantile", "quantile": [0.1, 0.9]}, {"loss": "huber"}], ids=str)
def test_losses_and_outputs_of_a_regressor(options):
    X, y = TABLE[["noise", "number"]], TARGET["regressor"]
    assert make_with_folds("regressor", max_iter=20, **options).fit(X, y).feature_importances_.argmax() == 1
    if options["loss"] == "huber":
        both = make_with_folds("regressor", max_iter=20, **options).fit(X, np.column_stack([y, -y]))
        assert both.feature_importances_.argmax() == 1


def test_a_custom_loss():
    def half_square(t, z):
        return ((z - t) ** 2).sum(axis=1) / 2, z - t

    X, y = TABLE[["noise", "number"]], TARGET["regressor"]
    own, ours = (make_with_folds("regressor", loss=loss).fit(X, y) for loss in (half_square, "squared_error"))
    np.testing.assert_allclose(own.importances_, ours.importances_, rtol=1e-6, atol=1e-9)


def test_several_labels_and_a_single_class():
    X, y = TABLE[["noise", "number"]], TARGET["classifier"]
    model = make_with_folds("classifier", max_iter=20).fit(X, np.column_stack([y, 1 - y]))
    assert model.feature_importances_.argmax() == 1
    model.fit(X, np.zeros(N))
    assert not model.feature_importances_.any() and not model.feature_importances_se_.any()


def test_targets_in_any_unit():
    X, y = TABLE[["noise", "number"]], TARGET["regressor"]
    ours = make_with_folds("regressor").fit(X, y)
    for unit in (1e-150, 1e150):
        model = make_with_folds("regressor").fit(X, unit * y)
        np.testing.assert_allclose(model.feature_importances_, ours.feature_importances_, rtol=1e-5)


def test_a_continued_fit_has_those_of_its_last_rows(kind):
    X, y = TABLE[["noise", "number"]].to_numpy(), TARGET[kind]
    model = make_with_folds(kind, warm_start=True, max_iter=20).fit(X, y)
    first = model.feature_importances_
    model.fit(X[:, ::-1], y)  # the columns have changed places
    assert first.argmax() == 1 and model.importances_.shape == (2, 2)
    assert not np.array_equal(model.feature_importances_, first)


def test_without_a_fit_there_are_none(kind):
    X, y = TABLE[["noise", "number"]].to_numpy(), TARGET[kind]
    for name in ("importances_", "feature_importances_", "feature_importances_se_"):
        with pytest.raises(AttributeError, match=f"no attribute '{name}' before it is fitted"):
            getattr(make(kind), name)
    model = make(kind).fit(X, y)
    assert hasattr(model, "feature_importances_")
    model.partial_fit(X, y)
    with pytest.raises(AttributeError, match="without a complete call of `fit`"):
        _ = model.feature_importances_
    assert not hasattr(pickle.loads(pickle.dumps(model)), "feature_importances_")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_an_equivalent_of_scikit_learn_has_none(kind):
    ours, theirs = {
        "classifier": (ScratchMLPClassifier, MLPClassifier),
        "regressor": (ScratchMLPRegressor, MLPRegressor),
    }[kind]
    mlp = theirs(hidden_layer_sizes=(3,), max_iter=2).fit(TABLE[["noise"]], TARGET[kind])
    assert not hasattr(ours.from_sklearn(mlp), "feature_importances_")


def test_selectors_of_scikit_learn_read_them():
    X = pd.DataFrame(RNG.normal(size=(200, 6)), columns=list("abcdef"))
    y = 3 * X["b"] - 2 * X["e"]
    model = make_with_folds("regressor", max_iter=20)
    for selector in (
        SelectFromModel(model),
        RFE(model, n_features_to_select=2, step=2),
        RFECV(model, min_features_to_select=2, step=2, cv=2),
    ):
        assert {"b", "e"} <= set(selector.fit(X, y).get_feature_names_out())


def test_a_mixed_frame_passes_through_a_selector(kind):
    selector = SelectFromModel(default(kind), max_features=2, threshold=-np.inf).set_output(transform="pandas")
    selected = selector.fit_transform(TABLE, TARGET[kind])
    assert list(selected.columns) == ["number", "category"]
