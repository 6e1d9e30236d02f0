"""What an ONNX model says, run by onnxruntime, is what the estimator predicts."""

import copy
import importlib
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding.class_targets import ClassTargets
from skscratch.nn import links
from skscratch.nn.activations import ACTIVATIONS
from skscratch.nn.embedding import BatchEmbedding
from skscratch.nn.layers import Layer
from skscratch.nn.losses import REGRESSION_LOSSES
from skscratch.onnx.convert import OPSET
from skscratch.onnx.encoding import BLOCK_EMITTERS
from skscratch.onnx.estimators import TARGET_EMITTERS
from skscratch.onnx.network import ACTIVATION_EMITTERS, LAYER_EMITTERS, LINK_EMITTERS

skl2onnx = pytest.importorskip("skl2onnx")
onnxruntime = pytest.importorskip("onnxruntime")
checker = importlib.import_module("onnx.checker")
data_types = importlib.import_module("skl2onnx.common.data_types")
onnx = importlib.import_module("skscratch.onnx")

QUICK = {"hidden_layer_sizes": (6, 5), "n_members": 2, "n_folds": 2, "max_iter": 3, "random_state": 0}
RANDOM = np.random.default_rng(0)


def classifier(**options):
    return ScratchMLPClassifier(**{**QUICK, **options})


def regressor(**options):
    return ScratchMLPRegressor(**{**QUICK, **options})


