"""The intervals and sets of an ONNX model are those of `predict_interval` and `predict_set`."""

import importlib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_diabetes, load_wine
from sklearn.ensemble import VotingRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.estimators.conformal import Conformity, LocalScale, SortedScores

skl2onnx = pytest.importorskip("skl2onnx")
onnxruntime = pytest.importorskip("onnxruntime")
checker = importlib.import_module("onnx.checker")
onnx = importlib.import_module("skscratch.onnx")

# sums of a network in another order differ in the last digits, of which double precision has enough
QUICK = {"hidden_layer_sizes": (6,), "n_members": 4, "n_folds": 2, "max_iter": 5, "dtype": "float64", "random_state": 0}
X, Y = (part[:250] for part in load_diabetes(return_X_y=True))
WINE, KIND = load_wine(return_X_y=True)
# NEW has no row of training, whose probability may be a score itself, so that its last digit decides
NOISY, NEW = WINE + np.random.default_rng(0).normal(size=(2, *WINE.shape)) * 2 * WINE.std(axis=0)
CV_PLUS = {"refit": 0}
COVERAGES = (0.05, 0.9, 0.9999)  # with the last one, the rows are too few


def regressor(**options):
    return ScratchMLPRegressor(**{**QUICK, **options})


def classifier(**options):
    return ScratchMLPClassifier(**{**QUICK, **options})


