"""Explanations add up to predictions, belong to the right columns, and are refused where they would be wrong."""

import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor, explain
from tests.helpers.estimators import CLASSES, make_with_folds
from tests.helpers.plain import plain

RNG = np.random.RandomState(0)
N = 150
TABLE = pd.DataFrame(
    {
        "number": np.where(RNG.uniform(size=N) < 0.2, np.nan, RNG.normal(size=N)),
        "flag": RNG.uniform(size=N) < 0.5,
        "kind": RNG.choice(["a", "b", None], N),
        "name": [f"n{i}" for i in RNG.randint(0, 70, N)],
        "constant": 1.0,
    }
)
SIGNAL = (
    np.nan_to_num(TABLE["number"].to_numpy(), nan=1.0) + (TABLE["kind"] == "b").to_numpy() * TABLE["flag"].to_numpy()
)
OTHERS = TABLE[N // 2 : N // 2 + 30]
TARGET = {"regressor": SIGNAL, "classifier": np.where(SIGNAL > 0.3, "yes", "no")}


def default(kind, **options):
    own = {"clip_target": False} if kind == "regressor" else {}
    return CLASSES[kind](**{"hidden_layer_sizes": (16, 16), "random_state": 0, "max_iter": 8, **own, **options})


@pytest.fixture(params=["classifier", "regressor"])
def kind(request):
    return request.param


@pytest.fixture(scope="module", params=["classifier", "regressor"])
def fitted(request):
    return default(request.param).fit(TABLE, TARGET[request.param])


def scores(model, X):
    return model.decision_function(X) if hasattr(model, "classes_") else model.predict(X)


def assert_additive(explanation, expected, rtol=1e-5):
    """Values add up to scores; the network computes these in single precision, for other numbers of rows at a time."""
    total = explanation.base_values + explanation.values.sum(axis=1)
    np.testing.assert_allclose(total, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


def test_values_of_a_mixed_table_add_up(fitted):
    explanation = explain(fitted, TABLE[:20], OTHERS)
    assert explanation.values.shape == (20, 5) and explanation.values.dtype == np.float64
    assert type(explanation.base_values) is float
    assert explanation.feature_names == list(TABLE.columns) and explanation.data is not None
    assert not explanation.values[:, 4].any()  # the constant
    assert_additive(explanation, scores(fitted, TABLE[:20]))


def test_what_the_sum_misses_is_little(fitted, monkeypatch):
    from skscratch import explanation

    missing, complete = [], explanation._made_additive
    monkeypatch.setattr(
        explanation,
        "_made_additive",
        lambda values, total: (missing.append(total - values.sum(axis=1)), complete(values, total))[1],
    )
    explain(fitted, TABLE[:40], OTHERS)
    assert np.abs(missing[0]).mean() < 1e-3 * scores(fitted, TABLE).std()


def test_the_columns_that_matter_have_the_largest_values(fitted):
    sizes = np.abs(explain(fitted, TABLE[:40], OTHERS).values).mean(axis=0)
    assert sizes.argmax() == 0 and sizes[0] > 3 * sizes[3]


def test_more_points_on_the_line_change_little(fitted, monkeypatch):
    coarse = explain(fitted, TABLE[:20], OTHERS).values
    monkeypatch.setattr("skscratch.explanation.N_POINTS", 40)
    fine = explain(fitted, TABLE[:20], OTHERS).values
    np.testing.assert_allclose(coarse, fine, atol=0.01 * np.abs(fine).max())


def test_a_linear_network_has_its_shapley_values():
    X = RNG.normal(size=(60, 3))
    y = X @ [1.0, -2.0, 0.5] + 3
    options = {"hidden_layer_sizes": (), "scale_features": False, "dtype": "float64"}
    model = plain(ScratchMLPRegressor, **options, max_iter=5, random_state=0).fit(X, y)
    slope = model.coefs_[0][:, 0] * model.fitted_.targets.spread
    explanation = explain(model, X[:7], X)
    np.testing.assert_allclose(explanation.values, (X[:7] - X.mean(axis=0)) * slope, rtol=1e-9)
    assert explanation.base_values == pytest.approx(model.predict(X).mean())


def test_an_interaction_is_shared():
    X = RNG.normal(size=(400, 2))
    model = default("regressor", max_iter=20).fit(X, X[:, 0] * X[:, 1])
    x = np.array([[1.5, 1.5]])
    values = explain(model, x, X).values[0]
    # each of both gets about half of x0 x1 = 2.25; the network predicts it to about a tenth
    np.testing.assert_allclose(values, 1.125, atol=0.4)


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]},
        {"loss": "absolute_error", "n_members": 1},
        {"activation": "relu", "dropout": 0.1},
        {"fit_intercept": False},
        {"hidden_layer_sizes": ()},
        {"numeric_embedding": None, "scale_features": False},
        {"activation": (np.sin, np.cos)},
    ],
    ids=str,
)
def test_every_kind_of_regressor(options):
    model = default("regressor", **options).fit(TABLE, SIGNAL)
    explanation = explain(model, TABLE[:6], OTHERS)
    assert explanation.values.shape == ((6, 5, 3) if "quantile" in options else (6, 5))
    assert_additive(explanation, model.predict(TABLE[:6]))


