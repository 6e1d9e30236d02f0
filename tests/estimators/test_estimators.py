"""What is a classifier's or a regressor's own: targets of every kind, probabilities, weights of classes, quantiles."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.special import softmax
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.metrics import d2_pinball_score, log_loss, r2_score
from sklearn.model_selection import KFold, cross_val_score
from sklearn.utils.class_weight import compute_sample_weight

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor
from tests.helpers.plain import plain

RNG = np.random.RandomState(0)
X = RNG.normal(size=(60, 3))
TWO = (X[:, 0] > 0).astype(int)
THREE = np.digitize(X[:, 0], [-0.5, 0.5])
LABELS = np.c_[X[:, 0] > 0, X[:, 1] > 0, X[:, 2] > 0.5].astype(int)
NUMBERS = X[:, 0] - 0.5 * X[:, 1]
TINY = {"hidden_layer_sizes": (6,), "max_iter": 4, "random_state": 0}
GOOD = {"hidden_layer_sizes": (10,), "max_iter": 80, "learning_rate_init": 0.05, "weight_decay": 0.0, "random_state": 0}


def classifier(**options):
    return plain(ScratchMLPClassifier, **{**TINY, **options})


def regressor(**options):
    return plain(ScratchMLPRegressor, **{**TINY, **options})


def refused(model, *args, match, method="fit", error=ValueError, **kwargs):
    """A call raises an error that matches, before an epoch is run, and the model predicts what it did."""
    before = model.predict(X) if hasattr(model, "n_features_in_") else None

    def never(*args, **kwargs):
        raise AssertionError("training began")

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        patch.setattr("skscratch.estimators.plan.train", never)
        with pytest.raises(error, match=match):
            getattr(model, method)(*args, **kwargs)
    if before is None:
        assert not hasattr(model, "coefs_") and not hasattr(model, "classes_")
    else:
        np.testing.assert_array_equal(model.predict(X), before)


# ------------------------------------------------------------------ classifier: kinds of target


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        (TWO, [0, 1]),
        (THREE, [0, 1, 2]),
        (2 * THREE - 7, [-7, -5, -3]),
        (np.array(["no", "yes"])[TWO], ["no", "yes"]),
        (np.array(["c", "a", "b"], dtype=object)[THREE], ["a", "b", "c"]),
        (TWO.astype(bool), [False, True]),
        (THREE.astype(float), [0.0, 1.0, 2.0]),
        (pd.Series(["x", "y"], dtype="category").iloc[TWO], ["x", "y"]),
        (pd.Series(["x", "y"], dtype="string").iloc[TWO], ["x", "y"]),
        (list(np.array(["no", "yes"])[TWO]), ["no", "yes"]),
    ],
    ids=lambda v: str(type(v).__name__) + str(getattr(v, "dtype", "")),
)
def test_labels_of_every_type_come_back(y, classes):
    model = classifier(**GOOD).fit(X, y)
    assert model.classes_.tolist() == classes
    predicted = model.predict(X)
    assert set(predicted.tolist()) <= set(classes) and predicted.shape == (60,)
    assert np.mean(predicted == np.asarray(y)) > 0.95  # separable but for points at the border
    assert model.score(X, y) == np.mean(predicted == np.asarray(y))


@pytest.mark.parametrize(
    ("y", "n_outputs", "link"), [(TWO, 1, "logistic"), (THREE, 3, "softmax"), (LABELS, 3, "logistic")]
)
@pytest.mark.parametrize("n_members", [1, 3])
def test_shapes_and_sums_of_the_three_kinds(y, n_outputs, link, n_members):
    model = classifier(n_members=n_members).fit(X, y)
    assert (model.n_outputs_, model.out_activation_) == (n_outputs, link)
    scores, p, log_p = model.decision_function(X), model.predict_proba(X), model.predict_log_proba(X)
    n_classes = len(model.classes_)
    assert scores.shape == ((60,) if n_outputs == 1 else (60, n_outputs))
    assert p.shape == log_p.shape == (60, n_classes)
    np.testing.assert_allclose(np.exp(log_p), p, rtol=1e-12)  # float64
    if y is LABELS:
        np.testing.assert_array_equal(model.predict(X), (p > 0.5).astype(int))
        np.testing.assert_array_equal(model.predict(X), (scores > 0).astype(int))
        # each label's odds are its score's: 1e-9 for the rounding of log p / (1 - p)
        np.testing.assert_allclose(np.log(p / (1 - p)), scores, atol=1e-9)
        assert model.score(X, y) == np.mean((model.predict(X) == y).all(axis=1))
        return
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(model.predict(X), model.classes_[p.argmax(axis=1)])
    if y is TWO:
        np.testing.assert_array_equal(model.predict(X), (scores > 0).astype(int))
        np.testing.assert_allclose(np.log(p[:, 1] / p[:, 0]), scores, atol=1e-9)
    else:
        np.testing.assert_array_equal(model.predict(X), scores.argmax(axis=1))


@pytest.mark.parametrize("y", [TWO, THREE, LABELS], ids=["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("n_members", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_log_probabilities_are_finite_however_sure(y, n_members, dtype):
    n_out = {1: 1 if y.max() == 1 else 3, 2: 3}[y.ndim]
    init = ([np.full((3, 6), 50.0), np.full((6, n_out), 1e3) * (1 + np.arange(n_out))], [np.zeros(6), np.zeros(n_out)])
    options = {"activation": "identity", "max_iter": 1, "learning_rate_init": 1e-9}
    model = classifier(**options, init=init, n_members=n_members, dtype=dtype).fit(X, y)
    p, log_p = model.predict_proba(X), model.predict_log_proba(X)
    assert p.min() == 0  # a naive logarithm would be -inf
    assert np.isfinite(log_p).all() and np.isfinite(model.decision_function(X)).all()
    assert log_p.min() < -1000 and log_p.max() <= 0
    if y.ndim == 1:
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)  # float32


def test_multilabel_targets_may_be_sparse():
    dense = classifier(**GOOD).fit(X, LABELS)
    assert dense.score(X, LABELS) > 0.7
    for form in (sp.csr_matrix, sp.csc_matrix, sp.csr_array, sp.coo_array):
        model = classifier(**GOOD).fit(X, form(LABELS))
        np.testing.assert_array_equal(model.predict_proba(X), dense.predict_proba(X))
        model = classifier(early_stopping=True).fit(X, form(LABELS), sample_weight=TWO + 0.5)
        expected = classifier(early_stopping=True).fit(X, LABELS, sample_weight=TWO + 0.5)
        np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


def test_a_column_of_labels_warns_as_everywhere():
    from sklearn.exceptions import DataConversionWarning

    for model, y in ((classifier(), TWO), (regressor(), NUMBERS)):
        with pytest.warns(DataConversionWarning, match="column-vector y was passed when a 1d array was expected"):
            model.fit(X, y[:, None])
        assert model.predict(X).shape == (60,)


def test_one_multilabel_column_with_one_value_is_learned():
    y = np.c_[TWO, np.zeros(60, int)]
    assert classifier(**GOOD).fit(X, y).predict_proba(X)[:, 1].max() < 0.2


# --------------------------------------------------------------------- classifier: bad targets


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.zeros(60, int), r"at least two classes, but y has only one class: \[0\]"),
        (np.full(60, "a"), r"at least two classes, but y has only one class: \['a'\]"),
        (NUMBERS, "Unknown label type: continuous"),
        (np.c_[THREE, THREE], "Several multiclass targets at once are not supported.*sklearn.multioutput"),
        (np.array(["a", None] * 30, dtype=object), "[Ii]nput (y )?contains (NaN|None)"),
        (np.array(["a", 1] * 30, dtype=object), "(?i)y .*(mix|types)"),
        (sp.csr_matrix(TWO[:, None]), "y"),
    ],
    ids=["one", "one string", "continuous", "multiclass-multioutput", "None", "mixed types", "sparse column"],
)
def test_bad_labels(y, message):
    refused(classifier(), X, y, match=message, error=(ValueError, TypeError))
    refused(classifier().fit(X, TWO), X, y, match=message, error=(ValueError, TypeError))


def test_one_class_after_weights():
    refused(classifier(), X, TWO, TWO.astype(float), match=r"at least two classes, but y has only one class: \[1\]")
    refused(classifier(class_weight={0: 0}), X, TWO, match=r"only one class: \[1\]")
    refused(classifier(class_weight={0: 0, 1: 0}), X, TWO, match="weights.* zero")


def test_classes_of_validation_rows():
    model = classifier().fit(X, TWO)
    refused(model, X, TWO, X_val=X, y_val=THREE, match=r"X_val and y_val do not match.*\[2\] are not among \[0, 1\]")
    assert classifier().fit(X, THREE, X_val=X[:9], y_val=np.zeros(9, int)).n_iter_ == 4  # fewer are no fault


def test_classes_in_partial_fit():
    refused(classifier(), X, TWO, method="partial_fit", match="classes must be passed on the first call to partial_fit")
    refused(classifier(), X, list(TWO), method="partial_fit", match="classes must be passed on the first call")
    refused(classifier(), X, THREE, method="partial_fit", classes=[0, 1], match=r"\[2\] are not among \[0, 1\]")
    refused(classifier(), X, TWO * 0, method="partial_fit", classes=[0], match="at least two classes")
    model = classifier().partial_fit(X, TWO, classes=[0, 1, 2])
    assert model.classes_.tolist() == [0, 1, 2] and model.predict_proba(X).shape == (60, 3)
    refused(model, X, THREE + 1, method="partial_fit", match=r"\[3\] are not among \[0, 1, 2\]")
    refused(
        model, X, TWO, method="partial_fit", classes=[0, 1], match="`classes` .* is not the same as on the last call"
    )
    refused(model, X, LABELS, method="partial_fit", match="y must be one column of labels")
    model.partial_fit(X, np.ones(60, int))  # one class alone in a batch is no fault
    model.partial_fit(X, TWO, classes=[2, 1, 0])
    assert len(model.loss_curve_) == 3


def test_partial_fit_after_fit_and_multilabel():
    model = classifier().fit(X, THREE).partial_fit(X, TWO)
    assert model.classes_.tolist() == [0, 1, 2]
    refused(model, X, np.array(["a", "b"] * 30), method="partial_fit", match="are not among")
    model = classifier().partial_fit(X, LABELS)  # the columns are the classes
    refused(model, X, LABELS[:, :2], method="partial_fit", match=r"indicator matrix of 3 columns.* Got shape \(60, 2\)")
    refused(model, X, TWO, method="partial_fit", match="indicator matrix of 3 columns")


def test_partial_fit_is_not_offered_by_lbfgs():
    for model in (classifier(solver="lbfgs"), regressor(solver="lbfgs")):
        assert not hasattr(model, "partial_fit")
        with pytest.raises(AttributeError, match="partial_fit"):
            model.partial_fit(X, TWO)
        assert hasattr(model.set_params(solver="adam"), "partial_fit")


def test_warm_start_with_other_classes():
    model = classifier(warm_start=True).fit(X, THREE)
    refused(model, X, THREE + 1, match=r"\[3\] are not among \[0, 1, 2\]")
    refused(model, X, TWO, match="warm_start can only be used where `y` has the same classes")
    refused(model, X, LABELS, match="y must be one column of labels")
    model.set_params(warm_start=False).fit(X, TWO)
    assert model.classes_.tolist() == [0, 1]


def test_out_activation_of_a_classifier_must_suit_the_target():
    for y, good, bad in ((TWO, "logistic", "softmax"), (THREE, "softmax", "logistic"), (LABELS, "logistic", "tanh")):
        expected = classifier().fit(X, y).predict_proba(X)
        np.testing.assert_array_equal(classifier(out_activation=good).fit(X, y).predict_proba(X), expected)
        refused(
            classifier(out_activation=bad),
            X,
            y,
            match=f"The 'out_activation' parameter .*must be 'auto' or '{good}' .* Got '{bad}'",
        )


# ---------------------------------------------------------------------- classifier: weighting


@pytest.mark.parametrize("given", [None, np.linspace(0.5, 2, 60)])
@pytest.mark.parametrize("class_weight", ["balanced", {0: 2.0, 1: 0.5}, {1: 3}, {0: 0, 1: 1, 2: 1}])
def test_class_weight_is_that_sample_weight(class_weight, given):
    weight = compute_sample_weight(class_weight, THREE)
    if isinstance(class_weight, str) and given is not None:  # balanced: by weight, not by number
        mass = np.bincount(THREE, given)
        weight = (given.sum() / (3 * mass))[THREE]
    by_class = classifier(class_weight=class_weight).fit(X, THREE, given)
    by_row = classifier().fit(X, THREE, weight if given is None else weight * given)
    np.testing.assert_allclose(by_class.coefs_[0], by_row.coefs_[0], atol=1e-10)  # sums in another order


def test_class_weight_of_multilabel_targets():
    each = [{0: 1, 1: 2}, {0: 0.5}, {1: 3}]
    by_class = classifier(class_weight=each).fit(X, LABELS)
    by_row = classifier().fit(X, LABELS, compute_sample_weight(each, LABELS))
    np.testing.assert_allclose(by_class.coefs_[0], by_row.coefs_[0], atol=1e-10)
    balanced = classifier(class_weight="balanced").fit(X, LABELS)
    by_row = classifier().fit(X, LABELS, compute_sample_weight("balanced", LABELS))
    np.testing.assert_allclose(balanced.coefs_[0], by_row.coefs_[0], atol=1e-10)
    refused(classifier(class_weight=each[:2]), X, LABELS, match="class_weight has 2 dictionaries for the 3 labels")


def test_bad_class_weights():
    refused(classifier(class_weight={5: 1.0}), X, TWO, match=r"class_weight names the classes \[5\].* \[0, 1\]")
    refused(
        classifier(class_weight=[{0: 1.0}]),
        X,
        TWO,
        match="(?i)class_weight.* list.* multilabel",
        error=(ValueError, TypeError),
    )
    refused(classifier(class_weight=[]), X, TWO, match="class_weight")


def test_balanced_weights_help_a_rare_class():
    rng = np.random.RandomState(0)
    table = np.r_[rng.normal(0, 1, (180, 2)), rng.normal(1.5, 1, (12, 2))]
    y = np.repeat([0, 1], [180, 12])
    recall = {
        weight: classifier(**GOOD, class_weight=weight)
        .set_params(max_iter=20)
        .fit(table, y)
        .predict(table)[y == 1]
        .mean()
        for weight in (None, "balanced")
    }
    assert recall["balanced"] > recall[None] + 0.2


def test_label_smoothing_keeps_probabilities_from_the_ends():
    far = np.sign(X[:, :1]) * 3
    for y, n_classes in ((TWO, 2), (LABELS[:, :2] * 0 + TWO[:, None], 2)):
        model = classifier(**{**GOOD, "max_iter": 300}, label_smoothing=0.2).fit(far, y)
        p = model.predict_proba(far)
        # the optimum of the smoothed loss is 1 - 0.2 + 0.2 / 2 for the true class; 0.01: training's accuracy
        np.testing.assert_allclose(p.max(axis=0), 0.9, atol=0.01)
        np.testing.assert_allclose(p.min(axis=0), 0.1, atol=0.01)
        assert n_classes == p.shape[1]


def test_squared_error_trains_a_classifier():
    for y in (TWO, THREE, LABELS):
        model = classifier(**GOOD, loss="squared_error").fit(X, y)
        assert model.score(X, y) > 0.6
        p = model.predict_proba(X)
        target = y if y.ndim == 2 else np.eye(3)[y] if y.max() == 2 else y[:, None]
        own = p if y.ndim == 2 or y.max() == 2 else p[:, 1:]
        # ½ (p - t)², summed over the outputs; the last epoch's mean loss is that just before its step
        final = 0.5 * ((own - target) ** 2).sum(axis=1).mean()
        np.testing.assert_allclose(model.loss_, final, rtol=0.05)


def test_a_callable_loss_is_its_named_equal():
    def half_square(t, z):
        return 0.5 * ((z - t) ** 2).sum(axis=1), z - t

    ours = regressor(loss=half_square).fit(X, NUMBERS)
    named = regressor(loss="squared_error").fit(X, NUMBERS)
    np.testing.assert_allclose(ours.predict(X), named.predict(X), atol=1e-12)
    np.testing.assert_allclose(ours.loss_curve_, named.loss_curve_, rtol=1e-12)


# -------------------------------------------------------------------------------- regressor


def test_several_outputs():
    y = np.c_[NUMBERS, 100 * X[:, 1] + 7, -X[:, 2]]
    model = regressor(**GOOD).fit(X, y)
    assert model.predict(X).shape == (60, 3) and model.n_outputs_ == 3
    assert model.score(X, y) > 0.9
    assert model.coefs_[-1].shape == (10, 3)
    refused(model, X, y[:, :2], method="partial_fit", match="y must have 3 columns, as in the first call. Got 2")
    refused(model, X, NUMBERS, method="partial_fit", match="y must have 3 columns, as in the first call. Got 1")
    with pytest.raises(ValueError, match="0 feature"):
        regressor().fit(X, np.empty((60, 0)))


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "quantile", "poisson", "gamma"])
def test_every_loss_learns_in_raw_units(loss):
    y = 1e4 * np.exp(0.5 * NUMBERS)
    model = regressor(**GOOD, loss=loss).fit(X, y)
    assert model.score(X, y) > 0.8
    if loss in ("poisson", "gamma"):
        assert model.out_activation_ == "exp" and model.predict(X).min() > 0


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
    refused(regressor(**options), X, y, match=message, error=(ValueError, TypeError))
    model = regressor().fit(X, NUMBERS)
    refused(model.set_params(**options), X, y, match=message, error=(ValueError, TypeError))


def test_validation_targets_outside_the_domain():
    y = np.abs(NUMBERS)
    refused(
        regressor(loss="poisson"),
        X,
        y,
        X_val=X,
        y_val=NUMBERS,
        match="X_val and y_val do not match.*loss='poisson' needs every y >= 0",
    )
    refused(regressor(), X, y, X_val=X, y_val=np.c_[y, y], match="X_val and y_val do not match.*must have 1 column")


def test_ends_of_a_range_are_inside():
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
    assert model.score(table, y) == pytest.approx(np.mean(expected), rel=1e-12)
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
    assert not np.array_equal(
        regressor(loss="huber", huber_delta=0.1).fit(X, NUMBERS).predict(X),
        regressor(loss="huber", huber_delta=3.0).fit(X, NUMBERS).predict(X),
    )
    low, high = (
        regressor(**GOOD, loss="quantile", quantile=q).fit(X, RNG.normal(size=60)).predict(X) for q in (0.1, 0.9)
    )
    assert low.mean() < high.mean() - 1


def test_scale_target_is_a_change_of_units_alone():
    model, scaled = regressor().fit(X, NUMBERS), regressor().fit(X, 1000 * NUMBERS - 5e4)
    # float64: about 1e-16 · 5e4 relative to 1e3
    np.testing.assert_allclose(scaled.predict(X), 1000 * model.predict(X) - 5e4, atol=1e-7)
    plain = regressor(scale_target=False, max_iter=20).fit(X, 1000 * NUMBERS - 5e4)
    assert plain.score(X, 1000 * NUMBERS - 5e4) < -100  # what scaling is there for


@pytest.mark.parametrize("offset", [0.0, 1e6, 1e9])
def test_a_large_offset_of_the_target_does_no_harm(offset):
    # 300 rows: the network is in float32, in which numbers near 1e9 are 64 apart
    table = np.random.RandomState(1).normal(size=(300, 3))
    y = table[:, 0] + offset
    model = regressor(**GOOD).fit(table, y)
    assert model.coefs_[0].dtype == np.float32
    assert model.score(table, y) > 0.95


def test_a_constant_target_is_predicted():
    for loss in ("squared_error", "absolute_error", "huber", "quantile", "poisson", "gamma"):
        predicted = regressor(**{**GOOD, "max_iter": 300}, loss=loss).fit(X, np.full(60, 7.0)).predict(X)
        np.testing.assert_allclose(predicted, 7.0, atol=1)  # the network has to unlearn its start


def test_one_row_is_enough_for_a_regressor():
    assert np.isfinite(regressor().fit(X[:1], NUMBERS[:1]).predict(X)).all()


def lone(model, k, X, y):
    """Member k as a network of its own; its one step is too small to see."""
    init = ([w[k] for w in model.coefs_], [b[k] for b in model.intercepts_])
    return clone(model).set_params(n_members=1, init=init, max_iter=1, learning_rate_init=1e-14).fit(X, y)


def test_members_are_averaged_as_raw_scores():
    model = regressor(n_members=3, loss="poisson").fit(X, TWO + 1.0)
    members = [np.log(lone(model, k, X, TWO + 1.0).predict(X)) for k in range(3)]
    # 1e-10: each lone network made one step of 1e-14
    np.testing.assert_allclose(np.log(model.predict(X)), np.mean(members, axis=0), rtol=0, atol=1e-10)
    assert model.temperature_ == 1
    model = classifier(n_members=3).fit(X, THREE)
    members = [lone(model, k, X, THREE).decision_function(X) for k in range(3)]
    np.testing.assert_allclose(model.decision_function(X), np.mean(members, axis=0), rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.predict_proba(X), softmax(np.mean(members, axis=0), axis=1), rtol=0, atol=1e-10)


def test_from_sklearn_is_a_classmethod_that_wants_its_own_kind():
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    assert ScratchMLPClassifier.from_sklearn(MLPClassifier(alpha=0.7)).alpha == 0.7
    assert ScratchMLPRegressor.from_sklearn(MLPRegressor(hidden_layer_sizes=(4, 3))).hidden_layer_sizes == (4, 3)
    with pytest.raises(TypeError, match="ScratchMLPClassifier.from_sklearn takes .* MLPClassifier. Got MLPRegressor"):
        ScratchMLPClassifier.from_sklearn(MLPRegressor())


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "huber", "quantile"])
def test_a_constant_target_is_predicted_as_it_is(loss):
    X = np.random.RandomState(0).normal(size=(60, 3))
    for value in (0.0, 1e-6, -5e9):
        model = ScratchMLPRegressor((4,), loss=loss, max_iter=3, random_state=0).fit(X, np.full(60, value))
        np.testing.assert_array_equal(model.predict(X + 1), np.full(60, value))


def test_a_stream_that_begins_with_one_row_is_learned():
    """In the first row every column and the target are constant; what follows must count all the same."""
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


@pytest.mark.parametrize(("answer", "told"), [(float("nan"), "nan"), (None, "None"), ("a", "'a'")])
def test_a_score_that_is_none_is_refused(answer, told):
    X = np.random.RandomState(0).normal(size=(60, 3))
    model = ScratchMLPRegressor((4,), max_iter=3, early_stopping=True, scoring=lambda *_: answer)
    with pytest.raises(ValueError, match=f"gave {told}, which is no score, on the 6 validation rows"):
        model.fit(X, X[:, 0])


@pytest.mark.parametrize("dtype", ["string", "object", "category"])
def test_missing_labels_are_counted(dtype):
    X = np.random.RandomState(0).normal(size=(30, 3))
    y = pd.Series(["a", "b", None] * 10, dtype=dtype)
    with pytest.raises(ValueError, match="Input y contains NaN or None: 10 labels are missing"):
        ScratchMLPClassifier().fit(X, y)


def interrupting(u):
    """A schedule during which the user presses Ctrl-C."""
    if u > 0.5:
        raise KeyboardInterrupt
    return 1.0


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": "constant", "max_iter": 2},
        {"solver": "lbfgs", "max_iter": 2},
        {"solver": "sgd", "learning_rate_init": 1e12},
        {"learning_rate": interrupting},
    ],
    ids=["not converged", "not converged by lbfgs", "diverged", "interrupted"],
)
def test_a_warning_points_at_the_line_that_called_fit(options):
    X = np.random.RandomState(0).normal(size=(60, 3))
    with pytest.warns(UserWarning) as caught:
        ScratchMLPRegressor((8,), random_state=0, **options).fit(X, X[:, 0])
    assert [warning.filename for warning in caught] == [__file__]


# ------------------------------------------------------------------- members blind to a fold

FOLDS = {"early_stopping": "folds", "n_members": 3, "n_folds": 3, "refit": 0.0}
KINDS = {"numbers": NUMBERS, "two": TWO, "three": THREE, "labels": LABELS}
STRIPES = np.arange(60) % 3


def of_kind(y, **options):
    return (regressor if y is NUMBERS or y.dtype.kind == "f" else classifier)(**options)


@pytest.fixture
def striped(monkeypatch):
    """Rows are dealt to three folds in turn, whatever their targets."""
    monkeypatch.setattr("skscratch.estimators.base.deal", lambda values, n_folds, rng: STRIPES)


@pytest.mark.usefixtures("striped")
@pytest.mark.parametrize("y", KINDS.values(), ids=KINDS)
def test_a_rows_own_target_has_no_say_in_its_out_of_fold_prediction(y):
    changed = y.copy()
    changed[7] = 50.0 if y is NUMBERS else (y[7] + 1) % (3 if y is THREE else 2)
    # what all members share is not to change with the target: its scale, the temperature, the choice of the epoch
    options = {**FOLDS, "restore_best_weights": False, "batch_size": 16, "max_iter": 10, "learning_rate_init": 0.05}
    options |= {"scale_target": False} if y is NUMBERS else {}
    one, other = (of_kind(y, **options).fit(X, target) for target in (y, changed))
    blind = STRIPES == STRIPES[7]
    np.testing.assert_array_equal(other.oof_predictions_[blind], one.oof_predictions_[blind])
    assert np.abs(other.oof_predictions_[~blind] - one.oof_predictions_[~blind]).max() > 1e-3
    for W, W_changed in zip(one.coefs_, other.coefs_, strict=True):
        np.testing.assert_array_equal(W[STRIPES[7]], W_changed[STRIPES[7]])


@pytest.mark.usefixtures("striped")
@pytest.mark.parametrize("weight", [None, np.linspace(0.5, 2, 60)], ids=["plain", "weighted"])
@pytest.mark.parametrize("y", KINDS.values(), ids=KINDS)
def test_out_of_fold_predictions_are_those_of_a_refit_without_the_fold(y, weight):
    rng = np.random.RandomState(0)
    n_out = {"two": 1, "numbers": 1}.get(next(name for name in KINDS if KINDS[name] is y), 3)
    coefs, intercepts = [rng.normal(size=(3, 3, 6)), rng.normal(size=(3, 6, n_out))], [np.zeros(6), np.zeros(n_out)]
    # the whole table is one step, so that a row of weight 0 and one that is absent are the same
    options = {"batch_size": 60, "restore_best_weights": False, "scale_features": False, "learning_rate_init": 0.05}
    options |= {"scale_target": False} if y is NUMBERS else {}
    together = of_kind(y, **{**FOLDS, **options}, init=(coefs, intercepts)).fit(X, y, weight)
    for k in range(3):
        blind = STRIPES == k
        alone = of_kind(y, **options, init=([W[k] for W in coefs], intercepts))
        alone.fit(X[~blind], y[~blind], None if weight is None else weight[~blind])
        predicted = alone.predict(X[blind]) if y is NUMBERS else alone.predict_proba(X[blind])
        # float64, sums in another order
        np.testing.assert_allclose(together.oof_predictions_[blind], predicted, rtol=0, atol=1e-10)
        np.testing.assert_allclose(together.coefs_[0][k], alone.coefs_[0], rtol=0, atol=1e-10)


def test_the_out_of_fold_score_of_noise_is_that_of_a_guess():
    rng = np.random.RandomState(0)
    table, y = rng.normal(size=(150, 8)), rng.normal(size=150)
    options = {**GOOD, **FOLDS, "n_members": 6, "restore_best_weights": False}
    model = regressor(**options).fit(table, y)
    assert model.score(table, y) > 0.3 and model.oof_score_ < 0
    model = classifier(**options).fit(table, y > 0)
    assert model.score(table, y > 0) > 0.8 and model.oof_score_ < 0.6  # of two equal classes; 0.1 is 2.4 deviations


@pytest.mark.slow
def test_the_out_of_fold_score_is_about_that_of_cross_validation():
    X, y = load_diabetes(return_X_y=True)
    model = ScratchMLPRegressor(random_state=0)
    # the folds of R² themselves deviate by 0.05 to 0.1
    assert (
        abs(model.fit(X, y).oof_score_ - cross_val_score(model, X, y, cv=KFold(5, shuffle=True, random_state=0)).mean())
        < 0.05
    )
    X, y = load_breast_cancer(return_X_y=True)
    model = ScratchMLPClassifier(random_state=0, max_iter=20)
    assert abs(model.fit(X, y).oof_score_ - cross_val_score(model, X, y).mean()) < 0.02


@pytest.mark.parametrize("weight", [None, np.arange(60) % 3 + 0.5], ids=["plain", "weighted"])
@pytest.mark.parametrize("y", KINDS.values(), ids=KINDS)
def test_out_of_fold_score_is_the_score_of_the_predictions(y, weight):
    model = of_kind(y, **FOLDS).fit(X, y, weight)
    oof = model.oof_predictions_
    assert type(model.oof_score_) is float
    if y is NUMBERS:
        assert oof.shape == (60,)
        assert model.oof_score_ == pytest.approx(r2_score(y, oof, sample_weight=weight), rel=1e-12)
        return
    assert oof.shape == (60, len(model.classes_))
    right = ((oof > 0.5) == y).all(axis=1) if y is LABELS else model.classes_[oof.argmax(axis=1)] == y
    assert model.oof_score_ == pytest.approx(np.average(right, weights=weight), rel=1e-12)
    if y is not LABELS:
        np.testing.assert_allclose(oof.sum(axis=1), 1, rtol=1e-12)


def test_out_of_fold_predictions_of_several_outputs_and_quantiles():
    y = np.c_[NUMBERS, 100 * X[:, 1] + 7]
    model = regressor(**{**GOOD, **FOLDS}).fit(X, y)
    assert model.oof_predictions_.shape == (60, 2)
    assert model.oof_score_ == pytest.approx(r2_score(y, model.oof_predictions_), rel=1e-12) and model.oof_score_ > 0.7
    levels = [0.1, 0.5, 0.9]
    model = regressor(**{**GOOD, **FOLDS}, loss="quantile", quantile=levels).fit(X, NUMBERS)
    assert model.oof_predictions_.shape == (60, 3) and (np.diff(model.oof_predictions_, axis=1) >= 0).all()
    columns = zip(levels, model.oof_predictions_.T, strict=True)
    expected = np.mean([d2_pinball_score(NUMBERS, p, alpha=q) for q, p in columns])
    assert model.oof_score_ == pytest.approx(expected, rel=1e-12) and model.oof_score_ > 0.3


def test_rows_of_weight_zero_have_no_out_of_fold_prediction():
    weight = (np.arange(60) % 4 > 0).astype(float)
    for y in (NUMBERS, THREE):
        model, absent = of_kind(y, **FOLDS).fit(X, y, weight), of_kind(y, **FOLDS).fit(X[weight > 0], y[weight > 0])
        assert len(model.oof_predictions_) == 45 and model.oof_score_ == pytest.approx(absent.oof_score_, rel=1e-12)
        np.testing.assert_allclose(model.oof_predictions_, absent.oof_predictions_, rtol=0, atol=1e-12)


@pytest.mark.parametrize("y", KINDS.values(), ids=KINDS)
def test_a_sparse_table_has_the_folds_of_the_dense_one(y):
    table = X * (np.abs(X) > 0.7)
    options = {**FOLDS, "refit": 0.5}
    dense, sparse = (of_kind(y, **options).fit(form(table), y) for form in (np.asarray, sp.csr_array))
    np.testing.assert_array_equal(sparse._state.folds, dense._state.folds)
    # float64, sums in another order
    np.testing.assert_allclose(sparse.oof_predictions_, dense.oof_predictions_, rtol=0, atol=1e-9)
    assert sparse.best_iteration_ == dense.best_iteration_
    np.testing.assert_allclose(sparse.predict(table), dense.predict(table), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("n_members", "n_folds", "expected"),
    [(2, 5, 2), (3, 5, 3), (5, 5, 5), (6, 5, 6), (7, 5, 7), (8, 5, 4), (8, 2, 2), (8, 3, 2), (10, 5, 5), (6, 3, 3)],
)
def test_folds_are_the_divisor_of_the_members_that_is_nearest(n_members, n_folds, expected):
    for model, y in ((classifier(), THREE), (regressor(), NUMBERS)):
        model.set_params(early_stopping="folds", n_members=n_members, n_folds=n_folds, max_iter=2).fit(X, y)
        sizes = np.bincount(model._state.folds)
        assert len(sizes) == expected and np.ptp(sizes) <= 1
        assert np.isfinite(model.oof_predictions_).all() and len(model.coefs_[0]) == n_members


@pytest.mark.parametrize("n_members", [80, 160])
def test_more_folds_than_rows(n_members):
    for seed in range(8):  # which folds are left empty is drawn
        model = regressor(early_stopping="folds", n_members=n_members, n_folds=80, max_iter=1, random_state=seed)
        model.fit(X[:41], NUMBERS[:41])
        assert len(model.oof_predictions_) == 41 and np.isfinite(model.oof_predictions_).all()


@pytest.mark.parametrize("n", [1, 2, 3, 40, 41])
@pytest.mark.parametrize("y", KINDS.values(), ids=KINDS)
def test_tables_of_any_size_at_the_defaults(y, n):
    rows = np.r_[np.argsort(-X[:, 0])[: n // 2], np.argsort(X[:, 0])[: n - n // 2]]  # of both ends: two classes
    table, y, is_class = X[rows], y[rows], y is not NUMBERS
    model = (ScratchMLPClassifier if is_class else ScratchMLPRegressor)(max_iter=5, random_state=0)
    if is_class and y.ndim == 1 and n == 1:
        refused(model, table, y, match="at least two classes")
        return
    predicted = model.fit(table, y).predict(X)
    assert np.isfinite(predicted).all() and len(predicted) == 60
    assert (model.oof_predictions_ is None) == (model.oof_score_ is None) == (n <= 40)
    if n > 40:
        assert len(model.oof_predictions_) == n and np.isfinite(model.oof_predictions_).all()


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_class_of_one_or_two_rows_and_folds(count, n_classes):
    y = np.where(X[:, 0] > 0, "a", "c") if n_classes == 3 else np.full(60, "a")
    y[:count] = "b"
    model = ScratchMLPClassifier(max_iter=10, random_state=0).fit(X, y)
    assert model.classes_.tolist() == sorted(set(y.tolist())) and len(model.classes_) == n_classes
    assert np.isfinite(model.predict_log_proba(X)).all() and np.isfinite(model.oof_predictions_).all()
    np.testing.assert_allclose(model.oof_predictions_.sum(axis=1), 1, rtol=1e-6)
    rare = model.oof_predictions_[:, model.classes_.tolist().index("b")]
    assert rare[:count].max() < 0.5  # members that have seen no other such row, or one, cannot expect it
    assert 0 < model.oof_score_ < 1
    assert len(np.unique(model._state.folds[:count])) == count  # dealt apart


def test_columns_without_a_value_or_with_one_and_bins():
    table = np.c_[X, np.ones(60), np.full(60, np.nan), np.where(X[:, 0] > 1, np.nan, X[:, 1]), X[:, 2] > 0]
    for y in KINDS.values():
        model = (ScratchMLPRegressor if y is NUMBERS else ScratchMLPClassifier)(max_iter=5, n_bins=4, random_state=0)
        predicted = model.fit(table, y).predict(np.r_[table, np.full((1, 7), np.nan)])
        assert np.isfinite(predicted).all() and np.isfinite(model.oof_predictions_).all()
        names = model._encoder.names
        assert 2 <= sum(name.startswith("x0 from") for name in names) <= 4
        assert 2 <= sum(name.startswith("x5 from") for name in names) <= 4 and "x5 missing" in names
        for constant in ("x3", "x4", "x6"):  # x6 has two values: a straight line says all
            assert not any(name.startswith(f"{constant} from") for name in names)


def test_a_table_of_constants_predicts_the_mean():
    for table in (np.ones((60, 2)), np.full((60, 2), np.nan)):
        model = ScratchMLPRegressor(random_state=0).fit(table, NUMBERS)
        np.testing.assert_allclose(model.predict(table), NUMBERS.mean(), atol=0.1 * NUMBERS.std())
        assert model.oof_score_ < 0.01
        p = ScratchMLPClassifier(random_state=0).fit(table, THREE).predict_proba(table)[0]
        np.testing.assert_allclose(p, np.bincount(THREE) / 60, atol=0.05)


# --------------------------------------------------------------------- range and temperature


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error", "poisson"])
def test_predictions_are_held_to_the_range_of_y(loss):
    y = np.exp(NUMBERS)
    far = 50 * X
    model = regressor(**GOOD, loss=loss, scale_features=False, clip_target=True).fit(X, y)
    held = model.predict(far)
    assert held.min() == y.min() and held.max() == y.max()
    free = model.set_params(clip_target=False).predict(far)
    assert free.max() > y.max() and free.min() < y.min()
    np.testing.assert_array_equal(held, np.clip(free, y.min(), y.max()))


def test_each_output_is_held_to_its_own_range():
    y = np.c_[NUMBERS, 100 * X[:, 1] + 7]
    model = regressor(**{**GOOD, **FOLDS}, scale_features=False, clip_target=True).fit(X, y)
    far = model.predict(50 * X)
    np.testing.assert_array_equal(far.min(axis=0), y.min(axis=0))
    np.testing.assert_array_equal(far.max(axis=0), y.max(axis=0))
    assert (model.oof_predictions_ <= y.max(axis=0)).all() and (model.oof_predictions_ >= y.min(axis=0)).all()


def test_of_a_stream_no_range_is_known():
    low, high = X[NUMBERS < 0], X[NUMBERS > 1]
    model = regressor(clip_target=True, learning_rate="constant", learning_rate_init=0.05, scale_features=False)
    model.partial_fit(low, NUMBERS[NUMBERS < 0])
    for _ in range(100):
        model.partial_fit(high, NUMBERS[NUMBERS > 1])
    assert model.predict(high).min() > 0


def overfitted(X, y, calibrate):
    options = {**GOOD, **FOLDS, "max_iter": 50, "restore_best_weights": False}
    return classifier(**options, calibrate=calibrate).fit(X, y)


def test_the_temperature_makes_an_overfitted_table_less_sure():
    rng = np.random.RandomState(0)
    table = rng.normal(size=(400, 5))
    noisy = table[:, 0] + table[:, 1] + 2 * rng.normal(size=400)
    train, held = slice(0, 120), slice(120, 400)
    for y in ((noisy > 0).astype(int), np.digitize(noisy, [-1, 1])):
        sure, calibrated = (overfitted(table[train], y[train], calibrate) for calibrate in (False, True))
        assert sure.temperature_ == 1 and calibrated.temperature_ > 1.3
        np.testing.assert_array_equal(calibrated.predict(table), sure.predict(table))
        expected = sure.decision_function(table) / calibrated.temperature_
        np.testing.assert_allclose(calibrated.decision_function(table), expected, rtol=1e-12)
        losses = [log_loss(y[held], model.predict_proba(table[held])) for model in (sure, calibrated)]
        assert losses[1] < losses[0]
        # out of fold it is at its best: no temperature near it is better
        best = log_loss(y[train], calibrated.oof_predictions_)
        assert calibrated.validation_loss_curve_[-1] == pytest.approx(best, rel=1e-9)
        for factor in (0.9, 1.1):
            p = calibrated.oof_predictions_**factor
            assert log_loss(y[train], p / p.sum(axis=1, keepdims=True)) > best


def test_a_temperature_comes_from_given_rows_too_and_from_no_others():
    table = RNG.normal(size=(120, 4))
    y = (table[:, 0] + 2 * RNG.normal(size=120) > 0).astype(int)
    options = {**GOOD, "restore_best_weights": False, "calibrate": True}
    model = classifier(**options).fit(table[:60], y[:60], X_val=table[60:], y_val=y[60:])
    assert model.temperature_ > 1.3
    assert classifier(**options).fit(table, y).temperature_ == 1
    assert regressor(**{**GOOD, **FOLDS}, calibrate=True).fit(table, table[:, 0]).temperature_ == 1
    squared = classifier(**{**options, **FOLDS}, loss="squared_error").fit(table, y)  # not a loss of raw scores
    assert squared.temperature_ == 1


def test_the_refit_goes_on_with_all_rows_and_leaves_the_scores_as_they_were():
    for y in KINDS.values():
        without, brief, long = (
            of_kind(y, **{**FOLDS, "refit": refit}, batch_size=16).fit(X, y) for refit in (0.0, 0.2, 2.0)
        )
        for model in (brief, long):
            np.testing.assert_array_equal(model.oof_predictions_, without.oof_predictions_)
            assert model.loss_curve_ == without.loss_curve_ and model.best_iteration_ == without.best_iteration_
            assert model.n_iter_ == without.n_iter_ and model.t_ == without.t_
        moved = [np.abs(model.coefs_[0] - without.coefs_[0]).max() for model in (brief, long)]
        assert 0 < moved[0] < moved[1]