def run(model, rows):
    """Outputs of a model by name, computed by onnxruntime."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, onnx.input_feed(model, rows)), strict=True))


def assert_intervals(model, table, rows=None, coverages=COVERAGES, tolerance=1e-12):
    """Compare, within `tolerance` of the size of the bounds, of which each output has its own."""
    rows = table if rows is None else rows
    for coverage in coverages:
        out = run(onnx.to_onnx(model, table, coverage=coverage), rows)
        assert list(out) == ["variable", "interval"]
        found, right = out["interval"], model.predict_interval(rows, coverage)
        assert found.shape == right.shape
        np.testing.assert_array_equal(np.where(np.isinf(found), found, 0), np.where(np.isinf(right), right, 0))
        found, right = (np.where(np.isinf(bounds), 0, bounds) for bounds in (found, right))
        assert np.all(np.abs(found - right) <= tolerance * np.abs(right).max(axis=0))
    return out


def assert_sets(model, table, rows=None, coverages=COVERAGES):
    rows = table if rows is None else rows
    for coverage in coverages:
        out = run(onnx.to_onnx(model, table, coverage=coverage), rows)
        assert list(out) == ["label", "probabilities", "set"] and out["set"].dtype == bool
        np.testing.assert_array_equal(out["set"], model.predict_set(rows, coverage))
    return out


# --------------------------------------------------------------- intervals


@pytest.mark.parametrize("groups", [{}, CV_PLUS, {"early_stopping": True, "n_members": 1}], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"clip_target": False, "scale_target": False, "loss": "huber"},
        {"loss": "poisson"},
        {"loss": "quantile", "quantile": 0.7},
        {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]},
        {"out_activation": "logistic"},
    ],
    ids=str,
)
def test_intervals_of_every_kind(options, groups):
    y = Y / 400 if options.get("out_activation") else Y
    model = regressor(**options, **groups).fit(X, y)
    rows = np.concatenate([X, 50 * X[:20]])  # beyond the predictions that the scores are of
    out = assert_intervals(model, X, rows)
    assert np.isinf(out["interval"][:, 1]).all() != (options.get("out_activation") == "logistic")
    assert out["interval"].dtype == np.float64


@pytest.mark.parametrize("groups", [{}, CV_PLUS], ids=str)
@pytest.mark.slow
def test_several_targets_have_an_interval_each(groups):
    targets = np.c_[Y, 1e9 + Y**2, np.full(len(Y), 7.0)]
    for options in ({}, {"loss": "quantile", "quantile": 0.3}):
        out = assert_intervals(regressor(**options, **groups).fit(X, targets), X)
        assert out["interval"].shape == (len(X), 3, 2)


@pytest.mark.parametrize("unit", [1e300, 1e-300])
def test_targets_of_any_size(unit):
    assert_intervals(regressor().fit(X, Y * unit), X)


def test_a_constant_target():
    model = regressor().fit(X, np.full(len(X), 7.0))
    np.testing.assert_array_equal(run(onnx.to_onnx(model, X, coverage=0.9), X)["interval"], 7)
    assert_intervals(model, X)


@pytest.mark.slow
def test_weights_and_validation_rows():
    weight = np.where(np.arange(len(X)) % 3 == 0, 0.0, 1 + np.abs(X[:, 0]))
    for groups in ({}, CV_PLUS):
        assert_intervals(regressor(**groups).fit(X, Y, weight), X)
    model = regressor(n_members=1).fit(X[::2], Y[::2], X_val=X[1::2], y_val=Y[1::2])
    assert_intervals(model, X)


def test_a_stream_whose_predictions_have_no_range():
    model = regressor(learning_rate="constant").partial_fit(X[::2], Y[::2], X_val=X[1::2], y_val=Y[1::2])
    assert np.all(np.isinf(model.fitted_.targets.low))
    assert_intervals(model, X, rows=50 * X)


@pytest.mark.parametrize("groups", [{}, CV_PLUS], ids=str)
@pytest.mark.slow
def test_single_precision(groups):
    # of a network, within 1e-5 as its predictions; of an input, in the type of the first output too
    model = regressor(dtype="float32", **groups).fit(X, Y)
    assert_intervals(model, X, tolerance=1e-5)
    out = assert_intervals(model, X.astype(np.float32), tolerance=1e-5)
    assert out["interval"].dtype == out["variable"].dtype == np.float32
    assert_sets(classifier(dtype="float32", **groups).fit(NOISY, KIND), NOISY, NEW.astype(np.float32))


def mixed_table(n=150):
    """A column of each kind."""
    draw = np.random.default_rng(0)

    def holes(values):
        return pd.Series(values).astype(object).where(draw.random(n) >= 0.2, None)

    return pd.DataFrame(
        {
            "city": holes(draw.choice(["Ulm", "Köln", "Rom"], n)),
            "user": [f"u{i}" for i in draw.integers(0, 90, n)],
            "interval": draw.gamma(3, 10, n),  # the names of the outputs
            "set": holes(draw.exponential(30, n)).astype(float),
            "rooms": draw.integers(1, 9, n),
            "sold": draw.random(n) < 0.5,
            "day": pd.Timestamp("2025-01-01") + pd.to_timedelta(draw.integers(0, 300, n), "D"),
        }
    )


@pytest.mark.parametrize("groups", [{}, CV_PLUS], ids=str)
@pytest.mark.slow
def test_a_mixed_table_with_monotonic_constraints(groups):
    table = mixed_table()
    y = table["interval"] + 5 * table["sold"] - table["rooms"]
    rows = table.iloc[::-1].assign(city="never seen", interval=table["set"])
    for model in (
        regressor(monotonic_cst={"rooms": -1}, **groups).fit(table, y),
        classifier(monotonic_cst={"rooms": -1}, **groups).fit(table, y > 30),
    ):
        converted = onnx.to_onnx(model, table, coverage=0.9)
        for part in (rows, rows[:1]):
            *_, found = run(converted, part).values()
            right = (model.predict_interval if found.dtype == float else model.predict_set)(part)
            np.testing.assert_allclose(found, right, rtol=1e-10, atol=1e-10)


# -------------------------------------------------------------------- sets


@pytest.mark.parametrize("groups", [{}, CV_PLUS, {"early_stopping": True}], ids=str)
@pytest.mark.parametrize("y", [KIND, np.array(["a", "b", "c"])[KIND], KIND == 1, np.full(178, "one")], ids=range(4))
def test_sets_of_every_kind_of_classes(y, groups):
    model = classifier(**groups).fit(NOISY, y)
    out = assert_sets(model, NOISY, NEW)
    assert out["set"].all() and out["set"].shape == (len(NOISY), len(model.classes_))


@pytest.mark.slow
def test_sets_of_confident_networks_weights_and_temperature():
    weight = 1 + np.abs(NOISY[:, 0])
    for groups in ({}, CV_PLUS):
        model = classifier(max_iter=30, class_weight="balanced", **groups).fit(NOISY, KIND, weight)
        assert model.temperature_ != 1
        assert_sets(model, NOISY, np.concatenate([NEW, 1e3 * NEW]))


@pytest.mark.parametrize("value", [True, "columns"])
def test_other_outputs_stay_as_the_options_say(value):
    model = classifier().fit(NOISY, KIND)
    plain, sets = (onnx.to_onnx(model, NOISY, zipmap=value, **extra) for extra in ({}, {"coverage": 0.9}))
    names, more = ([output.name for output in graph.graph.output] for graph in (plain, sets))
    assert sorted(more) == sorted([*names, "set"])
    np.testing.assert_array_equal(run(sets, NEW)["set"], model.predict_set(NEW))
    out = run(onnx.to_onnx(model, NOISY, coverage=0.9, nocl=True, output_class_labels=True), NEW)
    assert {"label", "probabilities", "class_labels", "set"} == set(out)


# ---------------------------------------------------------- any scores at all


@st.composite
def conformities(draw, n_outputs, signed):
    """Scores of some groups, with ties, weights and, of unsigned ones, a scale."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    n_groups, n = draw(st.sampled_from([1, 2, 4])), draw(st.integers(1, 90))

    def side():
        scores = [rng.normal(size=n) if signed else rng.exponential(size=n) for _ in range(n_groups)]
        weights = [rng.exponential(size=n) if draw(st.booleans()) else np.ones(n) for _ in range(n_groups)]
        return [SortedScores.of(np.repeat(s, 2), np.repeat(w, 2)) for s, w in zip(scores, weights, strict=True)]

    knots = np.sort(rng.normal(size=5))
    scales = [LocalScale() if signed else LocalScale(knots, rng.exponential(size=5) + 0.1) for _ in range(n_outputs)]
    return Conformity([side() for _ in scales], [side() for _ in scales] if signed else [], scales)


