"""Bad input gives one clear error before training and leaves what was fitted; fitted attributes; continued fits."""

import datetime
import pickle
import re
import sys
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.training import loop as training
from tests.helpers.plain import plain

CLASSES = {"classifier": ScratchMLPClassifier, "regressor": ScratchMLPRegressor}
RNG = np.random.RandomState(0)
X = RNG.normal(size=(40, 3))
Y = {"classifier": (X[:, 0] > 0).astype(int), "regressor": X[:, 0] - 0.5 * X[:, 1]}
FRAME = pd.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": np.tile(["u", "v"], 20)})
TINY = {"hidden_layer_sizes": (4,), "max_iter": 3, "random_state": 0}
FLOATS = ([np.ones((3, 4)), np.ones((4, 1))], [np.zeros(4), np.zeros(1)])


@pytest.fixture(params=CLASSES)
def kind(request):
    return request.param


def make(kind, **options):
    """A plain network, tiny unless the options say otherwise."""
    return plain(CLASSES[kind], **{**TINY, **options})


def put(array, where, value):
    """A float copy of `array` with `value` in one place."""
    out = np.array(array, dtype=float)
    out[where] = value
    return out


def refused(model, *args, error=ValueError, match, method="fit", **kwargs):
    """`model.fit(...)` raises an error that matches, without warning and training, and leaves the model as it was."""
    fitted_on = FRAME if hasattr(model, "feature_names_in_") else X
    before = model.predict(fitted_on) if hasattr(model, "n_features_in_") else None
    state = dict(vars(model))

    def never(*args, **kwargs):
        raise AssertionError("training began")

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        patch.setattr("skscratch.estimators.plan.train", never)
        patch.setattr("skscratch.estimators.plan.minimise", never)
        with pytest.raises(error, match=match) as caught:
            getattr(model, method)(*args, **kwargs)
    if before is None:
        assert not [name for name in vars(model) if name.endswith("_")]
    else:
        np.testing.assert_array_equal(model.predict(fitted_on), before)
    assert vars(model).keys() == state.keys()
    assert all(vars(model)[name] is value for name, value in state.items())
    return str(caught.value)


BAD_Y = {
    "nan": (lambda y: put(y, 3, np.nan), "Input y contains NaN"),
    "inf": (lambda y: put(y, 3, np.inf), "Input y contains infinity"),
    "none": (lambda y: None, "requires y to be passed, but the target y is None"),
    "a None among numbers": (lambda y: np.array([None, *y[1:]], dtype=object), "[Ii]nput y contains (NaN|None)"),
    "pandas.NA": (lambda y: pd.Series([*(y[1:] > 0).astype(int), None], dtype="Int64"), "Input y contains NaN"),
    "too short": (lambda y: y[:-1], r"inconsistent numbers of samples: \[40, 39\]"),
    "too long": (lambda y: np.append(y, 1), r"inconsistent numbers of samples: \[40, 41\]"),
    "three axes": (lambda y: np.ones((40, 2, 2)), "dim 3"),
    "complex": (lambda y: y + 1j, "Complex data not supported"),
}


@pytest.mark.parametrize(("change", "message"), BAD_Y.values(), ids=BAD_Y)
@pytest.mark.parametrize("fitted", [False, True])
def test_bad_y(kind, change, message, fitted):
    model = make(kind)
    if fitted:
        model.fit(X, Y[kind])
    refused(model, X, change(Y[kind]), match=message)


BAD_X = {
    "inf": (lambda: put(X, (1, 2), np.inf), ValueError, "Input X contains infinity"),
    "minus inf in a frame": (
        lambda: FRAME.assign(b=put(X[:, 1], 5, -np.inf)),
        ValueError,
        "Column 'b' of X contains infinity",
    ),
    "no rows": (lambda: X[:0], ValueError, r"0 sample\(s\)"),
    "no rows in a frame": (lambda: FRAME[:0], ValueError, r"0 sample\(s\)"),
    "no columns": (lambda: X[:, :0], ValueError, r"0 feature\(s\)"),
    "no columns in a frame": (lambda: FRAME[[]], ValueError, r"0 feature\(s\)"),
    "one axis": (lambda: X[:, 0], ValueError, "Expected 2D array, got 1D array"),
    "three axes": (lambda: X[None], ValueError, "dim 3"),
    "too few rows": (lambda: X[:-1], ValueError, "inconsistent numbers of samples"),
    "too few rows in a frame": (lambda: FRAME[:-1], ValueError, "inconsistent numbers of samples"),
    "complex": (lambda: X + 1j, ValueError, "Complex data not supported"),
    "strings and ints": (
        lambda: FRAME.assign(c=["u", 1] * 20),
        TypeError,
        r"Column 'c' mixes strings with other types, such as 1 \(int\)",
    ),
    "strings and floats in an array": (
        lambda: np.array([["u", 0.5], ["v", "w"]] * 20, dtype=object),
        TypeError,
        r"Column 'x1' mixes strings with other types, such as 0\.5 \(float\)",
    ),
    "lists": (lambda: FRAME.assign(c=[[1]] * 40), ValueError, r"Column 'c' .* holds \[1\]"),
    "dates": (lambda: FRAME.assign(c=pd.date_range("2020", periods=40)), TypeError, "Column 'c' holds dates or times"),
    "time zones": (
        lambda: FRAME.assign(c=pd.date_range("2020", periods=40, tz="UTC")),
        TypeError,
        "Column 'c' holds dates or times",
    ),
    "time spans": (
        lambda: FRAME.assign(c=pd.timedelta_range("1D", periods=40)),
        TypeError,
        "Column 'c' holds dates or times",
    ),
    "periods": (lambda: FRAME.assign(c=pd.period_range("2020", periods=40)), TypeError, "Column 'c'"),
    "dates as objects": (
        lambda: FRAME.assign(c=[datetime.date(2020, 1, 1)] * 40),
        (TypeError, ValueError),
        "Column 'c'",
    ),
    "dates in an array": (lambda: np.full((40, 1), "2020-01-01", "M8[D]"), TypeError, "dates or times"),
    "polars dates": (
        lambda: pl.DataFrame({"a": X[:, 0], "when": [datetime.date(2020, 1, 1)] * 40}),
        TypeError,
        "Column 'when' holds dates or times",
    ),
    "polars times of day": (
        lambda: pl.DataFrame({"a": X[:, 0], "when": [datetime.time(12)] * 40}),
        TypeError,
        "Column 'when' holds dates or times",
    ),
    "polars lists": (lambda: pl.DataFrame({"a": [[1.0]] * 40}), (TypeError, ValueError), "Column 'a'"),
    "lazy frame": (lambda: pl.DataFrame(X).lazy(), TypeError, "(?i)lazy.*collect"),
    "lazy frame of strings": (lambda: pl.DataFrame({"c": ["u", "v"] * 20}).lazy(), TypeError, "(?i)lazy.*collect"),
    "more categories than rows": (
        lambda: FRAME.assign(c=pd.Categorical(FRAME["c"], categories=["u", "v", *map(str, range(50))])),
        ValueError,
        "Column 'c' has 52 categories, more than the 40 rows of X",
    ),
    "names of several types": (lambda: pd.DataFrame(X, columns=["a", 1, 2]), TypeError, "string names"),
}


