"""The classifier: targets of every kind, bad labels, class weights, probabilities and their temperature."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.special import softmax
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_sample_weight

from skscratch import ScratchMLPClassifier
from tests.helpers.estimators import assert_refused
from tests.helpers.targets import FOLDS, GOOD, LABELS, NUMBERS, THREE, TWO, X, classifier, regressor, single_member


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
def test_predictions_are_labels_of_the_given_type(y, classes):
    model = classifier(**GOOD).fit(X, y)
    assert model.classes_.tolist() == classes
    predicted = model.predict(X)
    assert set(predicted.tolist()) <= set(classes) and predicted.shape == (60,)
    assert np.mean(predicted == np.asarray(y)) > 0.95  # separable, except for points near the border
    assert model.score(X, y) == np.mean(predicted == np.asarray(y))


@pytest.mark.parametrize(
    ("y", "n_outputs", "link"), [(TWO, 1, "logistic"), (THREE, 3, "softmax"), (LABELS, 3, "logistic")]
)
@pytest.mark.parametrize("n_members", [1, 3])
def test_shapes_and_sums_for_the_three_kinds_of_target(y, n_outputs, link, n_members):
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
        # the score of a label is its log-odds, up to the rounding of log p / (1 - p)
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
def test_log_probabilities_are_finite_for_extreme_scores(y, n_members, dtype):
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


def test_one_multilabel_column_with_one_value_is_learned():
    y = np.c_[TWO, np.zeros(60, int)]
    assert classifier(**GOOD).fit(X, y).predict_proba(X)[:, 1].max() < 0.2


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
    assert_refused(classifier(), X, y, match=message, error=(ValueError, TypeError))
    assert_refused(classifier().fit(X, TWO), X, y, match=message, error=(ValueError, TypeError))


def test_weights_that_leave_one_class_are_refused():
    assert_refused(
        classifier(), X, TWO, TWO.astype(float), match=r"at least two classes, but y has only one class: \[1\]"
    )
    assert_refused(classifier(class_weight={0: 0}), X, TWO, match=r"only one class: \[1\]")
    assert_refused(classifier(class_weight={0: 0, 1: 0}), X, TWO, match="weights.* zero")


@pytest.mark.parametrize("dtype", ["string", "object", "category"])
def test_missing_labels_are_counted(dtype):
    X = np.random.RandomState(0).normal(size=(30, 3))
    y = pd.Series(["a", "b", None] * 10, dtype=dtype)
    with pytest.raises(ValueError, match="Input y contains NaN or None: 10 labels are missing"):
        ScratchMLPClassifier().fit(X, y)


def test_classes_of_validation_rows():
    model = classifier().fit(X, TWO)
    assert_refused(
        model, X, TWO, X_val=X, y_val=THREE, match=r"X_val and y_val do not match.*\[2\] are not among \[0, 1\]"
    )
    assert classifier().fit(X, THREE, X_val=X[:9], y_val=np.zeros(9, int)).n_iter_ == 4  # fewer classes are accepted


def test_classes_in_partial_fit():
    assert_refused(
        classifier(), X, TWO, method="partial_fit", match="classes must be passed on the first call to partial_fit"
    )
    assert_refused(classifier(), X, list(TWO), method="partial_fit", match="classes must be passed on the first call")
    assert_refused(classifier(), X, THREE, method="partial_fit", classes=[0, 1], match=r"\[2\] are not among \[0, 1\]")
    assert_refused(classifier(), X, TWO * 0, method="partial_fit", classes=[0], match="at least two classes")
    model = classifier().partial_fit(X, TWO, classes=[0, 1, 2])
    assert model.classes_.tolist() == [0, 1, 2] and model.predict_proba(X).shape == (60, 3)
    assert_refused(model, X, THREE + 1, method="partial_fit", match=r"\[3\] are not among \[0, 1, 2\]")
    assert_refused(
        model, X, TWO, method="partial_fit", classes=[0, 1], match="`classes` .* is not the same as on the last call"
    )
    assert_refused(model, X, LABELS, method="partial_fit", match="y must be one column of labels")
    model.partial_fit(X, np.ones(60, int))  # a batch with a single class is accepted
    model.partial_fit(X, TWO, classes=[2, 1, 0])
    assert len(model.loss_curve_) == 3


def test_partial_fit_after_fit_and_multilabel():
    model = classifier().fit(X, THREE).partial_fit(X, TWO)
    assert model.classes_.tolist() == [0, 1, 2]
    assert_refused(model, X, np.array(["a", "b"] * 30), method="partial_fit", match="are not among")
    model = classifier().partial_fit(X, LABELS)  # the columns are the classes
    assert_refused(
        model, X, LABELS[:, :2], method="partial_fit", match=r"indicator matrix of 3 columns.* Got shape \(60, 2\)"
    )
    assert_refused(model, X, TWO, method="partial_fit", match="indicator matrix of 3 columns")


def test_warm_start_with_other_classes():
    model = classifier(warm_start=True).fit(X, THREE)
    assert_refused(model, X, THREE + 1, match=r"\[3\] are not among \[0, 1, 2\]")
    assert_refused(model, X, TWO, match="warm_start can only be used where `y` has the same classes")
    assert_refused(model, X, LABELS, match="y must be one column of labels")
    model.set_params(warm_start=False).fit(X, TWO)
    assert model.classes_.tolist() == [0, 1]


def test_out_activation_of_a_classifier_must_suit_the_target():
    for y, good, bad in ((TWO, "logistic", "softmax"), (THREE, "softmax", "logistic"), (LABELS, "logistic", "tanh")):
        expected = classifier().fit(X, y).predict_proba(X)
        np.testing.assert_array_equal(classifier(out_activation=good).fit(X, y).predict_proba(X), expected)
        assert_refused(
            classifier(out_activation=bad),
            X,
            y,
            match=f"The 'out_activation' parameter .*must be 'auto' or '{good}' .* Got '{bad}'",
        )


@pytest.mark.parametrize("given", [None, np.linspace(0.5, 2, 60)])
@pytest.mark.parametrize("class_weight", ["balanced", {0: 2.0, 1: 0.5}, {1: 3}, {0: 0, 1: 1, 2: 1}])
def test_class_weight_equals_sample_weight(class_weight, given):
    weight = compute_sample_weight(class_weight, THREE)
    if isinstance(class_weight, str) and given is not None:  # 'balanced' balances weights, not counts
        mass = np.bincount(THREE, given)
        weight = (given.sum() / (3 * mass))[THREE]
    by_class = classifier(class_weight=class_weight).fit(X, THREE, given)
    by_row = classifier().fit(X, THREE, weight if given is None else weight * given)
    np.testing.assert_allclose(by_class.coefs_[0], by_row.coefs_[0], atol=1e-10)  # sums are in another order


def test_class_weight_of_multilabel_targets():
    each = [{0: 1, 1: 2}, {0: 0.5}, {1: 3}]
    by_class = classifier(class_weight=each).fit(X, LABELS)
    by_row = classifier().fit(X, LABELS, compute_sample_weight(each, LABELS))
    np.testing.assert_allclose(by_class.coefs_[0], by_row.coefs_[0], atol=1e-10)
    balanced = classifier(class_weight="balanced").fit(X, LABELS)
    by_row = classifier().fit(X, LABELS, compute_sample_weight("balanced", LABELS))
    np.testing.assert_allclose(balanced.coefs_[0], by_row.coefs_[0], atol=1e-10)
    assert_refused(
        classifier(class_weight=each[:2]), X, LABELS, match="class_weight has 2 dictionaries for the 3 labels"
    )


def test_bad_class_weights():
    assert_refused(
        classifier(class_weight={5: 1.0}), X, TWO, match=r"\[0, 1\], are not in class_weight.* classes \[5\]"
    )
    assert_refused(
        classifier(class_weight=[{0: 1.0}]),
        X,
        TWO,
        match="(?i)class_weight.* list.* multilabel",
        error=(ValueError, TypeError),
    )
    assert_refused(classifier(class_weight=[]), X, TWO, match="class_weight")


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


def test_label_smoothing_keeps_probabilities_away_from_0_and_1():
    far = np.sign(X[:, :1]) * 3
    for y, n_classes in ((TWO, 2), (LABELS[:, :2] * 0 + TWO[:, None], 2)):
        model = classifier(**{**GOOD, "max_iter": 300}, label_smoothing=0.2).fit(far, y)
        p = model.predict_proba(far)
        # the optimum of the smoothed loss is 1 - 0.2 + 0.2 / 2 for the true class; atol allows for unfinished training
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
        # ½ (p - t)², summed over the outputs; the loss of an epoch is measured before its step
        final = 0.5 * ((own - target) ** 2).sum(axis=1).mean()
        np.testing.assert_allclose(model.loss_, final, rtol=0.05)


def overfitted(X, y, calibrate):
    options = {**GOOD, **FOLDS, "max_iter": 50, "restore_best_weights": False}
    return classifier(**options, calibrate=calibrate).fit(X, y)


def test_the_temperature_makes_an_overfitted_network_less_confident():
    rng = np.random.RandomState(0)
    table = rng.normal(size=(400, 5))
    noisy = table[:, 0] + table[:, 1] + 2 * rng.normal(size=400)
    train, held = slice(0, 120), slice(120, 400)
    for y in ((noisy > 0).astype(int), np.digitize(noisy, [-1, 1])):
        confident, calibrated = (overfitted(table[train], y[train], calibrate) for calibrate in (False, True))
        assert confident.temperature_ == 1 and calibrated.temperature_ > 1.3
        np.testing.assert_array_equal(calibrated.predict(table), confident.predict(table))
        expected = confident.decision_function(table) / calibrated.temperature_
        np.testing.assert_allclose(calibrated.decision_function(table), expected, rtol=1e-12)
        losses = [log_loss(y[held], model.predict_proba(table[held])) for model in (confident, calibrated)]
        assert losses[1] < losses[0]
        # this temperature minimises the out-of-fold loss: temperatures near it are worse
        best = log_loss(y[train], calibrated.oof_predictions_)
        assert calibrated.validation_loss_curve_[-1] == pytest.approx(best, rel=1e-9)
        for factor in (0.9, 1.1):
            p = calibrated.oof_predictions_**factor
            assert log_loss(y[train], p / p.sum(axis=1, keepdims=True)) > best


def test_only_validation_rows_give_a_temperature():
    rng = np.random.RandomState(0)
    table = rng.normal(size=(120, 4))
    y = (table[:, 0] + 2 * rng.normal(size=120) > 0).astype(int)
    options = {**GOOD, "restore_best_weights": False, "calibrate": True}
    model = classifier(**options).fit(table[:60], y[:60], X_val=table[60:], y_val=y[60:])
    assert model.temperature_ > 1.3
    assert classifier(**options).fit(table, y).temperature_ == 1
    assert regressor(**{**GOOD, **FOLDS}, calibrate=True).fit(table, table[:, 0]).temperature_ == 1
    squared = classifier(**{**options, **FOLDS}, loss="squared_error").fit(table, y)  # not a loss of raw scores
    assert squared.temperature_ == 1


def test_raw_scores_of_members_are_averaged():
    model = classifier(n_members=3).fit(X, THREE)
    members = [single_member(model, k, THREE).decision_function(X) for k in range(3)]
    # each single network made one step of 1e-14
    np.testing.assert_allclose(model.decision_function(X), np.mean(members, axis=0), rtol=0, atol=1e-10)
    np.testing.assert_allclose(model.predict_proba(X), softmax(np.mean(members, axis=0), axis=1), rtol=0, atol=1e-10)
