"""FittedNetwork: the parts of a fitted estimator, its raw scores, its plain state; and that fit replaces it at once."""

import dataclasses
from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding.check_input import check_table
from skscratch.estimators.fitted import FORMAT, FittedNetwork, packed, unpacked
from skscratch.version import VERSION
from tests.helpers.encoding import is_plain
from tests.helpers.estimators import X, Y, make

N = 60
RNG = np.random.RandomState(0)
MIXED = pd.DataFrame(
    {
        "size": RNG.normal(size=N),
        "price": np.where(np.arange(N) % 7 == 0, np.nan, RNG.exponential(size=N)),
        "kind": pd.Categorical(np.resize(["a", "b", "c"], N)),
        "street": [f"s{k:02d}" for k in np.arange(N) % 25],  # more than 10 categories are embedded
    }
)
TARGET = MIXED["size"] + (MIXED["kind"] == "a")
OPTIONS = {"hidden_layer_sizes": (5,), "numeric_embedding": None, "max_iter": 3, "random_state": 0}


@pytest.fixture(scope="module")
def regressor():
    return ScratchMLPRegressor(**OPTIONS, n_members=2, early_stopping=False).fit(MIXED, TARGET)


@pytest.fixture(scope="module")
def calibrated():
    options = {**OPTIONS, "max_iter": 40, "n_members": 4, "n_folds": 2}
    return ScratchMLPClassifier(**options, calibrate=True).fit(MIXED, TARGET > 0.3)


def checked(model, table):
    """Return the table as `predict` checks it."""
    return check_table(model, table, model.categorical_features, model.fitted_.encoder.kinds, False)


# ------------------------------------------------------------------------------- the public fields


def test_names_and_columns_of_the_encoded_table(regressor):
    inner = regressor.fitted_
    assert inner.input_names == [
        "size",
        "price",
        "price missing",
        "kind=a",
        "kind=b",
        "kind=c",
    ]
    assert len(inner.input_names) + 8 == regressor.coefs_[0].shape[-2]  # the embedding of "street" has eight columns
    named = [MIXED.columns.get_loc(name.split("=")[0].split()[0]) for name in inner.input_names]
    assert inner.input_columns[: len(named)].tolist() == named
    assert set(inner.input_columns.tolist()) == {0, 1, 2, 3}
    assert inner.encoder.categorical == [False, False, True, True]


def test_members_precision_and_hyper_parameters(regressor):
    inner = regressor.fitted_
    assert inner.parameters.shape == (2, inner.network.layout.size)
    assert (inner.n_members, inner.dtype, inner.temperature) == (2, np.float64, 1.0)
    assert inner.built_with["hidden_layer_sizes"] == (5,) and inner.built_with["n_members"] == 2
    assert inner.loss.name == "squared_error" and inner.targets.n_scores(inner.loss) == 1


def test_the_hyper_parameters_that_a_network_was_built_with_do_not_change_with_the_estimator():
    sizes = [5]
    model = make("regressor", hidden_layer_sizes=sizes).fit(X, Y["regressor"])
    sizes[0] = 6
    model.set_params(n_members=7)
    assert model.fitted_.built_with["hidden_layer_sizes"] == [5] and model.fitted_.built_with["n_members"] == 1


def test_encode_returns_the_input_of_the_network(regressor):
    inner = regressor.fitted_
    table = inner.encode(checked(regressor, MIXED))
    assert len(table) == N and table.X.dtype == np.float64
    width = len(inner.input_names)
    np.testing.assert_array_equal(table.X[:, width:], np.ones((N, table.X.shape[1] - width)))  # for the biases
    kinds = [inner.input_names.index(f"kind={name}") for name in "abc"]
    indicators = table.X[:, kinds] - table.X[:, kinds].min()
    np.testing.assert_array_equal(indicators.argmax(axis=1), np.arange(N) % 3)
    np.testing.assert_array_equal(table.X[:, inner.input_names.index("price missing")] > 0, MIXED["price"].isna())
    assert inner.encode(checked(regressor, MIXED), np.float32).X.dtype == np.float32


def test_raw_scores_of_members_and_their_mean(regressor):
    inner, data = regressor.fitted_, checked(regressor, MIXED)
    members, mean = inner.raw_scores(data, pooled=False), inner.raw_scores(data)
    assert members.shape == (2, N, 1) and mean.shape == (N, 1)
    np.testing.assert_allclose(members.mean(axis=0), mean, rtol=1e-12)
    by_hand = inner.network.scores(inner.parameters, inner.encode(data))
    np.testing.assert_array_equal(members, by_hand)
    predicted = inner.targets.decode(inner.loss.link.apply(mean), True)
    np.testing.assert_array_equal(predicted[:, 0], regressor.predict(MIXED))