def run(model, feed):
    """Outputs of a model by name, computed by onnxruntime."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip((output.name for output in session.get_outputs()), session.run(None, feed), strict=True))


def assert_equal(estimator, X, rows=None, model=None, feed=None, tolerance=1e-5):
    """Convert, unless a `model` is given; run on `rows` (X by default) and compare; returns the outputs.

    Within 1e-5 (`tolerance`), of a probability or relative to the scale of numbers: float32 has seven digits, and sums
    in another order lose one or two.  Labels are compared where no other class is as probable within that error.
    """
    rows = X if rows is None else rows
    model = onnx.to_onnx(estimator, X) if model is None else model
    out = run(model, onnx.input_feed(model, rows) if feed is None else feed)
    predicted = estimator.predict(rows)
    if hasattr(estimator, "predict_proba"):
        label, p, right = out["label"], out["probabilities"], estimator.predict_proba(rows)
        assert p.shape == right.shape
        assert np.abs(p - right).max() < tolerance
        assert label.shape == predicted.shape
        if label.ndim == 2:  # several labels: each is present or absent
            clear = np.abs(right - 0.5) > tolerance
        else:
            clear = np.all(np.diff(np.sort(right, axis=1)[:, -2:]) > 2 * tolerance, axis=1)
        assert np.array_equal(label[clear], predicted[clear])
    else:
        (y,) = out.values()
        assert y.shape == predicted.reshape(len(predicted), -1).shape
        error = np.abs(y.reshape(predicted.shape) - predicted)
        assert np.all(error < tolerance * (np.std(predicted) + np.abs(predicted)))
    return out


def numbers_table(n=120, dtype=np.float64):
    """Numbers of several units, some missing, one constant."""
    X = RANDOM.normal(size=(n, 5)) * [1, 1e-3, 1e4, 1, 1] + [0, 5, 1e6, 0, 3]
    X[RANDOM.random(n) < 0.2, 3] = np.nan
    X[:, 4] = 3
    return X.astype(dtype)


def mixed_table(n=150, seed=0):
    """A column of each kind."""
    draw = np.random.default_rng(seed)

    def holes(values, share=0.2):
        return pd.Series(values).astype(object).where(draw.random(n) >= share, None)

    return pd.DataFrame(
        {
            "city": holes(draw.choice(["Ulm", "Köln", "Rom"], n)),
            "size": pd.Categorical(draw.choice(["S", "M", "L"], n)),
            "user": holes([f"u{i}" for i in draw.integers(0, 90, n)], 0.1),
            "age": holes(draw.gamma(3, 10, n)).astype(float),
            "fare (€)": draw.exponential(30, n).astype(np.float32),
            "rooms": draw.integers(1, 9, n),
            "floors": holes(draw.integers(1, 9, n)).astype("Int64"),
            "sold": draw.random(n) < 0.5,
            "new": holes(draw.random(n) < 0.5).astype("boolean"),
        }
    )


def changed(X, seed=1):
    """The rows in another order column by column, with categories and holes that were never seen, and far numbers."""
    draw = np.random.default_rng(seed)
    n, new = len(X), X.copy()
    for name in X.columns:
        new[name] = X[name].array.take(draw.permutation(n))
    new.loc[draw.random(n) < 0.1, ["city", "user"]] = "never seen"
    new.loc[draw.random(n) < 0.1, ["city", "user", "size"]] = None
    new.loc[draw.random(n) < 0.1, ["age", "fare (€)"]] = np.nan
    new.loc[draw.random(n) < 0.1, "age"] = 1e9
    return new


LABELS = {
    "strings": np.array(["no", "yes"]),
    "ints": np.array([3, -1]),
    "bools": np.array([False, True]),
    "three": np.array(["low", "mid", "high"]),
    "whole floats": np.array([1.0, 2.0, 5.0]),
}


# ------------------------------------------------------------------ all of the network has an emitter


def test_every_activation_has_an_emitter():
    assert set(ACTIVATION_EMITTERS) == set(ACTIVATIONS)


def test_every_link_has_an_emitter():
    in_module = {link.name for link in vars(links).values() if isinstance(link, links.Link)}
    assert set(LINK_EMITTERS) == in_module | set(links.LINKS)


def test_every_layer_has_an_emitter():
    modules = [module for name, module in sys.modules.items() if name.startswith("skscratch.")]
    classes = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    layers = {c for c in classes if all(hasattr(c, name) for name in ("slots", "initialise", "bind"))}
    assert set(LAYER_EMITTERS) == layers - {Layer, BatchEmbedding}  # the protocol, and one that is only for training


def test_every_kind_of_classes_has_an_emitter():
    assert set(TARGET_EMITTERS) == set(ClassTargets.__subclasses__())


def test_every_block_of_the_encoder_has_an_emitter():
    blocks = regressor().fit(numbers_table(), np.arange(120.0)).fitted_.encoder.blocks
    assert set(BLOCK_EMITTERS) == {type(block) for block in blocks}


# ------------------------------------------------------------------ classifiers


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.slow
def test_every_activation(activation, dtype):
    X = numbers_table()
    model = regressor(activation=activation, dtype=dtype, clip_target=False).fit(X, X[:, 0])
    assert_equal(model, X)
    model.fitted_.parameters[:] *= 30  # to where the functions bend, and exponentials overflow
    assert_equal(model, X, tolerance=1e-4)  # each layer multiplies the roundings of the one before by about 30


@pytest.mark.parametrize(("loss", "dtype"), [("log_loss", np.float32), ("squared_error", np.float64)])
@pytest.mark.parametrize("labels", LABELS)
def test_classes_of_every_type(labels, loss, dtype):
    X, classes = numbers_table(dtype=dtype), LABELS[labels]
    y = classes[np.arange(len(X)) % len(classes)]
    out = assert_equal(classifier(loss=loss, label_smoothing=0.1).fit(X, y), X)
    assert out["probabilities"].dtype == dtype
    assert out["label"].dtype == (object if classes.dtype.kind == "U" else np.int64)


def test_multilabel():
    X = numbers_table()
    out = assert_equal(classifier().fit(X, np.c_[X[:, 0] > 0, X[:, 1] > 5, X[:, 2] > 1e6].astype(int)), X)
    assert out["label"].shape == (len(X), 3)


def test_a_tie_goes_to_the_class_that_predict_takes():
    X = numbers_table()
    for y in (np.arange(len(X)) % 2, np.arange(len(X)) % 3, np.eye(3, dtype=int)[np.arange(len(X)) % 3]):
        model = classifier().fit(X, y)
        model.fitted_.parameters[:] = 0
        out = assert_equal(model, X)
        np.testing.assert_array_equal(out["label"], model.predict(X))  # exactly tied, so that the order decides


def test_temperature_members_and_dropout():
    X, y = load_breast_cancer(return_X_y=True)
    model = classifier(n_members=4, dropout=0.2).fit(X, y)
    assert model.temperature_ != 1
    assert_equal(model, X)
    assert_equal(model, X.astype(np.float32))


# ------------------------------------------------------------------ regressors

LINKS_OF = {
    "squared_error": ["identity", "logistic", "tanh", "softplus", "exp"],
    "absolute_error": ["identity", "softplus"],
    "huber": ["identity", "tanh"],
    "poisson": ["auto"],
    "gamma": ["auto"],
    "quantile": ["identity", "exp"],
}


def test_every_loss_is_tried():
    assert set(LINKS_OF) == set(REGRESSION_LOSSES)


@pytest.mark.parametrize(
    "options", [{"dtype": "float32"}, {"dtype": "float64", "scale_target": False, "clip_target": False}]
)
@pytest.mark.parametrize(("loss", "link"), [(loss, link) for loss, choices in LINKS_OF.items() for link in choices])
def test_every_loss_and_link(loss, link, options):
    X = numbers_table()
    y = 0.1 + 0.8 / (1 + np.exp(-X[:, 0]))  # in the range of every link
    assert_equal(regressor(loss=loss, out_activation=link, **options).fit(X, y), X)


@pytest.mark.parametrize("clip", [True, False])
def test_several_quantiles(clip):
    X, y = load_diabetes(return_X_y=True)
    model = regressor(loss="quantile", quantile=[0.1, 0.5, 0.9], clip_target=clip).fit(X, y)
    (q,) = assert_equal(model, X).values()
    assert q.shape == (len(X), 3)
    assert np.all(np.diff(q, axis=1) >= 0)


def test_several_outputs_of_different_units():
    X, y = load_diabetes(return_X_y=True)
    assert_equal(regressor().fit(X, np.c_[y, 1e6 + y, X[:, 2]]), X)


def test_digits_of_a_large_target_survive():
    X = numbers_table()
    y = 1e9 + X[:, 0]
    model = regressor(dtype="float32").fit(X, y)
    (predicted,) = run(onnx.to_onnx(model, X), {"X": X}).values()
    assert np.abs(predicted[:, 0] - model.predict(X)).max() < 1e-5 * np.std(y)
    table = pd.DataFrame({"rooms": RANDOM.integers(0, 9, len(X))})  # no input of fractions either
    model = regressor().fit(table, y)
    converted = onnx.to_onnx(model, table)
    (predicted,) = run(converted, onnx.input_feed(converted, table)).values()
    assert np.abs(predicted[:, 0] - model.predict(table)).max() < 1e-5 * np.std(y)


def test_a_loss_of_the_users_own():
    def log_cosh(y, z):
        return np.log(np.cosh(z - y)).sum(axis=1), np.tanh(z - y)

    X, y = load_diabetes(return_X_y=True)
    assert_equal(regressor(loss=log_cosh).fit(X, y), X)
    assert_equal(regressor(loss=log_cosh, out_activation="softplus").fit(X, y / 100), X)


def test_a_stream_whose_predictions_have_no_range():
    X, y = load_diabetes(return_X_y=True)
    model = regressor(learning_rate="constant").partial_fit(X[:50], y[:50])
    assert np.all(np.isinf(np.broadcast_to(model.fitted_.targets.low, 1)))
    assert_equal(model, X, rows=X * 50)
    assert_equal(model.partial_fit(X[50:100], y[50:100]), X)


def test_predictions_are_held_to_the_range_of_y():
    X, y = load_diabetes(return_X_y=True)
    model = regressor(max_iter=20).fit(X[:, 2:3], y)
    (p,) = assert_equal(model, X[:, 2:3], rows=np.linspace(-9, 9, 50)[:, None]).values()
    assert p.min() >= y.min()
    assert p.max() <= y.max()


@pytest.mark.parametrize("options", [{"hidden_layer_sizes": ()}, {"fit_intercept": False}, {"n_members": 1}])
def test_small_networks(options):
    X, y = load_diabetes(return_X_y=True)
    assert_equal(regressor(**options).fit(X, y), X)
    assert_equal(classifier(**options).fit(X, y > 140), X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_was_taken_over_from_scikit_learn(dtype):
    X, y = (a.astype(dtype) for a in load_diabetes(return_X_y=True))
    options = {"hidden_layer_sizes": (8,), "solver": "lbfgs", "max_iter": 20, "random_state": 0}
    with pytest.warns(sklearn.exceptions.ConvergenceWarning):
        theirs = MLPRegressor(**options).fit(X, np.c_[y, y])
        classes = MLPClassifier(**options).fit(X, np.digitize(y, [90, 180]))
    assert_equal(ScratchMLPRegressor.from_sklearn(theirs), X)
    assert_equal(ScratchMLPClassifier.from_sklearn(classes), X)


# ------------------------------------------------------------------ tables


@pytest.mark.parametrize("scale_features", [True, False])
@pytest.mark.parametrize("numeric_embedding", ["bins", None])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_mixed_table(dtype, numeric_embedding, scale_features):
    X = mixed_table()
    y = (X["city"] == "Rom") | (X["age"] > 30)
    options = {"dtype": dtype, "numeric_embedding": numeric_embedding, "scale_features": scale_features, "n_bins": 6}
    model = classifier(**options).fit(X, y)
    assert len(model.fitted_.encoder.categories) == 1  # the column of users has an embedding
    assert_equal(model, X, rows=changed(X))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_monotonic_constraints(dtype):
    X = mixed_table()
    options = {"dtype": dtype, "n_bins": 6, "monotonic_cst": {"age": 1, "rooms": -1}}
    model = regressor(**options).fit(X, X["age"].fillna(0) - X["rooms"])
    assert_equal(model, X, rows=changed(X))
    values = np.concatenate([-np.geomspace(1e6, 1, 50), np.linspace(-1, 99, 101), np.geomspace(100, 1e6, 50)])
    rows = X.iloc[[0] * len(values)].assign(age=values)
    converted = onnx.to_onnx(model, X)
    p = run(converted, onnx.input_feed(converted, rows))["variable"][:, 0]
    # the sums of some ten terms may round in another way in another row
    assert np.diff(p).min() >= -16 * np.finfo(dtype).eps * np.abs(p).max()
    assert p[-1] > p[0]


def test_inputs_are_named_and_typed_after_the_columns():
    X = mixed_table()
    model = onnx.to_onnx(regressor().fit(X, X["rooms"]), X)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert {place.name: place.type.removeprefix("tensor") for place in session.get_inputs()} == {
        **dict.fromkeys(["city", "size", "user"], "(string)"),
        **dict.fromkeys(["age", "floors", "new"], "(double)"),
        **{"fare____": "(float)", "rooms": "(int64)", "sold": "(bool)"},
    }
    assert all(place.shape == [None, 1] for place in session.get_inputs())


def test_a_dictionary_written_by_hand():
    X = mixed_table()
    model = classifier().fit(X, X["sold"])
    row = {"city": "", "size": "M", "user": "nobody", "age": np.nan, "fare____": 12.5, "rooms": 3}
    row |= {"floors": 2.0, "sold": True, "new": 1.0}
    types = {"fare____": np.float32, "rooms": np.int64, "sold": bool, "city": object, "size": object, "user": object}
    feed = {name: np.array([[value]], types.get(name, np.float64)) for name, value in row.items()}
    table = X.iloc[:1].copy()
    table[:] = [[None, "M", "nobody", np.nan, 12.5, 3, 2, True, True]]
    table = table.astype(X.dtypes)
    assert_equal(model, X, rows=table, model=onnx.to_onnx(model, X), feed=feed)


@pytest.mark.parametrize("names", [["label", "probabilities", "a b", "a_b", "1st"], [0, 1, 2, 3, 4]])
def test_awkward_names_of_columns(names):
    X = pd.DataFrame(numbers_table(), columns=names)
    X.columns = X.columns.astype(str)
    assert_equal(classifier().fit(X, X.iloc[:, 0] > 0), X)


def test_polars():
    X = pl.DataFrame({name: [None if pd.isna(v) else v for v in x] for name, x in mixed_table().items()})
    X = X.with_columns(
        pl.col("size").cast(pl.Categorical), pl.col("city").cast(pl.Enum(["Ulm", "Köln", "Rom", "Bonn"]))
    )
    assert_equal(classifier().fit(X, np.arange(len(X)) % 2), X)


def test_one_matrix_in_place_of_a_frame():
    frame = pd.DataFrame(numbers_table(), columns=list("abcde"))
    model = classifier().fit(frame, frame["a"] > 0)
    converted = onnx.to_onnx(model, frame.to_numpy())
    assert [place.name for place in converted.graph.input] == ["X"]
    assert_equal(model, frame, model=converted, feed={"X": frame.to_numpy()})


@pytest.mark.parametrize("kind", ["int64", "int8", "uint8", "float16", "bool", "float32", "list"])
def test_arrays_of_other_numbers(kind):
    X = RANDOM.integers(0, 2, (80, 3)) if kind == "bool" else RANDOM.integers(0, 100, (80, 3))
    X = X.tolist() if kind == "list" else X.astype(kind)
    assert_equal(classifier().fit(X, np.arange(80) % 2), X)


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("values", [[0, 1, 7], [0.5, 1.5, 2.25], [False, True], list(range(100, 160)), [1e17, -3, 4]])
@pytest.mark.slow
def test_categories_that_are_numbers(values, missing):
    codes = np.array(values, dtype=float)[np.arange(180) % len(values)]
    X = np.c_[codes, RANDOM.normal(size=180)]
    model = classifier(categorical_features=[0]).fit(X, codes > np.median(values))
    rows = X.copy()
    rows[::7, 0] += 0.25  # never seen, though it would be if cut to an integer
    rows[::11, 0] = np.nan if missing else -1e300
    assert_equal(model, X, rows=rows)
    assert_equal(model, X, rows=X.astype(np.float32).astype(float))


def test_categories_that_are_integers_in_a_frame():
    X = pd.DataFrame({"shop": RANDOM.integers(2**60, 2**60 + 70, 200), "kind": pd.Categorical(np.arange(200) % 4)})
    model = classifier(categorical_features=["shop", "kind"]).fit(X, np.arange(200) % 2)
    out = onnx.to_onnx(model, X)
    assert {place.type.tensor_type.elem_type for place in out.graph.input} == {7}  # int64, which keeps all digits
    assert_equal(model, X, rows=X.assign(shop=X["shop"] + 1))
    holes = X.assign(kind=X["kind"].where(np.arange(200) % 3 > 0))
    assert_equal(model, holes)


def test_tables_of_little():
    n = 60
    y = np.arange(n) % 2
    text = np.resize(np.array(["a", "b"], object), n)
    tables = {
        "categories alone": pd.DataFrame({"a": text, "b": np.roll(text, 1)}),
        "a large category alone": pd.DataFrame({"a": [f"c{i % 55}" for i in range(n)]}),
        "constants alone": pd.DataFrame({"a": np.ones(n), "b": np.full(n, -1e9)}),
        "nothing but missing numbers": pd.DataFrame({"a": np.full(n, np.nan), "b": np.arange(n) % 3.0}),
        "nothing but missing text": pd.DataFrame({"a": pd.Series([None] * n, dtype="string")}),
        "two values": pd.DataFrame({"a": np.resize([0.0, 1.0], n)}),
    }
    for k, X in enumerate(tables.values()):
        assert_equal(classifier(early_stopping=False, n_members=1 + k % 2).fit(X, y), X)


def test_numbers_near_the_limits_of_double_precision():
    X = RANDOM.normal(size=(150, 5)) * [1e-310, 1e-200, 1e200, 1.5e307, 1]
    X[:, 4] = np.array([-1e308, 9e307, 1e308])[np.arange(150) % 3]  # a bin that is wider than the largest number
    with np.errstate(invalid="ignore"):  # scikit-learn adds all of X up to see whether it is finite
        model = classifier(n_bins=8).fit(X, np.arange(150) % 2)
        assert model.fitted_.encoder.n_bins > 0
        assert_equal(model, X)
        assert_equal(model, X, rows=np.full((1, 5), 1.7e308))


def test_missing_values_where_none_were_seen():
    X, y = load_diabetes(return_X_y=True)
    rows = np.where(RANDOM.random(X.shape) < 0.3, np.nan, X)
    for scale in (True, False):
        assert_equal(regressor(n_bins=8, scale_features=scale).fit(X, y), X, rows=rows)
        assert_equal(regressor(n_bins=8, scale_features=scale).fit(rows, y), X, rows=rows)


def test_a_sparse_table_becomes_a_dense_input():
    X = sp.random(200, 12, 0.2, format="csr", random_state=0)
    X.data[::9] = np.nan
    X = sp.hstack([X, sp.csr_matrix(RANDOM.normal(3, 1, (200, 1)))], format="csr")
    model = classifier().fit(X, np.arange(200) % 2)
    out = assert_equal(model, X)
    assert np.array_equal(out["label"], run(onnx.to_onnx(model, X.toarray()), {"X": X.toarray()})["label"])


KINDS = st.sampled_from(["normal", "skewed", "constant", "holes", "single", "integer", "flag", "text", "many"])


@settings(max_examples=20, deadline=None)
@given(
    kinds=st.lists(KINDS, min_size=1, max_size=5),
    seed=st.integers(0, 2**32 - 1),
    target=st.sampled_from(["two", "three", "labels", "number", "numbers", "quantiles", "counts"]),
    options=st.fixed_dictionaries(
        {
            "hidden_layer_sizes": st.sampled_from([(), (4,), (5, 3)]),
            "activation": st.sampled_from(sorted(ACTIVATIONS)),
            "n_members": st.sampled_from([1, 2, 3]),
            "dtype": st.sampled_from(["float32", "float64"]),
            "fit_intercept": st.booleans(),
            "scale_features": st.booleans(),
            "numeric_embedding": st.sampled_from(["bins", None]),
            "early_stopping": st.sampled_from([False, "folds"]),
            "dropout": st.sampled_from([0.0, 0.3]),
        }
    ),
)
def test_any_table_and_network(kinds, seed, target, options):
    n, draw = 90, np.random.default_rng(seed)

    def column(kind):
        x = draw.normal(size=n)
        absent = draw.random(n) < 0.2
        return {
            "normal": x * 10.0 ** draw.integers(-3, 3) + draw.normal(),
            "skewed": np.exp(2 * x),
            "constant": np.full(n, x[0]),
            "holes": np.where(absent, np.nan, x),
            "single": x.astype(np.float32),
            "integer": draw.integers(-3, 30, n),
            "flag": x > 0,
            "text": np.where(absent, None, draw.choice(["a", "b", "ü"], n).astype(object)),
            "many": np.where(absent, None, np.array([f"k{i}" for i in draw.integers(0, 75, n)], object)),
        }[kind]

    X = pd.DataFrame({f"c{j}": column(kind) for j, kind in enumerate(kinds)})
    rows = pd.DataFrame({name: X[name].array.take(draw.permutation(n)) for name in X})
    for name, kind in zip(X, kinds, strict=True):
        if kind in ("text", "many"):
            rows.loc[draw.random(n) < 0.2, name] = "never seen"
        elif kind not in ("integer", "flag"):
            rows.loc[draw.random(n) < 0.1, name] = np.nan
    z = draw.normal(size=n)
    y, estimator = {
        "two": (z > 0, classifier()),
        "three": (np.digitize(z, [-0.5, 0.5]), classifier()),
        "labels": (np.c_[z > 0, z > 0.5].astype(int), classifier()),
        "number": (100 + z, regressor()),
        "numbers": (np.c_[z, 1e3 * z], regressor(loss="huber", clip_target=False)),
        "quantiles": (z, regressor(loss="quantile", quantile=[0.2, 0.8])),
        "counts": (np.exp(z), regressor(loss="poisson")),
    }[target]
    assert_equal(estimator.set_params(**options).fit(X, y), X, rows=rows)


# ------------------------------------------------------------------ inside scikit-learn's own estimators


def table_of_texts():
    """What ColumnTransformer passes on: texts as objects, numbers without a type of pandas's own."""
    X = mixed_table()[["city", "size", "user", "age", "rooms"]]
    return X.assign(size=X["size"].astype(object))


