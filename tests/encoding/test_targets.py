"""Targets become a network's outputs and come back as they were."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.utils.class_weight import compute_sample_weight

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding.targets import ClassTargets, NumberTargets, class_weights
from skscratch.nn.losses import REGRESSION_LOSSES, make_loss

F8 = np.dtype("f8")
RNG = np.random.RandomState(0)


def rows(targets, n):
    """All rows as the network sees them."""
    out = targets.buffer(n)
    targets.gather(np.arange(n), out)
    return out


# ---------------------------------------------------------------- classes

LABELS = {
    "ints": [3, 1, 7, 1, 3],
    "negative ints": [-2, 5, 0, 5],
    "strings": ["b", "a", "ab", "a"],
    "objects": np.array(["b", "a", "c"], dtype=object),
    "bools": [True, False, True],
    "floats that are whole": [1.0, 2.0, 4.0],
    "two": [9, 4, 9],
    "two strings": ["yes", "no"],
    "unsigned": np.array([255, 0, 3], dtype=np.uint8),
    "large": [2**62, -(2**62), 0],
}


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
def test_labels_come_back(y):
    y = np.asarray(y)
    targets = ClassTargets(y)
    np.testing.assert_array_equal(targets.classes, np.unique(y))
    codes = targets.codes(y)
    assert codes.dtype == np.int32
    np.testing.assert_array_equal(targets.classes[codes], y)
    out = rows(targets.encode(codes, 0.0, F8), len(y))
    assert out.shape == (len(y), targets.n_outputs)
    binary = len(np.unique(y)) == 2
    assert targets.kind == ("binary" if binary else "multiclass") and (targets.n_outputs == 1) == binary
    back = targets.decode(20 * out - 10)  # raw scores that are sure of the targets
    np.testing.assert_array_equal(back, y)
    assert back.dtype == y.dtype


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csr_array, sp.csc_array])
def test_indicators_come_back(form):
    y = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 1]])
    targets = ClassTargets(form(y))
    assert (targets.kind, targets.n_outputs, targets.classes.tolist()) == ("multilabel", 3, [0, 1, 2])
    out = rows(targets.encode(targets.codes(form(y)), 0.0, F8), 4)
    np.testing.assert_array_equal(targets.decode(out - 0.5), y)


def test_label_smoothing_by_hand():
    def encoded(y, smoothing):
        targets = ClassTargets(np.asarray(y))
        return rows(targets.encode(targets.codes(y), smoothing, F8), len(y))

    np.testing.assert_allclose(encoded([0, 1, 2], 0.3), [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    np.testing.assert_allclose(encoded([0, 1], 0.3), [[0.15], [0.85]])
    np.testing.assert_allclose(encoded([[0, 1], [1, 1]], 0.3), [[0.15, 0.85], [0.85, 0.85]])


def test_targets_are_gathered_in_any_order():
    targets = ClassTargets(np.array(["a", "b", "c", "a"]))
    encoded = targets.encode(targets.codes(["a", "b", "c", "a"]), 0.0, np.dtype("f4"))
    out = encoded.buffer(3)
    encoded.gather(np.array([2, 0, 2]), out)
    assert out.dtype == np.float32 and out.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1]]


def test_classes_may_be_more_than_occur():
    targets = ClassTargets(np.array([1, 1]), classes=[5, 1, 3])
    assert targets.classes.tolist() == [1, 3, 5] and targets.codes([5, 1]).tolist() == [2, 0]


@pytest.mark.parametrize(
    ("y", "classes", "match"),
    [
        ([1, 1, 1], None, r"only one class: \[1\]"),
        (["a", "a"], ["a"], r"only one class: \['a'\]"),
        ([0.5, 1.5], None, "Unknown label type: continuous"),
        ([[1, 2], [3, 1]], None, "Several multiclass targets at once are not supported"),
    ],
)
def test_targets_that_are_no_classes(y, classes, match):
    with pytest.raises(ValueError, match=match):
        ClassTargets(np.asarray(y), classes)


def test_targets_of_another_kind_in_a_later_call():
    targets = ClassTargets(np.array([1, 2, 3]))
    with pytest.raises(ValueError, match=r"classes not in `self.classes_`: \[0, 9\] are not among \[1, 2, 3\]"):
        targets.codes([1, 9, 0, 9])
    with pytest.raises(ValueError, match="one column of labels"):
        targets.codes(np.eye(3))
    several = ClassTargets(np.eye(3, dtype=int))
    with pytest.raises(ValueError, match=r"indicator matrix of 3 columns.*\(2, 2\)"):
        several.codes(np.eye(2, dtype=int))
    with pytest.raises(ValueError, match=r"indicator matrix of 3 columns.*\(2,\)"):
        several.codes([0, 1])


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
def test_estimator_gives_the_labels_it_was_given(y):
    y = np.repeat(np.asarray(y), 4)
    X = np.unique(y, return_inverse=True)[1][:, None].astype(float)
    model = ScratchMLPClassifier(max_iter=200, random_state=0, learning_rate_init=0.05).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), y)  # one number that names the class: learned without an error
    assert model.predict(X).dtype == y.dtype and model.classes_.dtype == y.dtype


labels = st.one_of(
    st.lists(st.integers(-5, 5), min_size=2, max_size=20), st.lists(st.text(max_size=2), min_size=2, max_size=20)
).filter(lambda y: len({*y}) > 1)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(labels, st.floats(0, 0.4))
@pytest.mark.slow
def test_any_labels_come_back(y, smoothing):
    y = np.asarray(y, dtype=object if isinstance(y[0], str) else int)
    targets = ClassTargets(y)
    out = rows(targets.encode(targets.codes(y), smoothing, F8), len(y))
    if targets.kind == "multiclass":
        np.testing.assert_allclose(out.sum(axis=1), 1)
    np.testing.assert_array_equal(targets.decode(out - 0.5), y)


# ---------------------------------------------------------------- numbers


def loss_named(name):
    return make_loss(name, None)


@pytest.mark.parametrize("loss", REGRESSION_LOSSES)
@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_numbers_come_back(loss, n_targets, weighted):
    y = RNG.gamma(2, 1000, (50, n_targets)) + 1
    weight = RNG.randint(1, 4, 50).astype(float) if weighted else None
    targets = NumberTargets(y, weight, loss_named(loss), True)
    out = rows(targets.encode(y, F8), 50)
    np.testing.assert_allclose(targets.decode(out), y, rtol=1e-12)
    assert 0.1 < np.abs(out).mean() < 3  # of order one
    assert targets.center.shape == targets.spread.shape == (n_targets,)


def test_scales_by_hand():
    y = np.array([[1.0], [2], [3], [4], [90]])
    expected = {
        "squared_error": (20.0, np.std(y)),
        "absolute_error": (3, 2 / 1.349),
        "huber": (3, 2 / 1.349),
        "quantile": (3, 2 / 1.349),
        "poisson": (0, 20),
        "gamma": (0, 20),
    }
    assert set(expected) == set(REGRESSION_LOSSES)
    for name, (center, spread) in expected.items():
        targets = NumberTargets(y, None, loss_named(name), True)
        assert targets.center[0] == pytest.approx(center) and targets.spread[0] == pytest.approx(spread), name
    low = NumberTargets(y, None, make_loss("quantile", None, quantile=[0.1, 0.9]), True)
    assert low.center[0] == 1  # of several quantiles the lowest: the others are steps above it


@pytest.mark.parametrize("loss", REGRESSION_LOSSES)
def test_weights_count_as_rows_of_numbers(loss):
    y, weight = RNG.gamma(2, 10, (30, 2)) + 1, RNG.randint(1, 4, 30)
    a = NumberTargets(y, weight.astype(float), loss_named(loss), True)
    b = NumberTargets(np.repeat(y, weight, axis=0), None, loss_named(loss), True)
    np.testing.assert_allclose(a.center, b.center, rtol=1e-12)
    np.testing.assert_allclose(a.spread, b.spread, rtol=1e-12)


@pytest.mark.parametrize("loss", REGRESSION_LOSSES)
def test_scaling_off_leaves_numbers_as_they_are(loss):
    y = RNG.gamma(2, 1000, (20, 2))
    targets = NumberTargets(y, None, loss_named(loss), False)
    np.testing.assert_array_equal(rows(targets.encode(y, F8), 20), y)
    np.testing.assert_array_equal(targets.decode(y), y)


@pytest.mark.parametrize("loss", REGRESSION_LOSSES)
@pytest.mark.parametrize("value", [0.0, 7.0, 1e6])
@pytest.mark.slow
def test_constant_target_is_learned(loss, value):
    if loss == "gamma" and not value:
        value = 1e-6  # gamma has no zeros
    X, y = RNG.randn(30, 2), np.full(30, value)
    predicted = ScratchMLPRegressor(loss=loss, max_iter=100, random_state=0).fit(X, y).predict(X)
    # the unit of a constant target is 1 (of a mean, the mean itself); a short training ends well within half of it
    assert np.abs(predicted - value).max() < 0.5 * (max(value, 1) if loss in ("poisson", "gamma") else 1)


def test_where_the_quartiles_coincide_the_standard_deviation_is_the_unit():
    y = np.r_[np.zeros(9), 10.0][:, None]
    assert NumberTargets(y, None, loss_named("absolute_error"), True).spread[0] == pytest.approx(3.0)


@pytest.mark.parametrize("unit", [2.0**1000, 2.0**600, 2.0**-600])
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "poisson"])
def test_units_of_any_size(unit, loss):
    X, y = RNG.randn(50, 2), RNG.rand(50) + 1
    model = ScratchMLPRegressor(loss=loss, max_iter=5, random_state=0, dtype="float64")
    one, other = model.fit(X, y).predict(X), model.fit(X, y * unit).predict(X)
    # powers of two are exact; a sum that is kept from overflow may round otherwise
    np.testing.assert_allclose(other / unit, one, rtol=1e-9)


@pytest.mark.parametrize("value", [1e40, 1e-50])
def test_targets_beyond_float32(value):
    X = RNG.randn(300, 2)
    y = (X[:, 0] + 3) * value
    model = ScratchMLPRegressor(max_iter=40, random_state=0, dtype="float32").fit(X, y)
    assert np.corrcoef(model.predict(X) / value, X[:, 0])[0, 1] > 0.95


def test_targets_beyond_float32_are_refused_where_nothing_scales_them():
    model = ScratchMLPRegressor(scale_target=False, dtype="float32")
    with pytest.raises(ValueError, match="y contains a value too large for float32: .*scale_target"):
        model.fit(np.eye(3), [1.0, 2.0, 1e40])


def test_small_differences_of_large_targets_survive_float32():
    X = RNG.randn(300, 2)
    y = 1e9 + X[:, 0]
    model = ScratchMLPRegressor(max_iter=40, random_state=0, dtype="float32").fit(X, y)
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize("kind", [np.int64, np.float32, np.uint8, bool])
def test_kinds_of_numbers(kind):
    X = RNG.randn(40, 2)
    y = (RNG.rand(40) * 200).astype(kind)
    model = ScratchMLPRegressor(max_iter=3, random_state=0)
    expected = model.fit(X, y.astype(float)).predict(X)
    np.testing.assert_array_equal(model.fit(X, y).predict(X), expected)
    assert expected.shape == (40,)


def test_shapes_of_predictions():
    X, y = RNG.randn(20, 2), RNG.randn(20, 3)
    model = ScratchMLPRegressor(max_iter=2, random_state=0)
    assert model.fit(X, y).predict(X).shape == (20, 3)
    assert model.fit(X, y[:, 0]).predict(X).shape == (20,)
    model.set_params(loss="quantile", quantile=[0.1, 0.5, 0.9])
    assert np.all(np.diff(model.fit(X, y[:, 0]).predict(X), axis=1) >= 0)


@pytest.mark.parametrize("scale", [True, False])
def test_numbers_are_held_to_the_range_that_was_learned(scale):
    y = np.array([[1.0, -50.0], [3.0, 50.0], [2.0, 0.0]])
    targets = NumberTargets(y, None, loss_named("squared_error"), scale)
    far = targets.encode(np.array([[-9.0, 900.0], [2.5, -900.0]]), F8).values
    np.testing.assert_allclose(targets.decode(far, clip=True), [[1, 50], [2.5, -50]], rtol=1e-12)
    np.testing.assert_allclose(targets.decode(far), [[-9, 900], [2.5, -900]], rtol=1e-12)
    ends = targets.decode(targets.encode(y, F8).values, clip=True)
    assert ends.min(axis=0).tolist() == [1, -50] and ends.max(axis=0).tolist() == [3, 50]
    stream = NumberTargets(y, None, loss_named("squared_error"), scale, more_to_come=True)
    np.testing.assert_array_equal(stream.decode(far, clip=True), stream.decode(far))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    arrays.arrays(float, st.tuples(st.integers(1, 9), st.integers(1, 2)), elements=st.floats(-1e100, 1e100, width=64)),
    st.sampled_from(["squared_error", "absolute_error", "huber", "quantile"]),
)
def test_any_numbers_come_back(y, loss):
    targets = NumberTargets(y, None, loss_named(loss), True)
    out = rows(targets.encode(y, F8), len(y))
    assert np.isfinite(out).all() and (targets.spread >= 0).all()
    scale = np.maximum(np.abs(y), np.abs(targets.center))
    np.testing.assert_allclose(targets.decode(out) / np.maximum(scale, 1), y / np.maximum(scale, 1), rtol=0, atol=1e-12)


# ---------------------------------------------------------------- class weights


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("choice", ["balanced", {0: 2.0, 2: 0.5}, {}])
def test_class_weights_are_those_of_scikit_learn(choice, weighted):
    y = RNG.choice(3, 60, p=[0.6, 0.3, 0.1])
    own = RNG.randint(1, 5, 60).astype(float) if weighted else None
    targets = ClassTargets(y)
    weight = class_weights(choice, targets, targets.codes(y), own)
    own = np.ones(60) if own is None else own
    if choice == "balanced":
        totals = np.bincount(y, weights=weight)
        np.testing.assert_allclose(totals, own.sum() / 3)  # all classes have the same, and the total stays
        if not weighted:
            np.testing.assert_allclose(weight, compute_sample_weight("balanced", y))
    else:
        np.testing.assert_allclose(weight, own * compute_sample_weight({0: 1, 1: 1, 2: 1, **choice}, y))


def test_class_weights_by_name_of_strings():
    y = np.array(["no", "yes", "no"])
    targets = ClassTargets(y)
    assert class_weights({"yes": 5}, targets, targets.codes(y), None).tolist() == [1, 5, 1]
    assert class_weights({"yes": 0}, targets, targets.codes(y), np.array([2.0, 3, 4])).tolist() == [2, 0, 4]


def test_no_class_weights_leave_weights_as_they_are():
    y, own = np.array([0, 1, 1]), np.array([1.0, 2, 3])
    targets = ClassTargets(y)
    assert class_weights(None, targets, targets.codes(y), own) is own
    assert class_weights(None, targets, targets.codes(y), None) is None


def test_class_weights_of_labels():
    y = np.array([[1, 0], [1, 1], [0, 0], [1, 0]])
    targets = ClassTargets(y)
    choices = [{1: 2.0}, {0: 0.5}]
    # the product over the labels: 2 and ½, 2 and 1, 1 and ½, 2 and ½
    assert class_weights(choices, targets, y, None).tolist() == [1, 2, 0.5, 1]
    assert class_weights(choices, targets, y, np.array([1.0, 10, 100, 1000])).tolist() == [1, 20, 50, 1000]
    np.testing.assert_allclose(class_weights("balanced", targets, y, None), compute_sample_weight("balanced", y))


@pytest.mark.parametrize(
    ("choice", "y", "match"),
    [
        ({3: 1.0}, [0, 1, 1], r"class_weight names the classes \[3\], which y does not have: \[0, 1\]"),
        ({"1": 1.0}, [0, 1, 1], r"class_weight names the classes \['1'\], which y does not have"),
        ([{1: 2.0}], [[0, 1], [1, 1]], "class_weight has 1 dictionaries for the 2 labels"),
    ],
)
def test_class_weights_that_do_not_fit(choice, y, match):
    with pytest.raises(ValueError, match=match):
        ScratchMLPClassifier(class_weight=choice).fit(np.eye(3)[: len(y)], y)


def test_balanced_with_a_class_that_has_no_row_yet():
    targets = ClassTargets(np.array([0, 1, 1]), classes=[0, 1, 2])
    weight = class_weights("balanced", targets, targets.codes([0, 1, 1]), None)
    np.testing.assert_allclose(weight, [1.5, 0.75, 0.75])


def test_list_of_class_weights_is_for_several_labels_alone():
    with pytest.raises(ValueError, match="(?i)class_weight.*list|list.*label"):
        ScratchMLPClassifier(class_weight=[{0: 1.0}, {1: 2.0}]).fit(np.eye(3), [0, 1, 1])


@pytest.mark.parametrize("way", ["warm_start", "partial_fit"])
@pytest.mark.slow
def test_a_training_that_goes_on_widens_the_range_that_predictions_are_held_to(way):
    X = np.linspace(0, 1, 300)[:, None]
    y = X[:, 0]
    model = ScratchMLPRegressor(random_state=0, warm_start=way == "warm_start").fit(X[:150], y[:150])
    assert model.predict(X).max() <= y[149]
    if way == "warm_start":
        model.fit(X, y)
    else:
        for _ in range(20):
            model.partial_fit(X[100:], y[100:])
    assert 0.6 < model.predict(X).max() <= 1  # learned beyond the first rows, held to all so far


def test_a_call_that_fails_leaves_the_range_as_it_was():
    X = np.linspace(0, 1, 60)[:, None]
    model = ScratchMLPRegressor(random_state=0, warm_start=True, max_iter=2).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="X_val was given without y_val"):
        model.fit(X, 9 * X[:, 0], X_val=X)
    assert model._numbers.high == 1