@pytest.mark.parametrize(("table", "error", "message"), BAD_X.values(), ids=BAD_X)
def test_bad_x(kind, table, error, message):
    refused(make(kind), table(), Y[kind], error=error, match=message)
    refused(make(kind).fit(X, Y[kind]), table(), Y[kind], error=error, match=message)


def test_as_many_categories_as_rows_are_accepted(kind):
    frame = FRAME.assign(c=pd.Categorical(FRAME["c"], categories=["u", "v", *map(str, range(38))]))
    assert len(make(kind).fit(frame, Y[kind]).predict(frame)) == 40


def test_rows_set_aside_do_not_count_against_the_categories(kind):
    # 40 rows of X and 40 categories: that some rows are held out is no business of the rule
    frame = FRAME.assign(c=pd.Categorical(FRAME["c"], categories=["u", "v", *map(str, range(38))]))
    model = make(kind, early_stopping=True).fit(frame, Y[kind])
    assert len(model.validation_scores_) == 3


BAD_WEIGHTS = {
    "negative": (put(np.ones(40), 7, -1.5), "Negative values in sample_weight: -1.5 at row 7"),
    "all zero": (np.zeros(40), "at least one non-zero number"),
    "a zero for all": (0, "at least one non-zero number"),
    "too few": (np.ones(39), r"sample_weight must be of shape \(40,\).* Got shape \(39,\)"),
    "a column": (np.ones((40, 1)), r"sample_weight must be of shape \(40,\).* Got shape \(40, 1\)"),
    "nan": (put(np.ones(40), 7, np.nan), "Input sample_weight contains NaN"),
    "inf": (put(np.ones(40), 7, np.inf), "Input sample_weight contains infinity"),
    "text": (np.full(40, "one"), "sample_weight"),
}


@pytest.mark.parametrize(("weight", "message"), BAD_WEIGHTS.values(), ids=BAD_WEIGHTS)
def test_bad_weights(kind, weight, message):
    model = make(kind)
    refused(model, X, Y[kind], weight, match=message)
    refused(model.fit(X, Y[kind]), X, Y[kind], weight, match=message)
    refused(model, X, Y[kind], X_val=X, y_val=Y[kind], sample_weight_val=weight, match="X_val and y_val .*" + message)


def test_one_weight_for_all_rows_is_accepted(kind):
    # a common factor on all weights changes nothing where there is no penalty; 1e-9: other roundings
    options = {"alpha": 0.0}
    lone = make(kind, **options).fit(X, Y[kind], 2.0).coefs_[0]
    np.testing.assert_allclose(lone, make(kind, **options).fit(X, Y[kind]).coefs_[0], atol=1e-9)


def test_validation_rows_must_match(kind):
    y = Y[kind]
    model = make(kind).fit(X, y)
    pair = {"X_val": X, "y_val": y}
    for given, message in (
        ({**pair, "X_val": X[:, :2]}, "X_val and y_val do not match.* 2 features.* expecting 3"),
        ({**pair, "y_val": y[:5]}, r"X_val and y_val do not match.* inconsistent numbers of samples: \[40, 5\]"),
        ({**pair, "X_val": X[:0], "y_val": y[:0]}, r"X_val and y_val do not match.* 0 sample\(s\)"),
        ({**pair, "X_val": put(X, (0, 0), np.inf)}, "X_val and y_val do not match.* contains infinity"),
        ({**pair, "y_val": put(y, 0, np.nan)}, "X_val and y_val do not match.* y contains NaN"),
        ({"X_val": X}, "X_val was given without y_val"),
        ({"y_val": y}, "y_val was given without X_val"),
        ({"sample_weight_val": np.ones(40)}, "sample_weight_val was given without X_val"),
        ({**pair, "sample_weight_val": np.ones(3)}, r"must be of shape \(40,\).* Got shape \(3,\)"),
    ):
        refused(model, X, y, match=message, **given)


def test_validation_frames_must_match(kind):
    y = Y[kind]
    model = make(kind)
    for frame, error, message in (
        (FRAME[["b", "a", "c"]], ValueError, "X_val and y_val do not match.* must be in the same order"),
        (
            FRAME.assign(b=np.tile(["x", "y"], 20)),
            ValueError,
            "X_val and y_val do not match.* 'b' is a column of numbers",
        ),
        (FRAME.assign(b=pd.date_range("2020", periods=40)), TypeError, "X_val and y_val do not match.* dates"),
        (FRAME.assign(c=["u", 1] * 20), TypeError, "X_val and y_val do not match.* mixes strings"),
    ):
        refused(model, FRAME, y, X_val=frame, y_val=y, error=error, match="(?s)" + message)


def test_wrong_number_of_columns_at_predict_and_partial_fit(kind):
    model = make(kind).fit(X, Y[kind])
    words = "X has 2 features, but ScratchMLP.* is expecting 3 features as input"
    with pytest.raises(ValueError, match=words):
        model.predict(X[:, :2])
    refused(model, X[:, :2], Y[kind], method="partial_fit", match=words)


def test_text_where_numbers_were_fitted_names_the_column(kind):
    mixed = make(kind).fit(FRAME, Y[kind])
    with pytest.raises(ValueError, match="Column 'b' is a column of numbers, but holds (text such as )?'x'"):
        mixed.predict(FRAME.assign(b="x"))
    numeric = make(kind).fit(FRAME[["a", "b"]], Y[kind])
    with pytest.raises(ValueError, match="[Cc]olumn 'b'"):
        numeric.predict(FRAME[["a", "b"]].assign(b="x"))