def columns(texts="passthrough"):
    return ColumnTransformer(
        [("numbers", StandardScaler(), ["age", "rooms"]), ("texts", texts, ["user", "city", "size"])],
        sparse_threshold=0,
    )


def calibrated(estimator=None, **options):
    return CalibratedClassifierCV(classifier() if estimator is None else estimator, cv=2, **options)


def search(estimator, **grid):
    return GridSearchCV(estimator, {name: [value] for name, value in grid.items()}, cv=2)


AROUND = {
    "pipeline": lambda: make_pipeline(columns(), classifier()),
    "search": lambda: search(classifier(), alpha=1),
    "random search": lambda: RandomizedSearchCV(classifier(), {"alpha": [0, 1]}, n_iter=1, cv=2, random_state=0),
    "search of a pipeline": lambda: search(make_pipeline(columns(), classifier()), scratchmlpclassifier__alpha=1),
    "calibrated": calibrated,
    # its steps are as steep as the gaps between raw scores are narrow: float32 does not do
    "calibrated by steps": lambda: calibrated(classifier(dtype="float64"), method="isotonic"),
    "calibrated pipeline": lambda: calibrated(make_pipeline(columns(), classifier())),
    "calibrated search": lambda: calibrated(search(classifier(), alpha=1)),
    "pipeline of a calibrated one": lambda: make_pipeline(columns(), calibrated()),
    "search of a calibrated pipeline": lambda: search(
        calibrated(make_pipeline(columns(), classifier())), ensemble=True
    ),
}


