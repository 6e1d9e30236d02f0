"""monotonic_cst: predictions that never fall, or never rise, with a column, whatever is fitted."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding.numeric import Numbers
from skscratch.estimators.constraints import InvalidParameterError
from skscratch.nn.monotone import SUBSTITUTE

QUICK = {"hidden_layer_sizes": (8, 6), "n_members": 2, "n_folds": 2, "max_iter": 3, "random_state": 0}
N = 120


def make_table(seed=0, n=N):
    """Numbers with missing values, a flag, a category with one-hot columns and one with an embedding; and targets."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "up": rng.normal(size=n),
            "down": 100 * rng.lognormal(size=n),
            "free": rng.uniform(size=n),
            "flag": rng.random(n) < 0.5,
            "few": rng.choice(["a", "b", "c"], n),
            "many": rng.integers(0, 60, n).astype(str),
        }
    )
    y = X["up"].to_numpy() ** 3 - np.log(X["down"].to_numpy()) + np.sin(9 * X["free"].to_numpy()) + rng.normal(size=n)
    X.loc[rng.random(n) < 0.1, "up"] = np.nan
    return X, y


X, Y = make_table()
CONSTRAINTS = {"up": 1, "down": -1, "flag": 1}


def sweeps(X, column, n_rows=6, seed=0):
    """Some rows of a table, each with many values of one column, rising: (n_rows * n_values rows, n_values)."""
    rng = np.random.default_rng(seed)
    x = X[column].dropna().to_numpy().astype(float)
    low, high = x.min(), x.max()
    size = max(high - low, 1.0)
    inside = np.linspace(low - size, high + size, 61)
    outside = np.concatenate([-np.geomspace(1e6, 1, 15), np.geomspace(1, 1e6, 15)]) * size
    values = np.unique(np.concatenate([x[:20], inside, outside]))
    rows = X.iloc[rng.choice(len(X), n_rows, replace=False)]
    table = rows.loc[rows.index.repeat(len(values))].reset_index(drop=True)
    table[column] = np.tile(values, n_rows)
    return table, len(values)


