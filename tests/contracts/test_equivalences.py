"""Equivalent fits give the same model: forms of a table, weights, members, units, continued and interrupted fits."""

import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_multilabel_classification
from sklearn.linear_model import (
    GammaRegressor,
    HuberRegressor,
    LogisticRegression,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
)
from sklearn.metrics import log_loss, mean_pinball_loss
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.utils.class_weight import compute_sample_weight

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding.check_input import check_table
from skscratch.nn.batch import Table
from skscratch.nn.losses import make_loss
from skscratch.nn.network import build
from tests.helpers.estimators import folds_of
from tests.helpers.plain import plain

RNG = np.random.RandomState(0)
X_DIABETES, Y_DIABETES = load_diabetes(return_X_y=True, scaled=False)
X_DIABETES, Y_DIABETES = X_DIABETES[:120], Y_DIABETES[:120]
X_IRIS, Y_IRIS = load_iris(return_X_y=True)
X_LABELS, Y_LABELS = make_multilabel_classification(100, 6, n_classes=3, random_state=0)
TASKS = {
    "regression": (ScratchMLPRegressor, X_DIABETES, Y_DIABETES, {}),
    "two outputs": (ScratchMLPRegressor, X_DIABETES, np.c_[Y_DIABETES, X_DIABETES[:, 2] ** 2], {}),
    "absolute": (ScratchMLPRegressor, X_DIABETES, Y_DIABETES, {"loss": "absolute_error"}),
    "poisson": (ScratchMLPRegressor, X_DIABETES, Y_DIABETES, {"loss": "poisson"}),
    "quantiles": (ScratchMLPRegressor, X_DIABETES, Y_DIABETES, {"loss": "quantile", "quantile": [0.2, 0.8]}),
    "binary": (ScratchMLPClassifier, X_IRIS[40:120], Y_IRIS[40:120].clip(0, 1), {}),
    "multiclass": (ScratchMLPClassifier, X_IRIS, Y_IRIS, {}),
    "multilabel": (ScratchMLPClassifier, X_LABELS, Y_LABELS, {}),
}
FOLDS = {"early_stopping": "folds", "n_members": 4, "n_folds": 2}
SMALL = {"hidden_layer_sizes": (7,), "max_iter": 6, "random_state": 1, "n_iter_no_change": np.inf}


def make(task, **parameters):
    cls, X, y, options = TASKS[task]
    return plain(cls, **{**SMALL, **options, **parameters}), X, y


def output(model, X):
    return model.predict_proba(X) if hasattr(model, "predict_proba") else model.predict(X)


def raw_scores(model, X):
    """Return the raw scores (n, out) of a table of numbers."""
    return model.fitted_.raw_scores(check_table(model, X, model.categorical_features, None, False))