def test_strings_in_an_array_are_read_as_those_of_a_frame(kind):
    text = np.tile(["u", "v"], 20)
    y = (text == "u").astype(int)
    options = {"max_iter": 60, "learning_rate_init": 0.1}
    expected = make(kind, **options).fit(text.astype(object)[:, None], y).predict(text.astype(object)[:, None])
    got = make(kind, **options).fit(text[:, None], y).predict(text[:, None])  # dtype <U1
    np.testing.assert_array_equal(got, expected)


def test_categorical_features_must_fit_x(kind):
    for value, table, message in (
        ([True, False], X, r"mask of shape \(2,\), but X has 3 columns"),
        ([3], X, "holds 3, but X has the columns 0 to 2"),
        (["d"], FRAME, "names the column 'd', which X does not have"),
        ([0], sp.csr_matrix(X), "sparse X has no categories"),
        (None, FRAME, "Column 'c' is a column of numbers, but holds 'u'"),
    ):
        refused(make(kind, categorical_features=value), table, Y[kind], match=message)


@pytest.mark.parametrize(
    ("init", "message"),
    [
        ((FLOATS[0][:1], FLOATS[1]), "init gives 1 coefs for the 2 layers"),
        ((FLOATS[0], FLOATS[1][:1]), "init gives 1 intercepts for the 2 layers"),
        (
            ([np.ones((3, 4)), np.ones((5, 1))], FLOATS[1]),
            r"init gives coefs\[1\] the shape \(5, 1\)",
        ),
        ((FLOATS[0], [np.ones(3), np.ones(1)]), r"init gives intercepts\[0\] the shape \(3,\); it must be \(4,\)"),
        (([np.full((3, 4), np.nan), np.ones((4, 1))], FLOATS[1]), r"init.*coefs\[0\].*(finite|NaN)"),
        (([np.full((3, 4), "a"), np.ones((4, 1))], FLOATS[1]), r"init.*coefs\[0\]"),
        ((1, 2), "'init'.* lists of arrays"),
    ],
)
def test_init_arrays_must_fit_the_network(kind, init, message):
    refused(make(kind, init=init), X, Y[kind], match=message)


def test_init_arrays_are_where_training_starts(kind):
    model = make(kind, max_iter=1, init=FLOATS, learning_rate_init=1e-12, weight_decay=0.0)
    model.fit(X, Y[kind])
    for array, given in zip([*model.coefs_, *model.intercepts_], [*FLOATS[0], *FLOATS[1]], strict=True):
        np.testing.assert_allclose(array, given, atol=1e-11)  # one Adam step moves each weight by the rate


def test_an_empty_validation_split_is_refused(kind):
    rows = [0, int(np.argmax(Y[kind] != Y[kind][0]))]
    model = make(kind, early_stopping=True)
    refused(model, X[rows], Y[kind][rows], match="validation set would be empty.*Increase validation_fraction")
    model.set_params(validation_fraction=0.0)
    refused(model, X, Y[kind], match="validation set would be empty: 0.0 of (n_samples=)?40")


BAD_FUNCTIONS = {
    "loss without gradient": ({"loss": lambda t, z: z}, "callable loss must return"),
    "loss of wrong shapes": (
        {"loss": lambda t, z: (z, z)},
        r"callable loss must return.* Got shapes \(40, 1\)",
    ),
    "activation of wrong shape": ({"activation": (lambda x: x[..., :2], np.cos)}, "activation"),
    "activation that is one row": ({"activation": (lambda x: x[:, :1], np.cos)}, "activation"),
    "derivative of wrong shape": ({"activation": (np.sin, lambda x: x[..., :2])}, "activation"),
    "schedule of text": ({"learning_rate": lambda u: "fast"}, "learning_rate"),
    "schedule of None": ({"learning_rate": lambda u: None}, "learning_rate"),
}


@pytest.mark.parametrize(("options", "message"), BAD_FUNCTIONS.values(), ids=BAD_FUNCTIONS)
def test_a_callable_that_answers_wrongly_is_named(kind, options, message):
    model = make(kind).fit(X, Y[kind])
    before = model.predict(X)
    with pytest.raises((ValueError, TypeError), match=message):
        model.set_params(**options).fit(X, Y[kind])
    np.testing.assert_array_equal(model.predict(X), before)


def test_an_error_in_the_midst_of_training_leaves_the_model_as_it_was(kind):
    calls = []

    def schedule(u):
        calls.append(u)
        if len(calls) > 3:
            raise RuntimeError("stop here")
        return 1.0

    model = make(kind, warm_start=True).fit(X, Y[kind])
    before, curve = model.predict(X), list(model.loss_curve_)
    expected = make(kind, warm_start=True).fit(X, Y[kind]).fit(X, Y[kind]).predict(X)
    with pytest.raises(RuntimeError, match="stop here"):
        model.set_params(learning_rate=schedule, max_iter=10).fit(X, Y[kind])
    np.testing.assert_array_equal(model.predict(X), before)
    assert model.loss_curve_ == curve
    # even what a continued training needs is as it was
    model.set_params(learning_rate="cosine", max_iter=3).fit(X, Y[kind])
    np.testing.assert_array_equal(model.predict(X), expected)


def test_unfitted(kind):
    model = CLASSES[kind]()
    for method in ("predict", "score", "predict_proba", "decision_function"):
        if hasattr(model, method):
            with pytest.raises(NotFittedError, match="is not fitted yet"):
                getattr(model, method)(*((X, Y[kind]) if method == "score" else (X,)))
    for name in ("coefs_", "intercepts_", "n_iter_"):
        with pytest.raises(AttributeError, match=name):
            getattr(model, name)


# -------------------------------------------------------------------------- continued training


