"""scikit-learn's tools that explain and evaluate a model, on DataFrames with categories and missing values.

Each runs on the raw table, for the estimator alone and in a Pipeline, and finds the known structure of the table.
"""

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay, calibration_curve
from sklearn.inspection import (
    DecisionBoundaryDisplay,
    PartialDependenceDisplay,
    partial_dependence,
    permutation_importance,
)
from sklearn.model_selection import LearningCurveDisplay, ShuffleSplit, learning_curve, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor

Figure = pytest.importorskip("matplotlib.figure").Figure

COLOURS = {"blue": 0.0, "green": -2.0, "red": 2.0}
CATEGORIES = ["colour", "shop", "open"]
SMALL = {"hidden_layer_sizes": (16,), "max_iter": 40, "random_state": 0}


def table(n=500, seed=0):
    """Return a table in which `colour` matters most, then `size`, and nothing else; one in twelve values is missing."""
    rng = np.random.RandomState(seed)
    colour = rng.choice(list(COLOURS), n)
    size = rng.normal(size=n)
    X = pd.DataFrame(
        {
            "weight": rng.gamma(3, size=n),
            "colour": pd.Categorical(colour, categories=["red", "green", "blue"]),
            "shop": rng.choice(["north", "south", "east", "west"], n),
            "size": size,
            "open": pd.array(rng.random_sample(n) < 0.5, dtype="boolean"),
        }
    )
    score = np.array([COLOURS[name] for name in colour]) + size + 0.2 * rng.normal(size=n)
    return X.mask(rng.random_sample(X.shape) < 1 / 12), pd.Series(score, name="score")


def with_flag(X):
    """A step that returns the frame with one more column."""
    return X.assign(sized=X["size"].notna())


def model_of(kind):
    """Return a classifier or regressor, alone or at the end of a Pipeline."""
    model = ScratchMLPClassifier(**SMALL) if "classifier" in kind else ScratchMLPRegressor(**SMALL)
    return make_pipeline(FunctionTransformer(with_flag), model) if "piped" in kind else model


KINDS = ["classifier", "regressor", "piped classifier", "piped regressor"]


@pytest.fixture(scope="module", params=KINDS)
def fitted(request):
    """Return the kind, a fitted model, and the test rows with their target."""
    X, y = table()
    y = y if "regressor" in request.param else (y > 0).map({True: "yes", False: "no"})
    X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    return request.param, model_of(request.param).fit(X_train, y_train), X_test, y_test


def known(X, *columns):
    """Return the rows with a value in these columns; scikit-learn cannot make a grid of missing values."""
    return X.dropna(subset=list(columns))


def response(kind, model, X):
    """Return the values that partial dependence averages."""
    return model.predict(X) if "regressor" in kind else model.predict_proba(X)[:, 1]


# ---------------------------------------------------------------- permutation importance


@pytest.mark.slow
def test_permutation_importance_ranks_the_columns_correctly(fitted):
    kind, model, X, y = fitted
    scoring = "r2" if "regressor" in kind else "roc_auc"
    found = permutation_importance(model, X, y, scoring=scoring, n_repeats=5, random_state=0)
    importance = pd.Series(found.importances_mean, index=X.columns)
    assert list(importance.sort_values(ascending=False).index[:2]) == ["colour", "size"]
    assert importance[["weight", "shop", "open"]].abs().max() < 0.1 * importance["size"]


# ---------------------------------------------------------------- partial dependence


def test_partial_dependence_on_a_category_has_one_value_for_each(fitted):
    kind, model, X, _ = fitted
    rows = known(X, "colour")
    found = partial_dependence(model, rows, ["colour"], categorical_features=CATEGORIES)
    assert list(found["grid_values"][0]) == ["blue", "green", "red"]
    (average,) = found["average"]
    assert average[1] < average[0] < average[2]
    by_hand = [response(kind, model, rows.assign(colour=name)).mean() for name in COLOURS]
    np.testing.assert_allclose(average, by_hand, rtol=1e-6)  # means of float32 numbers, in another order
    if "regressor" in kind:  # a quarter of the standard deviation of y, because some colours are missing
        np.testing.assert_allclose(average - average[0], list(COLOURS.values()), atol=0.4)


def test_partial_dependence_on_a_number_has_the_true_slope(fitted):
    kind, model, X, _ = fitted
    found = partial_dependence(model, known(X, "size"), ["size"], grid_resolution=6)
    (average,), grid = found["average"], found["grid_values"][0]
    assert np.all(np.diff(average) > 0)
    if "regressor" in kind:
        assert np.polyfit(grid, average, 1)[0] == pytest.approx(1, abs=0.15)
    flat = partial_dependence(model, known(X, "weight"), ["weight"], grid_resolution=6)["average"][0]
    assert np.ptp(flat) < 0.2 * np.ptp(average)


