"""Targets of any size: the same predictions in other units, or an error that says what is too large."""

import numpy as np
import pytest

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding.numeric_targets import NumericTargets
from skscratch.nn.losses import make_loss
from tests.helpers.estimators import assert_refused

RNG = np.random.RandomState(0)
X = RNG.normal(size=(100, 3))
Y = X[:, 0] - 0.5 * X[:, 1] ** 2
Y /= np.abs(Y).max()  # 1 or -1 is the largest
LARGEST = np.finfo(float).max
HUGE = 10**400


def regressor(**options):
    return ScratchMLPRegressor(**{"max_iter": 8, "hidden_layer_sizes": (8,), "random_state": 0, **options})


LOSSES = [
    {},
    {"loss": "huber"},
    {"loss": "absolute_error"},
    {"loss": "quantile", "quantile": 0.3},
    {"loss": "quantile", "quantile": [0.2, 0.8]},
]


@pytest.mark.parametrize("clip", [True, False])
@pytest.mark.parametrize("options", LOSSES, ids=str)
@pytest.mark.parametrize("factor", [2.0**-1000, 2.0**1000, LARGEST])
def test_targets_in_any_units(factor, options, clip):
    usual, model = (regressor(clip_target=clip, **options).fit(X, Y * unit) for unit in (1.0, factor))
    (y, std), (expected, expected_std) = (each.predict(X, return_std=True) for each in (model, usual))
    np.testing.assert_allclose(y, expected * factor, rtol=1e-9, atol=1e-9 * factor)
    np.testing.assert_allclose(std, expected_std * factor, rtol=1e-9, atol=1e-9 * factor)
    assert model.oof_score_ == pytest.approx(usual.oof_score_, rel=1e-9)
    assert model.score(X, Y * factor) == pytest.approx(usual.score(X, Y), rel=1e-9)
    assert np.isfinite(model.predict(1e9 * X)).all()


@pytest.mark.parametrize("loss", ["poisson", "gamma"])
@pytest.mark.parametrize("factor", [2.0**-1000, 2.0**1000, LARGEST])
def test_positive_targets_in_any_units(factor, loss):
    usual, model = (regressor(loss=loss).fit(X, np.exp(Y - 1) * unit) for unit in (1.0, factor))
    np.testing.assert_allclose(model.predict(X) / factor, usual.predict(X), rtol=1e-9)
    assert np.isfinite(regressor(loss=loss, clip_target=False).fit(X, np.exp(Y - 1) * factor).predict(1e9 * X)).all()


def test_columns_of_different_units():
    units = np.array([1e-200, 1.0, 1e200])
    model = regressor().fit(X, Y[:, None] * units)
    y, std = model.predict(X, return_std=True)
    expected, expected_std = regressor().fit(X, np.c_[Y, Y, Y]).predict(X, return_std=True)
    np.testing.assert_allclose(y / units, expected, atol=1e-9)
    np.testing.assert_allclose(std / units, expected_std, atol=1e-9)
    assert model.score(X, Y[:, None] * units) == pytest.approx(model.oof_score_, abs=0.3)


def test_targets_at_both_ends_of_the_floats():
    y = np.where(X[:, 0] > 0, LARGEST, -LARGEST)
    for options in LOSSES:
        model = regressor(**options).fit(X, y)
        assert np.isfinite(model.predict(X)).all() and np.isfinite(model.score(X, y))


def test_predictions_beyond_the_largest_float_are_the_largest_float():
    y = np.array([[-LARGEST], [LARGEST]])
    targets = NumericTargets(1).fitted(y, None, make_loss("squared_error", None), incremental=False)
    np.testing.assert_array_equal(targets.decode(targets.encode(y, np.float64).values), y)
    np.testing.assert_array_equal(
        targets.decode(np.array([[-3.0], [3.0], [np.inf]])), [[-LARGEST], [LARGEST], [LARGEST]]
    )
    assert np.isnan(targets.decode(np.array([[np.nan]]))).all()


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "poisson"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_unscaled_targets_that_are_too_large(loss, solver):
    model = regressor(loss=loss, solver=solver, scale_target=False)
    message = r"y contains the value 1e\+160, .* in float64 without scaling: set scale_target=True\.$"
    assert_refused(model, X, np.abs(Y) * 1e160, match=message)
    message = r"y contains the value 1e\+30, .* float32 without scaling: set scale_target=True or set dtype='float64'\."
    if solver != "lbfgs":
        assert_refused(model.set_params(dtype="float32"), X, np.abs(Y) * 1e30, match=message)


def test_the_advice_is_not_to_switch_on_what_is_on():
    message = r"y contains the value 1e\+30, .*: divide y by a constant or set dtype='float64'\.$"
    assert_refused(regressor(out_activation="softplus", dtype="float32"), X, np.abs(Y) * 1e30, match=message)
    message = r"y contains the value 1e\+300, .*: divide y by a constant\.$"
    assert_refused(regressor(out_activation="softplus"), X, np.abs(Y) * 1e300, match=message)


def test_a_score_that_overflows_says_so():
    with pytest.raises(ValueError, match="scoring='r2' gave nan.* divide y by a constant"):
        regressor(scoring="r2").fit(X, Y * 1e300)
    assert regressor(scoring=None).fit(X, Y * 1e300).best_validation_score_ > 0


@pytest.mark.parametrize("form", [list, lambda y: np.array(y, dtype=object)])
def test_integers_of_400_digits(form):
    y, table = [*Y[1:].tolist(), HUGE], X.tolist()
    table[3][1] = HUGE
    model = regressor().fit(X, Y)
    assert_refused(regressor(), X, form(y), match="y contains a number too large for float64")
    assert_refused(model, X, Y, X_val=X, y_val=form(y), match="X_val and y_val .* y contains a number too large")
    assert_refused(regressor(), form(table), Y, match="Column 'x1' of X contains .* too large for float64")
    assert_refused(model, X, Y, [HUGE] * 100, match="sample_weight must be numbers.* too large")
    with pytest.raises(ValueError, match="Column 'x1' of X contains .* too large for float64"):
        model.predict(form(table))
    with pytest.raises(ValueError, match="y contains a number too large for float64"):
        model.score(X, form(y))


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("hidden", [(), (4,)])
def test_a_table_without_values_has_intercepts(hidden, fit_intercept):
    import pandas as pd

    for table in (np.full((60, 1), np.nan), pd.DataFrame({"a": pd.Categorical([None] * 60)})):
        model = regressor(hidden_layer_sizes=hidden, fit_intercept=fit_intercept, n_members=2).fit(table, Y[:60])
        assert [b.shape for b in model.intercepts_] == [(2, n) for n in (*hidden, 1)]
        assert np.isfinite(model.predict(table)).all() and len(set(model.predict(table))) == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_beyond_the_floats_of_an_unscaled_network_are_refused_by_name(dtype):
    huge = np.finfo(dtype).max / 4
    for kind, y in ((ScratchMLPRegressor, Y), (ScratchMLPClassifier, Y > 0)):
        model = kind(max_iter=3, scale_features=False, numeric_embedding=None, dtype=dtype, random_state=0).fit(X, y)
        for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
            if hasattr(model, method):
                with pytest.raises(ValueError, match="output is NaN or infinite.*scale_features=False"):
                    getattr(model, method)(np.full((2, 3), huge) * [[1], [-1]])
        assert_refused(kind(scale_features=False, dtype="float32"), 1e39 * X, y, match="X contains a value too large")
