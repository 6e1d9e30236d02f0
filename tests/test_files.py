"""Files: small, safe to load, with a format number; files of every format load."""

import copy
import io
import pickle
import pickletools
import re
import shutil
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skscratch
from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.estimators import fitted as file_format
from skscratch.files import load_weights, save_weights

KEPT = Path(__file__).parent / "files"
rng = np.random.RandomState(0)
# whole numbers over powers of two: the same numbers on every processor, unlike those of exp and log
X = pd.DataFrame(
    {
        "size": rng.randint(-300, 300, 150) / 128,
        "price": np.where(rng.randint(10, size=150) == 0, np.nan, (rng.randint(64, size=150) / 32) ** 2),
        "kind": pd.Categorical(rng.choice(["a", "b", "c"], 150)),
        "town": [f"town {i}" for i in rng.randint(70, size=150)],  # too many for one-hot columns: an embedding
        "old": rng.randint(2, size=150) == 1,
    }
)
SIGNAL = X["size"] + (X.kind == "a") + rng.randint(-32, 32, 150) / 256

# kind of target → model; each way of encoding and predicting is in one of them
MODELS = {
    "binary": (ScratchMLPClassifier(), np.where(SIGNAL > 0.5, "yes", "no")),
    "multiclass": (ScratchMLPClassifier(activation="gelu"), np.digitize(SIGNAL, [0, 1])),
    "multilabel": (ScratchMLPClassifier(n_members=1), np.column_stack([SIGNAL > 0, SIGNAL > 1]).astype(int)),
    "regression": (ScratchMLPRegressor(), SIGNAL.to_numpy()),
    "two outputs": (ScratchMLPRegressor(dtype="float64", n_members=2), np.column_stack([SIGNAL, -SIGNAL])),
    "quantiles": (ScratchMLPRegressor(loss="quantile", quantile=[0.1, 0.5, 0.9]), SIGNAL.to_numpy()),
    "counts": (ScratchMLPRegressor(loss="poisson", activation=["relu", "tanh"]), (SIGNAL**2).round().to_numpy()),
    "lbfgs": (ScratchMLPRegressor(solver="lbfgs", max_iter=20, n_members=1), SIGNAL.to_numpy()),
    "warm start": (ScratchMLPRegressor(solver="sgd", n_members=2, warm_start=True), SIGNAL.to_numpy()),
}
EACH = pytest.mark.parametrize("name", MODELS)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def models():
    return {name: clone(model).set_params(random_state=0).fit(X, y) for name, (model, y) in MODELS.items()}


def answer(model, rows=X):
    return model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows)


def through_joblib(model):
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


def names_in_pickle(model):
    """Names of classes and functions in a pickle, but for those of Python and NumPy."""
    # protocol 2 writes each name as one GLOBAL opcode; later ones assemble them from strings
    names = {arg for opcode, arg, _ in pickletools.genops(pickle.dumps(model, protocol=2)) if opcode.name == "GLOBAL"}
    return {n.replace(" ", ".") for n in names if re.match(r"\w+", n)[0] not in ("numpy", "_codecs", "__builtin__")}


def full_name(model):
    return f"{type(model).__module__}.{type(model).__name__}"


@EACH
@pytest.mark.parametrize("through", [lambda model: pickle.loads(pickle.dumps(model)), through_joblib])
def test_a_file_predicts_the_same_bits(name, through, models):
    model = models[name]
    loaded = through(model)
    np.testing.assert_array_equal(answer(loaded), answer(model))
    assert loaded.get_params() == model.get_params()
    fitted_attributes = {key for key in vars(model) if key.endswith("_") and not key.startswith("_")}
    assert {key for key in vars(loaded) if key.endswith("_")} == fitted_attributes - {"oof_predictions_"}
    np.testing.assert_array_equal(loaded.coefs_[-1], model.coefs_[-1])