def test_partial_dependence_on_two_categories_and_on_a_boolean(fitted):
    kind, model, X, _ = fitted
    rows = known(X, "colour", "shop")
    found = partial_dependence(model, rows, ["colour", "shop"], categorical_features=CATEGORIES)
    assert found["average"].shape == (1, 3, 4)
    assert (found["average"][0].argmax(axis=0) == 2).all()  # red, whatever the shop
    if "regressor" in kind:  # scikit-learn 1.6 fails for two grid points of a binary classifier
        found = partial_dependence(model, known(X, "open"), ["open"], categorical_features=CATEGORIES)
        assert list(found["grid_values"][0]) == [False, True]
        assert np.ptp(found["average"]) < 0.3


def test_individual_lines_of_a_category(fitted):
    kind, model, X, _ = fitted
    rows = known(X, "colour")
    found = partial_dependence(model, rows, ["colour"], categorical_features=CATEGORIES, kind="individual")
    np.testing.assert_allclose(
        found["individual"][0, :, 2], response(kind, model, rows.assign(colour="red")), rtol=1e-5
    )


@pytest.mark.slow
def test_partial_dependence_display_draws_bars_for_categories(fitted):
    kind, model, X, _ = fitted
    display = PartialDependenceDisplay.from_estimator(
        model,
        known(X, "colour", "shop", "size"),
        ["colour", "size", ("colour", "shop")],
        categorical_features=CATEGORIES,
        grid_resolution=5,
        ax=Figure().subplots(),
    )
    bars, line, heat = display.axes_.ravel()[:3]
    (average,) = display.pd_results[0]["average"]
    np.testing.assert_allclose([bar.get_height() for bar in bars.patches], average)
    assert [label.get_text() for label in bars.get_xticklabels()] == ["blue", "green", "red"]
    assert len(line.lines[0].get_xdata()) == 5
    assert [label.get_text() for label in heat.get_xticklabels()] == ["east", "north", "south", "west"]


# ---------------------------------------------------------------- decision boundaries


@pytest.mark.parametrize("kind", KINDS)
def test_a_decision_boundary_shows_the_predictions_for_its_grid(kind):
    X, y = table(200)
    X = X[["size", "weight"]]
    y = y if "regressor" in kind else y > 0
    model = model_of(kind).fit(X, y)
    display = DecisionBoundaryDisplay.from_estimator(model, X, grid_resolution=7, ax=Figure().subplots())
    assert not np.isnan(display.xx0).any()  # missing values do not affect the grid
    grid = pd.DataFrame({"size": display.xx0.ravel(), "weight": display.xx1.ravel()})
    expected = model.predict(grid) if "regressor" in kind else model.decision_function(grid)
    np.testing.assert_allclose(display.response.ravel(), expected, rtol=1e-5, atol=1e-5)
    rising = display.response[:, -1] > display.response[:, 0]  # with size, at every weight
    assert rising.all()


def test_a_boolean_is_an_axis_of_a_decision_boundary():
    X, y = table(300)
    model = ScratchMLPClassifier(**SMALL).fit(X[["open", "size"]], X["open"].eq(True).fillna(False).astype(bool))
    display = DecisionBoundaryDisplay.from_estimator(
        model, X[["open", "size"]], response_method="predict_proba", grid_resolution=3, eps=0, ax=Figure().subplots()
    )
    assert (display.response[:, 0] < 0.2).all() and (display.response[:, -1] > 0.8).all()


def test_a_category_is_an_axis_of_a_decision_boundary_after_a_step_that_decodes_it():
    X, y = table()
    X, names = X[["colour", "size"]], np.array(list(COLOURS))
    model = ScratchMLPClassifier(**SMALL).fit(X, y > 0)

    def named(points):
        return points.assign(colour=names[points["colour"].round().clip(0, 2).astype(int)])

    rows = known(X, "colour", "size")
    points = rows.assign(colour=[float(list(names).index(colour)) for colour in rows["colour"]])
    display = DecisionBoundaryDisplay.from_estimator(
        make_pipeline(FunctionTransformer(named), model),
        points,
        response_method="predict_proba",
        grid_resolution=9,
        eps=0.4,  # columns of the grid at -0.4, -0.05, ... 2.4
        ax=Figure().subplots(),
    )
    for column, x in enumerate(display.xx0[0]):
        name = names[int(np.clip(np.round(x), 0, 2))]
        expected = model.predict_proba(pd.DataFrame({"colour": name, "size": display.xx1[:, column]}))[:, 1]
        np.testing.assert_allclose(display.response[:, column], expected, rtol=1e-5)


# ---------------------------------------------------------------- calibration