def largest_fall(predict, X, column, direction):
    """The largest step of any output against the direction, in units of the rounding of the largest prediction."""
    table, n_values = sweeps(X, column)
    p = np.asarray(predict(table), dtype=float)
    steps = direction * np.diff(p.reshape(len(table) // n_values, n_values, -1), axis=1)
    return -steps.min() / (np.finfo(np.float32).eps * np.abs(p).max() + 1e-300)


def assert_monotone(model, X, constraints=CONSTRAINTS):
    """No prediction falls by more than the rounding of sums.

    The function that the weights define never falls.  Its value is computed with single precision in steps that each
    round monotonically if all rows add the terms of a sum in one order, as BLAS does on common processors; on others a
    step may fall by the rounding of sums of some hundred terms, a few units of the last place.
    """
    predict = (lambda T: model.predict_proba(T)[:, 1]) if hasattr(model, "predict_proba") else model.predict
    for column, direction in constraints.items():
        if direction:
            assert largest_fall(predict, X, column, direction) <= 16, column


LOSSES = [
    {},
    {"loss": "absolute_error"},
    {"loss": "huber"},
    {"loss": "poisson"},
    {"loss": "gamma"},
    {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]},
    {"loss": lambda y, z: (0.5 * ((z - y) ** 2).sum(axis=1), z - y)},
    *[{"out_activation": link} for link in ("logistic", "tanh", "softplus", "exp")],
]


@pytest.mark.parametrize("options", LOSSES, ids=lambda o: "-".join(map(str, o.values())) or "squared error")
def test_every_loss_and_link(options):
    y = np.exp(Y / 4) if options.get("loss") in ("poisson", "gamma") else 1 / (1 + np.exp(-Y))
    assert_monotone(ScratchMLPRegressor(**QUICK, **options, monotonic_cst=CONSTRAINTS).fit(X, y), X)


@pytest.mark.parametrize(
    "options",
    [
        {"solver": "sgd"},
        {"solver": "sgd", "nesterovs_momentum": False},
        {"solver": "lbfgs", "max_iter": 30},
        {"dropout": 0.3, "weight_decay": 0.5, "alpha": 0.1, "clip_norm": 0.1},
        {"init": "he_uniform", "parametrization": "standard"},
        {"hidden_layer_sizes": ()},
        {"hidden_layer_sizes": (1, 3, 2)},
        {"fit_intercept": False},
        {"scale_features": False, "numeric_embedding": None, "clip_target": False},
        {"numeric_embedding": None},
        {"n_members": 1, "early_stopping": False, "refit": 0},
        {"early_stopping": True},
        {"n_jobs": 2},
        {"learning_rate_init": 3.0},
        *[{"dtype": dtype, "activation": name} for name in ("relu", "gelu") for dtype in ("float32", "float64")],
        {"activation": ["logistic", "silu"]},
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Maximum iterations", "ignore:Training diverged")
def test_every_way_to_train(options):
    model = ScratchMLPRegressor(**{**QUICK, **options}, monotonic_cst=CONSTRAINTS).fit(X, Y)
    assert_monotone(model, X)


def test_the_probability_of_the_second_class_and_the_other_forms_of_the_raw_score():
    for options in ({}, {"loss": "squared_error"}, {"class_weight": "balanced", "label_smoothing": 0.1}):
        model = ScratchMLPClassifier(**QUICK, **options, monotonic_cst=CONSTRAINTS).fit(X, np.where(Y > 0, "yes", "no"))
        assert_monotone(model, X)
        assert largest_fall(model.decision_function, X, "up", 1) <= 16
        assert largest_fall(lambda T, m=model: m.predict_proba(T)[:, 0], X, "up", -1) <= 16
        assert largest_fall(lambda T, m=model: m.predict(T) == "yes", X, "down", -1) <= 0


def test_several_targets():
    targets = np.column_stack([Y, -Y, Y**2])
    model = ScratchMLPRegressor(**QUICK, monotonic_cst=CONSTRAINTS).fit(X, targets)
    assert model.predict(X).shape == (N, 3)
    assert_monotone(model, X)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(12, 150),
    constraints=st.fixed_dictionaries(
        {}, optional={name: st.sampled_from([-1, 0, 1]) for name in ("up", "down", "free", "flag")}
    ),
    classifies=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
    hidden=st.sampled_from([(5,), (4, 3), (2, 2, 2)]),
    n_bins=st.sampled_from(["auto", 2, 9]),
)
def test_any_table_and_any_signs(seed, n, constraints, classifies, dtype, hidden, n_bins):
    X, y = make_table(seed, n)
    options = {**QUICK, "hidden_layer_sizes": hidden, "dtype": dtype, "n_bins": n_bins, "monotonic_cst": constraints}
    kind, y = (ScratchMLPClassifier, y > np.median(y)) if classifies else (ScratchMLPRegressor, y)
    assert_monotone(kind(**options).fit(X, y), X, constraints)


def test_with_single_precision_not_even_rounding_lets_a_scaled_number_fall():
    x = np.concatenate([np.linspace(-4, 4, 40_001), np.geomspace(4, 1e9, 20_001), np.geomspace(1e-45, 1e-3, 2001), [0]])
    x = np.unique(np.concatenate([x, -x]))
    block = Numbers(np.zeros(1, int), np.array([0.1]), np.array([0.7]), True, 0.0)
    monotone = Numbers(*(getattr(block, f) for f in ("columns", "center", "factor", "scale", "constant_factor")), True)
    for dtype in (np.float32, np.float64):
        plain, ours = np.empty((len(x), 1), dtype), np.empty((len(x), 1), dtype)
        block.scale_into(x[:, None], plain)
        monotone.scale_into(x[:, None], ours)
        np.testing.assert_allclose(ours, plain, rtol=4 * np.finfo(dtype).eps, atol=1e-18)
        assert np.diff(ours[:, 0]).min() >= 0
    missing = np.empty((2, 1))
    monotone.scale_into(np.array([[np.nan], [0.1]]), missing)
    assert np.all(missing == 0)


# ----------------------------------------------------------- continued fits


def test_warm_starts_pickles_and_clones():
    model = ScratchMLPRegressor(**QUICK, monotonic_cst=CONSTRAINTS, warm_start=True)
    for _ in range(2):
        assert_monotone(model.fit(X, Y), X)
        model = pickle.loads(pickle.dumps(model))
    same = clone(model)
    assert same.monotonic_cst == CONSTRAINTS and not hasattr(same, "fitted_")
    before = model.predict(X)
    np.testing.assert_array_equal(model.set_params(monotonic_cst=None).predict(X), before)
    with pytest.raises(ValueError, match="Training cannot continue with another network: monotonic_cst was"):
        model.fit(X, Y)


def test_a_stream_whose_scaling_and_bins_move():
    model = ScratchMLPRegressor(**{**QUICK, "max_iter": 12}, n_bins=6, monotonic_cst={"up": 1, "down": -1})
    for i in range(8):
        part, y = make_table(i, 60)
        part["up"] *= 1 + i
        part["down"] += 500 * i
        model.partial_fit(part, y * (1 + i))
        assert_monotone(model, part, model.monotonic_cst)
    edges = model.fitted_.encoder.blocks[0].edges
    assert edges[1].max() > 2500  # they have moved: the first part ended below


def test_given_weights_are_moved_within_their_bounds():
    X = pd.DataFrame(np.random.RandomState(0).normal(size=(30, 2)), columns=["a", "b"])
    init = [np.full((2, 4), -1.0), np.full((4, 1), -1.0)], [np.zeros(4), np.zeros(1)]
    options = {"hidden_layer_sizes": (4,), "numeric_embedding": None, "n_members": 1, "early_stopping": False}
    model = ScratchMLPRegressor(**options, init=init, max_iter=1, monotonic_cst=[1, 1]).fit(X, X["a"])
    assert_monotone(model, X, {"a": 1, "b": 1})


# -------------------------------------------------------------- what stays


@pytest.mark.parametrize("constraints", [[0] * 6, {}, {"up": 0}])
def test_no_constraint_changes_no_bit(constraints):
    plain = ScratchMLPRegressor(**QUICK).fit(X, Y)
    other = ScratchMLPRegressor(**QUICK, monotonic_cst=constraints).fit(X, Y)
    np.testing.assert_array_equal(other.predict(X), plain.predict(X))
    assert other.fitted_.network.layers[2].function.name == "silu"


def test_the_network_that_is_built():
    model = ScratchMLPRegressor(**QUICK, monotonic_cst=CONSTRAINTS).fit(X, Y)
    assert [layer.function.name for layer in model.fitted_.network.layers[2::2]] == [SUBSTITUTE] * 2
    names, W = model.fitted_.input_names, model.coefs_[0]  # (K, inputs, units): four free ones, then + - + -
    for name, sign in (("up", 1), ("down", -1), ("flag", 1)):
        mine = [i for i, each in enumerate(names) if each == name or each.startswith(f"{name} from")]
        assert np.all(W[:, mine, :4] == 0)
        assert np.all(sign * W[:, mine, 4::2] >= 0) and np.all(sign * W[:, mine, 5::2] <= 0)
    assert np.any(W[:, names.index("up missing"), :4] != 0)  # the flag of a missing value is free
    assert np.any(W[:, names.index("free"), :4] != 0)


def test_a_missing_value_without_a_flag_counts_as_the_median():
    full, _ = make_table(1)
    full["up"] = full["up"].fillna(0.5)
    model = ScratchMLPRegressor(**QUICK, monotonic_cst={"up": 1}).fit(full, Y)
    table, n_values = sweeps(full, "up", n_rows=1)
    at_missing = model.predict(table.head(1).assign(up=np.nan))[0]
    below = table["up"] < full["up"].median()
    p = model.predict(table)
    tolerance = 16 * np.finfo(np.float32).eps * np.abs(p).max()  # see assert_monotone
    assert p[below].max() <= at_missing + tolerance and p[~below].min() >= at_missing - tolerance


@pytest.mark.parametrize("form", ["array", "sparse", "polars", "names in another order"])
def test_other_tables(form):
    numbers = X[["up", "down", "free"]].fillna(0.0)
    if form == "polars":
        model = ScratchMLPRegressor(**QUICK, monotonic_cst=CONSTRAINTS).fit(pl.from_pandas(X), Y)
        for column, direction in CONSTRAINTS.items():
            assert largest_fall(lambda T: model.predict(pl.from_pandas(T)), X, column, direction) <= 16
    elif form == "names in another order":
        model = ScratchMLPRegressor(**QUICK, monotonic_cst={"down": -1, "up": 1}).fit(numbers, Y)
        by_place = ScratchMLPRegressor(**QUICK, monotonic_cst=[1, -1, 0]).fit(numbers, Y)
        np.testing.assert_array_equal(by_place.predict(numbers), model.predict(numbers))
    else:
        convert = sp.csr_array if form == "sparse" else np.asarray
        model = ScratchMLPRegressor(**QUICK, monotonic_cst=np.array([1, -1, 0])).fit(convert(numbers.to_numpy()), Y)
        for column, direction in {"up": 1, "down": -1}.items():
            assert largest_fall(lambda T: model.predict(convert(T.to_numpy())), numbers, column, direction) <= 16


# ------------------------------------------------------------------- errors


def test_dates_have_no_constraints_but_durations_have():
    X, y = make_table()
    X["when"] = pd.date_range("2024-01-01", periods=N, freq="7h")
    X["taken"] = X["when"] - X["when"].iloc[0]
    with pytest.raises(ValueError, match=r"Dates and times of day cannot have monotonic constraints, .*: \['when'\]"):
        ScratchMLPRegressor(**QUICK, monotonic_cst={"when": 1}).fit(X, y)
    model = ScratchMLPRegressor(**QUICK, monotonic_cst={"taken": 1}).fit(X, y)
    rows = pd.concat([X.iloc[[0]]] * 40, ignore_index=True).assign(taken=pd.to_timedelta(np.arange(40), unit="D"))
    assert (np.diff(model.predict(rows)) >= 0).all()


@pytest.mark.parametrize(
    ("constraints", "kind", "message"),
    [
        ([1, 0], ValueError, r"monotonic_cst has shape \(2,\) but the input data X has 6 features."),
        ([[1, 0, 0, 0, 0, 0]], ValueError, r"monotonic_cst has shape \(1, 6\) but"),
        ([1, 2, 0, 0, 0, 0], ValueError, r"must be an array-like of -1, 0 or 1. Observed values: \[2\]."),
        ([1, np.nan, 0, 0, 0, 0], ValueError, r"Observed values: \[nan\]."),
        ({"up": 2}, ValueError, r"monotonic_cst\['up'\] must be either -1, 0 or 1. Got 2."),
        ({"up": "rises"}, ValueError, r"monotonic_cst\['up'\] must be either -1, 0 or 1. Got 'rises'."),
        ({"upp": 1}, ValueError, r"monotonic_cst contains 1 unexpected feature names: \['upp'\]."),
        (dict.fromkeys("hgfedcba", 1), ValueError, r"8 unexpected feature names: \['a', 'b', 'c', 'd', 'e', '...'\]."),
        ({"few": 1}, ValueError, r"Categorical features cannot have monotonic constraints: \['few'\]."),
        ([0, 0, 0, 0, 0, -1], ValueError, r"Categorical features cannot have monotonic constraints: \['many'\]."),
        ("up", InvalidParameterError, "must be None, an array-like or an instance of 'dict'. Got 'up' instead."),
        (1, InvalidParameterError, "must be None, an array-like or an instance of 'dict'. Got 1 instead."),
    ],
    ids=str,
)
def test_wrong_constraints(constraints, kind, message):
    model = ScratchMLPRegressor(**QUICK, monotonic_cst=constraints)
    with pytest.raises(kind, match=message):
        model.fit(X, Y)
    assert not hasattr(model, "fitted_")


@pytest.mark.parametrize("constraints", [[1, 0], {"a": 1}, [1, 0, 2], {"x0": 5}])
@pytest.mark.parametrize("named", [True, False])
def test_the_errors_are_those_of_hist_gradient_boosting(constraints, named):
    numbers = X[["up", "down", "free"]].fillna(0).rename(columns={"up": "x0"})
    table, errors = numbers if named else numbers.to_numpy(), []
    for model in (HistGradientBoostingRegressor(), ScratchMLPRegressor(**QUICK)):
        with pytest.raises(ValueError) as error:
            model.set_params(monotonic_cst=constraints).fit(table, Y)
        errors.append(str(error.value).replace(type(model).__name__, "").strip())
    assert errors[0] == errors[1]


def test_several_classes_and_labels_are_refused_as_in_hist_gradient_boosting():
    classes, table = np.arange(N) % 3, X[["down"]]
    for model in (HistGradientBoostingClassifier(monotonic_cst=[1]), ScratchMLPClassifier(monotonic_cst=[1])):
        with pytest.raises(ValueError, match="monotonic constraints are not supported for multiclass classification.$"):
            model.fit(table, classes)
    with pytest.raises(ValueError, match="monotonic constraints are not supported for multilabel classification.$"):
        ScratchMLPClassifier(monotonic_cst=[1]).fit(table, np.eye(3, dtype=int)[classes])


def test_a_single_class_has_nothing_to_constrain():
    model = ScratchMLPClassifier(**QUICK, monotonic_cst=CONSTRAINTS).fit(X, np.ones(N, int))
    assert np.all(model.predict_proba(X) == 1)


@pytest.mark.parametrize("activation", [(np.sin, np.cos), ["relu", (np.sin, np.cos)]])
def test_own_activations_are_refused(activation):
    with pytest.raises(
        InvalidParameterError, match="'activation' parameter of .* must consist of names with monotonic"
    ):
        ScratchMLPRegressor(**QUICK, monotonic_cst=CONSTRAINTS, activation=activation).fit(X, Y)
