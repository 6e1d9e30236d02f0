"""Pictures show what was fitted, in whatever the network lies, and nothing in them overlaps."""

import itertools
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import load_diabetes, load_digits, load_iris, load_wine, make_multilabel_classification
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.display.canvas import COLORS, NEUTRAL, palette
from skscratch.display.importances import FeatureImportanceDisplay
from skscratch.display.loss_curve import LossCurveDisplay
from skscratch.display.network import NetworkDisplay
from tests.helpers.plain import plain

matplotlib = pytest.importorskip("matplotlib")
from matplotlib import pyplot  # noqa: E402
from matplotlib.colors import same_color, to_hex, to_rgb  # noqa: E402
from matplotlib.transforms import Bbox  # noqa: E402

WINE, IRIS = load_wine(as_frame=True), load_iris(as_frame=True)
DIABETES = load_diabetes(as_frame=True)
QUICK = {"max_iter": 2, "random_state": 0}


@pytest.fixture(autouse=True)
def headless():
    """Draw without a window, and leave no figure, backend or setting behind."""
    backend = matplotlib.get_backend()
    pyplot.switch_backend("agg")
    with matplotlib.rc_context():
        yield
    pyplot.close("all")
    pyplot.switch_backend(backend)


def small(cls=ScratchMLPClassifier, **options):
    return plain(cls, **{"hidden_layer_sizes": (3,), **QUICK, **options})


@pytest.fixture(scope="module")
def wine():
    """A fit with every default, and so with epochs that were not judged."""
    return ScratchMLPClassifier(random_state=0).fit(WINE.data, WINE.target)


@pytest.mark.parametrize(
    "estimator",
    [
        small(),
        make_pipeline(StandardScaler(), small()),
        GridSearchCV(small(), {"alpha": [0]}),
        GridSearchCV(small(), {"alpha": [0]}, cv=2, refit=False).fit(IRIS.data, IRIS.target),
    ],
)
@pytest.mark.parametrize("display", [LossCurveDisplay, NetworkDisplay])
def test_what_is_not_fitted_is_refused(estimator, display):
    with pytest.raises(NotFittedError, match="ScratchMLPClassifier instance is not fitted yet"):
        display.from_estimator(estimator)


# ---------------------------------------------------------------- losses