@pytest.mark.parametrize("name", AROUND)
@pytest.mark.slow
def test_estimators_around_it_on_a_mixed_table(name):
    X = table_of_texts()
    y = np.array(["a", "b", "c"])[np.arange(len(X)) % 3]
    rows = X.iloc[::-1].assign(city="never seen", age=np.where(X["rooms"] > 4, np.nan, X["age"]))
    assert_equal(AROUND[name]().fit(X, y), X, rows=rows)


METHODS = ["sigmoid", "isotonic", "temperature"]
if tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 8):
    METHODS.remove("temperature")  # not there yet


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_classes", [2, 3])
def test_calibrated_probabilities(method, n_classes):
    X, y = load_iris(return_X_y=True)
    X, y = X[y < n_classes], y[y < n_classes] == 1 if n_classes == 2 else y[y < n_classes]
    assert_equal(calibrated(classifier(dtype="float64"), method=method).fit(X, y), X)


def test_calibrated_probabilities_that_are_all_zero():
    X, y = load_iris(return_X_y=True)
    model = calibrated(classifier(dtype="float64"), method="isotonic").fit(X, y)
    for one in model.calibrated_classifiers_:
        for calibrator in one.calibrators:
            calibrator.y_thresholds_[:-1] = 0
        one.calibrators = copy.deepcopy(one.calibrators)  # which makes their functions anew
    rows = X[::-1] * [1, 0.9, 1.1, 1]  # no row of training, whose scores lie at the thresholds
    assert np.any(np.all(model.predict_proba(rows) == 1 / 3, axis=1))
    assert_equal(model, X, rows=rows)