def assert_same_bits(one, other, X):
    for a, b in zip([*one.coefs_, *one.intercepts_], [*other.coefs_, *other.intercepts_], strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(output(one, X), output(other, X))
    np.testing.assert_array_equal(one.loss_curve_, other.loss_curve_)


# ---------------------------------------------------------------- no hidden layer: generalised linear models

X_GLM = scale(load_diabetes(return_X_y=True)[0][:, [0, 1, 2, 3, 6, 8]])
Y_GLM = scale(load_diabetes(return_X_y=True)[1])
W_GLM = RNG.randint(1, 4, len(Y_GLM)).astype(float)
X_FLOWERS = scale(X_IRIS)


def linear(cls, X, y, weight, **parameters):
    """Minimise a network without hidden layers; SciPy's L-BFGS stops where a step gains 2e-9, and starts again."""
    model = plain(
        cls, hidden_layer_sizes=(), solver="lbfgs", scale_features=False, dtype="float64", tol=1e-12, max_iter=1000,
        random_state=0, warm_start=True, **parameters,
    )  # fmt: skip
    for _ in range(8):
        model.fit(X, y, weight)
    return model


def assert_same_line(model, glm, atol):
    np.testing.assert_allclose(model.coefs_[0].T, np.atleast_2d(glm.coef_), rtol=0, atol=atol)
    np.testing.assert_allclose(model.intercepts_[0], glm.intercept_, rtol=0, atol=atol)


@pytest.mark.parametrize("weight", [None, W_GLM], ids=["plain", "weighted"])
@pytest.mark.parametrize("alpha", [0.3, 30.0])
def test_linear_is_ridge(weight, alpha):
    ridge = Ridge(alpha=alpha).fit(X_GLM, Y_GLM, weight)
    # a restart ends where the loss, flat at its minimum, no longer changes in double precision: √1e-16
    assert_same_line(linear(ScratchMLPRegressor, X_GLM, Y_GLM, weight, alpha=alpha, scale_target=False), ridge, 1e-6)


@pytest.mark.parametrize("weight", [None, W_GLM[:150]], ids=["plain", "weighted"])
@pytest.mark.parametrize("C", [0.1, 10.0])
@pytest.mark.parametrize("classes", [2, 3])
def test_linear_is_logistic_regression(weight, C, classes):
    X, y = X_FLOWERS, np.where(Y_IRIS < classes, Y_IRIS, 1)
    glm = LogisticRegression(C=C, tol=1e-12, max_iter=5000).fit(X, y, weight)
    model = linear(ScratchMLPClassifier, X, y, weight, alpha=1 / C)
    total = len(y) if weight is None else weight.sum()
    minimum = log_loss(y, glm.predict_proba(X), sample_weight=weight) + 0.5 * np.sum(glm.coef_**2) / (C * total)
    assert minimum - 1e-12 < model.loss_ < minimum + 1e-8  # a few of SciPy's 2e-9
    # the loss curves by at least 1 / (C n) in every weight, so 1e-8 of loss are at most this in the weights
    atol = (2e-8 * C * total) ** 0.5
    np.testing.assert_allclose(model.coefs_[0].T, glm.coef_, rtol=0, atol=atol)
    if classes == 2:  # else a number added to all intercepts changes nothing
        np.testing.assert_allclose(model.intercepts_[0], glm.intercept_, rtol=0, atol=atol)
    np.testing.assert_allclose(model.predict_proba(X), glm.predict_proba(X), rtol=0, atol=2e-4)


@pytest.mark.parametrize("weight", [None, W_GLM], ids=["plain", "weighted"])
@pytest.mark.parametrize(("loss", "glm"), [("poisson", PoissonRegressor), ("gamma", GammaRegressor)])
@pytest.mark.slow
def test_linear_is_the_glm_of_its_deviance(weight, loss, glm):
    y = np.exp(Y_GLM) if loss == "gamma" else np.round(np.exp(Y_GLM))
    glm = glm(alpha=0.1, tol=1e-12, max_iter=5000).fit(X_GLM, y, weight)
    total = len(y) if weight is None else weight.sum()  # theirs is a penalty per unit of weight
    model = linear(ScratchMLPRegressor, X_GLM, y, weight, loss=loss, alpha=0.1 * total, scale_target=False)
    assert_same_line(model, glm, 2e-6)  # as for ridge; both are iterative here


@pytest.mark.parametrize("weight", [None, W_GLM], ids=["plain", "weighted"])
def test_linear_is_huber_regressor(weight):
    y = Y_GLM + 20 * (np.arange(len(Y_GLM)) % 40 == 0)
    glm = HuberRegressor(epsilon=1.5, alpha=0.5, tol=1e-10, max_iter=5000).fit(X_GLM, y, weight)
    # at its scale σ, theirs is 2/σ times our loss with δ = ε σ and alpha = σ alpha
    scaled = {"huber_delta": 1.5 * glm.scale_, "alpha": 0.5 * glm.scale_, "scale_target": False}
    model = linear(ScratchMLPRegressor, X_GLM, y, weight, loss="huber", **scaled)
    assert_same_line(model, glm, 1e-4)  # HuberRegressor is an L-BFGS too, stopped a step before the end


@pytest.mark.parametrize("weight", [None, W_GLM], ids=["plain", "weighted"])
@pytest.mark.parametrize("q", [0.2, 0.7])
def test_linear_is_quantile_regressor(weight, q):
    glm = QuantileRegressor(quantile=q, alpha=0).fit(X_GLM, Y_GLM, weight)
    model = plain(
        ScratchMLPRegressor, hidden_layer_sizes=(), loss="quantile", quantile=q, scale_features=False, dtype="float64",
        random_state=0, max_iter=300, learning_rate_init=0.05, batch_size=1000,
    ).fit(X_GLM, Y_GLM, weight)  # fmt: skip
    # theirs is the exact vertex of a linear programme; steps down a loss with kinks come near it
    losses = [mean_pinball_loss(Y_GLM, m.predict(X_GLM), alpha=q, sample_weight=weight) for m in (model, glm)]
    assert 0 <= losses[0] / losses[1] - 1 < 1e-4
    np.testing.assert_allclose(model.predict(X_GLM), glm.predict(X_GLM), rtol=0, atol=0.03)


# ---------------------------------------------------------------- weights

# one batch holds the whole table; smaller batches would hold other rows if a row occurs twice
WHOLE = {
    "adam": {"batch_size": 1000},
    "sgd": {"batch_size": 1000, "solver": "sgd", "learning_rate_init": 0.01},
    "members": {"batch_size": 1000, "n_members": 3},
    "lbfgs": {"solver": "lbfgs"},
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("way", WHOLE)
def test_weight_two_is_the_row_twice(task, way):
    model, X, y = make(task, dtype="float64", alpha=1.0, **WHOLE[way])
    weight = 1.0 + RNG.randint(0, 3, len(y))
    rows = np.repeat(np.arange(len(y)), weight.astype(int))
    one, other = clone(model).fit(X, y, weight), clone(model).fit(X[rows], y[rows])
    # sums of the same numbers in another order; a kink on the way (|r|, ReLU) does not make it more than this
    np.testing.assert_allclose(output(one, X), output(other, X), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-6)
    assert np.abs(output(one, X) - output(clone(model).fit(X, y), X)).max() > 1e-4  # the weights matter


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"batch_size": 16, "dropout": 0.2, "n_members": 2, "dtype": "float32"},
        {"solver": "lbfgs"},
        {"early_stopping": True, "batch_size": 16},
        {**FOLDS, "batch_size": 16, "calibrate": True},
        {"numeric_embedding": "bins", "n_bins": 6, "init": "data", "parametrization": "ntk"},
    ],
    ids=["plain", "dropout", "lbfgs", "early stopping", "folds", "bins and data"],
)
def test_weight_zero_is_the_row_absent(task, parameters):
    model, X, y = make(task, **parameters)
    weight = RNG.uniform(0.5, 2, len(y)) * (np.arange(len(y)) % 3 > 0)
    strange = X.copy()
    strange[weight == 0] *= 1e6  # the values in these rows must not matter
    kept = weight > 0
    one = clone(model).fit(strange, y, weight)
    assert_same_bits(one, clone(model).fit(X[kept], y[kept], weight[kept]), X)


