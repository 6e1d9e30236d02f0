"""Bad input raises one clear error before training and leaves the estimator as it was."""

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from sklearn.exceptions import NotFittedError

from tests.helpers.estimators import CLASSES, FRAME, X, Y, assert_refused, make


def put(array, where, value):
    """A float copy of `array` with `value` in one place."""
    out = np.array(array, dtype=float)
    out[where] = value
    return out


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
    assert_refused(model, X, change(Y[kind]), match=message)


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
    "lists": (lambda: FRAME.assign(c=[[1]] * 40), TypeError, r"Column 'c' .* holds \[1\]"),
    "dates and numbers": (
        lambda: FRAME.assign(c=[datetime.date(2020, 1, 1), 1.0] * 20),
        TypeError,
        r"Column 'c' mixes dates with other values, such as 1\.0 \(float\)",
    ),
    "dates and text": (
        lambda: FRAME.assign(c=[datetime.date(2020, 1, 1), "u"] * 20),
        TypeError,
        "Column 'c' mixes strings with other types",
    ),
    "dates and durations": (
        lambda: FRAME.assign(c=[datetime.date(2020, 1, 1), datetime.timedelta(1)] * 20),
        TypeError,
        "Column 'c' mixes dates with other values",
    ),
    "time zones": (
        lambda: FRAME.assign(c=pd.Series([pd.Timestamp(0, tz="UTC"), pd.Timestamp(0, tz="Asia/Tokyo")] * 20)),
        TypeError,
        r"Column 'c' mixes dates in different time zones \(UTC, Asia/Tokyo\)",
    ),
    "durations in months": (
        lambda: np.full((40, 1), 1, "m8[M]"),
        TypeError,
        r"Column 'x0' holds durations in a unit without a length \(timedelta64\[M\]\)",
    ),
    "offsets": (lambda: FRAME.assign(c=[pd.offsets.MonthEnd()] * 40), TypeError, "Column 'c' .* holds <MonthEnd>"),
    "polars lists": (lambda: pl.DataFrame({"a": [[1.0]] * 40}), (TypeError, ValueError), "Column 'a'"),
    "lazy frame": (lambda: pl.DataFrame(X).lazy(), TypeError, "(?i)lazy.*collect"),
    "lazy frame of strings": (lambda: pl.DataFrame({"c": ["u", "v"] * 20}).lazy(), TypeError, "(?i)lazy.*collect"),
    "names of several types": (lambda: pd.DataFrame(X, columns=["a", 1, 2]), TypeError, "string names"),
}


@pytest.mark.parametrize(("table", "error", "message"), BAD_X.values(), ids=BAD_X)
def test_bad_x(kind, table, error, message):
    assert_refused(make(kind), table(), Y[kind], error=error, match=message)
    assert_refused(make(kind).fit(X, Y[kind]), table(), Y[kind], error=error, match=message)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_dtype_may_declare_more_categories_than_rows(kind, early_stopping):
    frame = FRAME.assign(c=pd.Categorical(FRAME["c"], categories=["u", "v", *map(str, range(50))]))
    model = make(kind, early_stopping=early_stopping).fit(frame, Y[kind])
    assert model.fitted_.input_names == ["a", "b", "c=u", "c=v"]
    assert len(model.predict(frame)) == 40


BAD_WEIGHTS = {
    "negative": (put(np.ones(40), 7, -1.5), "Negative values in sample_weight: -1.5 at row 7"),
    "all zero": (np.zeros(40), "at least one non-zero number"),
    "a zero for all": (0, "at least one non-zero number"),
    "too few": (np.ones(39), r"sample_weight must be of shape \(40,\).* Got shape \(39,\)"),
    "a column": (np.ones((40, 1)), r"sample_weight must be of shape \(40,\).* Got shape \(40, 1\)"),
    "nan": (put(np.ones(40), 7, np.nan), "sample_weight contains NaN or infinity: 1 of 40 weights, .* nan at row 7"),
    "inf": (put(np.ones(40), 7, np.inf), "sample_weight contains NaN or infinity: 1 of 40 weights, .* inf at row 7"),
    "text": (np.full(40, "one"), "sample_weight"),
}


@pytest.mark.parametrize(("weight", "message"), BAD_WEIGHTS.values(), ids=BAD_WEIGHTS)
def test_bad_weights(kind, weight, message):
    model = make(kind)
    assert_refused(model, X, Y[kind], weight, match=message)
    assert_refused(model.fit(X, Y[kind]), X, Y[kind], weight, match=message)
    assert_refused(
        model, X, Y[kind], X_val=X, y_val=Y[kind], sample_weight_val=weight, match="X_val and y_val .*" + message
    )


def test_one_weight_for_all_rows_is_accepted(kind):
    # without a penalty, a common factor on all weights changes nothing but the rounding
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
        assert_refused(model, X, y, match=message, **given)


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
        assert_refused(model, FRAME, y, X_val=frame, y_val=y, error=error, match="(?s)" + message)


def test_wrong_number_of_columns_at_predict_and_partial_fit(kind):
    model = make(kind).fit(X, Y[kind])
    words = "X has 2 features, but ScratchMLP.* is expecting 3 features as input"
    with pytest.raises(ValueError, match=words):
        model.predict(X[:, :2])
    assert_refused(model, X[:, :2], Y[kind], method="partial_fit", match=words)


def test_text_where_numbers_were_fitted_names_the_column(kind):
    mixed = make(kind).fit(FRAME, Y[kind])
    with pytest.raises(ValueError, match="Column 'b' is a column of numbers, but holds (text such as )?'x'"):
        mixed.predict(FRAME.assign(b="x"))
    numeric = make(kind).fit(FRAME[["a", "b"]], Y[kind])
    with pytest.raises(ValueError, match="[Cc]olumn 'b'"):
        numeric.predict(FRAME[["a", "b"]].assign(b="x"))


def test_categorical_features_must_fit_x(kind):
    for value, table, message in (
        ([True, False], X, r"mask of shape \(2,\), but X has 3 columns"),
        ([3], X, "holds 3, but X has the columns 0 to 2"),
        (["d"], FRAME, "names the column 'd', which X does not have"),
        ([0], sp.csr_matrix(X), "sparse X has no categories"),
        (None, FRAME, "Column 'c' is a column of numbers, but holds 'u'"),
    ):
        assert_refused(make(kind, categorical_features=value), table, Y[kind], match=message)


FLOATS = ([np.ones((3, 4)), np.ones((4, 1))], [np.zeros(4), np.zeros(1)])


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
    assert_refused(make(kind, init=init), X, Y[kind], match=message)


def test_an_empty_validation_split_is_refused(kind):
    rows = [0, int(np.argmax(Y[kind] != Y[kind][0]))]
    model = make(kind, early_stopping=True)
    assert_refused(model, X[rows], Y[kind][rows], match="validation set would be empty.*Increase validation_fraction")
    model.set_params(validation_fraction=0.0)
    assert_refused(model, X, Y[kind], match="validation set would be empty: 0.0 of (n_samples=)?40")


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
def test_the_error_names_a_callable_with_a_wrong_result(kind, options, message):
    model = make(kind).fit(X, Y[kind])
    before = model.predict(X)
    with pytest.raises((ValueError, TypeError), match=message):
        model.set_params(**options).fit(X, Y[kind])
    np.testing.assert_array_equal(model.predict(X), before)


def test_an_error_during_training_leaves_the_model_as_it_was(kind):
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
    # a continued training is not affected either
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
