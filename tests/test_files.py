"""Files: small, safe to load, stamped with a version; those of the first version are read for ever."""

import io
import pickle
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
from skscratch import ScratchMLPClassifier, ScratchMLPRegressor, files
from skscratch.files import load_weights, save_weights

KEPT = Path(__file__).parent / "files"
rng = np.random.RandomState(0)
X = pd.DataFrame(
    {
        "size": rng.normal(size=150),
        "price": np.where(rng.uniform(size=150) < 0.1, np.nan, rng.exponential(size=150)),
        "kind": pd.Categorical(rng.choice(["a", "b", "c"], 150)),
        "town": [f"town {i}" for i in rng.randint(70, size=150)],  # more than one-hot columns are made for
        "old": rng.uniform(size=150) < 0.5,
    }
)
SIGNAL = X["size"] + (X.kind == "a") + 0.1 * rng.normal(size=150)

# kind of target → model; each way of encoding and predicting is in one of them
MODELS = {
    "binary": (ScratchMLPClassifier(), np.where(SIGNAL > 0.5, "yes", "no")),
    "multiclass": (ScratchMLPClassifier(activation="gelu"), np.digitize(SIGNAL, [0, 1])),
    "multilabel": (ScratchMLPClassifier(n_members=1), np.column_stack([SIGNAL > 0, SIGNAL > 1]).astype(int)),
    "regression": (ScratchMLPRegressor(), SIGNAL.to_numpy()),
    "two outputs": (ScratchMLPRegressor(dtype="float64", n_members=2), np.column_stack([SIGNAL, -SIGNAL])),
    "quantiles": (ScratchMLPRegressor(loss="quantile", quantile=[0.1, 0.5, 0.9]), SIGNAL.to_numpy()),
    "counts": (ScratchMLPRegressor(loss="poisson", activation=["relu", "tanh"]), np.exp(SIGNAL).round().to_numpy()),
    "lbfgs": (ScratchMLPRegressor(solver="lbfgs", max_iter=20, n_members=1), SIGNAL.to_numpy()),
}
EACH = pytest.mark.parametrize("name", MODELS)
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(scope="module")
def fitted():
    return {name: clone(model).set_params(random_state=0).fit(X, y) for name, (model, y) in MODELS.items()}


def answer(model, rows=X):
    return model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows)


def through_joblib(model):
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


@EACH
@pytest.mark.parametrize("through", [lambda model: pickle.loads(pickle.dumps(model)), through_joblib])
@pytest.mark.slow
def test_a_file_predicts_the_same_bits(name, through, fitted):
    model = fitted[name]
    loaded = through(model)
    np.testing.assert_array_equal(answer(loaded), answer(model))
    assert loaded.get_params() == model.get_params()
    fitted_attributes = {key for key in vars(model) if key.endswith("_") and not key.startswith("_")}
    assert {key for key in vars(loaded) if key.endswith("_")} == fitted_attributes - {"oof_predictions_"}
    np.testing.assert_array_equal(loaded.coefs_[-1], model.coefs_[-1])


@EACH
def test_a_file_holds_the_weights_and_little_else(name, fitted):
    model = fitted[name]
    encoding = sum(len(str(n)) + 12 for n in model._encoder.names) + sum(
        8 * v.nbytes for v in model._encoder.vocabulary.values
    )
    history = 12 * sum(len(values) for values in model.history_.values())
    assert len(pickle.dumps(model)) < model._parameters.nbytes + encoding + history + 6000


def test_the_state_of_training_is_in_a_file_when_it_is_asked_for(fitted):
    y = MODELS["regression"][1]
    model = ScratchMLPRegressor(warm_start=True, random_state=0, max_iter=4).fit(X, y)
    assert len(pickle.dumps(model)) > 3 * model._parameters.nbytes
    again = pickle.loads(pickle.dumps(model)).fit(X, y)
    np.testing.assert_array_equal(again.predict(X), model.fit(X, y).predict(X))
    partial = ScratchMLPRegressor(random_state=0).partial_fit(X, y)
    again = pickle.loads(pickle.dumps(partial)).partial_fit(X, y)
    np.testing.assert_array_equal(again.predict(X), partial.partial_fit(X, y).predict(X))


def test_a_loaded_model_is_the_one_that_was_fitted_whatever_was_set_since(fitted):
    model = clone(MODELS["regression"][0]).set_params(random_state=0, max_iter=3).fit(X, MODELS["regression"][1])
    before = model.predict(X)
    model.set_params(loss="poisson", hidden_layer_sizes=(3,), activation="tanh", fit_intercept=False, n_bins=2)
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.predict(X), before)
    assert loaded.get_params() == model.get_params()


def test_a_model_whose_functions_are_the_user_s_own_comes_back_too():
    model = ScratchMLPRegressor(activation=(np.sin, np.cos), random_state=0, max_iter=3)
    model.fit(X, MODELS["regression"][1])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


def test_an_unfitted_estimator_comes_back_unfitted():
    loaded = pickle.loads(pickle.dumps(ScratchMLPClassifier(alpha=3)))
    assert loaded.alpha == 3
    with pytest.raises(NotFittedError):
        loaded.predict(X)


# ------------------------------------------------------------------ versions


def stamped(**stamp):
    """A state as a file may hold it."""
    state = {**ScratchMLPRegressor().__getstate__(), **stamp}
    return {name: value for name, value in state.items() if value is not None}