def test_a_calibrated_classifier_that_was_frozen():
    X, y = load_iris(return_X_y=True)
    model = CalibratedClassifierCV(FrozenEstimator(make_pipeline(StandardScaler(), classifier()).fit(X, y)))
    assert_equal(model.fit(X, y), X)


@pytest.mark.parametrize("classes", [[0, 0, 1, 2], [0, 1, 1, 1]])
def test_a_calibrated_classifier_of_fewer_classes(classes):
    X, y = numbers_table(), np.resize(classes, 120)
    first, second = np.arange(120) < 60, np.arange(120) >= 60
    y[first & (y == 2)] = 1  # the classifier that is fitted to the first half knows two classes
    y[-1] = 2
    folds = [(np.flatnonzero(first), np.flatnonzero(second)), (np.flatnonzero(second), np.flatnonzero(first))]
    model = CalibratedClassifierCV(classifier(early_stopping=False), cv=folds)
    assert_equal(model.fit(X, y), X)


@pytest.mark.parametrize("method", METHODS)
def test_calibrated_classifiers_of_others_beside_it(method):
    X, y = load_iris(return_X_y=True)
    for other in (LogisticRegression(), GaussianNB()):  # one has raw scores, the other probabilities
        assert_equal(calibrated(make_pipeline(StandardScaler(), other), method=method).fit(X, y), X)


