"""What is a classifier's or a regressor's own: targets of every kind, probabilities, weights of classes, quantiles."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.metrics import d2_pinball_score
from sklearn.utils.class_weight import compute_sample_weight

from skscratch import ScratchMLPClassifier, ScratchMLPRegressor

RNG = np.random.RandomState(0)
X = RNG.normal(size=(60, 3))
TWO = (X[:, 0] > 0).astype(int)
THREE = np.digitize(X[:, 0], [-0.5, 0.5])
LABELS = np.c_[X[:, 0] > 0, X[:, 1] > 0, X[:, 2] > 0.5].astype(int)
NUMBERS = X[:, 0] - 0.5 * X[:, 1]
TINY = {"hidden_layer_sizes": (6,), "max_iter": 4, "random_state": 0}
GOOD = {"hidden_layer_sizes": (10,), "max_iter": 80, "learning_rate_init": 0.05, "weight_decay": 0.0, "random_state": 0}


def classifier(**options):
    return ScratchMLPClassifier(**{**TINY, **options})


def regressor(**options):
    return ScratchMLPRegressor(**{**TINY, **options})


def refused(model, *args, match, method="fit", error=ValueError, **kwargs):
    """A call raises an error that matches, before an epoch is run, and the model predicts what it did."""
    before = model.predict(X) if hasattr(model, "n_features_in_") else None

    def never(*args, **kwargs):
        raise AssertionError("training began")

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error")
        patch.setattr("skscratch.solving.train", never)
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


def test_members_are_averaged_as_predictions():
    model = regressor(n_members=3, loss="poisson").fit(X, TWO + 1.0)
    members = []
    for k in range(3):
        init = ([w[k] for w in model.coefs_], [b[k] for b in model.intercepts_])
        lone = regressor(loss="poisson", init=init, max_iter=1, learning_rate_init=1e-14, weight_decay=0.0)
        members.append(lone.fit(X, TWO + 1.0).predict(X))
    # 1e-10: each lone network made one step of 1e-14
    np.testing.assert_allclose(model.predict(X), np.mean(members, axis=0), rtol=1e-10)
    model = classifier(n_members=3).fit(X, THREE)
    members = []
    for k in range(3):
        init = ([w[k] for w in model.coefs_], [b[k] for b in model.intercepts_])
        lone = classifier(init=init, max_iter=1, learning_rate_init=1e-14, weight_decay=0.0)
        members.append(lone.fit(X, THREE).predict_proba(X))
    np.testing.assert_allclose(model.predict_proba(X), np.mean(members, axis=0), rtol=1e-10)


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