def chances(n, seed):
    """Return rows, the probability of "yes" for each, and a draw from it; the colour matters more than the size."""
    X, _ = table(n, seed)
    colour = X["colour"].astype(object).map(COLOURS).fillna(0.0).astype(float)
    p = 1 / (1 + np.exp(-(0.8 * colour + 0.8 * X["size"].fillna(0.0))))
    return X, p.to_numpy(), np.where(np.random.RandomState(seed).random_sample(n) < p, "yes", "no")


@pytest.mark.slow
def test_calibration_curve_lies_on_the_diagonal():
    X, _, y = chances(1000, 1)
    X_new, _, y_new = chances(4000, 2)
    single = ScratchMLPClassifier(n_members=1, random_state=0)
    gaps = {}
    for name, model in {
        "default": ScratchMLPClassifier(random_state=0),
        "single": single,
        "repaired": CalibratedClassifierCV(single, cv=3),
    }.items():
        p = model.fit(X, y).predict_proba(X_new)[:, 1]
        share, mean = calibration_curve(y_new, p, n_bins=5, pos_label="yes", strategy="quantile")
        gaps[name] = np.abs(share - mean).max()
    # 800 rows per bin: three standard errors of a share are 0.05; as much again allows for training on 1,000 rows
    assert gaps["default"] < 0.1
    assert gaps["single"] > 0.15  # otherwise the test shows nothing
    assert gaps["repaired"] < gaps["single"]


@pytest.mark.slow
def test_calibration_display_from_an_estimator_with_string_classes():
    X, _, y = chances(400, 3)
    for model in (ScratchMLPClassifier(**SMALL), model_of("piped classifier")):
        axes = Figure().subplots()
        display = CalibrationDisplay.from_estimator(model.fit(X, y), X, y, pos_label="yes", n_bins=5, ax=axes)
        np.testing.assert_array_equal(display.y_prob, model.predict_proba(X)[:, 1])
        assert np.all(np.diff(display.prob_true) > 0)


# ---------------------------------------------------------------- learning curves


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.slow
def test_learning_curves_rise(kind):
    X, y = table(600)
    y = y if "regressor" in kind else (y > 0).map({True: "yes", False: "no"})
    scoring = "r2" if "regressor" in kind else "roc_auc"
    splits = ShuffleSplit(2, test_size=250, random_state=0)
    sizes, _, test = learning_curve(
        model_of(kind), X, y, train_sizes=[30, 300], cv=splits, scoring=scoring, error_score="raise"
    )
    first, last = test.mean(axis=1)
    assert list(sizes) == [30, 300]
    assert last - first > 0.3 * (1 - first)  # a third of the way to a perfect score
    axes = Figure().subplots()
    LearningCurveDisplay(train_sizes=sizes, train_scores=test, test_scores=test, score_name="score").plot(ax=axes)
    np.testing.assert_allclose(axes.lines[-1].get_ydata(), [first, last])


# ---------------------------------------------------------------- quantiles


def noisy(n, seed):
    """Return a table whose noise grows with `size`, and is twice as large in one of two shops."""
    rng = np.random.RandomState(seed)
    X = pd.DataFrame({"size": rng.uniform(0, 2, n), "shop": rng.choice(["calm", "wild"], n)})
    deviation = (0.2 + X["size"]) * (1 + (X["shop"] == "wild"))
    return X.mask(rng.random_sample(X.shape) < 0.02), (3 * X["size"] + deviation * rng.normal(size=n)).to_numpy()


LEVELS = [0.05, 0.25, 0.5, 0.75, 0.95]


@pytest.fixture(scope="module")
def quantiles():
    X, y = noisy(2000, 0)
    return ScratchMLPRegressor(loss="quantile", quantile=LEVELS, random_state=0).fit(X, y), y


@pytest.mark.slow
def test_quantiles_of_one_fit_have_the_stated_coverage(quantiles):
    model, y = quantiles
    X_new, y_new = noisy(3000, 1)
    predicted = model.predict(X_new)
    for level, bound, out_of_fold in zip(LEVELS, predicted.T, model.oof_predictions_.T, strict=True):
        for truth, limit in ((y_new, bound), (y, out_of_fold)):
            # three binomial errors of the test rows and of the 2,000 training rows, and 0.02 for the network
            tolerance = 3 * (level * (1 - level) * (1 / len(truth) + 1 / len(y))) ** 0.5 + 0.02
            assert np.mean(truth <= limit) == pytest.approx(level, abs=tolerance)


def test_intervals_are_as_wide_as_the_noise(quantiles):
    model, _ = quantiles
    points = pd.DataFrame({"size": [0.5, 1.5, 0.5, 1.5], "shop": ["calm", "calm", "wild", "wild"]})
    low, _, _, _, high = model.predict(points).T
    # 2 × 1.645 standard deviations, up to 30 %: few rows determine a quantile of 5 % in a corner of the table
    np.testing.assert_allclose(high - low, 3.29 * np.array([0.7, 1.7, 1.4, 3.4]), rtol=0.3)