def test_raw_scores_are_divided_by_the_temperature(calibrated):
    inner, data = calibrated.fitted_, checked(calibrated, MIXED)
    assert inner.temperature == calibrated.temperature_ != 1
    hot = dataclasses.replace(inner, temperature=1.0)
    np.testing.assert_allclose(inner.raw_scores(data), hot.raw_scores(data) / inner.temperature, rtol=1e-12)
    np.testing.assert_array_equal(inner.raw_scores(data)[:, 0], calibrated.decision_function(MIXED))


def test_a_sparse_table_is_scored_as_the_dense_one():
    table = X * (np.abs(X) > 0.7)
    model = make("regressor").fit(sp.csr_array(table), Y["regressor"])
    inner = model.fitted_
    dense, sparse = (inner.raw_scores(checked(model, form)) for form in (table, sp.csr_array(table)))
    np.testing.assert_allclose(sparse, dense, rtol=0, atol=1e-12)  # sums are in another order


# ------------------------------------------------------------------------------- replaced at once


def test_a_fitted_network_cannot_be_changed(regressor):
    with pytest.raises(dataclasses.FrozenInstanceError):
        regressor.fitted_.parameters = None
    with pytest.raises(ValueError, match="read-only"):
        regressor.coefs_[0][...] = 0


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_call_that_succeeds_leaves_the_earlier_network_as_it_was(kind, method, warm_start):
    model = make(kind, warm_start=warm_start).fit(X, Y[kind])
    before, parameters = model.fitted_, model.fitted_.parameters.copy()
    getattr(model, method)(X, Y[kind])
    assert model.fitted_ is not before
    np.testing.assert_array_equal(before.parameters, parameters)
    assert not np.array_equal(model.fitted_.parameters, parameters) or not (warm_start or method == "partial_fit")


class Failing:
    """A schedule or a loss that raises RuntimeError in one of its calls."""

    def __init__(self, call):
        self.calls_left = call

    def __call__(self, *arguments):
        self.calls_left -= 1
        if self.calls_left == 0:
            raise RuntimeError("stop here")
        if len(arguments) == 1:
            return 1.0
        t, z = arguments
        return 0.5 * ((z - t) ** 2).sum(axis=1), z - t


@pytest.mark.parametrize("name", ["learning_rate", "loss", "scoring"])
@pytest.mark.parametrize("fitted_before", [False, True])
def test_an_error_in_fit_leaves_every_attribute_as_it_was(kind, name, fitted_before):
    def failing_scorer(estimator, X, y):
        raise RuntimeError("stop here")

    model = make(kind)
    if fitted_before:
        model.fit(X, Y[kind])
    model.set_params(early_stopping=True, **{name: failing_scorer if name == "scoring" else Failing(2)})
    before = dict(vars(model))
    states = {key: repr(value) for key, value in before.items()}
    with pytest.raises(RuntimeError, match="stop here"):
        model.fit(X, Y[kind])
    assert vars(model).keys() == before.keys()
    assert all(value is before[key] for key, value in vars(model).items())
    assert {key: repr(value) for key, value in vars(model).items()} == states


# ------------------------------------------------------------------------------- the form in files


def test_the_state_is_plain_and_gives_the_same_bits(regressor, calibrated):
    for model in (regressor, calibrated):
        state = packed(vars(model), continues=False)
        built_with = state["fitted_"].pop("built_with")
        assert is_plain(state["fitted_"]) and built_with == model.fitted_.built_with
        assert (state["_format"], state["_version"], state["_state"]) == (FORMAT, VERSION, None)
        assert "oof_predictions_" not in state
        data = checked(model, MIXED)
        network_and_loss = model.fitted_.network, model.fitted_.loss
        again = FittedNetwork.from_state(model.fitted_.to_state(), partial(lambda given, *_: given, network_and_loss))
        np.testing.assert_array_equal(again.raw_scores(data), model.fitted_.raw_scores(data))
        assert again.input_names == model.fitted_.input_names


def test_a_state_continues_training_only_where_it_may():
    model = make("regressor", warm_start=True).fit(X, Y["regressor"])
    assert is_plain(packed(vars(model), continues=True)["_state"])
    assert model.__getstate__()["_state"] is not None
    assert model.set_params(warm_start=False).__getstate__()["_state"] is None


def test_unpacked_removes_the_stamp_and_refuses_what_it_cannot_read():
    stamped = {"alpha": 1.0, "_format": FORMAT, "_version": VERSION}
    assert unpacked(stamped, "ScratchMLPRegressor") == {"alpha": 1.0}
    with pytest.raises(ValueError, match="has no format number.*Fit the estimator again"):
        unpacked({"alpha": 1.0}, "ScratchMLPRegressor")
    with pytest.raises(ValueError, match=rf"written by skscratch 9\.0 in format {FORMAT + 1}.*Install skscratch 9\.0"):
        unpacked({"_format": FORMAT + 1, "_version": "9.0"}, "ScratchMLPRegressor")
