"""Target encoders: labels and numbers become targets of a network, and raw scores become labels and numbers."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.utils.class_weight import compute_sample_weight

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from skscratch.encoding.class_targets import (
    BinaryTargets,
    ClassTargets,
    MulticlassTargets,
    MultilabelTargets,
    class_targets,
)
from skscratch.encoding.numeric_targets import NumericTargets, target_scale
from skscratch.encoding.weights import Weights
from skscratch.estimators.fitted import target_encoder
from skscratch.nn.batch import Targets
from skscratch.nn.losses import REGRESSION_LOSSES, make_loss
from tests.helpers.encoding import arrays_equal, is_plain

F8 = np.dtype("f8")
RNG = np.random.RandomState(0)


LOG_LOSS = make_loss("log_loss", "logistic")


def numeric(y, weight=None, loss="squared_error", scale=True, incremental=False):
    """An encoder fitted to numbers (n, n_targets)."""
    loss = make_loss(loss, None) if isinstance(loss, str) else loss
    return NumericTargets(y.shape[1], scale).fitted(y, weight, loss, incremental)


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
def test_labels_survive_encoding_and_decoding(y):
    y = np.asarray(y)
    targets = class_targets(y)
    np.testing.assert_array_equal(targets.classes, np.unique(y))
    codes = targets.values(y, LOG_LOSS)
    assert codes.dtype == np.int32
    np.testing.assert_array_equal(targets.classes[codes], y)
    out = rows(targets.encode(codes, F8), len(y))
    n_classes = len(np.unique(y))
    binary = n_classes == 2
    assert out.shape == (len(y), targets.n_scores(LOG_LOSS)) == (len(y), 1 if binary else n_classes)
    assert targets.kind == ("binary" if binary else "multiclass")
    assert type(targets) is (BinaryTargets if binary else MulticlassTargets)
    back = targets.decode(20 * out - 10)  # raw scores that leave no doubt
    np.testing.assert_array_equal(back, y)
    assert back.dtype == y.dtype


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csr_array, sp.csc_array])
def test_indicators_survive_encoding_and_decoding(form):
    y = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 1]])
    targets = class_targets(form(y))
    assert isinstance(targets, MultilabelTargets) and targets.kind == "multilabel"
    assert targets.n_scores(LOG_LOSS) == 3 and targets.classes.tolist() == [0, 1, 2]
    out = rows(targets.encode(targets.values(form(y), LOG_LOSS), F8), 4)
    np.testing.assert_array_equal(targets.decode(out - 0.5), y)


def test_label_smoothing_computed_by_hand():
    def encoded(y, smoothing):
        targets = class_targets(np.asarray(y), label_smoothing=smoothing)
        return rows(targets.encode(targets.values(y, LOG_LOSS), F8), len(y))

    np.testing.assert_allclose(encoded([0, 1, 2], 0.3), [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    np.testing.assert_allclose(encoded([0, 1], 0.3), [[0.15], [0.85]])
    np.testing.assert_allclose(encoded([[0, 1], [1, 1]], 0.3), [[0.15, 0.85], [0.85, 0.85]])


def test_targets_are_gathered_in_any_order():
    targets = class_targets(np.array(["a", "b", "c", "a"]))
    encoded = targets.encode(targets.values(["a", "b", "c", "a"], LOG_LOSS), np.dtype("f4"))
    out = encoded.buffer(3)
    encoded.gather(np.array([2, 0, 2]), out)
    assert out.dtype == np.float32 and out.tolist() == [[0, 0, 1], [1, 0, 0], [0, 0, 1]]


def test_classes_may_include_some_that_do_not_occur():
    targets = class_targets(np.array([1, 1]), classes=[5, 1, 3])
    assert targets.classes.tolist() == [1, 3, 5] and targets.values([5, 1], LOG_LOSS).tolist() == [2, 0]


@pytest.mark.parametrize(
    ("y", "classes", "match"),
    [
        ([1, 1, 1], [], "classes is empty"),
        ([0.5, 1.5], None, "Unknown label type: continuous"),
        ([[1, 2], [3, 1]], None, "Several multiclass targets at once are not supported"),
        (np.array(["a", 1, "b"], dtype=object), None, r"Input y mixes labels of the types \['int', 'str'\]"),
    ],
)
def test_values_that_are_no_classes(y, classes, match):
    with pytest.raises(ValueError, match=match):
        class_targets(np.asarray(y), classes)


def test_targets_of_another_kind_in_a_later_call():
    targets = class_targets(np.array([1, 2, 3]))
    with pytest.raises(ValueError, match=r"classes not in `self.classes_`: \[0, 9\] are not among \[1, 2, 3\]"):
        targets.values([1, 9, 0, 9], LOG_LOSS)
    with pytest.raises(ValueError, match="one column of labels"):
        targets.values(np.eye(3), LOG_LOSS)
    several = class_targets(np.eye(3, dtype=int))
    with pytest.raises(ValueError, match=r"indicator matrix of 3 columns.*\(2, 2\)"):
        several.values(np.eye(2, dtype=int), LOG_LOSS)
    with pytest.raises(ValueError, match=r"indicator matrix of 3 columns.*\(2,\)"):
        several.values([0, 1], LOG_LOSS)


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
def test_an_estimator_predicts_the_labels_of_y(y):
    y = np.repeat(np.asarray(y), 4)
    X = np.unique(y, return_inverse=True)[1][:, None].astype(float)
    model = ScratchMLPClassifier(max_iter=200, random_state=0, learning_rate_init=0.05).fit(X, y)
    np.testing.assert_array_equal(
        model.predict(X), y
    )  # one number identifies the class, which is learned without an error
    assert model.predict(X).dtype == y.dtype and model.classes_.dtype == y.dtype


labels = st.one_of(
    st.lists(st.integers(-5, 5), min_size=2, max_size=20), st.lists(st.text(max_size=2), min_size=2, max_size=20)
).filter(lambda y: len({*y}) > 1)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(labels, st.floats(0, 0.4))
def test_any_labels_survive_encoding_and_decoding(y, smoothing):
    y = np.asarray(y, dtype=object if isinstance(y[0], str) else int)
    targets = class_targets(y, label_smoothing=smoothing)
    out = rows(targets.encode(targets.values(y, LOG_LOSS), F8), len(y))
    if targets.kind == "multiclass":
        np.testing.assert_allclose(out.sum(axis=1), 1)
    np.testing.assert_array_equal(targets.decode(out - 0.5), y)


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize("loss", REGRESSION_LOSSES)
@pytest.mark.parametrize("n_targets", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_numbers_survive_encoding_and_decoding(loss, n_targets, weighted):
    y = RNG.gamma(2, 1000, (50, n_targets)) + 1
    weight = RNG.randint(1, 4, 50).astype(float) if weighted else None
    targets = numeric(y, weight, loss)
    out = rows(targets.encode(y, F8), 50)
    np.testing.assert_allclose(targets.decode(out), y, rtol=1e-12)
    assert 0.1 < np.abs(out).mean() < 3  # of order one
    assert targets.center.shape == targets.spread.shape == (n_targets,)


def test_scales_computed_by_hand():
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
        targets = numeric(y, loss=name)
        assert targets.center[0] == pytest.approx(center) and targets.spread[0] == pytest.approx(spread), name
    low = numeric(y, loss=make_loss("quantile", None, quantile=[0.1, 0.9]))
    assert low.center[0] == 1  # the lowest of several quantiles, because the others are steps above it


@pytest.mark.parametrize("loss", REGRESSION_LOSSES)
def test_a_row_of_weight_two_counts_as_two_rows(loss):
    y, weight = RNG.gamma(2, 10, (30, 2)) + 1, RNG.randint(1, 4, 30)
    a = numeric(y, weight.astype(float), loss)
    b = numeric(np.repeat(y, weight, axis=0), None, loss)
    np.testing.assert_allclose(a.center, b.center, rtol=1e-12)
    np.testing.assert_allclose(a.spread, b.spread, rtol=1e-12)


@pytest.mark.parametrize("loss", REGRESSION_LOSSES)
def test_without_scaling_numbers_stay_unchanged(loss):
    y = RNG.gamma(2, 1000, (20, 2))
    targets = numeric(y, None, loss, scale=False)
    np.testing.assert_array_equal(rows(targets.encode(y, F8), 20), y)
    np.testing.assert_array_equal(targets.decode(y), y)


@pytest.mark.parametrize("loss", REGRESSION_LOSSES)
@pytest.mark.parametrize("value", [0.0, 7.0, 1e6])
def test_a_constant_target_is_learned(loss, value):
    if loss == "gamma" and not value:
        value = 1e-6  # gamma has no zeros
    X, y = RNG.randn(30, 2), np.full(30, value)
    predicted = ScratchMLPRegressor(loss=loss, max_iter=100, random_state=0).fit(X, y).predict(X)
    # the scale of a constant target is 1, or its mean for these two losses; a short training ends within half of it
    assert np.abs(predicted - value).max() < 0.5 * (max(value, 1) if loss in ("poisson", "gamma") else 1)


def test_the_standard_deviation_is_the_scale_where_the_quartiles_coincide():
    y = np.r_[np.zeros(9), 10.0][:, None]
    assert numeric(y, loss="absolute_error").spread[0] == pytest.approx(3.0)


@pytest.mark.parametrize("unit", [2.0**1000, 2.0**600, 2.0**-600])
@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "poisson"])
def test_y_may_have_any_unit(unit, loss):
    X, y = RNG.randn(50, 2), RNG.rand(50) + 1
    model = ScratchMLPRegressor(loss=loss, max_iter=5, random_state=0, dtype="float64")
    one, other = model.fit(X, y).predict(X), model.fit(X, y * unit).predict(X)
    # powers of two are exact, but a sum that avoids overflow may round differently
    np.testing.assert_allclose(other / unit, one, rtol=1e-9)


@pytest.mark.parametrize("value", [1e40, 1e-50])
def test_targets_beyond_float32(value):
    X = RNG.randn(300, 2)
    y = (X[:, 0] + 3) * value
    model = ScratchMLPRegressor(max_iter=40, random_state=0, dtype="float32").fit(X, y)
    assert np.corrcoef(model.predict(X) / value, X[:, 0])[0, 1] > 0.95


def test_unscaled_targets_beyond_float32_raise():
    model = ScratchMLPRegressor(scale_target=False, dtype="float32")
    with pytest.raises(ValueError, match=r"y contains the value 1e\+40, .*float32.*scale_target=True or set dtype"):
        model.fit(np.eye(3), [1.0, 2.0, 1e40])


def test_small_differences_of_large_targets_survive_float32():
    X = RNG.randn(300, 2)
    y = 1e9 + X[:, 0]
    model = ScratchMLPRegressor(max_iter=40, random_state=0, dtype="float32").fit(X, y)
    assert model.score(X, y) > 0.9


@pytest.mark.parametrize("kind", [np.int64, np.float32, np.uint8, bool])
def test_y_may_have_any_type_of_number(kind):
    X = RNG.randn(40, 2)
    y = (RNG.rand(40) * 200).astype(kind)
    model = ScratchMLPRegressor(max_iter=3, random_state=0)
    expected = model.fit(X, y.astype(float)).predict(X)
    np.testing.assert_array_equal(model.fit(X, y).predict(X), expected)
    assert expected.shape == (40,)


def test_predictions_have_the_shape_of_y():
    X, y = RNG.randn(20, 2), RNG.randn(20, 3)
    model = ScratchMLPRegressor(max_iter=2, random_state=0)
    assert model.fit(X, y).predict(X).shape == (20, 3)
    assert model.fit(X, y[:, 0]).predict(X).shape == (20,)
    model.set_params(loss="quantile", quantile=[0.1, 0.5, 0.9])
    assert np.all(np.diff(model.fit(X, y[:, 0]).predict(X), axis=1) >= 0)


@pytest.mark.parametrize("scale", [True, False])
def test_predictions_are_clipped_to_the_range_of_the_training_targets(scale):
    y = np.array([[1.0, -50.0], [3.0, 50.0], [2.0, 0.0]])
    targets = numeric(y, scale=scale)
    far = targets.encode(np.array([[-9.0, 900.0], [2.5, -900.0]]), F8).values
    np.testing.assert_allclose(targets.decode(far, clip=True), [[1, 50], [2.5, -50]], rtol=1e-12)
    np.testing.assert_allclose(targets.decode(far), [[-9, 900], [2.5, -900]], rtol=1e-12)
    ends = targets.decode(targets.encode(y, F8).values, clip=True)
    assert ends.min(axis=0).tolist() == [1, -50] and ends.max(axis=0).tolist() == [3, 50]
    stream = numeric(y, scale=scale, incremental=True)
    np.testing.assert_array_equal(stream.decode(far, clip=True), stream.decode(far))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    arrays.arrays(float, st.tuples(st.integers(1, 9), st.integers(1, 2)), elements=st.floats(-1e100, 1e100, width=64)),
    st.sampled_from(["squared_error", "absolute_error", "huber", "quantile"]),
)
def test_any_numbers_survive_encoding_and_decoding(y, loss):
    targets = numeric(y, None, loss)
    out = rows(targets.encode(y, F8), len(y))
    assert np.isfinite(out).all() and (targets.spread >= 0).all()
    scale = np.maximum(np.abs(y), np.abs(targets.center))
    np.testing.assert_allclose(targets.decode(out) / np.maximum(scale, 1), y / np.maximum(scale, 1), rtol=0, atol=1e-12)


# ---------------------------------------------------------------- class weights


def row_weights(targets, codes, own=None):
    """Sample weight times class weight, (n,)."""
    return targets.row_weights(codes, None if own is None else Weights.of(own)).in_units_of_one()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("choice", ["balanced", {0: 2.0, 2: 0.5}, {}])
def test_class_weights_equal_those_of_scikit_learn(choice, weighted):
    y = RNG.choice(3, 60, p=[0.6, 0.3, 0.1])
    own = RNG.randint(1, 5, 60).astype(float) if weighted else None
    targets = class_targets(y, class_weight=choice)
    weight = row_weights(targets, targets.values(y, LOG_LOSS), own)
    own = np.ones(60) if own is None else own
    if choice == "balanced":
        totals = np.bincount(y, weights=weight)
        np.testing.assert_allclose(
            totals, own.sum() / 3
        )  # all classes have the same weight, and the total is unchanged
        if not weighted:
            np.testing.assert_allclose(weight, compute_sample_weight("balanced", y))
    else:
        np.testing.assert_allclose(weight, own * compute_sample_weight({0: 1, 1: 1, 2: 1, **choice}, y))


def test_class_weights_of_strings():
    y = np.array(["no", "yes", "no"])
    heavier, without = (class_targets(y, class_weight={"yes": weight}) for weight in (5, 0))
    codes = heavier.values(y, LOG_LOSS)
    assert row_weights(heavier, codes).tolist() == [1, 5, 1]
    assert row_weights(without, codes, np.array([2.0, 3, 4])).tolist() == [2, 0, 4]


def test_without_class_weights_the_weights_stay_unchanged():
    own = Weights.of(np.array([1.0, 2, 3]))
    for y in (np.array([0, 1, 1]), np.array([[0, 1], [1, 1], [0, 0]])):
        targets = class_targets(y)
        assert targets.row_weights(targets.values(y, LOG_LOSS), own) is own
        assert targets.row_weights(targets.values(y, LOG_LOSS), None) is None


def test_class_weights_of_several_labels():
    y = np.array([[1, 0], [1, 1], [0, 0], [1, 0]])

    def weights(class_weight, own=None):
        return row_weights(class_targets(y, class_weight=class_weight), y, own)

    choices = [{1: 2.0}, {0: 0.5}]
    # the product over the labels: 2 and ½, 2 and 1, 1 and ½, 2 and ½
    assert weights(choices).tolist() == [1, 2, 0.5, 1]
    assert weights(choices, np.array([1.0, 10, 100, 1000])).tolist() == [1, 20, 50, 1000]
    np.testing.assert_allclose(weights("balanced"), compute_sample_weight("balanced", y))


@pytest.mark.parametrize(
    ("choice", "y", "match"),
    [
        ({3: 1.0}, [0, 1, 1], r"classes, \[0, 1\], are not in class_weight, which names the classes \[3\] instead"),
        ({"1": 1.0}, [0, 1, 1], r"classes, \[0, 1\], are not in class_weight, which names the classes \['1'\] instead"),
        ({0: 1.0, 3: 1.0}, [0, 1, 1], r"classes, \[1\], are not in class_weight, which names the classes \[3\]"),
        ([{1: 2.0}], [[0, 1], [1, 1]], "class_weight has 1 dictionaries for the 2 labels"),
    ],
)
def test_class_weights_that_do_not_fit(choice, y, match):
    with pytest.raises(ValueError, match=match):
        ScratchMLPClassifier(class_weight=choice).fit(np.eye(3)[: len(y)], y)


def test_class_weights_may_name_a_class_that_is_absent():
    """A fold of the rows may lack a class."""
    targets = class_targets(np.array([0, 1, 1]), class_weight={0: 2.0, 1: 3.0, 2: 5.0})
    assert row_weights(targets, np.array([0, 1, 1])).tolist() == [2, 3, 3]


def test_balanced_weights_with_a_class_that_has_no_row_yet():
    targets = class_targets(np.array([0, 1, 1]), classes=[0, 1, 2], class_weight="balanced")
    weight = row_weights(targets, targets.values([0, 1, 1], LOG_LOSS))
    np.testing.assert_allclose(weight, [1.5, 0.75, 0.75])


def test_a_list_of_class_weights_needs_a_multilabel_target():
    with pytest.raises(ValueError, match="(?i)class_weight.*list|list.*label"):
        ScratchMLPClassifier(class_weight=[{0: 1.0}, {1: 2.0}]).fit(np.eye(3), [0, 1, 1])


@pytest.mark.parametrize("way", ["warm_start", "partial_fit"])
@pytest.mark.slow
def test_a_continued_training_widens_the_range_of_predictions(way):
    X = np.linspace(0, 1, 300)[:, None]
    y = X[:, 0]
    model = ScratchMLPRegressor(random_state=0, warm_start=way == "warm_start").fit(X[:150], y[:150])
    assert model.predict(X).max() <= y[149]
    if way == "warm_start":
        model.fit(X, y)
    else:
        for _ in range(20):
            model.partial_fit(X[100:], y[100:])
    assert 0.6 < model.predict(X).max() <= 1  # beyond the range of the first rows, within that of all so far


def test_a_call_that_fails_leaves_the_range_unchanged():
    X = np.linspace(0, 1, 60)[:, None]
    model = ScratchMLPRegressor(random_state=0, warm_start=True, max_iter=2).fit(X, X[:, 0])
    with pytest.raises(ValueError, match="X_val was given without y_val"):
        model.fit(X, 9 * X[:, 0], X_val=X)
    assert model.fitted_.targets.high == 1


# ---------------------------------------------------------------- other methods


def test_probabilities_of_each_kind():
    z = RNG.normal(size=(5, 3))
    one = np.exp(BinaryTargets(np.arange(2)).log_proba(z[:, :1]))
    np.testing.assert_allclose(one, np.column_stack([1 / (1 + np.exp(z[:, 0])), 1 / (1 + np.exp(-z[:, 0]))]))
    several = np.exp(MulticlassTargets(np.arange(3)).log_proba(z))
    np.testing.assert_allclose(several, np.exp(z) / np.exp(z).sum(axis=1, keepdims=True))
    labels = np.exp(MultilabelTargets(np.arange(3)).log_proba(z))
    np.testing.assert_allclose(labels, 1 / (1 + np.exp(-z)))


def test_the_link_suits_the_kind():
    kinds = (BinaryTargets, MulticlassTargets, MultilabelTargets)
    assert [kind.link for kind in kinds] == ["logistic", "softmax", "logistic"]


def test_validation_rows_are_stratified_by_class_but_not_by_several_labels():
    codes = np.array([0, 1, 1], np.int32)
    assert BinaryTargets(np.arange(2)).strata(codes) is codes
    assert MultilabelTargets(np.arange(2)).strata(np.eye(2)) is None
    assert NumericTargets(1).strata(np.zeros((3, 1))) is None


def test_a_single_class_has_the_probability_one():
    targets = class_targets(np.array(["a", "a"]), label_smoothing=0.3)
    assert targets.n_scores(LOG_LOSS) == 1 and targets.classes.tolist() == ["a"]
    z = np.array([[-1e300], [0.0], [3.0]])
    np.testing.assert_array_equal(targets.log_proba(z), np.zeros((3, 1)))
    assert targets.decode(z).tolist() == ["a"] * 3
    assert targets.encode(np.zeros(3, np.int32), np.float64).lookup.tolist() == [[1.0]]


def test_values_of_one_class_are_noticed():
    targets = class_targets(np.array([0, 1, 2]))
    assert targets.leaves_one_class(np.array([1, 1])) and not targets.leaves_one_class(np.array([1, 2]))
    assert not class_targets(np.array([1, 1])).leaves_one_class(np.array([0, 0]))
    assert not class_targets(np.eye(2, dtype=int)).leaves_one_class(np.ones((2, 2)))


def test_a_continued_training_needs_rows_of_all_classes():
    targets = class_targets(np.array([0, 1, 2]))
    targets.check_enough(np.array([1, 2]), False)
    with pytest.raises(ValueError, match="warm_start can only be used where `y` has the same classes"):
        targets.check_enough(np.array([1, 2]), True)
    targets.check_enough(np.array([0, 1, 2]), True)
    MultilabelTargets(np.arange(2)).check_enough(np.ones((3, 2)), True)
    NumericTargets(1).check_enough(np.ones((3, 1)), True)


def test_labels_must_not_be_missing_or_infinite():
    for y in ([1.0, np.nan], np.array(["a", None], dtype=object)):
        with pytest.raises(ValueError, match="1 labels are missing"):
            ClassTargets.check(y)
    with pytest.raises(ValueError, match="infinity"):
        ClassTargets.check([1.0, np.inf])
    assert ClassTargets.check([1, 0]).tolist() == [1, 0]


def test_numbers_must_be_numbers():
    with pytest.raises(ValueError, match="y must be numbers for a regressor, but it holds text"):
        NumericTargets.check(["a", "b"])
    assert NumericTargets.check([1, 2]).tolist() == [1.0, 2.0]
    assert NumericTargets.check([[1, 2], [3, 4]]).shape == (2, 2)


def test_numbers_must_have_the_columns_and_the_domain_of_the_first_call():
    squared, poisson, gamma = (make_loss(name, None) for name in ("squared_error", "poisson", "gamma"))
    targets = NumericTargets(1)
    assert targets.values(np.array([1.0, 2.0]), squared).shape == (2, 1)
    with pytest.raises(ValueError, match="y must have 1 columns, as in the first call. Got 2"):
        targets.values(np.ones((2, 2)), squared)
    with pytest.raises(ValueError, match=r"loss='poisson' needs every y >= 0.*smallest is -1"):
        targets.values(np.array([-1.0, 2.0]), poisson)
    with pytest.raises(ValueError, match=r"loss='gamma' needs every y > 0.*smallest is 0"):
        targets.values(np.array([0.0, 2.0]), gamma)
    with pytest.raises(ValueError, match="out_activation='logistic' gives values from 0.* to 1"):
        targets.values(np.array([0.5, 2.0]), make_loss("squared_error", "logistic"))


def test_the_number_of_scores_is_that_of_targets_times_quantiles():
    assert NumericTargets(3).n_scores(make_loss("squared_error", None)) == 3
    assert NumericTargets(1).n_scores(make_loss("quantile", None, quantile=[0.1, 0.5, 0.9])) == 3


@pytest.mark.parametrize("loss", REGRESSION_LOSSES)
def test_refitting_changes_the_scale_but_not_the_range(loss):
    y, later = RNG.gamma(2, 10, (30, 2)) + 1, RNG.gamma(2, 1000, (40, 2)) + 1
    weight, loss = np.ones(40), make_loss(loss, None)
    first = numeric(y, loss=loss)
    second = first.refitted(later, weight, loss)
    center, spread = target_scale(loss, later, weight)
    np.testing.assert_array_equal(second.center, center)
    np.testing.assert_array_equal(second.spread, spread)
    assert (second.low == first.low).all() and (second.high == first.high).all()


def test_only_scaled_numbers_follow_a_stream():
    y = RNG.normal(size=(5, 2))
    columns = numeric(y).stream_columns(y)
    np.testing.assert_array_equal(np.column_stack(columns), y)
    assert numeric(y, scale=False).stream_columns(y) == []
    assert class_targets(np.array([0, 1])).stream_columns(np.array([0, 1])) == []


def test_an_encoder_of_classes_has_no_scale_to_learn():
    targets, codes = class_targets(np.array([0, 1])), np.array([0, 1])
    assert targets.fitted(codes, None, LOG_LOSS, False) is targets.widened(codes) is targets
    assert targets.refitted(codes, None, LOG_LOSS) is targets


ENCODERS = {
    "binary": lambda: class_targets(np.array(["a", "b"]), class_weight={"a": 2.0}, label_smoothing=0.1),
    "multiclass": lambda: class_targets(np.array([3, 1, 2]), class_weight="balanced"),
    "multilabel": lambda: class_targets(np.eye(3, dtype=int)),
    "numbers": lambda: numeric(np.arange(6.0).reshape(3, 2)),
}


@pytest.mark.parametrize("make", ENCODERS.values(), ids=ENCODERS)
def test_an_encoder_is_restored_from_its_state(make):
    targets = make()
    state = targets.to_state()
    again = target_encoder(state)
    assert type(again) is type(targets) and arrays_equal(again.to_state(), state)
    assert is_plain({name: value for name, value in state.items() if name not in ("class_weight", "classes")})
    values = np.array([[0.0, 1, 0], [1, 1, 0]])
    values = values[:, :2] if isinstance(targets, NumericTargets) else values
    if isinstance(targets, BinaryTargets | MulticlassTargets):
        values = np.array([0, 1])
    one, other = (encoder.encode(values, F8) for encoder in (targets, again))
    assert isinstance(one, Targets)
    np.testing.assert_array_equal(rows(one, 2), rows(other, 2))
