"""Networks inside scikit-learn's estimators that combine others: equal predictions, or a refusal by name."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    BaggingRegressor,
    RandomForestClassifier,
    StackingClassifier,
    StackingRegressor,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.feature_selection import RFE
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor, RegressorChain
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import LinearSVC

from skscratch.onnx.convert import CONVERTERS
from skscratch.onnx.nested import REFUSED, TAKE_COLUMNS

skl2onnx = pytest.importorskip("skl2onnx")
pytest.importorskip("onnxruntime")

from skscratch.onnx import input_feed, to_onnx  # noqa: E402
from tests.onnx.test_convert import assert_equal, classifier, regressor, run  # noqa: E402

RANDOM = np.random.default_rng(0)
N = 120
TABLE = pd.DataFrame(
    {
        "city": RANDOM.choice(["Ulm", "Rom", "Bern"], N).astype(object),
        "age": RANDOM.gamma(3, 10, N),
        "rooms": RANDOM.integers(1, 9, N),
    }
)
TABLE.loc[::9, "city"] = None
NUMBERS = TABLE[["age", "rooms"]].assign(size=RANDOM.normal(size=N))
CLASSES = np.array(["high", "low", "mid"])[np.digitize(TABLE["age"], [20, 35])]
SOLD = TABLE["age"].to_numpy() > 28
PRICE = TABLE["age"].to_numpy() + (TABLE["city"] == "Rom") * 9.0
PRICES = np.c_[PRICE, PRICE**2]


def two(make, **options):
    """Two different members."""
    return [("first", make(dtype="float64", **options)), ("second", make(dtype="float64", random_state=1, **options))]


def pipeline(model):
    return make_pipeline(model)


def search(model):
    return GridSearchCV(model, {"alpha": [0.0]}, cv=2)


def converted(model, X, y, tolerance=1e-5):
    """Fit, convert and compare; return the model and the outputs of the graph."""
    model.fit(X, y)
    rows = X.iloc[::-1]
    if "city" in X:
        rows = rows.assign(city=rows["city"].replace("Ulm", "never seen"))
    return model, assert_equal(model, X, rows=rows, tolerance=tolerance)


def test_the_converters_take_a_column_an_input():
    assert set(CONVERTERS) <= set(TAKE_COLUMNS)


# ------------------------------------------------------------------ voting


@pytest.mark.parametrize("weights", [None, [1, 2.5]])
@pytest.mark.parametrize("y", [CLASSES, SOLD], ids=["three", "two"])
def test_soft_voting(y, weights):
    converted(VotingClassifier(two(classifier), voting="soft", weights=weights), TABLE, y)


@pytest.mark.parametrize("weights", [None, [1, 2.5, 0.5]])
def test_hard_voting_has_shares_of_the_votes(weights):
    members = [*two(classifier), ("third", classifier(random_state=7, dtype="float64"))]
    model = VotingClassifier(members, weights=weights).fit(TABLE, CLASSES)
    graph = to_onnx(model, TABLE)
    out = run(graph, input_feed(graph, TABLE))
    np.testing.assert_array_equal(out["label"], model.predict(TABLE))
    votes = np.stack([np.eye(3)[member.predict(TABLE)] for member in model.estimators_])
    np.testing.assert_allclose(out["probabilities"], np.average(votes, axis=0, weights=weights), atol=1e-12)


def test_a_dropped_member_of_a_vote_has_no_weight():
    model = VotingClassifier(two(classifier), voting="soft", weights=[5, 2]).set_params(first="drop")
    converted(model, TABLE, CLASSES)
    converted(VotingRegressor(two(regressor), weights=[5, 2]).set_params(second="drop"), TABLE, PRICE)


@pytest.mark.parametrize("weights", [None, [1, 2.5]])
def test_a_vote_of_regressors(weights):
    converted(VotingRegressor(two(regressor), weights=weights), TABLE, PRICE)


def test_other_models_beside_a_network_take_a_frame_of_numbers():
    members = [*two(classifier), ("bayes", GaussianNB())]
    members += [("linear", make_pipeline(StandardScaler(), LogisticRegression()))]
    converted(VotingClassifier(members, voting="soft"), NUMBERS, CLASSES)
    converted(VotingRegressor([*two(regressor), ("linear", LinearRegression())]), NUMBERS, PRICE)


def test_single_precision_and_options():
    X = NUMBERS.astype(np.float32)
    model = VotingClassifier(two(classifier), voting="soft").fit(X, CLASSES)
    assert assert_equal(model, X)["probabilities"].dtype == np.float32
    graph = to_onnx(model, X, nocl=True)
    indices = np.searchsorted(model.classes_, model.predict(X))
    np.testing.assert_array_equal(run(graph, input_feed(graph, X))["label"], indices)
    by_class = to_onnx(model, X, zipmap="columns")
    assert {"shigh", "slow", "smid"} <= set(run(by_class, input_feed(by_class, X)))


# ---------------------------------------------------------------- stacking


@pytest.mark.parametrize("method", ["predict_proba", "decision_function", "predict"])
@pytest.mark.parametrize("y", [CLASSES, SOLD], ids=["three", "two"])
def test_stacked_classifiers(y, method):
    converted(StackingClassifier(two(classifier), cv=2, stack_method=method), TABLE, y)


def test_a_network_on_top_takes_text_as_well():
    top = {"cv": 2, "passthrough": True}
    converted(StackingClassifier(two(classifier), classifier(dtype="float64"), **top), TABLE, CLASSES)
    converted(StackingRegressor(two(regressor), regressor(dtype="float64"), **top), TABLE, PRICE)


@pytest.mark.parametrize("X", [NUMBERS, NUMBERS.to_numpy()], ids=["frame", "matrix"])
def test_numbers_beside_the_predictions(X):
    X = pd.DataFrame(X)
    X.columns = X.columns.astype(str)
    final = make_pipeline(StandardScaler(), LogisticRegression())
    converted(StackingClassifier(two(classifier), final, cv=2, passthrough=True), X, CLASSES)
    members = [*two(regressor), ("linear", LinearRegression())]
    converted(StackingRegressor(members, cv=2, passthrough=True), X, PRICE)


def test_a_stack_of_fitted_members_and_a_dropped_one():
    members = [(name, FrozenEstimator(model.fit(TABLE, PRICE))) for name, model in two(regressor)]
    converted(StackingRegressor([*members, ("gone", "drop")], cv="prefit"), TABLE, PRICE)


def test_several_labels_in_a_stack_are_refused():
    y = np.c_[SOLD, ~SOLD].astype(int)
    model = StackingClassifier(two(classifier), RandomForestClassifier(5), cv=2).fit(NUMBERS, y)
    with pytest.raises(NotImplementedError, match="StackingClassifier of several labels"):
        to_onnx(model, NUMBERS)


# ----------------------------------------------------------------- bagging

HALF = {"n_estimators": 3, "max_samples": 0.5, "random_state": 0}


@pytest.mark.parametrize("columns", [{}, {"max_features": 0.7}, {"max_features": 1.0, "bootstrap_features": True}])
def test_bags_of_rows_and_columns(columns):
    converted(BaggingClassifier(classifier(dtype="float64"), **HALF, **columns), TABLE, CLASSES)
    converted(BaggingRegressor(regressor(dtype="float64"), **HALF, **columns), TABLE, PRICE)
    matrix = NUMBERS.to_numpy()
    assert_equal(BaggingRegressor(regressor(), **HALF, **columns).fit(matrix, PRICES), matrix)


def test_a_bag_without_the_rare_class():
    y = np.where(np.arange(N) == 7, "rare", CLASSES)
    # a Pipeline takes no weights, so that each member sees its sample alone
    members = BaggingClassifier(pipeline(classifier(dtype="float64", early_stopping=False)), **HALF)
    model, _ = converted(members, TABLE, y)
    assert {len(member.classes_) for member in model.estimators_} == {3, 4}


def test_bags_of_searches_and_of_classifiers_that_only_vote():
    converted(BaggingClassifier(search(classifier(dtype="float64")), **HALF), TABLE, CLASSES)
    X = NUMBERS.to_numpy(np.float32)  # skl2onnx converts this classifier in single precision alone
    model = BaggingClassifier(LinearSVC(), **HALF).fit(X, CLASSES)
    out = run(to_onnx(model, X), {"X": X})
    np.testing.assert_array_equal(out["label"], model.predict(X))


# -------------------------------------------- several outputs, one versus rest


def test_several_outputs():
    converted(MultiOutputRegressor(regressor(dtype="float64")), TABLE, PRICES)


@pytest.mark.parametrize("y", [np.c_[CLASSES, CLASSES[::-1]], np.c_[SOLD, ~SOLD]], ids=["strings", "booleans"])
def test_several_classes_have_a_list_of_probabilities(y):
    model = MultiOutputClassifier(classifier(dtype="float64")).fit(TABLE, y)
    graph = to_onnx(model, TABLE)
    out = run(graph, input_feed(graph, TABLE))
    np.testing.assert_array_equal(out["label"], model.predict(TABLE))
    for p, right in zip(out["probabilities"], model.predict_proba(TABLE), strict=True):
        assert p.dtype == np.float64
        np.testing.assert_allclose(p, right, atol=1e-5)


@pytest.mark.parametrize("loss", ["log_loss", "squared_error"])
@pytest.mark.parametrize("y", [CLASSES, SOLD, np.c_[SOLD, ~SOLD].astype(int)], ids=["three", "two", "labels"])
def test_one_versus_rest(y, loss):
    converted(OneVsRestClassifier(classifier(dtype="float64", loss=loss)), TABLE, y)


def test_one_versus_rest_of_pipelines_and_of_others():
    converted(OneVsRestClassifier(pipeline(classifier(dtype="float64"))), TABLE, CLASSES)
    X = NUMBERS.to_numpy()
    assert_equal(OneVsRestClassifier(LogisticRegression(C=1e-3)).fit(X, CLASSES), X)


# ------------------------------------------------------------------ nested

DEEP = {
    "calibrated vote": lambda: CalibratedClassifierCV(VotingClassifier(two(classifier), voting="soft"), cv=2),
    "calibrated stack": lambda: CalibratedClassifierCV(
        StackingClassifier(two(classifier), LogisticRegression(), cv=2), cv=2
    ),
    "calibrated bag": lambda: CalibratedClassifierCV(BaggingClassifier(classifier(dtype="float64"), **HALF), cv=2),
    "calibrated one-vs-rest": lambda: CalibratedClassifierCV(OneVsRestClassifier(classifier(dtype="float64")), cv=2),
    "vote of calibrated ones": lambda: VotingClassifier(
        [("a", CalibratedClassifierCV(classifier(), cv=2)), ("b", classifier())], voting="soft"
    ),
    "vote of votes": lambda: VotingRegressor([("a", VotingRegressor(two(regressor))), ("b", regressor())]),
    "search of a vote": lambda: GridSearchCV(VotingRegressor(two(regressor)), {"weights": [[1, 2]]}, cv=2),
    "pipeline of a bag of pipelines": lambda: pipeline(BaggingRegressor(pipeline(regressor()), **HALF)),
}


@pytest.mark.parametrize("name", DEEP)
def test_ensembles_in_ensembles(name):
    model = DEEP[name]()
    converted(model, TABLE, CLASSES if is_classifier(model) else PRICE)


# ----------------------------------------------------------------- refused

REFUSALS = {
    FixedThresholdClassifier: lambda: FixedThresholdClassifier(classifier(), threshold=0.3),
    TunedThresholdClassifierCV: lambda: TunedThresholdClassifierCV(classifier(), cv=2),
    ClassifierChain: lambda: ClassifierChain(classifier()),
    RegressorChain: lambda: RegressorChain(regressor()),
    SelfTrainingClassifier: lambda: SelfTrainingClassifier(classifier()),
    RFE: lambda: RFE(LinearDiscriminantAnalysis(), n_features_to_select=2),
    OneVsOneClassifier: lambda: OneVsOneClassifier(classifier()),
}


def test_every_refusal_is_tried():
    assert set(REFUSALS) == set(REFUSED)


@pytest.mark.parametrize("kind", REFUSALS, ids=lambda kind: kind.__name__)
def test_a_refusal_says_what_to_do(kind):
    y = np.array([0, 1])[SOLD.astype(int)]
    if kind in (ClassifierChain, RegressorChain):
        y = np.c_[y, 1 - y]
    elif kind is OneVsOneClassifier:
        y = CLASSES
    elif kind is SelfTrainingClassifier:
        y[::5] = -1  # without a label
    X = NUMBERS.to_numpy()
    model = REFUSALS[kind]().fit(X, y)
    advice = REFUSED[kind]
    for outer in (model, make_pipeline(model)):
        with pytest.raises(NotImplementedError) as raised:
            to_onnx(outer, X)
        assert str(raised.value) == f"{kind.__name__} cannot be converted to ONNX: {advice}."
    if y.ndim == 1 and kind not in (OneVsOneClassifier, SelfTrainingClassifier):
        with pytest.raises(NotImplementedError, match=kind.__name__):
            to_onnx(VotingClassifier([("a", model), ("b", classifier())]).fit(X, y), X)


def test_one_versus_one_of_integers_is_converted():
    X, y = NUMBERS.to_numpy(), np.digitize(TABLE["age"], [20, 35])
    model = OneVsOneClassifier(classifier()).fit(X, y)
    assert np.array_equal(run(to_onnx(model, X), {"X": X})["label"].ravel(), model.predict(X))


def test_selected_columns_before_a_network():
    X = NUMBERS.to_numpy()
    rfe = RFE(LinearDiscriminantAnalysis(), n_features_to_select=2)
    assert_equal(make_pipeline(rfe, classifier()).fit(X, CLASSES), X)


def test_what_skl2onnx_lacks_is_named():
    X = NUMBERS.to_numpy()
    model = OutputCodeClassifier(classifier(), random_state=0).fit(X, CLASSES)
    with pytest.raises(
        NotImplementedError, match="no converter for a part of this OutputCodeClassifier.*by themselves"
    ):
        to_onnx(model, X)
    inner = VotingClassifier([("a", RidgeClassifier()), ("b", model)]).fit(X, CLASSES)
    with pytest.raises(NotImplementedError, match="no converter for OutputCodeClassifier, which is inside"):
        to_onnx(inner, X)
    bagged = BaggingClassifier(RandomForestClassifier(3), **HALF).fit(X, CLASSES)
    with pytest.raises(NotImplementedError, match="no raw scores of VotingClassifier"):
        stack = StackingClassifier([("a", VotingClassifier([("b", bagged)]))], cv=2).fit(X, CLASSES)
        stack.stack_method_ = ["decision_function"]
        to_onnx(stack, X)


def test_boosting_takes_one_matrix_of_single_precision():
    X = NUMBERS.to_numpy()
    model = AdaBoostClassifier(classifier(), n_estimators=2).fit(X, CLASSES)
    with pytest.raises(NotImplementedError, match=r"single precision only: convert with X.astype\('float32'\)"):
        to_onnx(model, X)
    single = X.astype(np.float32)
    assert_equal(model, single, rows=single)
    model = AdaBoostRegressor(regressor(), n_estimators=2, random_state=0).fit(NUMBERS, PRICE)
    with pytest.raises(NotImplementedError, match=r"matrix of numbers only, .*Convert with X.to_numpy\(\)"):
        to_onnx(model, NUMBERS)


# ---------------------------------------------------------------- register


@pytest.mark.slow
def test_skl2onnx_needs_register_since_an_import_of_the_package_does_not_load_it():
    code = """
import sys, numpy as np, skscratch, skscratch.onnx
assert "skl2onnx" not in sys.modules and "onnx" not in sys.modules
import skl2onnx
from skscratch import ScratchMLPRegressor
X = np.random.default_rng(0).normal(size=(30, 2))
model = ScratchMLPRegressor(max_iter=2).fit(X, X[:, 0])
try:
    skl2onnx.to_onnx(model, X)
except RuntimeError as error:
    print("ScratchMLPRegressor" in str(error))
skscratch.onnx.register()
print(type(skl2onnx.to_onnx(model, X)).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout.split(), done.returncode) == (["True", "ModelProto"], 0), done.stderr
