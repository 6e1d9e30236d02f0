"""A classifier that is fitted to one class predicts that class with probability one."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import KFold, cross_val_predict, cross_val_score
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neural_network import MLPClassifier

from skscratch import ScratchMLPClassifier
from tests.helpers.estimators import assert_refused

RNG = np.random.RandomState(0)
X, FAR = RNG.normal(size=(80, 3)), 1e9 * RNG.normal(size=(20, 3))
TWO = np.where(X[:, 0] > 0, "a", "b")
LABELS = {"text": np.full(80, "a"), "int": np.full(80, 7), "bool": np.full(80, True), "float": np.full(80, -1.0)}


def classifier(**options):
    return ScratchMLPClassifier(**{"max_iter": 3, "hidden_layer_sizes": (4,), "random_state": 0, **options})


def assert_predicts_only(model, label):
    for table in (X, FAR):
        assert set(model.predict(table).tolist()) == {label}
        np.testing.assert_array_equal(model.predict_proba(table), np.ones((len(table), 1)))
        np.testing.assert_array_equal(model.predict_log_proba(table), np.zeros((len(table), 1)))
        assert model.decision_function(table).shape == (len(table),)
    assert model.classes_.tolist() == [label] and model.temperature_ == 1
    assert model.loss_curve_ == [0.0] * len(model.loss_curve_)


@pytest.mark.parametrize("y", LABELS.values(), ids=LABELS)
def test_labels_of_any_type(y):
    model = classifier().fit(X, y)
    assert_predicts_only(model, y[0].item())
    assert model.predict(X).dtype == y.dtype
    assert model.score(X, y) == model.oof_score_ == 1.0
    np.testing.assert_array_equal(model.oof_predictions_, np.ones((80, 1)))


OPTIONS = [
    {"early_stopping": True},
    {"early_stopping": False},
    {"early_stopping": False, "learning_rate": "constant", "n_iter_no_change": 2},
    {"early_stopping": False, "solver": "lbfgs"},
    {"solver": "sgd"},
    {"calibrate": False},
    {"loss": "squared_error"},
    {"label_smoothing": 0.2},
    {"class_weight": "balanced"},
    {"class_weight": {7: 2.0}},
    {"scoring": "accuracy"},
    {"scoring": None},
    {"out_activation": "logistic"},
    {"out_activation": "softmax"},
    {"scale_features": False, "dtype": "float64", "numeric_embedding": None},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_any_way_of_training(options):
    assert_predicts_only(classifier(**options).fit(X, LABELS["int"]), 7)


@pytest.mark.parametrize("n", [1, 2, 40, 41])
def test_any_number_of_rows(n):
    assert_predicts_only(classifier().fit(X[:n], LABELS["int"][:n]), 7)


@pytest.mark.parametrize("early_stopping", [True, False, "folds"])
def test_weights_that_leave_one_class(early_stopping):
    weight = (TWO == "b") * 2.0
    rows = TWO == "b"
    model = classifier(early_stopping=early_stopping).fit(X, TWO, weight)
    alone = classifier(early_stopping=early_stopping).fit(X[rows], TWO[rows], weight[rows])
    assert_predicts_only(model, "b")
    np.testing.assert_array_equal(model.fitted_.parameters, alone.fitted_.parameters)
    assert_predicts_only(classifier(class_weight={"a": 0}).fit(X, TWO), "b")
    three = np.append(TWO[:-3], ["c"] * 3)
    assert_predicts_only(classifier().fit(X, three, three == "c"), "c")


def test_a_stream_of_one_class():
    model = classifier().partial_fit(X, LABELS["text"], classes=["a"])
    assert_predicts_only(model.partial_fit(X[:9], LABELS["text"][:9], X_val=X, y_val=LABELS["text"]), "a")
    assert_refused(model, X, TWO, method="partial_fit", match=r"\['b'\] are not among \['a'\]")
    several = classifier().partial_fit(X, LABELS["text"], classes=["a", "b"])
    assert several.predict_proba(X).shape == (80, 2)  # another class may follow


def test_validation_rows_of_the_class_and_of_another():
    model = classifier().fit(X, LABELS["text"], X_val=X[:9], y_val=LABELS["text"][:9])
    assert_predicts_only(model, "a")
    assert model.validation_scores_ == [0.0, 0.0, 0.0]
    assert_refused(model, X, LABELS["text"], X_val=X, y_val=TWO, match=r"X_val.*\['b'\] are not among \['a'\]")


def test_warm_starts():
    model = classifier(warm_start=True).fit(X, LABELS["text"]).fit(X, LABELS["text"])
    assert len(model.loss_curve_) == 6
    assert_predicts_only(model, "a")
    assert_refused(model, X, TWO, match=r"\['b'\] are not among \['a'\]")
    assert_refused(classifier(warm_start=True).fit(X, TWO), X, LABELS["text"], match="warm_start can only be used")


def test_a_continued_fit_ignores_the_classes_of_rows_without_weight():
    weight = (TWO == "b") * 1.0
    model = classifier(warm_start=True).fit(X, TWO, weight).fit(X, TWO, weight)
    assert len(model.loss_curve_) == 6
    assert_predicts_only(model, "b")
    assert_predicts_only(model.partial_fit(X, TWO, weight), "b")
    assert_refused(model, X, TWO, 1 - weight, match=r"\['a'\] are not among \['b'\]")
    model = classifier(warm_start=True, class_weight={"a": 0, "b": 1}).fit(X, TWO).fit(X, TWO)
    assert_predicts_only(model, "b")


def test_files_keep_the_class():
    assert_predicts_only(pickle.loads(pickle.dumps(classifier().fit(X, LABELS["text"]))), "a")


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_equivalent_of_an_mlp_of_one_class():
    theirs = MLPClassifier(max_iter=2).fit(X, LABELS["int"])
    ours = ScratchMLPClassifier.from_sklearn(theirs)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert_predicts_only(ScratchMLPClassifier.from_sklearn(MLPClassifier(max_iter=2, alpha=0)).fit(X, LABELS["int"]), 7)


def test_the_onnx_model_predicts_the_class():
    onnxruntime = pytest.importorskip("onnxruntime")
    from skscratch.onnx import input_feed, to_onnx

    for y in (LABELS["text"], LABELS["int"]):
        converted = to_onnx(classifier().fit(X, y), X)
        session = onnxruntime.InferenceSession(converted.SerializeToString(), providers=["CPUExecutionProvider"])
        labels, p = session.run(None, input_feed(converted, X))
        assert labels.tolist() == y.tolist() and p.tolist() == [[1.0]] * 80


def test_meta_estimators_with_constant_labels():
    Y = np.c_[X[:, 0] > 0, np.zeros(80), np.ones(80)].astype(int)
    for meta in (MultiOutputClassifier(classifier()), ClassifierChain(classifier())):
        predicted = meta.fit(X, Y).predict(X)
        assert (predicted[:, 1:] == [0, 1]).all() and set(predicted[:, 0]) <= {0, 1}
    predicted = classifier(max_iter=60).fit(X, Y).predict(X)  # one multilabel network learns constant labels too
    assert (predicted[:, 1:] == [0, 1]).all()


def test_folds_that_lack_a_class():
    rare = np.r_[np.zeros(70, int), np.ones(10, int)]
    scores = cross_val_score(classifier(), X, rare, cv=KFold(8), error_score="raise")
    assert scores[-1] == 0.0  # the last fold is of the class that its model has not seen
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns that a class is missing
        p = cross_val_predict(classifier(), X, rare, cv=KFold(8), method="predict_proba")
    assert p[-10:].tolist() == [[1.0, 0.0]] * 10
    bagging = BaggingClassifier(classifier(), 10, max_samples=5, random_state=0).fit(X, rare)
    assert min(len(member.classes_) for member in bagging.estimators_) == 1
    np.testing.assert_allclose(bagging.predict_proba(X).sum(axis=1), 1)