@EACH
def test_a_file_holds_the_weights_and_little_else(name, models):
    model = clone(models[name]).set_params(warm_start=False).fit(X, MODELS[name][1])
    encoder = model.fitted_.encoder
    encoding = sum(len(str(n)) + 12 for n in encoder.names) + sum(8 * v.nbytes for v in encoder.vocabulary.values)
    history = 12 * sum(len(values) for values in model.history_.values())
    assert len(pickle.dumps(model)) < model.fitted_.parameters.nbytes + encoding + history + 6000


def test_the_state_of_training_is_in_a_file_if_the_training_continues():
    y = MODELS["regression"][1]
    model = ScratchMLPRegressor(warm_start=True, random_state=0, max_iter=4).fit(X, y)
    assert len(pickle.dumps(model)) > 3 * model.fitted_.parameters.nbytes
    again = pickle.loads(pickle.dumps(model)).fit(X, y)
    np.testing.assert_array_equal(again.predict(X), model.fit(X, y).predict(X))
    partial = ScratchMLPRegressor(random_state=0).partial_fit(X, y)
    again = pickle.loads(pickle.dumps(partial)).partial_fit(X, y)
    np.testing.assert_array_equal(again.predict(X), partial.partial_fit(X, y).predict(X))


OPTIONS = {
    "momentum": {"solver": "sgd", "momentum": 0.5, "nesterovs_momentum": False},
    "moments": {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3},
    "validation rows": {"early_stopping": True},
    "adaptive": {"learning_rate": "adaptive", "early_stopping": False},
    "lbfgs": {"solver": "lbfgs"},
    "another generator": {"random_state": np.random.RandomState(np.random.PCG64(0))},
}


@pytest.mark.parametrize("case", OPTIONS)
def test_training_continues_from_a_file_with_the_same_bits(case):
    y = MODELS["regression"][1]
    options = {"random_state": 0, "max_iter": 3, "warm_start": True, **OPTIONS[case]}
    model = ScratchMLPRegressor(**options).fit(X, y)
    loaded = through_joblib(model)
    np.testing.assert_array_equal(loaded.fit(X, y).predict(X), model.fit(X, y).predict(X))


def test_a_stream_continues_from_a_file_with_the_same_bits():
    y = MODELS["binary"][1]
    model = ScratchMLPClassifier(random_state=0)
    for start in range(0, 150, 30):  # the scaling follows the stream: the file has its sample
        rows = slice(start, start + 30)
        loaded = through_joblib(model)
        for one in (model, loaded):
            one.partial_fit(X[rows], y[rows], classes=["no", "yes"])
        np.testing.assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


# ------------------------------------------------------------------ names in a file


@EACH
def test_the_estimator_is_the_only_class_in_a_file(name, models):
    assert names_in_pickle(models[name]) == {full_name(models[name])}


def test_the_estimator_is_the_only_class_in_a_file_with_the_state_of_training():
    y = MODELS["binary"][1]
    for options in ({}, {"early_stopping": True}, {"solver": "sgd"}, {"solver": "lbfgs"}, {"scoring": "accuracy"}):
        model = ScratchMLPClassifier(random_state=0, max_iter=3, warm_start=True, **options).fit(X, y)
        assert model._state is not None and model.__getstate__()["_state"] is not None
        assert names_in_pickle(model) == {full_name(model)}
    stream = ScratchMLPRegressor(random_state=0).partial_fit(X, SIGNAL).partial_fit(X, SIGNAL)
    assert stream.__getstate__()["_state"]["stream"] is not None
    assert names_in_pickle(stream) == {full_name(stream)}