def legend_of(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_losses_validation_and_best_epoch_are_drawn(wine):
    display = LossCurveDisplay.from_estimator(make_pipeline(wine))
    assert list(display.lines_) == ["training", "validation", "best epoch"]
    epochs = np.arange(1, wine.n_iter_ + 1)
    for role, curve in (("training", wine.loss_curve_), ("validation", wine.validation_loss_curve_)):
        np.testing.assert_array_equal(display.lines_[role].get_data(), [epochs, curve])
    best = wine.best_iteration_
    assert display.lines_["best epoch"].get_xydata().tolist() == [[best, wine.validation_loss_curve_[best - 1]]]
    assert legend_of(display) == ["training", "validation", f"best epoch {best}"]
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("epoch", "loss (log_loss)")
    assert display.figure_ is display.ax_.figure


def test_epochs_that_were_not_judged_are_gaps_and_each_judged_one_a_dot(wine):
    display = LossCurveDisplay.from_estimator(wine)
    judged = np.isfinite(wine.validation_loss_curve_)
    assert 0 < judged.sum() < len(judged)
    assert display.lines_["validation"].get_marker() == "."
    bridge = next(line for line in display.ax_.lines if line.get_label() == "_gaps")
    np.testing.assert_array_equal(bridge.get_xdata(), np.flatnonzero(judged) + 1)
    assert same_color(bridge.get_color(), display.lines_["validation"].get_color())


def test_several_estimators_share_one_axes(wine):
    display = LossCurveDisplay.from_estimator(wine, name="folds")
    assert display.ax_.get_legend().get_title().get_text() == "folds"
    held_out = small(early_stopping=True).fit(WINE.data, WINE.target)
    others = {"held out": held_out, "price in $ and cost in $": small().fit(WINE.data, WINE.target)}
    displays = [LossCurveDisplay.from_estimator(m, ax=display.ax_, name=name) for name, m in others.items()]
    displays.append(LossCurveDisplay.from_estimator(held_out, ax=display.ax_, name="held out"))  # a name used before
    displays.append(LossCurveDisplay.from_estimator(held_out, ax=display.ax_))
    assert all(one.ax_ is display.ax_ for one in displays)
    colors = [{to_hex(line.get_color()) for line in one.lines_.values()} for one in (display, *displays)]
    assert all(len(own) == 1 for own in colors) and len(set.union(*colors)) == len(colors)
    assert legend_of(display) == [
        f"folds, best epoch {wine.best_iteration_}",
        f"held out, best epoch {held_out.best_iteration_}",
        "price in $ and cost in $",
        f"held out (4), best epoch {held_out.best_iteration_}",
        f"estimator 5, best epoch {held_out.best_iteration_}",
        *("training", "validation", "best epoch"),
    ]
    handles = display.ax_.get_legend().legend_handles[:5]
    assert [{to_hex(handle.get_color())} for handle in handles] == colors
    display.figure_.draw_without_rendering()  # which would fail if a name were read as a formula


def test_lines_of_the_user_stay_in_the_legend(wine):
    _, ax = pyplot.subplots()
    ax.axhline(0.5, label="chance")
    assert legend_of(LossCurveDisplay.from_estimator(wine, ax=ax))[-1] == "chance"
    assert legend_of(LossCurveDisplay.from_estimator(wine, ax=ax, name="again")).count("chance") == 1


def test_without_validation_there_is_the_training_loss_alone():
    model = small().fit(IRIS.data, IRIS.target)  # on a schedule with an end: no epoch is judged
    display = LossCurveDisplay.from_estimator(model)
    assert list(display.lines_) == ["training"]
    constant = small(learning_rate="constant", learning_rate_init=0.5, max_iter=30, n_iter_no_change=np.inf)
    constant.fit(IRIS.data, IRIS.target)
    best = int(np.argmin(constant.loss_curve_)) + 1
    assert best < constant.n_iter_
    display = LossCurveDisplay.from_estimator(constant)
    assert display.lines_["best epoch"].get_xydata().tolist() == [[best, min(constant.loss_curve_)]]


def test_iterations_of_lbfgs():
    model = small(ScratchMLPRegressor, solver="lbfgs", n_iter_no_change=np.inf, max_iter=7)
    display = LossCurveDisplay.from_estimator(model.fit(DIABETES.data, DIABETES.target))
    np.testing.assert_array_equal(display.lines_["training"].get_ydata(), model.loss_curve_)
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("iteration", "loss (squared_error)")


def test_a_training_that_goes_on_is_one_curve():
    model = small(warm_start=True, early_stopping=True).fit(IRIS.data, IRIS.target).fit(IRIS.data, IRIS.target)
    display = LossCurveDisplay.from_estimator(model)
    assert [len(display.lines_[role].get_xdata()) for role in ("training", "validation")] == [4, 4]
    streamed = small().partial_fit(IRIS.data, IRIS.target, classes=[0, 1, 2])
    line = LossCurveDisplay.from_estimator(streamed).lines_["training"]
    assert (len(line.get_xdata()), line.get_marker()) == (1, ".")  # a line through one point would not be seen
    streamed.partial_fit(IRIS.data, IRIS.target)
    assert len(LossCurveDisplay.from_estimator(streamed).lines_["training"].get_xdata()) == 2


@pytest.mark.parametrize("options", [{}, {"early_stopping": True}, {"solver": "lbfgs", "max_iter": 1000}])
def test_curves_taken_over_from_scikit_learn(options):
    theirs = MLPClassifier((3,), random_state=0, **{"max_iter": 300, "tol": 0.01, **options})
    theirs.fit(StandardScaler().fit_transform(IRIS.data), IRIS.target)
    display = LossCurveDisplay.from_estimator(ScratchMLPClassifier.from_sklearn(theirs))
    curve = getattr(theirs, "loss_curve_", [theirs.loss_])
    assert display.lines_["training"].get_ydata().tolist() == list(curve)
    assert ("best epoch" in display.lines_) == bool(options.get("early_stopping"))


def test_scores():
    model = small(early_stopping=True, scoring="accuracy").fit(IRIS.data, IRIS.target)
    display = LossCurveDisplay.from_estimator(model, metric="score")
    assert list(display.lines_) == ["validation", "best epoch"]
    assert display.lines_["validation"].get_ydata().tolist() == model.validation_scores_
    assert display.lines_["best epoch"].get_ydata().tolist() == [max(model.validation_scores_)]
    assert display.ax_.get_ylabel() == "score (accuracy)"
    with pytest.raises(ValueError, match="No validation score was recorded"):
        LossCurveDisplay.from_estimator(small().fit(IRIS.data, IRIS.target), metric="score")
    with pytest.raises(ValueError, match="metric must be 'loss' or 'score'"):
        LossCurveDisplay.from_estimator(model, metric="accuracy")


def test_losses_that_are_not_numbers_are_gaps():
    display = LossCurveDisplay(training=[np.inf, 3, np.nan, 2, -np.inf, 1], best_epoch=3).plot()
    assert list(display.lines_) == ["training"]  # there is nowhere to mark the best epoch
    np.testing.assert_array_equal(display.lines_["training"].get_ydata(), [np.nan, 3, np.nan, 2, np.nan, 1])
    low, high = display.ax_.get_ylim()
    assert 0 < low < 1 and 3 < high < 4
    for nothing in ([], [np.nan, np.nan]):
        LossCurveDisplay(training=nothing, best_epoch=2).plot().figure_.draw_without_rendering()
    with pytest.raises(ValueError, match="neither a training nor a validation curve"):
        LossCurveDisplay(training=None).plot()


@pytest.mark.parametrize(
    ("curve", "yscale", "expected"),
    [
        ([1, 0.011], "auto", "linear"),
        ([1, 0.01], "auto", "log"),
        ([1, np.nan, 1e-9], "auto", "log"),
        ([1, 0, 1e-9], "auto", "linear"),
        ([1, -1], "auto", "linear"),
        ([1, 1e-9], "linear", "linear"),
        ([1, 0.5, 0], "log", "log"),
    ],
)
def test_the_scale_follows_the_losses(curve, yscale, expected):
    display = LossCurveDisplay(training=curve).plot(yscale=yscale)
    assert display.ax_.get_yscale() == expected
    display.figure_.draw_without_rendering()


def test_the_scale_follows_all_losses_of_the_axes():
    display = LossCurveDisplay(training=[1, 0.5], metric="loss (log_loss)").plot()
    LossCurveDisplay(training=[0.1, 0.001], metric="loss (squared_error)").plot(display.ax_)
    assert (display.ax_.get_yscale(), display.ax_.get_ylabel()) == ("log", "loss")
    with pytest.raises(ValueError, match="yscale must be"):
        display.plot(yscale="symlog")


def test_epochs_are_whole_numbers_and_the_color_is_the_users():
    display = LossCurveDisplay(training=[3, 2, 1]).plot(color="tab:pink")
    assert all(tick == round(tick) for tick in display.ax_.get_xticks())
    assert same_color(display.lines_["training"].get_color(), "tab:pink")


# ---------------------------------------------------------------- networks


def written(display):
    return [text.get_text() for text in display.ax_.texts]


def test_each_weight_is_a_line_colored_by_its_sign():
    model = small(hidden_layer_sizes=(4, 2)).fit(IRIS.data, IRIS.target)
    display = NetworkDisplay.from_estimator(model, target_names=IRIS.target_names)
    positive, negative = palette()[:2]
    assert len(display.lines_) == 3
    for k, (lines, W, V) in enumerate(zip(display.lines_, display.weights, model.coefs_, strict=True)):
        np.testing.assert_array_equal(W, V)
        ends = np.array(lines.get_segments())
        assert ends.shape == (W.size, 2, 2) and np.array_equal(ends[..., 0], np.tile([k, k + 1], (W.size, 1)))
        heights = [np.unique(ends[:, side, 1])[::-1] for side in (0, 1)]  # from above, as units are numbered
        drawn = [W[np.searchsorted(-heights[0], -a), np.searchsorted(-heights[1], -b)] for a, b in ends[..., 1]]
        assert sorted(drawn) == sorted(W.ravel())
        assert [to_hex(color) for color in lines.get_colors()] == [
            (negative if w < 0 else positive).lower() for w in drawn
        ]
        for increasing in (np.abs(drawn), lines.get_linewidths(), lines.get_colors()[:, 3]):
            assert (np.diff(increasing) >= 0).all()  # the strongest is the widest, most opaque, and on top
    for name in (*IRIS.feature_names, *IRIS.target_names, "4 features\n", "4 units\nrelu", "3 outputs\nsoftmax"):
        assert name in written(display)
    assert legend_of(display) == ["w > 0", "w < 0"]


def mixed_table(n=120):
    rng = np.random.RandomState(0)
    X = pd.DataFrame(
        {
            "town": [f"town {i % 60}" for i in range(n)],
            "color": rng.choice(["red", "green", "blue"], n),
            "price ($) and cost ($)": rng.lognormal(size=n),
            "gaps": np.where(rng.rand(n) < 0.1, np.nan, rng.randn(n)),
            "flag": rng.rand(n) < 0.5,
            "constant": 1.0,
        }
    )
    return X, np.where(X["color"] == "red", "yes", "no")


@pytest.mark.parametrize("embedding", ["bins", None])
def test_a_feature_is_one_unit_however_many_columns_it_is_encoded_as(embedding):
    X, y = mixed_table()
    model = ScratchMLPClassifier(numeric_embedding=embedding, **QUICK).fit(X, y)
    display = NetworkDisplay.from_estimator(model, member=3)
    W, names = model.coefs_[0][3], model.fitted_.input_names  # after those named come the vectors of the towns
    assert len(display.weights[0]) == X.shape[1] and len(W) == len(names) + 8
    for j, feature in enumerate(X):
        own = [i for i, name in enumerate(names) if name.startswith(feature)]
        own = own or range(len(names), len(W))
        alone = feature in ("flag", "constant") or (embedding is None and feature.startswith("price"))
        assert display.signed[j] == (len(own) == 1) == alone
        expected = W[own[0]] if alone else np.linalg.norm(W[own], axis=0)
        np.testing.assert_allclose(display.weights[0][j], expected, rtol=1e-6)  # float32 weights
    colors = {to_hex(color) for color in display.lines_[0].get_colors()}
    assert NEUTRAL in colors and len(colors) == 3
    assert NEUTRAL not in {to_hex(color) for color in display.lines_[1].get_colors()}
    assert legend_of(display) == ["w > 0", "w < 0", "norm over columns"]
    assert {"6 features\n" + f"{len(W)} columns", f"{len(W)} × 64\n|w| up to {display.weights[0].max():.2g}"} <= set(
        written(display)
    )


@pytest.mark.slow
def test_of_wide_layers_the_strongest_units_are_drawn_and_the_others_counted():
    digits = load_digits()
    model = ScratchMLPClassifier(hidden_layer_sizes=(100, 30), **QUICK).fit(digits.data, digits.target)
    display = NetworkDisplay.from_estimator(model, max_units=9)
    W1, W2, W3 = display.weights
    norms = [
        np.linalg.norm(W1, axis=1),
        np.linalg.norm(W1, axis=0) * np.linalg.norm(W2, axis=1),
        np.linalg.norm(W2, axis=0) * np.linalg.norm(W3, axis=1),
        np.linalg.norm(W3, axis=0),
    ]
    for units, norm in zip(display.units_, norms, strict=True):
        assert len(units) == 9 and (np.diff(units) > 0).all()
        assert norm[units].min() >= np.delete(norm, units).max()
    assert [len(lines.get_segments()) for lines in display.lines_] == [81, 81, 81]
    rests = [text for text in written(display) if text.startswith("…")]
    assert rests == ["… 55 more", "… 91 more", "… 21 more", "… 1 more"]
    assert [len(units) for units in display.plot(max_units=64).units_] == [64, 64, 30, 10]
    with pytest.raises(ValueError, match="max_units must be at least 1"):
        display.plot(max_units=0)


def test_a_member_is_drawn_by_its_number():
    model = ScratchMLPRegressor(hidden_layer_sizes=3, numeric_embedding=None, **QUICK)
    model.fit(DIABETES.data, DIABETES.target)
    for member in range(5):
        display = NetworkDisplay.from_estimator(model, member=member)
        for W, V in zip(display.weights, model.coefs_, strict=True):
            np.testing.assert_array_equal(W, V[member])
        assert display.ax_.get_legend().get_title().get_text() == f"member {member} of 5"
    for wrong in (-1, 5):
        with pytest.raises(ValueError, match="member must be from 0 to 4"):
            NetworkDisplay.from_estimator(model, member=wrong)


def names_in(estimator, **options):
    display = NetworkDisplay.from_estimator(estimator, **options)
    assert set(display.target_names) <= set(written(display))
    return display.feature_names, display.target_names


def test_features_have_the_names_that_the_steps_of_pipelines_give_them():
    X, y = mixed_table()
    table = X[["color", "flag", "constant"]]
    encoder = make_column_transformer((OneHotEncoder(sparse_output=False), ["color"]), remainder="passthrough")
    expected = [f"onehotencoder__color_{c}" for c in ("blue", "green", "red")]
    expected += ["remainder__flag", "remainder__constant"]
    pipeline = make_pipeline(encoder, StandardScaler(), GridSearchCV(small(), {"alpha": [0]}, cv=2)).fit(table, y)
    assert names_in(pipeline) == (expected, ["yes"])
    inner = make_pipeline(encoder, make_pipeline(StandardScaler(), small())).fit(table, y)
    assert names_in(inner)[0] == expected
    target = TransformedTargetRegressor(make_pipeline(StandardScaler(), small(ScratchMLPRegressor)))
    assert names_in(target.fit(DIABETES.data, DIABETES.target))[0] == list(DIABETES.feature_names)
    silent = make_pipeline(FunctionTransformer(np.asarray), small()).fit(IRIS.data, IRIS.target)
    assert names_in(silent)[0] == ["x0", "x1", "x2", "x3"]
    assert names_in(silent, feature_names=IRIS.feature_names)[0] == IRIS.feature_names
    with pytest.raises(ValueError, match=r"feature_names has 1 names, but there are 4: x0, x1, x2, x3"):
        NetworkDisplay.from_estimator(silent, feature_names=["a"])


def test_outputs_have_the_names_of_classes_labels_targets_and_quantiles():
    X, y = DIABETES.data, DIABETES.target
    assert names_in(small().fit(X, y > 100))[1] == ["class True"]
    assert names_in(small().fit(X, y > 100), target_names=["well", "ill"])[1] == ["ill"]
    assert names_in(small().fit(IRIS.data, IRIS.target))[1] == ["class 0", "class 1", "class 2"]
    assert names_in(small().fit(*make_multilabel_classification(n_classes=2)))[1] == ["label 0", "label 1"]
    regressor = small(ScratchMLPRegressor)
    assert names_in(regressor.fit(X, y))[1] == ["y"]
    assert names_in(regressor.fit(X, np.c_[y, y]), target_names=["a", "b"])[1] == ["a", "b"]
    quantiles = small(ScratchMLPRegressor, loss="quantile", quantile=[0.05, 0.5]).fit(X, y)
    assert names_in(quantiles)[1] == ["quantile 0.05", "quantile 0.5"]
    with pytest.raises(ValueError, match="target_names has 1 names, but there are 2: quantile 0.05, quantile 0.5"):
        NetworkDisplay.from_estimator(quantiles, target_names=["a"])


def test_layers_have_the_names_of_their_activations():
    def sine(x):
        return np.sin(x)

    model = small(hidden_layer_sizes=(2, 2), activation=["tanh", (sine, np.cos)]).fit(IRIS.data, IRIS.target)
    assert NetworkDisplay.from_estimator(model).activations == ["tanh", "sine", "softmax"]
    theirs = MLPRegressor(hidden_layer_sizes=2, activation="logistic", tol=1e9).fit(DIABETES.data, DIABETES.target)
    ours = NetworkDisplay.from_estimator(ScratchMLPRegressor.from_sklearn(theirs))
    assert ours.activations == ["logistic", "identity"]
    np.testing.assert_array_equal(ours.weights[0], theirs.coefs_[0])


def test_long_names_keep_both_ends_and_weights_may_all_be_zero():
    names = ["temperature of the  sensor\nat position 1", "temperature of the sensor at position 2"]
    display = NetworkDisplay(weights=[np.zeros((2, 1))], feature_names=names, target_names=["y"]).plot()
    assert {"temperature…position 1", "temperature…position 2"} <= set(written(display))
    assert legend_of(display) == ["w > 0"]


# ---------------------------------------------------------------- nothing overlaps


def boxes(display):
    """Where texts and units are, in pixels."""
    ax, dpi = display.ax_, display.figure_.dpi
    legend = ax.get_legend()
    texts = [text for text in (*ax.texts, *legend.get_texts(), legend.get_title()) if text.get_text()]
    circles = []
    for column in ax.collections:
        if column not in display.lines_:
            radius = np.sqrt(column.get_sizes()[0]) / 2 * dpi / 72
            centers = ax.transData.transform(column.get_offsets())
            circles += [Bbox.from_extents(*(c - radius), *(c + radius)) for c in centers]
    return {text: text.get_window_extent() for text in texts}, circles


def assert_nothing_overlaps(display):
    texts, circles = boxes(display)
    room = display.ax_.bbox.padded(1)  # a pixel for rounding
    for text, box in texts.items():
        label = text.get_text()
        assert box.x0 >= room.x0 and box.x1 <= room.x1 and box.y0 >= room.y0 and box.y1 <= room.y1, label
    for (one, a), (other, b) in itertools.combinations(texts.items(), 2):
        assert not a.padded(-0.5).overlaps(b.padded(-0.5)), (one.get_text(), other.get_text())
    for (text, a), b in itertools.product(texts.items(), circles):
        assert not a.overlaps(b), text.get_text()
    for a, b in itertools.combinations(circles, 2):
        assert not a.overlaps(b)
    ends = np.concatenate([lines.get_segments() for lines in display.lines_])
    ends = display.ax_.transData.transform(ends.reshape(-1, 2)).reshape(-1, 2, 2)
    along = np.linspace(0, 1, 101)[:, None, None]
    points = (ends[:, 0] * (1 - along) + ends[:, 1] * along).reshape(-1, 2)
    for text, box in texts.items():
        inside = ((points > [box.x0, box.y0]) & (points < [box.x1, box.y1])).all(axis=1)
        assert not inside.any(), text.get_text()


@pytest.fixture(scope="module")
def networks():
    """Networks of many forms, barely trained: what is written on them is what counts."""
    X, y = DIABETES.data, DIABETES.target
    sparse = sp.random(60, 2000, 0.01, format="csr", random_state=0)
    deep = ScratchMLPRegressor(hidden_layer_sizes=(128, 128, 128), **QUICK)
    quantiles = ScratchMLPRegressor(loss="quantile", quantile=[0.05, 0.5, 0.95], hidden_layer_sizes=(8, 6), **QUICK)
    labels = make_multilabel_classification(60, 20, n_classes=15, random_state=0)
    return {
        "wide": ScratchMLPClassifier(**QUICK).fit(WINE.data, WINE.target),
        "small": small(hidden_layer_sizes=(4,)).fit(IRIS.data, IRIS.target),
        "mixed": ScratchMLPClassifier(**QUICK).fit(*mixed_table()),
        "deep": deep.fit(X, y),
        "one unit": small(hidden_layer_sizes=1).fit(IRIS.data, IRIS.target),
        "no hidden layer": ScratchMLPRegressor(hidden_layer_sizes=(), **QUICK).fit(
            sparse, sparse[:, [0]].toarray()[:, 0]
        ),
        "labels": small(hidden_layer_sizes=(20,)).fit(*labels),
        "targets": small(ScratchMLPRegressor).fit(X[["age"]], np.c_[y, y]),
        "quantiles": quantiles.fit(X, y),
    }


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, ["wide", "small", "mixed", "deep", "one unit", "no hidden layer", "labels", "targets", "quantiles"]),
        ({"font.size": 16, "font.family": "serif", "figure.autolayout": True}, ["mixed", "targets", "quantiles"]),
        ({"font.size": 6, "figure.dpi": 150, "figure.facecolor": "none"}, ["wide", "no hidden layer", "labels"]),
    ],
)
def test_nothing_overlaps_in_a_figure_of_its_own(networks, settings, names):
    with matplotlib.rc_context(settings):
        for name in names:
            display = NetworkDisplay.from_estimator(networks[name])
            display.figure_.draw_without_rendering()
            assert_nothing_overlaps(display)
            pyplot.close(display.figure_)


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ("none", ["wide", "small", "mixed", "no hidden layer", "labels", "quantiles"]),
        ("constrained", ["wide", "labels"]),
        ("tight", ["mixed", "quantiles"]),
    ],
)
def test_nothing_overlaps_in_axes_that_are_given(networks, layout, names):
    figure, axes = pyplot.subplots(2, len(names) // 2, figsize=(2 * len(names), 6), layout=layout)
    displays = [NetworkDisplay.from_estimator(networks[n], ax=ax) for n, ax in zip(names, axes.flat, strict=True)]
    figure.draw_without_rendering()
    for display, ax in zip(displays, axes.flat, strict=True):
        assert display.ax_ is ax and display.figure_ is figure
        assert_nothing_overlaps(display)


def test_nothing_overlaps_in_a_part_of_a_figure(networks, wine):
    left, right = pyplot.figure(figsize=(10, 4), layout="constrained").subfigures(1, 2)
    LossCurveDisplay.from_estimator(wine, ax=left.subplots())
    display = NetworkDisplay.from_estimator(networks["mixed"], ax=right.subplots())
    display.figure_.get_figure(root=True).draw_without_rendering()
    assert_nothing_overlaps(display)


LETTERS = st.text(st.characters(categories=["Lu", "Ll", "Nd"], max_codepoint=0xFF) | st.sampled_from("$_^\\{} %#&"))


@settings(max_examples=10, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=5), names=st.lists(LETTERS, min_size=1), seed=st.integers(0)
)
def test_nothing_overlaps_whatever_the_widths_and_names(sizes, names, seed):
    rng = np.random.default_rng(seed)
    display = NetworkDisplay(
        weights=[rng.normal(size=shape) for shape in itertools.pairwise(sizes)],
        feature_names=[names[j % len(names)] for j in range(sizes[0])],
        target_names=[names[-j % len(names)] for j in range(sizes[-1])],
        signed=rng.random(sizes[0]) < 0.5,
    ).plot()
    display.figure_.draw_without_rendering()
    assert_nothing_overlaps(display)
    pyplot.close(display.figure_)