def test_a_calibrated_classifier_without_raw_scores_is_refused():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(NotImplementedError, match="no raw scores of QuadraticDiscriminantAnalysis"):
        onnx.to_onnx(calibrated(QuadraticDiscriminantAnalysis()).fit(X, y), X)


def test_encoded_and_imputed_before_it():
    X = table_of_texts().fillna({"city": "?", "user": "?"})
    model = make_pipeline(columns(OneHotEncoder(handle_unknown="ignore")), classifier())
    assert_equal(model.fit(X, np.arange(len(X)) % 2), X)
    X, y = load_diabetes(return_X_y=True)
    X = np.where(RANDOM.random(X.shape) < 0.1, np.nan, X).astype(np.float32)
    assert_equal(make_pipeline(SimpleImputer(), StandardScaler(), regressor()).fit(X, y), X)


@pytest.mark.slow
def test_skl2onnx_converts_it_by_its_own_functions():
    X, y = load_iris(return_X_y=True)
    single, texts = X.astype(np.float32), np.array(["a", "b", "c"])[y]
    onnx.register()
    onnx.register()  # a second time changes nothing
    types = [("X", data_types.FloatTensorType([None, 4]))]
    for model in (
        classifier(),
        make_pipeline(StandardScaler(), classifier()),
        search(make_pipeline(StandardScaler(), classifier()), scratchmlpclassifier__alpha=1),
        make_pipeline(StandardScaler(), calibrated()),
    ):
        model.fit(X, texts)
        assert_equal(model, X, model=skl2onnx.to_onnx(model, X, options={"zipmap": False}), feed={"X": X})
        converted = skl2onnx.convert_sklearn(model, "model", types, options={"zipmap": False})
        assert_equal(model, single, model=converted, feed={"X": single})
    assert len(run(skl2onnx.to_onnx(model, single), {"X": single})["output_probability"][0]) == 3
    for model in (regressor(), search(make_pipeline(StandardScaler(), regressor()), scratchmlpregressor__alpha=1)):
        assert_equal(model.fit(X, y), X, model=skl2onnx.to_onnx(model, X), feed={"X": X})