def test_the_estimator_is_the_only_class_in_a_checkpoint(monkeypatch):
    pytest.importorskip("sklearn.callback", reason="callbacks came with scikit-learn 1.9")
    from skscratch import callbacks

    names, snapshots = [], []

    def replace(path, model):
        snapshots.append(model._state.is_snapshot)
        names.append(names_in_pickle(copy.copy(model).set_callbacks()))  # callbacks are the user's own

    monkeypatch.setattr(callbacks, "_replace", replace)
    model = ScratchMLPRegressor(random_state=0, max_iter=2, refit=0)
    model.set_callbacks(callbacks.Checkpoint("net")).fit(X, SIGNAL)
    assert snapshots == [True, True, False]
    assert names == [{full_name(model)}] * 3  # after both epochs, with the state of training, and after the fit


# ------------------------------------------------------------------ formats


def stamped(**stamp):
    """The state of an estimator in a file, with another format or version; None leaves it out."""
    state = {**ScratchMLPRegressor().__getstate__(), **stamp}
    return {name: value for name, value in state.items() if value is not None}


def load(state):
    model = ScratchMLPRegressor.__new__(ScratchMLPRegressor)
    model.__setstate__(state)
    return model


def test_a_file_has_format_and_version_which_are_no_attributes(models):
    state = models["binary"].__getstate__()
    assert (state["_format"], state["_version"]) == (file_format.FORMAT, skscratch.__version__)
    assert not {"_format", "_version"} & set(vars(pickle.loads(pickle.dumps(models["binary"]))))


def test_a_file_without_a_format_is_refused():
    for stamp in (None, "1", 0):
        with pytest.raises(ValueError, match="ScratchMLPRegressor has no format number.*Fit the estimator again"):
            load(stamped(_format=stamp))


def test_a_file_of_a_later_format_is_refused_with_advice_on_what_to_install():
    later = stamped(_format=file_format.FORMAT + 1, _version="99.1")
    with pytest.raises(ValueError, match=r"written by skscratch 99\.1 .* Install skscratch 99\.1 or newer"):
        load(later)


def test_an_older_format_is_upgraded_step_by_step(monkeypatch):
    monkeypatch.setattr(file_format, "FORMAT", 3)
    upgrades = {
        1: lambda state: {**state, "alpha": state["alpha"] + 1},
        2: lambda state: {**state, "alpha": state["alpha"] * 10},
    }
    monkeypatch.setattr(file_format, "UPGRADES", upgrades)
    alphas = {number: load(stamped(_format=number, alpha=1.0)).alpha for number in (1, 2, 3)}
    assert alphas == {1: 20.0, 2: 10.0, 3: 1.0}


def test_an_upgrade_sees_plain_values_before_any_object_is_made_of_them(monkeypatch):
    def upgrade(state):
        assert isinstance(state["fitted_"]["encoder"], dict)
        return {**state, "fitted_": {**state["fitted_"], "temperature": 2.0}}

    monkeypatch.setattr(file_format, "FORMAT", 2)
    monkeypatch.setattr(file_format, "UPGRADES", {1: upgrade})
    assert joblib.load(KEPT / "binary.joblib").fitted_.temperature == 2.0


def test_every_older_format_has_an_upgrade():
    assert set(file_format.UPGRADES) == set(range(1, file_format.FORMAT))


@EACH
def test_kept_files_load_and_predict_what_is_stored_beside_them(name):
    model = joblib.load(KEPT / f"{name.replace(' ', '_')}.joblib")
    # the weights are those of the file to the bit, but BLAS libraries add up the products in different orders: sums of
    # a hundred float32 products differ by about 1e-6, and an exponential link adds a factor of a few
    with np.load(KEPT / "predictions.npz") as stored:
        np.testing.assert_allclose(answer(model), stored[name.replace(" ", "_")], rtol=2e-5, atol=1e-5)
    assert model.history_["loss"]
    assert (model._state is not None) == (name == "warm start")
    before = len(model.history_["loss"])
    model.set_params(max_iter=1).fit(X, MODELS[name][1])
    assert len(model.history_["loss"]) == 1 + before * (name == "warm start")


# ------------------------------------------------------------------ skops