def load(state):
    model = ScratchMLPRegressor.__new__(ScratchMLPRegressor)
    model.__setstate__(state)
    return model


def test_a_file_is_stamped_and_the_stamp_is_no_attribute(fitted):
    state = fitted["binary"].__getstate__()
    assert (state["_format"], state["_version"]) == (files.FORMAT, skscratch.__version__)
    assert not {"_format", "_version"} & set(vars(pickle.loads(pickle.dumps(fitted["binary"]))))


def test_a_file_without_a_stamp_is_refused():
    for stamp in (None, "1", 0):
        with pytest.raises(ValueError, match="ScratchMLPRegressor has no format number.*Fit the estimator again"):
            load(stamped(_format=stamp))


def test_a_file_of_a_later_format_is_refused_and_the_error_says_what_to_install():
    later = stamped(_format=files.FORMAT + 1, _version="99.1")
    with pytest.raises(ValueError, match=r"written by skscratch 99\.1 .* Install skscratch 99\.1 or newer"):
        load(later)


def test_an_older_format_is_brought_up_to_date_step_by_step(monkeypatch):
    monkeypatch.setattr(files, "FORMAT", 3)
    monkeypatch.setattr(
        files,
        "UPGRADES",
        {
            1: lambda state: {**state, "alpha": state["alpha"] + 1},
            2: lambda state: {**state, "alpha": state["alpha"] * 10},
        },
    )
    alphas = {form: load(stamped(_format=form, alpha=1.0)).alpha for form in (1, 2, 3)}
    assert alphas == {1: 20.0, 2: 10.0, 3: 1.0}


def test_there_is_an_upgrade_from_every_format_there_was():
    assert set(files.UPGRADES) == set(range(1, files.FORMAT))


@EACH
def test_files_of_the_first_version_are_read_and_predict_as_then(name):
    model = joblib.load(KEPT / f"{name.replace(' ', '_')}.joblib")
    # written as float32 or float64 numbers; the last digits may differ between BLAS libraries
    with np.load(KEPT / "predictions.npz") as then:
        np.testing.assert_allclose(answer(model, X), then[name.replace(" ", "_")], rtol=1e-4, atol=1e-5)
    assert model.history_["loss"]
    clone(model).set_params(max_iter=1).fit(X, MODELS[name][1])


# ------------------------------------------------------------------ skops


@EACH
def test_skops_needs_to_trust_this_package_alone(name, fitted):
    sio = pytest.importorskip("skops.io")
    model = fitted[name]
    data = sio.dumps(model)
    unknown = sio.get_untrusted_types(data=data)
    assert unknown and all(kind.startswith("skscratch.") for kind in unknown)
    loaded = sio.loads(data, trusted=unknown)
    np.testing.assert_array_equal(answer(loaded), answer(model))
    with pytest.raises(TypeError, match="skscratch"):
        sio.loads(data, trusted=[])


def test_skops_within_a_pipeline_and_with_the_state_of_training():
    sio = pytest.importorskip("skops.io")
    numbers, y = X[["size", "old"]].astype(float), MODELS["binary"][1]
    pipe = make_pipeline(StandardScaler(), ScratchMLPClassifier(max_iter=2, warm_start=True, random_state=0))
    data = sio.dumps(pipe.fit(numbers, y))
    unknown = sio.get_untrusted_types(data=data)
    assert all(kind.startswith("skscratch.") for kind in unknown)
    loaded = sio.loads(data, trusted=unknown)
    for _ in range(2):
        np.testing.assert_array_equal(loaded.predict_proba(numbers), pipe.predict_proba(numbers))
        loaded.fit(numbers, y), pipe.fit(numbers, y)


# ------------------------------------------------------------------ weights


@EACH
@pytest.mark.parametrize("target", ["weights.npz", "weights"])
def test_weights_come_back_to_the_bit_and_serve_as_a_start(name, target, fitted, tmp_path):
    model = fitted[name]
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


def test_weights_as_text_are_for_people(tmp_path, fitted):
    save_weights(fitted["multilabel"], tmp_path / "text")
    assert sorted(p.name for p in (tmp_path / "text").iterdir()) == [
        f"{n}.txt" for n in ("W1", "W2", "W3", "b1", "b2", "b3")
    ]
    first = (tmp_path / "text" / "W3.txt").read_text().splitlines()
    assert first[0] == "# 64 x 2"
    assert len(first) == 65


def test_weights_of_an_unfitted_estimator(tmp_path):
    with pytest.raises(NotFittedError):
        save_weights(ScratchMLPClassifier(), tmp_path / "weights.npz")
    assert not list(tmp_path.iterdir())


def test_what_is_no_network_s_weights_is_refused(tmp_path, fitted):
    with pytest.raises(FileNotFoundError, match="neither a folder of weights nor a file"):
        load_weights(tmp_path / "nothing")
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    with pytest.raises(ValueError, match=r"holds \['a'\], and not W1, b1"):
        load_weights(tmp_path / "other.npz")
    save_weights(fitted["regression"], tmp_path / "text")
    (tmp_path / "text" / "b2.txt").unlink()
    with pytest.raises(ValueError, match="and not W1, b1"):
        load_weights(tmp_path / "text")
    shutil.copy(tmp_path / "text" / "b1.txt", tmp_path / "text" / "b2.txt")
    (tmp_path / "text" / "b2.txt").write_text("no numbers")
    with pytest.raises(ValueError, match=r"b2\.txt is not an array"):
        load_weights(tmp_path / "text")