CHANGES = [
    ("hidden_layer_sizes", (5,)),
    ("activation", "tanh"),
    ("n_members", 2),
    ("fit_intercept", False),
    ("dtype", "float32"),
    ("dropout", 0.5),
    ("scale_features", False),
    ("solver", "sgd"),
    ("beta_1", 0.1),
    ("beta_2", 0.1),
    ("epsilon", 1.0),
    ("loss", None),
    ("alpha", 5.0),
    ("weight_decay", 5.0),
    ("learning_rate_init", 0.1),
    ("learning_rate", "one_cycle"),
    ("batch_size", 7),
    ("shuffle", False),
    ("clip_norm", 1e-3),
    ("parametrization", "ntk"),
    ("numeric_embedding", "bins"),
    ("n_folds", 2),
    ("n_bins", 7),
]
ONLY_OF_FIT = [("solver", "lbfgs"), ("early_stopping", True), ("max_iter", 9)]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # L-BFGS cut short
@pytest.mark.parametrize(
    ("method", "name", "value"),
    [("fit", *change) for change in CHANGES + ONLY_OF_FIT] + [("partial_fit", *change) for change in CHANGES],
)
def test_a_parameter_changed_between_calls_is_honoured_or_refused(kind, method, name, value):
    if name == "loss":
        value = {"classifier": "squared_error", "regressor": "absolute_error"}[kind]

    def fitted():
        return make(kind, warm_start=True, batch_size=16).fit(X, Y[kind])

    def scores(model):
        return model.decision_function(X) if kind == "classifier" else model.predict(X)

    unchanged, again = (scores(getattr(fitted(), method)(X, Y[kind])) for _ in range(2))
    np.testing.assert_array_equal(unchanged, again)
    model = fitted().set_params(**{name: value})
    try:
        getattr(model, method)(X, Y[kind])
    except ValueError as error:
        assert name in str(error)
    else:
        assert not np.array_equal(scores(model), unchanged), f"{name}={value!r} was ignored without a word"


def test_warm_start_with_momentum_changed(kind):
    y = Y[kind]
    options = {"warm_start": True, "solver": "sgd", "batch_size": 16}
    kept = make(kind, **options, momentum=0.1).fit(X, y).fit(X, y).coefs_[0]
    changed = make(kind, **options, momentum=0.1).fit(X, y).set_params(momentum=0.9).fit(X, y).coefs_[0]
    assert not np.array_equal(kept, changed)


def test_warm_start_refuses_another_network_and_other_columns(kind):
    model = make(kind, warm_start=True).fit(X, Y[kind])
    refused(model, X[:, :2], Y[kind], match="X has 2 features, but .* expecting 3")
    model.set_params(hidden_layer_sizes=(5,))
    refused(model, X, Y[kind], match=r"another network: hidden_layer_sizes was \(4,\) and is now \(5,\)")
    refused(model, X, Y[kind], method="partial_fit", match="another network: hidden_layer_sizes")
    model.set_params(hidden_layer_sizes=(4,), activation="tanh")
    refused(model, X, Y[kind], match="another network: activation was 'relu' and is now 'tanh'")
    model.set_params(activation="relu", warm_start=False, hidden_layer_sizes=(5,))
    assert model.fit(X, Y[kind]).coefs_[0].shape == (3, 5)


# ------------------------------------------------------------------------------- attributes


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("validated", [False, True])
def test_fitted_attributes(kind, solver, validated):
    y = Y[kind]
    model = make(kind, hidden_layer_sizes=(4, 2), max_iter=5, solver=solver)
    model.fit(X, y, **({"X_val": X[:10], "y_val": y[:10]} if validated else {}))
    n = model.n_iter_
    assert 1 <= n <= 5 and type(n) is int
    assert len(model.loss_curve_) == n and all(type(loss) is float for loss in model.loss_curve_)
    assert model.loss_ == model.loss_curve_[-1]
    assert model.t_ == 40 * n
    assert model.n_layers_ == 4 and model.n_outputs_ == 1 and model.n_features_in_ == 3
    assert not hasattr(model, "feature_names_in_")
    assert [w.shape for w in model.coefs_] == [(3, 4), (4, 2), (2, 1)]
    assert [b.shape for b in model.intercepts_] == [(4,), (2,), (1,)]
    assert model.out_activation_ == {"classifier": "logistic", "regressor": "identity"}[kind]
    history = pd.DataFrame(model.history_)
    assert history["loss"].tolist() == model.loss_curve_ and len(history) == n
    assert {"learning_rate", "seconds"} <= set(history) and history["seconds"].is_monotonic_increasing
    if validated:
        assert len(model.validation_scores_) == len(model.validation_loss_curve_) == n
        assert model.best_validation_score_ == max(model.validation_scores_)
        assert model.validation_scores_ == [-loss for loss in model.validation_loss_curve_]  # scoring="loss"
        assert model.best_iteration_ == 1 + int(np.argmax(model.validation_scores_))
        assert model.best_loss_ is None
        assert history["validation_score"].tolist() == model.validation_scores_
    else:
        assert model.validation_scores_ is None and model.validation_loss_curve_ is None
        assert model.best_validation_score_ is None
        assert model.best_loss_ == min(model.loss_curve_)
        assert model.best_iteration_ == 1 + int(np.argmin(model.loss_curve_))
        assert set(history) == {"loss", "learning_rate", "seconds"}


def test_attributes_of_members_and_without_biases(kind):
    model = make(kind, n_members=3).fit(X, Y[kind])
    assert [w.shape for w in model.coefs_] == [(3, 3, 4), (3, 4, 1)]
    assert [b.shape for b in model.intercepts_] == [(3, 4), (3, 1)]
    model = make(kind, fit_intercept=False).fit(X, Y[kind])
    assert [b.tolist() for b in model.intercepts_] == [[0, 0, 0, 0], [0]]
    model = make(kind, hidden_layer_sizes=()).fit(X, Y[kind])
    assert model.n_layers_ == 2 and [w.shape for w in model.coefs_] == [(3, 1)]


def test_feature_names_and_encoded_columns(kind):
    model = make(kind).fit(FRAME, Y[kind])
    assert model.feature_names_in_.tolist() == ["a", "b", "c"] and model.feature_names_in_.dtype == object
    assert model.n_features_in_ == 3
    assert model.coefs_[0].shape == (4, 4)  # a, b, c=u, c=v
    assert not hasattr(model.fit(X, Y[kind]), "feature_names_in_")  # a refit forgets them