@pytest.mark.parametrize("form", [sp.csr_array, pd.DataFrame, "mixed"])
def test_weight_zero_is_the_row_absent_in_every_form_of_table(form):
    model, X, y = make("binary")
    weight = RNG.randint(0, 3, len(y)).astype(float)
    kept = np.flatnonzero(weight)
    if form == "mixed":
        table = pd.DataFrame({"a": X[:, 0], "s": np.where(weight == 0, "only here", np.where(X[:, 1] > 3, "u", "v"))})
        part = table.iloc[kept]
    else:
        table, part = form(X), form(X[kept])
    one, other = clone(model).fit(table, y, weight), clone(model).fit(part, y[kept], weight[kept])
    assert_same_bits(one, other, table)


def test_weight_zero_is_the_row_absent_in_partial_fit():
    model, X, y = make("multiclass")
    weight = (np.arange(len(y)) % 2).astype(float)
    one, other = clone(model), clone(model)
    for _ in range(3):
        one.partial_fit(X, y, weight, classes=[0, 1, 2])
        other.partial_fit(X[1::2], y[1::2], weight[1::2], classes=[0, 1, 2])
    assert_same_bits(one, other, X)


@pytest.mark.parametrize("early_stopping", [False, True, "folds"])
@pytest.mark.parametrize("sample_weight", [False, True])
@pytest.mark.parametrize("class_weight", ["dict", "balanced"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
@pytest.mark.slow
def test_class_weight_is_sample_weight(task, class_weight, sample_weight, early_stopping):
    n_members = 2 if early_stopping == "folds" else 1
    model, X, y = make(task, batch_size=16, early_stopping=early_stopping, n_members=n_members, dtype="float64")
    if task == "multilabel":
        chosen = [{0: 1.0, 1: 3.0}, {0: 0.5, 1: 1.0}, {1: 2.0}]
    else:
        X, y = X[:-7], y[:-7]  # classes of different sizes
        chosen = {0: 0.5, 1: 3.0}
    chosen = class_weight if class_weight == "balanced" else chosen
    own = RNG.randint(1, 4, len(y)).astype(float) if sample_weight else np.ones(len(y))
    if chosen == "balanced":  # scikit-learn's function takes no weights: repeat each row as often as its weight says
        rows = np.repeat(np.arange(len(y)), own.astype(int))
        first = np.r_[0, np.cumsum(own.astype(int))[:-1]]
        weight = own * compute_sample_weight("balanced", y[rows])[first]
    else:
        full = [{0: 1.0, 1: 1.0, **d} for d in chosen] if isinstance(chosen, list) else {2: 1.0, **chosen}
        full = {k: full[k] for k in np.unique(y)} if isinstance(full, dict) else full
        weight = own * compute_sample_weight(full, y)
    one = clone(model).set_params(class_weight=chosen).fit(X, y, own if sample_weight else None)
    other = clone(model).fit(X, y, weight)
    np.testing.assert_allclose(output(one, X), output(other, X), rtol=0, atol=1e-9)  # the factors' rounding
    assert np.abs(output(one, X) - output(clone(model).fit(X, y, own), X)).max() > 1e-3


# ---------------------------------------------------------------- members


def single_network(together, k):
    """Return a single network that starts from the weights of member k."""
    start = together.fresh
    return clone(together.unfitted).set_params(
        n_members=1, init=([w[k] for w in start.coefs_], [b[k] for b in start.intercepts_])
    )


class Together:
    """Three members, fitted, and the same members before training."""

    def __init__(self, task, **parameters):
        model, self.X, self.y = make(task, n_members=3, dtype="float64", shuffle=False, **parameters)
        self.unfitted = model.set_params(restore_best_weights=False)
        # a learning rate this small leaves the initial weights as they are
        still = {"solver": "sgd", "learning_rate_init": 1e-300, "weight_decay": 0, "max_iter": 1}
        self.fresh = clone(model).set_params(**still).fit(self.X, self.y)
        self.fitted = clone(model).fit(self.X, self.y)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "parameters",
    [
        {"batch_size": 25},
        {"batch_size": 25, "solver": "sgd", "learning_rate_init": 0.01, "clip_norm": 0.05, "alpha": 3.0},
        {"batch_size": 25, "weight_decay": 0.1, "activation": "tanh", "hidden_layer_sizes": (5, 4)},
    ],
    ids=["adam", "sgd, clipped", "decay"],
)
def test_a_member_equals_a_single_network(task, parameters):
    together = Together(task, **parameters)
    X, y = together.X, together.y
    networks = [single_network(together, k).fit(X, y) for k in range(3)]
    for k, network in enumerate(networks):
        for many, one in zip(together.fitted.coefs_, network.coefs_, strict=True):
            # one batched product or three: rounding only
            np.testing.assert_allclose(many[k], one, rtol=0, atol=1e-10)
        for many, one in zip(together.fitted.intercepts_, network.intercepts_, strict=True):
            np.testing.assert_allclose(many[k], one, rtol=0, atol=1e-10)
    assert np.abs(networks[0].coefs_[0] - networks[1].coefs_[0]).max() > 0.1
    mean = np.mean([raw_scores(network, X) for network in networks], axis=0)  # the link follows the mean
    np.testing.assert_allclose(raw_scores(together.fitted, X), mean, rtol=1e-9, atol=1e-9)
    curve = np.mean([network.loss_curve_ for network in networks], axis=0)
    np.testing.assert_allclose(together.fitted.loss_curve_, curve, rtol=1e-9)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_first_member_is_the_network_of_that_seed(solver):
    together, X, y = make("multiclass", n_members=2, solver=solver, dtype="float64", shuffle=False)
    alone = clone(together).set_params(n_members=1)
    if solver == "lbfgs":  # the members share each line search, and agree only after both have converged
        options = {"hidden_layer_sizes": (), "alpha": 1.0, "tol": 1e-9, "max_iter": 500}
        together.set_params(**options).fit(X, y)
        np.testing.assert_allclose(together.coefs_[0][0], alone.set_params(**options).fit(X, y).coefs_[0], atol=0.02)
    else:
        together.set_params(restore_best_weights=False).fit(X, y)
        alone.set_params(restore_best_weights=False).fit(X, y)
        np.testing.assert_allclose(together.coefs_[0][0], alone.coefs_[0], rtol=0, atol=1e-10)


# ---------------------------------------------------------------- forms of a table


def sparse_table(seed=0, n=90):
    """Return a table of mostly zeros with some NaN, in very different units, and a target."""
    rng = np.random.RandomState(seed)
    X = rng.randn(n, 6) * [1, 10, 1e3, 1, 1e-3, 1] * (rng.rand(n, 6) < 0.5)
    X[rng.rand(n, 6) < 0.1] = np.nan
    X[:, 3] = np.abs(rng.randn(n)) + 1  # no zeros and no NaN
    X[:, 5] = 0
    return X, np.nan_to_num(X[:, 0]) + X[:, 3]


@pytest.mark.parametrize("form", ["csr", "csc", "coo"])
@pytest.mark.parametrize("kind", ["array", "matrix"])
@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_sparse_is_dense(form, kind, scaled, dtype):
    X, y = sparse_table()
    X = X if scaled else X / [1, 10, 1e3, 1, 1e-3, 1]
    stored = getattr(sp, f"{form}_{kind}")(X)  # NaN is stored, zeros are not
    assert stored.nnz < 0.7 * X.size
    model = plain(ScratchMLPRegressor, **SMALL, scale_features=scaled, dtype=dtype, batch_size=16, n_members=2)
    dense, sparse = clone(model).fit(X, y), clone(model).fit(stored, y)
    # a sum over the stored values plus the offset of all rows, instead of one product
    atol = 1e-9 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(sparse.loss_curve_, dense.loss_curve_, rtol=0, atol=atol)
    for fitted in (dense, sparse):  # each predicts from both forms
        for table in (X, stored):
            np.testing.assert_allclose(fitted.predict(table), dense.predict(X), rtol=0, atol=atol)
    assert np.ptp(dense.predict(X)) > 0.1


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("solver", ["adam", "lbfgs", "sgd"])
def test_sparse_is_dense_for_classes(task, solver):
    _, _, y = make(task)
    X, _ = sparse_table(1, len(y))
    weight = RNG.randint(0, 3, len(y)).astype(float)
    model = make(task, solver=solver, dtype="float64", early_stopping=solver == "adam", max_iter=4)[0]
    dense, sparse = clone(model).fit(X, y, weight), clone(model).fit(sp.csr_array(X), y, weight)
    np.testing.assert_allclose(output(sparse, sp.csc_array(X)), output(dense, X), rtol=0, atol=1e-7)  # as above


def test_sparse_with_entries_stored_twice_out_of_order_or_zero():
    X, y = sparse_table()
    rows, cols = np.nonzero(np.ones_like(X))
    halves = np.r_[X.ravel() / 2, X.ravel() / 2]  # every entry, zeros included, in two halves
    order = RNG.permutation(len(halves))
    stored = sp.coo_array((halves[order], (np.r_[rows, rows][order], np.r_[cols, cols][order])), shape=X.shape)
    model = plain(ScratchMLPRegressor, **SMALL, dtype="float64")
    dense, sparse = clone(model).fit(X, y), clone(model).fit(stored, y)
    np.testing.assert_allclose(sparse.predict(stored), dense.predict(X), rtol=0, atol=1e-9)


@pytest.mark.parametrize("task", ["regression", "multiclass", "multilabel"])
@pytest.mark.parametrize(
    "form",
    [
        pd.DataFrame,
        lambda X: pl.DataFrame(X, schema=[f"c{j}" for j in range(X.shape[1])]),
        lambda X: X.tolist(),
        np.asfortranarray,
        lambda X: np.hstack([X, X])[:, : X.shape[1]],
        lambda X: X.astype(object),
    ],
    ids=["pandas", "polars", "list", "fortran", "strided", "objects"],
)
def test_form_of_a_table_of_numbers_does_not_matter(task, form):
    model, X, y = make(task)
    one, other = clone(model).fit(X, y), clone(model).fit(form(X), y)
    np.testing.assert_array_equal(output(one, X), output(other, form(X)))
    np.testing.assert_array_equal(one.loss_curve_, other.loss_curve_)


@pytest.mark.parametrize("form", [lambda y: y.tolist(), pd.Series, pl.Series, lambda y: y[:, None]])
def test_form_of_a_target_does_not_matter(form):
    model, X, y = make("regression")
    if getattr(form(y), "ndim", 1) == 2:
        with pytest.warns(match="column-vector y"):
            other = clone(model).fit(X, form(y))
    else:
        other = clone(model).fit(X, form(y))
    assert_same_bits(clone(model).fit(X, y), other, X)


def test_names_of_classes_do_not_matter():
    model, X, y = make("multiclass")
    numbers = clone(model).fit(X, y)
    for names in (np.array(["a", "b", "c"]), np.array(["a", "b", "c"], dtype=object), np.array([-5, 7, 90])):
        named = clone(model).fit(X, names[y])
        assert_same_bits(numbers, named, X)
        np.testing.assert_array_equal(named.predict(X), names[numbers.predict(X)])
    series = clone(model).fit(X, pd.Series(np.array(["a", "b", "c"])[y], dtype="category"))
    assert_same_bits(numbers, series, X)


def mixed(n=80):
    rng = np.random.RandomState(0)
    return {
        "number": np.where(rng.rand(n) < 0.1, np.nan, rng.randn(n)),
        "town": [None if r < 0.1 else "uvw"[int(3 * r)] for r in rng.rand(n)],
        "street": [f"s{k:02d}" for k in rng.randint(0, 30, n)],  # more than 20 categories: an embedding
        "flag": rng.rand(n) < 0.5,
    }


@pytest.mark.parametrize(
    "form",
    [
        lambda d: pd.DataFrame(d).astype({"town": "category", "street": "category"}),
        lambda d: pd.DataFrame(d).astype({"town": object, "street": object, "flag": object}),
        lambda d: pd.DataFrame(d).astype({"town": pd.StringDtype("python"), "flag": "boolean", "number": "Float64"}),
        lambda d: pd.DataFrame({**d, "town": pd.Categorical(d["town"], categories=list("wvux"), ordered=True)}),
        lambda d: pl.DataFrame(d, nan_to_null=True),
        lambda d: pl.DataFrame(d).with_columns(pl.col("town").cast(pl.Categorical)),
        lambda d: pl.DataFrame(d).with_columns(pl.col("town").cast(pl.Enum(["w", "v", "u"]))),
        lambda d: pl.DataFrame({**d, "number": pl.Series(d["number"], nan_to_null=True)}, strict=False),
    ],
    ids=["category", "object", "nullable", "ordered", "polars", "polars-categorical", "polars-enum", "polars-null"],
)
def test_form_of_a_mixed_table_does_not_matter(form):
    data = mixed()
    y = np.arange(80.0) % 7
    model = plain(ScratchMLPRegressor, **SMALL)
    frame = pd.DataFrame(data)
    one, other = clone(model).fit(frame, y), clone(model).fit(form(data), y)
    assert_same_bits(one, other, form(data))
    np.testing.assert_array_equal(one.predict(frame), other.predict(frame))
    assert one.feature_names_in_.tolist() == other.feature_names_in_.tolist() == list(data)


def test_object_array_is_the_frame():
    frame = pd.DataFrame(mixed())
    y = np.arange(80.0) % 7
    model = plain(ScratchMLPRegressor, **SMALL)
    one, other = clone(model).fit(frame, y), clone(model).fit(frame.to_numpy(dtype=object), y)
    np.testing.assert_array_equal(one.predict(frame), other.predict(frame.to_numpy(dtype=object)))


# ---------------------------------------------------------------- two classes


def test_binary_is_a_softmax_of_two_scores():
    rng = np.random.RandomState(0)
    x, t = rng.randn(12, 4), rng.randint(0, 2, 12).astype(float)
    one, two = (build(4, (), [5], n_out, ["tanh"]) for n_out in (1, 2))
    p, q = np.zeros((1, one.layout.size)), np.zeros((1, two.layout.size))
    one.initialise(p, rng)
    for single, double in zip(one.dense(p), two.dense(q), strict=True):
        for a, b in ((single.W, double.W), (single.b, double.b)):
            b[...] = a if a.shape == b.shape else np.concatenate([-a / 2, a / 2], axis=-1)
    runs = []
    for network, parameters, link, targets in (
        (one, p, "logistic", t[:, None]),
        (two, q, "softmax", np.c_[1 - t, t]),
    ):
        gradient = np.full_like(parameters, np.nan)
        bound = network.bind(parameters, gradient, Table(x))
        rows, evaluate = make_loss("log_loss", link).bind(bound.z, targets[None], bound.dz)
        (bound.forward + evaluate + bound.backward).run()
        runs.append((rows.copy(), network.dense(gradient), make_loss("log_loss", link).link.apply(bound.z)))
    (loss_1, g_1, p_1), (loss_2, g_2, p_2) = runs
    np.testing.assert_allclose(loss_1, loss_2, rtol=1e-12)
    np.testing.assert_allclose(p_1[..., 0], p_2[..., 1], rtol=1e-12)
    # scores ∓z/2: the gradient of the hidden layer is the same; that of the output is split into two of opposite signs
    np.testing.assert_allclose(g_1[0].W, g_2[0].W, rtol=0, atol=1e-12)
    np.testing.assert_allclose(g_1[0].b, g_2[0].b, rtol=0, atol=1e-12)
    for a, b in ((g_1[1].W, g_2[1].W), (g_1[1].b, g_2[1].b)):
        np.testing.assert_allclose(np.concatenate([-a, a], axis=-1), b, rtol=0, atol=1e-12)
    assert np.abs(g_1[1].W).min() > 1e-3


# ---------------------------------------------------------------- pickled, continued, interrupted

CONTINUED = {
    "adam": {},
    "sgd": {"solver": "sgd", "learning_rate_init": 0.01},
    "dropout": {"dropout": 0.3, "hidden_layer_sizes": (6, 5)},
    "members": {"n_members": 2, "dropout": 0.1},
    "in order": {"shuffle": False},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling"},
    "float32": {"dtype": "float32"},
    "last weights": {"restore_best_weights": False},
    "folds": {**FOLDS, "calibrate": True},
    "bins": {"numeric_embedding": "bins", "n_bins": 6, "init": "data", "parametrization": "ntk"},
}


def reload(model):
    return pickle.loads(pickle.dumps(model))


@pytest.mark.parametrize("task", ["regression", "multiclass"])
@pytest.mark.parametrize("parameters", CONTINUED.values(), ids=CONTINUED)
@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.slow
def test_two_fits_are_one_of_twice_the_epochs(task, parameters, pickled):
    model, X, y = make(task, **{"learning_rate": "constant", "batch_size": 32, "warm_start": True, **parameters})
    parts = clone(model).set_params(max_iter=3).fit(X, y)
    parts = (reload(parts) if pickled else parts).fit(X, y)
    whole = clone(model).set_params(max_iter=6).fit(X, y)
    assert_same_bits(parts, whole, X)
    assert parts.n_iter_ == 3 and len(parts.loss_curve_) == 6 and parts.t_ == whole.t_


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("learning_rate", ["constant", "cosine", "one_cycle"])
@pytest.mark.parametrize("parameters", [{}, {"dropout": 0.3, "n_members": 2}], ids=["plain", "dropout"])
def test_partial_fits_are_one_fit(task, learning_rate, parameters):
    model, X, y = make(task, learning_rate=learning_rate, batch_size=32, restore_best_weights=False, **parameters)
    steps = clone(model)
    for k in range(6):
        steps.partial_fit(X, y, **({"classes": np.unique(y)} if y.ndim == 1 and task != "regression" else {}))
        assert len(steps.loss_curve_) == k + 1
        if k == 2:
            steps = reload(steps)
    assert_same_bits(steps, clone(model).fit(X, y), X)


@pytest.mark.parametrize("task", TASKS)
def test_pickled_predicts_the_same(task):
    for options in ({"n_members": 2}, {**FOLDS, "calibrate": True}):
        model, X, y = make(task, **options)
        model.fit(X, y)
        assert_same_bits(model, reload(model), X)


class Interrupting:
    """A loss (half the squared error) or a scorer that raises KeyboardInterrupt in one of its calls."""

    def __init__(self, call):
        self.call, self.calls = call, 0

    def count(self):
        self.calls += 1
        if self.calls == self.call:
            raise KeyboardInterrupt

    def __call__(self, *arguments):
        self.count()
        if len(arguments) == 2:  # a loss: targets and scores
            t, z = arguments
            return 0.5 * ((z - t) ** 2).sum(axis=1), z - t
        estimator, X, y = arguments
        return estimator.score(X, y)


def fit_interrupted(model, X, y):
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        try:
            return model.fit(X, y)
        except KeyboardInterrupt:  # it would end the whole test run
            pytest.fail("fit did not handle a KeyboardInterrupt")


@pytest.mark.parametrize("call", [1, 10, 23])  # at the start, within an epoch, or in validation
@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("learning_rate", ["constant", "cosine"])
@pytest.mark.parametrize("parameters", [{}, {"early_stopping": True}, {"dropout": 0.3, "solver": "sgd"}])
@pytest.mark.slow
def test_interrupted_fit_is_finished_by_the_next(call, pickled, learning_rate, parameters):
    model, X, y = make("regression", learning_rate=learning_rate, batch_size=32, warm_start=True, max_iter=8)
    model.set_params(**parameters)
    whole = clone(model).set_params(loss=Interrupting(np.inf)).fit(X, y)
    part = fit_interrupted(clone(model).set_params(loss=Interrupting(call)), X, y)
    calls = 4 + model.early_stopping  # an epoch
    assert len(part.loss_curve_) == (call - 1) // calls
    assert np.isfinite(part.predict(X)).all()
    part = reload(part) if pickled else part
    assert_same_bits(part.fit(X, y), whole, X)
    assert part.validation_scores_ == whole.validation_scores_ and part.best_iteration_ == whole.best_iteration_


@pytest.mark.parametrize("call", [1, 3])
@pytest.mark.parametrize("pickled", [False, True])
def test_fit_interrupted_while_it_validates_is_finished_by_the_next(call, pickled):
    model, X, y = make("regression", batch_size=32, warm_start=True, early_stopping=True, max_iter=8)
    whole = clone(model).set_params(scoring=Interrupting(np.inf)).fit(X, y)
    part = fit_interrupted(clone(model).set_params(scoring=Interrupting(call)), X, y)
    part = reload(part) if pickled else part
    assert_same_bits(part.fit(X, y), whole, X)
    assert part.validation_scores_ == whole.validation_scores_ and len(part.validation_scores_) == 8


class Falling:
    """A schedule that raises KeyboardInterrupt in one of its calls."""

    def __init__(self, call):
        self.interrupting = Interrupting(call)

    def __call__(self, u):
        self.interrupting.count()
        return 1 - u


def assert_same_folds(one, other):
    np.testing.assert_array_equal(folds_of(one), folds_of(other))
    np.testing.assert_array_equal(one.oof_predictions_, other.oof_predictions_)
    np.testing.assert_array_equal(
        one.validation_scores_, other.validation_scores_
    )  # NaN in epochs that are not validated
    assert one.temperature_ == other.temperature_ and one.best_iteration_ == other.best_iteration_


@pytest.mark.parametrize("call", [1, 9, 12, 25, 40])  # within an epoch, or when the plan asks for its rate at the end
@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("task", ["regression", "multiclass"])
@pytest.mark.slow
def test_interrupted_fit_with_folds_is_finished_by_the_next(call, pickled, task):
    model, X, y = make(task, **FOLDS, batch_size=32, warm_start=True, max_iter=8, calibrate=True, dropout=0.1)
    whole = clone(model).set_params(learning_rate=Falling(np.inf)).fit(X, y)
    part = fit_interrupted(clone(model).set_params(learning_rate=Falling(call)), X, y)
    assert part.n_iter_ < 8 and np.isfinite(output(part, X)).all()
    part = reload(part) if pickled else part
    part.fit(X, y)
    assert_same_bits(part, whole, X)
    assert_same_folds(part, whole)


@pytest.mark.parametrize("back", [1, 5])
def test_a_refit_that_is_interrupted_leaves_what_was_found(back):
    model, X, y = make("regression", **FOLDS, batch_size=32, max_iter=8, refit=1.0, loss=Interrupting(np.inf))
    whole = model.fit(X, y)
    part = fit_interrupted(clone(model).set_params(loss=Interrupting(whole.loss.calls - back)), X, y)
    assert part.n_iter_ == 8 and np.isfinite(part.predict(X)).all()
    assert_same_folds(part, whole)
    assert part.loss_curve_ == whole.loss_curve_ and not np.array_equal(part.coefs_[0], whole.coefs_[0])


def test_a_fit_interrupted_before_the_refit_keeps_its_result():
    model, X, y = make("regression", **FOLDS, batch_size=32, max_iter=3, refit=1.0)
    calls = 3 * (4 * 4 + 1)  # epochs of four batches of four members, each followed by a validation
    part = fit_interrupted(clone(model).set_params(loss=Interrupting(calls + 1)), X, y)
    assert part.n_iter_ == 3 and np.isfinite(part.predict(X)).all()


def test_interrupted_lbfgs_keeps_its_last_iterate():
    model, X, y = make("regression", solver="lbfgs", max_iter=30, tol=0)
    part = fit_interrupted(clone(model).set_params(loss=Interrupting(8)), X, y)
    upto = clone(model).set_params(loss=Interrupting(np.inf), max_iter=part.n_iter_).fit(X, y)
    assert 0 < part.n_iter_ < 8
    assert_same_bits(part, upto, X)


# ---------------------------------------------------------------- seeds


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("early_stopping", [True, "folds"])
@pytest.mark.slow
def test_same_seed_same_bits(task, early_stopping):
    model, X, y = make(task, dropout=0.2, early_stopping=early_stopping, batch_size=16, n_members=2)
    one = clone(model).fit(X, y)
    assert_same_bits(one, clone(model).fit(X, y), X)
    assert_same_bits(one, one.fit(X, y), X)  # a fit without warm_start does not depend on the earlier one
    other = clone(model).set_params(random_state=2).fit(X, y)
    assert np.abs(output(one, X) - output(other, X)).max() > 1e-6
    seeded = clone(model).set_params(random_state=np.random.RandomState(1))
    assert_same_bits(one, seeded.fit(X, y), X)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    "parameters",
    [
        {**FOLDS, "calibrate": True, "numeric_embedding": "bins", "n_bins": 6, "init": "data"},
        {"n_members": 5, "dropout": 0.2},
        {"n_members": 3, "solver": "sgd", "learning_rate_init": 0.01, "clip_norm": 0.1, "alpha": 1.0},
    ],
    ids=["folds", "dropout", "sgd"],
)
@pytest.mark.slow
def test_threads_change_no_bit(task, parameters):
    model, X, y = make(task, batch_size=25, **parameters)
    one = clone(model).set_params(n_jobs=1).fit(X, y)
    for n_jobs in (2, 3, 7, None):
        other = clone(model).set_params(n_jobs=n_jobs).fit(X, y)
        assert_same_bits(other, one, X)
        if model.early_stopping:
            assert_same_folds(other, one)