FITTED = regressor(max_iter=1).fit(X, np.c_[Y, -Y])
FITTED_CLASSES = classifier(max_iter=1).fit(NOISY, KIND)


@given(st.booleans().flatmap(lambda signed: conformities(2, signed)), st.floats(0.01, 0.99))
@settings(max_examples=10, deadline=None)
@pytest.mark.slow
def test_intervals_from_any_scores(conformity, coverage):
    model = copy_with(FITTED, conformity)
    assert_intervals(model, X[:40], coverages=[coverage], tolerance=1e-11)  # the scores are many times the targets


@given(conformities(1, signed=False), st.floats(0.01, 0.99))
@settings(max_examples=15, deadline=None)
@pytest.mark.slow
def test_sets_from_any_scores(conformity, coverage):
    assert_sets(copy_with(FITTED_CLASSES, conformity), NEW[:40], coverages=[coverage])


def copy_with(model, conformity):
    new = type(model)()
    vars(new).update(vars(model), fitted_=replace(model.fitted_, conformity=conformity))
    return new


def test_a_scale_that_jumps():
    scale = LocalScale(np.array([-0.5, 0.0, 0.0, 0.5]), np.array([1.0, 2.0, 3.0, 4.0]))
    scores = [SortedScores.of(np.arange(1.0, 30.0), np.ones(29))]
    model = copy_with(FITTED, Conformity([scores, scores], [], [scale, LocalScale()]))
    assert_intervals(model, X)


# ------------------------------------------------------ what is around it


