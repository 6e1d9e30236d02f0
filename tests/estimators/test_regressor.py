"""The regressor: losses and the targets they accept, quantiles, scaling of the target, clipping to its range."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import d2_pinball_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscratch import ScratchMLPRegressor
from tests.helpers.estimators import assert_refused
from tests.helpers.targets import FOLDS, GOOD, NUMBERS, TWO, X, regressor, single_member


def test_several_outputs():
    y = np.c_[NUMBERS, 100 * X[:, 1] + 7, -X[:, 2]]
    model = regressor(**GOOD).fit(X, y)
    assert model.predict(X).shape == (60, 3) and model.n_outputs_ == 3
    assert model.score(X, y) > 0.9
    assert model.coefs_[-1].shape == (10, 3)
    assert_refused(model, X, y[:, :2], method="partial_fit", match="y must have 3 columns, as in the first call. Got 2")
    assert_refused(model, X, NUMBERS, method="partial_fit", match="y must have 3 columns, as in the first call. Got 1")
    with pytest.raises(ValueError, match="0 feature"):
        regressor().fit(X, np.empty((60, 0)))


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "quantile", "poisson", "gamma"])
def test_every_loss_learns_in_raw_units(loss):
    y = 1e4 * np.exp(0.5 * NUMBERS)
    model = regressor(**GOOD, loss=loss).fit(X, y)
    assert model.score(X, y) > 0.8
    if loss in ("poisson", "gamma"):
        assert model.out_activation_ == "exp" and model.predict(X).min() > 0


def test_a_callable_loss_equals_the_named_one():
    def half_square(t, z):
        return 0.5 * ((z - t) ** 2).sum(axis=1), z - t

    ours = regressor(loss=half_square).fit(X, NUMBERS)
    named = regressor(loss="squared_error").fit(X, NUMBERS)
    np.testing.assert_allclose(ours.predict(X), named.predict(X), atol=1e-12)
    np.testing.assert_allclose(ours.loss_curve_, named.loss_curve_, rtol=1e-12)


@pytest.mark.parametrize(
    ("options", "y", "message"),
    [
        ({"loss": "poisson"}, NUMBERS, rf"loss='poisson' needs every y >= 0; the smallest is {NUMBERS.min()}"),
        ({"loss": "gamma"}, NUMBERS, "loss='gamma' needs every y > 0; the smallest is -"),
        ({"loss": "gamma"}, TWO, r"loss='gamma' needs every y > 0; the smallest is 0\.0"),
        (
            {"out_activation": "logistic"},
            NUMBERS,
            "out_activation='logistic' gives values from 0 to 1, but y lies",
        ),
        ({"out_activation": "tanh"}, 9 * NUMBERS, "out_activation='tanh' gives values from -1 to 1"),
        ({"out_activation": "exp"}, NUMBERS, "out_activation='exp' gives values from 0 to inf"),
        ({"out_activation": "softplus"}, NUMBERS, "out_activation='softplus' gives values from 0 to inf"),
        ({"out_activation": "softmax"}, TWO, "'out_activation' .* cannot be 'softmax'"),
        ({"loss": "poisson", "out_activation": "identity"}, TWO, "'out_activation' .* cannot be 'identity' .*poisson"),
        ({"loss": "quantile", "quantile": [0.1, 0.9]}, np.c_[NUMBERS, NUMBERS], "[Ss]everal quantiles .* 2 columns"),
        (
            {"loss": "quantile", "quantile": [0.1, 0.9], "out_activation": "logistic"},
            TWO,
            "[Ss]everal quantiles .*out_activation='logistic'",
        ),
        ({}, np.array(["a", "b"] * 30), "(?i)(y .*(string|number|numeric|text)|(string|text).* y)"),
        ({}, np.full(60, "2020-01-01", "M8[D]"), "(?i)y .*(date|time|number|numeric)"),
        ({}, sp.csr_matrix(NUMBERS[:, None]), "Sparse data was passed for y"),
    ],
)
def test_targets_outside_the_domain(options, y, message):
    assert_refused(regressor(**options), X, y, match=message, error=(ValueError, TypeError))
    model = regressor().fit(X, NUMBERS)
    assert_refused(model.set_params(**options), X, y, match=message, error=(ValueError, TypeError))


def test_validation_targets_outside_the_domain():
    y = np.abs(NUMBERS)
    assert_refused(
        regressor(loss="poisson"),
        X,
        y,
        X_val=X,
        y_val=NUMBERS,
        match="X_val and y_val do not match.*loss='poisson' needs every y >= 0",
    )
    assert_refused(
        regressor(), X, y, X_val=X, y_val=np.c_[y, y], match="X_val and y_val do not match.*must have 1 column"
    )


def test_the_ends_of_the_range_of_an_output_are_accepted():
    for link, y in (("logistic", TWO), ("tanh", 2 * TWO - 1), ("softplus", TWO), ("exp", TWO)):
        predicted = regressor(**GOOD, out_activation=link).fit(X, y).predict(X)
        assert np.corrcoef(predicted, y)[0, 1] > 0.9
    assert np.isfinite(regressor(loss="poisson").fit(X, TWO).predict(X)).all()


@pytest.mark.parametrize("levels", [[0.1, 0.9], (0.05, 0.25, 0.5, 0.75, 0.95)])
@pytest.mark.parametrize("n_members", [1, 3])
def test_several_quantiles_do_not_cross_and_cover(levels, n_members):
    rng = np.random.RandomState(0)
    table = rng.uniform(-1, 1, (300, 2))
    y = 50 * table[:, 0] + 10 * (1.2 + table[:, 1]) * rng.normal(size=300)
    model = regressor(**GOOD, loss="quantile", quantile=levels, n_members=n_members).fit(table, y)
    predicted = model.predict(np.r_[table, 10 * rng.normal(size=(300, 2))])
    assert predicted.shape == (600, len(levels)) and model.n_outputs_ == len(levels)
    assert (np.diff(predicted, axis=1) >= 0).all()  # also far from the training rows
    below = (y[:, None] <= predicted[:300]).mean(axis=0)
    np.testing.assert_allclose(below, levels, atol=0.07)  # 300 rows: two standard errors are 0.06
    expected = [d2_pinball_score(y, p, alpha=q) for p, q in zip(predicted[:300].T, levels, strict=True)]
    # float32 sums of the network in another batch
    assert model.score(table, y) == pytest.approx(np.mean(expected), rel=1e-6)
    weight = rng.uniform(size=300)
    expected = [
        d2_pinball_score(y, p, alpha=q, sample_weight=weight) for p, q in zip(predicted[:300].T, levels, strict=True)
    ]
    assert model.score(table, y, weight) == pytest.approx(np.mean(expected), rel=1e-12)


def test_one_quantile_in_a_list_is_that_quantile():
    lone = regressor(loss="quantile", quantile=0.8).fit(X, NUMBERS)
    listed = regressor(loss="quantile", quantile=[0.8]).fit(X, NUMBERS)
    np.testing.assert_array_equal(lone.predict(X), listed.predict(X))
    assert listed.predict(X).shape == (60,) and listed.score(X, NUMBERS) == lone.score(X, NUMBERS)


def test_huber_delta_and_quantile_matter():
    noise = np.random.RandomState(1).normal(size=60)
    assert not np.array_equal(
        regressor(loss="huber", huber_delta=0.1).fit(X, NUMBERS).predict(X),
        regressor(loss="huber", huber_delta=3.0).fit(X, NUMBERS).predict(X),
    )
    low, high = (regressor(**GOOD, loss="quantile", quantile=q).fit(X, noise).predict(X) for q in (0.1, 0.9))
    assert low.mean() < high.mean() - 1


def test_scale_target_only_changes_the_units():
    model, scaled = regressor().fit(X, NUMBERS), regressor().fit(X, 1000 * NUMBERS - 5e4)
    # float64: about 1e-16 · 5e4 relative to 1e3
    np.testing.assert_allclose(scaled.predict(X), 1000 * model.predict(X) - 5e4, atol=1e-7)
    plain = regressor(scale_target=False, max_iter=20).fit(X, 1000 * NUMBERS - 5e4)
    assert plain.score(X, 1000 * NUMBERS - 5e4) < -100  # without scaling, training fails


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e9])
def test_a_target_with_a_large_offset_is_learned(offset):
    # 300 rows: the network is in float32, in which numbers near 1e9 are 64 apart
    table = np.random.RandomState(1).normal(size=(300, 3))
    y = table[:, 0] + offset
    model = regressor(**GOOD).fit(table, y)
    assert model.coefs_[0].dtype == np.float32
    assert model.score(table, y) > 0.95


def test_a_constant_target_is_predicted():
    for loss in ("squared_error", "absolute_error", "huber", "quantile", "poisson", "gamma"):
        predicted = regressor(**{**GOOD, "max_iter": 300}, loss=loss).fit(X, np.full(60, 7.0)).predict(X)
        np.testing.assert_allclose(predicted, 7.0, atol=1)  # training has to undo the random initial weights


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "quantile"])
def test_a_constant_target_is_predicted_exactly(loss):
    X = np.random.RandomState(0).normal(size=(60, 3))
    for value in (0.0, 1e-6, -5e9):
        model = ScratchMLPRegressor((4,), loss=loss, max_iter=3, random_state=0).fit(X, np.full(60, value))
        np.testing.assert_array_equal(model.predict(X + 1), np.full(60, value))


def test_one_row_is_enough_for_a_regressor():
    assert np.isfinite(regressor().fit(X[:1], NUMBERS[:1]).predict(X)).all()


def test_a_stream_that_begins_with_one_row_is_learned():
    """All columns and the target are constant in the first call, and vary in the later ones."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(300, 3))
    y = 5e6 + 1e6 * (X @ [1.0, 2.0, 3.0])
    model = ScratchMLPRegressor((20,), learning_rate="constant", random_state=0)
    for start in (0, *range(1, 300, 13)):
        rows = slice(start, start + (13 if start else 1))
        model.partial_fit(X[rows], y[rows])
    for _ in range(60):
        model.partial_fit(X, y)
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "poisson"])
def test_predictions_are_clipped_to_the_range_of_y(loss):
    y = np.exp(NUMBERS)
    far = 50 * X
    model = regressor(**GOOD, loss=loss, scale_features=False, clip_target=True).fit(X, y)
    clipped = model.predict(far)
    assert clipped.min() == y.min() and clipped.max() == y.max()
    free = model.set_params(clip_target=False).predict(far)
    assert free.max() > y.max() and free.min() < y.min()
    np.testing.assert_array_equal(clipped, np.clip(free, y.min(), y.max()))