@pytest.mark.slow
def test_scores_do_not_depend_on_the_number_of_jobs():
    X, y = load_breast_cancer(return_X_y=True)
    model = ScratchMLPClassifier((64,), max_iter=3, random_state=0, batch_size=64)
    alone = cross_val_score(model, X, y, cv=4)
    with joblib.parallel_config(backend="threading"):
        np.testing.assert_array_equal(cross_val_score(model, X, y, cv=4, n_jobs=2), alone)
    log = {"scoring": "neg_log_loss", "cv": 4}
    with joblib.parallel_config(backend="threading"):
        threads = cross_val_score(model, X, y, n_jobs=2, **log)
    np.testing.assert_array_equal(threads, cross_val_score(model, X, y, **log))


# ---------------------------------------------------------------- units


@pytest.mark.parametrize("task", ["regression", "multiclass", "quantiles", "poisson"])
@pytest.mark.parametrize("parameters", [{}, {"numeric_embedding": "bins", "n_bins": 6, "init": "data"}, FOLDS])
def test_powers_of_two_as_units_of_features_change_no_bit(task, parameters):
    model, X, y = make(task, **parameters)
    units = 2.0 ** np.resize([10, -8, 30, 0, 5], X.shape[1])
    assert_same_bits(clone(model).fit(X, y), Shifted(clone(model).fit(X * units, y), units, 0), X)