@pytest.mark.slow
def test_pipelines_and_searches():
    steps = {"pipeline": make_pipeline(StandardScaler(), regressor())}
    search = GridSearchCV(regressor(), {"alpha": [1]}, cv=2)
    steps["search in a pipeline"] = make_pipeline(StandardScaler(), search)
    steps["search of a pipeline"] = GridSearchCV(steps["pipeline"], {"scratchmlpregressor__alpha": [1]}, cv=2)
    for name, model in steps.items():
        model.fit(X, Y)
        inner = getattr(model, "best_estimator_", model)
        last = getattr(inner[-1], "best_estimator_", inner[-1])
        out = run(onnx.to_onnx(model, X, coverage=0.8), X)
        right = last.predict_interval(inner[:-1].transform(X), 0.8)
        np.testing.assert_allclose(out["interval"], right, rtol=1e-9, err_msg=name)
    model = classifier().fit(NOISY, KIND)
    out = run(onnx.to_onnx(FrozenEstimator(make_pipeline(FrozenEstimator(model))), NOISY, coverage=0.8), NEW)
    np.testing.assert_array_equal(out["set"], model.predict_set(NEW, 0.8))


def test_without_coverage_the_graph_is_as_before():
    model = regressor().fit(X, Y)
    plain, again = (onnx.to_onnx(model, X, **options).SerializeToString() for options in ({}, {"coverage": None}))
    onnx.to_onnx(model, X, coverage=0.9)
    assert plain == again == onnx.to_onnx(model, X).SerializeToString()
    assert [output.name for output in skl2onnx.to_onnx(model, X).graph.output] == ["variable"]


@pytest.mark.parametrize("groups", [{}, CV_PLUS], ids=str)
@pytest.mark.slow
def test_versions_of_onnx(groups):
    models = (regressor(**groups).fit(X, Y), X), (classifier(**groups).fit(NOISY, KIND), NEW)
    for version in (13, 17, skl2onnx.get_latest_tested_opset_version()):
        for model, table in models:
            converted = onnx.to_onnx(model, table, coverage=0.9, target_opset=version)
            checker.check_model(converted, full_check=True)
            *_, found = run(converted, table).values()
            right = (model.predict_interval if found.dtype == float else model.predict_set)(table)
            np.testing.assert_allclose(found, right, rtol=1e-9)


@pytest.mark.slow
def test_what_has_no_intervals_is_refused_by_name():
    models = [
        TransformedTargetRegressor(regressor(max_iter=1)).fit(X, Y),
        VotingRegressor([("a", regressor(max_iter=1))]).fit(X, Y),
        make_pipeline(StandardScaler(), CalibratedClassifierCV(classifier(max_iter=1), cv=2)).fit(X, Y > 140),
        make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y > 140),
    ]
    names = ["TransformedTargetRegressor", "VotingRegressor", "CalibratedClassifierCV", "LogisticRegression"]
    for model, name in zip(models, names, strict=True):
        with pytest.raises(NotImplementedError, match=f"^{name} has no prediction intervals .* Convert without"):
            onnx.to_onnx(model, X, coverage=0.9)


def test_errors_are_those_of_the_methods():
    model = regressor().fit(X, Y)
    for coverage in (0, 1, 90, "0.9", True, np.nan):
        with pytest.raises(ValueError, match="coverage must be a number between 0 and 1") as found:
            onnx.to_onnx(model, X, coverage=coverage)
        with pytest.raises(ValueError) as right:
            model.predict_interval(X, coverage)
        assert str(found.value) == str(right.value)
    with pytest.raises(ValueError, match="need scores of rows that members have not seen"):
        onnx.to_onnx(regressor(early_stopping=False).fit(X, Y), X, coverage=0.9)
    with pytest.raises(ValueError, match="predict_set is for one column of classes, and y was multilabel"):
        onnx.to_onnx(classifier().fit(X, np.c_[Y > 100, Y > 200].astype(int)), X, coverage=0.9)