def test_skl2onnx_with_inputs_that_are_declared():
    X = table_of_texts()
    model = classifier().fit(X, np.arange(len(X)) % 2)
    types = [(name, data_types.StringTensorType([None, 1])) for name in ("city", "size", "user")]
    types += [("age", data_types.FloatTensorType([None, 1])), ("rooms", data_types.Int64TensorType([None, 1]))]
    onnx.register()
    converted = skl2onnx.convert_sklearn(model, "model", types, options={"zipmap": False}, target_opset=15)
    assert_equal(model, X.astype({"age": np.float32}), model=converted)
    with pytest.raises(ValueError, match=r"fitted to 5 columns, but its ONNX inputs have 4: \['city \[None, 1\]'"):
        skl2onnx.convert_sklearn(model, "model", types[:-1], options={"zipmap": False})


# ------------------------------------------------------------------ options, versions, errors


@pytest.mark.parametrize("kind", ["float32", "float64", "mixed"])
@pytest.mark.slow
def test_options_of_classifiers(kind):
    X = mixed_table() if kind == "mixed" else numbers_table(dtype=kind)
    y = np.array(["a", "b", "c"])[np.arange(len(X)) % 3]
    model = make_pipeline(classifier()).fit(X, y)
    p = model.predict_proba(X)

    def outputs(**options):
        converted = onnx.to_onnx(model, X, **options)
        return run(converted, onnx.input_feed(converted, X))

    rows = outputs(zipmap=True)["output_probability"]
    assert [sorted(row) for row in rows] == [["a", "b", "c"]] * len(X)
    assert np.abs([[row[name] for name in "abc"] for row in rows] - p).max() < 1e-5
    by_class = outputs(zipmap="columns")
    assert np.abs(np.transpose([by_class["s" + name] for name in "abc"]) - p).max() < 1e-5
    assert np.array_equal(outputs(nocl=True)["label"], p.argmax(axis=1))
    assert outputs(output_class_labels=True)["class_labels"].tolist() == ["a", "b", "c"]
    with pytest.raises(NameError, match="nonsense"):
        onnx.to_onnx(model[-1], X, nonsense=True)


def test_versions_of_onnx():
    X = mixed_table()
    model = classifier(activation=["gelu", "mish"]).fit(X, X["sold"])
    for version in (13, 15, 17, skl2onnx.get_latest_tested_opset_version()):
        converted = onnx.to_onnx(model, X, target_opset=version)
        checker.check_model(converted, full_check=True)
        assert {place.domain: place.version for place in converted.opset_import}[""] <= version
        assert_equal(model, X, model=converted)
    used = {place.domain: place.version for place in onnx.to_onnx(model, X).opset_import}
    assert used[""] == OPSET[""]
    assert used["ai.onnx.ml"] <= OPSET["ai.onnx.ml"]
    with pytest.raises(ValueError, match="target_opset must be at least 13"):
        onnx.to_onnx(model, X, target_opset=12)