@EACH
def test_skops_needs_to_trust_the_estimator_alone(name, models):
    sio = pytest.importorskip("skops.io")
    model = models[name]
    data = sio.dumps(model)
    assert sio.get_untrusted_types(data=data) == [full_name(model)]
    loaded = sio.loads(data, trusted=[full_name(model)])
    np.testing.assert_array_equal(answer(loaded), answer(model))
    with pytest.raises(TypeError, match="skscratch"):
        sio.loads(data, trusted=[])


def test_skops_within_a_pipeline_and_with_the_state_of_training():
    sio = pytest.importorskip("skops.io")
    numbers, y = X[["size", "old"]].astype(float), MODELS["binary"][1]
    pipe = make_pipeline(StandardScaler(), ScratchMLPClassifier(max_iter=2, warm_start=True, random_state=0))
    data = sio.dumps(pipe.fit(numbers, y))
    assert sio.get_untrusted_types(data=data) == [full_name(pipe[-1])]
    loaded = sio.loads(data, trusted=[full_name(pipe[-1])])
    for _ in range(2):
        np.testing.assert_array_equal(loaded.predict_proba(numbers), pipe.predict_proba(numbers))
        loaded.fit(numbers, y), pipe.fit(numbers, y)


# ------------------------------------------------------------------ weights


@EACH
@pytest.mark.parametrize("target", ["weights.npz", "weights"])
def test_weights_come_back_to_the_bit_and_serve_as_a_start(name, target, models, tmp_path):
    model = models[name]
    save_weights(model, tmp_path / target)
    coefs, intercepts = load_weights(tmp_path / target)
    for saved, there in zip([*coefs, *intercepts], [*model.coefs_, *model.intercepts_], strict=True):
        np.testing.assert_array_equal(saved.astype(there.dtype), there)
        assert saved.shape == there.shape
    # a learned embedding is not among them: then the network is another, and init says so
    start = clone(model).set_params(init=(coefs, intercepts), max_iter=1, learning_rate_init=1e-12, refit=0)
    start.fit(X, MODELS[name][1])
    if model.solver == "adam":
        np.testing.assert_allclose(start.coefs_[1], model.coefs_[1], atol=1e-8)


def test_weights_as_text_are_for_people(tmp_path, models):
    save_weights(models["multilabel"], tmp_path / "text")
    assert sorted(p.name for p in (tmp_path / "text").iterdir()) == [
        f"{n}.txt" for n in ("W1", "W2", "W3", "b1", "b2", "b3")
    ]
    first = (tmp_path / "text" / "W3.txt").read_text().splitlines()
    assert re.fullmatch("# 64 x 2, checksum [0-9a-f]{8}, network [0-9a-f]{8}", first[0])
    assert len(first) == 65


def test_weights_of_an_unfitted_estimator(tmp_path):
    with pytest.raises(NotFittedError):
        save_weights(ScratchMLPClassifier(), tmp_path / "weights.npz")
    assert not list(tmp_path.iterdir())


def test_what_is_no_network_s_weights_is_refused(tmp_path, models):
    with pytest.raises(FileNotFoundError, match="neither a folder of weights nor a file"):
        load_weights(tmp_path / "nothing")
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    with pytest.raises(ValueError, match=r"contains the arrays \['a'\] instead of W1, b1"):
        load_weights(tmp_path / "other.npz")
    save_weights(models["regression"], tmp_path / "text")
    (tmp_path / "text" / "b2.txt").unlink()
    with pytest.raises(ValueError, match="instead of W1, b1"):
        load_weights(tmp_path / "text")
    shutil.copy(tmp_path / "text" / "b1.txt", tmp_path / "text" / "b2.txt")
    (tmp_path / "text" / "b2.txt").write_text("no numbers")
    with pytest.raises(ValueError, match=r"b2\.txt is not an array"):
        load_weights(tmp_path / "text")