def test_curves_go_on_with_warm_start_and_start_anew_without(kind):
    model = make(kind, warm_start=True).fit(X, Y[kind]).fit(X, Y[kind])
    assert (model.n_iter_, len(model.loss_curve_), model.t_) == (3, 6, 240)
    model.set_params(warm_start=False).fit(X, Y[kind])
    assert (model.n_iter_, len(model.loss_curve_), model.t_) == (3, 3, 120)
    model.partial_fit(X, Y[kind])
    assert (model.n_iter_, len(model.loss_curve_), model.t_) == (1, 4, 160)


def test_the_loss_curve_of_one_fit_is_not_the_list_of_the_next(kind):
    model = make(kind, warm_start=True).fit(X, Y[kind])
    first = model.loss_curve_
    model.fit(X, Y[kind])
    assert len(first) == 3 and len(model.loss_curve_) == 6


# ----------------------------------------------------------------------- stopping and weights


def noisy(kind, n=80):
    rng = np.random.RandomState(1)
    table = rng.normal(size=(n, 5))
    y = table[:, 0] + 2 * rng.normal(size=n)
    return table, (y > 0).astype(int) if kind == "classifier" else y


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("scoring", ["loss", None])
def test_early_stopping_gives_back_the_best_epoch(kind, given, scoring):
    table, y = noisy(kind)
    options = {
        "hidden_layer_sizes": (20,),
        "learning_rate": "constant",  # whose rate does not depend on max_iter
        "learning_rate_init": 0.05,
        "validation_fraction": 0.3,
        "early_stopping": True,
        "scoring": scoring,
    }
    validation = {"X_val": table[:25], "y_val": y[:25]} if given else {}
    rows = slice(25, None) if given else slice(None)
    model = make(kind, **options, n_iter_no_change=8, max_iter=300).fit(table[rows], y[rows], **validation)
    best = model.best_iteration_
    assert 1 <= best < model.n_iter_ < 300  # it did stop, and not at its best
    assert model.n_iter_ - best >= 8
    assert model.best_validation_score_ == model.validation_scores_[best - 1] == max(model.validation_scores_)
    stopped = make(kind, **options, n_iter_no_change=np.inf, max_iter=best, restore_best_weights=False)
    stopped.fit(table[rows], y[rows], **validation)
    np.testing.assert_array_equal(model.predict(table), stopped.predict(table))
    np.testing.assert_array_equal(model.coefs_[0], stopped.coefs_[0])
    last = make(kind, **options, n_iter_no_change=8, max_iter=300, restore_best_weights=False)
    last.fit(table[rows], y[rows], **validation)
    assert last.loss_curve_ == model.loss_curve_
    assert not np.array_equal(model.coefs_[0], last.coefs_[0])


def test_patience_counts_epochs_without_improvement(kind):
    # with tol = 1e9 no epoch but the first can be an improvement
    for patience in (1, 4):
        model = make(
            kind, max_iter=50, early_stopping=True, tol=1e9, n_iter_no_change=patience, validation_fraction=0.3
        ).fit(X, Y[kind])
        assert model.n_iter_ == 1 + patience
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # stopping is no failure to converge
            model = make(kind, max_iter=50, learning_rate="constant", tol=1e9, n_iter_no_change=patience).fit(
                X, Y[kind]
            )
        assert model.n_iter_ == 1 + patience


def test_x_val_without_early_stopping_runs_to_the_end_and_keeps_the_best(kind):
    table, y = noisy(kind)
    model = make(kind, hidden_layer_sizes=(20,), max_iter=60, learning_rate_init=0.1)
    model.fit(table[25:], y[25:], X_val=table[:25], y_val=y[:25])
    assert model.n_iter_ == 60 and model.best_iteration_ < 60
    again = make(kind, hidden_layer_sizes=(20,), max_iter=60, learning_rate_init=0.1).fit(table[25:], y[25:])
    assert again.loss_curve_ == model.loss_curve_  # to be watched does not change training
    assert not np.array_equal(again.coefs_[0], model.coefs_[0])


def test_x_val_takes_the_place_of_the_split(kind):
    table, y = noisy(kind)
    model = make(kind, early_stopping=True).fit(table[25:], y[25:], X_val=table[:25], y_val=y[:25])
    assert model.t_ == 3 * 55  # no row was set aside
    model = make(kind, early_stopping=True, validation_fraction=0.2).fit(table, y)
    assert model.t_ == 3 * 64


def test_validation_weights_are_those_rows_as_often(kind):
    table, y = noisy(kind)
    counts = np.random.RandomState(0).randint(0, 3, 25)
    weighted = make(kind).fit(table[25:], y[25:], X_val=table[:25], y_val=y[:25], sample_weight_val=counts)
    rows = np.repeat(np.arange(25), counts)
    repeated = make(kind).fit(table[25:], y[25:], X_val=table[rows], y_val=y[rows])
    # float64, sums in another order
    np.testing.assert_allclose(weighted.validation_loss_curve_, repeated.validation_loss_curve_, rtol=1e-12)


@pytest.mark.parametrize(
    ("kind_", "scoring"),
    [
        ("classifier", "accuracy"),
        ("classifier", "neg_log_loss"),
        ("classifier", "roc_auc"),
        ("regressor", "r2"),
        ("regressor", "neg_mean_absolute_error"),
    ],
)
def test_scoring_names_give_that_score_of_the_kept_weights(kind_, scoring):
    from sklearn.metrics import get_scorer

    table, y = noisy(kind_)
    model = make(kind_, hidden_layer_sizes=(8,), max_iter=15, learning_rate_init=0.05, scoring=scoring)
    model.fit(table[25:], y[25:], X_val=table[:25], y_val=y[:25])
    assert model.best_validation_score_ == get_scorer(scoring)(model, table[:25], y[:25])
    assert model.validation_scores_ != [-loss for loss in model.validation_loss_curve_]


def test_scoring_none_is_the_method_score_and_a_callable_is_called(kind):
    table, y = noisy(kind)
    seen = []

    def scorer(estimator, X_val, y_val):
        seen.append((X_val, estimator.predict(X_val)))
        return -len(seen) if len(seen) > 2 else len(seen)  # the second epoch is the best

    model = make(kind, scoring=scorer).fit(table[25:], y[25:], X_val=table[:25], y_val=y[:25])
    assert model.validation_scores_ == [1, 2, -3] and model.best_iteration_ == 2
    assert all(X_val is seen[0][0] for X_val, _ in seen)
    np.testing.assert_array_equal(model.predict(table[:25]), seen[1][1])
    model = make(kind, scoring=None).fit(table[25:], y[25:], X_val=table[:25], y_val=y[:25])
    assert model.best_validation_score_ == model.score(table[:25], y[:25])


