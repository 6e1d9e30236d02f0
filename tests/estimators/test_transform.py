"""`transform`: the outputs of the last hidden layer, as a step of a pipeline."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.training.threads import training_context
from tests.helpers.estimators import CLASSES, FRAME, X, Y, make


def by_hand(model, encoded):
    """The outputs (n, K * width) of the last hidden layer of networks with tanh, from their weights."""
    parts = []
    for k in range(model.n_members):
        y = encoded
        for W, b in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
            y = np.tanh(y @ W + b if model.n_members == 1 else y @ W[k] + b[k])
        parts.append(y)
    return np.hstack(parts)


@pytest.mark.parametrize("n_members", [1, 3])
@pytest.mark.parametrize("hidden", [(4,), (4, 2)])
def test_the_outputs_are_those_of_the_last_hidden_layer_member_after_member(kind, n_members, hidden):
    options = {"n_members": n_members, "hidden_layer_sizes": hidden, "activation": "tanh", "scale_features": False}
    model = make(kind, **options).fit(X, Y[kind])
    outputs = model.transform(X)
    assert outputs.shape == (len(X), n_members * hidden[-1]) and outputs.dtype == np.float64
    np.testing.assert_allclose(outputs, by_hand(model, X), rtol=1e-12)


def test_the_output_layer_makes_the_raw_scores_of_them():
    model = make("classifier", n_members=2).fit(X, Y["classifier"])
    parts = np.split(model.transform(X), 2, axis=1)
    z = [part @ W + b for part, W, b in zip(parts, model.coefs_[-1], model.intercepts_[-1], strict=True)]
    np.testing.assert_allclose(np.mean(z, axis=0)[:, 0], model.decision_function(X), rtol=1e-12)


def test_names_and_frames(kind):
    model = CLASSES[kind](hidden_layer_sizes=(5, 4), n_members=3, max_iter=2, random_state=0)
    with pytest.raises(NotFittedError):
        model.get_feature_names_out()
    with pytest.raises(NotFittedError):
        model.transform(FRAME)
    outputs = model.fit(FRAME, Y[kind]).transform(FRAME)
    names = [f"{CLASSES[kind].__name__.lower()}{j}" for j in range(12)]
    assert model.get_feature_names_out().tolist() == names
    frame = model.set_output(transform="pandas").transform(FRAME.set_index(np.arange(40) + 7))
    assert frame.columns.tolist() == names and frame.index[0] == 7
    np.testing.assert_array_equal(frame, outputs)
    assert isinstance(pickle.loads(pickle.dumps(model)).transform(FRAME), pd.DataFrame)
    assert isinstance(clone(model).fit_transform(FRAME, Y[kind]), pd.DataFrame)
    with pytest.raises(ValueError, match="feature names"):
        model.transform(FRAME[["b", "a", "c"]])


def test_polars_frames(kind):
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"a": X[:, 0], "c": ["u", "v"] * 20})
    outputs = make(kind).set_output(transform="polars").fit_transform(frame, Y[kind])
    assert isinstance(outputs, pl.DataFrame) and outputs.shape == (40, 4)


def test_fit_transform_passes_arguments_of_fit(kind):
    weight = np.linspace(0.5, 2, 40)
    outputs = make(kind).fit_transform(X, Y[kind], sample_weight=weight)
    np.testing.assert_array_equal(outputs, make(kind).fit(X, Y[kind], weight).transform(X))


def test_sparse_and_dense_rows_have_the_same_outputs(kind):
    table = np.where(np.random.RandomState(0).random(X.shape) < 0.5, 0, X)
    model = make(kind).fit(sp.csr_matrix(table), Y[kind])
    np.testing.assert_allclose(model.transform(sp.csr_array(table)), model.transform(table), atol=1e-12)


def test_large_tables_are_transformed_in_chunks(kind, monkeypatch):
    model = make(kind, n_members=2, dtype="float64").fit(X, Y[kind])
    rows = np.random.RandomState(0).normal(size=(3000, 3))  # three chunks in the network
    whole = model.transform(rows)
    np.testing.assert_allclose(whole, np.vstack([model.transform(rows[i : i + 7]) for i in range(0, 3000, 7)]))
    monkeypatch.setattr("skscratch.estimators.fitted.PREDICT_CHUNK_VALUES", 1000)
    with training_context():
        np.testing.assert_allclose(model.transform(rows), whole)


def test_embeddings_of_categories_streams_and_several_targets(kind):
    names = pd.DataFrame({"a": X[:, 0], "name": [f"n{i % 20}" for i in range(40)]})
    names = pd.concat([names] * 5).assign(name=[f"n{i % 60}" for i in range(200)])
    y = np.tile(Y[kind], 5)
    model = CLASSES[kind](hidden_layer_sizes=(4,), max_iter=2, random_state=0).fit(names, y)
    assert model.fitted_.network.layout.n_embedded and model.transform(names).shape == (200, 20)
    several = np.column_stack([Y[kind], 1 - Y[kind]])
    assert make(kind, dropout=0.3).fit(X, several).transform(X).shape == (40, 4)
    stream = make(kind).partial_fit(X, Y[kind], **({"classes": [0, 1]} if kind == "classifier" else {}))
    assert stream.transform(X).shape == (40, 4)
    assert make(kind, solver="lbfgs", tol=1.0).fit(X, Y[kind]).transform(X).shape == (40, 4)


def test_without_a_hidden_layer_there_is_nothing_to_return(kind):
    model = make(kind, hidden_layer_sizes=()).fit(X, Y[kind])
    for call in (lambda: model.transform(X), model.get_feature_names_out):
        with pytest.raises(ValueError, match=r"outputs of the last hidden layer, and with hidden_layer_sizes=\(\)"):
            call()
    assert "predict" in dir(model)


@pytest.mark.filterwarnings("ignore:overflow")
def test_outputs_that_are_not_finite_are_refused(kind):
    model = make(kind, scale_features=False, activation="relu").fit(X, Y[kind])
    with pytest.raises(ValueError, match="NaN or infinite"):
        model.transform(1.7e308 * np.array([[a, b, c] for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]))


def test_in_the_middle_of_a_pipeline(kind):
    last = KNeighborsClassifier() if kind == "classifier" else KNeighborsRegressor()
    columns = ColumnTransformer([("numbers", StandardScaler(), ["a", "b"])], remainder="passthrough")
    columns.set_output(transform="pandas")
    pipeline = make_pipeline(columns, make(kind, max_iter=20), last).fit(FRAME, Y[kind])
    assert pipeline.predict(FRAME).shape == (40,)
    assert pipeline[:-1].transform(FRAME).shape == (40, 4)
    names = pipeline[:-1].get_feature_names_out().tolist()
    assert names == make(kind).fit(X, Y[kind]).get_feature_names_out().tolist()
    assert CLASSES[kind].__name__ in estimator_html_repr(pipeline)
    assert pipeline.set_output(transform="pandas").fit(FRAME, Y[kind]).predict(FRAME).shape == (40,)
    assert cross_val_score(pipeline, FRAME, Y[kind], cv=2).shape == (2,)


def test_as_the_last_step_it_remains_a_predictor(kind):
    pipeline = make_pipeline(StandardScaler(), make(kind)).fit(X, Y[kind])
    assert pipeline.predict(X).shape == (40,) and pipeline.transform(X).shape == (40, 4)
    assert pipeline.fit_transform(X, Y[kind]).shape == (40, 4)


def test_the_seed_decides_about_the_outputs():
    first, second = (ScratchMLPRegressor(max_iter=2, random_state=0).fit_transform(X, Y["regressor"]) for _ in "ab")
    np.testing.assert_array_equal(first, second)


def test_neighbours_are_of_the_same_kind_where_those_in_the_scaled_table_are_not():
    """Two of twenty columns decide, by a rule that is not linear: in the raw table the others hide it."""
    rng = np.random.RandomState(0)
    table = rng.normal(size=(900, 20))
    y = (table[:, 0] * table[:, 1] > 0).astype(int)
    train, test = np.arange(600), np.arange(600, 900)

    def share_of_equal_neighbours(transformer):
        places = transformer.fit(table[train], y[train]).transform(table)
        neighbours = NearestNeighbors(n_neighbors=10).fit(places[train]).kneighbors(places[test], return_distance=False)
        return np.mean(y[train][neighbours] == y[test][:, None])

    raw = share_of_equal_neighbours(StandardScaler())
    ours = share_of_equal_neighbours(ScratchMLPClassifier(random_state=0))
    assert ours > raw + 0.2 and ours > 0.75
    linear = make_pipeline(ScratchMLPClassifier(random_state=0), LogisticRegression(max_iter=1000))
    assert linear.fit(table[train], y[train]).score(table[test], y[test]) > 0.75