def test_each_output_is_clipped_to_its_own_range():
    y = np.c_[NUMBERS, 100 * X[:, 1] + 7]
    model = regressor(**{**GOOD, **FOLDS}, scale_features=False, clip_target=True).fit(X, y)
    far = model.predict(50 * X)
    np.testing.assert_array_equal(far.min(axis=0), y.min(axis=0))
    np.testing.assert_array_equal(far.max(axis=0), y.max(axis=0))
    assert (model.oof_predictions_ <= y.max(axis=0)).all() and (model.oof_predictions_ >= y.min(axis=0)).all()


def test_predictions_after_a_stream_are_not_clipped():
    low, high = X[NUMBERS < 0], X[NUMBERS > 1]
    model = regressor(clip_target=True, learning_rate="constant", learning_rate_init=0.05, scale_features=False)
    model.partial_fit(low, NUMBERS[NUMBERS < 0])
    for _ in range(100):
        model.partial_fit(high, NUMBERS[NUMBERS > 1])
    assert model.predict(high).min() > 0


def test_raw_scores_of_members_are_averaged_before_the_link():
    model = regressor(n_members=3, loss="poisson").fit(X, TWO + 1.0)
    members = [np.log(single_member(model, k, TWO + 1.0).predict(X)) for k in range(3)]
    # each single network made one step of 1e-14
    np.testing.assert_allclose(np.log(model.predict(X)), np.mean(members, axis=0), rtol=0, atol=1e-10)
    assert model.temperature_ == 1


def test_the_recipe_for_a_trend_beyond_the_rows():
    """Of the page on tables: an own scaler, without bins and clipping."""
    rng = np.random.RandomState(0)
    x = np.linspace(0, 100, 300)
    table = np.column_stack([x, rng.normal(size=300)])
    y = 3 * x + 2 * table[:, 1] + rng.normal(size=300)
    options = {"scale_features": False, "numeric_embedding": None, "clip_target": False}
    model = make_pipeline(StandardScaler(), ScratchMLPRegressor(**options, random_state=0)).fit(table, y)
    np.testing.assert_allclose(model.predict([[120.0, 0], [150, 0]]), [360, 450], rtol=0.04)