def test_the_legend_of_losses_covers_no_label(wine):
    display = LossCurveDisplay.from_estimator(wine)
    display.figure_.draw_without_rendering()
    ax = display.ax_
    legend = ax.get_legend().get_window_extent()
    ticks = [t.get_window_extent() for axis in (ax.xaxis, ax.yaxis) for t in axis.get_ticklabels() if t.get_text()]
    labels = [axis.label.get_window_extent() for axis in (ax.xaxis, ax.yaxis)]
    assert ax.bbox.x0 <= legend.x0 and legend.x1 <= ax.bbox.x1 and ax.bbox.y0 <= legend.y0 and legend.y1 <= ax.bbox.y1
    for one, other in itertools.product([legend, *labels], ticks):
        assert not one.overlaps(other)
    for line in display.lines_.values():
        points = ax.transData.transform(line.get_xydata()[np.isfinite(line.get_ydata())])
        assert not legend.count_contains(points)


# ---------------------------------------------------------------- colours and packages


def contrast(color, background):
    """Contrast of WCAG 2, from 1 to 21; 3 is asked of lines in a picture."""

    def luminance(c):
        c = np.array(to_rgb(c))
        return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    high, low = sorted([luminance(color), luminance(background)], reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize(("style", "background"), [("default", "white"), ("dark_background", "#0d1117")])
def test_colors_stand_out_from_the_background(style, background):
    with pyplot.style.context(style):
        colors = palette()
        assert sorted(colors) == sorted(COLORS)
        assert min(contrast(color, background) for color in (*colors[:3], NEUTRAL)) > 3


def test_matplotlib_is_imported_only_to_draw():
    code = "import sys, skscratch.display.network, skscratch.display.loss_curve; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b"False"


@pytest.mark.parametrize("display", [LossCurveDisplay, NetworkDisplay])
def test_without_matplotlib_the_error_says_what_to_install(display, wine, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "skscratch\[plot\]"'):
        display.from_estimator(wine)


@pytest.mark.parametrize("display", [LossCurveDisplay, NetworkDisplay])
def test_a_display_can_be_drawn_again_and_changes_no_setting(display, wine):
    before = dict(matplotlib.rcParams)
    first = display.from_estimator(wine)
    ax = first.ax_
    assert first.plot() is first and first.ax_ is not ax
    assert dict(matplotlib.rcParams) == before


# ------------------------------------------------------------------ importances


def test_importances_are_sorted_with_errors_and_names(wine):
    display = FeatureImportanceDisplay.from_estimator(wine, max_features=5)
    best = np.argsort(-wine.feature_importances_)[:5]
    assert display.features_.tolist() == best.tolist()
    np.testing.assert_allclose([bar.get_width() for bar in display.bars_], wine.feature_importances_[best])
    segments = display.bars_.errorbar.lines[2][0].get_segments()
    half = [(b[0] - a[0]) / 2 for a, b in segments]
    np.testing.assert_allclose(half, wine.feature_importances_se_[best])
    names = [text.get_text() for text in display.ax_.get_yticklabels()]
    assert names == [WINE.feature_names[j] for j in best]
    assert display.ax_.get_title() == "5 of 13 features"
    display.figure_.canvas.draw()
    tops = [bar.get_window_extent().y1 for bar in display.bars_]
    assert tops == sorted(tops, reverse=True)


def test_importances_inside_other_estimators_and_in_given_axes():
    _, ax = pyplot.subplots()
    pipeline = make_pipeline(StandardScaler(), small()).fit(IRIS.data, IRIS.target)
    display = FeatureImportanceDisplay.from_estimator(pipeline, ax=ax, color="red")
    assert display.ax_ is ax and ax.get_title() == "" and same_color(display.bars_[0].get_facecolor(), "red")
    assert {text.get_text() for text in ax.get_yticklabels()} == set(IRIS.feature_names)
    own = FeatureImportanceDisplay.from_estimator(pipeline, feature_names=["$a", "b_$", "c", "d"])
    own.figure_.canvas.draw()  # dollar signs are no mathematics
    assert {text.get_text() for text in own.ax_.get_yticklabels()} == {"$a", "b_$", "c", "d"}


def test_importances_of_others():
    display = FeatureImportanceDisplay(importances=[0.1, 0.5, 0.2]).plot()
    assert [text.get_text() for text in display.ax_.get_yticklabels()] == ["x1", "x2", "x0"]
    assert display.bars_.errorbar is None


def test_importances_that_cannot_be_plotted():
    model = small().fit(IRIS.data, IRIS.target)
    with pytest.raises(ValueError, match="3 names, but there are 4"):
        FeatureImportanceDisplay.from_estimator(model, feature_names=["a", "b", "c"])
    with pytest.raises(ValueError, match="max_features must be at least 1"):
        FeatureImportanceDisplay.from_estimator(model, max_features=0)
    with pytest.raises(ValueError, match="the same length"):
        FeatureImportanceDisplay(importances=[1, 2], errors=[1]).plot()
    with pytest.raises(NotFittedError):
        FeatureImportanceDisplay.from_estimator(small())
    with pytest.raises(AttributeError, match="complete call of `fit`"):
        FeatureImportanceDisplay.from_estimator(small().partial_fit(IRIS.data, IRIS.target, classes=[0, 1, 2]))