def test_a_scorer_sees_the_frame_as_it_came(kind):
    names = []

    def scorer(estimator, X_val, y_val):
        names.append(list(X_val.columns))
        return estimator.score(X_val, y_val)

    make(kind, scoring=scorer, early_stopping=True).fit(FRAME, Y[kind])
    assert names == [["a", "b", "c"]] * 3


def test_partial_fit_with_x_val_keeps_the_best_call(kind):
    table, y = noisy(kind)
    options = {"classes": [0, 1]} if kind == "classifier" else {}
    model = make(kind, hidden_layer_sizes=(20,), learning_rate_init=0.1, learning_rate="constant")
    predictions = []
    for i in range(12):
        model.partial_fit(table[25:], y[25:], **(options if i == 0 else {}), X_val=table[:25], y_val=y[:25])
        predictions.append(model.predict(table))
    assert len(model.validation_scores_) == len(model.loss_curve_) == 12
    assert model.best_iteration_ < 12  # else the test shows nothing
    np.testing.assert_array_equal(predictions[-1], predictions[model.best_iteration_ - 1])
    unwatched = make(kind, hidden_layer_sizes=(20,), learning_rate_init=0.1, learning_rate="constant")
    for i in range(12):
        unwatched.partial_fit(table[25:], y[25:], **(options if i == 0 else {}))
    assert unwatched.loss_curve_ == model.loss_curve_  # training itself went on from the last weights


def test_partial_fit_equals_fit_epoch_by_epoch(kind):
    y = Y[kind]
    options = {"learning_rate": "constant", "batch_size": 16, "restore_best_weights": False}
    whole = make(kind, **options, n_iter_no_change=np.inf).fit(X, y)
    steps = make(kind, **options)
    for i in range(3):
        steps.partial_fit(X, y, **({"classes": [0, 1]} if kind == "classifier" and i == 0 else {}))
    np.testing.assert_array_equal(whole.coefs_[0], steps.coefs_[0])
    assert whole.loss_curve_ == steps.loss_curve_


def test_verbose_tells_of_each_epoch_and_nothing_is_said_without(kind, caplog, capsys):
    caplog.set_level("INFO", "skscratch")
    make(kind).fit(X, Y[kind])
    assert (caplog.messages, capsys.readouterr().out) == ([], "")
    model = make(kind, verbose=True, early_stopping=True).fit(X, Y[kind])
    assert len(caplog.messages) == 3
    for i, line in enumerate(caplog.messages):
        loss, validation = model.loss_curve_[i], model.validation_loss_curve_[i]
        assert line.startswith(f"epoch {i + 1}/3  loss {loss:11.5g}  validation {validation:11.5g}  rate ")
        assert "score" not in line
    caplog.clear()
    model = make(kind, verbose=True, early_stopping=True, scoring=None).fit(X, Y[kind])
    assert f"score {model.validation_scores_[-1]:11.5g}  rate" in caplog.messages[-1]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("n", "options", "expected"),
    [
        (200, {}, "float64"),
        (201, {}, "float32"),
        (201, {"dtype": "float64"}, "float64"),
        (50, {"dtype": "float32"}, "float32"),
        (50, {"dtype": np.float32}, "float32"),
        (201, {"solver": "lbfgs"}, "float32"),
        (50, {"solver": "lbfgs", "dtype": "float32"}, "float32"),
        (50, {"solver": "lbfgs"}, "float64"),
    ],
)
@pytest.mark.parametrize("given", [np.float32, np.float64])
def test_dtype(kind, n, options, expected, given):
    rng = np.random.RandomState(0)
    table = rng.normal(size=(n, 2)).astype(given)
    y = (table[:, 0] > 0).astype(int) if kind == "classifier" else table[:, 0]
    model = make(kind, **options).fit(table, y)
    assert {array.dtype for array in [*model.coefs_, *model.intercepts_]} == {np.dtype(expected)}
    if kind == "classifier":
        assert model.predict_proba(table).dtype == expected and model.decision_function(table).dtype == expected
    if options.get("solver") != "lbfgs":
        model.partial_fit(table, y)
        assert model.coefs_[0].dtype == expected


# ----------------------------------------------------------------------------- folds


def folded(kind, **options):
    return make(kind, **{"early_stopping": "folds", "n_members": 4, "n_folds": 2, **options})


def test_attributes_of_folds(kind):
    table, y = noisy(kind)
    model = folded(kind, max_iter=6).fit(table, y)
    assert len(model.validation_scores_) == len(model.validation_loss_curve_) == model.n_iter_ == 6
    assert model.best_validation_score_ == max(model.validation_scores_[1:])
    assert model.best_iteration_ == 1 + int(np.nanargmax(model.validation_scores_))
    assert model.best_loss_ is None and model.temperature_ == 1
    assert model.t_ == 6 * 80  # no row is lost
    assert len(model.oof_predictions_) == 80 and type(model.oof_score_) is float
    assert not np.isnan(model.validation_scores_[-1])


def test_epochs_in_which_the_rate_is_high_are_not_judged(kind):
    table, y = noisy(kind)
    model = folded(kind, learning_rate="multi_cosine", max_iter=60, batch_size=8).fit(table, y)
    rates, judged = np.array(model.history_["learning_rate"]), ~np.isnan(model.validation_scores_)
    assert judged.any() and not judged.all()
    # an epoch's rate is that of its last step, a tenth before its end, at which the rate is to be below 3/4
    assert rates[judged].max() < 0.8 * 0.007 and rates[~judged].max() > 0.99 * 0.007
    assert np.array_equal(judged, ~np.isnan(model.validation_loss_curve_)) and judged[model.best_iteration_ - 1]
    constant = folded(kind, learning_rate="constant", max_iter=5, n_iter_no_change=np.inf).fit(table, y)
    assert not np.isnan(constant.validation_scores_).any()  # a schedule without an end has no such epochs