def test_several_targets_labels_and_classes():
    y = np.column_stack([SIGNAL, -3 * SIGNAL])
    model = default("regressor").fit(TABLE, y)
    explanation = explain(model, TABLE[:6])
    assert explanation.output_names == ["y0", "y1"]
    assert_additive(explanation, model.predict(TABLE[:6]))
    labels = default("classifier").fit(TABLE, (y > 0).astype(int))
    assert explain(labels, TABLE[:6]).output_names == ["label0", "label1"]
    assert_additive(explain(labels, TABLE[:6]), labels.decision_function(TABLE[:6]))
    iris = load_iris(as_frame=True)
    classes = default("classifier").fit(iris.data, iris.target_names[iris.target])
    explanation = explain(classes, iris.data[::10], iris.data)
    assert explanation.output_names == ["setosa", "versicolor", "virginica"]
    assert_additive(explanation, classes.decision_function(iris.data[::10]))


@pytest.mark.parametrize(
    "options", [{"loss": "poisson"}, {"loss": "squared_error", "out_activation": "softplus"}], ids=str
)
def test_behind_an_output_activation_raw_scores_are_explained(options):
    model = default("regressor", **options).fit(TABLE, SIGNAL - SIGNAL.min())
    explanation = explain(model, TABLE[:6], OTHERS)
    raw = explanation.base_values + explanation.values.sum(axis=1)
    p = model.fitted_.targets.decode(model.fitted_.loss.link.apply(raw[:, None]))[:, 0]
    np.testing.assert_allclose(p, model.predict(TABLE[:6]), rtol=1e-4)


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_other_frames_give_the_same(fitted, library):
    if library == "polars":
        frame = pytest.importorskip("polars").from_pandas(TABLE[:10])
    else:
        frame = pytest.importorskip("pyarrow").Table.from_pandas(TABLE[:10])
    np.testing.assert_array_equal(explain(fitted, frame).values, explain(fitted, TABLE[:10]).values)


def test_arrays_and_lists_and_a_sample_of_the_background(kind):
    X = RNG.normal(size=(120, 3))
    model = make_with_folds(kind).fit(X, TARGET[kind][:120])
    few = explain(model, X[:4], X, max_background=10)
    np.testing.assert_array_equal(few.values, explain(model, X[:4].tolist(), X, max_background=10).values)
    assert few.feature_names == ["x0", "x1", "x2"]
    assert few.base_values != explain(model, X[:4], X).base_values
    alone = explain(model, X[:1])  # compared with itself
    assert not alone.values.any() and alone.base_values == pytest.approx(scores(model, X[:1])[0])


def test_inside_pipelines_and_searches(kind):
    X, y = TABLE[["number", "flag", "constant"]].fillna(0).astype(float), TARGET[kind]
    model = make_with_folds(kind).fit(StandardScaler().fit_transform(X), y)
    expected = explain(model, StandardScaler().fit_transform(X)[:20]).values
    pipeline = make_pipeline(StandardScaler(), make_with_folds(kind))
    for outer in (
        pipeline,
        GridSearchCV(pipeline, {}, cv=2),
        make_pipeline(StandardScaler(), make_pipeline(make_with_folds(kind))),
    ):
        explanation = explain(outer.fit(X, y), X[:20])
        np.testing.assert_allclose(explanation.values, expected, rtol=1e-5, atol=1e-7)
        assert explanation.feature_names == ["number", "flag", "constant"]
    frozen = FrozenEstimator(pipeline.fit(X, y))
    np.testing.assert_allclose(explain(frozen, X[:20]).values, expected, rtol=1e-5, atol=1e-7)


def test_what_cannot_be_explained(fitted):
    with pytest.raises(NotFittedError):
        explain(ScratchMLPClassifier(), TABLE)
    with pytest.raises(TypeError, match="no ScratchMLPClassifier or ScratchMLPRegressor in this MLPRegressor"):
        explain(MLPRegressor(), TABLE)
    with pytest.raises(ValueError, match="max_background must be at least 1"):
        explain(fitted, TABLE, max_background=0)
    with pytest.raises(ValueError, match="feature names"):
        explain(fitted, TABLE.rename(columns={"number": "numbers"}))
    with pytest.raises(ValueError, match="feature names"):
        explain(fitted, TABLE, TABLE[["number"]])
    with pytest.raises(ValueError, match="0 sample"):
        explain(fitted, TABLE, TABLE[:0])
    model = make_with_folds("regressor").fit(TABLE[["constant", "flag"]].to_numpy(float), SIGNAL)
    with pytest.raises(TypeError, match=r"X is sparse, .* X\[:100\]\.toarray\(\)"):
        explain(model, sp.csr_matrix(np.ones((3, 2))))
    scaled = TransformedTargetRegressor(make_with_folds("regressor"), transformer=StandardScaler())
    scaled.fit(TABLE[["flag"]], SIGNAL)
    with pytest.raises(TypeError, match="A TransformedTargetRegressor does more than the network in it"):
        explain(scaled, TABLE[["flag"]])


def test_a_dask_collection_is_refused(fitted):
    frames = pytest.importorskip("dask.dataframe")
    with pytest.raises(TypeError, match="background is a Dask collection"):
        explain(fitted, TABLE, frames.from_pandas(TABLE, npartitions=2))


def test_for_shap(fitted, monkeypatch):
    shap = pytest.importorskip("shap")
    explanation = explain(fitted, TABLE[:5], OTHERS)
    converted = explanation.to_shap()
    assert isinstance(converted, shap.Explanation) and converted.shape == (5, 5)
    np.testing.assert_array_equal(converted.values, explanation.values)
    np.testing.assert_array_equal(converted.base_values, explanation.base_values)
    assert converted.feature_names == list(TABLE.columns)


def test_without_shap_the_error_names_the_extra(fitted, monkeypatch):
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(ImportError, match=r"skscratch\[shap\]"):
        explain(fitted, TABLE[:2]).to_shap()