def test_out_of_fold_residuals_calibrate_an_interval():
    X, y = noisy(400, 2)
    model = ScratchMLPRegressor(loss="quantile", quantile=[0.25, 0.75], refit=0, **SMALL).fit(X, y)
    low, high = model.oof_predictions_.T
    misses = np.maximum(low - y, y - high)
    margin = np.quantile(misses, np.ceil(401 * 0.9) / 400, method="higher")  # for 90 %, from quantiles for 50 %
    X_new, y_new = noisy(3000, 3)
    low, high = model.predict(X_new).T
    # three binomial standard deviations of the 400 calibration rows and the 3,000 test rows are 0.048
    assert np.mean((low - margin <= y_new) & (y_new <= high + margin)) == pytest.approx(0.9, abs=0.05)
    assert np.mean((low <= y_new) & (y_new <= high)) < 0.7


# ---------------------------------------------------------------- spread over members


def one_target():
    X, y = table(150)
    return X, 100 + 10 * y.to_numpy()


def two_targets():
    X, y = one_target()
    return X, np.c_[y, -5 * y]


def single_members(model, X, y):
    """Yield each member as a regressor of its own, with the given weights and a learning rate of 0."""
    settings = {**model.get_params(), "n_members": 1, "learning_rate": lambda progress: 0.0, "max_iter": 1}
    settings["clip_target"] = False
    for k in range(model.n_members):
        start = ([W[k] for W in model.coefs_], [b[k] for b in model.intercepts_])
        yield ScratchMLPRegressor(**{**settings, "init": start}).fit(X, y)


@pytest.mark.parametrize(
    ("options", "data"),
    [
        ({}, one_target),
        ({}, two_targets),
        ({"clip_target": False, "n_members": 3}, one_target),
        ({"loss": "quantile", "quantile": [0.1, 0.5, 0.9]}, one_target),
        ({"loss": "poisson", "scale_target": False}, lambda: (one_target()[0], np.abs(one_target()[1]) / 20)),
    ],
)
@pytest.mark.slow
def test_return_std_is_the_standard_deviation_of_the_unclipped_predictions_of_members(options, data):
    X, y = data()
    model = ScratchMLPRegressor(**{**SMALL, "max_iter": 8, **options}).fit(X, y)
    mean, std = model.predict(X, return_std=True)
    assert std.shape == mean.shape == model.predict(X).shape
    np.testing.assert_array_equal(mean, model.predict(X))
    members = [member.predict(X) for member in single_members(model, X, y)]
    scale = np.std(y, axis=0).max()
    np.testing.assert_allclose(std, np.std(members, axis=0), rtol=1e-4, atol=1e-5 * scale)  # float32 networks
    assert np.median(std) > 1e-3 * scale  # the members disagree


@pytest.mark.parametrize("data", [one_target, two_targets])
def test_one_member_has_no_spread(data):
    X, y = data()
    mean, std = ScratchMLPRegressor(n_members=1, **{**SMALL, "max_iter": 3}).fit(X, y).predict(X, return_std=True)
    np.testing.assert_array_equal(std, np.zeros_like(mean))


def test_the_spread_is_in_the_units_of_y():
    X, y = one_target()
    model = ScratchMLPRegressor(**{**SMALL, "dtype": "float64"})
    _, std = clone(model).fit(X, y).predict(X, return_std=True)
    _, in_other_units = clone(model).fit(X, 1000 * y + 5).predict(X, return_std=True)
    np.testing.assert_allclose(in_other_units, 1000 * std, rtol=1e-6)


def test_the_spread_is_larger_far_from_the_training_rows():
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, size=(300, 2))
    y = np.sin(3 * X[:, 0]) + X[:, 1]
    model = ScratchMLPRegressor(random_state=0, clip_target=False).fit(X, y)
    _, near = model.predict(X, return_std=True)
    _, far = model.predict(X + [4, 0], return_std=True)
    assert np.median(far) > 3 * np.median(near)


def test_return_std_in_a_pipeline():
    X, y = one_target()
    X = X[["size", "weight"]]
    pipeline = make_pipeline(StandardScaler(), ScratchMLPRegressor(**SMALL)).fit(X, y)
    mean, std = pipeline.predict(X, return_std=True)
    np.testing.assert_array_equal(mean, pipeline.predict(X))
    expected = pipeline[-1].predict(pipeline[0].transform(X), return_std=True)[1]
    np.testing.assert_array_equal(std, expected)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = make_pipeline(StandardScaler(), ScratchMLPRegressor(**SMALL).set_predict_request(return_std=True))
        np.testing.assert_array_equal(routed.fit(X, y).predict(X, return_std=True)[1], std)