def test_training_ends_with_the_cycle_that_gains_nothing(kind):
    rng = np.random.RandomState(0)
    table, noise = rng.normal(size=(80, 3)), rng.permutation(np.arange(80) % 2)
    options = {"learning_rate": "multi_cosine", "max_iter": 60, "init": "data", "learning_rate_init": 0.03}
    # cycles end at 1/15, 3/15 and 7/15 of 60; the first has none before it to be compared with
    assert folded(kind, **options).fit(table, noise).n_iter_ == 12
    line = (table[:, 0] > 0).astype(int) if kind == "classifier" else table[:, 0]
    assert folded(kind, **options).fit(table, line).n_iter_ > 12
    assert folded(kind, **{**options, "learning_rate": "cosine"}).fit(table, noise).n_iter_ == 60


@pytest.mark.parametrize(
    "options",
    [
        {"early_stopping": False},
        {"early_stopping": True},
        {"n_members": 1},
        {"solver": "lbfgs", "n_iter_no_change": np.inf},
    ],
    ids=["off", "split", "lone", "lbfgs"],
)
def test_without_folds_there_is_nothing_out_of_fold(kind, options):
    table, y = noisy(kind)
    model = folded(kind).fit(table, y)
    assert model.oof_predictions_ is not None and model.oof_score_ is not None
    model.set_params(**options).fit(table, y)  # a refit forgets them
    assert model.oof_predictions_ is None and model.oof_score_ is None


def test_neither_is_there_after_partial_fit(kind):
    table, y = noisy(kind)
    model = folded(kind).fit(table, y).partial_fit(table, y)
    assert model.oof_predictions_ is None and model.oof_score_ is None


def test_x_val_takes_the_place_of_folds(kind):
    table, y = noisy(kind)
    given = {"X_val": table[:25], "y_val": y[:25]}
    model = folded(kind).fit(table[25:], y[25:], **given)
    assert model.oof_predictions_ is None and model.oof_score_ is None and model._state.folds is None
    without = folded(kind, early_stopping=False).fit(table[25:], y[25:], **given)
    np.testing.assert_array_equal(model.predict(table), without.predict(table))
    assert model.validation_scores_ == without.validation_scores_


def test_out_of_fold_predictions_are_not_pickled_and_their_score_is(kind):
    table, y = noisy(kind, 2000)
    for options in ({}, {"warm_start": True}):
        model = folded(kind, **options).fit(table, y)
        again = pickle.loads(pickle.dumps(model))
        assert not hasattr(again, "oof_predictions_") and again.oof_score_ == model.oof_score_
        assert len(model.oof_predictions_) == 2000  # the model itself keeps them
        np.testing.assert_array_equal(again.predict(table), model.predict(table))
    size = sum(array.nbytes for array in [*model.coefs_, *model.intercepts_])
    assert len(pickle.dumps(folded(kind).fit(table, y))) < size + 9000  # parameters, and no array of the rows


def test_warm_start_keeps_the_folds_of_the_same_rows(kind):
    table, y = noisy(kind)
    model = folded(kind, warm_start=True).fit(table, y)
    folds = model._state.folds
    assert np.array_equal(model.fit(table, y)._state.folds, folds)
    model.fit(table[:60], y[:60])  # other rows are dealt anew
    assert len(model._state.folds) == 60 and len(model.oof_predictions_) == 60
    fresh = model.set_params(warm_start=False, random_state=1).fit(table, y)._state.folds
    assert not np.array_equal(fresh, folds)


def test_every_class_is_dealt_evenly():
    table, _ = noisy("classifier", 90)
    y = np.repeat(["a", "b", "c"], [50, 30, 10])
    model = folded("classifier", n_members=5, n_folds=5).fit(table, y)
    for name in "abc":
        assert np.ptp(np.bincount(model._state.folds[y == name], minlength=5)) <= 2
    # each five of the sorted targets are in five folds
    model = folded("regressor", n_members=5, n_folds=5).fit(table, np.arange(90.0))
    assert (np.sort(model._state.folds.reshape(18, 5), axis=1) == np.arange(5)).all()


def test_folds_with_a_scorer(kind):
    table, y = noisy(kind)
    scoring = {"classifier": "accuracy", "regressor": "r2"}[kind]
    model = folded(kind, scoring=scoring, max_iter=10, learning_rate_init=0.05, refit=0.0).fit(table, y)
    assert model.best_validation_score_ == model.oof_score_
    own = folded(kind, scoring=None, max_iter=10, learning_rate_init=0.05, refit=0.0).fit(table, y)
    assert own.validation_scores_[1:] == model.validation_scores_[1:]


def test_a_scorer_is_never_answered_by_the_fit_before(kind):
    """Asked for other rows than it was handed, the estimator answers from this fit or says that it cannot."""
    table, y = noisy(kind)
    answers = []

    def scorer(estimator, X_val, y_val):
        answers.append(estimator.predict(table[:25]))
        return float(len(answers))  # the last epoch is the best

    model = make(kind, learning_rate_init=0.05).fit(table, y[::-1])
    try:
        model.set_params(scoring=scorer).fit(table, y, X_val=table[25:], y_val=y[25:])
    except ValueError as error:
        assert "scor" in str(error)
    else:
        np.testing.assert_array_equal(answers[-1], model.predict(table[:25]))


# -------------------------------------------------------------------------------- randomness


def test_random_state(kind):
    def weights(random_state):
        return make(kind, random_state=random_state, batch_size=16).fit(X, Y[kind]).coefs_[0]

    np.testing.assert_array_equal(weights(3), weights(3))
    np.testing.assert_array_equal(weights(3), weights(np.random.RandomState(3)))
    assert not np.array_equal(weights(3), weights(4))
    assert not np.array_equal(weights(None), weights(None))
    instance = np.random.RandomState(3)
    assert not np.array_equal(weights(instance), weights(instance))  # an instance moves on
    np.random.seed(5)
    one, two = weights(None), weights(None)
    np.random.seed(5)
    np.testing.assert_array_equal(weights(None), one)
    np.testing.assert_array_equal(weights(None), two)


def test_an_int_seed_leaves_numpys_own_generator_alone(kind):
    np.random.seed(1)
    expected = np.random.uniform()
    np.random.seed(1)
    make(kind, dropout=0.2, early_stopping=True).fit(X, Y[kind])
    assert np.random.uniform() == expected