def test_an_estimator_that_is_not_fitted():
    with pytest.raises(NotFittedError):
        onnx.to_onnx(classifier(), np.ones((3, 2)))
    with pytest.raises(NotFittedError):
        onnx.to_onnx(make_pipeline(StandardScaler(), regressor()), np.ones((3, 2)))
    onnx.register()
    with pytest.raises(NotFittedError):
        skl2onnx.to_onnx(regressor(), np.ones((3, 2)))


def test_functions_as_activation_are_refused():
    X, y = load_diabetes(return_X_y=True)
    for activation in ((np.sin, np.cos), ["relu", (np.sin, np.cos)]):
        with pytest.raises(ValueError, match=r"as Python functions .* a named one, one of \['identity', "):
            onnx.to_onnx(regressor(activation=activation).fit(X, y), X)


@pytest.mark.parametrize("package", ["skl2onnx", "onnx"])
def test_a_package_that_is_missing_is_named(package, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "skl2onnx"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"pip install \"skscratch\[onnx\]\""):
        onnx.register()


def test_a_table_that_does_not_match():
    X = table_of_texts()
    model = classifier().fit(X, np.arange(len(X)) % 2)
    for table, error, message in [
        (X.drop(columns="age"), ValueError, "age"),
        (X[X.columns[::-1]], ValueError, "order"),
        (X.to_numpy()[:, :4], ValueError, "X has 4 columns, but ScratchMLPClassifier was fitted to 5"),
        (
            X.assign(age="old"),
            TypeError,
            "Column 'age' held numbers when fitting, but its ONNX input 'age' holds strings",
        ),
        (X.assign(city=1.5), TypeError, "Column 'city' held strings when fitting, but .* holds numbers"),
        (X.assign(age=1j), TypeError, "Column 'age' holds .*complex"),
        (X.assign(city=[("a",)] * len(X)), TypeError, "Column 'city' holds .*tuple"),
        (
            X.assign(city=np.where(X["rooms"] > 4, "", X["city"])),
            ValueError,
            "Column 'city' has missing values and empty strings",
        ),
        (X["age"].to_numpy(), ValueError, r"rows and columns. Got an array of shape \(150,\)"),
    ]:
        with pytest.raises(error, match=message):
            onnx.to_onnx(model, table)
    model = classifier().fit(numbers_table(), np.arange(120) % 2)
    with pytest.raises(ValueError, match="X has 3 columns, but ScratchMLPClassifier was fitted to 5"):
        onnx.to_onnx(model, numbers_table()[:, :3])


def test_categories_that_onnx_does_not_know():
    X = pd.DataFrame({"span": pd.cut(RANDOM.normal(size=80), 4)})
    model = classifier().fit(X, np.arange(80) % 2)
    with pytest.raises(TypeError, match="Column 'span' holds Interval"):
        onnx.to_onnx(model, X)
    with pytest.raises(TypeError, match="Column 'span' has the category Interval.*to strings before fitting"):
        onnx.to_onnx(model, X.astype(str))


def test_rows_that_do_not_match_the_model():
    X = mixed_table()
    model = onnx.to_onnx(classifier().fit(X, X["sold"]), X)
    for rows, error, message in [
        (X.drop(columns="age"), ValueError, "X has no 'age', which is an input of the model; it has"),
        (X.assign(rooms=[None] + [1.0] * (len(X) - 1)), ValueError, "Column 'rooms' .* its input takes int64"),
        (X.assign(age="old"), TypeError, "Column 'age' holds strings, and its input takes numbers"),
        (X.assign(city=1), TypeError, "Column 'city' holds numbers, and its input takes strings"),
    ]:
        with pytest.raises(error, match=message):
            onnx.input_feed(model, rows)
    shuffled = onnx.input_feed(model, X[X.columns[::-1]])  # names count, not their order
    assert shuffled["rooms"].ravel().tolist() == X["rooms"].tolist()
    assert shuffled["fare____"].ravel().tolist() == X["fare (€)"].tolist()
    feed = onnx.input_feed(model, X.assign(city=None, age=None))
    assert set(feed["city"].ravel()) == {""}
    assert np.isnan(feed["age"]).all()


def test_a_network_that_other_steps_follow_is_refused():
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(60, 3)), np.arange(60) % 2
    net = ScratchMLPClassifier(hidden_layer_sizes=(4,), max_iter=2, random_state=0)
    columns = ColumnTransformer([("net", net, [0, 1])])
    for pipeline, step in (
        (make_pipeline(net, LogisticRegression()), "scratchmlpclassifier"),
        (make_pipeline(columns, LogisticRegression()), "net"),
        (make_pipeline(make_union(net), LogisticRegression()), "scratchmlpclassifier"),
    ):
        with pytest.raises(ValueError, match=f"no converter for the `transform` of a network.* step '{step}'"):
            onnx.to_onnx(pipeline.fit(X, y), X)