class Shifted:
    """A model of X · units + shift that predicts from X."""

    def __init__(self, model, units, shift):
        self.model, self.units, self.shift = model, units, shift
        self.coefs_, self.intercepts_, self.loss_curve_ = model.coefs_, model.intercepts_, model.loss_curve_
        name = "predict_proba" if hasattr(model, "predict_proba") else "predict"
        setattr(self, name, lambda X: getattr(model, name)(X * units + shift))


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass", "multilabel", "poisson"])
@pytest.mark.parametrize("parameters", [{}, {"numeric_embedding": "bins", "n_bins": 6, "init": "data"}])
def test_units_of_features_do_not_matter(task, parameters):
    model, X, y = make(task, dtype="float64", **parameters)
    units, shift = RNG.uniform(0.01, 100, X.shape[1]), RNG.uniform(-1e3, 1e3, X.shape[1])
    one, other = clone(model).fit(X, y), clone(model).fit(X * units + shift, y)
    # a shift by 1e3 standard deviations loses 3 of 16 digits of a feature; six epochs amplify that a little
    np.testing.assert_allclose(output(other, X * units + shift), output(one, X), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "quantile"])
@pytest.mark.parametrize("unit, shift", [(2.0**20, 0.0), (1e-3, 1.0), (1e4, 1e6)])
def test_units_of_the_target_do_not_matter(loss, unit, shift):
    model, X, y = make("regression", loss=loss, dtype="float64")
    one, other = clone(model).fit(X, y).predict(X), clone(model).fit(X, y * unit + shift).predict(X)
    # 1 + 1e-3 y loses 1 or 2 digits of y
    atol = 0 if shift == 0 else 1e-7 * unit * np.ptp(y)
    np.testing.assert_allclose(other, one * unit + shift, rtol=0, atol=atol)


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
def test_unit_of_a_positive_target_does_not_matter(loss):
    model, X, y = make("regression", loss=loss, dtype="float64")
    one, other = clone(model).fit(X, y).predict(X), clone(model).fit(X, y * 1000).predict(X)
    np.testing.assert_allclose(other, 1000 * one, rtol=1e-9)  # rounding


@pytest.mark.parametrize("task", ["regression", "multiclass", "multilabel"])
def test_a_scaler_before_the_network_changes_nothing(task):
    model, X, y = make(task, dtype="float64")
    scaled = make_pipeline(StandardScaler(), clone(model)).fit(X, y)
    np.testing.assert_allclose(output(scaled, X), output(clone(model).fit(X, y), X), rtol=1e-7, atol=1e-7)  # as above