def test_partial_fit_shuffles_anew_each_time(kind, monkeypatch):
    orders = []
    load = training.Step.load

    def watch(self, rows):
        orders.append(rows.tolist())
        return load(self, rows)

    monkeypatch.setattr(training.Step, "load", watch)
    model = make(kind)
    for _ in range(4):
        model.partial_fit(X, Y[kind], **({"classes": [0, 1]} if kind == "classifier" else {}))
    assert len(orders) == 4 and all(sorted(order) == list(range(40)) for order in orders)
    assert len(set(map(tuple, orders))) == 4


# -------------------------------------------------------------- divergence and interruption


@pytest.mark.parametrize("rate", [1e2, 1e6, 1e15])
def test_divergence_warns_once_and_returns_good_weights(kind, rate):
    options = {"hidden_layer_sizes": (10,), "max_iter": 12, "batch_size": 20}
    model = make(kind, **options, solver="sgd", learning_rate_init=rate, loss="squared_error")
    X_big, y = noisy(kind)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X_big, y)
    assert [w.category for w in caught] in ([ConvergenceWarning], [])
    if rate > 1e5 and kind == "regressor":  # a classifier's squared errors lie between 0 and 1, whatever the weights
        assert len(caught) == 1
        words = "became non-finite, or huge, in epoch .*Lower learning_rate_init, or set clip_norm"
        assert re.search(words, str(caught[0].message))
    assert all(np.isfinite(array).all() for array in [*model.coefs_, *model.intercepts_])
    predicted = model.predict(X_big)
    assert np.isfinite(predicted).all()
    if kind == "regressor" and caught:
        # the weights that were set back are good ones: no worse than ten times the error of predicting the mean
        assert np.mean((predicted - y) ** 2) < 10 * np.var(y)


def test_divergence_of_a_table_of_one_batch_returns_good_weights():
    # the first step, the last of its epoch, is the one that goes wrong: it shows only in the next epoch's loss
    table, y = noisy("regressor")
    model = make("regressor", hidden_layer_sizes=(10,), solver="sgd", learning_rate_init=1e5, max_iter=12)
    with pytest.warns(ConvergenceWarning, match="non-finite"):
        model.fit(table, y)
    assert np.mean((model.predict(table) - y) ** 2) < 10 * np.var(y)
    assert model.n_iter_ == 12  # with a smaller step it went on


@pytest.mark.parametrize("epoch", [1, 3])
def test_keyboard_interrupt_leaves_a_usable_model(kind, epoch):
    calls = []

    def schedule(u):
        calls.append(u)
        if len(calls) == 3 * epoch - 1:  # in the second of the epoch's three steps
            raise KeyboardInterrupt
        return 1.0

    options = {"max_iter": 6, "batch_size": 16, "warm_start": True, "restore_best_weights": False}
    model = make(kind, **options, learning_rate=schedule)
    with pytest.warns(UserWarning, match="Training interrupted by user") as caught:
        model.fit(X, Y[kind])
    assert len(caught) == 1
    assert model.n_iter_ == len(model.loss_curve_) == epoch - 1
    assert np.isfinite(model.predict(X).astype(float)).all()
    # and the weights are those of the last whole epoch, from where a next call finishes what was planned
    whole = make(kind, **options, learning_rate=lambda u: 1.0).fit(X, Y[kind])
    model.fit(X, Y[kind])
    assert model.n_iter_ == 6 - (epoch - 1)
    assert model.loss_curve_ == whole.loss_curve_
    np.testing.assert_array_equal(model.coefs_[0], whole.coefs_[0])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_keyboard_interrupt_of_lbfgs(kind):
    calls = []

    def loss(t, z):
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return 0.5 * ((z - t) ** 2).sum(axis=1), z - t

    model = make(kind, max_iter=50, solver="lbfgs", loss=loss)
    with pytest.warns(UserWarning, match="Training interrupted by user"):
        model.fit(X, Y[kind])
    assert 1 <= model.n_iter_ < 8 and np.isfinite(model.predict(X).astype(float)).all()


def test_predict_does_not_change_the_model(kind):
    model = make(kind).fit(FRAME, Y[kind])
    before = {name: id(value) for name, value in vars(model).items()}
    model.predict(FRAME)
    model.score(FRAME, Y[kind])
    assert {name: id(value) for name, value in vars(model).items()} == before


def test_input_is_left_alone(kind):
    table, y, weight = X.copy(), Y[kind].copy(), np.ones(40)
    frame = FRAME.copy()
    make(kind, early_stopping=True).fit(table, y, weight).predict(table)
    make(kind).fit(frame, y).predict(frame)
    np.testing.assert_array_equal(table, X)
    np.testing.assert_array_equal(y, Y[kind])
    np.testing.assert_array_equal(weight, np.ones(40))
    pd.testing.assert_frame_equal(frame, FRAME)


def test_set_callbacks_says_what_is_missing_before_scikit_learn_1_9(kind, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.callback", None)
    model = make(kind)
    with pytest.raises(ImportError, match=r"set_callbacks needs scikit-learn 1\.9 or newer.* is installed"):
        model.set_callbacks()
    assert model.fit(X, Y[kind]).n_iter_ == 3  # and all else works


def test_the_history_has_one_value_an_epoch_also_where_validation_comes_and_goes(kind):
    model = make(kind, warm_start=True).fit(X, Y[kind])
    model.set_params(early_stopping=True).fit(X, Y[kind])
    model.set_params(early_stopping=False).fit(X, Y[kind])
    assert {len(values) for values in model.history_.values()} == {9}
    judged = ~np.isnan(model.validation_loss_curve_)
    np.testing.assert_array_equal(judged, [False] * 3 + [True] * 3 + [False] * 3)


@pytest.mark.parametrize(
    "name", ["dropout", "alpha", "weight_decay", "learning_rate_init", "clip_norm", "beta_1", "beta_2"]
)
def test_a_number_of_numpy_s_is_as_good_as_python_s(kind, name):
    options = {"dtype": "float32", "n_members": 2}
    plain_number = make(kind, **options, **{name: 0.1}).fit(X, Y[kind])
    number = make(kind, **options, **{name: np.float64(0.1)}).fit(X, Y[kind])
    np.testing.assert_array_equal(number.coefs_[0], plain_number.coefs_[0])
